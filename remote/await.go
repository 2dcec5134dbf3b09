package remote

import (
	"context"
	"sync"
	"time"
)

const (
	// knockGap is the time between two knocks at a port that is not open yet.
	knockGap = 100 * time.Millisecond

	// knockTime bounds one knock. Knocks overlap: one that a starting machine
	// swallowed would be sent again by the system only after a second or more.
	knockTime = time.Second

	// The pauses after a port was open and SSH failed all the same; each is
	// twice the last. Servers punish who comes too often without logging in.
	firstRest   = 100 * time.Millisecond
	longestRest = 5 * time.Second
)

// Await is Ready for a server that is about to start: it knocks at its port at
// short intervals until that is open, and then logs in and runs a command. It
// returns nil once that succeeds; when ctx ends, the last error. A knock is one
// TCP connection, so many servers can be awaited at once.
func (p *Pool) Await(ctx context.Context, t Target) error {
	for rest := firstRest; ; rest = min(2*rest, longestRest) {
		if err := p.knock(ctx, t.Addr.String()); err != nil {
			return err
		}
		err := p.Ready(ctx, t)
		if err == nil {
			return nil
		}
		pause := time.NewTimer(rest)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-p.life.Done():
			pause.Stop()
			return errClosed()
		}
	}
}

// knock waits until something accepts connections at an address.
func (p *Pool) knock(ctx context.Context, addr string) error {
	var knocks sync.WaitGroup
	defer knocks.Wait()
	knocking, stop := context.WithCancel(ctx)
	defer stop()
	open := make(chan struct{}, 1)
	gap := time.NewTicker(knockGap)
	defer gap.Stop()
	for {
		knocks.Go(func() {
			if p.opens(knocking, addr) {
				select {
				case open <- struct{}{}:
				default: // another knock has told
				}
			}
		})
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return stopped(ctx, "waiting for "+addr+" to open")
		case <-p.life.Done():
			return errClosed()
		case <-gap.C:
		}
	}
}

// opens tells whether an address accepts a connection now.
func (p *Pool) opens(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, knockTime)
	defer cancel()
	conn, err := p.options.Dial(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
