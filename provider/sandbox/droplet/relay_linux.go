package droplet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/control"
)

const (
	maxPorts       = 256
	maxConnections = 256 // at a time to one port, so that no service keeps SSH from being reached
	// unprivilegedShift is added to ports below 1024 where this process may not bind them.
	unprivilegedShift = 8000
	acceptPause       = 50 * time.Millisecond
)

// relay brings connections to a droplet's address into the droplet. Each becomes a pair of unix sockets, one end of
// which the droplet gets: a socket of the host's network would let it connect to whatever listens on the host.
type relay struct {
	addr netip.Addr
	send func(control.Message, *os.File) error
	log  *slog.Logger
	// admit is a firewall: whether a connection to a port may come in. Nil lets in all.
	admit func(port int, from netip.Addr) bool

	mu        sync.Mutex
	listeners map[int]net.Listener // by the port inside
	conns     map[net.Conn]bool
	open      map[int]int // connections by port
	closed    bool
	running   sync.WaitGroup
	done      chan struct{}
}

func newRelay(addr netip.Addr, send func(control.Message, *os.File) error, log *slog.Logger) *relay {
	return &relay{
		addr: addr, send: send, log: log,
		listeners: map[int]net.Listener{}, conns: map[net.Conn]bool{}, open: map[int]int{}, done: make(chan struct{}),
	}
}

// publish makes a port of the droplet reachable, as the droplet or its host asks.
func (r *relay) publish(port int) error {
	if port < 1 || port > 65535 {
		return fmt.Errorf("there is no port %d", port)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.listeners[port] != nil {
		return nil
	}
	if len(r.listeners) >= maxPorts {
		return fmt.Errorf("port %d: %d are open already", port, maxPorts)
	}
	l, err := listenTCP(r.addr, port)
	if errors.Is(err, unix.EACCES) && port < 1024 {
		l, err = listenTCP(r.addr, port+unprivilegedShift)
	}
	if err != nil {
		return err
	}
	r.listeners[port] = l
	r.log.Debug("port is open", "port", port, "address", l.Addr())
	r.running.Go(func() { r.accept(l, port) })
	return nil
}

func listenTCP(addr netip.Addr, port int) (net.Listener, error) {
	return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, uint16(port))))
}

func (r *relay) unpublish(port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.listeners[port]; l != nil {
		delete(r.listeners, port)
		l.Close()
	}
}

func (r *relay) accept(l net.Listener, port int) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors, say
			r.log.Warn("can't accept", "port", port, "error", err)
			select {
			case <-r.done:
				return
			case <-time.After(acceptPause):
			}
		default:
			r.running.Go(func() { r.forward(c, port) })
		}
	}
}

// forward carries one connection until it ends.
func (r *relay) forward(c net.Conn, port int) {
	defer c.Close()
	if r.admit != nil && !r.admit(port, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()) {
		return
	}
	inside, outside, err := socketPair()
	if err != nil {
		r.log.Warn("can't forward", "port", port, "error", err)
		return
	}
	defer outside.Close()
	defer inside.Close()
	if !r.keep(port, c, outside) {
		return
	}
	defer r.drop(port, c, outside)
	err = r.send(control.Message{
		Op: control.Connect, Port: port,
		Remote: c.RemoteAddr().(*net.TCPAddr).AddrPort(), Local: c.LocalAddr().(*net.TCPAddr).AddrPort(),
	}, inside)
	inside.Close()
	if err == nil {
		control.Proxy(c, outside)
	}
}

// keep registers a connection to be closed with the droplet; it refuses when there are too many.
func (r *relay) keep(port int, conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.open[port] >= maxConnections {
		return false
	}
	r.open[port]++
	for _, c := range conns {
		r.conns[c] = true
	}
	return true
}

func (r *relay) drop(port int, conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[port]--; r.open[port] == 0 {
		delete(r.open, port)
	}
	for _, c := range conns {
		delete(r.conns, c)
	}
}

// socketPair returns two connected ends, the first to pass on.
func socketPair() (*os.File, net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	inside, outside := os.NewFile(uintptr(fds[0]), "inside"), os.NewFile(uintptr(fds[1]), "outside")
	defer outside.Close()
	c, err := net.FileConn(outside)
	if err != nil {
		return nil, nil, errors.Join(err, inside.Close())
	}
	return inside, c, nil
}

// close ends all listeners and connections and waits for them.
func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	close(r.done)
	for _, l := range r.listeners {
		l.Close()
	}
	for c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}
