package digitalocean

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"go.uber.org/goleak"

	"berth/provider"
	"berth/provider/sandbox"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// rig is a provider in front of a cloud in a box.
type rig struct {
	*Provider
	cloud  *sandbox.Cloud
	faults *sandbox.Faults
	wire   *wire
}

type setting struct {
	cloud   sandbox.Options
	account Options
}

// newRig connects the two without a network, so that it works in a bubble.
func newRig(t testing.TB, change ...func(*setting)) *rig {
	t.Helper()
	r := &rig{faults: &sandbox.Faults{}}
	s := setting{cloud: sandbox.Options{Dir: t.TempDir(), Machines: &sandbox.Empty{}, Faults: r.faults}}
	for _, f := range change {
		f(&s)
	}
	var err error
	if r.cloud, err = sandbox.Open(s.cloud); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.cloud.Close(); err != nil {
			t.Error("close the cloud:", err)
		}
	})
	if err := r.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wire = &wire{t: t, handler: r.cloud.Handler(), router: description(t)}
	s.account.Token, s.account.HTTP = r.cloud.Token(), &http.Client{Transport: r.wire}
	s.account.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	if r.Provider, err = New(s.account); err != nil {
		t.Fatal(err)
	}
	return r
}

// wire carries requests to a handler in the same process, remembers them, and
// holds each against DigitalOcean's description of its API.
type wire struct {
	t       testing.TB
	handler http.Handler
	router  routers.Router

	// slow, where set, is how long a request takes to arrive, and its answer to
	// come back.
	slow func() time.Duration

	mu      sync.Mutex
	sent    []sent
	refused int // answers that there were too many requests
}

// sent is a request that went over the wire.
type sent struct {
	method, path string
	body         map[string]any
}

func (w *wire) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	body, err := w.record(r)
	if err != nil {
		return nil, err
	}
	w.validate(r, body)
	arrived := r.Clone(r.Context())
	arrived.Body, arrived.RequestURI = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI()
	defer func() {
		if gone := recover(); gone == http.ErrAbortHandler {
			answer, err = nil, io.ErrUnexpectedEOF // the connection dropped
		} else if gone != nil {
			panic(gone)
		}
	}()
	recorder := httptest.NewRecorder()
	w.travel()
	w.handler.ServeHTTP(recorder, arrived)
	w.travel()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	answer = recorder.Result()
	if answer.StatusCode == http.StatusTooManyRequests {
		w.mu.Lock()
		w.refused++
		w.mu.Unlock()
	}
	answer.Request = r
	return answer, nil
}

func (w *wire) travel() {
	if w.slow != nil {
		time.Sleep(w.slow()) // in a bubble this takes no time
	}
}

func (w *wire) record(r *http.Request) ([]byte, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	s := sent{method: r.Method, path: r.URL.Path}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &s.body); err != nil {
			w.t.Errorf("%s %s: the body is no JSON: %v", r.Method, r.URL, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, s)
	return body, nil
}

func (w *wire) validate(r *http.Request, body []byte) {
	plain := r.Clone(r.Context())
	plain.Body = io.NopCloser(bytes.NewReader(body))
	route, params, err := w.router.FindRoute(plain)
	if err == nil {
		err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request: plain, Route: route, PathParams: params,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		})
	}
	if err != nil {
		w.t.Errorf("%s %s is not as DigitalOcean describes it: %v", r.Method, r.URL, err)
	}
}

// total is how many requests were sent.
func (w *wire) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sent)
}

// count is how many requests with a method and a path were sent.
func (w *wire) count(method, path string) int { return len(w.bodies(method, path)) }

func (w *wire) bodies(method, path string) []map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []map[string]any
	for _, s := range w.sent {
		if s.method == method && s.path == path {
			found = append(found, s.body)
		}
	}
	return found
}

// descriptionPath is the part of DigitalOcean's OpenAPI description that the
// sandbox is held against as well.
const descriptionPath = "../sandbox/testdata/digitalocean-openapi.min.json"

var readDescription = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.FromSlash(descriptionPath))
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // any address will do
	return legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
})

func description(t testing.TB) routers.Router {
	router, err := readDescription()
	if err != nil {
		t.Fatal("read the OpenAPI description: ", err)
	}
	return router
}

// refusals is how often there were too many requests.
func (w *wire) refusals() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

// spec asks for a machine that the cloud in a box has.
func spec(tag string) provider.Spec {
	return provider.Spec{Tag: tag, Tags: []string{"fleet"}, Region: "nyc3", Size: "s-1vcpu-1gb", Image: "debian-12-x64"}
}

// on is a machine that is on.
func (r *rig) on(t *testing.T, tag string) provider.Machine {
	t.Helper()
	m, err := r.Create(t.Context(), spec(tag))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if m, err = r.Machine(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		if m.State == provider.On {
			return m
		}
		time.Sleep(time.Second) // in a bubble this takes no time
	}
	t.Fatalf("the machine is not on: %+v", m)
	return m
}
