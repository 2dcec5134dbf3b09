package sshd

import (
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

const dialTimeout = 10 * time.Second

// forward connects a channel to an address as seen from inside the droplet.
func forward(nc ssh.NewChannel) {
	var target struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &target); err != nil {
		nc.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	connect(nc, "tcp", net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port))))
}

// forwardUnix connects a channel to a unix socket. This server may open any, so only root, who may too, gets that.
func forwardUnix(nc ssh.NewChannel, a account) {
	var target struct {
		Path     string
		Reserved string
		Unused   uint32
	}
	switch err := ssh.Unmarshal(nc.ExtraData(), &target); {
	case err != nil:
		nc.Reject(ssh.ConnectionFailed, "malformed request")
	case a.uid != 0:
		nc.Reject(ssh.Prohibited, "unix sockets are forwarded for root only")
	default:
		connect(nc, "unix", target.Path)
	}
}

func connect(nc ssh.NewChannel, network, addr string) {
	c, err := net.DialTimeout(network, addr, dialTimeout)
	if err != nil {
		nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		c.Close()
		return // the connection is gone
	}
	join(ch, requests, c.(stream)) // as TCP and unix connections are
}

// stream is a connection whose two directions end apart.
type stream interface {
	net.Conn
	CloseWrite() error
}

// join copies both ways until both directions have ended or the client closes the channel, and closes both. What the
// client sent before it closed still arrives.
func join(ch ssh.Channel, requests <-chan *ssh.Request, c stream) {
	defer ch.Close()
	defer c.Close()
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		_, err := io.Copy(c, ch)
		if err != nil || c.CloseWrite() != nil {
			c.Close()
		}
	}()
	go func() {
		ssh.DiscardRequests(requests) // until the channel is closed
		<-arrived
		c.Close()
	}()
	io.Copy(ch, c)      // an error is an end as well: the other side hears of it the same way
	_ = ch.CloseWrite() // fails when the client has closed the channel
	<-arrived
}
