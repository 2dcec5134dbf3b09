package digitalocean

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"berth/provider"
	"berth/provider/sandbox"
)

// beside is a further provider with the same token, as in another process.
func (r *rig) beside(t *testing.T) *Provider {
	t.Helper()
	p, err := New(Options{Token: r.cloud.Token(), HTTP: &http.Client{Transport: r.wire}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lists has each provider list machines so often, all at once, for customers.
func lists(t *testing.T, each int, providers ...*Provider) {
	t.Helper()
	ctx := provider.WithPriority(t.Context(), provider.Customer)
	var all sync.WaitGroup
	for i, p := range providers {
		for range each {
			all.Go(func() {
				if _, err := p.Machines(ctx, "fleet"); err != nil {
					t.Errorf("provider %d: %v", i, err)
				}
			})
		}
	}
	all.Wait()
}

// spend sends so many requests with the token that no provider counts.
func (r *rig) spend(t *testing.T, requests int) {
	t.Helper()
	stranger := &wire{t: t, handler: r.cloud.Handler(), router: r.wire.router}
	for range requests {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cloud.test/v2/account", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+r.cloud.Token())
		if _, err := stranger.RoundTrip(request); err != nil {
			t.Fatal(err)
		}
	}
}

// A process that starts when the hour is used up learns it by one request, and
// the others wait.
func TestBudgetUsedUpBeforeTheStart(t *testing.T) {
	for left, refusals := range map[int]int{0: 1, 1: 0, 5: 0} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(s *setting) { s.cloud.Limits = sandbox.Limits{Hour: 100, Minute: -1} })
			r.spend(t, 100-left)
			time.Sleep(20 * time.Minute)
			r.wire.slow = func() time.Duration { return 100 * time.Millisecond }
			began := time.Now()
			lists(t, 50, r.Provider)
			if n := r.wire.refusals(); n > refusals {
				t.Errorf("%d left: %d requests were refused, at most %d were expected", left, n, refusals)
			}
			if took := time.Since(began); took < 39*time.Minute || took > 50*time.Minute {
				t.Errorf("%d left: 50 requests took %v", left, took)
			}
		})
	}
}

// A first request that gets no answer does not hold up the rest for long.
func TestBudgetWithoutAFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.faults.Next(1, sandbox.Hang{Op: "account_get"})
		hangs := make(chan error, 1)
		go func() {
			_, err := r.Account(t.Context())
			hangs <- err
		}()
		synctest.Wait()
		began := time.Now()
		lists(t, 20, r.Provider)
		if took := time.Since(began); took > firstAnswer+time.Second {
			t.Errorf("20 requests took %v", took)
		}
		if err := <-hangs; err != nil {
			t.Error(err)
		}
	})
}

// Processes that share a token share its minute too: after a refusal each leaves
// the others what they use.
func TestBudgetOfSeveralProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.wire.slow = func() time.Duration { return 100 * time.Millisecond }
		const each = 400
		providers := []*Provider{r.Provider, r.beside(t), r.beside(t)}
		began := time.Now()
		lists(t, each, providers...)
		t.Logf("%s requests took %v, %d were refused", strconv.Itoa(each*len(providers)), time.Since(began), r.wire.refusals())
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("%d requests took %v", each*len(providers), took)
		}
		if n := r.wire.refusals(); n > each*len(providers)/10 {
			t.Errorf("%d requests were refused", n)
		}
	})
}
