package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"

	"berth/provider"
	"berth/provider/sandbox"
)

// answered is an answer with rate headers, each left out where it is empty.
func answered(status int, limit, remaining, reset, after string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}}
	for name, value := range map[string]string{
		"Ratelimit-Limit": limit, "Ratelimit-Remaining": remaining, "Ratelimit-Reset": reset, "Retry-After": after,
	} {
		if value != "" {
			res.Header.Set(name, value)
		}
	}
	return res
}

// send sends a request that is answered at once.
func (b *budget) send(ctx context.Context, of provider.Priority, answer *http.Response) error {
	if err := b.enter(provider.WithPriority(ctx, of), "test", false); err != nil {
		return err
	}
	b.leave(of, false, answer)
	return nil
}

// small is a budget of so many requests a minute.
func small(limit int) *budget {
	b := newBudget(time.Now)
	b.minute.limit = limit
	return b
}

// However many requests of whatever urgency come at once over a wire of
// changing speed, DigitalOcean refuses none at its real limits, and they go
// about as fast as these allow.
func TestBudgetAtRealLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.cloud.Limits = sandbox.Limits{} })
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(1, 2))
		r.wire.slow = func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return time.Duration(random.Int64N(int64(3 * time.Second)))
		}
		const each = 300
		began := time.Now()
		var all sync.WaitGroup
		for i := range each {
			for _, of := range []provider.Priority{provider.Customer, provider.Watch, provider.Upkeep} {
				all.Go(func() {
					time.Sleep(time.Duration(i) * 100 * time.Millisecond)
					if _, err := r.Machines(provider.WithPriority(t.Context(), of), "fleet"); err != nil {
						t.Errorf("a request of priority %d: %v", of, err)
					}
				})
			}
		}
		all.Wait()
		took := time.Since(began)
		if n := r.wire.refusals(); n > 0 {
			t.Errorf("%d requests were refused", n)
		}
		// 900 requests at 250 a minute take three minutes; what is kept for others
		// who do not come takes more.
		if took < 3*time.Minute || took > 15*time.Minute {
			t.Errorf("900 requests took %v", took)
		}
	})
}

// The hour's limit holds as well as the minute's.
func TestBudgetOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.cloud.Limits = sandbox.Limits{Hour: 60, Minute: 30} })
		began := time.Now()
		for range 100 {
			if _, err := r.Machines(provider.WithPriority(t.Context(), provider.Customer), "fleet"); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.wire.refusals(); n > 0 {
			t.Errorf("%d requests were refused", n)
		}
		if took := time.Since(began); took < time.Hour || took > 2*time.Hour+time.Minute {
			t.Errorf("100 requests at 60 an hour took %v", took)
		}
	})
}

// Look-ups of the account's keys have a limit of their own, which stops
// nothing else.
func TestBudgetOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) {
			s.cloud.Limits, s.account.AccountKey = sandbox.Limits{}, accountKeyLine(t, 0)
		})
		began := time.Now()
		var all sync.WaitGroup
		for range 25 {
			all.Go(func() {
				if err := r.read(t.Context(), opFindKey, func(ctx context.Context) (answer *godo.Response, err error) {
					_, answer, err = r.client.Keys.List(ctx, nil)
					return answer, err
				}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := r.Machines(t.Context(), "fleet"); err != nil || time.Since(began) > 0 {
			t.Errorf("a list had to wait %v for look-ups of keys: %v", time.Since(began), err)
		}
		all.Wait()
		if n := r.wire.refusals(); n > 0 {
			t.Errorf("%d requests were refused", n)
		}
		if took := time.Since(began); took < 2*time.Minute || took > 2*time.Minute+5*time.Second {
			t.Errorf("25 look-ups at 10 a minute took %v", took)
		}
	})
}

// Who waits goes by priority, and by arrival within one.
func TestBudgetOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small(1) // nothing is kept for anybody: a part of 1 is 0
		if err := b.send(t.Context(), provider.Customer, nil); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		for i, of := range []provider.Priority{
			provider.Upkeep, provider.Watch, provider.Customer, provider.Upkeep, provider.Customer, provider.Watch,
		} {
			all.Go(func() {
				if err := b.send(t.Context(), of, nil); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, fmt.Sprintf("%d:%d", of, i))
			})
			synctest.Wait()
		}
		all.Wait()
		want := []string{"0:2", "0:4", "1:1", "1:5", "2:0", "2:3"}
		if !slices.Equal(order, want) {
			t.Errorf("they went in the order %v, want %v", order, want)
		}
	})
}

// A flood of one priority leaves the others what is kept for them.
func TestBudgetStarvesNobody(t *testing.T) {
	for flood := range provider.Priorities {
		t.Run(strconv.Itoa(int(flood)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBudget(time.Now)
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				var mu sync.Mutex
				sent := map[provider.Priority]int{}
				for of := range provider.Priorities {
					crowd := 20
					if of == flood {
						crowd = 1000
					}
					for range crowd {
						all.Go(func() {
							for b.send(ctx, of, nil) == nil {
								mu.Lock()
								sent[of]++
								mu.Unlock()
							}
						})
					}
				}
				const minutes = 5
				time.Sleep(minutes*time.Minute - time.Second)
				cancel()
				all.Wait()
				total := 0
				for of := range provider.Priorities {
					total += sent[of]
					if least := minutes * 250 * shares[of] / 100; sent[of] < least {
						t.Errorf("priority %d sent %d requests, at least %d are kept for it", of, sent[of], least)
					}
				}
				if total != minutes*250 {
					t.Errorf("%d requests went in %d minutes, want all %d", total, minutes, minutes*250)
				}
			})
		})
	}
}

// A turn that comes too late for its caller is refused at once, with the time
// after which it would come.
func TestBudgetDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small(2)
		for range 2 {
			if err := b.send(t.Context(), provider.Customer, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Second)
		began := time.Now()
		short, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := b.send(short, provider.Customer, nil)
		wantKind(t, "a turn that comes too late", err, provider.RateLimited)
		if e, _ := errors.AsType[*provider.Error](err); e.RetryAfter != 40*time.Second || time.Since(began) > 0 {
			t.Errorf("after %v: try again in %v, want 40s at once", time.Since(began), e.RetryAfter)
		}

		long, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		if err := b.send(long, provider.Customer, nil); err != nil || time.Since(began) != 40*time.Second {
			t.Errorf("after %v: %v, want to have gone after 40s", time.Since(began), err)
		}
	})
}

// Giving up frees the place in the queue; it says that nothing was sent.
func TestBudgetGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small(1)
		if err := b.send(t.Context(), provider.Customer, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- b.send(ctx, provider.Customer, nil) }()
		synctest.Wait()
		began := time.Now()
		next := make(chan error, 1)
		go func() { next <- b.send(t.Context(), provider.Customer, nil) }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		if err := <-next; err != nil || time.Since(began) != time.Minute {
			t.Errorf("the next went after %v, %v; want one minute", time.Since(began), err)
		}
	})
}

// A refusal for too many requests stops all; those who can't wait are told.
func TestBudgetIsShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small(1)
		if err := b.enter(t.Context(), "test", false); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 70*time.Second)
		defer cancel()
		hopeless, patient := make(chan error, 1), make(chan error, 1)
		began := time.Now()
		go func() { hopeless <- b.send(short, provider.Watch, nil) }()
		synctest.Wait()
		go func() { patient <- b.send(t.Context(), provider.Watch, nil) }()
		synctest.Wait()
		b.leave(provider.Watch, false, answered(429, "5000", "4000", "", "100"))
		err := <-hopeless
		wantKind(t, "who can't wait", err, provider.RateLimited)
		if e, _ := errors.AsType[*provider.Error](err); time.Since(began) > 0 || e.RetryAfter != 100*time.Second {
			t.Errorf("after %v: try again in %v, want 100s at once", time.Since(began), e.RetryAfter)
		}
		if err := <-patient; err != nil || time.Since(began) != 100*time.Second {
			t.Errorf("who could wait went after %v, %v; want 100s", time.Since(began), err)
		}
	})
}

// Answers are believed as far as they make sense.
func TestBudgetHeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
		for name, tt := range map[string]struct {
			answer      *http.Response
			hour, burst int
			others      int
			reset, shut time.Duration
		}{
			"nothing said":         {answered(200, "", "", "", ""), 5000, 250, 0, 0, 0},
			"as counted here":      {answered(200, "5000", "4999", in(time.Hour), ""), 5000, 250, 0, time.Hour, 0},
			"others use it too":    {answered(200, "5000", "3999", in(time.Minute), ""), 5000, 250, 1000, time.Minute, 0},
			"a larger account":     {answered(200, "20000", "19999", in(time.Hour), ""), 20000, 1000, 0, time.Hour, 0},
			"a tiny account":       {answered(200, "3", "2", in(time.Hour), ""), 3, 1, 0, time.Hour, 0},
			"more than there is":   {answered(200, "5000", "6000", in(time.Hour), ""), 5000, 250, 0, time.Hour, 0},
			"no numbers":           {answered(200, "many", "some", "soon", "later"), 5000, 250, 0, 0, 0},
			"negative":             {answered(200, "-1", "-5", "-7", "-9"), 5000, 250, 0, 0, 0},
			"reset in a year":      {answered(200, "5000", "4999", in(24*365*time.Hour), ""), 5000, 250, 0, time.Hour, 0},
			"without a reset":      {answered(200, "5000", "4899", "", ""), 5000, 250, 100, time.Hour, 0},
			"a burst":              {answered(429, "250", "0", "", "30"), 5000, 250, 0, 0, 30 * time.Second},
			"a burst, no pause":    {answered(429, "5000", "4000", "", ""), 5000, 250, 0, 0, usualPause},
			"the hour is used up":  {answered(429, "5000", "0", in(10*time.Minute), ""), 5000, 250, 0, 0, 10 * time.Minute},
			"a pause of one year":  {answered(429, "5000", "1", "", "31536000"), 5000, 250, 0, 0, time.Hour},
			"no words, only a 429": {answered(429, "", "", "", ""), 5000, 250, 0, 0, usualPause},
		} {
			b := newBudget(time.Now)
			if err := b.send(t.Context(), provider.Watch, tt.answer); err != nil {
				t.Fatal(err)
			}
			after := func(at time.Time) time.Duration {
				if at.IsZero() {
					return 0
				}
				return time.Until(at).Round(time.Second)
			}
			got := fmt.Sprint(b.hour.limit, b.minute.limit, b.hour.others, after(b.hour.reset), after(b.minute.shut))
			if want := fmt.Sprint(tt.hour, tt.burst, tt.others, tt.reset, tt.shut); got != want {
				t.Errorf("%s: limits, others, reset and shut are %s, want %s", name, got, want)
			}
		}
	})
}

// With others on the same token the hour is shared: what they left is used, and
// when it is used up one request at a time finds out whether there is more.
func TestBudgetAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.cloud.Limits = sandbox.Limits{Hour: 100, Minute: -1} })
		r.spend(t, 90)
		began := time.Now()
		ctx := provider.WithPriority(t.Context(), provider.Customer)
		for i := range 30 {
			if _, err := r.Machines(ctx, "fleet"); err != nil {
				t.Fatalf("request %d after %v: %v", i, time.Since(began), err)
			}
		}
		if took := time.Since(began); took > time.Hour+5*time.Minute {
			t.Errorf("30 requests took %v", took)
		}
		if n := r.wire.refusals(); n > 1 {
			t.Errorf("%d requests were refused", n)
		}
	})
}

// A window holds its limit in every span of time, and keeps each priority's
// part free for it.
func TestWindowHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := window{limit: rapid.IntRange(1, 40).Draw(t, "limit"), span: time.Minute, shares: shares}
		now := time.Unix(0, 0)
		var sent []spent
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			of := provider.Priority(rapid.IntRange(0, int(provider.Priorities)-1).Draw(t, "priority"))
			w.forget(now)
			recent := 0
			for _, s := range sent {
				if now.Sub(s.at) < w.span {
					recent++
				}
			}
			if w.total() != recent {
				t.Fatalf("%d counted of %d", w.total(), recent)
			}
			if !w.fits(w.used, of) {
				at := w.when(now, of, [provider.Priorities]int{})
				later := w
				later.past = slices.Clone(w.past)
				later.forget(at)
				if !at.After(now) || !later.fits(later.used, of) {
					t.Fatalf("%v: one more is said to fit after %v", &w, at.Sub(now))
				}
				continue
			}
			w.used[of]++
			w.past = append(w.past, spent{now, of})
			sent = append(sent, spent{now, of})
			if w.total() > w.limit {
				t.Fatalf("%v is too much", &w)
			}
		}
	})
}
