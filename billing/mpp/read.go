package mpp

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// ticket is what this rail needs of a credential to settle it: the payload of a
// billing.Claim.
type ticket struct {
	Kind      string      `json:"kind"` // proof, transaction or hash
	Chain     uint64      `json:"chain"`
	Operation string      `json:"operation,omitempty"`
	Recipient evm.Address `json:"recipient"`
	Sponsored bool        `json:"sponsored,omitempty"` // we sign for the gas
	Memo      evm.Hash    `json:"memo"`
	// Ends is when the challenge ends, in milliseconds since 1970, and From when
	// the transaction becomes valid, in seconds: what Match judges.
	Ends int64 `json:"ends,omitempty"`
	From int64 `json:"from,omitempty"`
	// Raw is the payer's transaction as the chain hashes it, but for our
	// signature; for a hash, the hash.
	Raw []byte `json:"raw,omitempty"`
}

// slack is how long after its challenge's end a transaction may still be valid:
// clocks differ.
const slack = time.Minute

// Read implements billing.Rail. It asks the chain where the signature is by an
// access key, whose right to sign stands there, and where a payer only names a
// transaction, of which the chain alone knows who made it.
func (r *Rail) Read(ctx context.Context, p billing.Presented) (billing.Claim, error) {
	var none billing.Claim
	if p.Scheme != r.Name() {
		return none, billing.Refuse(billing.Unsupported, "this is a credential of %.20q", p.Scheme)
	}
	c, err := decodeCredential(p.Data)
	if err != nil {
		return none, err
	}
	expires, err := r.checkChallenge(&c.challenge, p)
	if err != nil {
		return none, err
	}
	ch, err := decodeCharge(&c.challenge)
	if err != nil {
		return none, billing.Refuse(billing.Mismatched, "the challenge can't be read any more: %v", err)
	}
	if ch.chain != r.chain || (c.source != evm.Address{} && c.chain != ch.chain) {
		return none, billing.Refuse(billing.Mismatched, "payments come over chain %d", r.chain)
	}
	t := ticket{Kind: c.kind, Chain: ch.chain, Operation: ch.operation, Recipient: ch.recipient, Ends: expires.UnixMilli()}
	claim := billing.Claim{
		Rail: r.Name(), Scheme: p.Scheme, Unique: c.challenge.ID,
		Amount: ch.amount, Network: network(ch.chain), Asset: strings.ToLower(ch.currency.Hex()),
		Realm: c.challenge.Realm, Binding: ch.binding, Expires: expires,
	}
	payer, err := r.readPayload(ctx, c, ch, &t, &claim)
	if err != nil {
		return none, err
	}
	claim.Payer = berth.Wallet{Address: strings.ToLower(payer.Hex())}
	claim.Payload, err = json.Marshal(t)
	return claim, err
}

// checkChallenge tells whether the challenge is ours, and when it ends.
func (r *Rail) checkChallenge(c *challenge, p billing.Presented) (time.Time, error) {
	switch {
	case c.Method != method || c.Intent != intent:
		return time.Time{}, billing.Refuse(billing.Unsupported, "only method %q with intent %q is taken", method, intent)
	case !c.minted(r.secrets):
		return time.Time{}, billing.Refuse(billing.Mismatched, "the challenge is not one of this server, or was changed")
	case !strings.EqualFold(c.Realm, p.Realm):
		return time.Time{}, billing.Refuse(billing.Mismatched, "the challenge is for another host")
	}
	expires, err := c.expiry()
	if err != nil {
		return expires, billing.Refuse(billing.Mismatched, "the challenge never ends")
	}
	return expires, nil
}

// readPayload finds out who made the credential, and completes ticket and claim.
func (r *Rail) readPayload(ctx context.Context, c *credential, ch charge, t *ticket, claim *billing.Claim) (evm.Address, error) {
	switch {
	case (ch.amount == 0) != (c.kind == kindProof):
		return evm.Address{}, billing.Refuse(billing.Mismatched, "a proof pays nothing, and nothing else is asked for by a challenge of zero")
	case c.kind == kindProof:
		return c.source, r.readProof(ctx, c)
	case c.kind == kindHash:
		return c.source, r.readHash(ctx, c, ch, t, claim)
	default:
		return r.readTransaction(ctx, c, ch, t, claim)
	}
}

func (r *Rail) readTransaction(ctx context.Context, c *credential, ch charge, t *ticket, claim *billing.Claim) (evm.Address, error) {
	none := evm.Address{}
	tx, err := decodeTransaction(c.body)
	if err != nil {
		return none, err
	}
	switch {
	case tx.chain != ch.chain:
		return none, billing.Refuse(billing.Mismatched, "the transaction is for chain %d", tx.chain)
	case c.source != none && c.source != tx.from.account:
		return none, billing.Refuse(billing.Unverified, "the transaction is not signed by the source")
	}
	pay, err := tx.payment(&c.challenge, ch)
	if err != nil {
		return none, err
	}
	if claim.Expires, err = window(tx, claim.Expires); err != nil {
		return none, err
	}
	if tx.payer == paidByUs {
		if !ch.feePayer || r.sponsor == nil {
			return none, billing.Refuse(billing.Mismatched, "the transaction waits for somebody to pay its gas, which was not offered")
		}
		if err := r.checkFee(tx); err != nil {
			return none, err
		}
	}
	if err := r.checkSigner(ctx, tx); err != nil {
		return none, err
	}
	t.Sponsored, t.Memo, t.Raw = tx.payer == paidByUs, evm.Hash(pay.memo), tx.raw()
	t.From = int64(min(tx.validAfter, maxInteger))
	if t.Sponsored {
		t.Raw = tx.encode(typeTempo, emptyString, feePayerMark, tx.from.envelope)
	}
	return tx.from.account, nil
}

// window is when the transaction can't be mined any more. One that can wait for
// ever could be mined after its payment was given up.
func window(tx *transaction, challengeEnds time.Time) (time.Time, error) {
	end := time.Unix(int64(min(tx.validBefore, maxInteger)), 0)
	switch {
	case tx.validBefore == 0:
		return end, billing.Refuse(billing.Unsupported, "the transaction has no end: set validBefore, at the latest to the challenge's expiry")
	case end.After(challengeEnds.Add(slack)):
		return end, billing.Refuse(billing.Mismatched, "the transaction outlives its challenge: set validBefore, at the latest to the challenge's expiry")
	}
	return end, nil
}

// inTime tells whether a claim can still buy something at a time. Read takes
// late ones too: their payment may be under way, or have its answer.
func (t ticket) inTime(c billing.Claim, at time.Time) error {
	switch {
	case !at.Before(time.UnixMilli(t.Ends)):
		return billing.Refuse(billing.Expired, "the challenge ended at %s", time.UnixMilli(t.Ends).UTC().Format(time.RFC3339))
	case !at.Before(c.Expires):
		return expired(c)
	case time.Unix(t.From, 0).After(at.Add(slack)):
		return billing.Refuse(billing.Expired, "the transaction is not valid yet")
	}
	return nil
}

// checkSigner asks the chain about an access key.
func (r *Rail) checkSigner(ctx context.Context, tx *transaction) error {
	if tx.from.key == (evm.Address{}) {
		return nil
	}
	g := tx.grant
	if g != nil && g.expiry != 0 && int64(min(g.expiry, maxInteger)) <= r.now().Unix() {
		return billing.Refuse(billing.Unverified, "the access key that the transaction grants has expired")
	}
	return r.checkGranted(ctx, tx.from.account, tx.from.key, g != nil)
}

// pushGrace is how long after its challenge's end a transaction that a payer
// sent for himself may come back after its block was given up.
const pushGrace = time.Hour

// readHash looks whether the transaction is on the chain and pays: nothing else
// proves who made it.
func (r *Rail) readHash(ctx context.Context, c *credential, ch charge, t *ticket, claim *billing.Claim) error {
	if !ch.takes("push") {
		return billing.Refuse(billing.Unsupported, "hashes are not taken: send the signed transaction")
	}
	receipt, err := r.node.Receipt(ctx, evm.Hash(c.body))
	if err != nil {
		return berth.Errorf(berth.Unavailable, "the chain can't be asked for the transaction at the moment").Because(err)
	}
	if receipt == nil || !receipt.Succeeded {
		return billing.Refuse(billing.Unverified, "the chain has no such transaction, or it failed")
	}
	pay := transfer{token: ch.currency, from: c.source, to: ch.recipient, amount: ch.amount}
	for _, l := range receipt.Logs {
		if len(l.Topics) == 4 && isBound(evm.Word(l.Topics[3]), c.challenge.ID, c.challenge.Realm) {
			pay.memo = evm.Word(l.Topics[3])
			if pay.shows(receipt) {
				t.Memo, t.Raw = l.Topics[3], c.body
				claim.Expires = claim.Expires.Add(pushGrace)
				return nil
			}
		}
	}
	return billing.Refuse(billing.Mismatched, "the transaction does not pay for this challenge")
}
