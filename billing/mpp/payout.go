package mpp

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"berth/billing"
	"berth/billing/evm"
)

var _ billing.Payer = (*Rail)(nil)

// What a payout offers for its gas is the same always, and ten times what
// Tempo's blocks ask for: a payout that is made twice is one transaction, with
// one hash.
const (
	payoutGas      = 1_000_000       // at most; what is used is paid
	payoutFee      = 200_000_000_000 // at most, in 10⁻¹⁸ USD per gas
	payoutPriority = 1_000_000_000   // of it, for the block's maker
	payoutNonceKey = 24              // bytes: nonce keys that count have 192 bits
)

// Pay implements billing.Payer. A payout's id is its nonce key, under which the
// chain takes one transaction and no second one, and the transaction is valid
// before the payout's end. Unsupported where there is no payout key.
func (r *Rail) Pay(ctx context.Context, p billing.Payout, keep billing.Keep) (billing.Outcome, error) {
	pay, err := r.payoutTransfer(p)
	if err != nil {
		return billing.Outcome{}, err
	}
	raw, err := r.signPayout(p, pay)
	if err != nil {
		return billing.Outcome{}, err
	}
	hash := evm.Keccak(raw)
	seen, err := r.look(ctx, hash, pay)
	if err != nil {
		return billing.Outcome{}, err
	}
	if !seen.found { // what was paid out is not needed again
		if err := r.checkBalance(ctx, pay.token, pay.from, p.Amount); err != nil {
			return billing.Outcome{}, err
		}
	}
	b, err := keep(ctx, "", 0, func(uint64) (billing.Broadcast, error) {
		return billing.Broadcast{Hash: hash.Hex(), Raw: raw, At: r.now()}, nil
	})
	if err != nil {
		return billing.Outcome{}, fmt.Errorf("keep the payout before it leaves: %w", err)
	}
	return r.wait(ctx, p.Expires, pay, b, r.sendSync(ctx, b.Raw))
}

// FollowPay implements billing.Payer. What was kept is what is sent again.
func (r *Rail) FollowPay(ctx context.Context, p billing.Payout, b billing.Broadcast, _ billing.Keep) (billing.Outcome, error) {
	pay, err := r.payoutTransfer(p)
	if err != nil {
		return billing.Outcome{State: billing.Unsettled, Hash: b.Hash}, err
	}
	return r.follow(ctx, p.Expires, pay, b)
}

// payoutTransfer is what has to show on the chain.
func (r *Rail) payoutTransfer(p billing.Payout) (transfer, error) {
	none := transfer{}
	switch {
	case r.payer == nil:
		return none, billing.Refuse(billing.Unsupported, "nothing is paid out over %s here", r.Name())
	case p.To.Chain != 0 && p.To.Chain != r.chain:
		return none, billing.Refuse(billing.Unsupported, "the wallet %s is not on chain %d", p.To, r.chain)
	case p.ID == "" || p.Amount <= 0:
		return none, errors.New("a payout has an id and an amount")
	}
	to, err := evm.ParseAddress(p.To.Address)
	if err != nil {
		return none, fmt.Errorf("the payout's wallet: %w", err)
	}
	memo := evm.Word(payoutMark(p))
	return transfer{token: r.currency, from: r.payer.Address(), to: to, amount: p.Amount, memo: memo}, nil
}

// payoutMark is the payout's hash: its memo, and the beginning its nonce key.
func payoutMark(p billing.Payout) evm.Hash {
	return evm.Keccak([]byte("berth payout\x00"), []byte(p.ID))
}

func (r *Rail) signPayout(p billing.Payout, pay transfer) ([]byte, error) {
	mark := payoutMark(p)
	none := []uint64{}
	t := transaction{payer: paidBySender}
	for _, v := range []any{
		r.chain, uint64(payoutPriority), uint64(payoutFee), uint64(payoutGas),
		[]call{{To: pay.token[:], Value: new(big.Int), Data: pay.calldata()}},
		none, new(big.Int).SetBytes(mark[:payoutNonceKey]), uint64(0),
		uint64(p.Expires.Unix()), uint64(0), pay.token, emptyString, none,
	} {
		t.fields = append(t.fields, encoded(v))
	}
	s, err := r.payer.Sign(t.digest())
	if err != nil {
		return nil, fmt.Errorf("sign a payout: %w", err)
	}
	t.from = signed{account: r.payer.Address(), envelope: s.Bytes()}
	return t.raw(), nil
}
