// Package hourly serves the contract of servers by the hour: an account is an
// e-mail address and a password, and its servers are paid from its balance hour
// by hour until they are deleted. It only translates: prices, ownership and
// lifecycle are Berth's own.
package hourly

import (
	_ "embed"
	"slices"

	"berth/api"
	"berth/billing"
)

//go:embed guide.md
var guide string

// Contract is the contract, served at the root.
func Contract() api.Contract {
	return api.Contract{
		Name: billing.Hourly, Title: "Hourly: an e-mail account and its balance", Guide: guide, Refuse: refuse,
		Routes: slices.Concat(accountRoutes(), serverRoutes(), backupRoutes()),
	}
}

// done is what deletions answer. The work goes on.
type done struct {
	OK bool `json:"ok"`
}
