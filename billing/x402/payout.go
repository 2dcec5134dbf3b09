package x402

import (
	"context"
	"math/big"

	"berth/billing"
	"berth/billing/evm"
)

// payoutOrder is a payout as an authorization by the settler: the token itself
// then takes it once only, however often it is submitted, and never after its
// end. Its nonce is made of the payout's id.
func (r *Rail) payoutOrder(p billing.Payout) (order, error) {
	if r.settler == nil {
		return order{}, billing.Refuse(billing.Unsupported, "x402 pays out only with a settler's key")
	}
	to, err := evm.ParseAddress(p.To.Address)
	switch {
	case err != nil:
		return order{}, billing.Refuse(billing.Malformed, "%v", err)
	case p.ID == "" || len(p.ID) > 100 || p.Amount <= 0:
		return order{}, billing.Refuse(billing.Malformed, "a payout has an id of at most 100 characters and an amount")
	case p.To.Chain != 0 && p.To.Chain != r.network.id:
		return order{}, billing.Refuse(billing.Mismatched, "the wallet is a contract on chain %d, and this is chain %d", p.To.Chain, r.network.id)
	case to == r.asset || to == (evm.Address{}):
		return order{}, billing.Refuse(billing.Mismatched, "nobody could spend what is paid to %s", to.Hex())
	case p.Expires.Sub(p.At) < minValidity || p.Expires.Sub(p.At) > 7*maxValidity:
		return order{}, billing.Refuse(billing.Malformed, "a payout ends between %s and %s after it was decided", minValidity, 7*maxValidity)
	}
	domain, err := r.tokenDomain()
	if err != nil {
		return order{}, err
	}
	a := evm.Authorization{
		From: r.settler.Address(), To: to, Value: big.NewInt(int64(p.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(p.Expires.Unix()), Nonce: evm.Keccak([]byte("berth payout\n"), []byte(p.ID)),
	}
	s, err := r.settler.Sign(a.Digest(domain.Separator()))
	if err != nil {
		return order{}, err
	}
	return order{Authorization: a, signature: s.Bytes(), seen: p.At}, nil
}

// Pay sends money from the settler's account to a wallet.
func (r *Rail) Pay(ctx context.Context, p billing.Payout, keep billing.Keep) (billing.Outcome, error) {
	o, err := r.payoutOrder(p)
	if err != nil {
		return billing.Outcome{}, err
	}
	balance, err := r.balance(ctx, o.From)
	if err != nil {
		return billing.Outcome{}, err
	}
	if balance < p.Amount {
		used, err := r.used(ctx, o.Authorization, evm.Latest)
		if err != nil {
			return billing.Outcome{}, err
		}
		if !used {
			return billing.Outcome{}, billing.Refuse(billing.Insufficient, "the settler %s has %s of the token, and pays out %s", o.From.Hex(), balance, p.Amount)
		}
	}
	return r.submit(ctx, o, keep)
}

// FollowPay finds out what became of a payout, and sends it again where that
// helps.
func (r *Rail) FollowPay(ctx context.Context, p billing.Payout, b billing.Broadcast, keep billing.Keep) (billing.Outcome, error) {
	o, err := r.payoutOrder(p)
	if err != nil {
		return billing.Outcome{State: billing.Unsettled, Hash: b.Hash}, err
	}
	return r.follow(ctx, o, b, keep)
}
