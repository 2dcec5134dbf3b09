package ops_test

import (
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/billing/railtest"
	"berth/ops"
	"berth/ops/opstest"
)

// proof is a wallet's signature that costs nothing.
func proof(wallet, nonce string) []ops.Credential {
	return signed(railtest.Credential{From: wallet, Nonce: nonce, Expires: opstest.Epoch.Add(time.Hour)})
}

func TestAttachWallet(t *testing.T) {
	w := purse(t)
	p, other := w.Principal(), w.Principal()
	e := wantError(t, second(w.Do(p.Creds, "attach_wallet", nil)), berth.PaymentRequired)
	if e.Payment == nil || e.Payment.Amount != 0 || len(e.Payment.Challenges) != 1 {
		t.Errorf("payment = %+v", e.Payment)
	}
	w.Must(proof(payer, "1"), "get_me", nil) // the wallet has an empty account by now
	me := w.Must(append(proof(payer, "2"), p.Creds...), "attach_wallet", nil).Out.(ops.MeOut)
	if me.ID != p.ID || len(me.Wallets) != 1 || me.Wallets[0] != payer {
		t.Errorf("%+v", me)
	}
	if got := w.Must(proof(payer, "3"), "get_me", nil).Out.(ops.MeOut); got.ID != p.ID {
		t.Errorf("the wallet speaks for %s", got.ID)
	}
	w.Must(append(proof(payer, "4"), p.Creds...), "attach_wallet", nil) // again
	wantError(t, second(w.Do(append(proof(payer, "5"), other.Creds...), "attach_wallet", nil)), berth.Conflict)
	// A proof is good once, and a payment is none.
	wantError(t, second(w.Do(append(proof(payer, "3"), other.Creds...), "attach_wallet", nil)), berth.PaymentRejected)
	wantError(t, second(w.Do(append(signed(credential("6", 1)), other.Creds...), "attach_wallet", nil)), berth.PaymentRejected)
	agree(t, w, 0, 0)
}

// TestAttachRefusals: nobody's things lose their owner, and no suspension is
// shaken off.
func TestAttachRefusals(t *testing.T) {
	for name, prepare := range map[string]func(w *opstest.World){
		"money": func(w *opstest.World) {
			w.Must(signed(credential("a", 10*berth.Dollar)), "top_up", opstest.Args{"amount": "10.00"})
		},
		"servers": func(w *opstest.World) {
			w.Must(signed(credential("a", smallHour)), "create_server", smallForAnHour)
			w.Settle()
		},
		"a suspension": func(w *opstest.World) {
			w.Must(proof(payer, "a"), "get_me", nil)
			w.Must(opstest.Operator, "update_account", opstest.Args{"account": payer, "suspended": true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := purse(t)
			w.Local(0)
			prepare(w)
			_, err := w.Do(append(proof(payer, "b"), w.Principal().Creds...), "attach_wallet", nil)
			if e := wantError(t, err, berth.Conflict); e.Hint == "" {
				t.Error("no hint")
			}
		})
	}
	w := purse(t)
	capped := w.Principal(func(_ *account.Principal, k *account.APIKey) { k.Budget = budget(1, 1) })
	wantError(t, second(w.Do(append(proof(payer, "1"), capped.Creds...), "attach_wallet", nil)), berth.Forbidden)
}
