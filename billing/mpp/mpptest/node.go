package mpptest

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

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
	result, err := c.handle(asked.Method, asked.Params)
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

func (c *Chain) handle(method string, params []json.RawMessage) (any, error) {
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
	case "eth_getLogs":
		return c.logs(params)
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

// logs are the events of some blocks with some topics; null stands for any.
func (c *Chain) logs(params []json.RawMessage) (any, error) {
	var filter struct {
		From   hexutil.Uint64 `json:"fromBlock"`
		To     hexutil.Uint64 `json:"toBlock"`
		Topics []*common.Hash `json:"topics"`
	}
	if err := first(params, &filter); err != nil {
		return nil, err
	}
	found := []any{}
	for _, r := range c.receipts {
		if r.failed || r.block < uint64(filter.From) || r.block > uint64(filter.To) {
			continue
		}
		for _, l := range r.logs {
			if has(l.(map[string]any)["topics"].([]common.Hash), filter.Topics) {
				found = append(found, l)
			}
		}
	}
	return found, nil
}

func has(topics []common.Hash, wanted []*common.Hash) bool {
	for i, w := range wanted {
		if w != nil && (i >= len(topics) || topics[i] != *w) {
			return false
		}
	}
	return true
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
