// Package rentals serves the contract of servers that are rented by the day and
// shared in pools: a marketplace, rentals and their extension, pools with members
// and invitations. It only translates: prices, roles and lifecycle are Berth's own.
package rentals

import (
	_ "embed"
	"net/http"
	"slices"

	"berth"
	"berth/api"
	"berth/billing"
)

//go:embed guide.md
var guide string

const base = "/api/v1"

// Contract is the contract, served under /api/v1.
func Contract() api.Contract {
	return api.Contract{
		Name: billing.Rentals, Title: "Rentals: servers by the day, shared in pools", Base: base, Guide: guide, Refuse: refuse,
		Routes: slices.Concat(poolRoutes(), memberRoutes(), rentalRoutes(), marketRoutes()),
	}
}

// envelope is what every answer comes in.
type envelope[T any] struct {
	Status  int    `json:"statusCode"`
	Message string `json:"message"`
	Data    T      `json:"data"`
}

// done is what answers hold that tell nothing but that it was done.
type done struct {
	Success bool `json:"success"`
}

// said is a route whose answers come in the envelope, with the document's message.
func said[T any](message string, route api.ContractRoute, serve func(*api.Exchange) (T, error)) api.ContractRoute {
	route.Answer = envelope[T]{}
	route.Serve = func(x *api.Exchange) (any, error) {
		data, err := serve(x)
		return envelope[T]{route.Status, message, data}, err
	}
	return route
}

// one is a route about one thing: another's, and what is no id, is not found.
func one(method, path, summary string, errors ...int) api.ContractRoute {
	return api.ContractRoute{Method: method, Path: path, Status: http.StatusOK, Summary: summary, Errors: append(errors, http.StatusNotFound)}
}

// digits is an id as the document has it: without its kind.
func digits(id berth.ID) string { return id.Hex() }
