package storage

import (
	"context"
	"time"

	"berth"
	"berth/billing"
	"berth/storage/db"
)

// Payment implements billing.PaymentRx.
func (rx *Rx) Payment(ctx context.Context, id berth.ID) (billing.Payment, error) {
	row, err := rx.q.Payment(ctx, string(id))
	return one(row, err, toPayment, "no such payment: %s", id)
}

// PaymentByClaim implements billing.PaymentRx.
func (rx *Rx) PaymentByClaim(ctx context.Context, rail, unique string) (billing.Payment, error) {
	row, err := rx.q.PaymentByClaim(ctx, db.PaymentByClaimParams{Rail: rail, Uniq: unique})
	return one(row, err, toPayment, "no payment by this credential")
}

// PaymentByKey implements billing.PaymentRx.
func (rx *Rx) PaymentByKey(ctx context.Context, principal berth.ID, operation, key string) (billing.Payment, error) {
	row, err := rx.q.PaymentByKey(ctx, db.PaymentByKeyParams{Principal: string(principal), Operation: operation, Key: key})
	return one(row, err, toPayment, "no payment under this key")
}

// Payments implements billing.PaymentRx.
func (rx *Rx) Payments(ctx context.Context, after berth.ID, n int) ([]billing.Payment, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.Payments(ctx, db.PaymentsParams{After: string(after), Max: most})
	return all(rows, err, toPayment)
}

// OpenPayments implements billing.PaymentRx.
func (rx *Rx) OpenPayments(ctx context.Context, n int) ([]billing.Payment, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.OpenPayments(ctx, most)
	return all(rows, err, toPayment)
}

// TakenNonces implements billing.PaymentRx.
func (rx *Rx) TakenNonces(ctx context.Context, sender string, floor uint64, since time.Time) ([]uint64, error) {
	rows, err := rx.q.TakenNonces(ctx, db.TakenNoncesParams{Sender: sender, Floor: int64(floor), Since: toMicros(since)})
	return all(rows, err, func(n int64) (uint64, error) { return uint64(n), nil })
}

// PaymentSum implements billing.PaymentRx.
func (rx *Rx) PaymentSum(ctx context.Context, principal berth.ID, w berth.Wallet, rail string, out bool, since time.Time) (berth.Micros, error) {
	total, err := rx.q.PaymentSum(ctx, db.PaymentSumParams{
		Principal: string(principal), Rail: rail, Outward: out, Since: toMicros(since), Wallet: w.Address,
	})
	return berth.Micros(total), err
}

// InsertPayment implements billing.PaymentTx.
func (tx *Tx) InsertPayment(ctx context.Context, p billing.Payment) error {
	c, b := p.Claim, p.Broadcast
	err := tx.q.InsertPayment(ctx, db.InsertPaymentParams{
		ID: string(p.ID), Principal: string(p.Principal), Outward: p.Out, Rail: c.Rail, Scheme: c.Scheme, Uniq: c.Unique,
		Payer: c.Payer.Address, PayerChain: int64(c.Payer.Chain), Amount: int64(c.Amount),
		Network: c.Network, Asset: c.Asset, Payload: string(c.Payload), Expires: toMicros(c.Expires),
		Operation: p.Operation, Key: p.Key, Hash: toBlob(p.Hash), State: string(p.State),
		TxHash: b.Hash, Sender: b.Sender, Nonce: int64(b.Nonce), Raw: toBlob(b.Raw), Sent: toMicros(b.At),
		Reason: p.Reason, HeldBy: p.HeldBy, HeldTill: toMicros(p.HeldTill),
		Created: toMicros(p.Created), Updated: toMicros(p.Updated),
	})
	return conflict(err, "the credential has a payment already")
}

// UpdatePayment implements billing.PaymentTx.
func (tx *Tx) UpdatePayment(ctx context.Context, p billing.Payment) error {
	b := p.Broadcast
	n, err := tx.q.UpdatePayment(ctx, db.UpdatePaymentParams{
		ID: string(p.ID), Payload: string(p.Claim.Payload), State: string(p.State),
		TxHash: b.Hash, Sender: b.Sender, Nonce: int64(b.Nonce), Raw: toBlob(b.Raw), Sent: toMicros(b.At),
		Reason: p.Reason, HeldBy: p.HeldBy, HeldTill: toMicros(p.HeldTill), Updated: toMicros(p.Updated),
	})
	err = conflict(err, "the transaction %s has paid for something else", b.Hash)
	return changed(n, err, "no such payment: %s", p.ID)
}

// InsertProof implements billing.PaymentTx.
func (tx *Tx) InsertProof(ctx context.Context, rail, unique string, expires time.Time) error {
	err := tx.q.InsertProof(ctx, db.InsertProofParams{Rail: rail, Uniq: unique, Expires: toMicros(expires)})
	return conflict(err, "the proof was used before")
}

// DeleteRefused implements ops.Tx.
func (tx *Tx) DeleteRefused(ctx context.Context, before time.Time) (int64, error) {
	return tx.q.DeleteRefused(ctx, toMicros(before))
}

// DeleteProofs implements ops.Tx.
func (tx *Tx) DeleteProofs(ctx context.Context, before time.Time) (int64, error) {
	return tx.q.DeleteProofs(ctx, toMicros(before))
}

func toPayment(r db.Payment) (billing.Payment, error) {
	return billing.Payment{
		ID: berth.ID(r.ID), Principal: berth.ID(r.Principal), Out: r.Outward,
		Claim: billing.Claim{
			Rail: r.Rail, Scheme: r.Scheme, Unique: r.Uniq,
			Payer:  berth.Wallet{Address: r.Payer, Chain: uint64(r.PayerChain)},
			Amount: berth.Micros(r.Amount), Network: r.Network, Asset: r.Asset,
			Expires: fromMicros(r.Expires), Payload: fromJSON(r.Payload),
		},
		Operation: r.Operation, Key: r.Key, Hash: fromBlob(r.Hash), State: billing.State(r.State),
		Broadcast: billing.Broadcast{Hash: r.TxHash, Sender: r.Sender, Nonce: uint64(r.Nonce), Raw: fromBlob(r.Raw), At: fromMicros(r.Sent)},
		Reason:    r.Reason, HeldBy: r.HeldBy, HeldTill: fromMicros(r.HeldTill),
		Created: fromMicros(r.Created), Updated: fromMicros(r.Updated),
	}, nil
}
