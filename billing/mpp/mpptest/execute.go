package mpptest

import (
	"bytes"
	"errors"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

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
	c.receipts[hash] = &receipt{block: uint64(top), hash: c.blocks[top].hash, logs: t.logs(hash), moved: t}
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
