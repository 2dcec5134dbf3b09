// Package api serves the operations over HTTP: the native contract under /v1,
// its OpenAPI document, and the pages around it. It only translates: every
// request becomes a call to ops.Dispatch, every result an HTTP answer.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"berth"
	"berth/ops"
)

// Options adjust an API. System, Credentials, Ready, Now and Log must be set.
type Options struct {
	System *ops.System
	// Credentials are what a request brings to prove who sends it.
	Credentials func(*http.Request) []ops.Credential
	// Ready tells whether requests can be served well.
	Ready     func(context.Context) error
	Contracts []Contract // beside the native one
	Contact   string     // how the operator is reached; empty where that is not known
	PublicURL string     // as agents reach it; empty: as each request names it
	Version   string
	Now       berth.Clock
	Log       *slog.Logger
}

// API is the HTTP front. It is safe for concurrent use.
type API struct {
	Options
	mux *http.ServeMux
}

// New makes the front, with a route for each route of each operation.
func New(o Options) *API {
	a := &API{Options: o, mux: http.NewServeMux()}
	for _, op := range o.System.Table().All() {
		for _, route := range op.Routes {
			a.mux.Handle(route.Method+" "+route.Path, a.endpoint(op, route))
		}
	}
	for i := range a.Contracts {
		c := &a.Contracts[i]
		for _, route := range c.Routes {
			a.mux.Handle(route.Method+" "+c.Base+route.Path, a.contractRoute(c, route))
		}
	}
	a.mux.HandleFunc("GET /{$}", a.home)
	a.mux.HandleFunc("GET /docs", a.docs)
	a.mux.HandleFunc("GET /docs/custom-requests", a.custom)
	a.mux.HandleFunc("GET /docs/{contract}", a.ofContract(a.docs, a.contractDocs))
	a.mux.HandleFunc("GET /docs/{contract}/openapi.json", a.ofContract(a.openAPI, a.contractOpenAPI))
	a.mux.HandleFunc("GET /docs/{contract}/llms.txt", a.ofContract(a.nativeGuide, a.contractGuide))
	a.mux.HandleFunc("GET /openapi.json", a.openAPI)
	a.mux.HandleFunc("GET /llms.txt", a.llms)
	a.mux.HandleFunc("GET /healthz", a.healthz)
	a.mux.HandleFunc("GET /readyz", a.readyz)
	a.mux.HandleFunc("/", a.unknown)
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	openToPages(w.Header())
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel that net/http panics with
				panic(v)
			}
			a.Log.ErrorContext(r.Context(), "handler panicked", slog.Any("panic", v), slog.String("path", r.URL.Path))
			a.stray(w, r, berth.Errorf(berth.Internal, "the request could not be carried out for a reason of Berth's own"))
		}
	}()
	a.mux.ServeHTTP(w, r)
}

// unknown answers what no route matches, and says which methods a known path
// has instead.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{"DELETE", "GET", "PATCH", "POST", "PUT"} {
		probe := *r
		probe.Method = m
		if _, pattern := a.mux.Handler(&probe); pattern != "/" && m != r.Method {
			allowed = append(allowed, m)
		}
	}
	if allowed != nil && r.Method == http.MethodOptions {
		options(w, allowed)
		return
	}
	if allowed != nil {
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		a.stray(w, r, berth.Errorf(berth.MethodNotAllowed, "%.20s is no method of %s", r.Method, r.URL.Path).
			Hinted("use %s; see /openapi.json for what they do", list))
		return
	}
	a.stray(w, r, berth.Errorf(berth.NotFound, "there is nothing at %s", r.URL.Path).Hinted("see /docs or /openapi.json for what there is"))
}

// stray answers a request that no route of a contract can answer, in its words.
func (a *API) stray(w http.ResponseWriter, r *http.Request, e *berth.Error) {
	if c := a.contractOf(r.URL.Path); c != nil {
		e.Hint = strings.ReplaceAll(e.Hint, " /openapi.json", " /docs/"+string(c.Name)+"/openapi.json")
		a.refuse(w, r, c, e)
		return
	}
	a.fail(w, r, e)
}

func (a *API) healthz(w http.ResponseWriter, _ *http.Request) {
	a.write(w, http.StatusOK, map[string]string{"status": "ok", "version": a.Version})
}

func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	if err := a.Ready(r.Context()); err != nil {
		e := berth.Errorf(berth.Unavailable, "not ready: %v", err)
		a.fail(w, r, e)
		return
	}
	a.write(w, http.StatusOK, map[string]string{"status": "ready", "version": a.Version})
}

// base is the URL that agents reach this server by.
func (a *API) base(r *http.Request) string {
	if a.PublicURL != "" {
		return a.PublicURL
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
