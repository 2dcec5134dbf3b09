package digitalocean

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth"
	"berth/provider"
)

const (
	// overdue is how long a look holds up the next one: one request that hangs
	// must not keep everybody waiting.
	overdue = 5 * time.Second

	// longestRest bounds the pause between two looks.
	longestRest = 5 * time.Second
)

// joint answers callers who want alike things at the same time by one look for
// all of them. Who comes while a look is under way is answered by the next:
// never by one that began before, so that no answer is older than its question.
// A lone caller is served at once; the more there are, the more share a look.
type joint[K comparable, V any] struct {
	now berth.Clock

	// look answers for all that is wanted. What it leaves out has the zero answer.
	look func(ctx context.Context, wanted []K) map[K]answer[V]

	// rest is the pause after a look, in times of what the look took: a cloud
	// that is slow or busy is asked less often.
	rest int

	mu      sync.Mutex // guards what follows
	waiting []*asker[K, V]
	looking bool
	next    time.Time // no look begins before
}

// answer is what a look says about one thing.
type answer[V any] struct {
	value V
	err   error
}

// asker is a caller who waits.
type asker[K comparable, V any] struct {
	ctx  context.Context
	key  K
	told chan answer[V] // has room for the one answer
}

// get is the answer for a key, or the context's error when that ends first.
func (j *joint[K, V]) get(ctx context.Context, key K) (V, error) {
	a := &asker[K, V]{ctx: ctx, key: key, told: make(chan answer[V], 1)}
	j.mu.Lock()
	j.waiting = append(j.waiting, a)
	if !j.looking {
		j.looking = true
		go j.serve()
	}
	j.mu.Unlock()
	select {
	case got := <-a.told:
		return got.value, got.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// serve looks until nobody waits any more.
func (j *joint[K, V]) serve() {
	for {
		j.pause()
		group := j.take()
		if len(group) == 0 {
			return
		}
		began, done := j.now(), make(chan struct{})
		go func() {
			defer close(done)
			j.tell(group)
		}()
		late := time.NewTimer(overdue)
		select {
		case <-done:
		case <-late.C:
		}
		late.Stop()
		took := j.now().Sub(began)
		j.mu.Lock()
		j.next = j.now().Add(min(time.Duration(j.rest)*took, longestRest))
		j.mu.Unlock()
	}
}

// pause waits until the next look may begin.
func (j *joint[K, V]) pause() {
	j.mu.Lock()
	wait := j.next.Sub(j.now())
	idle := len(j.waiting) == 0
	j.mu.Unlock()
	if wait > 0 && !idle {
		time.Sleep(min(wait, longestRest))
	}
}

// take is all who wait and have not left. With none, the serving ends.
func (j *joint[K, V]) take() []*asker[K, V] {
	j.mu.Lock()
	defer j.mu.Unlock()
	group := slices.DeleteFunc(j.waiting, func(a *asker[K, V]) bool { return a.ctx.Err() != nil })
	j.waiting = nil
	j.looking = len(group) > 0
	return group
}

// tell looks once and answers a group.
func (j *joint[K, V]) tell(group []*asker[K, V]) {
	var wanted []K
	members := make([]context.Context, len(group))
	for i, a := range group {
		members[i] = a.ctx
		if !slices.Contains(wanted, a.key) {
			wanted = append(wanted, a.key)
		}
	}
	ctx, leave := together(members)
	defer leave()
	got := j.look(ctx, wanted)
	for _, a := range group {
		a.told <- got[a.key]
	}
}

// together is a context for what several want: it has the highest of their
// priorities and the latest of their deadlines, and ends when all of theirs have.
func together(members []context.Context) (context.Context, context.CancelFunc) {
	if len(members) == 1 {
		return context.WithCancel(members[0])
	}
	first, latest, bounded := provider.Priorities, time.Time{}, true
	for _, m := range members {
		first = min(first, provider.PriorityOf(m))
		end, ok := m.Deadline()
		bounded = bounded && ok
		if end.After(latest) {
			latest = end
		}
	}
	ctx := provider.WithPriority(context.WithoutCancel(members[0]), first)
	ctx, cancel := context.WithCancel(ctx)
	release := func() {}
	if bounded {
		ctx, release = context.WithDeadline(ctx, latest)
	}
	left := atomic.Int64{}
	left.Store(int64(len(members)))
	stops := make([]func() bool, len(members))
	for i, m := range members {
		stops[i] = context.AfterFunc(m, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		release()
		cancel()
	}
}
