package api

import (
	"net/http"
	"strings"
	"time"

	"berth"
	"berth/billing"
	"berth/ops"
)

// Contract is the HTTP interface of another system, which Berth serves as its
// document has it. It only translates: each route makes calls of operations and
// words their answers, and their errors, as the document does.
type Contract struct {
	Name   billing.Contract
	Title  string
	Base   string // what its paths begin with; empty for the root
	Guide  string // what an agent needs to know of it: Markdown, its part of llms.txt
	Routes []ContractRoute

	// Refuse words an error as the document has it: a status and the body. It may
	// set headers.
	Refuse func(h http.Header, e *berth.Error) (status int, body any)
	// Wallets says that only a wallet's payment tells who calls; else an API key
	// or an access token does, as bearer.
	Wallets bool
	// Observe is told of each request that a route has answered; nil for nobody.
	Observe func(Observation)
}

// Observation is how a request to a contract's route went.
type Observation struct {
	Route  ContractRoute
	Status int
	Took   time.Duration
	Paid   bool // money moved
}

// ContractRoute is one endpoint of a contract.
type ContractRoute struct {
	Method  string
	Path    string // after the contract's base
	Status  int    // of success
	Summary string
	Open    bool  // needs no identity
	Errors  []int // the statuses that its document lists, beside those that all have

	// Price is what each call costs by the contract's price list, beside what it
	// buys; nil for nothing.
	Price func(*billing.PriceList) berth.Micros
	// Query, Body and Answer are values of the types of what is sent and
	// answered; nil where there is none.
	Query, Body, Answer any
	// Probe are the inputs of the operation for which a request without a
	// credential and without a body is asked to pay.
	Probe Probe

	// Serve carries a request out and returns what is answered.
	Serve func(*Exchange) (any, error)
}

// Probe is an operation with inputs whose price stands for a request that names
// none.
type Probe struct {
	Op   string
	Args map[string]any
}

// served is one contract's route as a handler.
func (a *API) contractRoute(c *Contract, route ContractRoute) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{Request: r, api: a, contract: c, route: route, header: w.Header()}
		began, status := a.Now(), route.Status
		if out, err := x.serve(w); err != nil {
			status = a.refuse(w, r, c, err)
		} else {
			w.Header().Set("Cache-Control", "no-store")
			a.write(w, status, out)
		}
		if c.Observe != nil {
			c.Observe(Observation{Route: route, Status: status, Took: a.Now().Sub(began), Paid: x.paid})
		}
	}
}

// refuse answers with an error in a contract's own words, and tells the status.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, c *Contract, err error) int {
	e := a.refusal(r, err)
	if e == nil {
		w.WriteHeader(statusGone)
		return statusGone
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if e.Code == berth.Unauthenticated {
		h.Set("WWW-Authenticate", bearerRealm)
	}
	retryAfter(h, e)
	status, body := c.Refuse(h, e)
	a.write(w, status, body)
	return status
}

// contractOf is the contract to which a path belongs that no route matches: its
// words are what the client understands. Nil for the native one.
func (a *API) contractOf(path string) *Contract {
	var best *Contract
	for i := range a.Contracts {
		c := &a.Contracts[i]
		if c.owns(path) && (best == nil || len(c.Base) > len(best.Base)) {
			best = c
		}
	}
	return best
}

// owns tells whether a path begins as the contract's do.
func (c *Contract) owns(path string) bool {
	if c.Base != "" {
		return path == c.Base || strings.HasPrefix(path, c.Base+"/")
	}
	head, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for _, route := range c.Routes {
		first, _, _ := strings.Cut(strings.TrimPrefix(route.Path, "/"), "/")
		if first == head {
			return true
		}
	}
	return false
}

// credentials are those of a request that the contract takes.
func (c *Contract) credentials(a *API, r *http.Request) []ops.Credential {
	if !c.Wallets {
		return a.Credentials(r)
	}
	var list []ops.Credential
	for _, cred := range wallets(r) {
		if cred.Scheme == ops.X402Scheme || cred.Scheme == ops.X402V1Scheme {
			list = append(list, cred)
		}
	}
	return list
}
