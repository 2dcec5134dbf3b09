package digitalocean

import (
	"context"
	"errors"
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

// firstAnswer is how long all wait for the first answer to a process, which
// tells how much of the limits is left: others may have used them up.
const firstAnswer = 2 * time.Second

// mostUnderWay bounds the requests under way at a time, so that a refusal comes
// in time for those behind.
const mostUnderWay = 50

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
	flock              int       // requests that went since none was under way
	known              bool      // an answer has told how the limits stand
	quiet              time.Time // until known, nothing more goes before this
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
	b.quiet = now
	if answer != nil {
		b.known = true
		b.heed(answer, keys, now)
	}
	if b.underWay() == 0 {
		b.flock = 0
	}
	b.admit()
}

// heed takes over what an answer says about the limits. What was counted and
// not answered here is taken for others' use; requests of this process that are
// under way may be among it, until all are answered.
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
			b.crowded(keys, reset)
		}
		b.shut(keys, reset)
		return
	}
	if limit, ok := number("Ratelimit-Limit"); ok && limit > 0 {
		b.hour.limit = limit
		b.minute.limit = max(1, limit/minuteShare)
		b.minute.others = min(b.minute.others, b.minute.limit)
	}
	if ok {
		others := max(0, b.hour.limit-left-len(b.hour.past))
		if b.flock > 1 {
			others = max(others, b.hour.others) // answers come in any order: this may be an older one
		}
		b.hour.others, b.hour.reset = others, reset
	}
}

// underWay is how many requests have gone and are not answered.
func (b *budget) underWay() int { return b.hour.total() - len(b.hour.past) }

// crowded notes that the minute was refused though this process has not used it
// up. The rest was used by others with the same token, and is left to them; it
// is won back little by little.
func (b *budget) crowded(keys bool, reset time.Time) {
	w := &b.minute
	if keys {
		w = &b.keys
	}
	w.others = max(w.others, w.limit-len(w.past), 0)
	w.reset = reset
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
		var ahead [provider.Priorities]int
		for _, other := range b.waiting[:before] {
			if other.keys || w != &b.keys {
				ahead[other.of]++
			}
		}
		if free := w.when(now, t.of, ahead); free.After(at) {
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
		t.going = (b.known || !now.Before(b.quiet)) && b.underWay() < mostUnderWay
		b.each(t.keys, func(w *window) { t.going = t.going && !now.Before(w.shut) && w.fits(w.used, t.of) })
		if t.going {
			b.each(t.keys, func(w *window) { w.used[t.of]++ })
			b.quiet = now.Add(firstAnswer)
			b.flock++
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
	if !b.known && b.quiet.After(now) && b.quiet.Before(next) {
		next = b.quiet
	}
	b.alarm = time.AfterFunc(next.Sub(now), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.admit()
	})
}
