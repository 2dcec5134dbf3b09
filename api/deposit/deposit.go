// Package deposit serves the contract of servers that live on a deposit: a wallet
// pays each call over x402 and is known by that, a server is metered by the
// second out of what was paid for it, and the rest returns when it is deleted. It
// only translates: prices, ownership and lifecycle are Berth's own.
package deposit

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"berth"
	"berth/account"
	"berth/api"
	"berth/billing"
)

//go:embed guide.md
var guide string

// The names that the document gives its service.
const (
	healthService = "spawn.sh"
	service       = "spawn.prim.sh"
	providerName  = "digitalocean"
)

// small is the type that servers can be created with.
const small = "small"

// Contract is the contract, served under /deposit. What it counts begins with the
// given time.
func Contract(since time.Time) api.Contract {
	m := newMetrics(since)
	routes := append(serverRoutes(), append(keyRoutes(), openRoutes(m)...)...)
	for i := range routes {
		if routes[i].Price != nil { // a payment may be on its way, or can't be made here
			routes[i].Errors = append(routes[i].Errors, http.StatusAccepted, http.StatusNotImplemented)
		}
	}
	return api.Contract{
		Name: billing.Deposits, Title: "Deposits: pay by x402, the rest returns", Base: "/deposit", Guide: guide,
		Refuse: refuse, Wallets: true, Observe: m.observe,
		Routes: routes,
	}
}

func openRoutes(m *metrics) []api.ContractRoute {
	return []api.ContractRoute{
		{Method: "GET", Path: "/{$}", Status: http.StatusOK, Summary: "Health check", Open: true, Answer: health{}, Serve: serveHealth},
		{Method: "GET", Path: "", Status: http.StatusOK, Summary: "Health check", Open: true, Answer: health{}, Serve: serveHealth},
		{Method: "GET", Path: "/pricing", Status: http.StatusOK, Summary: "Prices of all endpoints", Open: true, Answer: pricing{}, Serve: servePricing},
		{Method: "GET", Path: "/v1/metrics", Status: http.StatusOK, Summary: "Uptime, requests, payments, errors", Open: true, Answer: report{}, Serve: func(x *api.Exchange) (any, error) {
			return m.report(x.Now()), nil
		}},
	}
}

type health struct {
	Service string `json:"service"`
	Status  string `json:"status"`
}

func serveHealth(*api.Exchange) (any, error) { return health{healthService, "ok"}, nil }

// pricing is what each call costs.
type pricing struct {
	Service  string  `json:"service"`
	Currency string  `json:"currency"`
	Network  *string `json:"network" doc:"Null where this Berth takes no payments over x402."`
	Routes   []price `json:"routes"`
}

type price struct {
	Method      string       `json:"method"`
	Path        string       `json:"path"`
	Price       berth.Micros `json:"price_usdc"`
	Description string       `json:"description"`
}

func servePricing(x *api.Exchange) (any, error) {
	out := pricing{Service: service, Currency: "USDC", Routes: []price{}}
	for _, route := range x.Routes() {
		if route.Path == "" {
			continue // the same as with a slash
		}
		p := price{Method: route.Method, Path: documented(route.Path), Description: route.Summary}
		if route.Price != nil {
			p.Price = route.Price(x.Prices())
		}
		out.Routes = append(out.Routes, p)
	}
	terms, err := x.Terms("x402")
	if err != nil || terms == nil {
		return out, err
	}
	var offer struct{ Accepts []struct{ Network string } }
	if err := json.Unmarshal(terms, &offer); err != nil {
		return nil, fmt.Errorf("read the terms of x402: %w", err)
	}
	if len(offer.Accepts) > 0 {
		out.Network = &offer.Accepts[0].Network
	}
	return out, nil
}

// fee is the price of calls that have one fee.
func fee(f billing.Fee) func(*billing.PriceList) berth.Micros {
	return func(l *billing.PriceList) berth.Micros { return l.FeePrice(account.Retail, f).Total }
}

// paid is a route's work where wallets can pay; the contract has no other way.
func paid(serve func(*api.Exchange) (any, error)) func(*api.Exchange) (any, error) {
	return func(x *api.Exchange) (any, error) {
		terms, err := x.Terms("x402")
		if err == nil && terms == nil {
			err = errNoRail
		}
		if err != nil {
			return nil, err
		}
		return serve(x)
	}
}
