package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/mark3labs/mcp-go/server"

	"berth"
	"berth/api"
	"berth/ops"
	"berth/ops/opstest"
	"berth/tools"
)

// fronts are the ways to the operations, to be compared with each other.
type fronts struct {
	w   *opstest.World
	api *api.API
	doc *huma.OpenAPI
	mcp *server.MCPServer
}

type credsKey struct{}

func newFronts(t *testing.T, w *opstest.World) *fronts {
	t.Helper()
	srv, err := tools.NewServer(w.System, "test")
	if err != nil {
		t.Fatal(err)
	}
	return &fronts{w: w, mcp: srv, doc: api.Document(w.System.Table(), "test"), api: api.New(api.Options{
		System: w.System, Now: w.Clock.Now, Version: "test", Log: slog.New(slog.DiscardHandler),
		Ready: func(context.Context) error { return nil },
		Credentials: func(r *http.Request) []ops.Credential {
			creds, _ := r.Context().Value(credsKey{}).([]ops.Credential)
			return creds
		},
	})}
}

// said is what a front shows of an error.
type said struct {
	Code    berth.Code    `json:"code"`
	Message string        `json:"message"`
	Detail  string        `json:"detail"`
	Hint    string        `json:"hint"`
	Fields  []berth.Field `json:"fields"`
	Errors  []berth.Field `json:"errors"`
}

// refuse makes a call over every front, compares what they say, and returns
// what Dispatch said.
func (f *fronts) refuse(t *testing.T, op *ops.Operation, c refusal) *berth.Error {
	t.Helper()
	_, err := f.w.System.Dispatch(t.Context(), &ops.Call{Op: op.Name, Args: c.args, Creds: c.creds, Front: "http"})
	var e *berth.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want a typed %s", err, c.code)
	}
	if got, ok := f.overHTTP(t, op, c); ok {
		got.Message, got.Fields = got.Detail, got.Errors
		if example, _, ok := strings.Cut(got.Hint, " is {"); ok && strings.HasPrefix(example, "a valid body for ") || got.Hint == "see /openapi.json for what it takes" {
			got.Hint = op.ExampleHint() // over HTTP it is without what the path holds
		}
		compare(t, "HTTP", got, e)
	}
	if op.Doc.Toolset != "" {
		compare(t, "MCP", f.overMCP(t, op, c), e)
	}
	return e
}

func compare(t *testing.T, front string, got said, want *berth.Error) {
	t.Helper()
	if got.Code != want.Code || got.Message != want.Message || got.Hint != want.Hint || !slices.Equal(got.Fields, want.Fields) {
		t.Errorf("%s says %.500v, Dispatch %.500v", front, got, want)
	}
}

func (f *fronts) overHTTP(t *testing.T, op *ops.Operation, c refusal) (out said, ok bool) {
	t.Helper()
	var r *http.Request
	var route ops.Route
	for _, route = range op.Routes {
		if r, ok = request(op, route, c.args); ok {
			break
		}
	}
	if !ok {
		return said{}, false
	}
	r = r.WithContext(context.WithValue(t.Context(), credsKey{}, c.creds))
	w := httptest.NewRecorder()
	f.api.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("HTTP answers %d with %s: %.300s", w.Code, got, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("HTTP answers %d %.300s", w.Code, w.Body)
	}
	if op.Access != ops.Operator && !f.documents(route, w.Code, out.Code) {
		t.Errorf("the OpenAPI document does not say that %s %s may answer %d %s", route.Method, route.Path, w.Code, out.Code)
	}
	return out, true
}

// documents tells whether the OpenAPI document names an error of a route.
func (f *fronts) documents(route ops.Route, status int, code berth.Code) bool {
	item := f.doc.Paths[route.Path]
	described := map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete}[route.Method]
	res := described.Responses[strconv.Itoa(status)]
	return res != nil && strings.Contains(res.Description, string(code))
}

// request is a call as HTTP has it; not ok where a URL can't express it.
func request(op *ops.Operation, route ops.Route, args opstest.Args) (*http.Request, bool) {
	path, query, body := route.Path, url.Values{}, opstest.Args{}
	for name, v := range args {
		if _, fixed := route.Fixed[name]; fixed || slices.Contains(route.Omit, name) {
			return nil, false
		}
		inPath := strings.Contains(path, "{"+name+"}")
		if !inPath && route.HasBody() {
			body[name] = v
			continue
		}
		text, ok := urlText(op.Input.Properties[name], v)
		switch {
		case !ok:
			return nil, false
		case !inPath:
			query.Set(name, text)
		case text == "" || strings.Contains(text, "..") || len(text) > 1000:
			return nil, false
		default:
			path = strings.Replace(path, "{"+name+"}", url.PathEscape(text), 1)
		}
	}
	if strings.Contains(path, "{") || len(query.Encode()) > 10_000 {
		return nil, false
	}
	var content io.Reader
	if route.HasBody() {
		text, err := json.Marshal(body)
		if err != nil || len(text) > 4<<20 {
			return nil, false
		}
		content = bytes.NewReader(text)
	}
	return httptest.NewRequest(route.Method, path+"?"+query.Encode(), content), true
}

// urlText is a value as a URL can hold it.
func urlText(s *huma.Schema, v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), s != nil && s.Type == huma.TypeBoolean
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), s != nil && (s.Type == huma.TypeInteger || s.Type == huma.TypeNumber)
	}
	return "", false
}

func (f *fronts) overMCP(t *testing.T, op *ops.Operation, c refusal) said {
	t.Helper()
	text := f.tool(t, c.creds, op.Name, c.args)
	var out struct {
		Error json.RawMessage
		Berth *said // where the answer itself is x402's demand
	}
	err := json.Unmarshal([]byte(text), &out)
	if err == nil && out.Berth != nil {
		return *out.Berth
	}
	var e said
	if err == nil {
		err = json.Unmarshal(out.Error, &e)
	}
	if err != nil {
		t.Fatalf("MCP answers %.300s", text)
	}
	return e
}

// tool is the text that a tool answers.
func (f *fronts) tool(t *testing.T, creds []ops.Credential, name string, args opstest.Args) string {
	t.Helper()
	message, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name, "arguments": args},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := tools.WithCaller(t.Context(), tools.Caller{Creds: creds, Toolsets: []string{"all"}})
	answer, err := json.Marshal(f.mcp.HandleMessage(ctx, message))
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Result struct {
			Content []struct{ Text string }
		}
	}
	if err := json.Unmarshal(answer, &out); err != nil || len(out.Result.Content) != 1 {
		t.Fatalf("%s answers %.500s", name, answer)
	}
	return out.Result.Content[0].Text
}
