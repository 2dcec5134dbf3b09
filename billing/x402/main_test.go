package x402_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"berth"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/x402"
	"berth/billing/x402/x402test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	settlerSecret = "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"
	payTo         = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
	realm         = "berth.example"
	resource      = "https://berth.example/v1/servers"
)

// rig is a rail, its chain, and a wallet with 10 dollars.
type rig struct {
	t      *testing.T
	rail   *x402.Rail
	chain  *x402test.Chain
	wallet *x402test.Wallet
	kept   *keeper
}

func newRig(t *testing.T, change ...func(*x402.Options)) *rig {
	t.Helper()
	settler, err := evm.ParseKey(settlerSecret)
	if err != nil {
		t.Fatal(err)
	}
	chain := x402test.NewChain(settler.Address(), time.Now)
	o := x402.Options{RPC: "http://chain.example/secret", Network: x402test.Network, PayTo: payTo, Settler: settlerSecret, Transport: chain}
	for _, f := range change {
		f(&o)
	}
	rail, err := x402.New(o)
	if err != nil {
		t.Fatal(err)
	}
	wallet := x402test.NewWallet("payer")
	chain.Fund(wallet.Key.Address(), 10_000_000)
	return &rig{t, rail, chain, wallet, &keeper{next: map[uint64]bool{}}}
}

func ask(amount berth.Micros) billing.Ask {
	return billing.Ask{Operation: "create_server", Amount: amount, Realm: realm, Resource: resource, Description: "a server", At: time.Now()}
}

func (r *rig) offer(a billing.Ask) berth.Challenge {
	r.t.Helper()
	offer, err := r.rail.Offer(a)
	if err != nil {
		r.t.Fatal(err)
	}
	return offer
}

func (r *rig) read(scheme string, data []byte) (billing.Claim, error) {
	return r.rail.Read(r.t.Context(), billing.Presented{Scheme: scheme, Data: data, Realm: realm, Resource: resource, At: time.Now()})
}

// claim is a payment of two cents that was read.
func (r *rig) claim() billing.Claim {
	r.t.Helper()
	credential, err := r.wallet.Pay(r.offer(ask(20_000)), time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := r.read("x402/2", credential)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// submit submits a claim, for at most a while by the clock.
func (r *rig) submit(c billing.Claim, within time.Duration) (billing.Outcome, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), within)
	defer cancel()
	return r.rail.Submit(ctx, c, r.kept.keep)
}

func (r *rig) follow(c billing.Claim) billing.Outcome {
	r.t.Helper()
	o, err := r.rail.Follow(r.t.Context(), c, r.kept.last(), r.kept.keep)
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// paid checks what arrived, in base units.
func (r *rig) paid(want int64) {
	r.t.Helper()
	to, err := evm.ParseAddress(payTo)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := r.chain.Balance(to); got != want {
		r.t.Errorf("%d arrived, want %d", got, want)
	}
}

// keeper is a store of broadcasts, as the cashier keeps them for one payment.
type keeper struct {
	mu   sync.Mutex
	next map[uint64]bool // nonces that other payments use
	list []billing.Broadcast
	fail error
}

func (k *keeper) keep(_ context.Context, _ string, floor uint64, sign func(uint64) (billing.Broadcast, error)) (billing.Broadcast, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return billing.Broadcast{}, k.fail
	}
	for k.next[floor] {
		floor++
	}
	b, err := sign(floor)
	if err == nil {
		k.list = append(k.list, b)
	}
	return b, err
}

func (k *keeper) last() billing.Broadcast {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.list) == 0 {
		return billing.Broadcast{}
	}
	return k.list[len(k.list)-1]
}

func (k *keeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.list)
}

// problem is a refusal's, and empty for anything else.
func problem(err error) billing.Problem {
	var r *billing.Refusal
	if errors.As(err, &r) {
		return r.Problem
	}
	return ""
}

// only makes the first requests of a method fail.
func only(method string, times int, f x402test.Fault) func(string, int) x402test.Fault {
	return func(m string, nth int) x402test.Fault {
		if m == method && nth <= times {
			return f
		}
		return x402test.None
	}
}

func units(n int64) *big.Int { return big.NewInt(n) }

var errDisk = fmt.Errorf("the disk is full")
