package mpp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
)

const (
	soon  = 10 * time.Second      // for what comes
	brief = 60 * time.Millisecond // for what doesn't
)

func TestPayment(t *testing.T) {
	r := newRig(t)
	ask := r.ask(25_000)
	c := r.read(r.pay(r.wallet, ask))
	if err := r.rail.Match(c, ask); err != nil {
		t.Fatal(err)
	}
	if err := r.rail.Verify(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	k := &kept{}
	out, err := r.submit(c, k, soon)
	if err != nil || out.State != billing.Settled || out.Hash != k.b.Hash || k.times != 1 {
		t.Fatalf("outcome %+v, kept %d times, error %v", out, k.times, err)
	}
	if got := r.chain.Balance(mpptest.Recipient); got != 25_000 {
		t.Errorf("the recipient has %d units, not 25000", got)
	}
	if c.Payer.Address != r.wallet.Address() || c.Payer.Chain != 0 || c.Network != "eip155:42431" || c.Asset != mpptest.Token {
		t.Errorf("claim %+v", c)
	}
	if again := r.follow(c, k.b); again != out {
		t.Errorf("followed: %+v, submitted: %+v", again, out)
	}
}

// TestNothingLeavesUnkept: the node hears nothing of a payment that could not
// be written down.
func TestNothingLeavesUnkept(t *testing.T) {
	r := newRig(t)
	c := r.claim()
	broken := errors.New("disk full")
	if _, err := r.submit(c, &kept{err: broken}, soon); !errors.Is(err, broken) {
		t.Fatalf("error %v", err)
	}
	if n := r.chain.Calls("eth_sendRawTransactionSync") + r.chain.Calls("eth_sendRawTransaction"); n > 0 {
		t.Errorf("%d transactions left", n)
	}
}

// TestSubmit: what the node does with the transaction, and what comes of it.
func TestSubmit(t *testing.T) {
	const sync, plain, receipt = "eth_sendRawTransactionSync", "eth_sendRawTransaction", "eth_getTransactionReceipt"
	unknown := mpptest.Fault{Code: -32601, Message: "the method does not exist"}
	for name, c := range map[string]struct {
		script func(*mpptest.Chain)
		wait   time.Duration
		state  billing.State
		reason string
		moved  berth.Micros
	}{
		"a node that can't wait": {func(c *mpptest.Chain) { c.Script(sync, unknown) }, soon, billing.Settled, "", 25_000},
		"no answer before it was sent": {
			func(c *mpptest.Chain) { c.Script(sync, mpptest.Fault{Drop: true}) },
			brief, billing.Unsettled, "not mined yet", 0,
		},
		"no answer after it was sent": {
			func(c *mpptest.Chain) { c.Script(sync, mpptest.Fault{After: true, Drop: true}) },
			soon, billing.Settled, "", 25_000,
		},
		"no answer after it was sent without waiting": {
			func(c *mpptest.Chain) {
				c.Script(sync, unknown)
				c.Script(plain, mpptest.Fault{After: true, Drop: true})
			},
			soon, billing.Settled, "", 25_000,
		},
		"the node still waits": {
			func(c *mpptest.Chain) { c.Script(sync, mpptest.Fault{After: true, Code: 4, Message: "timeout"}) },
			soon, billing.Settled, "", 25_000,
		},
		"sent by somebody before": {
			func(c *mpptest.Chain) {
				c.Script(sync, mpptest.Fault{After: true, Code: -32000, Message: "nonce too low"})
			},
			soon, billing.Settled, "", 25_000,
		},
		"refused for funds": {
			func(c *mpptest.Chain) { c.Script(sync, mpptest.Fault{Code: -32000, Message: "insufficient funds"}) },
			soon, billing.Unsettled, "insufficient funds", 0,
		},
		"refused for its nonce": {
			func(c *mpptest.Chain) { c.Script(sync, mpptest.Fault{Code: -32000, Message: "nonce too high"}) },
			soon, billing.Unsettled, "nonce too high", 0,
		},
		"receipts come late": {
			func(c *mpptest.Chain) {
				c.Script(receipt, mpptest.Fault{Drop: true}, mpptest.Fault{Result: nil}, mpptest.Fault{Code: -32005, Message: "busy"})
			},
			soon, billing.Settled, "", 25_000,
		},
		"blocks come late": {
			func(c *mpptest.Chain) {
				c.Script("eth_getBlockByNumber", mpptest.Fault{Drop: true}, mpptest.Fault{Result: nil})
			},
			soon, billing.Settled, "", 25_000,
		},
		"a success that is another transaction's": {
			func(c *mpptest.Chain) {
				c.Script(sync, mpptest.Fault{Result: map[string]any{"status": "0x1", "transactionHash": "0x" + strings.Repeat("1", 64)}})
			},
			brief, billing.Unsettled, "not mined yet", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			claim := r.claim()
			c.script(r.chain)
			out, err := r.submit(claim, &kept{}, c.wait)
			if err != nil || out.State != c.state || !strings.Contains(out.Reason, c.reason) || out.Hash == "" {
				t.Errorf("outcome %+v, error %v", out, err)
			}
			if got := r.chain.Balance(mpptest.Recipient); got != c.moved {
				t.Errorf("the recipient has %d units, not %d", got, c.moved)
			}
		})
	}
}

// lost is a payment that was kept and never reached the node.
func (r *rig) lost() (billing.Claim, billing.Broadcast) {
	r.Helper()
	c, k := r.claim(), &kept{}
	r.chain.Script("eth_sendRawTransactionSync", mpptest.Fault{Drop: true})
	if out, err := r.submit(c, k, brief); err != nil || out.State != billing.Unsettled {
		r.Fatalf("outcome %+v, error %v", out, err)
	}
	return c, k.b
}

func TestFollowSendsAgain(t *testing.T) {
	r := newRig(t)
	c, b := r.lost()
	if out := r.follow(c, b); out.State != billing.Unsettled {
		t.Fatalf("outcome %+v", out)
	}
	if out := r.follow(c, b); out.State != billing.Settled || out.Hash != b.Hash {
		t.Fatalf("outcome %+v", out)
	}
	if got := r.chain.Balance(mpptest.Recipient); got != 25_000 {
		t.Errorf("the recipient has %d units, not 25000", got)
	}
}

// TestFollowGivesUp: only when both clocks say that the transaction's time is
// over, with blocks upon the moment.
func TestFollowGivesUp(t *testing.T) {
	r := newRig(t)
	c, b := r.lost()
	r.chain.Script("eth_sendRawTransaction", mpptest.Fault{Drop: true}, mpptest.Fault{Drop: true})
	if out := r.follow(c, b); out.State != billing.Unsettled {
		t.Fatalf("while it is valid: %+v", out)
	}
	r.pass(mpptest.Validity + time.Second)
	if out := r.follow(c, b); out.State != billing.Unsettled {
		t.Fatalf("before the chain's clock has passed: %+v", out)
	}
	r.chain.Mine(3)
	if out := r.follow(c, b); out.State != billing.Unsettled {
		t.Fatalf("with few blocks upon it: %+v", out)
	}
	r.chain.Mine(30)
	out := r.follow(c, b)
	if out.State != billing.Failed || !strings.Contains(out.Reason, "expired") {
		t.Fatalf("in the end: %+v", out)
	}
	if _, err := r.chain.Send(b.Raw); err == nil {
		t.Error("the transaction could be mined after it was given up")
	}
}

// TestFollowFindsWhatThePayerSent: the payer has the transaction too.
func TestFollowFindsWhatThePayerSent(t *testing.T) {
	r := newRig(t)
	c, b := r.lost()
	if _, err := r.chain.Send(b.Raw); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Hour)
	r.chain.Mine(30)
	if out := r.follow(c, b); out.State != billing.Settled {
		t.Fatalf("outcome %+v", out)
	}
}

func TestReverted(t *testing.T) {
	r := newRig(t)
	c, b := r.lost()
	r.chain.Revert(b.Hash)
	if out := r.follow(c, b); out.State != billing.Failed || !strings.Contains(out.Reason, "reverted") {
		t.Fatalf("outcome %+v", out)
	}
}

// TestLyingReceipt: a success without the payment settles nothing and fails
// nothing, however long it lasts, and somebody is told.
func TestLyingReceipt(t *testing.T) {
	r := newRig(t)
	c, b := r.lost()
	r.chain.Forge(b.Hash)
	r.pass(time.Hour)
	r.chain.Mine(30)
	if out := r.follow(c, b); out.State != billing.Unsettled || !strings.Contains(out.Reason, "without the payment") {
		t.Fatalf("outcome %+v", out)
	}
	if !strings.Contains(r.log.String(), b.Hash) {
		t.Error("the log does not name the transaction")
	}
}

// TestReorganised: a receipt whose block the chain gave up is none.
func TestReorganised(t *testing.T) {
	for name, lags := range map[string]bool{"the node forgets": false, "the node lags": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c, b := r.lost()
			if _, err := r.chain.Send(b.Raw); err != nil {
				t.Fatal(err)
			}
			r.chain.Reorganise(b.Hash, lags)
			r.chain.Script("eth_sendRawTransaction", mpptest.Fault{Drop: true})
			if out := r.follow(c, b); out.State != billing.Unsettled {
				t.Fatalf("outcome %+v", out)
			}
			if r.chain.Calls("eth_sendRawTransaction") == 0 {
				t.Error("the transaction was not sent again")
			}
		})
	}
}

func TestConfirmations(t *testing.T) {
	r := newRig(t, func(o *mpp.Options) { o.Confirmations = 3 })
	c, k := r.claim(), &kept{}
	out, err := r.submit(c, k, brief)
	if err != nil || out.State != billing.Unsettled || !strings.Contains(out.Reason, "0 of 3 blocks") {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	r.chain.Mine(2)
	if out := r.follow(c, k.b); out.State != billing.Unsettled {
		t.Fatalf("outcome %+v", out)
	}
	r.chain.Mine(1)
	if out := r.follow(c, k.b); out.State != billing.Settled {
		t.Fatalf("outcome %+v", out)
	}
}

// TestFollowWithoutAnswer: nobody knows, which is an error and no outcome.
func TestFollowWithoutAnswer(t *testing.T) {
	r := newRig(t)
	c, b := r.lost()
	r.chain.Script("eth_getTransactionReceipt", mpptest.Fault{Drop: true})
	if out, err := r.rail.Follow(t.Context(), c, b, (&kept{}).keep); err == nil || out.State == billing.Failed {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
}

// TestOneTransactionOnce: identical credentials at once move the money once.
func TestOneTransactionOnce(t *testing.T) {
	r := newRig(t)
	c := r.claim()
	results := make(chan billing.Outcome)
	for range 8 {
		go func() {
			out, err := r.submit(c, &kept{}, soon)
			if err != nil {
				t.Error(err)
			}
			results <- out
		}()
	}
	for range 8 {
		if out := <-results; out.State == billing.Failed {
			t.Errorf("outcome %+v", out)
		}
	}
	if got := r.chain.Balance(mpptest.Recipient); got != 25_000 {
		t.Errorf("the recipient has %d units, not 25000", got)
	}
}

func TestSponsored(t *testing.T) {
	for name, marked := range map[string]bool{"type 0x78": false, "type 0x76 with a mark": true} {
		t.Run(name, func(t *testing.T) {
			var sponsor *mpptest.Wallet
			r := newRig(t, func(o *mpp.Options) {
				sponsor = mpptest.NewWallet("sponsor", time.Now)
				o.FeePayer = sponsor.KeyHex()
			})
			r.wallet.Marked = marked
			c := r.claim()
			if err := r.rail.Verify(t.Context(), c); berth.CodeOf(err) != berth.Unavailable {
				t.Errorf("a fee payer without money: %v", err)
			}
			r.chain.Fund(sponsor.Address(), berth.Dollar)
			if err := r.rail.Verify(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			k := &kept{}
			if out, err := r.submit(c, k, soon); err != nil || out.State != billing.Settled {
				t.Fatalf("outcome %+v, error %v", out, err)
			}
			if got := feePayerOf(t, k.b.Raw); got != sponsor.Account() {
				t.Errorf("%s pays the gas, not %s", got, sponsor.Account())
			}
		})
	}
}

func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		do      func(*rig, billing.Claim)
		problem billing.Problem
		words   string
	}{
		"no funds": {func(r *rig, _ billing.Claim) { r.chain.Fund(r.wallet.Address(), -berth.Dollar) }, billing.Insufficient, "25000 are needed"},
		"the token refuses": {
			func(r *rig, _ billing.Claim) {
				balance := "0x" + strings.Repeat("0", 58) + "ffffff"
				r.chain.Script("eth_call", mpptest.Fault{Result: balance}, mpptest.Fault{Code: 3, Message: "execution reverted: paused"})
			}, billing.Unverified, "paused",
		},
		"expired by our clock": {func(r *rig, _ billing.Claim) { r.pass(mpptest.Validity) }, billing.Expired, "valid until"},
		"expired by the chain's clock": {
			func(r *rig, _ billing.Claim) {
				r.pass(time.Minute)
				r.chain.Mine(1)
				r.pass(-time.Minute)
			}, billing.Expired, "chain's clock",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			claim := r.claim()
			c.do(r, claim)
			if err := r.rail.Verify(t.Context(), claim); !refused(err, c.problem, c.words) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		r := newRig(t)
		claim := r.claim()
		r.chain.Script("eth_call", mpptest.Fault{Drop: true})
		var refusal *billing.Refusal
		if err := r.rail.Verify(t.Context(), claim); err == nil || errors.As(err, &refusal) {
			t.Errorf("error %v", err)
		}
	})
}

// TestHash: a payer sends the transaction and shows its hash.
func TestHash(t *testing.T) {
	push := func(o *mpp.Options) { o.Push = true }
	r := newRig(t, push)
	ask := r.ask(25_000)
	offer := r.offer(ask)
	signed, err := r.wallet.Pay(offer.Header)
	if err != nil {
		t.Fatal(err)
	}
	hashed := func(hash string) billing.Presented {
		return r.present(edited(t, signed, "payload", map[string]any{"type": "hash", "hash": hash}))
	}
	if _, err := r.rail.Read(t.Context(), hashed("0x"+strings.Repeat("ab", 32))); !refused(err, billing.Unverified, "no such transaction") {
		t.Errorf("a hash of nothing: %v", err)
	}
	hash, err := r.chain.Send(rawOf(t, signed))
	if err != nil {
		t.Fatal(err)
	}
	c := r.read(hashed(hash))
	if err := errors.Join(r.rail.Match(c, ask), r.rail.Verify(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	k := &kept{}
	if out, err := r.submit(c, k, soon); err != nil || out.State != billing.Settled || out.Hash != hash || k.b.Hash != hash || k.b.Raw != nil {
		t.Fatalf("outcome %+v, kept %+v, error %v", out, k.b, err)
	}

	// The same transaction pays no other challenge, nor another's claim to it.
	other, err := r.wallet.Pay(r.offer(ask).Header)
	if err != nil {
		t.Fatal(err)
	}
	again := edited(t, other, "payload", map[string]any{"type": "hash", "hash": hash})
	if _, err := r.rail.Read(t.Context(), r.present(again)); !refused(err, billing.Mismatched, "not pay for this challenge") {
		t.Errorf("for another challenge: %v", err)
	}
	thief := mpptest.NewWallet("thief", r.now)
	stolen := edited(t, hashed(hash).Data, "source", "did:pkh:eip155:42431:"+thief.Account().Hex())
	if _, err := r.rail.Read(t.Context(), r.present(stolen)); !refused(err, billing.Mismatched, "not pay for this challenge") {
		t.Errorf("by a thief: %v", err)
	}
	pull := newRig(t)
	unasked, err := pull.wallet.Pay(pull.offer(pull.ask(25_000)).Header)
	if err != nil {
		t.Fatal(err)
	}
	unasked = edited(t, unasked, "payload", map[string]any{"type": "hash", "hash": hash})
	if _, err := pull.rail.Read(t.Context(), pull.present(unasked)); !refused(err, billing.Unsupported, "hashes are not taken") {
		t.Errorf("where hashes are not taken: %v", err)
	}
	r.chain.Reorganise(hash, true)
	if err := r.rail.Verify(t.Context(), c); !refused(err, billing.Unverified, "") {
		t.Errorf("after its block was given up: %v", err)
	}
}

func TestProof(t *testing.T) {
	r := newRig(t)
	ask := r.ask(0)
	c := r.read(r.pay(r.wallet, ask))
	if c.Amount != 0 || c.Payer.Address != r.wallet.Address() {
		t.Errorf("claim %+v", c)
	}
	if err := errors.Join(r.rail.Match(c, ask), r.rail.Verify(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	if out, err := r.submit(c, &kept{}, soon); err != nil || out.State != billing.Settled || out.Hash != "" {
		t.Errorf("outcome %+v, error %v", out, err)
	}
	if err := r.rail.Match(c, r.ask(25_000)); !refused(err, billing.Mismatched, "costs 0.025 USD") {
		t.Errorf("a proof where money is asked for: %v", err)
	}
	r.pass(5 * time.Minute)
	if err := r.rail.Verify(t.Context(), c); !refused(err, billing.Expired, "") {
		t.Errorf("later: %v", err)
	}
}
