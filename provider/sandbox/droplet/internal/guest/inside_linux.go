package guest

import (
	"errors"
	"net"
	"strconv"
)

const (
	// insidePort is where SSH is served to those who are in the droplet already, as to one who jumps through it. From
	// outside the host brings connections, at this port or another.
	insidePort           = 22
	maxInsideConnections = 64
)

// serveInside serves SSH on all addresses of the droplet's own network, unless something else in it does.
func (s *supervisor) serveInside() {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(insidePort))
	if err != nil {
		s.log.Warn("no SSH inside", "error", err)
		return
	}
	free := make(chan struct{}, maxInsideConnections)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("SSH inside", "error", err)
			continue
		}
		select {
		case free <- struct{}{}:
			go func() {
				defer func() { <-free }()
				s.login(c)
			}()
		default:
			c.Close()
		}
	}
}

// login serves one SSH connection.
func (s *supervisor) login(c net.Conn) {
	if err := s.server.Serve(c); err != nil {
		s.log.Info("login failed", "remote", c.RemoteAddr(), "error", err)
	}
}
