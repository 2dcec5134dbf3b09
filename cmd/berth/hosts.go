package main

import (
	"context"
	"io"
	"sync"
	"time"

	"berth"
	"berth/fleet"
)

// hosts are the agent hosts connected over the local socket.
type hosts struct {
	now  berth.Clock
	mu   sync.Mutex
	open map[io.Closer]struct{}
	last time.Time // when one last came or went
}

func newHosts(now berth.Clock) *hosts {
	return &hosts{now: now, open: map[io.Closer]struct{}{}, last: now()}
}

func (h *hosts) add(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[c], h.last = struct{}{}, h.now()
}

func (h *hosts) remove(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
	h.last = h.now()
}

func (h *hosts) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.open)
}

// quietFor is how long nobody has been connected; zero while somebody is.
func (h *hosts) quietFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.open) > 0 {
		return 0
	}
	return h.now().Sub(h.last)
}

// touch tells that somebody used the node without staying connected.
func (h *hosts) touch() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = h.now()
}

func (h *hosts) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.open {
		c.Close() // the connection is given up: what its close says is of no use
	}
}

// How long a detached process stays with nobody connected. With the sandbox its
// servers are play and come back at the next start; with a real provider,
// leases must end on time, so it stays while anything lives.
const (
	sandboxLinger = 10 * time.Minute
	realLinger    = 30 * time.Second
	idleCheck     = 5 * time.Second
)

// idle is closed when a detached node has nothing left to do.
func (n *node) idle(ctx context.Context) <-chan struct{} {
	if !n.detached {
		return nil
	}
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(idleCheck)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-n.quitting.Done():
				return
			case <-tick.C:
				if n.over(ctx) {
					close(done)
					return
				}
			}
		}
	}()
	return done
}

func (n *node) over(ctx context.Context) bool {
	quiet := n.hosts.quietFor()
	if n.app.cloud != nil {
		return quiet > sandboxLinger
	}
	if quiet <= realLinger {
		return false
	}
	lives := true
	err := n.app.db.Fleet().Read(ctx, func(rx fleet.Rx) error {
		servers, err := rx.LiveServers(ctx, "", 1)
		if err != nil {
			return err
		}
		actions, err := rx.OpenActions(ctx, "", 1)
		lives = len(servers)+len(actions) > 0
		return err
	})
	return err == nil && !lives
}
