// Package remote is Berth's hand on the servers: commands over SSH, files over
// SFTP. Every connection is pinned to the server's host key, pooled and kept
// alive; every output, file and wait is bounded; every error is an *Error with
// a Kind. On the server it needs a POSIX login shell, /bin/sh, env, and for
// background runs also setsid, grep, head and tail, as every Debian and Ubuntu
// has them.
package remote

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// PoolOptions bound a Pool. The zero value of each field means its default.
type PoolOptions struct {
	MaxIdle     time.Duration // an unused connection is closed after it; 5 minutes
	MaxConns    int           // connections in all; 256
	PerServer   int           // connections to one server; 4
	Sessions    int           // commands and transfers at once on one connection; 8 (sshd allows 10)
	DialTimeout time.Duration // for connecting and logging in, and for opening a session; 10 seconds
	KeepAlive   time.Duration // between two signs of life, and the patience for one; 20 seconds

	// Dial makes the TCP connections; nil means net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Log  *slog.Logger // nil discards
}

func (o PoolOptions) withDefaults() PoolOptions {
	o.MaxIdle = orDefault(o.MaxIdle, 5*time.Minute)
	o.MaxConns = orDefault(o.MaxConns, 256)
	o.PerServer = orDefault(o.PerServer, 4)
	o.Sessions = orDefault(o.Sessions, 8)
	o.DialTimeout = orDefault(o.DialTimeout, 10*time.Second)
	o.KeepAlive = orDefault(o.KeepAlive, 20*time.Second)
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value <= 0 {
		return fallback
	}
	return value
}

// Pool holds connections to servers and shares them between callers. It is
// safe for concurrent use. All its methods may wait for a free session; only
// their context bounds that wait.
type Pool struct {
	options PoolOptions
	life    context.Context // ends at Close
	end     context.CancelFunc
	work    sync.WaitGroup // dials and keepalives

	mu      sync.Mutex
	conns   map[identity][]*conn
	total   int
	changed chan struct{} // closed and replaced whenever a waiter may look again
}

// conn is one connection, from before it is dialled. Its fields after client
// and err are guarded by the pool's mutex.
type conn struct {
	key    identity
	ready  chan struct{} // closed once client or err is set
	client *ssh.Client
	err    error

	sessions int  // in use now
	limit    int  // at most
	served   bool // the server has granted a session
	gone     bool
	idle     *time.Timer
}

// NewPool makes a pool without connections.
func NewPool(options PoolOptions) *Pool {
	life, end := context.WithCancel(context.Background())
	return &Pool{
		options: options.withDefaults(),
		life:    life,
		end:     end,
		conns:   make(map[identity][]*conn),
		changed: make(chan struct{}),
	}
}

// Close closes every connection and waits until they are gone. What still runs
// through the pool, or comes later, fails; background runs live on.
func (p *Pool) Close() {
	p.end()
	p.forget(func(identity) bool { return true })
	p.work.Wait()
}

// Forget closes every connection to a server, because it was destroyed or
// rebuilt. What still runs over them fails with ConnectionLost.
func (p *Pool) Forget(id string) {
	p.forget(func(key identity) bool { return key.id == id })
}

func (p *Pool) forget(matches func(identity) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, conns := range p.conns {
		if !matches(key) {
			continue
		}
		for _, c := range append([]*conn(nil), conns...) {
			p.remove(c)
		}
	}
}

// acquire takes one session on a connection that is up. It reports whether the
// connection was made for this call, or had been lying in the pool and may
// have died there unnoticed.
func (p *Pool) acquire(ctx context.Context, t Target) (c *conn, fresh bool, err error) {
	key, err := t.identity()
	if err != nil {
		return nil, false, err
	}
	for {
		c, fresh, changed := p.reserve(key, t)
		if c == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, false, stopped(ctx, "waiting for a free session")
			case <-p.life.Done():
				return nil, false, errClosed()
			}
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			p.release(c)
			return nil, false, stopped(ctx, "connecting to "+t.Addr.String())
		}
		if c.err != nil {
			p.release(c)
			return nil, false, c.err
		}
		return c, fresh, nil
	}
}

// reserve takes a session of a connection with room, else starts a connection,
// else returns nil and what to wait for.
func (p *Pool) reserve(key identity, t Target) (c *conn, fresh bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return nil, false, p.changed
	}
	for _, c := range p.conns[key] {
		if c.sessions < c.limit {
			c.sessions++
			if c.idle != nil {
				c.idle.Stop()
			}
			return c, !isClosed(c.ready), nil
		}
	}
	if len(p.conns[key]) >= p.options.PerServer || !p.makeRoom() {
		return nil, false, p.changed
	}
	c = &conn{key: key, ready: make(chan struct{}), sessions: 1, limit: p.options.Sessions}
	p.conns[key] = append(p.conns[key], c)
	p.total++
	p.work.Go(func() { p.serve(c, t) })
	return c, true, nil
}

// makeRoom sees to it that one more connection is within MaxConns, at the
// price of an unused one.
func (p *Pool) makeRoom() bool {
	if p.total < p.options.MaxConns {
		return true
	}
	for _, conns := range p.conns {
		for _, c := range conns {
			if c.sessions == 0 {
				p.remove(c)
				return true
			}
		}
	}
	return false
}

// serve dials a connection and stays with it until it is closed.
func (p *Pool) serve(c *conn, t Target) {
	client, err := p.dial(t)
	p.mu.Lock()
	c.client, c.err = client, err
	if err == nil && c.gone { // forgotten meanwhile
		client.Close()
		c.err = fail(ConnectionLost, nil, "the server was forgotten while connecting to it")
	}
	if c.err != nil {
		p.remove(c)
	}
	close(c.ready)
	p.mu.Unlock()
	if c.err != nil {
		p.options.Log.Debug("no connection", "server", t.ID, "addr", t.Addr, "err", c.err)
		return
	}
	p.options.Log.Debug("connected", "server", t.ID, "addr", t.Addr)
	closed := make(chan struct{})
	p.work.Go(func() { keepAlive(client, p.options.KeepAlive, closed) })
	err = client.Wait()
	close(closed)
	p.drop(c)
	p.options.Log.Debug("disconnected", "server", t.ID, "addr", t.Addr, "err", err)
}

// release gives a session back. A connection that nobody uses any more is
// closed after MaxIdle.
func (p *Pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions--
	if c.sessions == 0 && !c.gone {
		c.idle = time.AfterFunc(p.options.MaxIdle, func() { p.expire(c) })
	}
	p.wake()
}

func (p *Pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.sessions == 0 {
		p.remove(c)
	}
}

// squeeze takes one session more than the limit allows.
func (p *Pool) squeeze(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions++
}

// granted notes that the server lets us have sessions on c.
func (p *Pool) granted(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.served = true
}

// full notes that the server refused one more session on c, which the caller
// has given back: from now on c has as many as there are. It reports whether
// another try makes sense. If none is left, the server may still be counting
// those that just ended, and a new connection starts from zero.
func (p *Pool) full(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.limit = max(1, min(c.limit, c.sessions))
	if c.sessions == 0 {
		p.remove(c)
	}
	return c.sessions > 0 || c.served
}

// drop takes a broken connection out of the pool.
func (p *Pool) drop(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(c)
}

// remove closes a connection and forgets it; the mutex is held. It is
// harmless to do twice.
func (p *Pool) remove(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	if c.idle != nil {
		c.idle.Stop()
	}
	if c.client != nil {
		// In its own goroutine: closing may have to wait for a blocked write.
		p.work.Go(func() { c.client.Close() })
	}
	rest := p.conns[c.key][:0:0]
	for _, other := range p.conns[c.key] {
		if other != c {
			rest = append(rest, other)
		}
	}
	if p.conns[c.key] = rest; len(rest) == 0 {
		delete(p.conns, c.key)
	}
	p.total--
	p.wake()
}

// wake lets every waiter look again; the mutex is held.
func (p *Pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func errClosed() *Error {
	return fail(Canceled, net.ErrClosed, "the pool is closed")
}
