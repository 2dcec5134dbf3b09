package sandbox

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"berth"
)

// Limits bound the requests that a token may make. In each, 0 is DigitalOcean's
// own figure and a negative number is no limit.
type Limits struct {
	Hour     int // requests in any hour, 5,000 at DigitalOcean
	Minute   int // requests in any minute, 250 at DigitalOcean
	KeyLists int // GET /v2/account/keys in any minute, 10 at DigitalOcean
}

const (
	realHour     = 5000
	realMinute   = 250
	realKeyLists = 10
)

// rate counts requests. The counts are forgotten when the process ends.
type rate struct {
	now berth.Clock

	mu                     sync.Mutex
	hour, minute, keyLists window
}

func newRate(l Limits, now berth.Clock) *rate {
	bound := func(asked, real int) int {
		if asked == 0 {
			return real
		}
		return asked
	}
	return &rate{
		now:      now,
		hour:     window{limit: bound(l.Hour, realHour), slot: time.Minute},
		minute:   window{limit: bound(l.Minute, realMinute), slot: time.Second},
		keyLists: window{limit: bound(l.KeyLists, realKeyLists), slot: time.Second},
	}
}

// admit counts a request, tells about the limits in the answer's headers, and
// refuses a request that is one too many.
func (r *rate) admit(op string, header http.Header) error {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range []*window{&r.hour, &r.minute, &r.keyLists} {
		w.advance(now)
	}
	var refused error
	switch {
	case r.minute.full():
		refused = tooMany("Too many requests", r.minute.room(now, r.minute.limit/burstShare))
	case op == "sshKeys_list" && r.keyLists.full():
		refused = tooMany("Too many requests", r.keyLists.until(now))
	case r.hour.full():
		refused = tooMany("API Rate limit exceeded.", r.hour.until(now))
	default:
		r.hour.add()
		r.minute.add()
		if op == "sshKeys_list" {
			r.keyLists.add()
		}
	}
	shown := r.hour.limit
	if shown < 0 {
		shown = realHour
	}
	header.Set("ratelimit-limit", strconv.Itoa(shown))
	header.Set("ratelimit-remaining", strconv.Itoa(max(0, shown-r.hour.sum)))
	header.Set("ratelimit-reset", strconv.FormatInt(now.Add(r.hour.until(now)).Unix(), 10))
	return refused
}

// slots is into how many parts a window divides its time.
const slots = 60

// window counts what happened in the last 60 slots of time.
type window struct {
	limit  int // negative is none
	slot   time.Duration
	counts [slots]int
	sum    int
	head   int64 // the number of the newest slot since the epoch
}

// advance forgets what has become too old.
func (w *window) advance(now time.Time) {
	head := now.UnixNano() / int64(w.slot)
	for steps := min(head-w.head, slots); steps > 0; steps-- {
		old := &w.counts[(head-steps+1)%slots]
		w.sum -= *old
		*old = 0
	}
	w.head = max(w.head, head)
}

func (w *window) full() bool { return w.limit >= 0 && w.sum >= w.limit }

func (w *window) add() {
	w.counts[w.head%slots]++
	w.sum++
}

// burstShare is the part of the minute's limit that is free when a client that
// was refused has waited as told. Were it for one request only, those that a
// client has under way at once would refuse each other again.
const burstShare = 10

// until is how long it takes for the oldest counted request to be forgotten.
func (w *window) until(now time.Time) time.Duration { return w.room(now, 1) }

// room is how long it takes for so many of the counted requests to be forgotten,
// of at least one and at most all.
func (w *window) room(now time.Time, wanted int) time.Duration {
	wanted = max(1, min(wanted, w.sum))
	for n := w.head - slots + 1; n <= w.head; n++ {
		if wanted -= w.counts[(n+slots)%slots]; wanted <= 0 {
			return time.Unix(0, (n+slots)*int64(w.slot)).Sub(now)
		}
	}
	return slots * w.slot
}
