package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// maxCredential bounds a wallet's credential, in bytes.
const maxCredential = 16 << 10

// settling is how long a caller waits for its payment to settle before it is
// told that it is on its way.
const settling = 30 * time.Second

// wallet is the scheme of the call's wallet credential, empty where it has none.
func (c *Call) wallet() Scheme {
	for _, cred := range c.Creds {
		if rails[cred.Scheme] != "" {
			return cred.Scheme
		}
	}
	return ""
}

// claim reads the credential by which a wallet pays, or proves who it is. It is
// nil where none came.
func (s *System) claim(ctx context.Context, call *Call) (*billing.Claim, error) {
	var found *Credential
	for i, c := range call.Creds {
		switch {
		case rails[c.Scheme] == "":
		case found != nil:
			return nil, berth.Errorf(berth.InvalidInput, "there are several payment credentials in one request; nothing was taken").
				Hinted("send one")
		case len(c.Token) > maxCredential:
			return nil, berth.Errorf(berth.TooLarge, "the payment credential has %d bytes; at most %d are taken", len(c.Token), maxCredential)
		default:
			found = &call.Creds[i]
		}
	}
	if found == nil {
		return nil, nil
	}
	claim, err := s.cashier.Read(ctx, rails[found.Scheme], billing.Presented{
		Scheme: string(found.Scheme), Data: []byte(found.Token), Realm: call.Origin.Realm, Resource: call.Origin.Resource, At: s.now(),
	})
	var refusal *billing.Refusal
	switch {
	case err == nil:
		return &claim, nil
	case errors.As(err, &refusal) || ctx.Err() != nil:
		return nil, err
	}
	return nil, berth.Errorf(berth.Unavailable, "who signed the payment credential can't be found out now").
		Hinted("nothing was taken; repeat the same request in a moment").Because(err)
}

// byWallet carries out a call that a wallet signed. Copies of one credential
// wait for each other, so that the later ones find the first one's answer.
func (t task) byWallet(ctx context.Context) (*Result, error) {
	leave, err := t.flights.enter(ctx, "claim\x00"+t.claim.Rail+"\x00"+t.claim.Unique)
	if err != nil {
		return nil, err
	}
	defer leave()
	if t.claim.Amount == 0 {
		return t.byProof(ctx)
	}
	if t.op.run != nil || t.op.read != nil && t.readPrice().Total == 0 {
		return nil, t.rejected(ctx, billing.Refuse(billing.Mismatched, "%s costs nothing", t.op.Name))
	}
	return t.pay(ctx)
}

// byProof carries out a call whose caller proved who it is.
func (t task) byProof(ctx context.Context) (*Result, error) {
	if res, err := t.replay(ctx); res != nil || err != nil {
		return res, t.rejected(ctx, err)
	}
	if err := t.prove(ctx); err != nil {
		return nil, t.rejected(ctx, err)
	}
	t.caller = t.req.Principal.ID
	var (
		res *Result
		err error
	)
	if t.op.read == nil {
		res, err = t.change(ctx)
	} else {
		err = t.store.Read(ctx, func(rx Rx) (err error) {
			res, err = t.read(ctx, rx)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	c := t.claim
	res.Proof = &Paid{Scheme: c.Scheme, Network: c.Network, Payer: c.Payer.Address, Claim: c.Unique, At: stamp(t.now())}
	return res, nil
}

// prove uses the proof up, and makes the principal whom it proves.
func (t task) prove(ctx context.Context) error {
	ask := t.ask(0)
	if t.claim.Scheme == string(MPPScheme) {
		// A challenge of MPP is for one operation: a proof can't stand for its price.
		price, err := t.askingPrice(ctx)
		if err != nil {
			return err
		}
		ask.Amount = price
	}
	if err := t.cashier.Match(*t.claim, ask); err != nil {
		return err
	}
	return t.store.Write(ctx, func(tx Tx) error {
		err := tx.InsertProof(ctx, t.claim.Rail, t.claim.Unique, t.claim.Expires)
		if berth.CodeOf(err) == berth.Conflict {
			return billing.Refuse(billing.Spent, "this proof was used before; each is good for one request")
		}
		if err != nil {
			return err
		}
		return t.settleIn(ctx, tx)
	})
}

// settleIn gives a wallet that is new here its row.
func (t task) settleIn(ctx context.Context, tx Tx) error {
	if !t.req.newcomer {
		return nil
	}
	p, err := account.EnsureWallet(ctx, tx, t.claim.Payer, t.now())
	if err != nil {
		return err
	}
	t.req.Principal, t.req.newcomer = p, false
	return nil
}

// matches tells whether the payment that came along is for exactly this order.
// One that was begun before is gone on with at its own price.
func (t task) matches(ctx context.Context, rx Rx, plan Plan) error {
	p, err := rx.PaymentByClaim(ctx, t.claim.Rail, t.claim.Unique)
	who := cmp.Or(plan.Credit, t.caller)
	if plan.Credit == "" && t.req.newcomer { // who was identified before a copy of the credential made the row
		who = p.Principal
	}
	switch {
	case err != nil && berth.CodeOf(err) != berth.NotFound:
		return err
	case err != nil:
		return t.cashier.Match(*t.claim, t.ask(plan.Price.Total))
	case !p.For(who, t.op.Name, t.hash):
		return billing.Refuse(billing.Spent, "the credential was used for another request")
	case p.State == billing.Failed:
		return billing.Refuse(billing.Unverified, "this payment has failed: %s", p.Reason)
	}
	return nil
}

// arrival is a payment that has arrived for the call at hand.
type arrival struct {
	payment billing.Payment
	hash    string // of the transaction
}

// credit gives the payment to its principal, once.
func (a *arrival) credit(ctx context.Context, tx Tx, now time.Time) (err error) {
	a.payment, err = billing.Credit(ctx, tx, a.payment.ID, a.hash, now)
	return err
}

func (a *arrival) paid() *Paid {
	c := a.payment.Claim
	return &Paid{
		ID: a.payment.ID, Scheme: c.Scheme, Network: c.Network, Hash: a.hash, Payer: c.Payer.Address, Claim: c.Unique,
		At: stamp(a.payment.Created),
	}
}

// pay carries out a call that came with its payment: reserved in a transaction,
// settled outside any, credited and used in a second one. Once the credential is
// reserved, the work goes on when its caller's connection drops.
func (t task) pay(ctx context.Context) (*Result, error) {
	res, plan, err := t.preview(ctx)
	if res != nil || err != nil {
		return res, t.rejected(ctx, err)
	}
	p, err := t.reserve(ctx, plan)
	if err != nil {
		return nil, t.rejected(ctx, err)
	}
	t.caller, t.claim = t.req.Principal.ID, &p.Claim // under an idempotency key, perhaps an earlier credential's
	ctx = context.WithoutCancel(ctx)
	out, err := t.collect(ctx, p.ID)
	if err != nil {
		return nil, t.rejected(ctx, err)
	}
	t.payment = &arrival{payment: p, hash: out.Hash}
	res, err = t.commit(ctx)
	if err != nil {
		return nil, t.kept(ctx, err)
	}
	return res, nil
}

// reserve makes the credential's payment, and the principal who pays. It belongs
// to whom the plan credits from the first: however the request ends, nobody else
// gets what arrives.
func (t task) reserve(ctx context.Context, plan Plan) (p billing.Payment, err error) {
	err = t.store.Write(ctx, func(tx Tx) error {
		if err := t.settleIn(ctx, tx); err != nil {
			return err
		}
		key := t.idempotencyKey()
		if key != "" && plan.Credit != "" {
			key = string(t.req.Principal.ID) + " " + key // keys are each payer's own
		}
		p, err = billing.Reserve(ctx, tx, billing.Payment{
			ID: berth.NewID(berth.PrefixPayment, t.now()), Principal: cmp.Or(plan.Credit, t.req.Principal.ID), Claim: *t.claim,
			Operation: t.op.Name, Key: key, Hash: t.hash, Created: t.now(),
		})
		return err
	})
	return p, err
}

// collect waits for the payment to settle, and says so where that takes long.
func (t task) collect(ctx context.Context, id berth.ID) (out billing.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	for {
		out, err = t.cashier.Settle(ctx, id)
		if !errors.Is(err, billing.ErrHeld) {
			break
		}
		select { // another process settles it
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return out, pending(id, "")
		}
	}
	var refusal *billing.Refusal
	switch {
	case err == nil && out.State == billing.Settled:
		return out, nil
	case err == nil && out.State == billing.Failed:
		return out, billing.Refuse(billing.Unverified, "the payment failed: %s", out.Reason)
	case err == nil:
		return out, pending(id, out.Hash)
	case errors.As(err, &refusal):
		return out, err
	}
	return out, t.unclear(context.WithoutCancel(ctx), id, err)
}

// unclear says how a payment stands whose attempt ended without an answer.
func (t task) unclear(ctx context.Context, id berth.ID, cause error) error {
	var p billing.Payment
	err := t.store.Read(ctx, func(rx Rx) (err error) {
		p, err = rx.Payment(ctx, id)
		return err
	})
	if err != nil || p.Left() {
		return errors.Join(pending(id, p.Broadcast.Hash), err)
	}
	e := berth.Errorf(berth.Unavailable, "the payment can't be checked on its chain now").
		Hinted("nothing was taken; repeat the same request with the same credential in a moment").Because(cause)
	e.RetryAfter = 5 * time.Second
	return e
}

// pending says that a payment is on its way. It is never a fresh demand: who
// signs again pays twice.
func pending(id berth.ID, hash string) *berth.Error {
	e := berth.Errorf(berth.PaymentPending, "the payment %s is on its way and not confirmed yet", id)
	if hash != "" {
		e.Message += ": transaction " + hash
	}
	e.RetryAfter = 2 * time.Second
	return e.Hinted("repeat exactly this request, with the same credential: do not sign a new one")
}

// kept sees to it that a payment which arrived for an order that can't be carried
// out any more stays with its payer as credit.
func (t task) kept(ctx context.Context, cause error) error {
	err := t.store.Write(ctx, func(tx Tx) error { return t.payment.keep(ctx, tx, t.now()) })
	if err != nil {
		t.log.ErrorContext(ctx, "payment not credited yet", slog.String("payment", string(t.payment.payment.ID)), slog.Any("error", err))
	}
	var e *berth.Error
	if !errors.As(cause, &e) {
		return fmt.Errorf("after the payment %s arrived: %w", t.payment.payment.ID, cause)
	}
	told := *e
	whose := "your credit"
	if t.payment.payment.Principal != t.caller {
		whose = "the credit of " + string(t.payment.payment.Principal)
	}
	told.Message += fmt.Sprintf("; your payment of %s USD arrived and is kept as %s", t.claim.Amount, whose)
	return &told
}

// keep credits a payment by itself.
func (a *arrival) keep(ctx context.Context, tx Tx, now time.Time) error {
	if err := tx.LockPrincipal(ctx, a.payment.Principal); err != nil {
		return err
	}
	return a.credit(ctx, tx, now)
}
