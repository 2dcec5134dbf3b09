package tools_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth"
	"berth/ops/opstest"
	"berth/tools"
)

// TestReadRefusals asks for resources and prompts that can't be had: the error
// has the code for what is the caller's fault, and says what a tool would say.
func TestReadRefusals(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	foreign := w.Server(w.Principal())
	srv, err := tools.NewServer(w.System, "test")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, method, params string
		anonymous            bool
		legacy, modern       int
		code                 berth.Code
	}{
		{"a server that there is not", "resources/read", `"uri":"berth://servers/srv_000000000000000000000000"`, false, -32002, -32602, berth.NotFound},
		{"another's server", "resources/read", `"uri":"berth://servers/` + string(foreign) + `"`, false, -32002, -32602, berth.NotFound},
		{"no resource", "resources/read", `"uri":"berth://nothing"`, false, -32002, -32602, ""},
		{"nobody's servers", "resources/read", `"uri":"berth://servers"`, true, -32602, -32602, berth.PaymentRequired},
		{"a prompt without its argument", "prompts/get", `"name":"deploy-website"`, false, -32602, -32602, ""},
		{"a prompt with another argument", "prompts/get", `"name":"deploy-website","arguments":{"colour":"red"}`, false, -32602, -32602, ""},
		{"no prompt", "prompts/get", `"name":"nothing"`, false, -32602, -32602, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tools.Caller{Creds: p.Creds}
			if tt.anonymous {
				c.Creds = nil
			}
			f := tools.NewFront(srv, tools.Options{Log: slog.New(slog.DiscardHandler)})
			for era, want := range map[string]int{"2025-06-18": tt.legacy, "2026-07-28": tt.modern} {
				got := refusalOf(t, f, c, era, tt.method, tt.params)
				if got.Code != want || got.Data.Code != tt.code {
					t.Errorf("%s: code %d and %q in the data of %+v, want %d and %q", era, got.Code, got.Data.Code, got, want, tt.code)
				}
				if tt.code != "" && (got.Message == "" || got.Data.Hint == "" || strings.Contains(got.Message, string(tt.code)+":")) {
					t.Errorf("%s: %+v has no text and hint for people", era, got)
				}
			}
		})
	}
}

// rpcError is a JSON-RPC error as Berth answers it.
type rpcError struct {
	Code    int
	Message string
	Data    struct {
		Code berth.Code
		Hint string
	}
}

// refusalOf is the error of one request over a stream of its own, or over HTTP
// in the modern protocol.
func refusalOf(t *testing.T, f *tools.Front, c tools.Caller, era, method, params string) rpcError {
	t.Helper()
	var text string
	if era < "2026" {
		var out strings.Builder
		in := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + era + `","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` + "\n" +
			`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `}}` + "\n"
		if err := f.ServeStream(t.Context(), strings.NewReader(in), &out, c); err != nil {
			t.Fatal(err)
		}
		_, text, _ = strings.Cut(strings.TrimSpace(out.String()), "\n")
	} else {
		_, name, _ := strings.Cut(params, `":"`)
		name, _, _ = strings.Cut(name, `"`)
		body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + era + `","io.modelcontextprotocol/clientCapabilities":{}}}}`
		r := httptest.NewRequestWithContext(tools.WithCaller(t.Context(), c), http.MethodPost, "/mcp", strings.NewReader(body))
		for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json", "MCP-Protocol-Version": era, "Mcp-Method": method, "Mcp-Name": name} {
			r.Header.Set(k, v)
		}
		res := httptest.NewRecorder()
		f.HTTPHandler().ServeHTTP(res, r)
		text = res.Body.String()
	}
	var reply struct{ Error rpcError }
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return reply.Error
}

func TestParseToolsets(t *testing.T) {
	table := opstest.New(t).System.Table()
	for list, want := range map[string]string{"": "", "default": "default", " more , default,": "more default", "all": "all"} {
		got, err := tools.ParseToolsets(table, list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q is %q, %v; want %q", list, got, err, want)
		}
	}
	for _, list := range []string{"bogus", "default,bogus", "DEFAULT", strings.Repeat("x", 1000)} {
		got, err := tools.ParseToolsets(table, list)
		if berth.CodeOf(err) != berth.InvalidInput || len(err.Error()) > 200 {
			t.Errorf("%.40q is %q, %v", list, got, err)
		}
	}
}
