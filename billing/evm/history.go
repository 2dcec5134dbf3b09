package evm

import (
	"context"
	"errors"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Bounds of a look at a token's history: how many blocks are asked for at once,
// and how often.
const (
	historyBlocks  = 1000
	historyWindows = 2000
)

// ErrLongHistory says that a history is longer than would be read.
var ErrLongHistory = errors.New("there are too many blocks since then; choose a later time")

// Move is one transfer of a token's.
type Move struct {
	Tx       Hash
	From, To Address
	Value    *big.Int
}

// Moves are a token's transfers since a time, newest blocks first, from one
// account or to one: the other is nil.
func (c *Client) Moves(ctx context.Context, token Address, from, to *Address, since time.Time) ([]Move, error) {
	head, err := c.Block(ctx, Latest)
	if err != nil {
		return nil, err
	}
	if head == nil {
		return nil, &Unknown{"eth_getBlockByNumber", errors.New("the chain has no newest block")}
	}
	topics := []any{TransferTopic, nil, nil}
	for i, a := range []*Address{from, to} {
		if a != nil {
			topics[1+i] = Hash(AddressWord(*a))
		}
	}
	var list []Move
	last := head.Number
	for range historyWindows {
		first := last - min(last, historyBlocks-1)
		found, err := c.movesIn(ctx, token, first, last, topics)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
		block, err := c.Block(ctx, AtBlock(first))
		if err != nil {
			return nil, err
		}
		if first == 0 || block == nil || int64(block.Time) < since.Unix() {
			return list, nil
		}
		last = first - 1
	}
	return nil, ErrLongHistory
}

func (c *Client) movesIn(ctx context.Context, token Address, first, last uint64, topics []any) ([]Move, error) {
	var logs []Log
	err := c.Do(ctx, &logs, "eth_getLogs", map[string]any{
		"address": token, "fromBlock": hexutil.EncodeUint64(first), "toBlock": hexutil.EncodeUint64(last), "topics": topics,
	})
	if err != nil {
		return nil, err
	}
	var list []Move
	for _, l := range logs {
		n, err := Number(l.Data)
		if err != nil || l.Removed || l.Address != token || len(l.Topics) != 3 || l.Topics[0] != TransferTopic {
			continue
		}
		list = append(list, Move{l.TxHash, Address(l.Topics[1][12:]), Address(l.Topics[2][12:]), n})
	}
	return list, nil
}
