package sandbox

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testTime = time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)

func ticks(n int) time.Duration { return time.Duration(n) * time.Second }

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

func TestLimitsAreDigitalOceans(t *testing.T) {
	at := &clock{t: testTime}
	r := newRig(t, func(o *Options) { o.Limits, o.Now = Limits{}, at.now })
	_, res, err := r.client.Account.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.Rate.Limit != 5000 || res.Rate.Remaining != 4999 || !res.Rate.Reset.After(testTime) {
		t.Errorf("rate %+v", res.Rate)
	}
	for range 9 {
		if _, _, err := r.client.Keys.List(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.client.Keys.List(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.client.Keys.List(t.Context(), nil)
	refused(t, err, http.StatusTooManyRequests, "Too many requests")
	for range 250 - 11 {
		if _, _, err := r.client.Account.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, res, err = r.client.Account.Get(t.Context())
	refused(t, err, http.StatusTooManyRequests, "Too many requests")
	after, err := strconv.Atoi(res.Header.Get("retry-after"))
	if err != nil || after < 1 || after > 60 {
		t.Errorf("retry-after %q", res.Header.Get("retry-after"))
	}
	at.advance(ticks(after))
	if _, _, err := r.client.Account.Get(t.Context()); err != nil {
		t.Errorf("still refused after %d s: %v", after, err)
	}
}

func TestHourlyLimit(t *testing.T) {
	at := &clock{t: testTime}
	r := newRig(t, func(o *Options) { o.Limits, o.Now = Limits{Hour: 3, Minute: -1}, at.now })
	for n := range 3 {
		_, res, err := r.client.Account.Get(t.Context())
		if err != nil || res.Rate.Limit != 3 || res.Rate.Remaining != 2-n {
			t.Errorf("rate %+v, %v", res.Rate, err)
		}
	}
	_, res, err := r.client.Account.Get(t.Context())
	refused(t, err, http.StatusTooManyRequests, "API Rate limit exceeded.")
	at.advance(res.Rate.Reset.Sub(at.now()))
	if _, _, err := r.client.Account.Get(t.Context()); err != nil {
		t.Errorf("still refused at the reset: %v", err)
	}
}

// TestWindow holds a window against a plain list of times: it never lets more
// through than its limit in its time, and never forgets later than a slot.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := window{limit: rapid.IntRange(1, 5).Draw(t, "limit"), slot: time.Second}
		now, whole := testTime, slots*time.Second
		var admitted []time.Time
		for range rapid.IntRange(1, 100).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "ms")) * time.Millisecond)
			w.advance(now)
			recent := 0
			for _, at := range admitted {
				if now.Sub(at) < whole-time.Second {
					recent++
				}
			}
			if w.full() != (w.sum >= w.limit) || w.sum < recent {
				t.Fatalf("%d counted of %d recent ones", w.sum, recent)
			}
			if w.full() {
				if d := w.until(now); d <= 0 || d > whole {
					t.Fatalf("full for %v", d)
				}
				later := w
				later.advance(now.Add(w.until(now)))
				if later.full() {
					t.Fatalf("still full after %v", w.until(now))
				}
				continue
			}
			w.add()
			admitted = append(admitted, now)
		}
	})
}
