package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"berth/provider"
	"berth/provider/sandbox"
)

// many does the same for so many machines at once.
func many(t *testing.T, machines []provider.Machine, do func(context.Context, provider.Machine) (provider.Ref, error)) []provider.Ref {
	t.Helper()
	refs := make([]provider.Ref, len(machines))
	var all sync.WaitGroup
	for i, m := range machines {
		all.Go(func() {
			var err error
			if refs[i], err = do(t.Context(), m); err != nil {
				t.Errorf("machine %s: %v", m.ID, err)
			}
		})
	}
	all.Wait()
	return refs
}

// watch checks all works every three seconds until they are done.
func (r *rig) watch(t *testing.T, refs []provider.Ref) {
	t.Helper()
	var all sync.WaitGroup
	for _, ref := range refs {
		all.Go(func() {
			time.Sleep(rand.N(3 * time.Second)) // in a bubble this takes no time
			for {
				switch progress, err := r.Check(t.Context(), ref); {
				case err != nil || progress == provider.Failed:
					t.Errorf("Check(%s) = %q, %v", ref, progress, err)
					return
				case progress == provider.Done:
					return
				}
				time.Sleep(3 * time.Second)
			}
		})
	}
	all.Wait()
}

// However many works wait, looking at them takes few requests.
func TestLooksAreShared(t *testing.T) {
	for name, do := range map[string]func(r *rig) func(context.Context, provider.Machine) (provider.Ref, error){
		"reboot": func(r *rig) func(context.Context, provider.Machine) (provider.Ref, error) {
			return func(ctx context.Context, m provider.Machine) (provider.Ref, error) { return r.Restart(ctx, m.ID) }
		},
		"power off": func(r *rig) func(context.Context, provider.Machine) (provider.Ref, error) {
			return func(ctx context.Context, m provider.Machine) (provider.Ref, error) {
				return r.SetPower(ctx, m.ID, false)
			}
		},
		"snapshot": func(r *rig) func(context.Context, provider.Machine) (provider.Ref, error) {
			return func(ctx context.Context, m provider.Machine) (provider.Ref, error) {
				return r.TakeSnapshot(ctx, m.ID, "of-"+m.ID)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const machines = 150
				r := newRig(t, func(s *setting) {
					s.cloud.DropletLimit = machines
					s.cloud.Latency = func(kind string) time.Duration {
						if kind == "create" {
							return 0
						}
						return 30 * time.Second
					}
				})
				tags := make([]provider.Machine, machines)
				for i := range tags {
					tags[i].ID = fmt.Sprintf("srv_%d", i)
				}
				many(t, tags, func(ctx context.Context, m provider.Machine) (provider.Ref, error) {
					s := spec(m.ID)
					s.First = true
					_, err := r.Create(ctx, s)
					return "", err
				})
				time.Sleep(time.Minute)
				list, err := r.Machines(t.Context(), "fleet")
				if err != nil || len(list) != machines {
					t.Fatalf("%d machines, %v", len(list), err)
				}
				r.wire.slow = func() time.Duration { return 200 * time.Millisecond }

				refs := many(t, list, do(r))
				before := r.wire.total()
				r.watch(t, refs)
				looks := r.wire.total() - before
				t.Logf("%d requests to look at %d works", looks, machines)
				if looks > machines/2 {
					t.Errorf("%d requests were sent to look at %d works", looks, machines)
				}
				if n := r.wire.refusals(); n > 0 {
					t.Errorf("%d requests were refused", n)
				}
			})
		})
	}
}

// A thousand actions that came later don't hide one: it is asked for by its id.
func TestLookBeyondTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, asked := countedBulk(1, 2000)
		got := b.look(t.Context(), []int{3, 1999, 7, 5000})
		for _, id := range []int{3, 7, 1999} {
			if got[id].err != nil || got[id].value == nil || *got[id].value != id {
				t.Errorf("%d: %+v", id, got[id])
			}
		}
		if provider.KindOf(got[5000].err) != provider.NotFound {
			t.Errorf("what is not there: %+v", got[5000])
		}
		if asked.pages.Load() != 2 || asked.ones.Load() != 3 {
			t.Errorf("%d pages and %d single things were read", asked.pages.Load(), asked.ones.Load())
		}
	})
}

type asked struct{ pages, ones atomic.Int64 }

// countedBulk has things with the ids from first to last, and lists the last first.
func countedBulk(first, last int) (bulk[*int], *asked) {
	a := &asked{}
	return bulk[*int]{
		one: func(_ context.Context, id int) (*int, error) {
			a.ones.Add(1)
			if id < first || id > last {
				return nil, notFound("get", "thing "+strconv.Itoa(id))
			}
			return &id, nil
		},
		page: func(_ context.Context, n int) (found []*int, end bool, err error) {
			a.pages.Add(1)
			for id := last - (n-1)*pageSize; id > last-n*pageSize && id >= first; id-- {
				found = append(found, &id)
			}
			return found, last-n*pageSize < first, nil
		},
		id: func(v *int) int { return *v },
	}, a
}

// A list that can't be read fails the looks that it was read for.
func TestLookFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		one, two := r.on(t, "srv_1"), r.on(t, "srv_2")
		refs := many(t, []provider.Machine{one, two}, func(ctx context.Context, m provider.Machine) (provider.Ref, error) {
			return r.Restart(ctx, m.ID)
		})
		r.faults.Next(tries, sandbox.ServerError("actions_list"))
		r.faults.Next(tries, sandbox.ServerError("actions_get"))
		var all sync.WaitGroup
		for _, ref := range append(refs, refs...) {
			all.Go(func() {
				_, err := r.Check(t.Context(), ref)
				if kind := provider.KindOf(err); kind != provider.Unavailable {
					t.Errorf("Check: %v of kind %q", err, kind)
				}
			})
		}
		all.Wait()
		r.watch(t, refs)
	})
}

// Who comes during a look is answered by one that begins later, a caller who
// gives up holds up nobody, and a look that hangs is not waited for.
func TestJoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks [][]int
		hang := true
		j := &joint[int, time.Time]{now: time.Now, rest: 1, look: func(ctx context.Context, wanted []int) map[int]answer[time.Time] {
			looks = append(looks, wanted)
			began, got := time.Now(), map[int]answer[time.Time]{}
			if hang {
				hang = false
				<-ctx.Done()
				return nil
			}
			time.Sleep(time.Second)
			for _, id := range wanted {
				got[id] = answer[time.Time]{value: began}
			}
			return got
		}}
		began := time.Now()
		impatient, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := j.get(impatient, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a look that hangs: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			for id := range 4 {
				all.Go(func() {
					asked := time.Now()
					seen, err := j.get(t.Context(), id)
					if err != nil || seen.Before(asked) {
						t.Errorf("asked at %v, seen at %v, %v", asked, seen, err)
					}
				})
			}
			synctest.Wait()
			time.Sleep(overdue)
			synctest.Wait()
		}
		all.Wait()
		if len(looks) > 4 {
			t.Errorf("%d looks: %v", len(looks), looks)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}
