package billing_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"berth"
	"berth/billing"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// store runs transactions on a ledger.
type store interface {
	Read(ctx context.Context, fn func(billing.Rx) error) error
	Write(ctx context.Context, fn func(billing.Tx) error) error
}

// memory is a ledger in memory. Its parts can be broken at will.
type memory struct {
	entries  []billing.Entry // oldest first
	accounts map[billing.AccountID]billing.Account
	failing  error // what every read answers, if set
}

func newMemory() *memory {
	return &memory{accounts: make(map[billing.AccountID]billing.Account)}
}

func (m *memory) Read(_ context.Context, fn func(billing.Rx) error) error { return fn(m) }

// Write undoes what a failing fn did.
func (m *memory) Write(_ context.Context, fn func(billing.Tx) error) error {
	entries, accounts := len(m.entries), maps.Clone(m.accounts)
	err := fn(m)
	if err != nil {
		m.entries, m.accounts = m.entries[:entries], accounts
	}
	return err
}

func (m *memory) LedgerAccount(_ context.Context, id billing.AccountID) (billing.Account, error) {
	a := m.accounts[id]
	a.ID = id
	return a, m.failing
}

func (m *memory) Transfer(_ context.Context, id string) (billing.Transfer, error) {
	return m.find(func(e billing.Entry) bool { return e.ID == id })
}

func (m *memory) Resolution(_ context.Context, pending string) (billing.Transfer, error) {
	return m.find(func(e billing.Entry) bool { return e.Pending == pending })
}

func (m *memory) find(is func(billing.Entry) bool) (billing.Transfer, error) {
	if m.failing != nil {
		return billing.Transfer{}, m.failing
	}
	if i := slices.IndexFunc(m.entries, is); i >= 0 {
		return m.entries[i].Transfer, nil
	}
	return billing.Transfer{}, berth.Errorf(berth.NotFound, "no such transfer")
}

func (m *memory) Entries(_ context.Context, f billing.Filter) ([]billing.Entry, error) {
	var found []billing.Entry
	for _, e := range slices.Backward(m.entries) {
		wanted := (f.Account == "" || e.Debit == f.Account || e.Credit == f.Account) &&
			(f.Ref == "" || e.Ref == f.Ref) && !e.At.Before(f.Since) && (f.Before == 0 || e.Seq < f.Before)
		if wanted && len(found) < f.Limit {
			found = append(found, e)
		}
	}
	return found, m.failing
}

func (m *memory) LedgerTotals(context.Context) ([]billing.Totals, error) {
	totals := make(map[billing.AccountID]billing.Totals)
	add := func(id billing.AccountID, credited, debited, held berth.Micros) {
		t := totals[id]
		totals[id] = billing.Totals{Account: id, Credited: t.Credited + credited, Debited: t.Debited + debited, Held: t.Held + held}
	}
	resolved := make(map[string]bool)
	for _, e := range m.entries {
		resolved[e.Pending] = true
	}
	for _, e := range m.entries {
		switch {
		case e.Kind == billing.Direct || e.Kind == billing.Post:
			add(e.Debit, 0, e.Amount, 0)
			add(e.Credit, e.Amount, 0, 0)
		case e.Kind == billing.Pending && !resolved[e.ID]:
			add(e.Debit, 0, 0, e.Amount)
		}
	}
	return slices.Collect(maps.Values(totals)), m.failing
}

func (m *memory) LedgerAccounts(context.Context) ([]billing.Account, error) {
	return slices.Collect(maps.Values(m.accounts)), m.failing
}

func (m *memory) InsertTransfer(_ context.Context, t billing.Transfer) error {
	// Every third number is left out, as a store may do.
	n := int64(len(m.entries))
	m.entries = append(m.entries, billing.Entry{Seq: n + n/2 + 1, Transfer: t})
	return nil
}

func (m *memory) PutLedgerAccount(_ context.Context, a billing.Account) error {
	m.accounts[a.ID] = a
	return nil
}

// Spent, Quote and InsertQuote are no part of the ledger: nothing here calls
// them.
func (m *memory) Spent(context.Context, berth.ID, berth.ID) (berth.Micros, error) {
	panic("not called")
}

func (m *memory) Quote(context.Context, berth.ID) (billing.Quote, error) { panic("not called") }

func (m *memory) InsertQuote(context.Context, billing.Quote) error { panic("not called") }

// record records a transfer, stamped with now where it has no time.
func record(ctx context.Context, s store, t billing.Transfer) (recorded billing.Transfer, err error) {
	if t.At.IsZero() {
		t.At = now
	}
	err = s.Write(ctx, func(tx billing.Tx) error {
		recorded, err = billing.Record(ctx, tx, t)
		return err
	})
	return recorded, err
}

// verify is the store's report.
func verify(ctx context.Context, s store) (report billing.Report, err error) {
	err = s.Read(ctx, func(rx billing.Rx) error {
		report, err = billing.Verify(ctx, rx)
		return err
	})
	return report, err
}

// funded is a ledger with a customer who has some money.
func funded(t *testing.T, balance berth.Micros) (*memory, berth.ID) {
	t.Helper()
	m, customer := newMemory(), berth.NewID(berth.PrefixAccount, now)
	_, err := record(t.Context(), m, billing.Transfer{
		ID: "funds", Kind: billing.Direct, Debit: billing.Grants, Credit: billing.CustomerAccount(customer),
		Amount: balance, Reason: billing.ReasonGrant,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, customer
}
