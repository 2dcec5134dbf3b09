package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"berth/remote/remotetest"
)

// starting is a pool in front of servers that start, and their targets.
func starting(t *testing.T, servers ...*remotetest.Server) (*Pool, []Target) {
	byAddr := map[string]*remotetest.Server{}
	var targets []Target
	login := newSigner(t)
	for i, s := range servers {
		s.Host = newSigner(t)
		s.Login = login.PublicKey()
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 22)
		byAddr[addr.String()] = s
		targets = append(targets, Target{ID: fmt.Sprintf("srv_%d", i), Addr: addr, HostKey: s.Host.PublicKey(), Signer: login})
	}
	p := NewPool(PoolOptions{Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return byAddr[addr].Dial(ctx)
	}})
	t.Cleanup(p.Close)
	return p, targets
}

// Of 200 servers that begin to answer at any time, also after a time without a
// network, each is known to answer within 300 ms.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		random := rand.New(rand.NewPCG(3, 4))
		var servers []*remotetest.Server
		for range 200 {
			network := began.Add(time.Duration(random.Int64N(int64(40 * time.Second))))
			servers = append(servers, &remotetest.Server{
				Network: network, Up: network.Add(time.Duration(random.Int64N(int64(30 * time.Second)))),
			})
		}
		p, targets := starting(t, servers...)
		late := make([]time.Duration, len(servers))
		var all sync.WaitGroup
		for i, target := range targets {
			all.Go(func() {
				if err := p.Await(t.Context(), target); err != nil {
					t.Errorf("server %d: %v", i, err)
				}
				late[i] = time.Since(servers[i].Up)
			})
		}
		all.Wait()
		slices.Sort(late)
		if slowest := late[len(late)-1]; slowest > 300*time.Millisecond {
			t.Errorf("a server's first answer was known after %v", slowest)
		}
		t.Logf("p50 %v, p99 %v, slowest %v", late[len(late)/2], late[len(late)*99/100], late[len(late)-1])
	})
}

func TestAwaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := time.Now().Add(time.Hour)
		p, targets := starting(t, &remotetest.Server{Up: never}, &remotetest.Server{Network: never, Up: never}, &remotetest.Server{})
		for i, target := range targets[:2] {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			began := time.Now()
			err := p.Await(ctx, target)
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Timeout || time.Since(began) != 10*time.Second {
				t.Errorf("server %d: %v after %v", i, err, time.Since(began))
			}
			cancel()
		}

		// Who answers with another host key is asked again, and not often.
		imposter := targets[2]
		imposter.HostKey = targets[0].HostKey
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := p.Await(ctx, imposter)
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != HostKeyMismatch {
			t.Errorf("another host key: %v", err)
		}

		time.AfterFunc(time.Second, p.Close)
		err = p.Await(t.Context(), targets[0])
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Canceled {
			t.Errorf("a closed pool: %v", err)
		}
	})
}

// A server that lets nobody in is not overrun.
func TestAwaitRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &remotetest.Server{}
		p, targets := starting(t, s)
		targets[0].Signer = newSigner(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Await(ctx, targets[0]); err == nil {
			t.Error("a stranger was let in")
		}
		if n := s.Dials(); n > 60 {
			t.Errorf("%d connections in a minute", n)
		}
	})
}
