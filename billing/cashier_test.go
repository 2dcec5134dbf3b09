package billing_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/billing/railtest"
)

var errCrash = errors.New("the process has died")

// desk is a store of payments beside their ledger. A process that works on it
// dies at one of its writes, before or after it is done, if a test wants that.
type desk struct {
	*memory
	payments map[berth.ID]billing.Payment
	writes   int  // until the process dies; negative for never
	kept     bool // whether that write is done
	dead     bool
}

func (d *desk) die(after int, kept bool) { d.writes, d.kept, d.dead = after, kept, false }

func (d *desk) read(ctx context.Context, fn func(*desk) error) error {
	if d.dead {
		return errCrash
	}
	return fn(d)
}

func (d *desk) write(ctx context.Context, fn func(*desk) error) error {
	if d.dead {
		return errCrash
	}
	d.dead = d.writes == 0
	d.writes--
	if d.dead && !d.kept {
		return errCrash
	}
	before := maps.Clone(d.payments)
	err := d.memory.Write(ctx, func(billing.Tx) error { return fn(d) })
	if err != nil {
		d.payments = before
	}
	if d.dead {
		return errCrash
	}
	return err
}

// counter is the desk as the cashier has it.
type counter struct{ *desk }

func (c counter) Read(ctx context.Context, fn func(billing.PaymentRx) error) error {
	return c.read(ctx, func(d *desk) error { return fn(d) })
}

func (c counter) Write(ctx context.Context, fn func(billing.PaymentTx) error) error {
	return c.write(ctx, func(d *desk) error { return fn(d) })
}

func (d *desk) Payment(_ context.Context, id berth.ID) (billing.Payment, error) {
	return d.one(func(p billing.Payment) bool { return p.ID == id })
}

func (d *desk) PaymentByClaim(_ context.Context, rail, unique string) (billing.Payment, error) {
	return d.one(func(p billing.Payment) bool { return p.Claim.Rail == rail && p.Claim.Unique == unique })
}

func (d *desk) PaymentByKey(_ context.Context, principal berth.ID, operation, key string) (billing.Payment, error) {
	return d.one(func(p billing.Payment) bool {
		return p.Principal == principal && p.Operation == operation && p.Key == key && p.State != billing.Failed
	})
}

func (d *desk) one(is func(billing.Payment) bool) (billing.Payment, error) {
	for _, p := range d.payments {
		if is(p) {
			return p, nil
		}
	}
	return billing.Payment{}, berth.Errorf(berth.NotFound, "no such payment")
}

func (d *desk) OpenPayments(_ context.Context, limit int) (list []billing.Payment, err error) {
	for _, p := range d.payments {
		if !p.Rests() && len(list) < limit {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b billing.Payment) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

func (d *desk) TakenNonces(_ context.Context, sender string, floor uint64, since time.Time) (list []uint64, err error) {
	for _, p := range d.payments {
		recent := p.State == billing.Settled && !p.Updated.Before(since)
		if (p.Left() || recent) && p.Broadcast.Sender == sender && p.Broadcast.Nonce >= floor {
			list = append(list, p.Broadcast.Nonce)
		}
	}
	return list, nil
}

func (d *desk) InsertPayment(_ context.Context, p billing.Payment) error {
	d.payments[p.ID] = p
	return nil
}

func (d *desk) UpdatePayment(_ context.Context, p billing.Payment) error {
	d.payments[p.ID] = p
	return nil
}

// Payments, PaymentSum and InsertProof are no part of taking a payment: nothing
// here calls them.
func (d *desk) Payments(context.Context, berth.ID, int) ([]billing.Payment, error) {
	panic("not called")
}

func (d *desk) PaymentSum(context.Context, berth.ID, berth.Wallet, string, bool, time.Time) (berth.Micros, error) {
	panic("not called")
}

func (d *desk) InsertProof(context.Context, string, string, time.Time) error { panic("not called") }

// world is a chain and a desk, as processes that die find and leave them.
type world struct {
	*rapid.T
	ctx       context.Context
	desk      *desk
	rail      *railtest.Rail
	clock     time.Time
	principal berth.ID
	signed    []railtest.Credential
}

func newWorld(t *rapid.T) *world {
	p, err := account.NewEmailPrincipal("dev@example.com", account.Budget{}, now)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, ctx: context.Background(), rail: railtest.New(), clock: now, principal: p.ID,
		desk: &desk{memory: newMemory(), payments: map[berth.ID]billing.Payment{}, writes: -1},
	}
	w.rail.Fund(wallet, 3*berth.Dollar) // enough for some of what it signs
	return w
}

const wallet = "0x1111111111111111111111111111111111111111"

// cashier is the one of a new process.
func (w *world) cashier() *billing.Cashier {
	return billing.NewCashier(counter{w.desk}, []billing.Rail{w.rail}, func() time.Time { return w.clock }, slog.New(slog.DiscardHandler))
}

// order is what a request with a credential does: reserve, settle, credit.
func (w *world) order(c railtest.Credential) error {
	claim, err := w.rail.Read(w.ctx, billing.Presented{Scheme: "x402/2", Data: []byte(c.Text()), At: w.clock})
	if err != nil {
		return err
	}
	var p billing.Payment
	err = w.desk.write(w.ctx, func(d *desk) (err error) {
		p, err = billing.Reserve(w.ctx, d, billing.Payment{
			ID: berth.NewID(berth.PrefixPayment, w.clock), Principal: w.principal, Claim: claim, Operation: "create_server",
			Hash: []byte("input"), Created: w.clock,
		})
		return err
	})
	if err != nil {
		return err
	}
	return w.settle(p)
}

// settle takes a payment or a payout as far as it goes, and books what came of it.
func (w *world) settle(p billing.Payment) error {
	out, err := w.cashier().Settle(w.ctx, p.ID)
	if err != nil || (!p.Out && out.State != billing.Settled) {
		return err
	}
	return w.desk.write(w.ctx, func(d *desk) error {
		if p.Out {
			return billing.EndPayout(w.ctx, d, p.ID, out, w.clock)
		}
		_, err := billing.Credit(w.ctx, d, p.ID, out.Hash, w.clock)
		return err
	})
}

// payOut begins a payout of credit.
func (w *world) payOut(amount berth.Micros) error {
	return w.desk.write(w.ctx, func(d *desk) error {
		_, err := billing.BeginPayout(w.ctx, d, w.principal, railtest.Name, berth.Wallet{Address: wallet}, amount, w.clock)
		return err
	})
}

// follow is a round of the reconciler.
func (w *world) follow() (open int) {
	list, _ := w.desk.OpenPayments(w.ctx, 1000)
	for _, p := range list {
		if p.Left() || p.Out {
			_ = w.settle(p) // judged by what it leaves behind
		}
	}
	return len(list)
}

// check holds the books against the chain: nothing is credited that is not
// there, and nothing is there twice.
func (w *world) check() {
	arrived, _ := w.rail.Received()
	report, err := verify(w.ctx, w.desk)
	if err != nil {
		w.Fatal(err)
	}
	if !report.OK() {
		w.Fatalf("the ledger: %v", report.Problems)
	}
	if credited := w.credited(); credited > arrived {
		// What was paid out and not booked yet is still held.
		if held := w.held(); credited-held > arrived {
			w.Fatalf("%s USD are in the books, %s of them on their way out, and %s on the chain", credited, held, arrived)
		}
	}
	before, _ := w.rail.Moves(w.ctx, now)
	seen := map[string]bool{}
	for _, m := range before {
		if seen[m.Hash] {
			w.Fatalf("%s moved money twice", m.Hash)
		}
		seen[m.Hash] = true
	}
}

func (w *world) credited() berth.Micros {
	a := w.desk.accounts[billing.CustomerAccount(w.principal)]
	return a.Credited - a.Debited
}

func (w *world) held() berth.Micros {
	return w.desk.accounts[billing.CustomerAccount(w.principal)].Held
}

// faults are what may happen to one request to the chain.
func faults() *rapid.Generator[railtest.Faults] {
	return rapid.Custom(func(t *rapid.T) (f railtest.Faults) {
		switch rapid.SampledFrom([]string{"", "verify", "refuse", "before", "after", "lose", "delay", "revert"}).Draw(t, "fault") {
		case "verify":
			f.Verify = railtest.ErrBefore
		case "refuse":
			f.Verify = billing.Refuse(billing.Unverified, "no")
		case "before":
			f.Submit = railtest.ErrBefore
		case "after":
			f.Submit = railtest.ErrAfter
		case "lose":
			f.Lose = true
		case "delay":
			f.Delay = rapid.IntRange(1, 3).Draw(t, "looks")
		case "revert":
			f.Revert = true
		}
		return f
	})
}

// TestMoneyIsNeverLost lets the chain fail and the process die at any write, and
// goes on: what arrived is credited once, what went out was held before, and in
// the end books and chain agree to the unit.
func TestMoneyIsNeverLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		mayDie := func() {
			w.rail.Inject(faults().Draw(t, "chain"))
			w.desk.die(rapid.IntRange(-3, 6).Draw(t, "writes before death"), rapid.Bool().Draw(t, "last one kept"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { w.check() },
			"sign and order": func(t *rapid.T) {
				c := railtest.Credential{
					From: wallet, Nonce: fmt.Sprint(len(w.signed)), Expires: now.Add(time.Hour),
					Amount: berth.Micros(rapid.IntRange(1, 900_000).Draw(t, "amount")),
				}
				w.signed = append(w.signed, c)
				mayDie()
				_ = w.order(c) // judged by what it leaves behind
			},
			"retry": func(t *rapid.T) {
				if len(w.signed) == 0 {
					t.Skip("nothing to retry")
				}
				mayDie()
				_ = w.order(rapid.SampledFrom(w.signed).Draw(t, "credential"))
			},
			"pay out": func(t *rapid.T) {
				mayDie()
				_ = w.payOut(berth.Micros(rapid.IntRange(1, 2_000_000).Draw(t, "amount")))
			},
			"follow": func(*rapid.T) { mayDie(); w.follow() },
			"wait": func(t *rapid.T) {
				w.clock = w.clock.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second)
			},
		})
		w.rest()
	})
}

// rest lets everything come to its end, and holds books and chain against each
// other.
func (w *world) rest() {
	w.rail.Inject(railtest.Faults{})
	w.desk.die(-1, false)
	for range 6 { // longer than any delay
		w.clock = w.clock.Add(time.Minute)
		w.follow()
		for _, c := range w.signed {
			_ = w.order(c) // what failed says so again
		}
	}
	if open := w.follow(); open > 0 {
		w.Fatalf("%d payments never end", open)
	}
	w.check()
	arrived, _ := w.rail.Received()
	if credited, held := w.credited(), w.held(); credited != arrived || held != 0 {
		w.Fatalf("%s USD are on the chain, and %s in the books, %s of them held", arrived, credited, held)
	}
	paid := map[string]berth.Micros{}
	for _, p := range w.desk.payments {
		if p.State == billing.Settled && !p.Out {
			paid[p.Claim.Unique] += p.Claim.Amount
		}
		if p.Claim.Payload != nil || p.Broadcast.Raw != nil {
			w.Fatalf("the payment %s rests, and what could be replayed is still there", p.ID)
		}
	}
	for _, c := range w.signed {
		if got := paid[c.From+"/"+c.Nonce]; got != 0 && got != c.Amount {
			w.Fatalf("the credential %s of %s USD paid %s", c.Nonce, c.Amount, got)
		}
	}
}
