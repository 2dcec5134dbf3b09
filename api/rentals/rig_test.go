package rentals_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"berth"
	"berth/api"
	"berth/api/apitest"
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
	t     *testing.T
	front *apitest.Front
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{World: opstest.New(t), t: t}
	r.serve()
	return r
}

// serve serves the world as it is now, with further routes in the contract.
func (r *rig) serve(further ...api.ContractRoute) {
	r.front = apitest.Serve(r.t, r.World, rentals.Contract(), further...)
}

// sell serves the world with another catalog.
func (r *rig) sell(c *billing.Catalog) {
	r.Restart(c)
	r.serve()
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
	res := r.front.Send(method, path, token, body, headers...)
	r.front.Into(res, &a)
	a.status, a.header = res.Status, res.Header
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
