package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"berth"
)

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// TestHTTPRefusals covers every answer that comes before the MCP server is asked.
func TestHTTPRefusals(t *testing.T) {
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	const echo = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",` + modernMeta + `}}`
	modern := func(more ...string) []string {
		return append([]string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "echo"}, more...)
	}
	tests := []struct {
		name   string
		method string
		body   string
		header []string
		status int
		body2  string // a part of the answer
	}{
		{"foreign origin", "POST", ping, []string{"Origin", "https://evil.example"}, 403, "origin"},
		{"null origin", "POST", ping, []string{"Origin", "null"}, 403, "origin"},
		{"own origin", "POST", ping, []string{"Origin", "https://app.example"}, 400, "Mcp-Session-Id"},
		{"loopback origin", "POST", ping, []string{"Origin", "http://localhost:6274"}, 400, "Mcp-Session-Id"},
		{"rebound host", "POST", ping, []string{"Host", "evil.example"}, 403, "evil.example"},
		{"bad key", "POST", ping, []string{"Authorization", "Bearer wrong"}, 401, "unknown key"},
		{"content type", "POST", ping, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"accept", "POST", ping, []string{"Accept", "text/html"}, 406, "Accept"},
		{"no session", "POST", ping, nil, 400, "Mcp-Session-Id"},
		{"unknown session", "POST", ping, []string{"Mcp-Session-Id", "none"}, 404, "initialize again"},
		{"unknown version", "POST", ping, []string{"MCP-Protocol-Version", "2020-01-01"}, 400, "2020-01-01"},
		{"not JSON", "POST", `{"jsonrpc"`, nil, 400, "-32700"},
		{"batch", "POST", `[` + ping + `]`, nil, 400, "-32600"},
		{"null id", "POST", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, nil, 400, "-32600"},
		{"too large", "POST", `"` + strings.Repeat("x", 5000) + `"`, nil, 413, "-32600"},
		{"put", "PUT", ping, nil, 405, ""},
		{"get without session", "GET", "", nil, 400, "Mcp-Session-Id"},
		{"get of JSON", "GET", "", []string{"Accept", "application/json"}, 406, "text/event-stream"},
		{"modern get", "GET", "", []string{"MCP-Protocol-Version", "2026-07-28"}, 405, ""},
		{"modern delete", "DELETE", "", []string{"MCP-Protocol-Version", "2026-07-28"}, 405, ""},
		{"modern without header", "POST", echo, nil, 400, "-32020"},
		{"modern without body", "POST", ping, modern(), 400, "-32602"},
		{"modern, other version", "POST", echo, modern("MCP-Protocol-Version", "2027-01-01"), 400, "-32020"},
		{"modern, other method", "POST", echo, modern("Mcp-Method", "tools/list"), 400, "-32020"},
		{"modern, no method", "POST", echo, modern("Mcp-Method", ""), 400, "-32020"},
		{"modern, other name", "POST", echo, modern("Mcp-Name", "count"), 400, "-32020"},
		{"modern, resuming", "POST", echo, modern("Last-Event-ID", "1"), 400, "-32020"},
		{"modern answer", "POST", `{"jsonrpc":"2.0","id":1,"result":{}}`, modern(), 400, "-32600"},
		{"modern notification", "POST", `{"jsonrpc":"2.0","method":"notifications/x","params":{` + modernMeta + `}}`, modern("Mcp-Method", "notifications/x"), 202, ""},
		{"modern, unknown method", "POST", strings.Replace(echo, "tools/call", "no/such", 1), modern("Mcp-Method", "no/such"), 404, "-32601"},
		{"modern, unserved version", "POST", strings.Replace(echo, "2026-07-28", "2099-01-01", 1), modern("MCP-Protocol-Version", "2099-01-01"), 400, "-32022"},
		{"modern ping is gone", "POST", strings.Replace(echo, "tools/call", "ping", 1), modern("Mcp-Method", "ping"), 404, "-32601"},
		{"modern call", "POST", echo, modern(), 200, `"resultType":"complete"`},
		{"modern call without accept", "POST", echo, modern("Accept", ""), 200, `"resultType":"complete"`},
	}
	f := newTestFront(t, newFixture(), Options{MaxMessage: 4096, Origins: []string{"https://app.example"}, Identify: func(r *http.Request) (context.Context, error) {
		if strings.HasSuffix(r.Header.Get("Authorization"), "wrong") {
			return nil, berth.Errorf(berth.Unauthenticated, "unknown key")
		}
		return r.Context(), nil
	}})
	base := serve(t, f)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest(tt.method, base+"/mcp", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Accept", "application/json, text/event-stream")
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Set(tt.header[i], tt.header[i+1])
				if tt.header[i+1] == "" {
					r.Header.Del(tt.header[i])
				}
			}
			if host := r.Header.Get("Host"); host != "" {
				r.Host = host
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != tt.status || !strings.Contains(string(body), tt.body2) {
				t.Errorf("got %d %s\nwant %d with %q", res.StatusCode, body, tt.status, tt.body2)
			}
			if res.StatusCode == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("WWW-Authenticate = %q", res.Header.Get("WWW-Authenticate"))
			}
			if refusal := new(rpcRefusal); res.StatusCode >= 400 && (json.Unmarshal(body, refusal) != nil || refusal.Error.Code == 0) {
				t.Errorf("%d with no JSON-RPC error: %s", res.StatusCode, body)
			}
			if res.StatusCode == 405 && res.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

// rpcRefusal is an answer that says no.
type rpcRefusal struct {
	Error struct{ Code int }
}

func TestHostsAreAnAllowList(t *testing.T) {
	tests := []struct {
		hosts []string
		host  string
		want  bool
	}{
		{nil, "berth.example", true}, // no local address known: not over loopback
		{[]string{"berth.example"}, "berth.example:443", true},
		{[]string{"berth.example"}, "Berth.Example", true},
		{[]string{"berth.example"}, "evil.example", false},
		{[]string{"berth.example"}, "127.0.0.1:8080", true},
		{[]string{"berth.example"}, "[::1]:8080", true},
		{[]string{"berth.example"}, "localhost", true},
		{[]string{"berth.example"}, "localhost.evil.example", false},
	}
	for _, tt := range tests {
		f := NewFront(newFixture().server, Options{Hosts: tt.hosts})
		r := httptest.NewRequest("POST", "/mcp", nil)
		r.Host = tt.host
		if got := f.hostAllowed(r); got != tt.want {
			t.Errorf("hosts %v, Host %s: allowed = %v", tt.hosts, tt.host, got)
		}
	}
}

func TestEachRequestHasItsOwnCaller(t *testing.T) {
	identify := func(r *http.Request) (context.Context, error) {
		return WithCaller(r.Context(), r.Header.Get("Authorization")), nil
	}
	f := newTestFront(t, newFixture(), Options{Identify: identify})
	base := serve(t, f)
	httpWire := newHTTPWire(t, base, false)
	initialize(t, httpWire, nil)
	sse := newSSEWire(t, base, http.Header{})
	initialize(t, sse, nil)
	for i, key := range []string{"Bearer one", "Bearer two"} {
		httpWire.header.Set("Authorization", key)
		sse.header.Set("Authorization", key)
		for name, w := range map[string]wire{"http": httpWire, "sse": sse} {
			if o := await(t, call(w, false, 10+i, "whoami", nil)); o.text() != key {
				t.Errorf("%s: caller = %s, want %s", name, o.text(), key)
			}
		}
	}
	local := newStreamWire(t, f, "local")
	if o := await(t, call(local, true, 1, "whoami", nil)); o.text() != "local" {
		t.Errorf("stdio: caller = %s", o.text())
	}
}

// TestPlainResponses checks that nothing is streamed without need or against
// the client's wish.
func TestPlainResponses(t *testing.T) {
	tests := []struct{ accept, tool, want string }{
		{"application/json, text/event-stream", "echo", "application/json"},
		{"application/json, text/event-stream", "count", "text/event-stream"},
		{"application/json", "count", "application/json"},
	}
	w := newHTTPWire(t, serve(t, newTestFront(t, newFixture(), Options{})), true)
	for _, tt := range tests {
		r := w.newRequest(t.Context(), fmt.Appendf(nil,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s","arguments":{"n":3},%s}}`, tt.tool, strings.Replace(modernMeta, "{", `{"progressToken":1,`, 1)))
		r.Header.Set("Accept", tt.accept)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		l := newLedger(t)
		done := l.expect("1")
		readReply(res, l)
		res.Body.Close()
		if got := res.Header.Get("Content-Type"); got != tt.want {
			t.Errorf("%s for %s = %s, want %s", tt.tool, tt.accept, got, tt.want)
		}
		if buffering := res.Header.Get("X-Accel-Buffering"); tt.want == "text/event-stream" && buffering != "no" {
			t.Errorf("X-Accel-Buffering = %q", buffering)
		}
		if o := await(t, done); o.reply.Error != nil {
			t.Errorf("%s = %s", tt.tool, o.text())
		}
	}
}

func TestKeepAliveFillsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := newEventStream(w, 15*time.Second, true)
		body := func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return w.Body.String()
		}
		time.Sleep(14 * time.Second) // synctest's clock
		synctest.Wait()
		if got := body(); got != "" {
			t.Errorf("after 14 s: %q", got)
		}
		time.Sleep(17 * time.Second)
		synctest.Wait()
		if got := body(); got != ": keep-alive\n\n: keep-alive\n\n" {
			t.Errorf("after 31 s: %q", got)
		}
		if err := s.respond(http.StatusOK, []byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := body(); !strings.HasSuffix(got, "keep-alive\n\nevent: message\ndata: {}\n\n") {
			t.Errorf("at the end: %q", got)
		}
		if err := s.send([]byte("{}")); !errors.Is(err, errStreamClosed) {
			t.Errorf("send after the end = %v", err)
		}
	})
}

// TestSessionStore drives the store against a plain model of what it promises.
func TestSessionStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit, ttl = 4, 10 * time.Minute
		now := time.Unix(0, 0)
		f := NewFront(newFixture().server, Options{})
		s := newSessionStore(limit, ttl, func() time.Time { return now })
		inUse := map[*httpSession]int{}
		last := map[*httpSession]time.Time{}
		known := func() (all []*httpSession) {
			for h := range last {
				all = append(all, h)
			}
			return all
		}
		t.Repeat(map[string]func(*rapid.T){
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 700).Draw(t, "seconds")) * time.Second)
			},
			"add": func(t *rapid.T) {
				h, err := s.add(f.newConnection(false))
				busy := 0
				for _, n := range inUse {
					if n > 0 {
						busy++
					}
				}
				if (err != nil) != (busy >= limit) {
					t.Fatalf("add with %d of %d in use: %v", busy, limit, err)
				}
				if err == nil {
					inUse[h], last[h] = 1, now
				}
			},
			"use": func(t *rapid.T) {
				for _, h := range known() {
					got, ok := s.use(h.SessionID())
					if inUse[h] > 0 && !ok {
						t.Fatal("a session in use is gone")
					}
					if ok && inUse[h] == 0 && now.Sub(last[h]) >= ttl {
						t.Fatal("a session outlived its idle time")
					}
					if !ok {
						if h.closed == nil {
							t.Fatal("a session is gone and not closed")
						}
						delete(inUse, h)
						delete(last, h)
						continue
					}
					if got != h {
						t.Fatal("another session came back")
					}
					inUse[h]++
					last[h] = now
				}
			},
			"leave": func(*rapid.T) {
				for h, n := range inUse {
					if n > 0 {
						s.leave(h)
						inUse[h], last[h] = n-1, now
					}
				}
			},
			"": func(t *rapid.T) {
				if len(s.byID) > limit {
					t.Fatalf("%d sessions, at most %d", len(s.byID), limit)
				}
			},
		})
	})
}

func TestSessionsAreBounded(t *testing.T) {
	f := newTestFront(t, newFixture(), Options{MaxSessions: 2})
	base := serve(t, f)
	wires := make([]*httpWire, 3)
	for i := range wires {
		wires[i] = newHTTPWire(t, base, false)
		initialize(t, wires[i], nil)
	}
	statuses := map[int]int{}
	for _, w := range wires {
		res, err := http.DefaultClient.Do(w.newRequest(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		statuses[res.StatusCode]++
	}
	if statuses[http.StatusOK] != 2 || statuses[http.StatusNotFound] != 1 {
		t.Errorf("statuses of three sessions where two may be: %v", statuses)
	}
}
