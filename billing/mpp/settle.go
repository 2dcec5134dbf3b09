package mpp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"berth/billing"
	"berth/billing/evm"
)

// tail is how many blocks after a transaction's last moment the chain is asked
// once more: nodes behind one address can lag by a few.
const tail = 16

// Submit implements billing.Rail. A node's refusal to take the transaction is
// no proof that it can't be mined: its payer has it too, and a node that says
// "nonce" or "funds" may have seen it mined. So the outcome is then Unsettled,
// with the node's words as the reason, until Follow finds that the
// transaction's last moment, which is at most a challenge's life away, is over.
func (r *Rail) Submit(ctx context.Context, c billing.Claim, keep billing.Keep) (billing.Outcome, error) {
	t, err := readTicket(c)
	if err != nil {
		return billing.Outcome{}, err
	}
	if t.Kind == kindProof {
		return billing.Outcome{State: billing.Settled}, nil
	}
	raw, hash, err := r.complete(c, t)
	if err != nil {
		return billing.Outcome{}, err
	}
	b, err := keep(ctx, "", 0, func(uint64) (billing.Broadcast, error) {
		return billing.Broadcast{Hash: hash.Hex(), Raw: raw, At: r.now()}, nil
	})
	if err != nil {
		return billing.Outcome{}, fmt.Errorf("keep the transaction before it leaves: %w", err)
	}
	reason := ""
	if raw != nil {
		reason = r.sendSync(ctx, raw)
	}
	pay, err := transferOf(c, t)
	if err != nil {
		return billing.Outcome{State: billing.Unsettled, Hash: b.Hash}, err
	}
	return r.wait(ctx, c.Expires, pay, b, reason)
}

// complete is the transaction as it leaves and its hash. Of one that its payer
// sends there is only the hash.
func (r *Rail) complete(c billing.Claim, t ticket) (raw []byte, hash evm.Hash, err error) {
	if t.Kind == kindHash {
		return nil, evm.Hash(t.Raw), nil
	}
	if !t.Sponsored {
		return t.Raw, evm.Keccak(t.Raw), nil
	}
	if r.sponsor == nil {
		return nil, hash, billing.Refuse(billing.Unsupported, "gas is not paid for any more")
	}
	tx, err := decodeTransaction(t.Raw)
	if err != nil {
		return nil, hash, fmt.Errorf("the claim's transaction: %w", err)
	}
	token, err := evm.ParseAddress(c.Asset)
	if err != nil {
		return nil, hash, fmt.Errorf("the claim's asset: %w", err)
	}
	if raw, err = tx.sponsor(r.sponsor, token); err != nil {
		return nil, hash, fmt.Errorf("sign for the gas: %w", err)
	}
	return raw, evm.Keccak(raw), nil
}

// sendSync hands the transaction to the node and lets it wait for the receipt,
// where it can. What it answers proves nothing, so only its refusal is told,
// as a reason.
func (r *Rail) sendSync(ctx context.Context, raw []byte) (refusal string) {
	var receipt any
	err := r.node.Do(ctx, &receipt, "eth_sendRawTransactionSync", hexutil.Bytes(raw))
	var refused *evm.Refused
	if errors.As(err, &refused) && isUnknownMethod(refused) {
		return r.send(ctx, raw)
	}
	const stillWaiting = 4 // EIP-7966: it was taken, and has no receipt yet
	if refused != nil && refused.Code != stillWaiting {
		return "the node refused the transaction: " + refused.Message
	}
	return ""
}

func (r *Rail) send(ctx context.Context, raw []byte) (refusal string) {
	var refused *evm.Refused
	if err := r.node.Send(ctx, raw); errors.As(err, &refused) {
		return "the node refused the transaction: " + refused.Message
	}
	return ""
}

// wait looks at the chain until there is an outcome, or ctx ends. After a
// refusal it looks once.
func (r *Rail) wait(ctx context.Context, end time.Time, pay transfer, b billing.Broadcast, refusal string) (billing.Outcome, error) {
	reason := "the chain has not answered yet"
	for {
		out, err := r.decide(ctx, end, pay, b)
		reason = cmp.Or(out.Reason, reason)
		switch {
		case err == nil && out.State != billing.Unsettled:
			return out, nil
		case err == nil && refusal != "":
			out.Reason = refusal
			return out, nil
		case err != nil && !isUnanswered(err):
			return out, err
		}
		timer := time.NewTimer(r.poll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return billing.Outcome{State: billing.Unsettled, Hash: b.Hash, Reason: reason}, nil
		case <-timer.C:
		}
	}
}

// isUnanswered tells of errors that another look may not have.
func isUnanswered(err error) bool {
	var unknown *evm.Unknown
	return errors.As(err, &unknown) || evm.IsRefused(err)
}

// Follow implements billing.Rail.
func (r *Rail) Follow(ctx context.Context, c billing.Claim, b billing.Broadcast, _ billing.Keep) (billing.Outcome, error) {
	pending := billing.Outcome{State: billing.Unsettled, Hash: b.Hash}
	t, err := readTicket(c)
	if err != nil {
		return pending, err
	}
	if t.Kind == kindProof {
		return billing.Outcome{State: billing.Settled}, nil
	}
	pay, err := transferOf(c, t)
	if err != nil {
		return pending, err
	}
	return r.follow(ctx, c.Expires, pay, b)
}

// follow looks once, and sends again what may have been lost on the way.
func (r *Rail) follow(ctx context.Context, end time.Time, pay transfer, b billing.Broadcast) (billing.Outcome, error) {
	out, err := r.decide(ctx, end, pay, b)
	if err != nil || out.State != billing.Unsettled || len(b.Raw) == 0 || !r.now().Before(end) {
		return out, err
	}
	if refusal := r.send(ctx, b.Raw); refusal != "" {
		out.Reason = refusal
	}
	return out, nil
}

// decide is what the chain says of a transaction, which is valid before end,
// now.
func (r *Rail) decide(ctx context.Context, end time.Time, pay transfer, b billing.Broadcast) (billing.Outcome, error) {
	pending := billing.Outcome{State: billing.Unsettled, Hash: b.Hash}
	hash, err := evm.ParseHash(b.Hash)
	if err != nil {
		return pending, fmt.Errorf("the broadcast's hash: %w", err)
	}
	// In this order: a receipt that is missing after the chain's clock has passed
	// the end can't come any more.
	over, err := r.isOver(ctx, end)
	if err != nil {
		return pending, err
	}
	sight, err := r.look(ctx, hash, pay)
	switch {
	case err != nil:
		return pending, err
	case sight.reverted:
		return billing.Outcome{State: billing.Failed, Hash: b.Hash, Reason: "the transaction was reverted"}, nil
	case sight.paid:
		return billing.Outcome{State: billing.Settled, Hash: b.Hash}, nil
	case over && !sight.found:
		return billing.Outcome{State: billing.Failed, Hash: b.Hash, Reason: "the transaction was not mined before it expired"}, nil
	}
	pending.Reason = sight.pending
	return pending, nil
}

// isOver tells whether a transaction that is valid before end can't be mined any
// more: by our clock, and by the chain's in a block that others lie upon, so
// that neither clock alone can lie about it.
func (r *Rail) isOver(ctx context.Context, end time.Time) (bool, error) {
	if r.now().Before(end) {
		return false, nil
	}
	head, err := r.head(ctx)
	if err != nil {
		return false, err
	}
	depth := r.confirmations + tail
	if head.Number < depth || int64(min(head.Time, maxInteger)) < end.Unix() {
		return false, nil
	}
	block, err := r.node.Block(ctx, evm.AtBlock(head.Number-depth))
	if err != nil || block == nil {
		return false, err
	}
	return int64(min(block.Time, maxInteger)) >= end.Unix(), nil
}

// sight is what a look at the chain has shown of a transaction.
type sight struct {
	found    bool // it has a receipt
	reverted bool
	paid     bool
	pending  string // why it is neither of these
}

// look asks for a transaction's receipt, and whether the receipt's block is in
// the chain with enough blocks upon it.
func (r *Rail) look(ctx context.Context, hash evm.Hash, pay transfer) (sight, error) {
	receipt, err := r.node.Receipt(ctx, hash)
	if err != nil {
		return sight{}, err
	}
	if receipt == nil {
		return sight{pending: "the transaction is not mined yet"}, nil
	}
	s := sight{found: true}
	block, err := r.node.Block(ctx, evm.AtBlock(receipt.Block))
	if err != nil {
		return s, err
	}
	if block == nil || block.Hash != receipt.BlockHash {
		// The receipt is of a block that the chain has given up, so there is none.
		return sight{pending: "the transaction's block was given up by the chain"}, nil
	}
	if r.confirmations > 0 {
		head, err := r.head(ctx)
		if err != nil {
			return s, err
		}
		if head.Number < receipt.Block+r.confirmations {
			s.pending = fmt.Sprintf("the transaction's block has %d of %d blocks upon it", max(head.Number, receipt.Block)-receipt.Block, r.confirmations)
			return s, nil
		}
	}
	switch {
	case !receipt.Succeeded:
		s.reverted = true
	case pay.shows(receipt):
		s.paid = true
	default:
		s.pending = "the node shows a receipt without the payment"
		r.log.ErrorContext(ctx, "the chain's node contradicts itself: the transaction succeeded and did not pay; somebody has to look",
			slog.String("transaction", hash.Hex()), slog.Uint64("block", receipt.Block))
	}
	return s, nil
}
