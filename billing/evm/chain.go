package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// ChainID is the number of the node's chain.
func (c *Client) ChainID(ctx context.Context) (uint64, error) {
	var n hexutil.Uint64
	err := c.Do(ctx, &n, "eth_chainId")
	return uint64(n), err
}

// Latest and Pending name the newest block and the one that is being made.
const (
	Latest  = "latest"
	Pending = "pending"
)

// AtBlock names a block by its number.
func AtBlock(number uint64) string { return hexutil.EncodeUint64(number) }

// Code is an account's code: empty for an account with a key only.
func (c *Client) Code(ctx context.Context, a Address) ([]byte, error) {
	var code hexutil.Bytes
	err := c.Do(ctx, &code, "eth_getCode", a, Latest)
	return code, err
}

// Balance is an account's ether, in wei.
func (c *Client) Balance(ctx context.Context, a Address) (*big.Int, error) {
	var n hexutil.Big
	err := c.Do(ctx, &n, "eth_getBalance", a, Latest)
	return n.ToInt(), err
}

// Nonce is how many transactions of an account are in the chain, and with
// Pending also in the node's pool.
func (c *Client) Nonce(ctx context.Context, a Address, block string) (uint64, error) {
	var n hexutil.Uint64
	err := c.Do(ctx, &n, "eth_getTransactionCount", a, block)
	return uint64(n), err
}

// call is the argument of eth_call and eth_estimateGas.
type call struct {
	From  *Address      `json:"from,omitempty"`
	To    Address       `json:"to"`
	Input hexutil.Bytes `json:"input"`
	Data  hexutil.Bytes `json:"data"` // the older name, for nodes that know no other
}

// Call runs a contract's method without changing anything, as of a block, and
// is what it returned. A *Refused says that it reverted.
func (c *Client) Call(ctx context.Context, from *Address, to Address, data []byte, block string) ([]byte, error) {
	var b hexutil.Bytes
	err := c.Do(ctx, &b, "eth_call", call{from, to, data, data}, block)
	return b, err
}

// EstimateGas is how much gas a call would take.
func (c *Client) EstimateGas(ctx context.Context, from, to Address, data []byte) (uint64, error) {
	var n hexutil.Uint64
	err := c.Do(ctx, &n, "eth_estimateGas", call{&from, to, data, data})
	return uint64(n), err
}

// Block is a block's head.
type Block struct {
	Number  uint64
	Hash    Hash
	Time    uint64   // seconds since 1970, by the chain's clock
	BaseFee *big.Int // wei per gas
}

// Block is a block by its number or name. It is nil where there is none.
func (c *Client) Block(ctx context.Context, block string) (*Block, error) {
	var b *struct {
		Number  *hexutil.Uint64 `json:"number"`
		Hash    *Hash           `json:"hash"`
		Time    *hexutil.Uint64 `json:"timestamp"`
		BaseFee *hexutil.Big    `json:"baseFeePerGas"`
	}
	const method = "eth_getBlockByNumber"
	if err := c.Do(ctx, &b, method, block, false); err != nil || b == nil {
		return nil, err
	}
	if b.Number == nil || b.Hash == nil || b.Time == nil {
		return nil, &Unknown{method, errors.New("the block lacks its number, hash or time")}
	}
	fee := new(big.Int)
	if b.BaseFee != nil {
		fee = b.BaseFee.ToInt()
	}
	return &Block{uint64(*b.Number), *b.Hash, uint64(*b.Time), fee}, nil
}

// PriorityFee is what the node suggests for a block's maker, in wei per gas.
func (c *Client) PriorityFee(ctx context.Context) (*big.Int, error) {
	var n hexutil.Big
	err := c.Do(ctx, &n, "eth_maxPriorityFeePerGas")
	return n.ToInt(), err
}

// Log is an event of a contract.
type Log struct {
	Address Address       `json:"address"`
	Topics  []Hash        `json:"topics"`
	Data    hexutil.Bytes `json:"data"`
	TxHash  Hash          `json:"transactionHash"`
	Removed bool          `json:"removed"` // its block is not in the chain any more
}

// Receipt is what became of a transaction that is in a block.
type Receipt struct {
	TxHash    Hash
	Succeeded bool
	Block     uint64
	BlockHash Hash
	Logs      []Log
}

// Receipt is a transaction's, and nil where the node knows of none.
func (c *Client) Receipt(ctx context.Context, tx Hash) (*Receipt, error) {
	var r *struct {
		TxHash    *Hash           `json:"transactionHash"`
		Status    *hexutil.Uint64 `json:"status"`
		Block     *hexutil.Uint64 `json:"blockNumber"`
		BlockHash *Hash           `json:"blockHash"`
		Logs      []Log           `json:"logs"`
	}
	const method = "eth_getTransactionReceipt"
	if err := c.Do(ctx, &r, method, tx); err != nil || r == nil {
		return nil, err
	}
	if r.TxHash == nil || r.Status == nil || r.Block == nil || r.BlockHash == nil || *r.TxHash != tx {
		return nil, &Unknown{method, errors.New("the receipt lacks its transaction, status or block")}
	}
	return &Receipt{tx, *r.Status == 1, uint64(*r.Block), *r.BlockHash, r.Logs}, nil
}

// Logs are a contract's events in the blocks from first to last, whose topics
// begin with those given.
func (c *Client) Logs(ctx context.Context, contract Address, first, last uint64, topics ...Hash) ([]Log, error) {
	var logs []Log
	err := c.Do(ctx, &logs, "eth_getLogs", map[string]any{
		"address":   contract,
		"fromBlock": hexutil.EncodeUint64(first),
		"toBlock":   hexutil.EncodeUint64(last),
		"topics":    topics,
	})
	return logs, err
}

// Send hands a signed transaction to the node. That the node has it already is
// no error. After an *Unknown it may have left.
func (c *Client) Send(ctx context.Context, raw []byte) error {
	var hash Hash
	err := c.Do(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(raw))
	var r *Refused
	if errors.As(err, &r) && (strings.Contains(r.Message, "already known") || strings.Contains(r.Message, "already imported")) {
		return nil
	}
	if err == nil && hash != Keccak(raw) {
		return &Unknown{"eth_sendRawTransaction", fmt.Errorf("the node took %s for another transaction", Keccak(raw))}
	}
	return err
}
