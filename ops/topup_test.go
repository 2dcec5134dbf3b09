package ops_test

import (
	"context"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/billing/railtest"
	"berth/ops"
	"berth/ops/opstest"
)

const tenDollars = 10 * berth.Dollar

// TestTopUp credits exactly whom the caller names, over any identity.
func TestTopUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		creds func(p opstest.Principal) []ops.Credential // beside the wallet's payment
		args  func(p opstest.Principal) opstest.Args
		payer bool // the wallet's own account is credited
	}{
		{name: "the wallet's own", args: func(opstest.Principal) opstest.Args { return opstest.Args{} }, payer: true},
		{name: "a key's own", creds: func(p opstest.Principal) []ops.Credential { return p.Creds }, args: func(opstest.Principal) opstest.Args { return opstest.Args{} }},
		{name: "another's by id", args: func(p opstest.Principal) opstest.Args { return opstest.Args{"account": string(p.ID)} }},
		{name: "another's by username", args: func(p opstest.Principal) opstest.Args { return opstest.Args{"account": p.Username} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := purse(t)
			p := w.Principal(func(p *account.Principal, k *account.APIKey) {
				p.Username, p.Budget, k.Budget = "jane", budget(1, 1), budget(1, 1) // a top-up is not spending
			})
			creds := signed(credential("1", tenDollars))
			if tt.creds != nil {
				creds = append(creds, tt.creds(p)...)
			}
			args := with(tt.args(p), "amount", "10.00")
			res := w.Must(creds, "top_up", args)
			if r := res.Receipt; r == nil || r.Status != "credited" || r.Amount != tenDollars || r.Rail != railtest.Name || r.Payment == nil || r.Payment.Payer != payer {
				t.Errorf("receipt = %+v", res.Receipt)
			}
			id, before := p.ID, opstest.Credit
			if tt.payer {
				id, before = res.Out.(ops.TopUpOut).AccountID, 0
			}
			if b := w.Balance(id); b.Available() != before+tenDollars || b.Debited != 0 {
				t.Errorf("balance = %+v", b)
			}
			if out := res.Out.(ops.TopUpOut); out.AccountID != id || (out.Balance != nil) != (tt.payer || tt.creds != nil) {
				t.Errorf("out = %+v: a stranger learns no balance", out)
			}
			w.Read(func(ctx context.Context, rx ops.Rx) error {
				list, err := rx.Events(ctx, id, 0, 10)
				if len(list) != 1 || list[0].Kind != "balance.topped_up" {
					t.Errorf("events = %+v", list)
				}
				return err
			})
			again := w.Must(creds, "top_up", args)
			if !again.Replayed {
				t.Error("the same payment counted twice")
			}
			agree(t, w, tenDollars, 1)
		})
	}
}

func TestTopUpRefusals(t *testing.T) {
	w := purse(t)
	p := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Username = "jane" })
	suspended := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true })
	local := w.Local(berth.Dollar)
	pay := signed(credential("1", tenDollars))
	for _, tt := range []struct {
		name  string
		creds []ops.Credential
		args  opstest.Args
		code  berth.Code
	}{
		{"nobody", nil, opstest.Args{"amount": "10.00"}, berth.PaymentRequired},
		{"a key with money", p.Creds, opstest.Args{"amount": "10.00"}, berth.PaymentRequired},
		{"a key, for another", p.Creds, opstest.Args{"amount": "10.00", "account": string(w.Principal().ID)}, berth.PaymentRequired},
		{"a proof", signed(credential("0", 0)), opstest.Args{"amount": "10.00"}, berth.PaymentRequired},
		{"too little", pay, opstest.Args{"amount": "10.01"}, berth.PaymentRejected},
		{"too much", pay, opstest.Args{"amount": "9.99"}, berth.PaymentRejected},
		{"below the minimum", pay, opstest.Args{"amount": "0.99"}, berth.InvalidInput},
		{"above the maximum", pay, opstest.Args{"amount": "1000.01"}, berth.InvalidInput},
		{"no amount", pay, opstest.Args{"amount": "ten"}, berth.InvalidInput},
		{"less than nothing", pay, opstest.Args{"amount": "-10"}, berth.InvalidInput},
		{"an unknown account", pay, opstest.Args{"amount": "10.00", "account": "joan"}, berth.NotFound},
		{"by e-mail", pay, opstest.Args{"amount": "10.00", "account": p.Email}, berth.NotFound},
		{"a suspended account", pay, opstest.Args{"amount": "10.00", "account": string(suspended.ID)}, berth.Conflict},
		{"the local account", pay, opstest.Args{"amount": "10.00", "account": string(local.ID)}, berth.Conflict},
		{"by the local account", append(local.Creds, pay...), opstest.Args{"amount": "10.00"}, berth.Conflict},
	} {
		_, err := w.Do(tt.creds, "top_up", tt.args)
		e := wantError(t, err, tt.code)
		if tt.code == berth.PaymentRequired && (e.Payment == nil || e.Payment.Amount != tenDollars || len(e.Payment.Challenges) != 1) {
			t.Errorf("%s: payment = %+v", tt.name, e.Payment)
		}
		if e.Hint == "" {
			t.Errorf("%s: no hint", tt.name)
		}
	}
	agree(t, w, 0, 0)
	// The credential that was refused is still good for what it is for.
	w.Must(pay, "top_up", opstest.Args{"amount": "10.00", "account": "jane"})
	if b := w.Balance(p.ID); b.Available() != opstest.Credit+tenDollars {
		t.Errorf("balance = %+v", b)
	}
	// And never for another account.
	_, err := w.Do(pay, "top_up", opstest.Args{"amount": "10.00"})
	wantError(t, err, berth.PaymentRejected)
	agree(t, w, tenDollars, 1)
}

// TestTopUpAfterItsRequest: a payment that arrives when nobody waits for it any
// more is the credit of whom it was meant for, once.
func TestTopUpAfterItsRequest(t *testing.T) {
	w := purse(t)
	p := w.Principal()
	creds, args := signed(credential("1", tenDollars)), opstest.Args{"amount": "10.00", "account": string(p.ID)}
	w.Rail.Inject(railtest.Faults{Submit: railtest.ErrAfter})
	_, err := w.Do(creds, "top_up", args)
	wantError(t, err, berth.PaymentPending)
	w.Clock.Advance(2 * time.Minute)
	if err := w.System.FollowPayments(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := w.Balance(p.ID); b.Available() != opstest.Credit+tenDollars {
		t.Errorf("balance = %+v", b)
	}
	if res := w.Must(creds, "top_up", args); res.Receipt == nil || res.Receipt.Status != "credited" {
		t.Errorf("the retry's receipt = %+v", res.Receipt)
	}
	if b := w.Balance(p.ID); b.Available() != opstest.Credit+tenDollars {
		t.Errorf("credited twice: %+v", b)
	}
	agree(t, w, tenDollars, 1)
}

// TestTopUpsOfEachOther: two who pay for each other at once don't wait for each
// other, and each is credited what the other paid.
func TestTopUpsOfEachOther(t *testing.T) {
	w := purse(t)
	w.Rail.Fund(stranger, tenDollars)
	a, b := w.Principal(), w.Principal()
	errs := atOnce(2, func(i int) error {
		c := credential("1", tenDollars)
		me, other := a, b
		if i == 1 {
			me, other, c.From = b, a, stranger
		}
		_, err := w.Do(append(signed(c), me.Creds...), "top_up", opstest.Args{"amount": "10.00", "account": string(other.ID)})
		return err
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	for _, p := range []opstest.Principal{a, b} {
		if have := w.Balance(p.ID).Available(); have != opstest.Credit+tenDollars {
			t.Errorf("balance = %s", have)
		}
	}
	agree(t, w, 2*tenDollars, 2)
}

// TestTopUpKeys: two who top up one account under the same key both pay.
func TestTopUpKeys(t *testing.T) {
	w := purse(t)
	w.Rail.Fund(stranger, tenDollars)
	p := w.Principal()
	args := opstest.Args{"amount": "10.00", "account": string(p.ID)}
	for _, wallet := range []string{payer, stranger} {
		c := credential("1", tenDollars)
		c.From = wallet
		if res, err := keyed(w, signed(c), "k", "top_up", args); err != nil || res.Replayed {
			t.Errorf("%s: %+v, %v", wallet, res, err)
		}
	}
	agree(t, w, 2*tenDollars, 2)
}
