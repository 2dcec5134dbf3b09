package x402test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"

	"berth/billing/evm"
)

var errLost = errors.New("the connection was lost")

// fault is an error of JSON-RPC.
type fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    string `json:"data,omitempty"`
}

// RoundTrip answers one request of JSON-RPC.
func (c *Chain) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	var in struct {
		ID     uint64            `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[in.Method]++
	what := None
	if c.Fault != nil {
		what = c.Fault(in.Method, c.asked[in.Method])
	}
	switch what {
	case Before:
		return nil, errLost
	case Busy:
		return response(http.StatusServiceUnavailable, []byte("busy")), nil
	}
	result, bad := c.answer(in.Method, in.Params, what == Lie)
	if what == After {
		return nil, errLost
	}
	out := map[string]any{"jsonrpc": "2.0", "id": in.ID, "result": result}
	if bad != nil {
		delete(out, "result")
		out["error"] = bad
	}
	text, err := json.Marshal(out)
	return response(http.StatusOK, text), err
}

func response(status int, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
}

func quantity(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // something else is no text
	return s
}

func (c *Chain) answer(method string, params []json.RawMessage, lie bool) (any, *fault) {
	head := c.blocks[len(c.blocks)-1]
	switch method {
	case "eth_chainId":
		return quantity(ChainID), nil
	case "eth_getCode":
		a := evm.Address(mustHex(text(params[0])))
		if _, contract := c.wallets[a]; contract || a == Token {
			return "0x60", nil
		}
		return "0x", nil
	case "eth_getBalance":
		return "0x" + c.Ether.Text(16), nil
	case "eth_getTransactionCount":
		return quantity(c.count(text(params[1]) == evm.Pending)), nil
	case "eth_maxPriorityFeePerGas":
		return "0x3e8", nil
	case "eth_estimateGas":
		_, bad := c.call(params[0], len(c.blocks))
		return quantity(80_000), bad
	case "eth_call":
		n, bad := c.upTo(text(params[1]))
		if bad != nil {
			return nil, bad
		}
		return c.call(params[0], n)
	case "eth_getBlockByNumber":
		n, bad := c.upTo(text(params[0]))
		if bad != nil {
			return nil, nil //nolint:nilnil // JSON's null
		}
		b := c.blocks[n-1]
		return map[string]any{"number": quantity(b.number), "hash": b.hash, "timestamp": quantity(b.time), "baseFeePerGas": quantity(uint64(c.BaseFee))}, nil
	case "eth_getTransactionReceipt":
		return c.receipt(evm.Hash(mustHex(text(params[0]))), lie), nil
	case "eth_getLogs":
		return c.logs(params[0]), nil
	case "eth_sendRawTransaction":
		return c.take(mustRaw(text(params[0])))
	}
	return nil, &fault{-32601, fmt.Sprintf("no method %s at block %d", method, head.number), ""}
}

func mustRaw(s string) []byte {
	b, err := evm.ParseHex(s, 32<<10)
	if err != nil {
		panic(err)
	}
	return b
}

// upTo is how many blocks there are up to a named one.
func (c *Chain) upTo(name string) (int, *fault) {
	if name == evm.Latest || name == evm.Pending {
		return len(c.blocks), nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(name, "0x"), 16, 32)
	if err != nil || int(n) >= len(c.blocks) {
		return 0, &fault{-32000, "header not found", ""}
	}
	return int(n) + 1, nil
}

// count is the settler's next nonce.
func (c *Chain) count(pending bool) uint64 {
	next := c.state(len(c.blocks)).nonce
	for again := pending; again; {
		again = false
		for _, t := range c.pool {
			if t.nonce == next {
				next, again = next+1, true
			}
		}
	}
	return next
}

func (c *Chain) call(raw json.RawMessage, blocks int) (any, *fault) {
	var in struct {
		To    evm.Address `json:"to"`
		Input string      `json:"input"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, &fault{-32602, err.Error(), ""}
	}
	data, w := mustRaw(in.Input), []evm.Word(nil)
	if len(data) > 4 {
		w = words(data)
	}
	is := func(method string) bool { return bytes.HasPrefix(data, selector(method)) }
	s := c.state(blocks)
	switch {
	case is("isValidSignature(bytes32,bytes)"):
		length := new(big.Int).SetBytes(w[2][:]).Int64()
		if c.confirms(in.To, w[0], data[4+96:4+96+length]) {
			return word(append(mustHex("0x1626ba7e"), make([]byte, 28)...)), nil
		}
		return word(bytes.Repeat([]byte{0xff}, 32)), nil
	case in.To != Token:
		return "0x", nil
	case is("decimals()"):
		return number(6), nil
	case is("name()"):
		return phrase(Domain.Name), nil
	case is("version()"):
		return phrase(Domain.Version), nil
	case is("DOMAIN_SEPARATOR()"):
		return Domain.Separator(), nil
	case is("balanceOf(address)"):
		return number(s.balance[evm.Address(w[0][12:])]), nil
	case is("authorizationState(address,bytes32)"):
		if s.used[usedKey(w[0], w[1])] {
			return number(1), nil
		}
		return number(0), nil
	}
	if _, reverted := c.run(s, data, c.blocks[blocks-1].time+1); reverted != "" {
		return nil, &fault{3, "execution reverted: " + reverted, "0x08c379a0" + phrase(reverted)[2:]}
	}
	return "0x", nil
}

func number(n int64) string { return word(big.NewInt(n).FillBytes(make([]byte, 32))) }

func word(b []byte) string { return fmt.Sprintf("0x%x", b) }

// phrase is the ABI's encoding of a string.
func phrase(s string) string {
	return number(32) + number(int64(len(s)))[2:] + fmt.Sprintf("%x", s) + strings.Repeat("00", (32-len(s)%32)%32)
}

func (c *Chain) receipt(hash evm.Hash, lie bool) any {
	r := c.state(len(c.blocks)).receipts[hash]
	switch {
	case r == nil && lie:
		b := c.blocks[len(c.blocks)-1]
		return map[string]any{"transactionHash": hash, "status": "0x1", "blockNumber": quantity(b.number), "blockHash": b.hash, "logs": []any{}}
	case r == nil:
		return nil
	}
	status := "0x0"
	if r.ok != lie {
		status = "0x1"
	}
	return map[string]any{"transactionHash": hash, "status": status, "blockNumber": quantity(r.block.number), "blockHash": r.block.hash, "logs": nonNil(r.logs)}
}

func nonNil(logs []evm.Log) []evm.Log {
	if logs == nil {
		return []evm.Log{}
	}
	return logs
}

func (c *Chain) logs(raw json.RawMessage) []evm.Log {
	var in struct {
		From   string      `json:"fromBlock"`
		To     string      `json:"toBlock"`
		Topics []*evm.Hash `json:"topics"` // null stands for any
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		panic(err)
	}
	first, _ := c.upTo(in.From)
	last, _ := c.upTo(in.To)
	found := []evm.Log{}
	for _, r := range c.state(len(c.blocks)).receipts {
		for _, l := range r.logs {
			if n := int(r.block.number) + 1; n >= first && n <= last && matches(l.Topics, in.Topics) {
				found = append(found, l)
			}
		}
	}
	return found
}

func matches(have []evm.Hash, want []*evm.Hash) bool {
	for i, t := range want {
		if t != nil && (i >= len(have) || have[i] != *t) {
			return false
		}
	}
	return true
}

// take puts a raw transaction into the pool, by a pool's rules.
func (c *Chain) take(raw []byte) (any, *fault) {
	parsed, err := evm.ParseTransaction(raw)
	if err != nil {
		return nil, &fault{-32602, err.Error(), ""}
	}
	t := &tx{hash: evm.Keccak(raw), nonce: parsed.Nonce, maxFee: parsed.MaxFee, data: parsed.Data}
	if t.nonce < c.state(len(c.blocks)).nonce {
		return nil, &fault{-32000, "nonce too low", ""}
	}
	for i, other := range c.pool {
		switch {
		case other.hash == t.hash:
			return nil, &fault{-32000, "already known", ""}
		case other.nonce == t.nonce && new(big.Int).Mul(other.maxFee, big.NewInt(11)).Cmp(new(big.Int).Mul(t.maxFee, big.NewInt(10))) > 0:
			return nil, &fault{-32000, "replacement transaction underpriced", ""}
		case other.nonce == t.nonce:
			c.pool[i] = t
			return t.hash, nil
		}
	}
	c.pool = append(c.pool, t)
	if c.Auto {
		c.mineAll()
	}
	return t.hash, nil
}
