package mpptest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

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
	server *httptest.Server
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
}

type accessKey struct {
	expiry  uint64
	revoked bool
}

// NewChain starts a chain's node; Close ends it.
func NewChain(now func() time.Time) *Chain {
	c := &Chain{
		now: now, balances: map[common.Address]*big.Int{}, receipts: map[common.Hash]*receipt{}, seen: map[common.Hash]int{},
		keys: map[[2]common.Address]accessKey{}, faults: map[string][]Fault{}, calls: map[string]int{},
	}
	c.mine()
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	return c
}

// URL is the node's.
func (c *Chain) URL() string { return c.server.URL }

// Close ends the node.
func (c *Chain) Close() { c.server.Close() }

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

// Reorganise gives up the block of a transaction for another one. The node
// forgets the receipt, or goes on showing it where it lags.
func (c *Chain) Reorganise(hash string, lags bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := common.HexToHash(hash)
	r := c.receipts[h]
	c.forks++
	c.blocks[r.block].hash = crypto.Keccak256Hash(c.blocks[r.block].hash[:])
	delete(c.seen, h)
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

// rpcError is an error of JSON-RPC.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    string `json:"data,omitempty"`
}

func (e *rpcError) Error() string { return e.Message }

func (c *Chain) serve(w http.ResponseWriter, req *http.Request) {
	var asked struct {
		ID     json.RawMessage   `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 1<<20)).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result, err := c.handle(req.Context(), asked.Method, asked.Params)
	if errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler) // the server closes the connection without an answer
	}
	answer := map[string]any{"jsonrpc": "2.0", "id": asked.ID}
	var refusal *rpcError
	switch {
	case errors.As(err, &refusal):
		answer["error"] = refusal
	case err != nil:
		answer["error"] = &rpcError{Code: -32602, Message: err.Error()}
	default:
		answer["result"] = result
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
}

func (c *Chain) handle(_ context.Context, method string, params []json.RawMessage) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[method]++
	script := c.faults[method]
	if len(script) == 0 {
		return c.answer(method, params)
	}
	f := script[0]
	c.faults[method] = script[1:]
	if f.After {
		if _, err := c.answer(method, params); err != nil {
			return nil, err
		}
	}
	switch {
	case f.Drop:
		return nil, http.ErrAbortHandler
	case f.Code != 0:
		return nil, &rpcError{Code: f.Code, Message: f.Message}
	}
	return f.Result, nil
}

func (c *Chain) answer(method string, params []json.RawMessage) (any, error) {
	switch method {
	case "eth_chainId":
		return hexutil.EncodeUint64(ChainID), nil
	case "eth_getCode":
		var a common.Address
		if err := first(params, &a); err != nil || a != common.HexToAddress(Token) {
			return "0x", err
		}
		return "0xef", nil
	case "eth_call":
		return c.call(params)
	case "eth_getBlockByNumber":
		return c.block(params)
	case "eth_getTransactionReceipt":
		return c.receipt(params)
	case "eth_sendRawTransaction", "eth_sendRawTransactionSync":
		var raw hexutil.Bytes
		if err := first(params, &raw); err != nil {
			return nil, err
		}
		hash, err := c.execute(raw)
		if err != nil || method == "eth_sendRawTransaction" {
			return hash, err
		}
		text, err := json.Marshal(hash)
		if err != nil {
			return nil, err
		}
		return c.receipt([]json.RawMessage{text})
	}
	return nil, &rpcError{Code: -32601, Message: "the method does not exist"}
}

func first(params []json.RawMessage, into any) error {
	if len(params) == 0 {
		return errors.New("a parameter is missing")
	}
	return json.Unmarshal(params[0], into)
}

func (c *Chain) block(params []json.RawMessage) (any, error) {
	var name string
	if err := first(params, &name); err != nil {
		return nil, err
	}
	n := uint64(len(c.blocks) - 1)
	if name != "latest" {
		var err error
		if n, err = hexutil.DecodeUint64(name); err != nil || n >= uint64(len(c.blocks)) {
			return nil, err
		}
	}
	b := c.blocks[n]
	return map[string]any{"number": hexutil.EncodeUint64(n), "hash": b.hash, "timestamp": hexutil.EncodeUint64(b.time)}, nil
}

func (c *Chain) receipt(params []json.RawMessage) (any, error) {
	var hash common.Hash
	if err := first(params, &hash); err != nil {
		return nil, err
	}
	r := c.receipts[hash]
	if r == nil {
		return nil, nil
	}
	status := "0x1"
	if r.failed {
		status = "0x0"
	}
	return map[string]any{
		"transactionHash": hash, "status": status, "blockNumber": hexutil.EncodeUint64(r.block),
		"blockHash": r.hash, "logs": r.logs,
	}, nil
}

func (c *Chain) call(params []json.RawMessage) (any, error) {
	var call struct {
		From common.Address `json:"from"`
		To   common.Address `json:"to"`
		Data hexutil.Bytes  `json:"data"`
	}
	if err := first(params, &call); err != nil || len(call.Data) < 4 {
		return nil, fmt.Errorf("no call: %w", err)
	}
	word := func(n *big.Int) string { return hexutil.Encode(common.LeftPadBytes(n.Bytes(), 32)) }
	switch args := call.Data[4:]; hex.EncodeToString(call.Data[:4]) {
	case "313ce567":
		return word(big.NewInt(6)), nil
	case "70a08231":
		return word(c.balance(common.BytesToAddress(args))), nil
	case "95777d59":
		if c.balance(call.From).Cmp(new(big.Int).SetBytes(args[32:64])) < 0 {
			return nil, &rpcError{Code: 3, Message: "execution reverted", Data: "0x832f98b5"}
		}
		return "0x", nil
	case "bc298553":
		return c.key(common.BytesToAddress(args[:32]), common.BytesToAddress(args[32:])), nil
	}
	return nil, &rpcError{Code: 3, Message: "execution reverted"}
}

func (c *Chain) balance(a common.Address) *big.Int {
	if b := c.balances[a]; b != nil {
		return b
	}
	return new(big.Int)
}

func (c *Chain) key(account, key common.Address) string {
	words := make([]byte, 5*32)
	if k, there := c.keys[[2]common.Address{account, key}]; there {
		copy(words[32+12:], key[:])
		binary.BigEndian.PutUint64(words[3*32-8:], k.expiry)
		if k.revoked {
			words[5*32-1] = 1
		}
	}
	return hexutil.Encode(words)
}

// execute mines a transaction of one transfer, or says why not.
func (c *Chain) execute(raw []byte) (common.Hash, error) {
	hash := crypto.Keccak256Hash(raw)
	var fields []any
	if len(raw) == 0 || raw[0] != 0x76 || rlp.DecodeBytes(raw[1:], &fields) != nil || len(fields) < 14 {
		return hash, &rpcError{Code: -32602, Message: "Failed to decode transaction"}
	}
	if c.seen[hash]++; c.seen[hash] > 1 {
		return hash, &rpcError{Code: -32000, Message: "already known"}
	}
	t, err := readTransfer(fields)
	if err != nil {
		return hash, &rpcError{Code: -32602, Message: err.Error()}
	}
	c.mine()
	top := len(c.blocks) - 1
	switch {
	case t.validBefore <= c.blocks[top].time:
		delete(c.seen, hash)
		return hash, &rpcError{Code: -32000, Message: "transaction expired"}
	case c.balance(t.from).Cmp(t.amount) < 0:
		delete(c.seen, hash)
		return hash, &rpcError{Code: -32000, Message: "insufficient funds for gas * price + value"}
	}
	c.add(t.from, -t.amount.Int64())
	c.add(t.to, t.amount.Int64())
	c.receipts[hash] = &receipt{block: uint64(top), hash: c.blocks[top].hash, logs: t.logs(hash)}
	return hash, nil
}

type transfer struct {
	from, to, token common.Address
	amount          *big.Int
	memo            common.Hash
	validBefore     uint64
}

func readTransfer(fields []any) (t transfer, err error) {
	calls, _ := fields[4].([]any)
	if len(calls) != 1 {
		return t, errors.New("not one call")
	}
	call, _ := calls[0].([]any)
	to, _ := call[0].([]byte)
	data, _ := call[2].([]byte)
	if len(data) != 100 {
		return t, errors.New("no transferWithMemo")
	}
	until, _ := fields[8].([]byte)
	t = transfer{
		token: common.BytesToAddress(to), to: common.BytesToAddress(data[4:36]),
		amount: new(big.Int).SetBytes(data[36:68]), memo: common.BytesToHash(data[68:]),
		validBefore: new(big.Int).SetBytes(until).Uint64(),
	}
	t.from, err = sender(fields)
	return t, err
}

// sender recovers who signed; an access key's signature names the account.
func sender(fields []any) (common.Address, error) {
	signature, _ := fields[len(fields)-1].([]byte)
	if len(signature) == 86 {
		return common.BytesToAddress(signature[1:21]), nil
	}
	if len(signature) != 65 || signature[64] < 27 {
		return common.Address{}, errors.New("no signature in the chain's own form")
	}
	unsigned := append([]any{}, fields[:len(fields)-1]...)
	if mark, ok := unsigned[11].([]byte); !ok || len(mark) > 0 { // another one pays the gas
		unsigned[10], unsigned[11] = []byte{}, []byte{0}
	}
	payload, err := rlp.EncodeToBytes(unsigned)
	if err != nil {
		return common.Address{}, err
	}
	exact := bytes.Clone(signature)
	exact[64] -= 27
	key, err := crypto.SigToPub(crypto.Keccak256([]byte{0x76}, payload), exact)
	if err != nil {
		return common.Address{}, err
	}
	return crypto.PubkeyToAddress(*key), nil
}

// logs are what TIP-20 tokens emit for a transfer with a memo: two events, for
// one movement of money.
func (t transfer) logs(tx common.Hash) []any {
	pad := func(a common.Address) common.Hash { return common.BytesToHash(a[:]) }
	data := hexutil.Encode(common.LeftPadBytes(t.amount.Bytes(), 32))
	log := func(event string, topics ...common.Hash) any {
		return map[string]any{
			"address": strings.ToLower(t.token.Hex()), "data": data, "transactionHash": tx, "removed": false,
			"topics": append([]common.Hash{crypto.Keccak256Hash([]byte(event))}, topics...),
		}
	}
	return []any{
		log("Transfer(address,address,uint256)", pad(t.from), pad(t.to)),
		log("TransferWithMemo(address,address,uint256,bytes32)", pad(t.from), pad(t.to), t.memo),
	}
}
