package sshd

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

const (
	maxTunnels     = 32   // listeners that one connection may ask for
	firstFreePort  = 1024 // below, only root may listen
	maxForwardAddr = 256  // bytes of an address to listen at
)

// tunnels are what one connection listens at in the droplet for its client, until it ends (RFC 4254, section 7.1, and
// the same for unix sockets in OpenSSH's PROTOCOL, section 2.4).
type tunnels struct {
	server  *Server
	conn    ssh.Conn
	account account
	free    chan struct{} // room for connections that are being carried

	mu        sync.Mutex
	closed    bool
	listeners map[string]net.Listener // by what the client called it
}

func newTunnels(s *Server, conn ssh.Conn, a account) *tunnels {
	return &tunnels{
		server: s, conn: conn, account: a, free: make(chan struct{}, maxChannels), listeners: map[string]net.Listener{},
	}
}

// serve answers a connection's global requests until it ends: yes to keepalives, and what tunnels need.
func (t *tunnels) serve(requests <-chan *ssh.Request) {
	for r := range requests {
		var answer []byte
		var err error
		switch r.Type {
		case "tcpip-forward":
			answer, err = t.listenTCP(r.Payload)
		case "cancel-tcpip-forward":
			err = t.cancelTCP(r.Payload)
		case "streamlocal-forward@openssh.com":
			err = t.listenUnix(r.Payload)
		case "cancel-streamlocal-forward@openssh.com":
			err = t.cancelUnix(r.Payload)
		default:
			if !strings.HasPrefix(r.Type, "keepalive@") {
				err = fmt.Errorf("request %q is not known", r.Type)
			}
		}
		if r.WantReply {
			r.Reply(err == nil, answer)
		}
	}
}

// tcpAddress is what a client calls a listener.
type tcpAddress struct {
	Host string
	Port uint32
}

func (a tcpAddress) key() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// listenTCP opens a port; one that is asked for as 0 is chosen, and told in the answer.
func (t *tunnels) listenTCP(payload []byte) (answer []byte, err error) {
	var a tcpAddress
	if err := ssh.Unmarshal(payload, &a); err != nil {
		return nil, err
	}
	if len(a.Host) > maxForwardAddr || a.Port > 65535 || a.Port > 0 && a.Port < firstFreePort && t.account.uid != 0 {
		return nil, errors.New("this address may not be listened at")
	}
	l, err := net.Listen("tcp", net.JoinHostPort(t.bindHost(a.Host), strconv.Itoa(int(a.Port))))
	if err != nil {
		return nil, err
	}
	if a.Port == 0 {
		a.Port = uint32(l.Addr().(*net.TCPAddr).Port)
		answer = ssh.Marshal(struct{ Port uint32 }{a.Port})
	}
	return answer, t.keep(a.key(), l, "forwarded-tcpip", func(c net.Conn) []byte {
		from := c.RemoteAddr().(*net.TCPAddr)
		return ssh.Marshal(struct {
			Host       string
			Port       uint32
			OriginHost string
			OriginPort uint32
		}{a.Host, a.Port, from.IP.String(), uint32(from.Port)})
	})
}

// bindHost is where OpenSSH's server would listen: on the loopback interface, unless its settings say otherwise.
func (t *tunnels) bindHost(asked string) string {
	switch t.server.setting("GatewayPorts", "no") {
	case "yes":
		return ""
	case "clientspecified":
		if asked == "*" {
			return ""
		}
		return asked
	}
	return "127.0.0.1"
}

func (t *tunnels) cancelTCP(payload []byte) error {
	var a tcpAddress
	if err := ssh.Unmarshal(payload, &a); err != nil {
		return err
	}
	return t.cancel(a.key())
}

// listenUnix makes a unix socket. As with [forwardUnix], only root gets one.
func (t *tunnels) listenUnix(payload []byte) error {
	var a struct{ Path string }
	if err := ssh.Unmarshal(payload, &a); err != nil {
		return err
	}
	if t.account.uid != 0 {
		return errors.New("unix sockets are forwarded for root only")
	}
	l, err := net.Listen("unix", a.Path)
	if err != nil {
		return err
	}
	return t.keep(a.Path, l, "forwarded-streamlocal@openssh.com", func(net.Conn) []byte {
		return ssh.Marshal(struct{ Path, Reserved string }{a.Path, ""})
	})
}

func (t *tunnels) cancelUnix(payload []byte) error {
	var a struct{ Path string }
	if err := ssh.Unmarshal(payload, &a); err != nil {
		return err
	}
	return t.cancel(a.Path)
}

// keep serves a listener: each connection becomes a channel of a kind, described by extra.
func (t *tunnels) keep(key string, l net.Listener, kind string, extra func(net.Conn) []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.listeners) >= maxTunnels || t.listeners[key] != nil {
		return errors.Join(fmt.Errorf("%s can't be listened at: twice, or more than %d in one connection", key, maxTunnels), l.Close())
	}
	t.listeners[key] = l
	go t.accept(l, kind, extra)
	return nil
}

// accept ends with the listener. Out of descriptors, it gives up too: the client sees refused connections.
func (t *tunnels) accept(l net.Listener, kind string, extra func(net.Conn) []byte) {
	defer l.Close()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case t.free <- struct{}{}:
			go func() {
				defer func() { <-t.free }()
				t.carry(c, kind, extra(c))
			}()
		default:
			c.Close()
		}
	}
}

func (t *tunnels) carry(c net.Conn, kind string, extra []byte) {
	ch, requests, err := t.conn.OpenChannel(kind, extra)
	if err != nil {
		c.Close() // the client doesn't want it, or is gone
		return
	}
	join(ch, requests, c.(stream))
}

func (t *tunnels) cancel(key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.listeners[key]
	if l == nil {
		return fmt.Errorf("nothing listens at %s", key)
	}
	delete(t.listeners, key)
	return l.Close()
}

// close ends all listeners; the connections end with the SSH connection.
func (t *tunnels) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, l := range t.listeners {
		l.Close()
	}
}
