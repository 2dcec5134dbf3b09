package rentals_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth"
	"berth/api"
	"berth/api/rentals"
	"berth/billing"
	"berth/ops"
	"berth/ops/opstest"
)

// in is a JSON object.
type in = map[string]any

// rig is the contract, served over a whole Berth.
type rig struct {
	*opstest.World
	t      *testing.T
	server *httptest.Server
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{World: opstest.New(t), t: t}
	r.serve()
	return r
}

// serve serves the world as it is now, with further routes in the contract.
func (r *rig) serve(further ...api.ContractRoute) {
	c := rentals.Contract()
	c.Routes = append(c.Routes, further...)
	r.server = httptest.NewServer(api.New(api.Options{
		System: r.System, Now: r.Clock.Now, Version: "test", Log: slog.New(slog.DiscardHandler), Credentials: bearer,
		Ready: func(context.Context) error { return nil }, Contracts: []api.Contract{c},
	}))
	r.t.Cleanup(r.server.Close)
}

// sell serves the world with another catalog.
func (r *rig) sell(c *billing.Catalog) {
	r.Restart(c)
	r.serve()
}

func bearer(r *http.Request) []ops.Credential {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	return []ops.Credential{{Scheme: ops.BearerScheme, Token: token}}
}

// answer is an answer's envelope, with the status line's status.
type answer struct {
	status  int
	header  http.Header
	Status  int             `json:"statusCode"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// send sends a request. A body is JSON, or text as it stands; headers are names and
// values in turn.
func (r *rig) send(method, path, token string, body any, headers ...string) (a answer) {
	r.t.Helper()
	var from io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		from = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		from = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+"/api/v1"+path, from)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.server.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	a.status, a.header = res.StatusCode, res.Header
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		r.t.Fatalf("%s %s: %d: %v", method, path, res.StatusCode, err)
	}
	if a.Status != a.status || a.Message == "" || a.Data == nil {
		r.t.Errorf("%s %s: status %d in the envelope %+v", method, path, a.status, a)
	}
	return a
}

// must sends a request that must be answered with a status, and reads its data.
func (r *rig) must(p opstest.Principal, method, path string, body any, status int, data any) answer {
	r.t.Helper()
	a := r.send(method, path, p.Token, body)
	if a.status != status {
		r.t.Fatalf("%s %s: status %d, want %d: %s %s", method, path, a.status, status, a.Message, a.Data)
	}
	if data != nil {
		if err := json.Unmarshal(a.Data, data); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, a.Data)
		}
	}
	return a
}

// offer is the id of the cheapest offer.
func (r *rig) offer(p opstest.Principal) string {
	r.t.Helper()
	res, err := r.System.Dispatch(r.t.Context(), &ops.Call{Op: "list_offers", Contract: billing.Rentals, Args: in{"limit": 1}, Creds: p.Creds, Front: "http"})
	if err != nil {
		r.t.Fatal(err)
	}
	return res.Out.(ops.OffersOut).Offers[0].ID.Hex()
}

// rental rents the cheapest server for a day and waits until it is there.
func (r *rig) rental(p opstest.Principal, pool berth.ID) string {
	r.t.Helper()
	var out struct{ Rental struct{ ID string } }
	r.must(p, "POST", "/servers/"+r.offer(p)+"/rent", in{"rental_days": 1, "pool_id": pool.Hex()}, http.StatusCreated, &out)
	r.Settle()
	return out.Rental.ID
}
