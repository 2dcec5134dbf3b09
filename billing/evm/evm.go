// Package evm holds what the rails share of Ethereum's chains: a small JSON-RPC
// client, addresses and keys, signatures, EIP-712 digests, the calls of ERC-20
// and EIP-3009 tokens, and EIP-1559 transactions. It is made of go-ethereum's
// small packages only, because every start of a program that links the big ones
// pays for their tables.
package evm

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Address is an account's: 20 bytes.
type Address = common.Address

// Hash is 32 bytes: of Keccak-256, or of a token's own choice.
type Hash = common.Hash

// Keccak is the Keccak-256 hash of what its arguments are together.
func Keccak(data ...[]byte) Hash { return crypto.Keccak256Hash(data...) }

// ParseAddress reads 0x and 40 hex digits. Where letters of both cases are in
// it, they have to be the checksum of EIP-55.
func ParseAddress(s string) (Address, error) {
	b, err := ParseHex(s, common.AddressLength)
	if err != nil || len(b) != common.AddressLength {
		return Address{}, fmt.Errorf("%.60q is no address: 0x and 40 hex digits", s)
	}
	a := Address(b)
	digits := s[2:]
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && s[2:] != a.Hex()[2:] {
		return Address{}, fmt.Errorf("%.60q is misspelt: its checksum is wrong", s)
	}
	return a, nil
}

// ParseHash reads 0x and 64 hex digits.
func ParseHash(s string) (Hash, error) {
	b, err := ParseHex(s, common.HashLength)
	if err != nil || len(b) != common.HashLength {
		return Hash{}, fmt.Errorf("%.80q is no hash: 0x and 64 hex digits", s)
	}
	return Hash(b), nil
}

// ParseHex reads 0x and an even number of hex digits, of at most limit bytes.
// Its errors do not repeat what was read, which may be secret.
func ParseHex(s string, limit int) ([]byte, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	switch {
	case !ok:
		return nil, fmt.Errorf("hex begins with 0x")
	case len(digits) > 2*limit:
		return nil, fmt.Errorf("%d hex digits are more than %d bytes", len(digits), limit)
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("it is no hex of whole bytes")
	}
	return b, nil
}

// ParseDecimal reads an unsigned integer of at most 256 bits in decimal digits
// without sign, space or needless zeros, as tokens' amounts and times are
// written in JSON.
func ParseDecimal(s string) (*big.Int, error) {
	if s == "" || len(s) > 78 || strings.Trim(s, "0123456789") != "" || (len(s) > 1 && s[0] == '0') {
		return nil, fmt.Errorf("%.80q is no unsigned decimal integer", s)
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || n.BitLen() > 256 {
		return nil, fmt.Errorf("%.80q has more than 256 bits", s)
	}
	return n, nil
}
