package mpp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
)

// payouts is a rig that pays out 7000 units.
func payouts(t *testing.T) (*rig, billing.Payout) {
	t.Helper()
	from := mpptest.NewWallet("treasury", time.Now)
	r := newRig(t, func(o *mpp.Options) { o.Payout = from.KeyHex() })
	r.chain.Fund(from.Address(), 10_000)
	return r, billing.Payout{
		ID: "txn_0193f2a4c1d05e6f7a8b9c0d", To: berth.Wallet{Address: r.wallet.Address()}, Amount: 7_000,
		At: r.now(), Expires: r.now().Add(10 * time.Minute),
	}
}

func (r *rig) payOut(p billing.Payout, k *kept, wait time.Duration) (billing.Outcome, error) {
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	return r.rail.Pay(ctx, p, k.keep)
}

func TestPayout(t *testing.T) {
	r, p := payouts(t)
	k := &kept{}
	out, err := r.payOut(p, k, soon)
	if err != nil || out.State != billing.Settled || out.Hash != k.b.Hash || k.times != 1 {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	if got := r.chain.Balance(r.wallet.Address()); got != berth.Dollar+7_000 {
		t.Errorf("the wallet has %d units", got)
	}
	// Made again, it is the same transaction, which the rest need not pay for.
	if again, err := r.payOut(p, &kept{}, soon); err != nil || again != out || r.chain.Balance(r.wallet.Address()) != berth.Dollar+7_000 {
		t.Errorf("again: %+v, error %v", again, err)
	}
	if again, err := r.rail.FollowPay(t.Context(), p, k.b, k.keep); err != nil || again != out {
		t.Errorf("followed: %+v, error %v", again, err)
	}
}

func TestPayoutLost(t *testing.T) {
	r, p := payouts(t)
	k := &kept{}
	r.chain.Script("eth_sendRawTransactionSync", mpptest.Fault{Drop: true})
	if out, err := r.payOut(p, k, brief); err != nil || out.State != billing.Unsettled {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	for _, want := range []billing.State{billing.Unsettled, billing.Settled} {
		if out, err := r.rail.FollowPay(t.Context(), p, k.b, k.keep); err != nil || out.State != want {
			t.Fatalf("outcome %+v, error %v", out, err)
		}
	}
}

func TestPayoutOver(t *testing.T) {
	r, p := payouts(t)
	k := &kept{}
	r.chain.Script("eth_sendRawTransactionSync", mpptest.Fault{Drop: true})
	if out, err := r.payOut(p, k, brief); err != nil || out.State != billing.Unsettled {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	r.pass(11 * time.Minute)
	r.chain.Mine(30)
	if out, err := r.rail.FollowPay(t.Context(), p, k.b, k.keep); err != nil || out.State != billing.Failed {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	if _, err := r.chain.Send(k.b.Raw); err == nil {
		t.Error("the payout could be mined after it was given up")
	}
}

func TestPayoutRefused(t *testing.T) {
	r, p := payouts(t)
	for name, c := range map[string]struct {
		change  func(*billing.Payout)
		problem billing.Problem
	}{
		"more than there is":          {func(p *billing.Payout) { p.Amount = 10_001 }, billing.Insufficient},
		"a contract of another chain": {func(p *billing.Payout) { p.To.Chain = 8453 }, billing.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			bad, k := p, &kept{}
			c.change(&bad)
			if _, err := r.payOut(bad, k, soon); !refused(err, c.problem, "") || k.times > 0 {
				t.Errorf("kept %d times, error %v", k.times, err)
			}
		})
	}
	broken := errors.New("disk full")
	if _, err := r.payOut(p, &kept{err: broken}, soon); !errors.Is(err, broken) || r.chain.Calls("eth_sendRawTransactionSync") > 0 {
		t.Errorf("error %v", err)
	}
	none := newRig(t)
	if _, err := none.payOut(p, &kept{}, soon); !refused(err, billing.Unsupported, "") {
		t.Errorf("without a key: %v", err)
	}
}
