package storage

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"berth"
	"berth/billing"
	"berth/storage/db"
)

// maxEntries is billing.Filter's bound.
const maxEntries = 1000

// LedgerAccount implements billing.Rx.
func (rx *Rx) LedgerAccount(ctx context.Context, id billing.AccountID) (billing.Account, error) {
	row, err := rx.q.LedgerAccount(ctx, string(id))
	if errors.Is(err, sql.ErrNoRows) {
		return billing.Account{ID: id}, nil
	}
	if err != nil {
		return billing.Account{}, err
	}
	return toLedgerAccount(row)
}

// LedgerAccounts implements billing.Rx: in the order of their ids.
func (rx *Rx) LedgerAccounts(ctx context.Context) ([]billing.Account, error) {
	rows, err := rx.q.LedgerAccounts(ctx)
	return all(rows, err, toLedgerAccount)
}

// LedgerTotals implements billing.Rx: in the order of their accounts. It reads
// the whole ledger, and once begun it does not heed the context.
func (rx *Rx) LedgerTotals(ctx context.Context) ([]billing.Totals, error) {
	rows, err := rx.q.LedgerTotals(ctx)
	return all(rows, err, toTotals)
}

// Transfer implements billing.Rx.
func (rx *Rx) Transfer(ctx context.Context, id string) (billing.Transfer, error) {
	row, err := rx.q.Transfer(ctx, id)
	return one(row, err, toTransfer, "no such transfer: %s", id)
}

// Resolution implements billing.Rx.
func (rx *Rx) Resolution(ctx context.Context, pending string) (billing.Transfer, error) {
	row, err := rx.q.Resolution(ctx, sql.NullString{String: pending, Valid: true})
	return one(row, err, toTransfer, "the transfer %s is not resolved", pending)
}

// Entries implements billing.Rx.
func (rx *Rx) Entries(ctx context.Context, f billing.Filter) ([]billing.Entry, error) {
	most, err := limit(f.Limit, maxEntries)
	if err != nil {
		return nil, err
	}
	before, since := f.Before, toMicros(f.Since)
	if before == 0 {
		before = math.MaxInt64
	}
	if f.Since.IsZero() {
		since = math.MinInt64
	}
	rows, err := rx.entries(ctx, f, before, since, most)
	return all(rows, err, toEntry)
}

// entries chooses the query whose index fits the filter.
func (rx *Rx) entries(ctx context.Context, f billing.Filter, before, since int64, most int32) ([]db.Transfer, error) {
	account, ref := string(f.Account), string(f.Ref)
	switch {
	case account != "" && ref != "":
		return rx.q.EntriesOfRefAndAccount(ctx, db.EntriesOfRefAndAccountParams{
			Account: account, Ref: ref, Before: before, Since: since, Max: most,
		})
	case account != "":
		return rx.q.EntriesOfAccount(ctx, db.EntriesOfAccountParams{Account: account, Before: before, Since: since, Max: most})
	case ref != "":
		return rx.q.EntriesOfRef(ctx, db.EntriesOfRefParams{Ref: ref, Before: before, Since: since, Max: most})
	}
	return rx.q.Entries(ctx, db.EntriesParams{Before: before, Since: since, Max: most})
}

// Spent implements billing.Rx. For a principal it takes the state of its
// account, less its refunds and what was taken back; for a key it adds up all that the key has moved.
func (rx *Rx) Spent(ctx context.Context, principal, key berth.ID) (berth.Micros, error) {
	id := billing.CustomerAccount(principal)
	if key != "" {
		return rx.spentByKey(ctx, string(id), string(key))
	}
	account, err := rx.LedgerAccount(ctx, id)
	if err != nil {
		return 0, err
	}
	refunds, err := rx.q.RefundsOfAccount(ctx, string(id))
	if err != nil {
		return 0, err
	}
	back, err := rx.q.TakenBackFromAccount(ctx, string(id))
	if err != nil {
		return 0, err
	}
	payouts, err := rx.q.PayoutsOfAccount(ctx, string(principal))
	return account.Debited + account.Held - berth.Micros(refunds+back+payouts), err
}

func (rx *Rx) spentByKey(ctx context.Context, account, key string) (berth.Micros, error) {
	debits, err := rx.q.DebitsOfKey(ctx, db.DebitsOfKeyParams{Account: account, Key: key})
	if err != nil {
		return 0, err
	}
	refunds, err := rx.q.RefundsOfKey(ctx, db.RefundsOfKeyParams{Account: account, Key: key})
	return berth.Micros(debits - refunds), err
}

// InsertTransfer implements billing.Tx. A taken id and a second resolution are
// conflicts; the resolution of a transfer that is not there is berth.NotFound.
func (tx *Tx) InsertTransfer(ctx context.Context, t billing.Transfer) error {
	err := tx.q.InsertTransfer(ctx, db.InsertTransferParams{
		ID:        t.ID,
		Kind:      string(t.Kind),
		Debit:     string(t.Debit),
		Credit:    string(t.Credit),
		Amount:    int64(t.Amount),
		Pending:   sql.NullString{String: t.Pending, Valid: t.Pending != ""},
		Reason:    string(t.Reason),
		Ref:       string(t.Ref),
		Operation: t.Operation,
		Memo:      t.Memo,
		Key:       string(t.Key),
		At:        toMicros(t.At),
	})
	switch {
	case violationOf(err) == missing:
		return berth.Errorf(berth.NotFound, "no such transfer: %s", t.Pending).Because(err)
	case t.Pending != "":
		return conflict(err, "the transfer %s is recorded, or %s is resolved, already", t.ID, t.Pending)
	}
	return conflict(err, "the transfer %s is recorded already", t.ID)
}

// PutLedgerAccount implements billing.Tx. A customer's or an escrow's account
// that would fall below zero is berth.InsufficientBalance.
func (tx *Tx) PutLedgerAccount(ctx context.Context, a billing.Account) error {
	err := tx.q.PutLedgerAccount(ctx, db.PutLedgerAccountParams{
		ID:       string(a.ID),
		Credited: int64(a.Credited),
		Debited:  int64(a.Debited),
		Held:     int64(a.Held),
	})
	if violationOf(err) == check {
		return berth.Errorf(berth.InsufficientBalance, "the balance of %s does not cover it", a.ID).Because(err)
	}
	return err
}

func toLedgerAccount(r db.LedgerAccount) (billing.Account, error) {
	return billing.Account{
		ID:       billing.AccountID(r.ID),
		Credited: berth.Micros(r.Credited),
		Debited:  berth.Micros(r.Debited),
		Held:     berth.Micros(r.Held),
	}, nil
}

func toTotals(r db.LedgerTotalsRow) (billing.Totals, error) {
	return billing.Totals{
		Account:  billing.AccountID(r.Account),
		Credited: berth.Micros(r.Credited),
		Debited:  berth.Micros(r.Debited),
		Held:     berth.Micros(r.Held),
	}, nil
}

func toTransfer(r db.Transfer) (billing.Transfer, error) {
	return billing.Transfer{
		ID:        r.ID,
		Kind:      billing.TransferKind(r.Kind),
		Debit:     billing.AccountID(r.Debit),
		Credit:    billing.AccountID(r.Credit),
		Amount:    berth.Micros(r.Amount),
		Pending:   r.Pending.String,
		Reason:    billing.Reason(r.Reason),
		Ref:       berth.ID(r.Ref),
		Operation: r.Operation,
		Memo:      r.Memo,
		Key:       berth.ID(r.Key),
		At:        fromMicros(r.At),
	}, nil
}

func toEntry(r db.Transfer) (billing.Entry, error) {
	t, err := toTransfer(r)
	return billing.Entry{Seq: r.Seq, Transfer: t}, err
}
