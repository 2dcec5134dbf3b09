package digitalocean

import (
	"context"
	"sync"
	"time"

	"berth"
)

// settleTime is how long after a create DigitalOcean's lists may still lack
// the droplet. No second create is sent for a tag within it.
const settleTime = 2 * time.Minute

// creates remembers the creates that this process sent lately, by tag, and
// lets one at a time go on for a tag.
type creates struct {
	now berth.Clock

	mu  sync.Mutex
	all map[string]*attempt
}

// attempt is the last create for a tag. Its fields but turn are guarded by
// creates.mu.
type attempt struct {
	turn  chan struct{} // holds the token of whoever is at it
	users int           // who is at it or waits
	id    int           // the droplet that DigitalOcean said it makes, or 0
	sent  time.Time     // when, or zero
}

// enter waits for its turn with a tag. The caller calls leave in the end.
func (c *creates) enter(ctx context.Context, tag string) (a *attempt, leave func(), err error) {
	c.mu.Lock()
	if c.all == nil {
		c.all = map[string]*attempt{}
	}
	c.forgetOld()
	if a = c.all[tag]; a == nil {
		a = &attempt{turn: make(chan struct{}, 1)}
		c.all[tag] = a
	}
	a.users++
	c.mu.Unlock()

	done := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if a.users--; a.users == 0 && a.sent.IsZero() {
			delete(c.all, tag)
		}
	}
	select {
	case a.turn <- struct{}{}:
		return a, func() { <-a.turn; done() }, nil
	case <-ctx.Done():
		done()
		return nil, nil, ctx.Err()
	}
}

// forgetOld drops what is settled. The caller holds c.mu.
func (c *creates) forgetOld() {
	for tag, a := range c.all {
		if a.users == 0 && c.now().Sub(a.sent) >= settleTime {
			delete(c.all, tag)
		}
	}
}

// note records that a create was sent, and the droplet's id once it is known.
func (c *creates) note(a *attempt, id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.id, a.sent = id, c.now()
}

// clear records that nothing came of a create.
func (c *creates) clear(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.id, a.sent = 0, time.Time{}
}

// recent tells whether a create was sent too lately for the lists to be
// trusted, and the droplet's id or 0.
func (c *creates) recent(a *attempt) (id int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return a.id, !a.sent.IsZero() && c.now().Sub(a.sent) < settleTime
}

// deleted records that a droplet was deleted on purpose: its tag is free.
func (c *creates) deleted(id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.all {
		if a.id == id {
			a.id, a.sent = 0, time.Time{}
		}
	}
}
