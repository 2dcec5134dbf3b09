package ops

import (
	"context"

	"berth"
	"berth/account"
	"berth/billing"
)

// CreditIn is the input of credit_account.
type CreditIn struct {
	AccountIn
	Amount string `json:"amount" minLength:"1" maxLength:"20" doc:"USD, such as 25.00."`
	Memo   string `json:"memo,omitempty" maxLength:"200"`
}

// DebitIn is the input of debit_account.
type DebitIn struct {
	AccountIn
	Amount string `json:"amount" minLength:"1" maxLength:"20" doc:"USD, such as 25.00."`
	Memo   string `json:"memo" minLength:"1" maxLength:"200" doc:"Why, for the books and the account's statement."`
}

func (s *System) addCredits() {
	Add(s.table, Op[CreditIn, AccountView]{
		Name: "credit_account", Doc: operatorDoc("Credit an account", "Grant an account credit.", `{"account":"dev@example.com","amount":"25.00"}`, false),
		Routes: []Route{{Method: "POST", Path: "/v1/operator/accounts/{account}/credit", Status: 200}},
		Access: Operator, Commit: s.creditAccount,
	})
	Add(s.table, Op[DebitIn, AccountView]{
		Name: "debit_account", Doc: operatorDoc("Debit an account", "Take back credit that was granted by mistake, never more than can be spent.", `{"account":"dev@example.com","amount":"25.00","memo":"credited twice"}`, false),
		Routes: []Route{{Method: "POST", Path: "/v1/operator/accounts/{account}/debit", Status: 200}},
		Access: Operator, Commit: s.debitAccount,
	})
}

func (s *System) creditAccount(ctx context.Context, tx Tx, _ *Request, in CreditIn, _ Plan) (AccountView, Effect, error) {
	p, err := findAccount(ctx, tx, in.Account)
	if err != nil {
		return AccountView{}, Effect{}, err
	}
	if p.Kind == account.Local {
		return AccountView{}, Effect{}, budgeted()
	}
	if err := s.grant(ctx, tx, p.ID, in.Amount, in.Memo); err != nil {
		return AccountView{}, Effect{}, err
	}
	out, err := s.viewAccount(ctx, tx, p)
	return out, Effect{Ref: p.ID}, err
}

// debitAccount corrects a credit by a transfer of its own: what is in the books
// stays there.
func (s *System) debitAccount(ctx context.Context, tx Tx, _ *Request, in DebitIn, _ Plan) (AccountView, Effect, error) {
	p, err := findAccount(ctx, tx, in.Account)
	if err != nil {
		return AccountView{}, Effect{}, err
	}
	if p.Kind == account.Local {
		return AccountView{}, Effect{}, budgeted()
	}
	if err := s.takeBack(ctx, tx, p.ID, in.Amount, in.Memo); err != nil {
		return AccountView{}, Effect{}, err
	}
	out, err := s.viewAccount(ctx, tx, p)
	return out, Effect{Ref: p.ID}, err
}

// budgeted refuses to move the local account's money by hand.
func budgeted() error {
	return berth.Errorf(berth.Conflict, "the local account's money is its budget").
		Hinted("change it where hosts start berth: BERTH_BUDGET, or berth mcp --budget")
}

func someAmount(text string) (berth.Micros, error) {
	m, err := parseAmount("amount", text)
	if err == nil && m == 0 {
		err = wrongField("amount", "must be more than nothing")
	}
	return m, err
}

// grant credits a principal on the operator's word.
func (s *System) grant(ctx context.Context, tx Tx, to berth.ID, amount, memo string) error {
	m, err := someAmount(amount)
	if err != nil {
		return err
	}
	_, err = billing.Grant(ctx, tx, to, billing.Transfer{
		ID: string(berth.NewID(berth.PrefixTransaction, s.now())), Amount: m, Ref: to, Operation: "credit_account", Memo: memo, At: s.now(),
	})
	return err
}

// takeBack debits a principal on the operator's word, by at most what it can
// spend.
func (s *System) takeBack(ctx context.Context, tx Tx, from berth.ID, amount, memo string) error {
	m, err := someAmount(amount)
	if err != nil {
		return err
	}
	if err := tx.LockPrincipal(ctx, from); err != nil {
		return err
	}
	acct, err := tx.LedgerAccount(ctx, billing.CustomerAccount(from))
	if err != nil {
		return err
	}
	if m > acct.Available() {
		return berth.Errorf(berth.InsufficientBalance, "%s USD can't be taken from the %s USD that can be spent", m, acct.Available()).
			Hinted("take at most %s USD; %s USD more are held for work under way", acct.Available(), acct.Held)
	}
	_, err = billing.TakeBack(ctx, tx, from, billing.Transfer{
		ID: string(berth.NewID(berth.PrefixTransaction, s.now())), Amount: m, Ref: from, Operation: "debit_account", Memo: memo, At: s.now(),
	})
	return err
}
