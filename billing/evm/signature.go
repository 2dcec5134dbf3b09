package evm

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/crypto"
)

// Signature is one of secp256k1 in Ethereum's canonical form: r and s in range,
// s in the lower half of the curve's order, v 27 or 28.
type Signature struct {
	R, S Hash
	V    byte
}

// SignatureLength is how many bytes a key's signature has.
const SignatureLength = 65

var halfOrder = new(big.Int).Rsh(crypto.S256().Params().N, 1)

// ParseSignature reads the 65 bytes r, s, v. Every signature has one spelling:
// a high s, a v of 0 or 1, and any other length are refused.
func ParseSignature(b []byte) (Signature, error) {
	if len(b) != SignatureLength {
		return Signature{}, fmt.Errorf("a key's signature has 65 bytes, this has %d", len(b))
	}
	s := Signature{R: Hash(b[:32]), S: Hash(b[32:64]), V: b[64]}
	if s.V != 27 && s.V != 28 {
		return Signature{}, fmt.Errorf("a signature ends with v of 27 or 28, not %d", s.V)
	}
	order := crypto.S256().Params().N
	if r := s.R.Big(); r.Sign() == 0 || r.Cmp(order) >= 0 {
		return Signature{}, errors.New("the signature's r is out of range")
	}
	if n := s.S.Big(); n.Sign() == 0 || n.Cmp(halfOrder) > 0 {
		return Signature{}, errors.New("the signature's s is zero or high: it could be written in two ways")
	}
	return s, nil
}

// Bytes are r, s, v: 65 bytes.
func (s Signature) Bytes() []byte {
	return append(append(s.R.Bytes(), s.S.Bytes()...), s.V)
}

// Recover is the address whose key made s over digest.
func Recover(digest Hash, s Signature) (Address, error) {
	b := s.Bytes()
	b[64] -= 27 // the curve's own numbering
	key, err := crypto.Ecrecover(digest[:], b)
	if err != nil {
		return Address{}, fmt.Errorf("no key could have made this signature: %w", err)
	}
	return Address(crypto.Keccak256(key[1:])[12:]), nil
}

// counterfactual ends the signatures of EIP-6492: wallets that are not
// deployed yet.
var counterfactual = bytes.Repeat([]byte{0x64, 0x92}, 16)

// IsCounterfactual tells of a signature by EIP-6492, whose wallet has no code
// yet that could be asked.
func IsCounterfactual(signature []byte) bool { return bytes.HasSuffix(signature, counterfactual) }

// PersonalDigest is what wallets sign of a text (EIP-191, version 0x45).
func PersonalDigest(text string) Hash {
	return Keccak(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d", len(text)), []byte(text))
}
