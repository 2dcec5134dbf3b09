package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestDialErrors(t *testing.T) {
	s := newServer(t)
	otherType := func() ssh.PublicKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, err := ssh.NewPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return public
	}()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, c := range []struct {
		name   string
		kind   Kind
		change func(*Target)
	}{
		{"another host key", HostKeyMismatch, func(t *Target) { t.HostKey = t.Signer.PublicKey() }},
		{"another type of host key", HostKeyMismatch, func(t *Target) { t.HostKey = otherType }},
		{"another login", Auth, func(target *Target) { target.Signer = newSigner(t) }},
		{"nobody listens", Unreachable, func(target *Target) { target.Addr = freeAddr(t) }},
		{"nobody answers", Unreachable, func(target *Target) {
			target.Addr = netip.MustParseAddrPort(silent.Addr().String())
		}},
		{"no pin", Invalid, func(t *Target) { t.HostKey = nil }},
		{"no login", Invalid, func(t *Target) { t.Signer = nil }},
		{"no address", Invalid, func(t *Target) { t.Addr = netip.AddrPort{} }},
		{"no id", Invalid, func(t *Target) { t.ID = "" }},
	} {
		dials := atomic.Int32{}
		p := newPool(t, PoolOptions{
			DialTimeout: 200 * time.Millisecond,
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		})
		target := s.Target
		c.change(&target)
		err := p.Ready(t.Context(), target)
		if !errors.Is(err, c.kind) || KindOf(err) != c.kind {
			t.Errorf("%s: %v, of kind %q", c.name, err, KindOf(err))
		}
		if want := int32(1); c.kind != Invalid && dials.Load() != want {
			t.Errorf("%s: %d dials", c.name, dials.Load())
		}
	}
}

func TestReconnect(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	for i := range 3 {
		if r, err := p.Exec(t.Context(), s.Target, Command{Line: "echo again"}, 0, nil); err != nil || r.Stdout.Text != "again\n" {
			t.Fatalf("%+v, %v", r, err)
		}
		if accepted, _, _ := s.counts(); accepted != i+1 {
			t.Errorf("%d connections after %d drops", accepted, i)
		}
		s.drop()
	}
}

func TestConnectionLost(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	r, err := p.Exec(t.Context(), s.Target, Command{Line: "echo half; sleep 300"}, 0, func(Chunk) { s.drop() })
	if KindOf(err) != ConnectionLost || r.Stdout.Text != "half\n" || r.ExitCode != -1 {
		t.Errorf("%+v, %v", r, err)
	}
	if accepted, _, _ := s.counts(); accepted != 1 {
		t.Errorf("a command that had been sent was tried %d times", accepted)
	}
}

// deaf is a connection that can fall silent without being closed.
type deaf struct {
	net.Conn
	silent *atomic.Bool
}

func (d deaf) Write(b []byte) (int, error) {
	if d.silent.Load() {
		return len(b), nil
	}
	return d.Conn.Write(b)
}

func TestKeepAlive(t *testing.T) {
	s := newServer(t)
	var silent atomic.Bool
	p := newPool(t, PoolOptions{
		KeepAlive: 50 * time.Millisecond,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return deaf{conn, &silent}, err
		},
	})
	begin := time.Now()
	_, err := p.Exec(t.Context(), s.Target, Command{Line: "echo up; sleep 300"}, 0, func(Chunk) { silent.Store(true) })
	if KindOf(err) != ConnectionLost || time.Since(begin) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

func TestSharing(t *testing.T) {
	const callers = 32
	for _, c := range []struct {
		name        string
		options     PoolOptions
		maxSessions int
		connections int // at most
		busiest     int // at most
	}{
		{"defaults", PoolOptions{}, 0, 4, 8},
		{"one connection", PoolOptions{PerServer: 1}, 0, 1, 8},
		{"one connection in all", PoolOptions{MaxConns: 1, Sessions: 3}, 0, 1, 3},
		// To be refused costs it connections, and callers nothing.
		{"a server that allows little", PoolOptions{}, 2, callers, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(s *server) { s.maxSessions = c.maxSessions })
			p := newPool(t, c.options)
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					r, err := p.Exec(t.Context(), s.Target, Command{Line: fmt.Sprintf("echo %d", i)}, 0, nil)
					if err != nil || r.Stdout.Text != fmt.Sprintf("%d\n", i) {
						t.Errorf("%d: %+v, %v", i, r, err)
					}
				})
			}
			wg.Wait()
			accepted, _, busiest := s.counts()
			if accepted > c.connections || busiest > c.busiest {
				t.Errorf("%d connections, %d sessions on one", accepted, busiest)
			}
		})
	}
}

func TestMaxConns(t *testing.T) {
	first, second := newServer(t), newServer(t)
	p := newPool(t, PoolOptions{MaxConns: 1})
	for range 3 { // an unused connection makes room
		for _, s := range []*server{first, second} {
			if err := p.Ready(t.Context(), s.Target); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One in use doesn't, and the wait for it ends with the context.
	up, ended := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		p.Exec(ctx, first.Target, Command{Line: "echo up; sleep 300"}, 0, func(Chunk) { close(up) })
	}()
	<-up
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := p.Ready(short, second.Target); KindOf(err) != Timeout {
		t.Errorf("while all connections are in use: %v", err)
	}
	cancel()
	<-ended
	if err := p.Ready(t.Context(), second.Target); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

func TestIdleAndForget(t *testing.T) {
	s := newServer(t)
	open := func() int { _, n, _ := s.counts(); return n }
	p := newPool(t, PoolOptions{MaxIdle: 20 * time.Millisecond})
	if err := p.Ready(t.Context(), s.Target); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the idle connection is closed", func() bool { return open() == 0 })

	p = newPool(t, PoolOptions{})
	forget := func(Chunk) { p.Forget("srv_other"); p.Forget(s.ID) }
	if _, err := p.Exec(t.Context(), s.Target, Command{Line: "echo up; sleep 300"}, 0, forget); KindOf(err) != ConnectionLost {
		t.Errorf("forgotten: %v", err)
	}
	eventually(t, "the forgotten connection is closed", func() bool { return open() == 0 })
	// A server rebuilt under the same id has another key: the old connection
	// must not serve for it.
	if err := p.Ready(t.Context(), s.Target); err != nil {
		t.Fatal(err)
	}
	rebuilt := s.Target
	rebuilt.HostKey = newSigner(t).PublicKey()
	if err := p.Ready(t.Context(), rebuilt); KindOf(err) != HostKeyMismatch {
		t.Errorf("another pin over an old connection: %v", err)
	}
}

func TestClose(t *testing.T) {
	s := newServer(t)
	p := NewPool(PoolOptions{})
	up := make(chan struct{})
	failed := make(chan error)
	go func() {
		_, err := p.Exec(context.Background(), s.Target, Command{Line: "echo up; sleep 300"}, 0, func(Chunk) { close(up) })
		failed <- err
	}()
	<-up
	p.Close()
	if err := <-failed; KindOf(err) != ConnectionLost {
		t.Errorf("what ran: %v", err)
	}
	if err := p.Ready(context.Background(), s.Target); KindOf(err) != Canceled {
		t.Errorf("what came later: %v", err)
	}
	p.Close()
}
