package billing

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"berth"
)

// Payment is a wallet's payment on its way from a credential to a customer's
// credit, or a payout on its way back. Its row is the truth: a rail is asked again after any crash.
type Payment struct {
	ID        berth.ID
	Principal berth.ID // whose account it credits, or debits where it goes out
	Out       bool     // a payout: the claim's payer is who is paid
	Claim     Claim    // its Payload is forgotten when the payment rests
	Operation string
	Key       string // the caller's idempotency key; empty for none
	Hash      []byte // of the operation's canonical input
	State     State
	Broadcast Broadcast // its Raw is forgotten when the payment rests
	Reason    string    // why it failed
	HeldBy    string    // who settles it at the moment
	HeldTill  time.Time
	Created   time.Time
	Updated   time.Time
}

// Rests tells whether nothing will happen to the payment any more.
func (p Payment) Rests() bool { return p.State == Settled || p.State == Failed }

// Left tells whether the payment may have reached the chain.
func (p Payment) Left() bool { return p.State == Submitted || p.State == Unsettled }

// PaymentRx reads payments. Where there is none, methods return a *berth.Error
// with the code berth.NotFound.
type PaymentRx interface {
	Payment(ctx context.Context, id berth.ID) (Payment, error)
	PaymentByClaim(ctx context.Context, rail, unique string) (Payment, error)
	// PaymentByKey is the payment for the order under an idempotency key, unless
	// it has failed.
	PaymentByKey(ctx context.Context, principal berth.ID, operation, key string) (Payment, error)
	// Payments are those with ids after one, in the order of their ids, at most
	// limit of 1 to 1000.
	Payments(ctx context.Context, after berth.ID, limit int) ([]Payment, error)
	// OpenPayments are those that don't rest, oldest first, at most limit.
	OpenPayments(ctx context.Context, limit int) ([]Payment, error)
	// PaymentSum is what has come in for a principal from a wallet over a rail
	// since a time, or has gone or is going out to it.
	PaymentSum(ctx context.Context, principal berth.ID, w berth.Wallet, rail string, out bool, since time.Time) (berth.Micros, error)
	// TakenNonces are the nonces, from floor upwards, of a sender's transactions
	// that are under way or that settled since a time.
	TakenNonces(ctx context.Context, sender string, floor uint64, since time.Time) ([]uint64, error)
}

// PaymentTx reads and changes payments.
type PaymentTx interface {
	PaymentRx
	// InsertPayment answers berth.Conflict where the credential has a payment.
	InsertPayment(ctx context.Context, p Payment) error
	// UpdatePayment answers berth.Conflict where another payment has the hash
	// of the transaction, on a rail whose transactions pay once.
	UpdatePayment(ctx context.Context, p Payment) error
	// InsertProof remembers a proof of identity until it expires; berth.Conflict
	// where it was used before.
	InsertProof(ctx context.Context, rail, unique string, expires time.Time) error
}

// For tells whether the payment was reserved for this order.
func (p Payment) For(principal berth.ID, operation string, hash []byte) bool {
	return p.Principal == principal && p.Operation == operation && bytes.Equal(p.Hash, hash)
}

// Reserve makes a credential's payment, so that no other order can use the
// credential, or finds the one that this same order made before: by the same
// credential, or by another one under the same idempotency key, whose signer need
// not pay again. It answers a *Refusal where the credential was used for another
// order, and berth.IdempotencyConflict where the key was.
func Reserve(ctx context.Context, tx PaymentTx, p Payment) (Payment, error) {
	if p.Key != "" {
		before, err := tx.PaymentByKey(ctx, p.Principal, p.Operation, p.Key)
		switch {
		case err == nil && bytes.Equal(before.Hash, p.Hash):
			return before, nil
		case err == nil:
			return Payment{}, berth.Errorf(berth.IdempotencyConflict, "the idempotency key %q is being used for another %s", p.Key, p.Operation).
				Hinted("retry the first request with exactly its input, or use a new key for a new request")
		case berth.CodeOf(err) != berth.NotFound:
			return Payment{}, fmt.Errorf("look for the key's payment: %w", err)
		}
	}
	before, err := tx.PaymentByClaim(ctx, p.Claim.Rail, p.Claim.Unique)
	switch {
	case err == nil && before.For(p.Principal, p.Operation, p.Hash):
		return before, nil
	case err == nil:
		return Payment{}, Refuse(Spent, "the credential was used for another request; sign a new one for this")
	case berth.CodeOf(err) != berth.NotFound:
		return Payment{}, fmt.Errorf("look for the credential's payment: %w", err)
	}
	p.State = Reserved
	p.Updated = p.Created
	return p, tx.InsertPayment(ctx, p)
}

// Credit moves a payment that arrived to its customer's account and lays it to
// rest. Crediting twice is crediting once. The transaction must hold the lock
// of the payment's principal.
func Credit(ctx context.Context, tx interface {
	Tx
	PaymentTx
}, id berth.ID, hash string, at time.Time,
) (Payment, error) {
	p, err := tx.Payment(ctx, id)
	if err != nil || p.State == Settled {
		return p, err
	}
	p.Broadcast.Hash = hash
	_, err = Record(ctx, tx, Transfer{
		ID: string(p.ID), Kind: Direct, Debit: RailAccount(p.Claim.Rail), Credit: CustomerAccount(p.Principal),
		Amount: p.Claim.Amount, Reason: ReasonPayment, Ref: p.ID, Operation: p.Operation, At: at,
		Memo: fmt.Sprintf("from %s on %s, transaction %s", p.Claim.Payer.Address, p.Claim.Network, hash),
	})
	if err != nil {
		return p, err
	}
	p.rest(Settled, "", at)
	return p, tx.UpdatePayment(ctx, p)
}

// payoutLife is how long a payout can settle; then its money is credit again.
const payoutLife = time.Hour

// BeginPayout holds a principal's credit for a payout and writes it down. The
// transaction must hold the principal's lock. Errors are Record's.
func BeginPayout(ctx context.Context, tx interface {
	Tx
	PaymentTx
}, principal berth.ID, rail string, to berth.Wallet, amount berth.Micros, at time.Time,
) (Payment, error) {
	p := Payment{
		ID: berth.NewID(berth.PrefixPayment, at), Principal: principal, Out: true, Operation: "withdraw", State: Reserved,
		Claim:   Claim{Rail: rail, Payer: to, Amount: amount, Expires: at.Add(payoutLife)},
		Created: at, Updated: at,
	}
	p.Claim.Unique = "payout:" + string(p.ID)
	_, err := Record(ctx, tx, Transfer{
		ID: string(p.ID), Kind: Pending, Debit: CustomerAccount(principal), Credit: RailAccount(rail), Amount: amount,
		Reason: ReasonPayout, Ref: p.ID, Operation: p.Operation, Memo: "to " + to.Address, At: at,
	})
	if err != nil {
		return Payment{}, err
	}
	return p, tx.InsertPayment(ctx, p)
}

// EndPayout lays a payout to rest: what was held for it has gone, or is its
// principal's credit again. Ending twice is ending once. The transaction must
// hold the principal's lock.
func EndPayout(ctx context.Context, tx interface {
	Tx
	PaymentTx
}, id berth.ID, out Outcome, at time.Time,
) error {
	p, err := tx.Payment(ctx, id)
	if err != nil || p.Rests() {
		return err
	}
	switch out.State {
	case Settled:
		p.Broadcast.Hash = out.Hash
		err = Capture(ctx, tx, string(id), at)
	case Failed:
		err = Release(ctx, tx, string(id), "the payout failed", at)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	p.rest(out.State, out.Reason, at)
	return tx.UpdatePayment(ctx, p)
}

// rest ends a payment and forgets what could be replayed.
func (p *Payment) rest(s State, reason string, at time.Time) {
	p.State, p.Reason, p.Updated = s, reason, at
	p.Claim.Payload, p.Broadcast.Raw = nil, nil
	p.HeldBy, p.HeldTill = "", time.Time{}
}
