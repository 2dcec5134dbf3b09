package billing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/billing"
)

// model is the ledger as its documentation tells it, the slow and plain way: a
// list of transfers from which every answer is worked out anew.
type model struct {
	recorded []billing.Transfer
}

func (m *model) find(id string) (billing.Transfer, bool) {
	for _, t := range m.recorded {
		if t.ID == id {
			return t, true
		}
	}
	return billing.Transfer{}, false
}

func (m *model) resolution(hold string) (billing.Transfer, bool) {
	for _, t := range m.recorded {
		if hold != "" && t.Pending == hold {
			return t, true
		}
	}
	return billing.Transfer{}, false
}

// state is what an account must be.
func (m *model) state(id billing.AccountID) billing.Account {
	a := billing.Account{ID: id}
	for _, t := range m.recorded {
		_, resolved := m.resolution(t.ID)
		moved := t.Kind == billing.Direct || t.Kind == billing.Post
		if t.Credit == id && moved {
			a.Credited += t.Amount
		}
		if t.Debit == id && moved {
			a.Debited += t.Amount
		}
		if t.Debit == id && t.Kind == billing.Pending && !resolved {
			a.Held += t.Amount
		}
	}
	return a
}

const accepted berth.Code = ""

// record is what recording a well-formed transfer must answer.
func (m *model) record(t billing.Transfer) berth.Code {
	hold, found := m.find(t.Pending)
	if t.Pending != "" {
		if !found {
			return berth.NotFound
		}
		if hold.Kind != billing.Pending {
			return berth.InvalidInput
		}
		t.Debit, t.Credit, t.Reason = hold.Debit, hold.Credit, hold.Reason
		if t.Amount == 0 {
			t.Amount = hold.Amount
		}
	}
	if earlier, found := m.find(t.ID); found {
		earlier.At = t.At
		if earlier == t {
			return accepted
		}
		return berth.IdempotencyConflict
	}
	if _, resolved := m.resolution(t.Pending); resolved {
		return berth.Conflict
	}
	if t.Pending != "" && (t.Amount > hold.Amount || t.Kind == billing.Void && t.Amount < hold.Amount) {
		return berth.InvalidInput
	}
	backed := t.Debit != billing.Revenue && t.Debit != billing.Grants && t.Debit != billing.Refunds
	if s := m.state(t.Debit); t.Pending == "" && backed && s.Credited-s.Debited-s.Held < t.Amount {
		return berth.InsufficientBalance
	}
	m.recorded = append(m.recorded, t)
	return accepted
}

// machine drives a ledger and the model side by side.
type machine struct {
	store    store
	model    model
	accounts []billing.AccountID
	prefix   berth.ID // makes ids unique where a store serves many runs
	ids      int
	seen     map[berth.Code]int
}

func newMachine(s store) *machine {
	customer := func() billing.AccountID {
		return billing.CustomerAccount(berth.NewID(berth.PrefixAccount, now))
	}
	return &machine{
		store:  s,
		prefix: berth.NewID(berth.PrefixTransaction, now),
		accounts: []billing.AccountID{
			customer(), customer(), billing.EscrowAccount(berth.NewID(berth.PrefixServer, now)),
			billing.Revenue, billing.Grants, billing.Refunds,
		},
		seen: make(map[berth.Code]int),
	}
}

func (m *machine) newID() string {
	m.ids++
	return fmt.Sprintf("%s-%d", m.prefix, m.ids)
}

// try records a transfer in both and compares the answers.
func (m *machine) try(t *rapid.T, tr billing.Transfer) {
	tr.At = now.Add(time.Duration(m.ids) * time.Second)
	want := m.model.record(tr)
	got := accepted
	recorded, err := record(context.Background(), m.store, tr)
	if err != nil {
		got = berth.CodeOf(err)
	}
	if got != want {
		t.Fatalf("%+v: %q (%v), want %q", tr, got, err, want)
	}
	if want == accepted {
		if expected, _ := m.model.find(tr.ID); !recorded.At.Equal(expected.At) || recorded.Amount != expected.Amount {
			t.Fatalf("recorded as %+v, want %+v", recorded, expected)
		}
	}
	m.seen[got]++
}

// any is some transfer that was recorded before.
func (m *machine) any(t *rapid.T) billing.Transfer {
	if len(m.model.recorded) == 0 {
		t.Skip("nothing is recorded yet")
	}
	return rapid.SampledFrom(m.model.recorded).Draw(t, "earlier")
}

func (m *machine) move(t *rapid.T, kind billing.TransferKind) {
	ends := rapid.Permutation(m.accounts).Draw(t, "accounts")
	m.try(t, billing.Transfer{
		ID: m.newID(), Kind: kind, Debit: ends[0], Credit: ends[1], Reason: billing.ReasonService,
		Amount: berth.Micros(rapid.IntRange(1, 100).Draw(t, "amount")),
	})
}

// steps are what the state machine does. A resolution aims at any transfer, so
// that it also meets what is no hold and what is resolved already.
func (m *machine) steps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"direct":  func(t *rapid.T) { m.move(t, billing.Direct) },
		"pending": func(t *rapid.T) { m.move(t, billing.Pending) },
		"post": func(t *rapid.T) {
			amount := berth.Micros(rapid.IntRange(0, 100).Draw(t, "amount"))
			m.try(t, billing.Transfer{ID: m.newID(), Kind: billing.Post, Pending: m.any(t).ID, Amount: amount})
		},
		"void": func(t *rapid.T) {
			m.try(t, billing.Transfer{ID: m.newID(), Kind: billing.Void, Pending: m.any(t).ID})
		},
		"void of a part": func(t *rapid.T) {
			m.try(t, billing.Transfer{ID: m.newID(), Kind: billing.Void, Pending: m.any(t).ID, Amount: 1})
		},
		"post of nothing": func(t *rapid.T) {
			m.try(t, billing.Transfer{ID: m.newID(), Kind: billing.Post, Pending: "none"})
		},
		"replay": func(t *rapid.T) { m.try(t, m.any(t)) },
		"conflict": func(t *rapid.T) {
			tr := m.any(t)
			tr.Memo = "something else"
			m.try(t, tr)
		},
	}
}

// check compares all accounts with the model.
func (m *machine) check(t *rapid.T) {
	err := m.store.Read(context.Background(), func(rx billing.Rx) error {
		for _, id := range m.accounts {
			if !id.Backed() {
				continue
			}
			got, err := rx.LedgerAccount(context.Background(), id)
			if err != nil {
				return err
			}
			if want := m.model.state(id); got != want {
				return fmt.Errorf("%s is %+v, want %+v", id, got, want)
			}
			if got.Available() < 0 {
				return fmt.Errorf("%s is below zero", id)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mustVerify fails unless the whole ledger verifies.
func mustVerify(t interface{ Fatal(...any) }, s store) {
	report, err := verify(context.Background(), s)
	if err = errors.Join(err, notOK(report)); err != nil {
		t.Fatal(err)
	}
}

func notOK(r billing.Report) error {
	if r.OK() {
		return nil
	}
	return fmt.Errorf("problems: %q", r.Problems)
}

func TestLedgerModelInMemory(t *testing.T) {
	seen := make(map[berth.Code]int)
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(newMemory())
		m.seen = seen
		steps := m.steps()
		steps[""] = func(t *rapid.T) {
			m.check(t)
			mustVerify(t, m.store)
		}
		t.Repeat(steps)
	})
	if testing.Short() {
		return // a fifth of the runs: one of the answers may be missing by chance
	}
	// The model would agree with anything if nothing ever happened.
	for _, code := range []berth.Code{
		accepted, berth.InsufficientBalance, berth.IdempotencyConflict, berth.Conflict, berth.NotFound, berth.InvalidInput,
	} {
		if seen[code] == 0 {
			t.Errorf("no run ever met %q", code)
		}
	}
}
