package remote

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// dial connects and logs in, or fails with a typed error within the pool's
// DialTimeout. A wrong host key ends the handshake before any login.
func (p *Pool) dial(t Target) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(p.life, p.options.DialTimeout)
	defer cancel()
	addr := t.Addr.String()
	tcp, err := p.options.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, p.dialError(err, addr)
	}
	// The handshake knows no context: it ends when its connection does.
	guard := context.AfterFunc(ctx, func() { tcp.Close() })
	client, err := handshake(tcp, addr, t)
	if !guard() && err == nil {
		client.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		tcp.Close()
		return nil, p.dialError(err, addr)
	}
	return client, nil
}

func handshake(tcp net.Conn, addr string, t Target) (*ssh.Client, error) {
	pin := t.HostKey.Marshal()
	config := &ssh.ClientConfig{
		User:              t.user(),
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(t.Signer)},
		ClientVersion:     "SSH-2.0-Berth",
		HostKeyAlgorithms: hostKeyAlgorithms(t.HostKey),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !bytes.Equal(key.Marshal(), pin) {
				return fail(HostKeyMismatch, nil, "%s showed the host key %s, pinned is %s",
					addr, ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(t.HostKey))
			}
			return nil
		},
	}
	conn, channels, requests, err := ssh.NewClientConn(tcp, addr, config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// hostKeyAlgorithms asks for the pinned key's type only, or a server with
// several keys might show another one.
func hostKeyAlgorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

// dialError gives a failed connection its kind.
func (p *Pool) dialError(err error, addr string) error {
	var typed *Error
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &typed):
		return typed
	case p.life.Err() != nil:
		return errClosed()
	case errors.As(err, &negotiation) && strings.Contains(negotiation.What, "host key"):
		return fail(HostKeyMismatch, err, "%s has no host key of the pinned type", addr)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fail(Auth, err, "%s refused the key", addr)
	}
	return fail(Unreachable, err, "%s does not answer SSH", addr)
}

// keepAlive asks the server for a sign of life every interval, and closes the
// connection when none comes within one more. It returns when client is closed.
func keepAlive(client *ssh.Client, interval time.Duration, closed <-chan struct{}) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-closed:
			return
		case <-ticker.C:
		}
		patience := time.AfterFunc(interval, func() { client.Close() })
		// Any answer will do, a refusal too; an error means that it is closed.
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		patience.Stop()
		if err != nil {
			return
		}
	}
}
