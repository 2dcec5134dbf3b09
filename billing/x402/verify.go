package x402

import (
	"context"
	"errors"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// Verify asks the token itself, by a call that changes nothing, whether the
// payment would settle now, and only where it would not, why.
func (r *Rail) Verify(ctx context.Context, c billing.Claim) error {
	if c.Amount == 0 {
		return nil // the signature was all there is to a sign-in
	}
	o, err := r.reopen(c)
	if err != nil {
		return err
	}
	if r.expired(o.Authorization) {
		// It is not tried any more, also where the chain's clock is behind; but
		// somebody else may have brought it there in time.
		return r.diagnose(ctx, o, nil)
	}
	if r.facilitator != nil {
		s, err := r.presented(o)
		if err != nil {
			return err
		}
		if err := r.facilitator.verify(ctx, s); err != nil {
			return err
		}
	}
	err = r.simulate(ctx, o)
	if err == nil || !evm.IsRefused(err) {
		return err
	}
	return r.diagnose(ctx, o, err)
}

// simulate tries the transfer at the newest block.
func (r *Rail) simulate(ctx context.Context, o order) error {
	sender := r.payTo
	if r.settler != nil {
		sender = r.settler.Address()
	}
	_, err := r.chain.Call(ctx, &sender, r.asset, o.Settle(o.signature), evm.Latest)
	return err
}

// diagnose says why a transfer would revert. That somebody else brought it to
// the chain already is no reason to refuse it: the money is there, and Submit
// will find it.
func (r *Rail) diagnose(ctx context.Context, o order, reverted error) error {
	used, err := r.used(ctx, o.Authorization, evm.Latest)
	if err != nil {
		return err
	}
	if used {
		return r.usedBefore(ctx, o)
	}
	balance, err := r.balance(ctx, o.From)
	if err != nil {
		return err
	}
	if balance < berth.Micros(o.Value.Int64()) {
		return billing.Refuse(billing.Insufficient, "%s has %s of the token, and pays %s", o.From.Hex(), balance, berth.Micros(o.Value.Int64()))
	}
	head, err := r.head(ctx)
	switch {
	case err != nil:
		return err
	case int64(head.Time) >= o.ValidBefore.Int64():
		return billing.Refuse(billing.Expired, "validBefore has passed by the chain's clock")
	case int64(head.Time) <= o.ValidAfter.Int64():
		return billing.Refuse(billing.Expired, "the authorization is not valid yet by the chain's clock")
	}
	if reverted == nil {
		return billing.Refuse(billing.Expired, "validBefore has passed")
	}
	return billing.Refuse(billing.Unverified, "the token refuses the transfer: %s", reason(reverted))
}

func (r *Rail) usedBefore(ctx context.Context, o order) error {
	seen, err := r.look(ctx, o, "")
	switch {
	case err != nil:
		return err
	case seen.State == billing.Failed:
		return billing.Refuse(billing.Spent, "%s", seen.Reason)
	case seen.State == billing.Unsettled:
		return berth.Errorf(berth.Unavailable, "the authorization is used, and the chain does not say yet by what")
	}
	return nil
}

// reason is why a call reverted, in the contract's words where it has any.
func reason(err error) string {
	var r *evm.Refused
	if !errors.As(err, &r) {
		return "for no stated reason"
	}
	if len(r.Data) > 4 {
		if text, err := evm.String(r.Data[4:]); err == nil && text != "" {
			return text
		}
	}
	return r.Message
}

// head is the newest block.
func (r *Rail) head(ctx context.Context) (*evm.Block, error) {
	b, err := r.chain.Block(ctx, evm.Latest)
	if err == nil && b == nil {
		err = &evm.Unknown{Method: "eth_getBlockByNumber", Err: errors.New("it has no newest block")}
	}
	return b, err
}

// used tells whether an authorization's nonce was used or canceled, as of a
// block.
func (r *Rail) used(ctx context.Context, a evm.Authorization, block string) (bool, error) {
	answer, err := r.chain.Call(ctx, nil, r.asset, evm.AuthorizationState(a.From, a.Nonce), block)
	if err != nil {
		return false, err
	}
	return evm.Bool(answer)
}

// expired tells whether an authorization is past its end by Berth's clock.
// Only the chain's clock says that it is dead.
func (r *Rail) expired(a evm.Authorization) bool {
	return !r.clock().Before(time.Unix(a.ValidBefore.Int64(), 0))
}
