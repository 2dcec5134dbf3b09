// Package control carries messages between a host and the PID 1 of one of its droplets.
//
// The guest's side may be taken over by whoever is root in the droplet. Messages to the host are therefore small, and
// never carry a descriptor; and the descriptors that the host sends are ends of unix socket pairs, which give no access
// to the host's network.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// MaxSize is the largest message in bytes. The first one, with user data in base64 and keys, needs the most.
const MaxSize = 192 << 10

// MaxReport is the largest message that a host accepts from a droplet.
const MaxReport = 1 << 10

const sendTimeout = 5 * time.Second

// Op is what a message is about.
type Op string

// From the host: Boot is first and carries the configuration; Connect brings a connection to a port; Stop asks to halt.
// From the guest: Ready or Failed answer Boot; Listen and Unlisten name ports that can be reached from now on, or not.
const (
	Boot     Op = "boot"
	Connect  Op = "connect"
	Stop     Op = "stop"
	Ready    Op = "ready"
	Failed   Op = "failed"
	Listen   Op = "listen"
	Unlisten Op = "unlisten"
)

// Message is one datagram.
type Message struct {
	Op     Op              `json:"op"`
	Port   int             `json:"port,omitempty"`
	Remote netip.AddrPort  `json:"remote,omitzero"` // Connect: the client's address
	Local  netip.AddrPort  `json:"local,omitzero"`  // Connect: the address that the client connected to
	Step   string          `json:"step,omitempty"`  // Failed: the step of the boot
	Error  string          `json:"error,omitempty"` // Failed: why; Ready: what the droplet goes without
	Errno  int             `json:"errno,omitempty"` // Failed: the system error, if it was one
	Config json.RawMessage `json:"config,omitempty"`
}

// Conn is one end. Sends may be concurrent; there is one receiver.
type Conn struct{ c *net.UnixConn }

// Pair returns the host's end, and the guest's as a file to inherit.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	guest := os.NewFile(uintptr(fds[1]), "control")
	host, err := Open(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		return nil, nil, errors.Join(err, guest.Close())
	}
	return host, guest, nil
}

// Open takes over an inherited end, and closes the file.
func Open(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("control socket: got a %T", c), c.Close())
	}
	return &Conn{u}, nil
}

// Send sends a message, with a descriptor unless f is nil. It gives up after five seconds, since the other end may not
// be reading.
func (c *Conn) Send(m Message, f *os.File) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) > MaxSize {
		return fmt.Errorf("control message of %d bytes, at most %d fit", len(b), MaxSize)
	}
	var rights []byte
	if f != nil {
		rights = unix.UnixRights(int(f.Fd()))
	}
	if err := c.c.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, _, err = c.c.WriteMsgUnix(b, rights, nil)
	return err
}

// Receive returns the next message and the descriptor that came with it, or io.EOF when the other end is gone. It is
// the guest's way to receive.
func (c *Conn) Receive() (Message, *os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	m, on, err := c.read(make([]byte, MaxSize), oob)
	f, ferr := descriptor(oob[:on])
	if err == nil {
		err = ferr
	}
	if err != nil && f != nil {
		f.Close()
		f = nil
	}
	return m, f, err
}

// Report returns the guest's next message, of at most [MaxReport] bytes. Descriptors that a guest sends are dropped by
// the kernel, since there is no room for them.
func (c *Conn) Report() (Message, error) {
	m, _, err := c.read(make([]byte, MaxReport), nil)
	return m, err
}

func (c *Conn) read(b, oob []byte) (m Message, on int, err error) {
	n, on, flags, _, err := c.c.ReadMsgUnix(b, oob)
	switch {
	case err != nil:
		return m, 0, err
	case n == 0:
		return m, on, io.EOF
	case flags&unix.MSG_TRUNC != 0:
		return m, on, fmt.Errorf("control message longer than %d bytes", len(b))
	}
	return m, on, json.Unmarshal(b[:n], &m)
}

// descriptor takes the one descriptor out of a control message.
func descriptor(oob []byte) (*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, err
	}
	for _, fd := range fds[1:] { // alignment leaves room for a second one
		unix.Close(fd)
	}
	return os.NewFile(uintptr(fds[0]), "passed"), nil
}

// SetDeadline bounds Receive and Report; the zero time lifts the bound.
func (c *Conn) SetDeadline(t time.Time) error { return c.c.SetReadDeadline(t) }

// Close closes this end. The other receives io.EOF.
func (c *Conn) Close() error { return c.c.Close() }
