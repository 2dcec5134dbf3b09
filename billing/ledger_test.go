package billing_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/billing"
)

func TestRecordRefusals(t *testing.T) {
	m, customer := funded(t, 100)
	good := billing.Transfer{
		ID: "charge", Kind: billing.Direct, Debit: billing.CustomerAccount(customer), Credit: billing.Revenue,
		Amount: 1, Reason: billing.ReasonService,
	}
	for name, spoil := range map[string]func(*billing.Transfer){
		"no id":               func(tr *billing.Transfer) { tr.ID = "" },
		"a long id":           func(tr *billing.Transfer) { tr.ID = strings.Repeat("x", 129) },
		"an id of two lines":  func(tr *billing.Transfer) { tr.ID = "a\nb" },
		"no text":             func(tr *billing.Transfer) { tr.ID = "\xff" },
		"no kind":             func(tr *billing.Transfer) { tr.Kind = "" },
		"nothing":             func(tr *billing.Transfer) { tr.Amount = 0 },
		"less than nothing":   func(tr *billing.Transfer) { tr.Amount = -1 },
		"too much":            func(tr *billing.Transfer) { tr.Amount = billing.MaxAmount + 1 },
		"to itself":           func(tr *billing.Transfer) { tr.Credit = tr.Debit },
		"no such account":     func(tr *billing.Transfer) { tr.Credit = "profit" },
		"no such customer":    func(tr *billing.Transfer) { tr.Debit = "customer:me" },
		"an escrow's form":    func(tr *billing.Transfer) { tr.Credit = billing.EscrowAccount(customer) },
		"no reason":           func(tr *billing.Transfer) { tr.Reason = "" },
		"an unknown reason":   func(tr *billing.Transfer) { tr.Reason = "fun" },
		"a long memo":         func(tr *billing.Transfer) { tr.Memo = strings.Repeat("é", 201) },
		"a long ref":          func(tr *billing.Transfer) { tr.Ref = berth.ID(strings.Repeat("r", 65)) },
		"a long operation":    func(tr *billing.Transfer) { tr.Operation = strings.Repeat("o", 65) },
		"a long key":          func(tr *billing.Transfer) { tr.Key = berth.ID(strings.Repeat("k", 65)) },
		"a direct that posts": func(tr *billing.Transfer) { tr.Pending = "funds" },
		"a post of nothing":   func(tr *billing.Transfer) { tr.Kind = billing.Post },
		"a post of a direct":  func(tr *billing.Transfer) { tr.Kind, tr.Pending = billing.Post, "funds" },
	} {
		t.Run(name, func(t *testing.T) {
			tr := good
			spoil(&tr)
			if _, err := record(t.Context(), m, tr); err == nil || berth.CodeOf(err) != berth.InvalidInput {
				t.Errorf("error = %v, want invalid_input", err)
			}
		})
	}
	if len(m.entries) != 1 {
		t.Errorf("%d entries, want the funds only", len(m.entries))
	}
	if _, err := record(t.Context(), m, good); err != nil {
		t.Errorf("the unspoilt transfer: %v", err)
	}
	err := m.Write(t.Context(), func(tx billing.Tx) error {
		_, err := billing.Record(t.Context(), tx, billing.Transfer{
			ID: "timeless", Kind: billing.Direct, Debit: billing.Grants, Credit: good.Debit, Amount: 1, Reason: billing.ReasonGrant,
		})
		return err
	})
	if berth.CodeOf(err) != berth.InvalidInput {
		t.Errorf("without a time: error = %v, want invalid_input", err)
	}
}

func TestInsufficientBalanceSaysWhatIsMissing(t *testing.T) {
	m, customer := funded(t, 30_000)
	_, err := record(t.Context(), m, billing.Transfer{
		ID: "buy", Kind: billing.Pending, Debit: billing.CustomerAccount(customer), Credit: billing.Revenue,
		Amount: 35_000, Reason: billing.ReasonPurchase,
	})
	var e *berth.Error
	if !errors.As(err, &e) || e.Code != berth.InsufficientBalance || e.Payment == nil {
		t.Fatalf("error = %#v", err)
	}
	if e.Payment.Amount != 35_000 || e.Payment.Balance == nil || *e.Payment.Balance != 30_000 {
		t.Errorf("demand = %+v", e.Payment)
	}
	if !strings.Contains(e.Message, "0.03 ") || !strings.Contains(e.Message, "0.035 ") || !strings.Contains(e.Hint, "0.005 ") {
		t.Errorf("%q (%q) does not say balance, price and what is missing", e.Message, e.Hint)
	}
}

func TestRecordPropagatesFailures(t *testing.T) {
	m, customer := funded(t, 100)
	m.failing = errors.New("disk on fire")
	for _, tr := range []billing.Transfer{
		{ID: "a", Kind: billing.Direct, Debit: billing.CustomerAccount(customer), Credit: billing.Revenue, Amount: 1, Reason: billing.ReasonService},
		{ID: "b", Kind: billing.Post, Pending: "funds"},
	} {
		if _, err := record(t.Context(), m, tr); !errors.Is(err, m.failing) {
			t.Errorf("%s: error = %v", tr.ID, err)
		}
	}
}

func TestHoldCaptureRelease(t *testing.T) {
	m, customer := funded(t, 100)
	purse := billing.CustomerAccount(customer)
	write := func(fn func(tx billing.Tx) error) {
		t.Helper()
		if err := m.Write(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	hold := func(id string, amount berth.Micros) (held string) {
		t.Helper()
		write(func(tx billing.Tx) (err error) {
			held, err = billing.Hold(t.Context(), tx, customer, billing.Transfer{
				ID: id, Amount: amount, Reason: billing.ReasonPurchase, Ref: "srv_1", Key: "akey_1", At: now,
			})
			return err
		})
		return held
	}
	expect := func(balance, held berth.Micros) {
		t.Helper()
		a := m.accounts[purse]
		if a.Credited-a.Debited != balance || a.Held != held {
			t.Errorf("balance %s, held %s; want %s, %s", a.Credited-a.Debited, a.Held, balance, held)
		}
	}

	first, second := hold("first", 60), hold("second", 40)
	expect(100, 100)
	later := now.Add(time.Hour)
	write(func(tx billing.Tx) error { return billing.Capture(t.Context(), tx, first, later) })
	expect(40, 40)
	write(func(tx billing.Tx) error { return billing.Release(t.Context(), tx, second, "it failed", later) })
	expect(40, 0)
	// The crash after a commit: the same again changes nothing.
	write(func(tx billing.Tx) error { return billing.Capture(t.Context(), tx, first, later.Add(time.Hour)) })
	expect(40, 0)
	err := m.Write(t.Context(), func(tx billing.Tx) error { return billing.Capture(t.Context(), tx, second, later) })
	if berth.CodeOf(err) != berth.Conflict {
		t.Errorf("capture of what was released: %v, want a conflict", err)
	}
	posted, err := m.Transfer(t.Context(), "first:capture")
	if err != nil || posted.Ref != "srv_1" || posted.Key != "akey_1" || posted.Reason != billing.ReasonPurchase {
		t.Errorf("the capture is %+v, %v; want it for what its hold was", posted, err)
	}

	// A part: the rest is released.
	third := hold("third", 40)
	if _, err := record(t.Context(), m, billing.Transfer{ID: "part", Kind: billing.Post, Pending: third, Amount: 15}); err != nil {
		t.Fatal(err)
	}
	expect(25, 0)

	write(func(tx billing.Tx) error {
		if id, err := billing.Charge(t.Context(), tx, customer, billing.Transfer{ID: "fee", Amount: 5, Reason: billing.ReasonService, At: now}); err != nil || id != "fee" {
			t.Errorf("charge = %q, %v", id, err)
		}
		if id, err := billing.Refund(t.Context(), tx, customer, billing.Transfer{ID: "sorry", Amount: 5, At: now}); err != nil || id != "sorry" {
			t.Errorf("refund = %q, %v", id, err)
		}
		_, err := billing.Grant(t.Context(), tx, customer, billing.Transfer{ID: "gift", Amount: 75, At: now})
		return err
	})
	expect(100, 0)
	mustVerify(t, m)
}

func TestWhatIsFreeMovesNothing(t *testing.T) {
	m, customer := funded(t, 100)
	free := billing.Transfer{ID: "free", Reason: billing.ReasonService, At: now}
	err := m.Write(t.Context(), func(tx billing.Tx) error {
		for name, move := range map[string]func() (string, error){
			"hold":    func() (string, error) { return billing.Hold(t.Context(), tx, customer, free) },
			"charge":  func() (string, error) { return billing.Charge(t.Context(), tx, customer, free) },
			"refund":  func() (string, error) { return billing.Refund(t.Context(), tx, customer, free) },
			"capture": func() (string, error) { return "", billing.Capture(t.Context(), tx, "", now) },
			"release": func() (string, error) { return "", billing.Release(t.Context(), tx, "", "", now) },
		} {
			if id, err := move(); id != "" || err != nil {
				t.Errorf("%s of nothing = %q, %v", name, id, err)
			}
		}
		_, err := billing.Grant(t.Context(), tx, customer, free)
		return err
	})
	if berth.CodeOf(err) != berth.InvalidInput {
		t.Errorf("grant of nothing: %v, want invalid_input", err)
	}
	if len(m.entries) != 1 {
		t.Errorf("%d entries, want the funds only", len(m.entries))
	}
}
