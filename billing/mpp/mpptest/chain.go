package mpptest

import (
	"encoding/binary"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"berth"
)

// Token and Recipient are what rails on this chain take and pay.
const (
	ChainID   = 42431
	Token     = "0x20c0000000000000000000000000000000000000"
	Recipient = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
)

// Fault is what a node does with one request instead of answering it.
type Fault struct {
	After   bool // do what was asked first
	Drop    bool // and close the connection
	Code    int  // or answer with this error
	Message string
	Result  any // or with this result
}

// Chain is a Tempo chain with one node. It makes a block for each transaction,
// and more by Mine. It may be used concurrently.
type Chain struct {
	open   sync.Once
	server *httptest.Server // of who wants a URL
	now    func() time.Time

	mu       sync.Mutex
	blocks   []block
	balances map[common.Address]*big.Int
	receipts map[common.Hash]*receipt
	seen     map[common.Hash]int // how often each transaction came
	keys     map[[2]common.Address]accessKey
	faults   map[string][]Fault
	calls    map[string]int
	forks    uint64
}

type block struct {
	hash common.Hash
	time uint64
}

type receipt struct {
	block  uint64
	hash   common.Hash // of the block
	failed bool
	logs   []any
	moved  transfer // what a reorganisation takes back
}

type accessKey struct {
	expiry  uint64
	revoked bool
}

// NewChain is a chain with its first block. It is asked by RoundTrip, or over
// the network by its URL.
func NewChain(now func() time.Time) *Chain {
	c := &Chain{
		now: now, balances: map[common.Address]*big.Int{}, receipts: map[common.Hash]*receipt{}, seen: map[common.Hash]int{},
		keys: map[[2]common.Address]accessKey{}, faults: map[string][]Fault{}, calls: map[string]int{},
	}
	c.mine()
	return c
}

// URL is the node's, which listens from now on until Close.
func (c *Chain) URL() string {
	c.open.Do(func() { c.server = httptest.NewServer(http.HandlerFunc(c.serve)) })
	return c.server.URL
}

// Close ends the node.
func (c *Chain) Close() {
	if c.server != nil {
		c.server.Close()
	}
}

// RoundTrip answers one request without a network in between.
func (c *Chain) RoundTrip(req *http.Request) (res *http.Response, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = io.ErrUnexpectedEOF
		default:
			panic(p)
		}
	}()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	c.serve(w, req)
	return w.Result(), nil
}

// Fund gives an account tokens.
func (c *Chain) Fund(address string, amount berth.Micros) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(common.HexToAddress(address), int64(amount))
}

func (c *Chain) add(a common.Address, units int64) {
	if c.balances[a] == nil {
		c.balances[a] = new(big.Int)
	}
	c.balances[a].Add(c.balances[a], big.NewInt(units))
}

// Balance is what an account has.
func (c *Chain) Balance(address string) berth.Micros {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balances[common.HexToAddress(address)]
	if b == nil {
		return 0
	}
	return berth.Micros(b.Int64())
}

// Grant lets a key sign for an account until a time.
func (c *Chain) Grant(account, key common.Address, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[[2]common.Address{account, key}] = accessKey{expiry: uint64(until.Unix())}
}

// Revoke ends that.
func (c *Chain) Revoke(account, key common.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.keys[[2]common.Address{account, key}]
	k.revoked = true
	c.keys[[2]common.Address{account, key}] = k
}

// Script lets the next requests for a method meet faults, one each.
func (c *Chain) Script(method string, faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[method] = append(c.faults[method], faults...)
}

// Calls is how often a method was asked for.
func (c *Chain) Calls(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[method]
}

// Mine makes empty blocks.
func (c *Chain) Mine(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.mine()
	}
}

func (c *Chain) mine() {
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], uint64(len(c.blocks)))
	binary.BigEndian.PutUint64(seed[8:], c.forks)
	c.blocks = append(c.blocks, block{crypto.Keccak256Hash(seed[:]), uint64(c.now().Unix())})
}

// Reorganise gives up the block of a transaction for another one, and takes back
// what moved. The node forgets the receipt, or goes on showing it where it lags.
func (c *Chain) Reorganise(hash string, lags bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := common.HexToHash(hash)
	r := c.receipts[h]
	c.forks++
	c.blocks[r.block].hash = crypto.Keccak256Hash(c.blocks[r.block].hash[:])
	delete(c.seen, h)
	if m := r.moved; m.amount != nil {
		c.add(m.to, -m.amount.Int64())
		c.add(m.from, m.amount.Int64())
	}
	if !lags {
		delete(c.receipts, h)
	}
}

// Forge makes the node show another receipt for a transaction: one of a
// success, with the logs of nobody's payment.
func (c *Chain) Forge(hash string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	top := len(c.blocks) - 1
	c.receipts[common.HexToHash(hash)] = &receipt{block: uint64(top), hash: c.blocks[top].hash, logs: []any{}}
}

// Revert makes the chain show that a transaction failed.
func (c *Chain) Revert(hash string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	top := len(c.blocks) - 1
	c.receipts[common.HexToHash(hash)] = &receipt{block: uint64(top), hash: c.blocks[top].hash, logs: []any{}, failed: true}
}

// Send brings a raw transaction to the chain without the node, as its payer
// could.
func (c *Chain) Send(raw []byte) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hash, err := c.execute(raw)
	return hash.Hex(), err
}
