package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"berth/ops"
)

// accountKeys are `berth account key …`.
type accountKeys struct {
	List   keyList   `cmd:"" help:"An account's API keys."`
	Create keyCreate `cmd:"" help:"Make a further API key."`
	Revoke keyRevoke `cmd:"" help:"Revoke an API key."`
}

type keyCreate struct {
	where
	output
	accountName
	Name          string `help:"What it is for." default:"key"`
	Budget        string `help:"USD that may ever be spent by it." placeholder:"USD"`
	BudgetPerCall string `name:"budget-per-call" help:"USD that one call may cost." placeholder:"USD"`
}

// Run makes the key.
func (c *keyCreate) Run(ctx context.Context) error {
	in := map[string]string{"name": c.Name, "budget_total": c.Budget, "budget_per_call": c.BudgetPerCall}
	var out ops.APIKeyView
	if err := c.ask(ctx, http.MethodPost, c.path("/keys"), in, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "Id\t%s\nAccount\t%s\nAPI key\t%s\n\t(shown once: keep it)\n", out.ID, out.AccountID, out.Secret)
	})
}

type keyList struct {
	where
	output
	accountName
}

// Run lists the keys.
func (c *keyList) Run(ctx context.Context) error {
	var out ops.APIKeysOut
	if err := c.ask(ctx, http.MethodGet, c.path("/keys"), nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintln(w, "KEY\tNAME\tMADE\tREVOKED")
		for _, k := range out.Keys {
			revoked := ""
			if k.RevokedAt != nil {
				revoked = k.RevokedAt.Local().Format(time.DateTime)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.ID, k.Name, k.CreatedAt.Local().Format(time.DateTime), revoked)
		}
	})
}

type keyRevoke struct {
	where
	output
	Key string `arg:"" help:"Its id (akey_…)."`
}

// Run revokes the key.
func (c *keyRevoke) Run(ctx context.Context) error {
	var out ops.APIKeyView
	if err := c.ask(ctx, http.MethodDelete, "/v1/operator/keys/"+url.PathEscape(c.Key), nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) { fmt.Fprintf(w, "%s is revoked\n", out.ID) })
}
