package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth"
	"berth/account"
	"berth/ops/opstest"
	"berth/tools"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`

// TestIdentify connects over HTTP with good and bad keys and wishes: what is
// wrong is refused before anything is called.
func TestIdentify(t *testing.T) {
	t.Parallel()
	w := opstest.New(t)
	good := w.Principal().Token
	suspended := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true }).Token
	srv, err := tools.NewServer(w.System, "test")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{system: w.System}
	front := tools.NewFront(srv, tools.Options{Identify: a.identify, Log: slog.New(slog.DiscardHandler)})
	const listed = `"tools":[{`
	tests := []struct {
		name, query string
		header      [2]string
		status      int
		part        string // of the answer
	}{
		{"no key", "", [2]string{}, 200, `"serverInfo"`},
		{"a good key", "", [2]string{"Authorization", "Bearer " + good}, 200, `"serverInfo"`},
		{"a good key beside a payment", "", [2]string{"Berth-Key", good}, 200, `"serverInfo"`},
		{"a payment", "", [2]string{"Authorization", "Payment e30"}, 200, `"serverInfo"`},
		{"a suspended account's key", "", [2]string{"Authorization", "Bearer " + suspended}, 200, `"serverInfo"`},
		{"a wrong secret", "", [2]string{"Authorization", "Bearer " + good[:len(good)-4] + "AAAA"}, 401, `"unauthenticated"`},
		{"no key's shape", "", [2]string{"Authorization", "Bearer wrong"}, 401, `"unauthenticated"`},
		{"a wrong key beside a payment", "", [2]string{"Berth-Key", "wrong"}, 401, `"unauthenticated"`},
		{"another scheme", "", [2]string{"Authorization", "Basic YTpi"}, 401, `"unauthenticated"`},
		{"a toolset that there is not", "?toolsets=default,bogus", [2]string{}, 400, "there are: default, more, pools, all"},
		{"all toolsets", "?toolsets=all", [2]string{}, 200, `"serverInfo"`},
		{"all toolsets, in the singular", "?toolset=all", [2]string{}, 200, `"serverInfo"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := post(t, front, tt.query, tt.header, initialize)
			body := res.Body.String()
			if res.Code != tt.status || !strings.Contains(body, tt.part) {
				t.Errorf("got %d %s\nwant %d with %s", res.Code, body, tt.status, tt.part)
			}
			if challenge := res.Header().Get("WWW-Authenticate"); (challenge != "") != (tt.status == 401) {
				t.Errorf("WWW-Authenticate is %q", challenge)
			}
			if tt.status >= 400 && !json.Valid(res.Body.Bytes()) {
				t.Errorf("no JSON-RPC error: %s", body)
			}
		})
	}
	for query, changes := range map[string]bool{"": true, "?read_only": false, "?read-only": false, "?read-only=1": false, "?read_only=true": false, "?read_only=false": true} {
		res := post(t, front, query, [2]string{}, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`,
			"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list")
		if body := res.Body.String(); !strings.Contains(body, listed) || strings.Contains(body, `"create_server"`) != changes {
			t.Errorf("/mcp%s lists tools that change something: %t; want %t: %.200s", query, !changes, changes, body)
		}
	}
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// post sends one message to /mcp.
func post(t *testing.T, f *tools.Front, query string, header [2]string, body string, more ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/mcp"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if header[0] != "" {
		r.Header.Set(header[0], header[1])
	}
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	res := httptest.NewRecorder()
	f.HTTPHandler().ServeHTTP(res, r)
	return res
}

// TestSaid: what an error says to people has no codes in it.
func TestSaid(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"no such thing":             berth.Errorf(berth.NotFound, "no such thing"),
		"no such thing; look":       berth.Errorf(berth.NotFound, "no such thing").Hinted("look"),
		io.ErrUnexpectedEOF.Error(): io.ErrUnexpectedEOF,
	} {
		if got := said(err); got != want {
			t.Errorf("%v says %q, want %q", err, got, want)
		}
	}
}
