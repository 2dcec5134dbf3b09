package ops

import (
	"context"
	"fmt"

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
func (s *System) SettleLocal(ctx context.Context, budget berth.Micros, explicit bool) (account.Principal, error) {
	cap := max(budget, leastCap)
	var p account.Principal
	err := s.store.Read(ctx, func(rx Rx) (err error) {
		p, err = rx.LocalPrincipal(ctx)
		return err
	})
	if err == nil && (!explicit || p.Budget.Total == cap) {
		return p, nil
	}
	if err != nil && berth.CodeOf(err) != berth.NotFound {
		return p, fmt.Errorf("find the local principal: %w", err)
	}
	err = s.store.Write(ctx, func(tx Tx) error {
		p, err = s.settleLocal(ctx, tx, budget, cap)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("settle the local principal: %w", err)
	}
	return p, nil
}

func (s *System) settleLocal(ctx context.Context, tx Tx, budget, cap berth.Micros) (account.Principal, error) {
	p, err := tx.LocalPrincipal(ctx)
	switch {
	case berth.CodeOf(err) == berth.NotFound && err != nil:
		p = account.NewLocalPrincipal(s.now())
		p.Budget.Total = cap
		err = tx.InsertPrincipal(ctx, p)
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
		ID: string(berth.NewID(berth.PrefixTransaction, s.now())), Amount: budget - acct.Credited, Ref: p.ID,
		Operation: "budget", Memo: "the local budget", At: s.now(),
	})
	return p, err
}
