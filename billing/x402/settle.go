package x402

import (
	"context"
	"errors"
	"time"

	"berth/billing"
	"berth/billing/evm"
)

// Bounds of waiting for a block: the first look comes soon, for chains with
// quick blocks, and later ones at half of Base's two seconds.
const (
	firstLook = 100 * time.Millisecond
	lastLook  = time.Second
)

// Submit brings a payment to the chain by the settler's transaction or by the
// facilitator, and waits as long as ctx allows. An error before keep was called
// says that nothing left. A payment that somebody else brought to the chain is
// settled by that.
func (r *Rail) Submit(ctx context.Context, c billing.Claim, keep billing.Keep) (billing.Outcome, error) {
	if c.Amount == 0 {
		return billing.Outcome{State: billing.Settled}, nil // a sign-in moves nothing
	}
	o, err := r.reopen(c)
	if err != nil {
		return billing.Outcome{}, err
	}
	return r.submit(ctx, o, keep)
}

func (r *Rail) submit(ctx context.Context, o order, keep billing.Keep) (billing.Outcome, error) {
	if r.facilitator != nil {
		return r.submitByFacilitator(ctx, o, keep)
	}
	floor, err := r.free(ctx)
	if err != nil {
		return billing.Outcome{}, err
	}
	b, err := r.dispatch(ctx, o, nil, floor, keep)
	if err == nil {
		return r.await(ctx, o, b), nil
	}
	if !evm.IsRefused(err) {
		return billing.Outcome{}, err
	}
	return r.overtaken(ctx, o, err)
}

// overtaken is the outcome of a payment whose transfer would revert: settled,
// where somebody else was quicker.
func (r *Rail) overtaken(ctx context.Context, o order, reverted error) (billing.Outcome, error) {
	used, err := r.used(ctx, o.Authorization, evm.Latest)
	if err != nil {
		return billing.Outcome{}, err
	}
	if used {
		return r.await(ctx, o, billing.Broadcast{}), nil
	}
	if err := r.diagnose(ctx, o, reverted); err != nil {
		return billing.Outcome{}, err
	}
	return r.await(ctx, o, billing.Broadcast{}), nil // used in the meantime
}

// await looks until there is an outcome, or ctx ends, or nothing will come of
// the transaction before the authorization's end.
func (r *Rail) await(ctx context.Context, o order, b billing.Broadcast) billing.Outcome {
	waiting := billing.Outcome{State: billing.Unsettled, Hash: b.Hash}
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		seen, err := r.look(ctx, o, b.Hash)
		switch {
		case err != nil && ctx.Err() == nil:
			r.log.WarnContext(ctx, "what became of a payment is not known yet", "hash", b.Hash, "error", err)
		case err == nil && seen.State != billing.Unsettled:
			return seen
		case err == nil && r.reverted(ctx, b):
			waiting.Reason = "its transaction reverted"
			return waiting
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return waiting
		case <-timer.C:
		}
	}
}

// reverted tells whether a transaction of ours is in a block and did nothing.
// It is not sent again then: it would cost gas each time, and the payer may
// have meant it.
func (r *Rail) reverted(ctx context.Context, b billing.Broadcast) bool {
	if b.Hash == "" {
		return false
	}
	receipt, err := r.chain.Receipt(ctx, hashOf(b.Hash))
	return err == nil && receipt != nil && !receipt.Succeeded
}

// Follow finds out what became of a payment, and sends it again where it was
// lost, or dearer where it is stuck. It does not wait.
func (r *Rail) Follow(ctx context.Context, c billing.Claim, b billing.Broadcast, keep billing.Keep) (billing.Outcome, error) {
	if c.Amount == 0 {
		return billing.Outcome{State: billing.Settled}, nil
	}
	o, err := r.reopen(c)
	if err != nil {
		return billing.Outcome{State: billing.Unsettled, Hash: b.Hash}, err
	}
	return r.follow(ctx, o, b, keep)
}

func (r *Rail) follow(ctx context.Context, o order, b billing.Broadcast, keep billing.Keep) (billing.Outcome, error) {
	if r.facilitator != nil {
		return r.followFacilitator(ctx, o, b)
	}
	seen, err := r.look(ctx, o, b.Hash)
	if err != nil || seen.State != billing.Unsettled || r.expired(o.Authorization) {
		return seen, err
	}
	sent, err := r.push(ctx, o, b, keep)
	if sent.Hash != "" {
		seen.Hash = sent.Hash
	}
	if evm.IsRefused(err) {
		// It would revert, so that nothing is spent on it; it can still settle
		// by others until it runs out.
		seen.Reason, err = "the token refuses the transfer: "+reason(err), nil
	}
	var refused *billing.Refusal
	if errors.As(err, &refused) {
		seen.Reason, err = refused.Message, nil
	}
	return seen, err
}

// push does what helps a payment that is not settled: nothing for a transaction
// that is in a block, the same again for one that may be lost, and a new one in
// place of one that is stuck or whose nonce another took. The authorization's
// own nonce keeps two of them from moving money twice.
func (r *Rail) push(ctx context.Context, o order, b billing.Broadcast, keep billing.Keep) (billing.Broadcast, error) {
	floor, err := r.free(ctx)
	if err != nil {
		return b, err
	}
	if b.Hash == "" {
		return r.dispatch(ctx, o, nil, floor, keep)
	}
	receipt, err := r.chain.Receipt(ctx, hashOf(b.Hash))
	switch {
	case err != nil:
		return b, err
	case receipt != nil && !receipt.Succeeded:
		return b, billing.Refuse(billing.Unverified, "its transaction reverted")
	case receipt != nil:
		return b, nil // it only has to become deep enough
	}
	mined, err := r.chain.Nonce(ctx, r.settler.Address(), evm.Latest)
	switch {
	case err != nil:
		return b, err
	case mined > b.Nonce:
		return r.dispatch(ctx, o, nil, max(floor, mined), keep)
	case r.clock().Sub(b.At) < stuckAfter:
		r.send(ctx, b)
		return b, nil
	}
	return r.replace(ctx, o, b, min(floor, b.Nonce), keep)
}

// replace has a dearer transaction take the place of a stuck one. Where the
// pool lost an earlier nonce, it fills the gap, for nothing behind a gap moves.
func (r *Rail) replace(ctx context.Context, o order, b billing.Broadcast, floor uint64, keep billing.Keep) (billing.Broadcast, error) {
	old, err := evm.ParseTransaction(b.Raw)
	if err != nil {
		return b, err
	}
	sent, err := r.dispatch(ctx, o, &old, floor, keep)
	if err != nil {
		r.send(ctx, b) // as dear as it may be
		return b, err
	}
	r.log.InfoContext(ctx, "a stuck transaction was replaced", "was", b.Hash, "is", sent.Hash, "nonce", sent.Nonce)
	return sent, nil
}
