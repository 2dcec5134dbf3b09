// Package apitest serves a contract over a whole Berth for tests, and holds each
// answer of its routes against the contract's own OpenAPI document.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"berth/api"
	"berth/billing"
	"berth/ops"
	"berth/ops/opstest"
)

// Front is one contract over a world. It ends with its test.
type Front struct {
	t      testing.TB
	server *httptest.Server
	base   string
	router routers.Router
}

// Serve serves a contract over a world as it is now, with further routes that its
// document does not have.
func Serve(t testing.TB, w *opstest.World, c api.Contract, further ...api.ContractRoute) *Front {
	t.Helper()
	router, err := document(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Routes = append(c.Routes, further...)
	f := &Front{t: t, base: c.Base, router: router}
	f.server = httptest.NewServer(api.New(api.Options{
		System: w.System, Now: w.Clock.Now, Version: "test", Log: slog.New(slog.DiscardHandler), Credentials: bearer,
		Ready: func(context.Context) error { return nil }, Contracts: []api.Contract{c},
	}))
	t.Cleanup(f.server.Close)
	return f
}

func bearer(r *http.Request) []ops.Credential {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	return []ops.Credential{{Scheme: ops.BearerScheme, Token: token}}
}

// documents are the routers of the contracts' descriptions, which take long to
// make.
var documents sync.Map // by billing.Contract

func document(c api.Contract) (routers.Router, error) {
	if r, ok := documents.Load(c.Name); ok {
		return r.(routers.Router), nil
	}
	text, err := json.Marshal(api.ContractDocument(&c, billing.DefaultCatalog().Prices[c.Name], "test"))
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	r, err := legacy.NewRouter(doc)
	if err == nil {
		documents.Store(c.Name, r)
	}
	return r, err
}

// Answer is an answer with its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Send sends a request to a path after the contract's base, with a token as bearer
// where it is not empty. A body is sent as JSON, or as it stands where it is a
// string; headers are names and values in turn.
func (f *Front) Send(method, path, token string, body any, headers ...string) Answer {
	f.t.Helper()
	var from io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		from = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			f.t.Fatal(err)
		}
		from = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.server.URL+f.base+path, from)
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := f.server.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	f.check(req, res, text)
	return Answer{res.StatusCode, res.Header, text}
}

// Into reads an answer's JSON.
func (f *Front) Into(a Answer, v any) {
	f.t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		f.t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
}

// check holds an answer against the description, where that has its route.
func (f *Front) check(req *http.Request, res *http.Response, body []byte) {
	f.t.Helper()
	route, params, err := f.router.FindRoute(req)
	if err != nil {
		if res.StatusCode < 400 {
			f.t.Logf("%s %s is not described: %v", req.Method, req.URL.Path, err)
		}
		return
	}
	err = openapi3filter.ValidateResponse(f.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		f.t.Errorf("%s %s: %d is not as described: %.1000v", req.Method, req.URL.Path, res.StatusCode, err)
	}
}
