package ops

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// leastCap is the cap of a budget of nothing: zero would be no cap, and this
// buys nothing either.
const leastCap berth.Micros = 1

// SettleLocal makes the local principal, whom every process on this machine's
// socket speaks for, with its budget as a grant: the operator's own agent can't
// spend more than it was given. A larger budget later grants the difference and
// a smaller one lowers the cap; with explicit false the budget of one that
// exists is left alone.
func SettleLocal(ctx context.Context, store Store, now time.Time, budget berth.Micros, explicit bool) (account.Principal, error) {
	cap := max(budget, leastCap)
	var p account.Principal
	err := store.Read(ctx, func(rx Rx) (err error) {
		p, err = rx.LocalPrincipal(ctx)
		return err
	})
	if err == nil && (!explicit || p.Budget.Total == cap) {
		return p, nil
	}
	if err != nil && berth.CodeOf(err) != berth.NotFound {
		return p, fmt.Errorf("find the local principal: %w", err)
	}
	err = store.Write(ctx, func(tx Tx) error {
		p, err = settleLocal(ctx, tx, now, budget, cap)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("settle the local principal: %w", err)
	}
	return p, nil
}

// SettleLocal does the same for a Berth that is put together.
func (s *System) SettleLocal(ctx context.Context, budget berth.Micros, explicit bool) (account.Principal, error) {
	return SettleLocal(ctx, s.store, s.now(), budget, explicit)
}

func settleLocal(ctx context.Context, tx Tx, now time.Time, budget, cap berth.Micros) (account.Principal, error) {
	p, err := tx.LocalPrincipal(ctx)
	switch {
	case berth.CodeOf(err) == berth.NotFound && err != nil:
		p = account.NewLocalPrincipal(now)
		p.Budget.Total = cap
		err = account.Join(ctx, tx, p)
	case err == nil:
		p.Budget.Total = cap
		err = tx.UpdatePrincipal(ctx, p)
	}
	if err != nil {
		return p, err
	}
	acct, err := tx.LedgerAccount(ctx, billing.CustomerAccount(p.ID))
	if err != nil || acct.Credited >= budget {
		return p, err
	}
	_, err = billing.Grant(ctx, tx, p.ID, billing.Transfer{
		ID: string(berth.NewID(berth.PrefixTransaction, now)), Amount: budget - acct.Credited, Ref: p.ID,
		Operation: "budget", Memo: "the local budget", At: now,
	})
	return p, err
}
