package billing

import (
	"context"
	"time"

	"berth"
)

// Hold reserves t.Amount of a principal's balance for revenue, until Capture or
// Release; it fills kind and accounts. What is free holds nothing: for an
// amount of zero the id is empty, which Capture and Release take for "nothing
// to do". For errors see Record.
func Hold(ctx context.Context, tx Tx, principal berth.ID, t Transfer) (id string, err error) {
	t.Kind, t.Debit, t.Credit = Pending, CustomerAccount(principal), Revenue
	return move(ctx, tx, t)
}

// Capture takes all that a hold reserved: what it was for is delivered.
func Capture(ctx context.Context, tx Tx, hold string, at time.Time) error {
	return resolve(ctx, tx, Transfer{ID: hold + ":capture", Kind: Post, Pending: hold, At: at})
}

// Release gives back all that a hold reserved: what it was for failed. The memo
// says why.
func Release(ctx context.Context, tx Tx, hold, memo string, at time.Time) error {
	return resolve(ctx, tx, Transfer{ID: hold + ":release", Kind: Void, Pending: hold, Memo: memo, At: at})
}

// Charge takes t.Amount of a principal's balance at once, for something that is
// delivered in the same transaction; it fills kind and accounts. For an amount
// of zero nothing moves and the id is empty.
func Charge(ctx context.Context, tx Tx, principal berth.ID, t Transfer) (id string, err error) {
	t.Kind, t.Debit, t.Credit = Direct, CustomerAccount(principal), Revenue
	return move(ctx, tx, t)
}

// Grant credits a principal's balance on the operator's word; it fills kind,
// accounts and reason.
func Grant(ctx context.Context, tx Tx, principal berth.ID, t Transfer) (Transfer, error) {
	t.Kind, t.Debit, t.Credit, t.Reason = Direct, Grants, CustomerAccount(principal), ReasonGrant
	return Record(ctx, tx, t)
}

// TakeBack debits a principal's balance on the operator's word, to correct a
// grant; it fills kind, accounts and reason. It counts as no spending.
func TakeBack(ctx context.Context, tx Tx, principal berth.ID, t Transfer) (Transfer, error) {
	t.Kind, t.Debit, t.Credit, t.Reason = Direct, CustomerAccount(principal), Grants, ReasonGrant
	return Record(ctx, tx, t)
}

// Refund gives back t.Amount of what was captured for something that failed
// later; it fills kind, accounts and reason. For an amount of zero nothing
// moves and the id is empty.
func Refund(ctx context.Context, tx Tx, principal berth.ID, t Transfer) (id string, err error) {
	t.Kind, t.Debit, t.Credit, t.Reason = Direct, Refunds, CustomerAccount(principal), ReasonRefund
	return move(ctx, tx, t)
}

// Deposit moves t.Amount of a principal's balance into a server's escrow; it
// fills kind, accounts, reason and reference. For an amount of zero nothing
// moves and the id is empty.
func Deposit(ctx context.Context, tx Tx, principal, server berth.ID, t Transfer) (id string, err error) {
	t.Kind, t.Debit, t.Credit = Direct, CustomerAccount(principal), EscrowAccount(server)
	t.Reason, t.Ref = ReasonDeposit, server
	return move(ctx, tx, t)
}

// Meter moves t.Amount from a server's escrow to revenue: so much was used. It
// fills and does nothing as Deposit does.
func Meter(ctx context.Context, tx Tx, server berth.ID, t Transfer) (id string, err error) {
	t.Kind, t.Debit, t.Credit = Direct, EscrowAccount(server), Revenue
	t.Reason, t.Ref = ReasonUsage, server
	return move(ctx, tx, t)
}

// Return moves t.Amount from a server's escrow back to a principal's balance.
// It fills and does nothing as Deposit does.
func Return(ctx context.Context, tx Tx, principal, server berth.ID, t Transfer) (id string, err error) {
	t.Kind, t.Debit, t.Credit = Direct, EscrowAccount(server), CustomerAccount(principal)
	t.Reason, t.Ref = ReasonRefund, server
	return move(ctx, tx, t)
}

// move records a transfer, and nothing at all for an amount of zero.
func move(ctx context.Context, tx Tx, t Transfer) (string, error) {
	if t.Amount == 0 {
		return "", nil
	}
	t, err := Record(ctx, tx, t)
	return t.ID, err
}

// resolve records a post or void, and nothing at all for an empty hold.
func resolve(ctx context.Context, tx Tx, t Transfer) error {
	if t.Pending == "" {
		return nil
	}
	_, err := Record(ctx, tx, t)
	return err
}
