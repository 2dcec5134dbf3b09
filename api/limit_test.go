package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"berth"
)

// limited is a handler behind a limit of 2 per second, and its clock.
type limited struct {
	http.Handler
	now time.Time
}

func newLimited(perSecond int) *limited {
	l := &limited{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	l.Handler = Limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		perSecond, func() time.Time { return l.now }, slog.New(slog.DiscardHandler), []Contract{{Base: "/api/v1", Refuse: func(http.Header, *berth.Error) (int, any) {
			return http.StatusTooManyRequests, "in its own words"
		}}})
	return l
}

func (l *limited) get(from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/v1/catalog/sizes", nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

// passed is how many of n requests pass.
func (l *limited) passed(n int, from string) (passed int) {
	for range n {
		if l.get(from).Code == http.StatusNoContent {
			passed++
		}
	}
	return passed
}

func TestLimit(t *testing.T) {
	l := newLimited(2)
	if got := l.passed(20, "192.0.2.1:5000"); got != 10 {
		t.Errorf("a burst of %d passed, want five seconds' worth", got)
	}
	w := l.get("192.0.2.1:6000")
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusTooManyRequests {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if p.Code != berth.RateLimited || p.RetryAfter != 1 || p.Hint == "" || w.Header().Get("Retry-After") != "1" {
		t.Errorf("problem = %+v, headers %v", p, w.Header())
	}
	r := httptest.NewRequest("GET", "/api/v1/pools", nil)
	r.RemoteAddr = "192.0.2.1:7000"
	own := httptest.NewRecorder()
	if l.ServeHTTP(own, r); own.Code != http.StatusTooManyRequests || own.Body.String() != "\"in its own words\"\n" || own.Header().Get("Retry-After") != "1" {
		t.Errorf("a contract's own refusal is %d %s %v", own.Code, own.Body, own.Header())
	}
	if got := l.passed(1, "192.0.2.2:5000"); got != 1 {
		t.Error("another address pays for the first")
	}
	l.now = l.now.Add(time.Second)
	if got := l.passed(20, "192.0.2.1:5000"); got != 2 {
		t.Errorf("a second later %d passed, want 2", got)
	}
}

func TestLimitCountsNetworks(t *testing.T) {
	for name, tt := range map[string]struct {
		a, b string
		same bool
	}{
		"two ports":          {"192.0.2.1:1", "192.0.2.1:2", true},
		"two addresses":      {"192.0.2.1:1", "192.0.2.2:1", false},
		"one IPv6 network":   {"[2001:db8::1]:1", "[2001:db8::ffff]:1", true},
		"two IPv6 networks":  {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		"mapped IPv4":        {"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true},
		"two mapped IPv4":    {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
		"IPv6 with zone":     {"[fe80::1%eth0]:1", "[fe80::2%eth0]:1", true},
		"what has no port":   {"@", "", true},
		"what is no address": {"host:1", "other:1", true},
	} {
		a, b := httptest.NewRequest("GET", "/", nil), httptest.NewRequest("GET", "/", nil)
		a.RemoteAddr, b.RemoteAddr = tt.a, tt.b
		if got := clientOf(a) == clientOf(b); got != tt.same {
			t.Errorf("%s: %s and %s are the same: %v", name, clientOf(a), clientOf(b), got)
		}
	}
}

// TestLimitForgets: however many addresses come, so many are remembered.
func TestLimitForgets(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := &limiter{perSecond: 1, now: func() time.Time { return now }, seen: map[netip.Addr]*visitor{}}
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxAddresses {
		l.allow(address(i))
	}
	now = now.Add(11 * time.Second)
	l.allow(address(0)) // comes again, and is not forgotten
	l.allow(address(maxAddresses))
	if n := len(l.seen); n != 2 {
		t.Errorf("%d are remembered, want the two of the last seconds", n)
	}
	for i := range 3 * maxAddresses {
		if l.allow(address(i)); len(l.seen) > maxAddresses {
			t.Fatalf("%d are remembered", len(l.seen))
		}
	}
}

func TestNoLimit(t *testing.T) {
	if got := newLimited(0).passed(100, "192.0.2.1:1"); got != 100 {
		t.Errorf("%d of 100 passed", got)
	}
}
