package x402

import (
	"context"
	"errors"

	"berth/billing"
	"berth/billing/evm"
)

// Bounds of the search for who submitted an authorization: how many blocks are
// asked for at once, how often, and how long before the payment was seen it
// may have been submitted. On Base a day has 44 windows.
const (
	searchBlocks  = 1000
	searchWindows = 128
	searchBefore  = maxValidity
)

// deadAfter is how long after its end, by the chain's clock, an unused
// authorization is dead: until then a reorganisation could still bring it.
const deadAfter = 30 // seconds

// look finds out by the chain what became of an authorization. It believes
// nothing that is not deep enough, and no receipt alone: the token has to say
// that the authorization is used, the block has to be in the chain, and the
// transaction's logs have to show the transfer. hash is a transaction that may
// have done it, or empty.
func (r *Rail) look(ctx context.Context, o order, hash string) (billing.Outcome, error) {
	waiting := billing.Outcome{State: billing.Unsettled, Hash: hash}
	head, err := r.head(ctx)
	if err != nil {
		return waiting, err
	}
	deep := head // the newest block that is deep enough
	if r.depth > 1 {
		if deep, err = r.blockAt(ctx, head.Number-min(head.Number, r.depth-1)); err != nil {
			return waiting, err
		}
	}
	used, err := r.used(ctx, o.Authorization, evm.AtBlock(deep.Number))
	switch {
	case err != nil:
		return waiting, err
	case !used && int64(deep.Time) >= o.ValidBefore.Int64()+deadAfter:
		return billing.Outcome{State: billing.Failed, Reason: "the authorization ran out unused"}, nil
	case !used:
		return waiting, nil
	}
	if hash != "" {
		if moved, err := r.moved(ctx, o, hashOf(hash), deep.Number); err != nil || moved {
			return settled(moved, hash, waiting), err
		}
	}
	return r.search(ctx, o, deep, waiting)
}

// hashOf is a transaction of ours or one that a facilitator named.
func hashOf(s string) evm.Hash {
	h, err := evm.ParseHash(s)
	if err != nil {
		return evm.Hash{} // no transaction has it
	}
	return h
}

func settled(moved bool, hash string, otherwise billing.Outcome) billing.Outcome {
	if moved {
		return billing.Outcome{State: billing.Settled, Hash: hash}
	}
	return otherwise
}

// blockAt is a block that has to be there.
func (r *Rail) blockAt(ctx context.Context, number uint64) (*evm.Block, error) {
	b, err := r.chain.Block(ctx, evm.AtBlock(number))
	if err == nil && b == nil {
		err = &evm.Unknown{Method: "eth_getBlockByNumber", Err: errors.New("it lacks a block of its own chain")}
	}
	return b, err
}

// moved tells whether a transaction carried an authorization out, in a block of
// the chain up to last.
func (r *Rail) moved(ctx context.Context, o order, tx evm.Hash, last uint64) (bool, error) {
	receipt, err := r.chain.Receipt(ctx, tx)
	if err != nil || receipt == nil || !receipt.Succeeded || receipt.Block > last {
		return false, err
	}
	if !r.shows(receipt.Logs, o) {
		return false, nil
	}
	block, err := r.blockAt(ctx, receipt.Block)
	if err != nil {
		return false, err
	}
	return block.Hash == receipt.BlockHash, nil
}

// shows tells whether a transaction's events have both the authorization's use
// and its transfer, by the token.
func (r *Rail) shows(logs []evm.Log, o order) bool {
	var used, moved bool
	for _, l := range logs {
		if l.Address != r.asset || l.Removed || len(l.Topics) != 3 {
			continue
		}
		switch l.Topics[0] {
		case evm.AuthorizationUsedTopic:
			used = used || (l.Topics[1] == topic(o.From) && l.Topics[2] == o.Nonce)
		case evm.TransferTopic:
			n, err := evm.Number(l.Data)
			moved = moved || (err == nil && l.Topics[1] == topic(o.From) && l.Topics[2] == topic(o.To) && n.Cmp(o.Value) == 0)
		}
	}
	return used && moved
}

func topic(a evm.Address) evm.Hash { return evm.Hash(evm.AddressWord(a)) }

// search looks for the transaction that used or canceled an authorization,
// from the newest deep block backwards.
func (r *Rail) search(ctx context.Context, o order, deep *evm.Block, waiting billing.Outcome) (billing.Outcome, error) {
	earliest := o.seen.Add(-searchBefore).Unix()
	last := deep.Number
	for range searchWindows {
		first := last - min(last, searchBlocks-1)
		found, err := r.inWindow(ctx, o, first, last, deep.Number)
		if err != nil || found.State != billing.Unsettled {
			return merged(found, waiting), err
		}
		if first == 0 {
			break
		}
		block, err := r.blockAt(ctx, first)
		if err != nil {
			return waiting, err
		}
		if int64(block.Time) < earliest {
			break
		}
		last = first - 1
	}
	// The node's index may lag behind its state: nobody knows yet.
	r.log.WarnContext(ctx, "an authorization is used, and no event says by what", "payer", o.From, "nonce", o.Nonce)
	return waiting, nil
}

// merged keeps the hash of a transaction of ours where nothing better is known.
func merged(found, waiting billing.Outcome) billing.Outcome {
	if found.State == billing.Unsettled || found.State == "" {
		return waiting
	}
	return found
}

func (r *Rail) inWindow(ctx context.Context, o order, first, last, deep uint64) (billing.Outcome, error) {
	none := billing.Outcome{State: billing.Unsettled}
	logs, err := r.chain.Logs(ctx, r.asset, first, last, evm.AuthorizationUsedTopic, topic(o.From), o.Nonce)
	if err != nil {
		return none, err
	}
	for _, l := range logs {
		if moved, err := r.moved(ctx, o, l.TxHash, deep); err != nil || moved {
			return settled(moved, l.TxHash.Hex(), none), err
		}
	}
	canceled, err := r.chain.Logs(ctx, r.asset, first, last, evm.AuthorizationCanceledTopic, topic(o.From), o.Nonce)
	if err != nil {
		return none, err
	}
	for _, l := range canceled {
		if !l.Removed && l.Address == r.asset && len(l.Topics) == 3 && l.Topics[0] == evm.AuthorizationCanceledTopic && l.Topics[1] == topic(o.From) && l.Topics[2] == o.Nonce {
			return billing.Outcome{State: billing.Failed, Hash: l.TxHash.Hex(), Reason: "the payer canceled the authorization"}, nil
		}
	}
	return none, nil
}
