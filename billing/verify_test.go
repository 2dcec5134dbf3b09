package billing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"berth"
	"berth/billing"
)

// busy is a ledger in which everything has happened: it verifies.
func busy(t *testing.T) (*memory, billing.AccountID) {
	t.Helper()
	m, customer := funded(t, 100)
	purse := billing.CustomerAccount(customer)
	for _, tr := range []billing.Transfer{
		{ID: "fee", Kind: billing.Direct, Amount: 10},
		{ID: "first", Kind: billing.Pending, Amount: 30},
		{ID: "second", Kind: billing.Pending, Amount: 30},
		{ID: "third", Kind: billing.Pending, Amount: 30},
		{ID: "captured", Kind: billing.Post, Pending: "first", Amount: 20},
		{ID: "released", Kind: billing.Void, Pending: "second"},
	} {
		if tr.Pending == "" {
			tr.Debit, tr.Credit, tr.Reason = purse, billing.Revenue, billing.ReasonService
		}
		if _, err := record(t.Context(), m, tr); err != nil {
			t.Fatal(err)
		}
	}
	return m, purse
}

func TestVerifyReport(t *testing.T) {
	m, purse := busy(t)
	report, err := verify(t.Context(), m)
	if err != nil || !report.OK() {
		t.Fatalf("%v, %q", err, report.Problems)
	}
	if report.Transfers != 7 || report.OpenHolds != 1 || report.Held != 30 || report.Credited != 130 || report.Debited != 130 {
		t.Errorf("report = %+v", report)
	}
	want := []billing.Totals{
		{Account: purse, Credited: 100, Debited: 30, Held: 30},
		{Account: billing.Grants, Debited: 100},
		{Account: billing.Revenue, Credited: 30},
	}
	if fmt.Sprint(report.Accounts) != fmt.Sprint(want) {
		t.Errorf("accounts = %v, want %v", report.Accounts, want)
	}
	if report, err := verify(t.Context(), newMemory()); err != nil || !report.OK() || report.Accounts == nil {
		t.Errorf("an empty ledger: %+v, %v", report, err)
	}
}

// TestVerifyFindsDamage breaks a good ledger in every way that Verify promises
// to find.
func TestVerifyFindsDamage(t *testing.T) {
	entry := func(m *memory, id string) *billing.Entry {
		for i := range m.entries {
			if m.entries[i].ID == id {
				return &m.entries[i]
			}
		}
		panic("no entry " + id)
	}
	insert := func(m *memory, tr billing.Transfer) {
		tr.At = now
		if err := m.InsertTransfer(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(m *memory, purse billing.AccountID)
		want   string
	}{
		"a changed amount": {
			func(m *memory, _ billing.AccountID) { entry(m, "fee").Amount = 9 },
			"is stored as",
		},
		"a changed balance": {
			func(m *memory, purse billing.AccountID) {
				a := m.accounts[purse]
				a.Credited++
				m.accounts[purse] = a
			},
			"is stored as +0.000101",
		},
		"a lost account": {
			func(m *memory, purse billing.AccountID) { delete(m.accounts, purse) },
			"is stored as +0.00 -0.00",
		},
		"an account from nowhere": {
			func(m *memory, _ billing.AccountID) {
				id := billing.CustomerAccount(berth.NewID(berth.PrefixAccount, now))
				m.accounts[id] = billing.Account{ID: id, Credited: 5}
			},
			"is stored as +0.000005",
		},
		"a balance below zero": {
			func(m *memory, purse billing.AccountID) {
				m.accounts[purse] = billing.Account{ID: purse, Debited: 1}
			},
			"is stored with -0.000001 available",
		},
		"a system account with a balance": {
			func(m *memory, _ billing.AccountID) {
				m.accounts[billing.Revenue] = billing.Account{ID: billing.Revenue, Credited: 30}
			},
			"revenue is a system account",
		},
		"a lost transfer": {
			func(m *memory, _ billing.AccountID) { m.entries = m.entries[1:] },
			"falls to -0.00001",
		},
		"money that was not there": {
			func(m *memory, purse billing.AccountID) {
				insert(m, billing.Transfer{
					ID: "theft", Kind: billing.Direct, Debit: purse, Credit: billing.Revenue, Amount: 41, Reason: billing.ReasonService,
				})
			},
			"transfer theft: " + "customer:",
		},
		"a hold resolved twice": {
			func(m *memory, _ billing.AccountID) {
				again := entry(m, "captured").Transfer
				again.ID = "again"
				insert(m, again)
			},
			"transfer again: a post of first, which is no open hold",
		},
		"a capture of more than was held": {
			func(m *memory, _ billing.AccountID) { entry(m, "captured").Amount = 31 },
			"transfer captured: a post of 0.000031",
		},
		"a void of a part": {
			func(m *memory, _ billing.AccountID) { entry(m, "released").Amount = 29 },
			"transfer released: a void of 0.000029",
		},
		"a capture to elsewhere": {
			func(m *memory, _ billing.AccountID) { entry(m, "captured").Credit = billing.Grants },
			"transfer captured: a post between other accounts",
		},
		"a malformed transfer": {
			func(m *memory, _ billing.AccountID) { entry(m, "fee").Reason = "fun" },
			"transfer fee: invalid_input",
		},
		"numbers out of order": {
			func(m *memory, _ billing.AccountID) { entry(m, "fee").Seq = entry(m, "first").Seq },
			"transfer first has the number",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, purse := busy(t)
			c.damage(m, purse)
			report, err := verify(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(report.Problems, "\n"), c.want) {
				t.Errorf("problems = %q, want one that says %q", report.Problems, c.want)
			}
		})
	}
}

func TestVerifyBoundsItsReport(t *testing.T) {
	m, _ := busy(t)
	for range 150 {
		if err := m.InsertTransfer(t.Context(), billing.Transfer{ID: "empty"}); err != nil {
			t.Fatal(err)
		}
	}
	report, err := verify(t.Context(), m)
	if err != nil || len(report.Problems) != 100 || report.Omitted != 50 {
		t.Errorf("%d problems and %d omitted, %v", len(report.Problems), report.Omitted, err)
	}
}

func TestVerifyPropagatesFailures(t *testing.T) {
	m, _ := busy(t)
	m.failing = errors.New("disk on fire")
	if _, err := verify(t.Context(), m); !errors.Is(err, m.failing) {
		t.Errorf("error = %v", err)
	}
}
