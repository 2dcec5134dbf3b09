package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"berth"
	"berth/provider"
)

// DigitalOcean's limits on the requests of one token.
const (
	hourLimit   = 5000
	minuteShare = 20 // a minute's limit is this part of the hour's: 250
	keyLimit    = 10 // requests about the account's keys in a minute
)

// answerTime is how much of a caller's time is left for the answer to a request
// that had to wait. One that is cut off in its midst may have had its effect.
const answerTime = 5 * time.Second

// shares are the parts of a limit, in percent, that are kept for each priority
// whatever the others ask for, so that none starves. What is nobody's part goes
// to whoever comes first in the order of priority.
var shares = [provider.Priorities]int{provider.Customer: 60, provider.Watch: 12, provider.Upkeep: 4}

// budget lets requests go as fast as the token's limits allow and no faster:
// each waits for its turn, the customers' before the watching ones before the
// upkeep, and in the order of arrival within a priority. All requests of a
// Provider share one.
type budget struct {
	now berth.Clock

	mu                 sync.Mutex // guards what follows
	hour, minute, keys window
	waiting            []*turn // in the order in which they go
	alarm              *time.Timer
}

// turn is one request, waiting to go.
type turn struct {
	of       provider.Priority
	keys     bool          // it is about the account's keys
	deadline time.Time     // when it is too late to go; zero: never
	ready    chan struct{} // closed when it may go, or never can in time
	going    bool
}

func newBudget(now berth.Clock) *budget {
	return &budget{
		now:    now,
		hour:   window{limit: hourLimit, span: time.Hour, shares: shares},
		minute: window{limit: hourLimit / minuteShare, span: time.Minute, shares: shares},
		keys:   window{limit: keyLimit, span: time.Minute},
	}
}

// enter waits until a request may go; the caller then sends it and calls leave.
// Where that is certain to be too late for the context's deadline, it returns
// at once: RateLimited, with the time after which trying again makes sense.
func (b *budget) enter(ctx context.Context, op string, keys bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := b.newTurn(ctx, keys)
	if wait, ok := b.line(t); !ok {
		return usedUp(op, wait, nil)
	}
	gone := t.await(ctx, b.now())
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.going && ctx.Err() == nil {
		return nil
	}
	if t.going { // it could have gone, and nobody wants it any more
		b.each(t.keys, func(w *window) { w.used[t.of]-- })
		b.admit()
	}
	wait := b.wait(t, b.place(t))
	b.waiting = slices.DeleteFunc(b.waiting, func(other *turn) bool { return other == t })
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return cause
	}
	return usedUp(op, wait, gone)
}

// newTurn is a request of the context's priority that leaves time for its
// answer before the context's deadline.
func (b *budget) newTurn(ctx context.Context, keys bool) *turn {
	t := &turn{of: provider.PriorityOf(ctx), keys: keys, ready: make(chan struct{})}
	if end, ok := ctx.Deadline(); ok {
		left := end.Sub(b.now())
		t.deadline = end.Add(-min(left/2, answerTime))
	}
	return t
}

// line has a turn wait in its place, or go at once. Where it would come too
// late it does neither, and tells how long it would have to wait.
func (b *budget) line(t *turn) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admit()
	place := b.place(t)
	if wait = b.wait(t, place); t.late(b.now().Add(wait)) {
		return wait, false
	}
	b.waiting = slices.Insert(b.waiting, place, t)
	b.admit()
	return wait, true
}

// await returns when the turn has come or never will, or with an error when it
// is too late for it.
func (t *turn) await(ctx context.Context, now time.Time) error {
	var late <-chan time.Time // never, where there is no deadline
	if !t.deadline.IsZero() {
		timer := time.NewTimer(t.deadline.Sub(now))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-t.ready:
		return nil
	case <-late:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usedUp is the error of a request that was not sent, because its turn does not
// come in time.
func usedUp(op string, wait time.Duration, cause error) error {
	return &provider.Error{
		Kind: provider.RateLimited, Op: op, Message: "the account's requests are used up for now",
		RetryAfter: max(wait, time.Second), Err: cause,
	}
}

// leave notes that a request has been answered, and what the answer says about
// the limits; nil is no answer.
func (b *budget) leave(of provider.Priority, keys bool, answer *http.Response) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	// DigitalOcean counted it when it arrived there, which was before now: what
	// is forgotten a whole span from now, it has forgotten too.
	b.each(keys, func(w *window) { w.past = append(w.past, spent{now, of}) })
	if answer != nil {
		b.heed(answer, keys, now)
	}
	b.admit()
}

// heed takes over what an answer says about the limits.
func (b *budget) heed(answer *http.Response, keys bool, now time.Time) {
	number := func(name string) (int, bool) {
		n, err := strconv.Atoi(answer.Header.Get(name))
		return n, err == nil && n >= 0
	}
	seconds, known := number("Ratelimit-Reset")
	reset := time.Unix(int64(seconds), 0)
	if latest := now.Add(b.hour.span); !known || reset.After(latest) {
		reset = latest
	}
	left, ok := number("Ratelimit-Remaining")
	if answer.StatusCode == http.StatusTooManyRequests {
		if _, named := number("Retry-After"); named || !ok || left > 0 {
			reset = now.Add(pauseAsked(answer.Header))
		}
		b.shut(keys, reset)
		return
	}
	if limit, ok := number("Ratelimit-Limit"); ok && limit > 0 {
		b.hour.limit = limit
		b.minute.limit = max(1, limit/minuteShare)
	}
	if ok {
		b.hour.others = max(0, b.hour.limit-left-b.hour.total())
		b.hour.reset = reset
	}
}

// shut lets nothing go before a time, and ends the waiting of those that can't
// come in time any more. A refusal about keys says nothing about the rest.
func (b *budget) shut(keys bool, until time.Time) {
	w := &b.minute
	if keys {
		w = &b.keys
	}
	if until.After(w.shut) {
		w.shut = until
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(t *turn) bool {
		hopeless := false
		b.each(t.keys, func(w *window) { hopeless = hopeless || t.late(w.shut) })
		if hopeless {
			close(t.ready)
		}
		return hopeless
	})
}

func (t *turn) late(at time.Time) bool { return !t.deadline.IsZero() && at.After(t.deadline) }

// each is all windows that a request counts in.
func (b *budget) each(keys bool, do func(*window)) {
	do(&b.hour)
	do(&b.minute)
	if keys {
		do(&b.keys)
	}
}

// place is where a turn is in the order, or belongs.
func (b *budget) place(t *turn) int {
	if i := slices.Index(b.waiting, t); i >= 0 {
		return i
	}
	i := slices.IndexFunc(b.waiting, func(other *turn) bool { return other.of > t.of })
	if i < 0 {
		return len(b.waiting)
	}
	return i
}

// wait is how long it takes at least until a turn comes with so many before it.
func (b *budget) wait(t *turn, before int) time.Duration {
	now := b.now()
	at := now
	b.each(t.keys, func(w *window) {
		if free := w.when(now, t.of, before+1); free.After(at) {
			at = free
		}
	})
	return at.Sub(now)
}

// admit lets go all whose turn has come, and sets the alarm for the next.
func (b *budget) admit() {
	now := b.now()
	b.each(true, func(w *window) { w.forget(now) })
	b.waiting = slices.DeleteFunc(b.waiting, func(t *turn) bool {
		t.going = true
		b.each(t.keys, func(w *window) { t.going = t.going && !now.Before(w.shut) && w.fits(w.used, t.of, 1) })
		if t.going {
			b.each(t.keys, func(w *window) { w.used[t.of]++ })
			close(t.ready)
		}
		return t.going
	})
	if b.alarm != nil {
		b.alarm.Stop()
		b.alarm = nil
	}
	if len(b.waiting) == 0 {
		return
	}
	next := now.Add(time.Minute)
	b.each(true, func(w *window) { next = w.next(now, next) })
	b.alarm = time.AfterFunc(next.Sub(now), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.admit()
	})
}

// window counts the requests of a sliding span of time against a limit.
type window struct {
	limit  int
	span   time.Duration
	shares [provider.Priorities]int // percent of the limit

	used [provider.Priorities]int // requests under way, or answered within the span
	past []spent                  // those answered, the oldest first

	others int       // requests of others with the same token, as far as answers tell
	reset  time.Time // when the oldest of all requests is forgotten, as answers tell
	shut   time.Time // nothing goes before: it was asked for
}

// spent is a request that was answered.
type spent struct {
	at time.Time
	of provider.Priority
}

// String shows a window in logs and tests.
func (w *window) String() string {
	return fmt.Sprintf("%v of %d in %v, %d by others", w.used, w.limit, w.span, w.others)
}

func (w *window) total() (sum int) {
	for _, n := range w.used {
		sum += n
	}
	return sum
}

// forget drops what is older than the span. Of others' requests it is known
// only when the first is forgotten: from then on one a second is tried.
func (w *window) forget(now time.Time) {
	old := 0
	for old < len(w.past) && !now.Before(w.past[old].at.Add(w.span)) {
		w.used[w.past[old].of]--
		old++
	}
	w.past = w.past[old:]
	if w.others > 0 && !now.Before(w.reset) {
		w.others--
		w.reset = now.Add(time.Second)
	}
}

// fits tells whether n more requests of a priority fit beside what is used and
// what is kept for the other priorities.
func (w *window) fits(used [provider.Priorities]int, of provider.Priority, n int) bool {
	limit := w.limit - w.others
	free := limit - n
	for p, u := range used {
		if provider.Priority(p) != of {
			u = max(u, limit*w.shares[p]/100)
		}
		free -= u
	}
	return free >= 0
}

// when is the earliest time at which n more requests of a priority fit, if
// nothing else is sent.
func (w *window) when(now time.Time, of provider.Priority, n int) time.Time {
	at := now
	if w.shut.After(at) {
		at = w.shut
	}
	used := w.used
	if w.fits(used, of, n) {
		return at
	}
	free := now.Add(w.span) // even what is under way has to be forgotten first
	for _, s := range w.past {
		used[s.of]--
		if w.fits(used, of, n) {
			free = s.at.Add(w.span)
			break
		}
	}
	if w.others > 0 && w.reset.Before(free) {
		free = w.reset // others' requests make room as well
	}
	if free.After(at) {
		return free
	}
	return at
}

// next is the earlier of a time and the time at which the window has more room.
func (w *window) next(now, at time.Time) time.Time {
	earlier := func(t time.Time) {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	if len(w.past) > 0 {
		earlier(w.past[0].at.Add(w.span))
	}
	if w.others > 0 {
		earlier(w.reset)
	}
	earlier(w.shut)
	return at
}
