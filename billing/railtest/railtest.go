// Package railtest is a rail over a chain in memory, whose faults a test
// scripts, for tests of everything that takes payments.
package railtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"berth"
	"berth/billing"
)

// Name is the rail that it stands in for: its credentials are JSON of a
// Credential, under the scheme of x402's version 2.
const Name = "x402"

// Credential is what a wallet of this rail signs.
type Credential struct {
	From       string       `json:"from"`
	Nonce      string       `json:"nonce"`
	Amount     berth.Micros `json:"amount"`
	Binding    string       `json:"binding,omitempty"` // checked where it is there
	Identifier string       `json:"identifier,omitempty"`
	Forged     bool         `json:"forged,omitempty"`
	Expires    time.Time    `json:"expires"`
}

// Errors of a chain that does not answer.
var (
	ErrBefore = errors.New("no answer before anything was sent")
	ErrAfter  = errors.New("no answer after it was sent")
)

// Faults are what the chain does next, each once.
type Faults struct {
	Read, Verify error  // what the rail answers
	Submit       error  // ErrBefore or ErrAfter keep
	Lose         bool   // the transaction is kept, and the process ends: it never leaves
	Delay        int    // how many looks a transaction stays unconfirmed
	Revert       bool   // the transaction fails on the chain
	Meanwhile    func() // happens while the chain is asked to verify
}

// Rail is the rail with its chain. It may be used concurrently.
type Rail struct {
	mu     sync.Mutex
	funds  map[string]berth.Micros
	mined  map[string]string // by claim: the transaction
	failed map[string]bool
	delay  map[string]int
	faults Faults
	moves  []billing.Move
	// Paid is what arrived, and Count in how many transactions.
	paid  berth.Micros
	count int
}

// New is a rail on which nobody has anything.
func New() *Rail {
	return &Rail{funds: map[string]berth.Micros{}, mined: map[string]string{}, failed: map[string]bool{}, delay: map[string]int{}}
}

// Fund gives a wallet money.
func (r *Rail) Fund(address string, amount berth.Micros) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.funds[address] += amount
}

// Inject scripts what happens next.
func (r *Rail) Inject(f Faults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = f
}

// Received is what arrived on the chain, and in how many transactions.
func (r *Rail) Received() (berth.Micros, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paid, r.count
}

// Text is the credential as it is presented.
func (c Credential) Text() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Name implements billing.Rail.
func (r *Rail) Name() string { return Name }

// Offer implements billing.Rail.
func (r *Rail) Offer(a billing.Ask) (berth.Challenge, error) {
	return berth.Challenge{
		Rail: Name, Header: fmt.Sprintf("test %d %s", a.Amount, a.Binding),
		Payload: map[string]any{"x402Version": 2, "amount": int64(a.Amount), "binding": a.Binding, "accepts": []any{}},
		Legacy:  map[string]any{"x402Version": 1, "accepts": []any{}},
	}, nil
}

// Read implements billing.Rail.
func (r *Rail) Read(_ context.Context, p billing.Presented) (billing.Claim, error) {
	if err := r.next(func(f *Faults) error { return take(&f.Read) }); err != nil {
		return billing.Claim{}, err
	}
	var c Credential
	if err := json.Unmarshal(p.Data, &c); err != nil {
		return billing.Claim{}, billing.Refuse(billing.Malformed, "no JSON")
	}
	w, err := berth.ParseWallet(c.From)
	if err != nil {
		return billing.Claim{}, billing.Refuse(billing.Malformed, "%v", err)
	}
	if c.Forged {
		return billing.Claim{}, billing.Refuse(billing.Unverified, "the signature is not the payer's")
	}
	return billing.Claim{
		Rail: Name, Scheme: p.Scheme, Unique: c.From + "/" + c.Nonce, Payer: w, Amount: c.Amount, Network: "test:1",
		Asset: "0xtest", Binding: c.Binding, Identifier: c.Identifier, Expires: c.Expires, Payload: json.RawMessage(p.Data),
	}, nil
}

// Match implements billing.Rail.
func (r *Rail) Match(c billing.Claim, a billing.Ask) error {
	switch {
	case !a.At.Before(c.Expires):
		return billing.Refuse(billing.Expired, "expired at %s", c.Expires)
	case c.Amount != a.Amount:
		return billing.Refuse(billing.Mismatched, "it pays %s and the price is %s", c.Amount, a.Amount)
	case c.Binding != "" && c.Binding != a.Binding:
		return billing.Refuse(billing.Mismatched, "it is for another request")
	}
	return nil
}

// Verify implements billing.Rail.
func (r *Rail) Verify(_ context.Context, c billing.Claim) error {
	var meanwhile func()
	err := r.next(func(f *Faults) error {
		meanwhile, f.Meanwhile = f.Meanwhile, nil
		return take(&f.Verify)
	})
	if meanwhile != nil {
		meanwhile()
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.funds[c.Payer.Address] < c.Amount && r.mined[c.Unique] == "" {
		return billing.Refuse(billing.Insufficient, "the wallet has %s", r.funds[c.Payer.Address])
	}
	return nil
}

// Submit implements billing.Rail.
func (r *Rail) Submit(ctx context.Context, c billing.Claim, keep billing.Keep) (billing.Outcome, error) {
	var f Faults
	_ = r.next(func(next *Faults) error { f, *next = *next, Faults{}; return nil })
	if f.Submit == ErrBefore {
		return billing.Outcome{}, ErrBefore
	}
	if _, err := keep(ctx, "", 0, func(uint64) (billing.Broadcast, error) {
		return billing.Broadcast{Hash: "0x" + c.Unique, Raw: []byte("raw")}, nil
	}); err != nil {
		return billing.Outcome{}, err
	}
	if f.Lose {
		return billing.Outcome{}, ErrAfter
	}
	r.mine(c, f)
	if f.Submit != nil {
		return billing.Outcome{}, f.Submit
	}
	return r.look(c), nil
}

// Follow implements billing.Rail.
func (r *Rail) Follow(_ context.Context, c billing.Claim, _ billing.Broadcast, _ billing.Keep) (billing.Outcome, error) {
	r.mine(c, Faults{})
	return r.look(c), nil
}

// Pay implements billing.Payer.
func (r *Rail) Pay(ctx context.Context, p billing.Payout, keep billing.Keep) (billing.Outcome, error) {
	var f Faults
	_ = r.next(func(next *Faults) error { f, *next = *next, Faults{}; return nil })
	if f.Submit == ErrBefore {
		return billing.Outcome{}, ErrBefore
	}
	if f.Verify != nil {
		return billing.Outcome{}, f.Verify
	}
	if _, err := keep(ctx, "settler", 0, func(nonce uint64) (billing.Broadcast, error) {
		return billing.Broadcast{Hash: "0x" + p.ID, Sender: "settler", Nonce: nonce, Raw: []byte("raw")}, nil
	}); err != nil {
		return billing.Outcome{}, err
	}
	r.send(p, f)
	if f.Submit != nil {
		return billing.Outcome{}, f.Submit
	}
	return r.sent(p), nil
}

// FollowPay implements billing.Payer.
func (r *Rail) FollowPay(_ context.Context, p billing.Payout, _ billing.Broadcast, _ billing.Keep) (billing.Outcome, error) {
	r.send(p, Faults{})
	return r.sent(p), nil
}

func (r *Rail) send(p billing.Payout, f Faults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mined[p.ID] != "" || r.failed[p.ID] {
		return
	}
	if f.Revert {
		r.failed[p.ID] = true
		return
	}
	r.mined[p.ID] = "0x" + p.ID
	r.moves = append(r.moves, billing.Move{Hash: "0x" + p.ID, Wallet: p.To.Address, Out: true, Amount: p.Amount})
	r.funds[p.To.Address] += p.Amount
	r.paid -= p.Amount
}

func (r *Rail) sent(p billing.Payout) billing.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed[p.ID] {
		return billing.Outcome{State: billing.Failed, Reason: "reverted"}
	}
	return billing.Outcome{State: billing.Settled, Hash: r.mined[p.ID]}
}

// Moves implements billing.Auditor: all that ever moved.
func (r *Rail) Moves(context.Context, time.Time) ([]billing.Move, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.moves), nil
}

// Drop sends money to Berth that no payment is about.
func (r *Rail) Drop(from string, amount berth.Micros) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moves = append(r.moves, billing.Move{Hash: "0xdropped", Wallet: from, Amount: amount})
}

// Funds are what a wallet has.
func (r *Rail) Funds(address string) berth.Micros {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.funds[address]
}

// mine moves the money, once.
func (r *Rail) mine(c billing.Claim, f Faults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.mined[c.Unique] != "" || r.failed[c.Unique]:
		return
	case f.Revert || r.funds[c.Payer.Address] < c.Amount:
		r.failed[c.Unique] = true
		return
	}
	r.funds[c.Payer.Address] -= c.Amount
	r.paid += c.Amount
	r.count++
	r.mined[c.Unique] = "0x" + c.Unique
	r.moves = append(r.moves, billing.Move{Hash: "0x" + c.Unique, Wallet: c.Payer.Address, Amount: c.Amount})
	r.delay[c.Unique] = f.Delay
}

func (r *Rail) look(c billing.Claim) billing.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.failed[c.Unique]:
		return billing.Outcome{State: billing.Failed, Reason: "reverted"}
	case r.delay[c.Unique] > 0:
		r.delay[c.Unique]--
		return billing.Outcome{State: billing.Unsettled, Hash: r.mined[c.Unique]}
	}
	return billing.Outcome{State: billing.Settled, Hash: r.mined[c.Unique]}
}

func (r *Rail) next(fn func(*Faults) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fn(&r.faults)
}

// take is an error that happens once.
func take(e *error) error {
	err := *e
	*e = nil
	return err
}
