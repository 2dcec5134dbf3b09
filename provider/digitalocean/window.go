package digitalocean

import (
	"fmt"
	"time"

	"berth/provider"
)

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

// fits tells whether one more request of a priority fits beside what is used
// and what is kept for the other priorities.
func (w *window) fits(used [provider.Priorities]int, of provider.Priority) bool {
	limit := w.limit - w.others
	free := limit - 1
	for p, u := range used {
		if provider.Priority(p) != of {
			u = max(u, limit*w.shares[p]/100)
		}
		free -= u
	}
	return free >= 0
}

// when is the earliest time at which one more request of a priority fits after
// those ahead of it, if nothing else is sent.
func (w *window) when(now time.Time, of provider.Priority, ahead [provider.Priorities]int) time.Time {
	at := now
	if w.shut.After(at) {
		at = w.shut
	}
	used := w.used
	for p, n := range ahead {
		used[p] += n
	}
	if w.fits(used, of) {
		return at
	}
	free := now.Add(w.span) // even what is under way has to be forgotten first
	for _, s := range w.past {
		used[s.of]--
		if w.fits(used, of) {
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
