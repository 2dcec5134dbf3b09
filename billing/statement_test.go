package billing_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth"
	"berth/billing"
)

// statement is the statement of a customer between two days of the test.
func statement(t *testing.T, s store, customer berth.ID, from, to time.Time) (st billing.Statement, err error) {
	t.Helper()
	err = s.Read(t.Context(), func(rx billing.Rx) error {
		st, err = billing.ReadStatement(t.Context(), rx, customer, from, to)
		return err
	})
	return st, err
}

// lived is a ledger of a customer with one movement a day.
func lived(t *testing.T) (m *memory, customer berth.ID, day func(int) time.Time) {
	t.Helper()
	m, customer = funded(t, 100)
	day = func(n int) time.Time { return now.AddDate(0, 0, n) }
	purse := billing.CustomerAccount(customer)
	for i, tr := range []billing.Transfer{
		{ID: "hold", Kind: billing.Pending, Debit: purse, Credit: billing.Revenue, Amount: 60, Reason: billing.ReasonPurchase, Ref: "srv_1"},
		{ID: "part", Kind: billing.Post, Pending: "hold", Amount: 45},
		{ID: "extend", Kind: billing.Direct, Debit: purse, Credit: billing.Revenue, Amount: 15, Reason: billing.ReasonExtension, Operation: "extend"},
		{ID: "again", Kind: billing.Pending, Debit: purse, Credit: billing.Revenue, Amount: 30, Reason: billing.ReasonPurchase},
		{ID: "failed", Kind: billing.Void, Pending: "again", Memo: "no capacity"},
		{ID: "sorry", Kind: billing.Direct, Debit: billing.Refunds, Credit: purse, Amount: 5, Reason: billing.ReasonRefund},
	} {
		tr.At = day(i + 1)
		if _, err := record(t.Context(), m, tr); err != nil {
			t.Fatal(err)
		}
	}
	return m, customer, day
}

func TestStatement(t *testing.T) {
	m, customer, day := lived(t)
	type line struct {
		ID                           string
		Debit, Credit, Balance, Held berth.Micros
	}
	all := []line{
		{"funds", 0, 100, 100, 0},
		{"hold", 0, 0, 100, 60},
		{"part", 45, 0, 55, 0},
		{"extend", 15, 0, 40, 0},
		{"again", 0, 0, 40, 30},
		{"failed", 0, 0, 40, 0},
		{"sorry", 0, 5, 45, 0},
	}
	for name, c := range map[string]struct {
		from, to time.Time
		opening  billing.Balance
		lines    []line
		closing  billing.Balance
		totals   []billing.ReasonTotal
	}{
		"everything": {
			time.Time{},
			time.Time{},
			billing.Balance{},
			all,
			billing.Balance{Balance: 45},
			[]billing.ReasonTotal{
				{Reason: billing.ReasonGrant, Credit: 100},
				{Reason: billing.ReasonPurchase, Debit: 45},
				{Reason: billing.ReasonExtension, Debit: 15},
				{Reason: billing.ReasonRefund, Credit: 5},
			},
		},
		"the middle: the start is in it, the end is not": {
			day(2), day(4),
			billing.Balance{Balance: 100, Held: 60},
			all[2:4],
			billing.Balance{Balance: 40},
			[]billing.ReasonTotal{
				{Reason: billing.ReasonPurchase, Debit: 45},
				{Reason: billing.ReasonExtension, Debit: 15},
			},
		},
		"up to an open hold": {
			day(4), day(5),
			billing.Balance{Balance: 40},
			all[4:5],
			billing.Balance{Balance: 40, Held: 30},
			[]billing.ReasonTotal{{Reason: billing.ReasonPurchase}},
		},
		"later": {
			day(7), time.Time{}, billing.Balance{Balance: 45}, nil, billing.Balance{Balance: 45}, nil,
		},
		"before": {
			time.Time{}, day(0), billing.Balance{}, nil, billing.Balance{}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := statement(t, m, customer, c.from, c.to)
			if err != nil {
				t.Fatal(err)
			}
			var lines []line
			for _, l := range s.Lines {
				lines = append(lines, line{l.ID, l.Debit, l.Credit, l.Balance, l.Held})
			}
			if diff := cmp.Diff(c.lines, lines); diff != "" {
				t.Error(diff)
			}
			if s.Opening != c.opening || s.Closing != c.closing {
				t.Errorf("from %+v to %+v; want from %+v to %+v", s.Opening, s.Closing, c.opening, c.closing)
			}
			if s.Totals == nil || s.Lines == nil {
				t.Error("empty lists are nil: they would be null in JSON")
			}
			if diff := cmp.Diff(append([]billing.ReasonTotal{}, c.totals...), s.Totals); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatementIsBounded(t *testing.T) {
	m, customer := funded(t, 100)
	purse := billing.CustomerAccount(customer)
	// Straight into the store: recording looks each id up, which takes a scan here.
	fill := func(n int) {
		for range n {
			i := len(m.entries)
			err := m.InsertTransfer(t.Context(), billing.Transfer{
				ID: fmt.Sprint("gift-", i), Kind: billing.Direct, Debit: billing.Grants, Credit: purse,
				Amount: 1, Reason: billing.ReasonGrant, At: now,
			})
			if err != nil {
				t.Fatal(err)
			}
			a := m.accounts[purse]
			a.Credited++
			m.accounts[purse] = a
		}
	}
	fill(billing.MaxStatementLines - 1)
	s, err := statement(t, m, customer, time.Time{}, time.Time{})
	if err != nil || len(s.Lines) != billing.MaxStatementLines || s.Opening != (billing.Balance{}) {
		t.Fatalf("%d lines from %+v, %v", len(s.Lines), s.Opening, err)
	}
	mustVerify(t, m) // many pages, with gaps in their numbers
	fill(1)
	if _, err := statement(t, m, customer, time.Time{}, time.Time{}); berth.CodeOf(err) != berth.TooLarge {
		t.Errorf("one line too many: error = %v", err)
	}
	if s, err := statement(t, m, customer, now.Add(time.Second), time.Time{}); err != nil || len(s.Lines) != 0 {
		t.Errorf("a shorter period: %d lines, %v", len(s.Lines), err)
	}
}

func TestStatementPropagatesFailures(t *testing.T) {
	m, customer, _ := lived(t)
	m.failing = context.DeadlineExceeded
	if _, err := statement(t, m, customer, time.Time{}, time.Time{}); err == nil {
		t.Error("a failing store gives a statement")
	}
}
