package x402test

import (
	"encoding/binary"
	"math/big"
	"sync"
	"time"

	"berth/billing/evm"
)

// The chain's constants: Base Sepolia and its USDC.
const (
	ChainID = 84532
	Network = "eip155:84532"
)

var (
	// Token is USDC on Base Sepolia.
	Token = evm.Address(mustHex("0x036CbD53842c5426634e7929541eC2318f3dCF7e"))
	// Domain is its EIP-712 domain.
	Domain = evm.Domain{Name: "USDC", Version: "2", ChainID: ChainID, Contract: Token}
)

func mustHex(s string) []byte {
	b, err := evm.ParseHex(s, 64)
	if err != nil {
		panic(err)
	}
	return b
}

// Chain is a chain in memory that holds one token and speaks JSON-RPC as an
// http.RoundTripper, so that nothing of the network is in between. Blocks come
// when the test makes them, or with each transaction. It may be used
// concurrently.
type Chain struct {
	mu      sync.Mutex
	now     func() time.Time
	sender  evm.Address // of all raw transactions
	funds   map[evm.Address]int64
	wallets map[evm.Address]evm.Address // contracts, and their owners
	blocks  []block
	pool    []*tx
	asked   map[string]int

	// Auto makes a block with each transaction that is sent.
	Auto bool
	// BaseFee is what gas costs, in wei: dearer than a transaction's maximum,
	// the transaction waits.
	BaseFee int64
	// Ether is every account's, in wei.
	Ether *big.Int
	// Fault, where it is set, decides on each request what goes wrong with it.
	Fault func(method string, nth int) Fault
}

// Fault is what goes wrong with a request.
type Fault int

// The faults of a node.
const (
	None   Fault = iota
	Before       // it does not answer, and did nothing
	After        // it did what it was asked, and the answer is lost
	Lie          // its receipts say the contrary
	Busy         // it answers 503
)

type block struct {
	number, time uint64
	hash         evm.Hash
	txs          []*tx
}

// tx is a transaction; foreign ones are by others than the settler.
type tx struct {
	hash    evm.Hash
	nonce   uint64
	maxFee  *big.Int
	data    []byte
	foreign bool
}

// NewChain is a chain whose blocks are made at the clock's time, with raw
// transactions by sender.
func NewChain(sender evm.Address, now func() time.Time) *Chain {
	c := &Chain{
		now: now, sender: sender, funds: map[evm.Address]int64{}, wallets: map[evm.Address]evm.Address{}, asked: map[string]int{},
		Auto: true, BaseFee: 1_000_000, Ether: big.NewInt(1_000_000_000_000_000_000),
	}
	c.mine(nil)
	return c
}

// Fund gives an account tokens from the beginning, in base units.
func (c *Chain) Fund(a evm.Address, units int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.funds[a] += units
}

// Deploy puts a contract wallet at an address: it confirms signatures that are
// its owner's address followed by its owner's signature.
func (c *Chain) Deploy(a, owner evm.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wallets[a] = owner
}

// Balance is an account's tokens at the newest block.
func (c *Chain) Balance(a evm.Address) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state(len(c.blocks)).balance[a]
}

// Mine makes a block of what waits.
func (c *Chain) Mine() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mineAll()
}

// Drop loses every transaction that waits.
func (c *Chain) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pool = nil
}

// Reorganise takes the newest blocks out of the chain and puts empty ones in
// their place. Their transactions wait again, or are lost.
func (c *Chain) Reorganise(blocks int, lose bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep := len(c.blocks) - blocks
	var back []*tx
	for _, b := range c.blocks[keep:] {
		back = append(back, b.txs...)
	}
	c.blocks = c.blocks[:keep]
	for range blocks {
		c.mine(nil)
	}
	if !lose {
		c.pool = append(back, c.pool...)
	}
}

// Elsewhere has somebody else bring a call of the token to the chain, in a
// block of its own.
func (c *Chain) Elsewhere(data []byte) evm.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &tx{hash: evm.Keccak(data, []byte("elsewhere")), data: data, foreign: true}
	c.mine([]*tx{t})
	return t.hash
}

// Asked is how often a method was called.
func (c *Chain) Asked(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[method]
}

// Transactions is how many transactions are in the chain.
func (c *Chain) Transactions() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.blocks {
		n += len(b.txs)
	}
	return n
}

// Waiting is how many transactions wait.
func (c *Chain) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pool)
}

func (c *Chain) mine(txs []*tx) {
	b := block{number: uint64(len(c.blocks)), time: uint64(c.now().Unix()), txs: txs}
	if n := len(c.blocks); n > 0 {
		b.time = max(b.time, c.blocks[n-1].time+1)
	}
	// A block that takes another's place is another.
	b.hash = evm.Keccak(binary.BigEndian.AppendUint64(nil, b.number), binary.BigEndian.AppendUint64(nil, uint64(c.asked["eth_sendRawTransaction"])), []byte{byte(len(txs))})
	c.blocks = append(c.blocks, b)
}

// mineAll takes what can be in a block: in the order of nonces, and dear enough.
func (c *Chain) mineAll() {
	var taken, left []*tx
	next := c.state(len(c.blocks)).nonce
	for again := true; again; {
		again, left = false, nil
		for _, t := range c.pool {
			if t.nonce == next && t.maxFee.Cmp(big.NewInt(c.BaseFee)) >= 0 {
				taken, next, again = append(taken, t), next+1, true
			} else if t.nonce >= next {
				left = append(left, t)
			}
		}
		c.pool = left
	}
	c.mine(taken)
}
