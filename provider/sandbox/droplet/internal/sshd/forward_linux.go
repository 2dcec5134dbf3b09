package sshd

import (
	"errors"
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
	defer c.Close()
	ch, requests, err := nc.Accept()
	if err != nil {
		return // the connection is gone
	}
	go ssh.DiscardRequests(requests)
	join(ch, c)
}

// join copies both ways until both directions have ended or the connection is broken, and closes both.
func join(ch ssh.Channel, c net.Conn) {
	defer ch.Close()
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(c, ch)
		done <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}()
	if _, err := io.Copy(ch, c); err == nil && ch.CloseWrite() == nil {
		<-done
	}
}
