package ops

import (
	"context"
	"errors"
	"net/http"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// Withdrawals say whether wallets may take their credit back themselves.
type Withdrawals struct {
	Minimum berth.Micros // of one withdrawal
	Daily   berth.Micros // of each account in 24 hours; zero forbids all
}

// WithdrawIn is the input of withdraw.
type WithdrawIn struct {
	Amount string `json:"amount,omitempty" maxLength:"20" doc:"USD, such as 1.50. Default: all that can go back."`
	Rail   string `json:"rail,omitempty" enum:"mpp,x402" doc:"Default: the one that you paid over."`
}

// PayoutIn is the input of payout.
type PayoutIn struct {
	AccountIn
	WithdrawIn
}

// PaymentIn names a payment.
type PaymentIn struct {
	PaymentID string `json:"payment_id" subject:"pay" minLength:"1" maxLength:"64"`
}

// PaymentView is a wallet's payment, or a payout to it.
type PaymentView struct {
	ID        berth.ID      `json:"id" example:"pay_0193f2a4c1d05e6f7a8b9c0d"`
	Direction string        `json:"direction" enum:"in,out"`
	Amount    berth.Micros  `json:"amount"`
	Status    billing.State `json:"status" enum:"reserved,verified,broadcast,pending,settled,failed"`
	Rail      string        `json:"rail" enum:"mpp,x402"`
	Network   string        `json:"network,omitempty" example:"eip155:8453"`
	Wallet    string        `json:"wallet"`
	Hash      string        `json:"transaction_hash,omitempty"`
	Operation string        `json:"operation"`
	Reason    string        `json:"reason,omitempty" doc:"Why it failed."`
	CreatedAt time.Time     `json:"created_at"`
}

func (s *System) addWithdrawals() {
	Add(s.table, Op[WithdrawIn, PaymentView]{
		Name: "withdraw",
		Doc: Doc{
			Title: "Send credit back to your wallet", Toolset: "more", Tag: "Money",
			Text:    "Send unspent credit back to the wallet that paid it, over the rail that it came by, where the operator allows it. Follow it with get_payment. Free.",
			Example: `{"amount":"1.50"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/withdrawals", Status: http.StatusAccepted}},
		Access: Identified, Commit: s.withdraw,
	})
	Add(s.table, Op[PaymentIn, PaymentView]{
		Name: "get_payment",
		Doc: Doc{
			Title: "Look at a payment", Toolset: "more", Tag: "Money", ReadOnly: true, Idempotent: true,
			Text:    "How a payment of your wallet, or a withdrawal to it, stands. Free.",
			Example: `{"payment_id":"pay_0193f2a4c1d05e6f7a8b9c0d"}`,
		},
		Routes:  []Route{{Method: "GET", Path: "/v1/payments/{payment_id}", Status: http.StatusOK}},
		Access:  Identified,
		Subject: func(in PaymentIn) berth.ID { return berth.ID(in.PaymentID) },
		Read: func(ctx context.Context, rx Rx, _ *Request, in PaymentIn) (PaymentView, error) {
			p, err := rx.Payment(ctx, berth.ID(in.PaymentID))
			return viewPayment(p), err
		},
	})
	Add(s.table, Op[PayoutIn, PaymentView]{
		Name: "payout", Doc: operatorDoc("Send credit back to a wallet", "Send an account's unspent credit back to its wallet, over the rail that it came by.", `{"account":"0x1111111111111111111111111111111111111111"}`, false),
		Routes: []Route{{Method: "POST", Path: "/v1/operator/accounts/{account}/payouts", Status: http.StatusAccepted}},
		Access: Operator, Commit: s.payout,
	})
}

func viewPayment(p billing.Payment) PaymentView {
	v := PaymentView{
		ID: p.ID, Direction: "in", Amount: p.Claim.Amount, Status: p.State, Rail: p.Claim.Rail, Network: p.Claim.Network,
		Wallet: p.Claim.Payer.Address, Hash: p.Broadcast.Hash, Operation: p.Operation, Reason: p.Reason, CreatedAt: stamp(p.Created),
	}
	if p.Out {
		v.Direction = "out"
	}
	return v
}

func (s *System) withdraw(ctx context.Context, tx Tx, r *Request, in WithdrawIn, _ Plan) (PaymentView, Effect, error) {
	if s.withdrawals.Daily == 0 {
		return PaymentView{}, Effect{}, berth.Errorf(berth.Forbidden, "the operator of this Berth lets nobody withdraw").
			Hinted("ask the operator for a payout, or spend the credit")
	}
	if r.Key.Budget != (account.Budget{}) {
		return PaymentView{}, Effect{}, berth.Errorf(berth.Forbidden, "a key with a spending cap withdraws nothing").
			Hinted("prove yourself by your wallet, or use a key without a cap")
	}
	w, err := s.refundable(ctx, tx, r.Principal.ID, in)
	if err != nil {
		return PaymentView{}, Effect{}, err
	}
	today, err := tx.PaymentSum(ctx, r.Principal.ID, w.to, w.rail, true, s.now().Add(-24*time.Hour))
	switch left := s.withdrawals.Daily - today; {
	case err != nil:
		return PaymentView{}, Effect{}, err
	case w.amount < s.withdrawals.Minimum:
		return PaymentView{}, Effect{}, wrongField("amount", "at least "+s.withdrawals.Minimum.String()+" USD can be withdrawn at once")
	case w.amount > left:
		return PaymentView{}, Effect{}, berth.Errorf(berth.LimitReached, "%s USD are more than the %s USD that can be withdrawn in 24 hours less what was: %s", w.amount, s.withdrawals.Daily, today).
			Hinted("withdraw at most %s USD now, or ask the operator for a payout", max(0, left))
	}
	return s.begin(ctx, tx, r.Principal.ID, w)
}

func (s *System) payout(ctx context.Context, tx Tx, _ *Request, in PayoutIn, _ Plan) (PaymentView, Effect, error) {
	p, err := findAccount(ctx, tx, in.Account)
	if err != nil {
		return PaymentView{}, Effect{}, err
	}
	if err := tx.LockPrincipal(ctx, p.ID); err != nil {
		return PaymentView{}, Effect{}, err
	}
	w, err := s.refundable(ctx, tx, p.ID, in.WithdrawIn)
	if err != nil {
		return PaymentView{}, Effect{}, err
	}
	return s.begin(ctx, tx, p.ID, w)
}

// returnDeposit sends the rest of a deposit on its way back to the wallet that
// paid the call, where wallets may withdraw. What can't go now, such as less than
// a withdrawal has to be, stays as credit.
func (s *System) returnDeposit(ctx context.Context, tx Tx, r *Request, rest berth.Micros) error {
	if r.Contract != billing.Deposits || rest == 0 || s.withdrawals.Daily == 0 {
		return nil
	}
	_, _, err := s.withdraw(ctx, tx, r, WithdrawIn{Amount: rest.String()}, Plan{})
	var refusal *berth.Error
	if errors.As(err, &refusal) && refusal.Code != berth.Internal {
		return nil
	}
	return err
}

// withdrawal is money that can go back.
type withdrawal struct {
	rail   string
	to     berth.Wallet
	amount berth.Micros
}

// refundable is what of a principal's credit is to go back, over the rail that it
// came by. What was spent counts against what the wallet paid: credit that
// others gave is never paid out.
func (s *System) refundable(ctx context.Context, rx Rx, principal berth.ID, in WithdrawIn) (w withdrawal, err error) {
	wallets, err := rx.Wallets(ctx, principal)
	if err != nil {
		return w, err
	}
	if len(wallets) == 0 {
		return w, berth.Errorf(berth.Conflict, "the account %s has no wallet that money could go back to", principal).Hinted("only what wallets have paid can go back")
	}
	w.to = wallets[0]
	if in.Rail != "" && !s.cashier.PaysOut(in.Rail) {
		return w, berth.Errorf(berth.Conflict, "nothing is paid out over %s: the rail is closed", in.Rail).Hinted("leave the rail out, or ask the operator to open it")
	}
	most := berth.Micros(0)
	for _, rail := range []string{"x402", "mpp"} {
		if (in.Rail != "" && in.Rail != rail) || !s.cashier.PaysOut(rail) {
			continue
		}
		came, err := rx.PaymentSum(ctx, principal, w.to, rail, false, time.Time{})
		if err != nil {
			return w, err
		}
		went, err := rx.PaymentSum(ctx, principal, w.to, rail, true, time.Time{})
		if err != nil {
			return w, err
		}
		if came-went > most {
			w.rail, most = rail, came-went
		}
	}
	acct, err := rx.LedgerAccount(ctx, billing.CustomerAccount(principal))
	if err != nil {
		return w, err
	}
	spent, err := rx.Spent(ctx, principal, "")
	if err != nil {
		return w, err
	}
	most = max(0, min(most-spent, acct.Available()))
	if w.amount, err = parseAmount("amount", in.Amount); err != nil {
		return w, err
	}
	if in.Amount == "" {
		w.amount = most
	}
	if w.amount == 0 || w.amount > most {
		return w, berth.Errorf(berth.Conflict, "at most %s USD can go back: what the wallet paid over a rail that pays out, and is not spent", most).
			Hinted("the balance is %s USD; credit from the operator stays", acct.Available())
	}
	return w, nil
}

func (s *System) begin(ctx context.Context, tx Tx, principal berth.ID, w withdrawal) (PaymentView, Effect, error) {
	p, err := billing.BeginPayout(ctx, tx, principal, w.rail, w.to, w.amount, s.now())
	return viewPayment(p), Effect{Ref: p.ID}, err
}
