package api_test

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
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"berth/api"
	"berth/ops"
	"berth/ops/opstest"
)

// rig is a live server over a whole Berth. Every answer that it gives is held
// against its own OpenAPI document.
type rig struct {
	*opstest.World
	t      *testing.T
	server *httptest.Server
	router routers.Router
	ready  atomic.Bool
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{World: opstest.New(t), t: t}
	r.ready.Store(true)
	r.server = httptest.NewServer(api.New(api.Options{
		System: r.System, Now: r.Clock.Now, Version: "test", Log: slog.New(slog.DiscardHandler), Credentials: credentials,
		Ready: func(context.Context) error {
			if !r.ready.Load() {
				return errors.New("still starting")
			}
			return nil
		},
	}))
	t.Cleanup(r.server.Close)
	router, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	r.router = router
	return r
}

// credentials takes a bearer token; "operator" and "local" stand for the
// processes of this machine.
func credentials(r *http.Request) []ops.Credential {
	switch token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); {
	case !ok:
		return nil
	case token == "operator":
		return opstest.Operator
	default:
		return []ops.Credential{{Scheme: ops.BearerScheme, Token: token}}
	}
}

// documented is the description that answers are held against: the golden file,
// which TestDocument compares with the table's. Validating it takes long.
var documented = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("testdata/openapi.json")
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc, openapi3.EnableExamplesValidation())
})

func (r *rig) get(path string) []byte {
	r.t.Helper()
	res, err := r.server.Client().Get(r.server.URL + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("GET %s: %d %v", path, res.StatusCode, err)
	}
	return body
}

// answer is what the server answered.
type answer struct {
	*http.Response
	body []byte
}

// into reads a JSON answer.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%d %.500s: %v", a.StatusCode, a.body, err)
	}
}

// problem is a problem document.
func (a answer) problem(t *testing.T) (p api.Problem) {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("%d is a %s: %.300s", a.StatusCode, got, a.body)
	}
	a.into(t, &p)
	return p
}

// send makes a request; headers are pairs of names and values.
func (r *rig) send(method, path, token string, body io.Reader, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, r.server.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := r.server.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	a := answer{res, text}
	r.check(req, a)
	return a
}

// call sends a JSON object.
func (r *rig) call(method, path, token string, args opstest.Args, headers ...string) answer {
	r.t.Helper()
	if args == nil {
		return r.send(method, path, token, nil, headers...)
	}
	text, err := json.Marshal(args)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.send(method, path, token, bytes.NewReader(text), append(headers, "Content-Type", "application/json")...)
}

// check holds an answer against the document. What the document does not
// describe, such as the operator's routes, passes.
func (r *rig) check(req *http.Request, a answer) {
	r.t.Helper()
	if r.router == nil {
		return
	}
	route, params, err := r.router.FindRoute(req)
	if err != nil {
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 a.StatusCode, Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true,
			// The library knows no events; the tests of streams read them.
			ExcludeResponseBody: a.Header.Get("Content-Type") == "text/event-stream",
		},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		r.t.Errorf("%s %s: the answer is not as documented: %.1500v", req.Method, req.URL.Path, err)
	}
}

// onRoute is the path, the query and the body of a call on a route.
func onRoute(op *ops.Operation, route ops.Route, args opstest.Args) (path string, body opstest.Args) {
	path, body = route.Path, opstest.Args{}
	query := url.Values{}
	for name, v := range args {
		_, fixed := route.Fixed[name]
		text, isText := v.(string)
		switch {
		case fixed || contains(route.Omit, name):
		case strings.Contains(path, "{"+name+"}"):
			path = strings.Replace(path, "{"+name+"}", url.PathEscape(text), 1)
		case route.HasBody():
			body[name] = v
		case isText:
			query.Set(name, text)
		default:
			b, err := json.Marshal(v)
			if err == nil {
				query.Set(name, string(b))
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if !route.HasBody() {
		body = nil
	}
	return path, body
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
