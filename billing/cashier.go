package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"berth"
)

// hold is how long a payment belongs to who settles it, which is half as long
// again as anybody tries at a time. Another may go on with it afterwards, for
// then its holder has died.
const hold = 45 * time.Second

// floorAge is how old the chain's word on a sender's next nonce can be when a
// transaction is signed. What settled meanwhile has its nonce, though nothing is
// under way with it any more.
const floorAge = 2 * time.Minute

// ErrHeld says that somebody else settles the payment at the moment.
var ErrHeld = errors.New("the payment is being settled by another request")

// PaymentStore runs transactions over payments.
type PaymentStore interface {
	Read(ctx context.Context, fn func(PaymentRx) error) error
	Write(ctx context.Context, fn func(PaymentTx) error) error
}

// Cashier takes payments over its rails. It credits nobody: that is done in the
// transaction of the order that was paid for.
type Cashier struct {
	store PaymentStore
	rails []Rail
	now   berth.Clock
	log   *slog.Logger
}

// NewCashier makes a cashier; without rails it takes nothing.
func NewCashier(store PaymentStore, rails []Rail, now berth.Clock, log *slog.Logger) *Cashier {
	return &Cashier{store: store, rails: rails, now: now, log: log}
}

// Offers are what the rails ask for.
func (c *Cashier) Offers(a Ask) ([]berth.Challenge, error) {
	list := []berth.Challenge{}
	for _, r := range c.rails {
		offer, err := r.Offer(a)
		switch {
		case err == nil:
			list = append(list, offer)
		case berth.CodeOf(err) != berth.NotFound:
			return nil, fmt.Errorf("the offer of %s: %w", r.Name(), err)
		}
	}
	return list, nil
}

// Takes tells whether there is any rail.
func (c *Cashier) Takes() bool { return len(c.rails) > 0 }

// Read hands a credential to the rail whose scheme it is; see Rail.
func (c *Cashier) Read(ctx context.Context, rail string, p Presented) (Claim, error) {
	r, err := c.rail(rail)
	if err != nil {
		return Claim{}, Refuse(Unsupported, "payments over %s are not taken here", rail)
	}
	return r.Read(ctx, p)
}

// Match tells whether a claim answers an ask; see Rail.
func (c *Cashier) Match(claim Claim, a Ask) error {
	r, err := c.rail(claim.Rail)
	if err != nil {
		return err
	}
	return r.Match(claim, a)
}

func (c *Cashier) rail(name string) (Rail, error) {
	i := slices.IndexFunc(c.rails, func(r Rail) bool { return r.Name() == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no rail %q", name)
	}
	return c.rails[i], nil
}

// Settle takes a reserved payment as far as it goes while ctx allows. Settled
// means that the money is there, to be credited; Unsettled, that it is on its
// way. A *Refusal is a clear no: nothing was taken. ErrHeld: somebody else is
// settling it. Any other error leaves it as it is, to be tried again.
func (c *Cashier) Settle(ctx context.Context, id berth.ID) (Outcome, error) {
	p, err := c.seize(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	switch p.State {
	case Settled:
		return Outcome{State: Settled, Hash: p.Broadcast.Hash}, nil
	case Failed:
		return Outcome{}, Refuse(Unverified, "this payment has failed: %s", p.Reason)
	}
	s := settling{Cashier: c, holder: p.HeldBy, id: id}
	if s.rail, err = c.rail(p.Claim.Rail); err != nil {
		return Outcome{}, errors.Join(err, s.release(ctx))
	}
	out, err := s.advance(ctx, p)
	// However it ended, it is written down, also when the caller has gone.
	return out, errors.Join(err, s.finish(context.WithoutCancel(ctx), out, err))
}

// seize makes a payment ours for a while.
func (c *Cashier) seize(ctx context.Context, id berth.ID) (p Payment, err error) {
	err = c.store.Write(ctx, func(tx PaymentTx) error {
		if p, err = tx.Payment(ctx, id); err != nil || p.Rests() {
			return err
		}
		if p.HeldBy != "" && c.now().Before(p.HeldTill) {
			return ErrHeld
		}
		p.HeldBy, p.HeldTill = string(berth.NewID(berth.PrefixPayment, c.now())), c.now().Add(hold)
		return tx.UpdatePayment(ctx, p)
	})
	return p, err
}

// settling is one attempt at a payment that is ours.
type settling struct {
	*Cashier
	rail   Rail
	holder string
	id     berth.ID
}

func (s settling) advance(ctx context.Context, p Payment) (Outcome, error) {
	if p.Out {
		return s.payOut(ctx, p)
	}
	if p.Left() {
		return s.rail.Follow(ctx, p.Claim, p.Broadcast, s.keep)
	}
	if p.State == Reserved {
		if err := s.rail.Verify(ctx, p.Claim); err != nil {
			return Outcome{}, err
		}
		if err := s.change(ctx, func(_ PaymentTx, p *Payment) error { p.State = Verified; return nil }); err != nil {
			return Outcome{}, err
		}
	}
	return s.rail.Submit(ctx, p.Claim, s.keep)
}

// payOut brings a payout on its way, or finds out what became of it. Where it is
// refused before it left, it has failed.
func (s settling) payOut(ctx context.Context, p Payment) (Outcome, error) {
	payer, ok := s.rail.(Payer)
	if !ok {
		return Outcome{State: Failed, Reason: "nothing can be paid out over " + s.rail.Name()}, nil
	}
	order := Payout{ID: string(p.ID), To: p.Claim.Payer, Amount: p.Claim.Amount, At: p.Created, Expires: p.Claim.Expires}
	if p.Left() {
		return payer.FollowPay(ctx, order, p.Broadcast, s.keep)
	}
	out, err := payer.Pay(ctx, order, s.keep)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return Outcome{State: Failed, Reason: refusal.Message}, nil
	}
	return out, err
}

// PaysOut tells whether a rail can send money back to wallets.
func (c *Cashier) PaysOut(rail string) bool {
	r, err := c.rail(rail)
	_, pays := r.(Payer)
	return err == nil && pays
}

// keep implements Keep: the transaction is written down before it leaves.
func (s settling) keep(ctx context.Context, sender string, floor uint64, sign func(uint64) (Broadcast, error)) (b Broadcast, err error) {
	err = s.change(ctx, func(tx PaymentTx, p *Payment) error {
		nonce := floor
		switch {
		case sender == "":
		case p.Broadcast.Sender == sender:
			nonce = p.Broadcast.Nonce // a replacement takes the place of what it replaces
		default:
			taken, err := tx.TakenNonces(ctx, sender, floor, s.now().Add(-floorAge))
			if err != nil {
				return err
			}
			for slices.Contains(taken, nonce) {
				nonce++
			}
		}
		if b, err = sign(nonce); err != nil {
			return fmt.Errorf("sign the transaction: %w", err)
		}
		p.State, p.Broadcast = Submitted, b
		return nil
	})
	return b, err
}

// change updates the payment, as long as it is ours.
func (s settling) change(ctx context.Context, fn func(PaymentTx, *Payment) error) error {
	return s.store.Write(ctx, func(tx PaymentTx) error {
		p, err := tx.Payment(ctx, s.id)
		if err != nil {
			return err
		}
		if p.HeldBy != s.holder {
			return ErrHeld
		}
		if err := fn(tx, &p); err != nil {
			return err
		}
		p.Updated = s.now()
		return tx.UpdatePayment(ctx, p)
	})
}

func (s settling) release(ctx context.Context) error {
	return s.change(ctx, func(_ PaymentTx, p *Payment) error { p.HeldBy = ""; return nil })
}

// finish writes down how an attempt ended. A payment that arrived stays open:
// only its credit, in the order's transaction, lays it to rest. So does a payout
// until its hold is resolved.
func (s settling) finish(ctx context.Context, out Outcome, err error) error {
	var refusal *Refusal
	clear := errors.As(err, &refusal)
	return s.change(ctx, func(_ PaymentTx, p *Payment) error {
		p.HeldBy = ""
		switch {
		case p.Out && err == nil && out.State == Failed: // rests when its hold is released
		case clear && !p.Left():
			p.rest(Failed, refusal.Message, s.now())
		case err != nil:
			s.log.WarnContext(ctx, "payment not settled", slog.String("payment", string(p.ID)), slog.String("state", string(p.State)), slog.Any("error", err))
		case out.State == Failed:
			p.rest(Failed, out.Reason, s.now())
		case out.State == Unsettled:
			p.State = Unsettled
		case out.State == Settled:
			p.Broadcast.Hash = out.Hash
		}
		return nil
	})
}
