package api

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"berth"
)

// maxAddresses bounds the addresses that are remembered at once.
const maxAddresses = 10_000

// Limit bounds the requests per second of each client address, with bursts of
// five seconds' worth, and refuses more in the words of the contract that they are
// for. Zero or less is no limit.
func Limit(next http.Handler, perSecond int, now berth.Clock, log *slog.Logger, contracts []Contract) http.Handler {
	if perSecond <= 0 {
		return next
	}
	a := &API{Options: Options{Log: log, Contracts: contracts}}
	l := &limiter{perSecond: perSecond, now: now, seen: map[netip.Addr]*visitor{}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.allow(clientOf(r)) {
			a.stray(w, r, &berth.Error{
				Code: berth.RateLimited, Message: "too many requests from this address", RetryAfter: time.Second,
				Hint: "wait a second, and use wait_seconds instead of polling",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

type limiter struct {
	perSecond int
	now       berth.Clock
	mu        sync.Mutex
	seen      map[netip.Addr]*visitor
}

type visitor struct {
	*rate.Limiter
	last time.Time
}

func (l *limiter) allow(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	v := l.seen[client]
	if v == nil {
		if len(l.seen) >= maxAddresses {
			l.forget(now)
		}
		v = &visitor{Limiter: rate.NewLimiter(rate.Limit(l.perSecond), 5*l.perSecond)}
		l.seen[client] = v
	}
	v.last = now
	return v.AllowN(now, 1)
}

// forget drops those whose allowance has filled up again, for whom being
// forgotten changes nothing; if there are none, everybody starts anew.
func (l *limiter) forget(now time.Time) {
	for a, v := range l.seen {
		if now.Sub(v.last) > 10*time.Second {
			delete(l.seen, a)
		}
	}
	if len(l.seen) >= maxAddresses {
		clear(l.seen)
	}
}

// clientOf is the client that a request comes from. An IPv6 client has a whole
// network of addresses, so its network counts.
func clientOf(r *http.Request) netip.Addr {
	a := peerOf(r)
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// peerOf is the address at the other end of a request's connection; invalid where
// it has none.
func peerOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}
