package remotetest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// pipe is a connection in memory. Unlike net.Pipe's, its writes don't wait for
// a reader: both ends of SSH begin by writing.
func pipe() (client, server net.Conn) {
	there, back := newStream(), newStream()
	return &conn{in: back, out: there}, &conn{in: there, out: back}
}

// stream is one direction of a connection.
type stream struct {
	mu     sync.Mutex
	grew   sync.Cond
	bytes  bytes.Buffer
	closed bool
}

func newStream() *stream {
	s := &stream{}
	s.grew.L = &s.mu
	return s
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.grew.Broadcast()
}

// conn is one end of a connection.
type conn struct{ in, out *stream }

func (c *conn) Read(b []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for c.in.bytes.Len() == 0 && !c.in.closed {
		c.in.grew.Wait()
	}
	if c.in.bytes.Len() == 0 {
		return 0, io.EOF
	}
	return c.in.bytes.Read(b)
}

func (c *conn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.closed {
		return 0, net.ErrClosed
	}
	c.out.grew.Broadcast()
	return c.out.bytes.Write(b)
}

func (c *conn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

// address is where a connection in memory is said to lead.
var address = &net.TCPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 22}

func (*conn) LocalAddr() net.Addr  { return address }
func (*conn) RemoteAddr() net.Addr { return address }

var errNoDeadlines = errors.New("connections in memory have no deadlines")

func (*conn) SetDeadline(time.Time) error      { return errNoDeadlines }
func (*conn) SetReadDeadline(time.Time) error  { return errNoDeadlines }
func (*conn) SetWriteDeadline(time.Time) error { return errNoDeadlines }
