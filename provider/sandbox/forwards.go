package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// forwards lead connections to the SSH port of reserved IPs to the droplets to
// which they are assigned.
type forwards struct {
	mu        sync.Mutex
	listeners map[netip.Addr]net.Listener
	closed    bool
	running   sync.WaitGroup
}

const (
	maxForwarded   = 64 // connections at a time to one reserved IP
	forwardTimeout = 5 * time.Second
)

// redirect opens what is assigned now, and closes what is not any more.
func (c *Cloud) redirect() {
	wanted := map[netip.Addr]bool{}
	c.mu.Lock()
	shells, port := c.started && c.report.Shells, c.machines.SSHPort()
	for _, ip := range c.state.ReservedIPs {
		if shells && c.state.holder(ip) != nil {
			wanted[ip.Addr] = true
		}
	}
	c.mu.Unlock()

	f := &c.forwards
	f.mu.Lock()
	defer f.mu.Unlock()
	for addr, l := range f.listeners {
		if !wanted[addr] {
			delete(f.listeners, addr)
			l.Close()
		}
	}
	for addr := range wanted {
		if f.closed || f.listeners[addr] != nil {
			continue
		}
		l, err := net.Listen("tcp4", netip.AddrPortFrom(addr, uint16(port)).String())
		if err != nil {
			c.log.Warn("a reserved IP can't be reached", "address", addr, "error", err)
			continue
		}
		if f.listeners == nil {
			f.listeners = map[netip.Addr]net.Listener{}
		}
		f.listeners[addr] = l
		f.running.Go(func() { c.accept(l, addr, port) })
	}
}

// accept serves one reserved IP until its listener closes.
func (c *Cloud) accept(l net.Listener, addr netip.Addr, port int) {
	places := make(chan struct{}, maxForwarded)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			c.log.Warn("can't accept at a reserved IP", "address", addr, "error", err)
			if !c.pause(time.Second) {
				return
			}
			continue
		}
		select {
		case places <- struct{}{}:
			c.forwards.running.Go(func() {
				defer func() { <-places }()
				c.forward(conn, addr, port)
			})
		default:
			conn.Close()
		}
	}
}

// forward carries one connection until it ends, or the cloud closes.
func (c *Cloud) forward(from net.Conn, addr netip.Addr, port int) {
	defer from.Close()
	c.mu.Lock()
	var d *dropletRow
	if ip := c.state.ReservedIPs[addr.String()]; ip != nil {
		d = c.state.holder(ip)
	}
	var target string
	if d != nil {
		target = netip.AddrPortFrom(d.Addr, uint16(port)).String()
	}
	c.mu.Unlock()
	if target == "" {
		return
	}
	dialer := net.Dialer{Timeout: forwardTimeout}
	to, err := dialer.DialContext(c.ctx, "tcp4", target)
	if err != nil {
		c.log.Debug("a droplet does not answer at its reserved IP", "address", addr, "error", err)
		return
	}
	defer to.Close()
	join(c, from.(*net.TCPConn), to.(*net.TCPConn))
}

// join copies both ways, passes on who has said all, and returns when both have.
func join(c *Cloud, a, b *net.TCPConn) {
	stop := context.AfterFunc(c.ctx, func() {
		a.Close()
		b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	pipe := func(to, from *net.TCPConn) {
		_, err := io.Copy(to, from)
		if err != nil || to.CloseWrite() != nil {
			a.Close()
			b.Close()
		}
	}
	both.Go(func() { pipe(a, b) })
	both.Go(func() { pipe(b, a) })
	both.Wait()
}

func (f *forwards) close() {
	f.mu.Lock()
	f.closed = true
	for _, l := range f.listeners {
		l.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}
