package evm

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/rlp"
)

// Transaction is a call by EIP-1559 that sends no ether.
type Transaction struct {
	ChainID     uint64
	Nonce       uint64
	PriorityFee *big.Int // wei per gas, for the block's maker
	MaxFee      *big.Int // wei per gas, with the base fee
	Gas         uint64   // at most
	To          Address
	Data        []byte
}

// dynamicType stands before the RLP of such a transaction.
const dynamicType = 0x02

// Sign makes the raw transaction that nodes take, and its hash.
func (t Transaction) Sign(key *Key) (raw []byte, hash Hash, err error) {
	fields := []any{t.ChainID, t.Nonce, t.PriorityFee, t.MaxFee, t.Gas, t.To, new(big.Int), t.Data, []Hash{}}
	unsigned, err := typed(fields)
	if err != nil {
		return nil, Hash{}, err
	}
	s, err := key.Sign(Keccak(unsigned))
	if err != nil {
		return nil, Hash{}, fmt.Errorf("sign a transaction: %w", err)
	}
	raw, err = typed(append(fields, uint64(s.V-27), s.R.Big(), s.S.Big()))
	if err != nil {
		return nil, Hash{}, err
	}
	return raw, Keccak(raw), nil
}

func typed(fields []any) ([]byte, error) {
	b, err := rlp.EncodeToBytes(fields)
	if err != nil {
		return nil, fmt.Errorf("encode a transaction: %w", err)
	}
	return append([]byte{dynamicType}, b...), nil
}

// maxTransaction is how long a raw transaction may be, in bytes.
const maxTransaction = 32 << 10

// ParseTransaction reads a raw transaction that Sign made, of at most 32 KiB.
func ParseTransaction(raw []byte) (Transaction, error) {
	if len(raw) < 2 || len(raw) > maxTransaction || raw[0] != dynamicType {
		return Transaction{}, fmt.Errorf("%d bytes are no transaction by EIP-1559", len(raw))
	}
	var f struct {
		ChainID, Nonce      uint64
		PriorityFee, MaxFee *big.Int
		Gas                 uint64
		To                  Address
		Value               *big.Int
		Data                []byte
		AccessList          []Hash
		V                   uint64
		R, S                *big.Int
	}
	if err := rlp.DecodeBytes(raw[1:], &f); err != nil {
		return Transaction{}, fmt.Errorf("read a transaction: %w", err)
	}
	if f.Value.Sign() != 0 || len(f.AccessList) > 0 || f.PriorityFee.BitLen() > 256 || f.MaxFee.BitLen() > 256 {
		return Transaction{}, fmt.Errorf("the transaction sends ether, has an access list, or fees of more than 256 bits")
	}
	return Transaction{f.ChainID, f.Nonce, f.PriorityFee, f.MaxFee, f.Gas, f.To, f.Data}, nil
}
