// Package instances serves the contract of instances of chosen resources: a
// request names processors, memory, storage and GPUs on a host node, and is given
// the smallest size that has them, from a balance hour by hour. It only
// translates: prices, ownership and lifecycle are Berth's own.
package instances

import (
	_ "embed"
	"net/http"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/ops"
)

//go:embed guide.md
var guide string

// mostListed is how many things a list has: more than there are offers, and than any
// account keeps.
const mostListed = 10_000

// Contract is the contract, served under /api/v2.
func Contract() api.Contract {
	gone := []int{http.StatusNotFound}
	changed := append(gone, http.StatusConflict, http.StatusServiceUnavailable)
	return api.Contract{
		Name: billing.Instances, Title: "Instances: processors, memory, storage and GPUs of your choice", Base: "/api/v2", Guide: guide, Refuse: refuse,
		Routes: []api.ContractRoute{
			{Method: "GET", Path: "/hostnodes", Status: http.StatusOK, Summary: "List host nodes, what one instance can have there now, and prices", Open: true, Answer: document[hostnodes]{}, Serve: serveNodes},
			{Method: "GET", Path: "/hostnodes/{uuid}", Status: http.StatusOK, Summary: "Look at a host node and its ports", Open: true, Answer: document[hostnode]{}, Errors: gone, Serve: serveNode},
			{
				Method: "POST", Path: "/instances", Status: http.StatusCreated, Summary: "Create an instance: the smallest size that has the resources",
				Body: create{}, Answer: document[created]{}, Errors: changed, Serve: serveCreate,
			},
			{Method: "GET", Path: "/instances", Status: http.StatusOK, Summary: "List all instances that are not deleted", Answer: document[instances]{}, Serve: serveList},
			{Method: "GET", Path: "/instances/{id}", Status: http.StatusOK, Summary: "Look at an instance", Answer: document[instance]{}, Errors: gone, Serve: serveGet},
			{Method: "POST", Path: "/instances/{id}/start", Status: http.StatusOK, Summary: "Start a stopped instance", Answer: document[Summary]{}, Errors: changed, Serve: power("on")},
			{Method: "POST", Path: "/instances/{id}/stop", Status: http.StatusOK, Summary: "Stop an instance; it is billed on, as its disk and address are kept", Answer: document[Summary]{}, Errors: changed, Serve: power("off")},
			{Method: "DELETE", Path: "/instances/{id}", Status: http.StatusOK, Summary: "Delete an instance and its disk", Answer: document[Summary]{}, Errors: changed, Serve: serveDelete},
		},
	}
}

// document is what every answer has: its data.
type document[T any] struct {
	Data T `json:"data"`
}

// offers are the offers that satisfy list_offers' filters, the cheapest first, in
// all pages.
func offers(x *api.Exchange, filters map[string]any) ([]ops.OfferView, error) {
	return api.All(x, "list_offers", filters, mostListed, ops.OffersOut.Page)
}

// toBeHad tells whether an offer can be had now, as far as is known.
func toBeHad(o ops.OfferView) bool { return o.Available == nil || *o.Available }

// wrong is the refusal of an attribute.
func wrong(name, reason string) *berth.Error {
	return &berth.Error{
		Code: berth.InvalidInput, Message: name + ": " + reason,
		Fields: []berth.Field{{Name: within + name, Reason: reason}},
	}
}
