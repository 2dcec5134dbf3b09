package digitalocean

import (
	"context"
	"sync"

	"github.com/digitalocean/godo"
)

// lookPages bounds the pages that one look reads; what is on none of them is
// asked for singly.
const lookPages = 5

// restOfLooks is how much longer the pause after a look at work is than the
// look: looks at hundreds of works take a quarter of the time, and a small part
// of the token's limit.
const restOfLooks = 3

// bulk is how things of a kind are read by their ids.
type bulk[V any] struct {
	one  func(ctx context.Context, id int) (V, error)
	page func(ctx context.Context, n int) (found []V, last bool, err error) // n counts from 1
	id   func(V) int
}

// look reads what is wanted with as few requests as it can: one thing by its
// id, several from the pages of the list, as long as each page answers for at
// least one of them and more than one is missing. What the list lacks is read
// by its id: only that answer says for certain that there is no such thing.
func (b bulk[V]) look(ctx context.Context, wanted []int) map[int]answer[V] {
	missing := make(map[int]bool, len(wanted))
	for _, id := range wanted {
		missing[id] = true
	}
	got := make(map[int]answer[V], len(wanted))
	for n := 1; n <= lookPages && len(missing) > 1; n++ {
		found, last, err := b.page(ctx, n)
		if err != nil {
			for id := range missing {
				got[id] = answer[V]{err: err}
			}
			return got
		}
		before := len(missing)
		for _, v := range found {
			if id := b.id(v); missing[id] {
				got[id] = answer[V]{value: v}
				delete(missing, id)
			}
		}
		if last || len(missing) == before {
			break
		}
	}
	b.singly(ctx, missing, got)
	return got
}

// singly reads each of the missing by its id, all at once: they wait for their
// turns in the budget.
func (b bulk[V]) singly(ctx context.Context, missing map[int]bool, got map[int]answer[V]) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for id := range missing {
		all.Go(func() {
			v, err := b.one(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			got[id] = answer[V]{v, err}
		})
	}
	all.Wait()
}

// newActionLooks is how actions are looked at: DigitalOcean lists the newest
// first, so that those under way are on the first pages.
func (p *Provider) newActionLooks() *joint[int, *godo.Action] {
	b := bulk[*godo.Action]{
		one: p.action,
		page: func(ctx context.Context, n int) ([]*godo.Action, bool, error) {
			return onePage(ctx, p, "list actions", n, p.client.Actions.List)
		},
		id: func(a *godo.Action) int { return a.ID },
	}
	return &joint[int, *godo.Action]{now: p.now, look: b.look, rest: restOfLooks}
}

// newDropletLooks is how droplets that are to go off are looked at.
func (p *Provider) newDropletLooks() *joint[int, *godo.Droplet] {
	b := bulk[*godo.Droplet]{
		one: p.dropletByID,
		page: func(ctx context.Context, n int) ([]*godo.Droplet, bool, error) {
			return onePage(ctx, p, "list droplets", n, p.client.Droplets.List)
		},
		id: func(d *godo.Droplet) int { return d.ID },
	}
	return &joint[int, *godo.Droplet]{now: p.now, look: b.look, rest: restOfLooks}
}

// newSnapshotLooks is how the account's snapshots are listed: all of them, for
// all who want to see them.
func (p *Provider) newSnapshotLooks() *joint[struct{}, []godo.Snapshot] {
	return &joint[struct{}, []godo.Snapshot]{now: p.now, look: func(ctx context.Context, _ []struct{}) map[struct{}]answer[[]godo.Snapshot] {
		all, err := pages(ctx, p, "list snapshots", p.client.Snapshots.ListDroplet)
		return map[struct{}]answer[[]godo.Snapshot]{{}: {all, err}}
	}}
}

// onePage reads one page of a list, and tells whether it is the last.
func onePage[T any](ctx context.Context, p *Provider, op string, n int, list lister[T]) (found []*T, last bool, err error) {
	items, last, err := page(ctx, p, op, n, list)
	for i := range items {
		found = append(found, &items[i])
	}
	return found, last, err
}
