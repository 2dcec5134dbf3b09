package mpp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
)

const realm = "api.example.com"

// rig is a rail, its chain, and a wallet with money. Both clocks are the rig's.
type rig struct {
	*testing.T
	chain  *mpptest.Chain
	rail   *mpp.Rail
	wallet *mpptest.Wallet
	log    *bytes.Buffer

	mu  sync.Mutex
	at  time.Time
	opt mpp.Options
}

func newRig(t *testing.T, edit ...func(*mpp.Options)) *rig {
	t.Helper()
	r := &rig{T: t, at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), log: &bytes.Buffer{}}
	r.chain = mpptest.NewChain(r.now)
	t.Cleanup(r.chain.Close)
	r.wallet = mpptest.NewWallet("payer", r.now)
	r.chain.Fund(r.wallet.Address(), berth.Dollar)
	r.opt = mpp.Options{
		RPC: r.chain.URL(), Chain: mpptest.ChainID, Recipient: mpptest.Recipient, Currency: mpptest.Token,
		Secret: []byte(strings.Repeat("s", 32)), Poll: time.Millisecond, Clock: r.now,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	for _, e := range edit {
		e(&r.opt)
	}
	r.rail = r.open(r.opt)
	return r
}

func (r *rig) open(o mpp.Options) *mpp.Rail {
	r.Helper()
	rail, err := mpp.New(o)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(rail.Close)
	return rail
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = r.at.Add(d)
}

func (r *rig) ask(amount berth.Micros) billing.Ask {
	return billing.Ask{
		Operation: "create_server", Amount: amount, Realm: realm, Resource: "https://" + realm + "/v1/servers",
		Description: "create server", Binding: "aGFzaCBvZiB0aGUgaW5wdXQ", At: r.now(),
	}
}

func (r *rig) offer(ask billing.Ask) berth.Challenge {
	r.Helper()
	offer, err := r.rail.Offer(ask)
	if err != nil {
		r.Fatal(err)
	}
	return offer
}

// pay is a credential of a wallet for an ask, as it comes in.
func (r *rig) pay(w *mpptest.Wallet, ask billing.Ask) billing.Presented {
	r.Helper()
	data, err := w.Pay(r.offer(ask).Header)
	if err != nil {
		r.Fatal(err)
	}
	return r.present(data)
}

func (r *rig) present(data []byte) billing.Presented {
	return billing.Presented{Scheme: "mpp", Data: data, Realm: realm, At: r.now()}
}

func (r *rig) read(p billing.Presented) billing.Claim {
	r.Helper()
	c, err := r.rail.Read(r.Context(), p)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// claim is a claim of the rig's wallet for 25000 units.
func (r *rig) claim() billing.Claim {
	r.Helper()
	return r.read(r.pay(r.wallet, r.ask(25_000)))
}

// kept remembers what was kept before it left.
type kept struct {
	b     billing.Broadcast
	times int
	err   error
}

func (k *kept) keep(_ context.Context, _ string, _ uint64, sign func(uint64) (billing.Broadcast, error)) (billing.Broadcast, error) {
	k.times++
	if k.err != nil {
		return billing.Broadcast{}, k.err
	}
	var err error
	k.b, err = sign(0)
	return k.b, err
}

// submit brings a claim to the chain, and waits for at most so long.
func (r *rig) submit(c billing.Claim, k *kept, wait time.Duration) (billing.Outcome, error) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	return r.rail.Submit(ctx, c, k.keep)
}

func (r *rig) follow(c billing.Claim, b billing.Broadcast) billing.Outcome {
	r.Helper()
	out, err := r.rail.Follow(r.Context(), c, b, (&kept{}).keep)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// refused tells whether err is a refusal of a kind whose message has some words.
func refused(err error, p billing.Problem, words string) bool {
	var refusal *billing.Refusal
	return errors.As(err, &refusal) && refusal.Problem == p && strings.Contains(refusal.Message, words)
}

// edited is JSON with a member changed; a nil value takes it away. The path's
// parts are parted by dots.
func edited(t *testing.T, data []byte, path string, value any) []byte {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	at := object
	parts := strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		at = at[p].(map[string]any)
	}
	last := parts[len(parts)-1]
	if value == nil {
		delete(at, last)
	} else {
		at[last] = value
	}
	changed, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
