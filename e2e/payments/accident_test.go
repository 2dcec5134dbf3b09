package payments

import (
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"berth"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/mpp/mpptest"
	"berth/billing/x402/x402test"
)

// accident is what happens to one honest payment. Whatever it is, the payer has
// one server for one payment in the end, or has paid nothing.
type accident struct {
	name   string
	edits  []edit
	before func(s *shop, c credential) // before the first request
	first  berth.Code                  // of its answer; empty: it is delivered
	after  func(s *shop, c credential) // before the same request again
	fails  billing.Problem             // how it ends; empty: with a server
}

func accidents(t *testing.T, rail string, list []accident) {
	for _, a := range list {
		t.Run(a.name, func(t *testing.T) {
			on(t, rail, func(s *shop, r till) { s.suffer(r, a) }, a.edits...)
		})
	}
}

func (s *shop) suffer(r till, a accident) {
	s.t.Helper()
	c := r.pay()
	if a.before != nil {
		a.before(s, c)
	}
	got := s.buy(c)
	switch {
	case a.first == "":
		s.delivered(got)
	case a.first == berth.PaymentPending:
		s.waits(got)
	case got.code != a.first || got.receipt || (a.first != berth.PaymentRejected && got.fresh()):
		s.t.Errorf("the first answer is %d %s, want %s", got.status, got.text, a.first)
	}
	if a.first != "" && s.State().Rows["servers"] > 0 {
		s.t.Error("there is a server, and no payment for it yet")
	}
	if a.after != nil {
		a.after(s, c)
	}
	got = s.until(c)
	if a.fails != "" {
		s.refused(got, string(a.fails))
		s.agree(0, 0)
		s.payer, s.base.Auto = "second", true
		s.delivered(s.buy(r.pay()))
		s.agree(price, 1)
		return
	}
	id := s.delivered(got)
	s.follow()
	if again := s.delivered(s.buy(c)); again != id {
		s.t.Errorf("once more it made %s beside %s", again, id)
	}
	s.agree(price, 1)
}

// until repeats an order as clients do, until it is not pending any more.
func (s *shop) until(c credential) (a answer) {
	s.t.Helper()
	for range 5 {
		if a = s.buy(c); a.code != berth.PaymentPending {
			return a
		}
		s.waits(a)
	}
	s.t.Fatalf("it stays %s", a.text)
	return a
}

// script lets the node of Tempo meet faults.
func script(method string, faults ...mpptest.Fault) func(*shop, credential) {
	return func(s *shop, _ credential) { s.tempo.Script(method, faults...) }
}

const (
	sendSync = "eth_sendRawTransactionSync"
	send     = "eth_sendRawTransaction"
)

func (s *shop) hash(c credential) string { return evm.Keccak(s.raw(c)).Hex() }

func TestAccidentsOfMPP(t *testing.T) {
	drop := mpptest.Fault{Drop: true}
	accidents(t, "mpp", []accident{
		{name: "nothing happens"},
		{name: "no answer to the check", before: script("eth_getBlockByNumber", drop), first: berth.Unavailable},
		{name: "no answer to the balance", before: script("eth_call", drop), first: berth.Unavailable},
		{name: "no answer, and nothing sent", before: script(sendSync, drop), first: berth.PaymentPending},
		{name: "no answer, and sent", before: script(sendSync, mpptest.Fault{After: true, Drop: true})},
		{name: "refused, and sent", before: script(sendSync, mpptest.Fault{After: true, Code: -32000, Message: "nonce too low"})},
		{name: "refused, and not sent", before: script(sendSync, mpptest.Fault{Code: -32000, Message: "the pool is full"}), first: berth.PaymentPending},
		{
			name: "a receipt without the payment", first: berth.PaymentPending,
			before: func(s *shop, c credential) {
				s.tempo.Script(sendSync, mpptest.Fault{})
				s.tempo.Forge(s.hash(c))
			},
		},
		{
			name: "a token that reverts", first: berth.PaymentRejected, fails: billing.Unverified,
			before: func(s *shop, c credential) {
				s.tempo.Script(sendSync, mpptest.Fault{})
				s.tempo.Revert(s.hash(c))
			},
		},
		{
			name: "a token that would revert", first: berth.PaymentRejected, fails: billing.Unverified,
			before: script("eth_call", mpptest.Fault{Result: big32(berth.Dollar)}, mpptest.Fault{Code: 3, Message: "execution reverted"}),
		},
		{
			name: "a block that is given up", edits: []edit{deep}, first: berth.PaymentPending,
			after: func(s *shop, c credential) {
				s.tempo.Reorganise(s.hash(c), false)
				s.waits(s.buy(c))
				s.block(3)
			},
		},
		{
			name: "a block that is given up, and a node that lags", edits: []edit{deep}, first: berth.PaymentPending,
			after: func(s *shop, c credential) {
				s.tempo.Reorganise(s.hash(c), true)
				s.waits(s.buy(c))
				s.block(3)
			},
		},
		{
			name: "sent by its payer first", before: func(s *shop, c credential) {
				if _, err := s.tempo.Send(s.raw(c)); err != nil {
					s.t.Fatal(err)
				}
			},
		},
		{
			name: "sent first by a payer who had no more", before: func(s *shop, c credential) {
				s.tempo.Fund(s.tempoWallet().Address(), price-10*berth.Dollar)
				if _, err := s.tempo.Send(s.raw(c)); err != nil {
					s.t.Fatal(err)
				}
			},
		},
		{
			name: "confirmed when the challenge is over", edits: []edit{deep}, first: berth.PaymentPending,
			after: func(s *shop, _ credential) { s.pass(20 * minute); s.block(20) },
		},
		{
			name: "never mined", first: berth.PaymentPending, fails: billing.Unverified,
			before: script(sendSync, mpptest.Fault{Drop: true}),
			after: func(s *shop, _ credential) {
				s.pass(20 * minute)
				s.block(20)
			},
		},
		{
			name: "sent by its payer, and Berth did not get so far", first: berth.Unavailable,
			before: script("eth_getBlockByNumber", drop),
			after: func(s *shop, c credential) {
				if _, err := s.tempo.Send(s.raw(c)); err != nil {
					s.t.Fatal(err)
				}
				s.pass(20 * minute)
				s.block(20)
				s.follow()
				s.follow()
			},
		},
		{
			name: "given up", first: berth.Unavailable, fails: billing.Unverified,
			before: script("eth_getBlockByNumber", drop),
			after:  func(s *shop, _ credential) { s.pass(20 * minute); s.follow() },
		},
		{
			name: "reconciled before the retry", first: berth.PaymentPending,
			before: script(sendSync, mpptest.Fault{Drop: true}),
			after: func(s *shop, _ credential) {
				s.restart()
				s.follow()
				s.follow()
			},
		},
	})
}

func big32(n berth.Micros) string { return common.BigToHash(big.NewInt(int64(n))).Hex() }

// fail lets the first requests for a method meet a fault, from now on.
func (s *shop) fail(method string, times int, f x402test.Fault) {
	from := s.base.Asked(method)
	s.base.Fault = func(m string, nth int) x402test.Fault {
		if m == method && nth > from && nth <= from+times {
			return f
		}
		return x402test.None
	}
}

func failing(method string, times int, f x402test.Fault) func(*shop, credential) {
	return func(s *shop, _ credential) { s.fail(method, times, f) }
}

// settle is the call that carries a credential's authorization out.
func (s *shop) settle(c credential) []byte {
	a, signature := s.authorization(c)
	return a.Settle(signature)
}

// drain has the ordinary wallet give all that it has to somebody else.
func (s *shop) drain() {
	s.t.Helper()
	key := s.baseWallet().Key
	now := s.Clock.Now().Unix()
	a := evm.Authorization{
		From: key.Address(), To: x402test.NewWallet("friend").Key.Address(), Value: big.NewInt(s.base.Balance(key.Address())),
		ValidAfter: big.NewInt(0), ValidBefore: big.NewInt(now + 3600), Nonce: evm.Keccak([]byte("drain")),
	}
	signature, err := key.Sign(a.Digest(x402test.Domain.Separator()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.base.Elsewhere(a.Settle(signature.Bytes()))
}

func TestAccidentsOfX402(t *testing.T) {
	still := func(s *shop, _ credential) { s.base.Auto = false }
	accidents(t, "x402", []accident{
		{name: "nothing happens"},
		{name: "no answer to the check", before: failing("eth_call", 1, x402test.Before), first: berth.Unavailable},
		{name: "a busy node", before: failing("eth_call", 1, x402test.Busy), first: berth.Unavailable},
		{name: "no answer before the broadcast", before: failing("eth_getTransactionCount", 1, x402test.Before), first: berth.Unavailable},
		{name: "no answer to what gas costs", before: failing("eth_estimateGas", 1, x402test.Before), first: berth.Unavailable},
		{name: "no answer, and nothing sent", before: failing(send, 1, x402test.Before), first: berth.PaymentPending},
		{name: "no answer, and sent", before: failing(send, 1, x402test.After)},
		{
			name: "receipts that say the contrary", first: berth.PaymentPending,
			before: failing("eth_getTransactionReceipt", 1000, x402test.Lie),
			after:  func(s *shop, _ credential) { s.base.Fault = nil },
		},
		{
			name: "a receipt of a transaction that never was", first: berth.PaymentPending,
			before: func(s *shop, c credential) {
				s.base.Auto = false
				s.fail("eth_getTransactionReceipt", 1000, x402test.Lie)
			},
			after: func(s *shop, _ credential) { s.base.Fault = nil; s.base.Mine() },
		},
		{
			name: "a token that reverts", before: still, first: berth.PaymentPending, fails: billing.Unverified,
			after: func(s *shop, c credential) {
				s.drain()
				s.base.Mine()
				s.waits(s.buy(c))
				s.pass(20 * minute)
			},
		},
		{
			name: "a payer without funds at the last moment", first: berth.PaymentRejected, fails: billing.Unverified,
			before: func(s *shop, _ credential) { s.drain() },
		},
		{
			name: "a block that is given up, and what was in it lost", edits: []edit{deep}, first: berth.PaymentPending,
			after: func(s *shop, c credential) {
				s.base.Reorganise(1, true)
				s.waits(s.buy(c))
				s.block(4)
			},
		},
		{
			name: "a block that is given up, and what was in it waits", edits: []edit{deep}, first: berth.PaymentPending,
			after: func(s *shop, c credential) {
				s.base.Reorganise(1, false)
				s.waits(s.buy(c))
				s.block(5)
			},
		},
		{name: "settled by a third party first", before: func(s *shop, c credential) { s.base.Elsewhere(s.settle(c)) }},
		{
			name: "settled by a third party meanwhile", before: still, first: berth.PaymentPending,
			after: func(s *shop, c credential) {
				s.base.Elsewhere(s.settle(c))
				s.base.Mine() // Berth's own does nothing any more
			},
		},
		{
			name: "canceled by its payer first", first: berth.PaymentRejected, fails: billing.Unverified,
			before: func(s *shop, c credential) {
				a, _ := s.authorization(c)
				s.base.Elsewhere(x402test.Cancel(a))
			},
		},
		{
			name: "canceled by its payer meanwhile", before: still, first: berth.PaymentPending, fails: billing.Unverified,
			after: func(s *shop, c credential) {
				a, _ := s.authorization(c)
				s.base.Elsewhere(x402test.Cancel(a))
				s.base.Auto = true
				s.base.Mine()
			},
		},
		{
			name: "a stuck transaction", before: still, first: berth.PaymentPending,
			after: func(s *shop, c credential) {
				s.base.BaseFee *= 3
				s.Clock.Advance(40 * time.Second)
				s.waits(s.buy(c)) // a dearer one takes its place
				s.base.Auto = true
				s.base.Mine()
			},
		},
		{
			name: "a lost transaction", before: still, first: berth.PaymentPending,
			after: func(s *shop, c credential) {
				s.base.Drop()
				s.base.Auto = true
			},
		},
		{
			name: "confirmed when the authorization is over", edits: []edit{deep}, first: berth.PaymentPending,
			after: func(s *shop, _ credential) { s.pass(20 * minute); s.block(4) },
		},
		{
			name: "settled by a third party, and Berth did not get so far", first: berth.Unavailable,
			before: failing("eth_call", 1, x402test.Before),
			after: func(s *shop, c credential) {
				s.base.Elsewhere(s.settle(c))
				s.pass(20 * minute)
				s.follow()
			},
		},
		{
			name: "given up", first: berth.Unavailable, fails: billing.Unverified,
			before: failing("eth_call", 1, x402test.Before),
			after:  func(s *shop, _ credential) { s.pass(20 * minute); s.follow() },
		},
		{
			name: "reconciled before the retry", before: still, first: berth.PaymentPending,
			after: func(s *shop, _ credential) {
				s.restart()
				s.base.Mine()
				s.follow()
			},
		},
	})
}
