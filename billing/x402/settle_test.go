package x402_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/x402"
	"berth/billing/x402/x402test"
)

// deaf is a network that answers nothing.
type deaf struct{}

func (deaf) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("deaf") }

// authorization is what a claim's payer signed, and its signature.
func authorization(t *testing.T, c billing.Claim) (evm.Authorization, []byte) {
	t.Helper()
	var p struct {
		Payload struct {
			Authorization map[string]string `json:"authorization"`
			Signature     string            `json:"signature"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(c.Payload, &p); err != nil {
		t.Fatal(err)
	}
	m := p.Payload.Authorization
	var a evm.Authorization
	var errs [7]error
	a.From, errs[0] = evm.ParseAddress(m["from"])
	a.To, errs[1] = evm.ParseAddress(m["to"])
	a.Value, errs[2] = evm.ParseDecimal(m["value"])
	a.ValidAfter, errs[3] = evm.ParseDecimal(m["validAfter"])
	a.ValidBefore, errs[4] = evm.ParseDecimal(m["validBefore"])
	a.Nonce, errs[5] = evm.ParseHash(m["nonce"])
	signature, err := hex.DecodeString(strings.TrimPrefix(p.Payload.Signature, "0x"))
	errs[6] = err
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return a, signature
}

// elsewhere has somebody else settle a claim.
func (r *rig) elsewhere(c billing.Claim) evm.Hash {
	a, signature := authorization(r.t, c)
	return r.chain.Elsewhere(a.Settle(signature))
}

func TestSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.claim()
		if err := r.rail.Verify(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		o, err := r.submit(c, time.Minute)
		if err != nil || o.State != billing.Settled || o.Hash != r.kept.last().Hash {
			t.Fatalf("%+v %v", o, err)
		}
		r.paid(20_000)
		if again := r.follow(c); again != o {
			t.Errorf("later it is %+v", again)
		}
		if again, err := r.submit(c, time.Minute); err != nil || again != o || r.kept.count() != 1 {
			t.Errorf("submitted again it is %+v %v, with %d transactions", again, err, r.kept.count())
		}
	})
}

// TestAccidents: whatever the node does to a submission, the payment is settled
// once in the end, and never called failed on the way.
func TestAccidents(t *testing.T) {
	for name, fault := range map[string]func(string, int) x402test.Fault{
		"lost before the broadcast":   only("eth_sendRawTransaction", 1, x402test.Before),
		"lost after the broadcast":    only("eth_sendRawTransaction", 1, x402test.After),
		"busy at the broadcast":       only("eth_sendRawTransaction", 1, x402test.Busy),
		"receipts lost":               only("eth_getTransactionReceipt", 3, x402test.Before),
		"receipts say the contrary":   only("eth_getTransactionReceipt", 3, x402test.Lie),
		"no state":                    only("eth_call", 3, x402test.Before),
		"no head":                     only("eth_getBlockByNumber", 3, x402test.Before),
		"no tip":                      only("eth_maxPriorityFeePerGas", 9, x402test.Before),
		"silence after the broadcast": silenceAfterSend(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				c := r.claim()
				r.chain.Fault = fault
				o, err := r.submit(c, 20*time.Second)
				if o.State == billing.Failed {
					t.Fatalf("it is called failed: %+v", o)
				}
				if err != nil && r.kept.count() > 0 {
					t.Fatalf("an error after something may have left: %v", err)
				}
				r.chain.Fault = nil
				for range 10 {
					if o.State == billing.Settled {
						break
					}
					time.Sleep(5 * time.Second) // of the bubble's clock
					o = r.follow(c)
				}
				if o.State != billing.Settled {
					t.Errorf("in the end it is %+v", o)
				}
				r.paid(20_000)
			})
		})
	}
}

// silenceAfterSend is a node that takes a transaction and then is gone.
func silenceAfterSend() func(string, int) x402test.Fault {
	sent := false
	return func(method string, _ int) x402test.Fault {
		if sent {
			return x402test.Before
		}
		if method == "eth_sendRawTransaction" {
			sent = true
			return x402test.After
		}
		return x402test.None
	}
}

// TestLyingReceipt: a receipt without its events settles nothing.
func TestLyingReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.chain.Auto = false
		c := r.claim()
		r.chain.Fault = func(method string, _ int) x402test.Fault {
			if method == "eth_getTransactionReceipt" {
				return x402test.Lie
			}
			return x402test.None
		}
		o, err := r.submit(c, 10*time.Second)
		if err != nil || o.State != billing.Unsettled {
			t.Fatalf("%+v %v", o, err)
		}
	})
}

// TestNothingLeavesUnkept: what can't be written down is not sent.
func TestNothingLeavesUnkept(t *testing.T) {
	r := newRig(t)
	c := r.claim()
	r.kept.fail = errDisk
	if _, err := r.submit(c, time.Minute); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
	if n := r.chain.Asked("eth_sendRawTransaction"); n != 0 {
		t.Errorf("%d transactions left", n)
	}
}

// TestSomebodyElseSettles: before Verify, before Submit, and while ours waits.
// The payer has paid each time.
func TestSomebodyElseSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.claim()
		hash := r.elsewhere(c)
		if err := r.rail.Verify(t.Context(), c); err != nil {
			t.Errorf("what was paid is refused: %v", err)
		}
		o, err := r.submit(c, time.Minute)
		if err != nil || o.State != billing.Settled || o.Hash != hash.Hex() || r.kept.count() != 0 {
			t.Errorf("%+v %v", o, err)
		}
		r.chain.Auto = false
		c = r.claim()
		if o, err = r.submit(c, 5*time.Second); err != nil || o.State != billing.Unsettled {
			t.Fatalf("%+v %v", o, err)
		}
		hash = r.elsewhere(c)
		r.chain.Mine() // ours, which reverts
		if o = r.follow(c); o.State != billing.Settled || o.Hash != hash.Hex() {
			t.Errorf("%+v", o)
		}
		r.paid(40_000)
	})
}

// TestCanceled: a payer can take an authorization back until it is used.
func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.claim()
		a, _ := authorization(t, c)
		r.chain.Elsewhere(x402test.Cancel(a))
		if err := r.rail.Verify(t.Context(), c); problem(err) != billing.Spent {
			t.Errorf("%v", err)
		}
		if o := r.follow(c); o.State != billing.Failed || r.kept.count() != 0 {
			t.Errorf("%+v", o)
		}
		r.paid(0)
	})
}

// TestRunsOut: a payment has failed only when the chain's clock says that it is
// dead.
func TestRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.chain.Auto = false
		c := r.claim()
		if o, err := r.submit(c, 5*time.Second); err != nil || o.State != billing.Unsettled {
			t.Fatalf("%+v %v", o, err)
		}
		r.chain.Drop()
		time.Sleep(10 * time.Minute)
		if o := r.follow(c); o.State != billing.Unsettled || r.chain.Waiting() != 0 {
			t.Errorf("by our clock alone it is %+v", o)
		}
		r.chain.Mine()
		if o := r.follow(c); o.State != billing.Failed {
			t.Errorf("%+v", o)
		}
		r.paid(0)
	})
}

// TestStuck: a transaction that is too cheap is replaced on its nonce by a
// dearer one, within the bound.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.claim()
		r.chain.Auto = false
		if _, err := r.submit(c, time.Second); err != nil {
			t.Fatal(err)
		}
		first := r.kept.last()
		r.chain.BaseFee *= 10
		r.chain.Mine()
		if o := r.follow(c); o.State != billing.Unsettled || r.kept.count() != 1 {
			t.Fatalf("at once: %+v, %d transactions", o, r.kept.count())
		}
		time.Sleep(time.Minute)
		if o := r.follow(c); o.State != billing.Unsettled || r.kept.count() != 2 || r.chain.Waiting() != 1 {
			t.Fatalf("later: %+v, %d transactions", o, r.kept.count())
		}
		if second := r.kept.last(); second.Nonce != first.Nonce || second.Hash == first.Hash {
			t.Errorf("%+v replaced %+v", second, first)
		}
		r.chain.Mine()
		if o := r.follow(c); o.State != billing.Settled || o.Hash != r.kept.last().Hash {
			t.Errorf("%+v", o)
		}
		r.paid(20_000)
	})
}

// TestTooDear: gas above the bound is not paid, and nothing leaves.
func TestTooDear(t *testing.T) {
	r := newRig(t, func(o *x402.Options) { o.MaxFee = units(500_000) })
	c := r.claim()
	if _, err := r.submit(c, time.Minute); berth.CodeOf(err) != berth.Unavailable || r.kept.count() != 0 {
		t.Errorf("%v", err)
	}
	r = newRig(t)
	r.chain.Ether = units(1)
	if _, err := r.submit(r.claim(), time.Minute); berth.CodeOf(err) != berth.Unavailable || r.kept.count() != 0 {
		t.Errorf("a settler without ether: %v", err)
	}
}

// TestReorganised: a payment is settled only as deep as is asked for, and one
// that a reorganisation took out is sent again.
func TestReorganised(t *testing.T) {
	for _, lose := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(o *x402.Options) { o.Confirmations = 3 })
			c := r.claim()
			o, err := r.submit(c, 5*time.Second)
			if err != nil || o.State != billing.Unsettled {
				t.Fatalf("in one block: %+v %v", o, err)
			}
			r.paid(20_000)
			r.chain.Reorganise(1, lose)
			r.paid(0)
			if o := r.follow(c); o.State != billing.Unsettled {
				t.Fatalf("reorganised: %+v", o)
			}
			for range 3 {
				r.chain.Mine()
			}
			if o := r.follow(c); o.State != billing.Settled {
				t.Errorf("deep: %+v", o)
			}
			r.paid(20_000)
		})
	}
}

// TestReverts: the payer's money is gone between Verify and the block. It costs
// one transaction's gas, and the payment waits until it is dead.
func TestReverts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.chain.Auto = false
		c := r.claim()
		if err := r.rail.Verify(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := r.submit(c, time.Second); err != nil {
			t.Fatal(err)
		}
		r.chain.Fund(r.wallet.Key.Address(), -10_000_000)
		r.chain.Mine()
		for range 5 {
			time.Sleep(20 * time.Second)
			if o := r.follow(c); o.State != billing.Unsettled || o.Reason == "" {
				t.Fatalf("%+v", o)
			}
		}
		if r.kept.count() != 1 {
			t.Errorf("%d transactions", r.kept.count())
		}
		time.Sleep(5 * time.Minute)
		r.chain.Mine()
		if o := r.follow(c); o.State != billing.Failed {
			t.Errorf("%+v", o)
		}
		if _, err := r.submit(r.claim(), time.Second); problem(err) != billing.Insufficient {
			t.Errorf("a payer without funds: %v", err)
		}
	})
}

// TestVerifyRefuses says why, and tells what is not known from what is refused.
func TestVerifyRefuses(t *testing.T) {
	r := newRig(t)
	poor := x402test.NewWallet("poor")
	r.wallet = poor
	if err := r.rail.Verify(t.Context(), r.claim()); problem(err) != billing.Insufficient {
		t.Errorf("%v", err)
	}
	c := r.claim()
	r.chain.Fault = only("eth_call", 99, x402test.Before)
	if err := r.rail.Verify(t.Context(), c); err == nil || problem(err) != "" {
		t.Errorf("%v", err)
	}
}

// TestNonceTaken: another's transaction took the nonce, so that ours can never
// be in a block. It goes out again with the next.
func TestNonceTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.chain.Auto = false
		c := r.claim()
		if _, err := r.submit(c, time.Second); err != nil {
			t.Fatal(err)
		}
		r.chain.Drop()
		other := r.claim()
		if _, err := r.rail.Submit(expired(t), other, r.kept.keep); err != nil {
			t.Fatal(err)
		}
		mine := r.kept.list[0]
		r.chain.Mine()
		if _, err := r.rail.Follow(t.Context(), c, mine, r.kept.keep); err != nil {
			t.Fatal(err)
		}
		if sent := r.kept.last(); sent.Nonce != mine.Nonce+1 {
			t.Errorf("sent again with nonce %d after %d", sent.Nonce, mine.Nonce)
		}
		r.chain.Mine()
		if o := r.follow(c); o.State != billing.Settled {
			t.Errorf("%+v", o)
		}
		r.paid(40_000)
	})
}

// expired is a context that ends soon.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestCrashBeforeSending: the transaction was kept and never left.
func TestCrashBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.claim()
		r.chain.Fault = only("eth_sendRawTransaction", 1, x402test.Before)
		if _, err := r.submit(c, time.Second); err != nil {
			t.Fatal(err)
		}
		r.chain.Fault = nil
		r.follow(c)
		if o := r.follow(c); o.State != billing.Settled || r.kept.count() != 1 {
			t.Errorf("%+v with %d transactions", o, r.kept.count())
		}
	})
}

func TestPayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		settler, err := evm.ParseKey(settlerSecret)
		if err != nil {
			t.Fatal(err)
		}
		to := evm.Address{1, 2, 3}
		wallet, err := berth.ParseWallet(to.Hex())
		if err != nil {
			t.Fatal(err)
		}
		p := billing.Payout{ID: "txn_1", To: wallet, Amount: 5_000_000, At: time.Now(), Expires: time.Now().Add(time.Hour)}
		if _, err := r.rail.Pay(expired(t), p, r.kept.keep); problem(err) != billing.Insufficient || r.kept.count() != 0 {
			t.Fatalf("without funds: %v", err)
		}
		r.chain.Fund(settler.Address(), 50_000_000)
		o, err := r.rail.Pay(expired(t), p, r.kept.keep)
		if err != nil || o.State != billing.Settled {
			t.Fatalf("%+v %v", o, err)
		}
		if again, err := r.rail.Pay(expired(t), p, r.kept.keep); err != nil || again != o {
			t.Errorf("paid again: %+v %v", again, err)
		}
		if again, err := r.rail.FollowPay(t.Context(), p, billing.Broadcast{}, r.kept.keep); err != nil || again != o {
			t.Errorf("followed without its transaction: %+v %v", again, err)
		}
		if got := r.chain.Balance(to); got != 5_000_000 {
			t.Errorf("%d arrived", got)
		}
	})
}

// TestQuietLogs: no signature, key or URL is logged, whatever goes wrong.
func TestQuietLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		r := newRig(t, func(o *x402.Options) {
			o.Log = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		c := r.claim()
		_, signature := authorization(t, c)
		r.chain.Fault = silenceAfterSend()
		if _, err := r.submit(c, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		_, err := r.rail.Follow(t.Context(), c, r.kept.last(), r.kept.keep)
		for _, secret := range []string{hex.EncodeToString(signature[:16]), settlerSecret[2:], "chain.example/secret"} {
			if strings.Contains(logged.String(), secret) || (err != nil && strings.Contains(err.Error(), secret)) {
				t.Errorf("a log or an error tells %.8s…", secret)
			}
		}
		if logged.Len() == 0 || err == nil {
			t.Error("nothing went wrong")
		}
	})
}

func TestCheck(t *testing.T) {
	r := newRig(t)
	if err := r.rail.Check(t.Context()); err != nil {
		t.Error(err)
	}
	wrong := newRig(t, func(o *x402.Options) { o.Domain = "USD Coin" })
	if err := wrong.rail.Check(t.Context()); err == nil {
		t.Error("another domain is taken")
	}
	other := newRig(t, func(o *x402.Options) { o.Network = "eip155:8453" })
	if err := other.rail.Check(t.Context()); err == nil {
		t.Error("another chain is taken")
	}
	nothing := newRig(t, func(o *x402.Options) { o.Asset = "0x0000000000000000000000000000000000000bad" })
	if _, err := nothing.rail.Offer(ask(1)); berth.CodeOf(err) != berth.Unavailable {
		t.Errorf("an offer for an unknown token: %v", err)
	}
	if err := nothing.rail.Check(t.Context()); err == nil {
		t.Error("a token that is not there is taken")
	}
}
