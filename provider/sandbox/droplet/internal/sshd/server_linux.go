// Package sshd is a droplet's SSH server: logins by key and password against the files in /etc, shells with terminals,
// commands, SFTP, and forwarding of ports in both directions. Forwarding of agents and of X11 is refused.
package sshd

import (
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	loginGrace  = 30 * time.Second
	maxTries    = 6
	maxChannels = 64 // open at once in one connection
)

// Server serves connections; its fields must not change while it does.
type Server struct {
	Root string // where etc and home folders are: "/" in a droplet
	Keys []ssh.Signer
	// Start starts a command as a child of this process, says its id, and reports its end.
	Start func(*exec.Cmd) (pid int, ended <-chan syscall.WaitStatus, err error)
	// SFTP is the command, with its name as first word, that serves SFTP on its standard input and output.
	SFTP []string

	hashing sync.Mutex // one password at a time: its check may need as much memory as all the rest
}

// Serve serves one connection until it ends. The error says why nobody logged in.
func (s *Server) Serve(c net.Conn) error {
	defer c.Close()
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-Berth", MaxAuthTries: maxTries,
		PublicKeyCallback: s.byKey, PasswordCallback: s.byPassword,
	}
	for _, k := range s.Keys {
		config.AddHostKey(k)
	}
	if err := c.SetDeadline(time.Now().Add(loginGrace)); err != nil {
		return err
	}
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	a, err := s.account(conn.User())
	if err != nil {
		return err
	}
	tunnels := newTunnels(s, conn, a)
	defer tunnels.close()
	go tunnels.serve(requests)
	free := make(chan struct{}, maxChannels)
	for nc := range channels {
		select {
		case free <- struct{}{}:
			go func() {
				defer func() { <-free }()
				s.channel(conn, a, nc)
			}()
		default:
			nc.Reject(ssh.ResourceShortage, "too many channels in this connection")
		}
	}
	return nil
}

func (s *Server) channel(conn *ssh.ServerConn, a account, nc ssh.NewChannel) {
	switch nc.ChannelType() {
	case "session":
		ch, requests, err := nc.Accept()
		if err != nil {
			return // the connection is gone
		}
		newSession(s, conn, a, ch).serve(requests)
	case "direct-tcpip":
		forward(nc)
	case "direct-streamlocal@openssh.com":
		forwardUnix(nc, a)
	default:
		nc.Reject(ssh.UnknownChannelType, "not supported: "+nc.ChannelType())
	}
}
