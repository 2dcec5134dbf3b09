package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"berth"
	"berth/account"
	"berth/billing"
)

// covered checks that the caller can pay a price: by the payment that came
// along, or by the balance.
func (t task) covered(ctx context.Context, rx Rx, plan Plan) error {
	price := plan.Price.Total
	paying := t.claim != nil && t.claim.Amount > 0
	switch {
	case t.op.Credits && t.payment != nil:
		return nil // it is somebody's credit by now
	case t.op.Credits && !paying:
		return t.demandTopUp(price)
	case !paying || t.payment != nil:
		return t.afford(ctx, rx, price)
	}
	if err := t.matches(ctx, rx, plan); err != nil || t.op.Credits {
		return err
	}
	return t.capped(ctx, rx, t.req, price)
}

// afford checks the caller's balance and caps against a price.
func (t task) afford(ctx context.Context, rx Rx, price berth.Micros) error {
	if price == 0 {
		return nil
	}
	p := t.req.Principal
	acct, err := rx.LedgerAccount(ctx, billing.CustomerAccount(p.ID))
	if err != nil {
		return err
	}
	if have := acct.Available(); have < price {
		e := berth.Errorf(berth.InsufficientBalance, "%s costs %s USD and the balance is %s USD", t.op.Name, price, have)
		e.Payment = &berth.Demand{Amount: price, Balance: &have, Challenges: []berth.Challenge{}}
		if p.Kind == account.OfWallet && t.cashier.Takes() {
			if e.Payment.Challenges, err = t.cashier.Offers(t.ask(price)); err != nil {
				return err
			}
			return e.Hinted("pay from your wallet, as the challenges say, or buy less")
		}
		if t.cashier.Takes() {
			return e.Hinted("buy less, or top up by %s USD: top_up (POST /v1/topups) takes a payment from any wallet", price-have)
		}
		return e.Hinted("buy less, or have the operator add credit: berth account credit %s %s", p.ID, price-have)
	}
	return t.capped(ctx, rx, t.req, price)
}

// capped checks the caps of the caller and of its key against a price.
func (s *System) capped(ctx context.Context, rx Rx, r *Request, price berth.Micros) error {
	budgets := []struct {
		budget account.Budget
		key    berth.ID
		who    string
	}{
		{r.Principal.Budget, "", "the account " + string(r.Principal.ID)},
		{r.Key.Budget, r.Key.ID, "the API key " + string(r.Key.ID)},
	}
	for _, b := range budgets {
		if b.budget == (account.Budget{}) {
			continue
		}
		spent, err := rx.Spent(ctx, r.Principal.ID, b.key)
		if err != nil {
			return err
		}
		if err := billing.CheckBudget(b.budget, spent, price, b.who); err != nil {
			return err
		}
	}
	return nil
}

// receive takes what the call costs, and writes the receipt for it; nil where
// nothing was due.
func (t task) receive(ctx context.Context, tx Tx, plan Plan, effect Effect) (receipt *Receipt, err error) {
	if receipt = t.credited(plan); receipt == nil {
		receipt, err = t.takeAll(ctx, tx, plan, effect)
	}
	if err != nil || receipt == nil {
		return nil, err
	}
	acct, err := tx.LedgerAccount(ctx, billing.CustomerAccount(t.req.Principal.ID))
	receipt.Balance = acct.Available()
	return receipt, err
}

// takeAll takes the money for each thing that was bought by itself. The receipt is
// for all of it.
func (t task) takeAll(ctx context.Context, tx Tx, plan Plan, effect Effect) (receipt *Receipt, err error) {
	for _, share := range effect.shares(t.req.Charge, plan.Price) {
		taken, err := t.take(ctx, tx, plan, share)
		if err != nil || taken == nil {
			return nil, err
		}
		if receipt == nil {
			receipt = taken
		}
	}
	receipt.Amount = plan.Price.Total
	return receipt, nil
}

// take moves the money of one share: a hold that its action resolves, or a charge;
// and a deposit into the escrow of the server that it is for.
func (t task) take(ctx context.Context, tx Tx, plan Plan, share Share) (*Receipt, error) {
	receipt, err := t.escrow(ctx, tx, plan, share)
	if err != nil || share.Charge == "" {
		return receipt, err
	}
	tr := billing.Transfer{
		ID: share.Charge, Kind: billing.Direct, Debit: billing.CustomerAccount(t.req.Principal.ID), Credit: billing.Revenue,
		Amount: share.Price.Total - share.Price.Deposit, Reason: plan.Reason, Ref: share.Ref, Operation: t.op.Name, Memo: plan.Memo,
		Key: t.req.Key.ID, At: t.now(),
	}
	receipt = t.receipt(tr.ID, share.Price.Total, "charged")
	if plan.Hold {
		tr.Kind = billing.Pending
		receipt.Status = "held"
	}
	if _, err := billing.Record(ctx, tx, tr); err != nil {
		return nil, err
	}
	return receipt, nil
}

// escrow moves the part of a price that is a deposit.
func (t task) escrow(ctx context.Context, tx Tx, plan Plan, share Share) (*Receipt, error) {
	if share.Price.Deposit == 0 {
		return nil, nil
	}
	id, err := billing.Deposit(ctx, tx, t.req.Principal.ID, share.Ref, billing.Transfer{
		ID: string(berth.NewID(berth.PrefixTransaction, t.now())), Amount: share.Price.Deposit, Operation: t.op.Name,
		Memo: plan.Memo, Key: t.req.Key.ID, At: t.now(),
	})
	return t.receipt(id, share.Price.Total, "held"), err
}

func (t task) receipt(transaction string, amount berth.Micros, status string) *Receipt {
	r := &Receipt{Transaction: transaction, Amount: amount, Status: status, Rail: "balance"}
	if t.payment != nil {
		r.Rail, r.Payment = t.claim.Rail, t.payment.paid()
	}
	return r
}

// honour replaces the price by a quote's, where the call names one that is for
// exactly this.
func (t task) honour(ctx context.Context, rx Rx, plan *Plan) error {
	if t.call.Quote == "" {
		return nil
	}
	q, err := rx.Quote(ctx, t.call.Quote)
	if err != nil {
		return noQuote(t.call.Quote, err)
	}
	terms, err := json.Marshal(plan.Terms)
	if err != nil {
		return fmt.Errorf("the terms of %s: %w", t.op.Name, err)
	}
	if err := q.Check(t.now(), t.req.Principal.ID, t.op.Name, terms); err != nil {
		return noQuote(q.ID, err)
	}
	plan.Price = q.Price
	return nil
}

// noQuote says the same of a quote that is not there and of somebody else's;
// other errors stay as they are.
func noQuote(id berth.ID, err error) error {
	var e *berth.Error
	if !errors.As(err, &e) || e.Code != berth.NotFound {
		return err
	}
	out := berth.Errorf(berth.NotFound, "no such quote: %.64s", string(id)).Hinted("ask for a new one by quote")
	out.Foreign = e.Foreign
	return out
}
