package opstest

import (
	"context"
	"fmt"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/ops"
)

// Operator are the credentials of the operator's own command line.
var Operator = []ops.Credential{{Scheme: ops.OperatorScheme}}

// Credit is what Principal gives everybody.
const Credit = 100 * berth.Dollar

// Principal is a principal with what proves it.
type Principal struct {
	account.Principal
	Key   account.APIKey
	Token string
	Creds []ops.Credential
}

// Principal makes a principal with credit, an API key and room for many
// servers. The changes are made before it is stored.
func (w *World) Principal(changes ...func(*account.Principal, *account.APIKey)) Principal {
	w.t.Helper()
	now := w.Clock.Now()
	n := w.next()
	p, err := account.NewEmailPrincipal(fmt.Sprintf("agent-%d@example.com", n), account.Budget{}, now)
	if err != nil {
		w.t.Fatal(err)
	}
	p.ServerLimit, p.Username = 1000, fmt.Sprintf("agent-%d", n)
	key, token, err := account.NewAPIKey(p.ID, "test", account.Budget{}, now)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, change := range changes {
		change(&p, &key)
	}
	w.Write(func(ctx context.Context, tx ops.Tx) error {
		if err := account.Join(ctx, tx, p); err != nil {
			return err
		}
		if err := tx.InsertAPIKey(ctx, key); err != nil {
			return err
		}
		_, err := billing.Grant(ctx, tx, p.ID, billing.Transfer{ID: "grant:" + string(p.ID), Amount: Credit, Ref: p.ID, At: now})
		return err
	})
	return Principal{Principal: p, Key: key, Token: token, Creds: []ops.Credential{{Scheme: ops.BearerScheme, Token: token}}}
}

// Local makes the local principal with a budget.
func (w *World) Local(budget berth.Micros) Principal {
	w.t.Helper()
	p, err := w.System.SettleLocal(context.Background(), budget, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return Principal{Principal: p, Creds: []ops.Credential{{Scheme: ops.LocalScheme}}}
}

// Write changes the store, which has to succeed.
func (w *World) Write(fn func(context.Context, ops.Tx) error) {
	w.t.Helper()
	ctx := context.Background()
	if err := w.Store.Write(ctx, func(tx ops.Tx) error { return fn(ctx, tx) }); err != nil {
		w.t.Fatal(err)
	}
}

// Read reads the store, which has to succeed.
func (w *World) Read(fn func(context.Context, ops.Rx) error) {
	w.t.Helper()
	ctx := context.Background()
	if err := w.Store.Read(ctx, func(rx ops.Rx) error { return fn(ctx, rx) }); err != nil {
		w.t.Fatal(err)
	}
}

// Balance is the ledger account of a principal.
func (w *World) Balance(p berth.ID) (a billing.Account) {
	w.t.Helper()
	w.Read(func(ctx context.Context, rx ops.Rx) (err error) {
		a, err = rx.LedgerAccount(ctx, billing.CustomerAccount(p))
		return err
	})
	return a
}
