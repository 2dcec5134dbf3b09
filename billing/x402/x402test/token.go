package x402test

import (
	"bytes"
	"math/big"

	"berth/billing/evm"
)

// state is the token's, as of a block.
type state struct {
	balance  map[evm.Address]int64
	used     map[evm.Hash]bool // by payer and nonce
	receipts map[evm.Hash]*receipt
	nonce    uint64 // the settler's
}

// receipt is what a transaction did.
type receipt struct {
	tx    *tx
	block block
	ok    bool
	logs  []evm.Log
}

// state replays the first blocks.
func (c *Chain) state(blocks int) *state {
	s := &state{balance: map[evm.Address]int64{}, used: map[evm.Hash]bool{}, receipts: map[evm.Hash]*receipt{}}
	for a, units := range c.funds {
		s.balance[a] = units
	}
	for _, b := range c.blocks[:blocks] {
		for _, t := range b.txs {
			logs, reverted := c.run(s, t.data, b.time)
			for i := range logs {
				logs[i].TxHash = t.hash
			}
			s.receipts[t.hash] = &receipt{t, b, reverted == "", logs}
			if !t.foreign {
				s.nonce++
			}
		}
	}
	return s
}

func usedKey(from, nonce evm.Word) evm.Hash { return evm.Keccak(from[:], nonce[:]) }

// selector of a method.
func selector(method string) []byte { return evm.Calldata(method)[:4] }

var (
	byParts  = selector("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)")
	byCancel = selector("cancelAuthorization(address,bytes32)") // by the payer, in short
)

// Cancel is the call with which this chain's payers cancel an authorization.
func Cancel(a evm.Authorization) []byte {
	return evm.Calldata("cancelAuthorization(address,bytes32)", evm.AddressWord(a.From), evm.Word(a.Nonce))
}

// words are a call's arguments.
func words(data []byte) (list []evm.Word) {
	for b := data[4:]; len(b) >= 32; b = b[32:] {
		list = append(list, evm.Word(b[:32]))
	}
	return list
}

// run carries a transfer out, or says why it reverts.
func (c *Chain) run(s *state, data []byte, at uint64) (logs []evm.Log, reverted string) {
	w := words(data)
	if bytes.HasPrefix(data, byCancel) {
		s.used[usedKey(w[0], w[1])] = true
		return []evm.Log{{Address: Token, Topics: []evm.Hash{evm.AuthorizationCanceledTopic, w[0], w[1]}}}, ""
	}
	number := func(i int) *big.Int { return new(big.Int).SetBytes(w[i][:]) }
	a := evm.Authorization{
		From: evm.Address(w[0][12:]), To: evm.Address(w[1][12:]), Value: number(2), ValidAfter: number(3), ValidBefore: number(4), Nonce: w[5],
	}
	signature := data[4+32*8:]
	if bytes.HasPrefix(data, byParts) {
		signature = append(append(w[7][:], w[8][:]...), w[6][31])
	} else {
		signature = signature[:number(7).Int64()]
	}
	now := new(big.Int).SetUint64(at)
	switch {
	case now.Cmp(a.ValidAfter) <= 0:
		return nil, "FiatTokenV2: authorization is not yet valid"
	case now.Cmp(a.ValidBefore) >= 0:
		return nil, "FiatTokenV2: authorization is expired"
	case s.used[usedKey(w[0], w[5])]:
		return nil, "FiatTokenV2: authorization is used or canceled"
	case !c.confirms(a.From, a.Digest(Domain.Separator()), signature):
		return nil, "FiatTokenV2: invalid signature"
	case s.balance[a.From] < a.Value.Int64():
		return nil, "ERC20: transfer amount exceeds balance"
	}
	s.used[usedKey(w[0], w[5])] = true
	s.balance[a.From] -= a.Value.Int64()
	s.balance[a.To] += a.Value.Int64()
	return []evm.Log{
		{Address: Token, Topics: []evm.Hash{evm.AuthorizationUsedTopic, w[0], w[5]}},
		{Address: Token, Topics: []evm.Hash{evm.TransferTopic, w[0], w[1]}, Data: w[2][:]},
	}, ""
}

// confirms tells whether an account made a signature.
func (c *Chain) confirms(a evm.Address, digest evm.Hash, signature []byte) bool {
	if owner, ok := c.wallets[a]; ok {
		rest, ok := bytes.CutPrefix(signature, owner[:])
		return ok && confirmedBy(owner, digest, rest)
	}
	return confirmedBy(a, digest, signature)
}

func confirmedBy(a evm.Address, digest evm.Hash, signature []byte) bool {
	s, err := evm.ParseSignature(signature)
	if err != nil {
		return false
	}
	got, err := evm.Recover(digest, s)
	return err == nil && got == a
}
