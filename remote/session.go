package remote

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"
)

// session is one SSH channel and the slot that it takes on its connection.
type session struct {
	ssh.Channel
	pool     *Pool
	conn     *conn
	requests <-chan *ssh.Request
}

// open takes a session on a server. A pooled connection that turns out dead is
// replaced, which is safe here: nothing has been asked of the server yet.
func (p *Pool) open(ctx context.Context, t Target) (*session, error) {
	for {
		c, fresh, err := p.acquire(ctx, t)
		if err != nil {
			return nil, err
		}
		channel, requests, err := c.openChannel(ctx, p.options.DialTimeout)
		if err == nil {
			p.granted(c)
			return &session{channel, p, c, requests}, nil
		}
		p.release(c)
		var refused *ssh.OpenChannelError
		switch {
		case ctx.Err() != nil:
			return nil, stopped(ctx, "opening a session")
		case errors.As(err, &refused):
			if !p.full(c) {
				return nil, fail(Failed, err, "the server refuses sessions")
			}
		default:
			p.drop(c)
			if fresh {
				return nil, fail(ConnectionLost, err, "the connection ended while opening a session")
			}
		}
	}
}

// openChannel asks for a session channel and waits for the answer at most
// patience. An answer that comes too late is closed again.
func (c *conn) openChannel(ctx context.Context, patience time.Duration) (ssh.Channel, <-chan *ssh.Request, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type answer struct {
		channel  ssh.Channel
		requests <-chan *ssh.Request
		err      error
	}
	answers := make(chan answer)
	go func() {
		channel, requests, err := c.client.OpenChannel("session", nil)
		select {
		case answers <- answer{channel, requests, err}:
		case <-ctx.Done():
			if err == nil {
				channel.Close()
				ssh.DiscardRequests(requests)
			}
		}
	}()
	select {
	case a := <-answers:
		return a.channel, a.requests, a.err
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

// request sends a channel request and waits for the server's consent.
func (s *session) request(ctx context.Context, name, argument string) error {
	type answer struct {
		ok  bool
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		ok, err := s.SendRequest(name, true, ssh.Marshal(struct{ Argument string }{argument}))
		answers <- answer{ok, err}
	}()
	select {
	case a := <-answers:
		switch {
		case a.err != nil:
			return fail(ConnectionLost, a.err, "the connection ended while asking for %s", name)
		case !a.ok:
			return fail(Failed, nil, "the server refuses %s", name)
		}
		return nil
	case <-ctx.Done():
		return stopped(ctx, "asking for "+name)
	}
}

// close ends the channel and gives the slot back. It does not wait, because a
// dead connection takes the farewell only once keepAlive has given it up.
func (s *session) close() {
	go func() {
		s.Channel.Close()
		s.pool.release(s.conn)
	}()
}
