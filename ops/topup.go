package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// TopUpIn is the input of top_up.
type TopUpIn struct {
	Amount  string `json:"amount" minLength:"1" maxLength:"20" doc:"USD, such as 10.00."`
	Account string `json:"account,omitempty" minLength:"1" maxLength:"100" doc:"Whose balance: an account's id, username or wallet. Default: your own."`
}

// TopUpOut is what top_up answers.
type TopUpOut struct {
	AccountID berth.ID      `json:"account_id" doc:"Whose balance was credited."`
	Username  string        `json:"username,omitempty"`
	Amount    berth.Micros  `json:"amount"`
	Balance   *berth.Micros `json:"balance,omitempty" doc:"What can be spent now, where the account is yours."`
	Currency  string        `json:"currency" example:"USD"`
}

func (s *System) addTopUp() {
	Add(s.table, Op[TopUpIn, TopUpOut]{
		Name: "top_up",
		Doc: Doc{
			Title: "Top up a balance", Toolset: "more", Tag: "Money",
			Text: fmt.Sprintf("Credit a balance by a wallet's payment of exactly the amount, from %s to %s USD: your own, or anybody's by its username. The 402 says how to pay.",
				s.catalog.TopUp.Minimum, s.catalog.TopUp.Maximum),
			Example: `{"amount":"10.00","account":"acct_0193f2a4c1d05e6f7a8b9c0d"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/topups", Status: http.StatusCreated}},
		Access: Identified, Credits: true, Plan: s.planTopUp, Commit: s.topUp,
	})
}

// planTopUp finds whom to credit. A caller who is nobody yet is shown the price:
// its own account is known, or made, when its wallet pays.
func (s *System) planTopUp(ctx context.Context, rx Rx, r *Request, in TopUpIn) (Plan, error) {
	amount, err := parseAmount("amount", in.Amount)
	if err != nil {
		return Plan{}, err
	}
	if err := s.catalog.TopUp.Check(amount); err != nil {
		return Plan{}, err
	}
	if !s.cashier.Takes() {
		return Plan{}, berth.Errorf(berth.Forbidden, "this Berth takes no payments from wallets").Hinted("the operator adds credit: berth account credit")
	}
	plan := Plan{Price: billing.Price{Total: amount}, Reason: billing.ReasonPayment}
	to := r.Principal
	if in.Account != "" {
		if to, err = payee(ctx, rx, in.Account); err != nil {
			return Plan{}, err
		}
		if to.ID != r.Principal.ID {
			plan.Credit = to.ID
		}
	}
	switch {
	case to.Kind == account.Local:
		return Plan{}, berth.Errorf(berth.Conflict, "the local account's money is its budget").
			Hinted("raise it where hosts start berth: BERTH_BUDGET, or berth mcp --budget")
	case to.Suspended:
		return Plan{}, berth.Errorf(berth.Conflict, "the account %s can't be topped up now", to.ID).Hinted("its owner may ask the operator why")
	}
	return plan, nil
}

// payee is the account with an id, a username or a wallet. E-mail addresses are
// not looked up: that would tell everybody who has an account.
func payee(ctx context.Context, rx Rx, name string) (p account.Principal, err error) {
	p, err = account.Principal{}, berth.Errorf(berth.NotFound, "")
	if id, perr := berth.ParseID(berth.PrefixAccount, name); perr == nil {
		p, err = rx.Principal(ctx, id)
	} else if w, perr := berth.ParseWallet(name); perr == nil {
		p, err = rx.PrincipalByWallet(ctx, w)
	} else if name, perr := account.ParseUsername(name); perr == nil {
		p, err = rx.PrincipalByUsername(ctx, name)
	}
	if err != nil && berth.CodeOf(err) == berth.NotFound {
		return p, berth.Errorf(berth.NotFound, "no such account: %.100s", name).Hinted("name it by its id (acct_…), its username or its wallet's address (0x…)")
	}
	return p, err
}

// topUp tells what the payment has done: Dispatch has credited it.
func (s *System) topUp(ctx context.Context, tx Tx, r *Request, in TopUpIn, plan Plan) (TopUpOut, Effect, error) {
	to := r.Principal
	if plan.Credit != "" {
		var err error
		if to, err = tx.Principal(ctx, plan.Credit); err != nil {
			return TopUpOut{}, Effect{}, err
		}
	}
	acct, err := tx.LedgerAccount(ctx, billing.CustomerAccount(to.ID))
	if err != nil {
		return TopUpOut{}, Effect{}, err
	}
	out := TopUpOut{AccountID: to.ID, Username: to.Username, Amount: plan.Price.Total, Currency: "USD"}
	if to.ID == r.Principal.ID {
		have := acct.Available()
		out.Balance = &have
	}
	data, err := json.Marshal(map[string]any{"amount": plan.Price.Total, "balance": acct.Available()})
	if err != nil {
		return out, Effect{}, fmt.Errorf("the event of a top-up: %w", err)
	}
	_, err = tx.AppendEvent(ctx, fleet.Event{Principal: to.ID, Kind: fleet.EventBalanceToppedUp, Subject: to.ID, Data: data, At: s.now()})
	return out, Effect{Ref: to.ID}, err
}

// demandTopUp asks for the payment, whoever calls: no balance pays for credit.
func (t task) demandTopUp(price berth.Micros) error {
	offers, err := t.cashier.Offers(t.ask(price))
	if err != nil {
		return err
	}
	e := berth.Errorf(berth.PaymentRequired, "%s takes a payment of %s USD from a wallet", t.op.Name, price).
		Hinted("sign one of the challenges with any wallet and repeat the request with it; send a key as Berth-Key beside Authorization: Payment")
	e.Payment = &berth.Demand{Amount: price, Challenges: offers}
	return e
}

// credited is the receipt of a payment that became credit, nil where none did.
func (t task) credited(plan Plan) *Receipt {
	if !t.op.Credits || t.payment == nil {
		return nil
	}
	return &Receipt{
		Transaction: string(t.payment.payment.ID), Amount: plan.Price.Total, Status: "credited",
		Rail: t.claim.Rail, Payment: t.payment.paid(),
	}
}
