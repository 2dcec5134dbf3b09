// Package remotetest is an SSH server in memory that begins to answer at a
// time, for tests and simulations of waiting for one, also in a
// testing/synctest bubble.
package remotetest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Server is a machine that starts: first it has no network, then nothing
// listens at its port, then an SSH server does. It accepts one key from any
// user, and every command ends well without output.
type Server struct {
	Network time.Time     // until then it swallows all connections
	Up      time.Time     // until then it refuses them
	Host    ssh.Signer    // its host key
	Login   ssh.PublicKey // the key that may log in; nil lets any

	dials atomic.Int64
}

// Dials is how many connections were tried.
func (s *Server) Dials() int { return int(s.dials.Load()) }

// Dial connects to the server as it is now.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	s.dials.Add(1)
	now := time.Now()
	switch {
	case now.Before(s.Network):
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	case now.Before(s.Up):
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	client, server := pipe()
	go s.serve(server)
	return client, nil
}

var errUnknownKey = errors.New("unknown key")

// serve answers one connection until it is closed.
func (s *Server) serve(c net.Conn) {
	defer c.Close()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s.Login != nil && !bytes.Equal(key.Marshal(), s.Login.Marshal()) {
			return nil, errUnknownKey
		}
		return nil, nil
	}}
	config.AddHostKey(s.Host)
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return // a knock, or the wrong key
	}
	go func() {
		for r := range requests { // signs of life
			if r.WantReply {
				r.Reply(false, nil)
			}
		}
	}()
	for asked := range channels {
		if asked.ChannelType() != "session" {
			asked.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		if channel, requests, err := asked.Accept(); err == nil {
			go session(channel, requests)
		}
	}
}

// session ends each command well.
func session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		run := r.Type == "exec"
		if r.WantReply {
			r.Reply(run || r.Type == "env", nil)
		}
		if run {
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
			return
		}
	}
}
