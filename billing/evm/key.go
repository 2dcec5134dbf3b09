package evm

import (
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"
)

// Key is the secret key of an account. However it is printed or logged, only
// its address shows.
type Key struct {
	secret  *ecdsa.PrivateKey
	address Address
}

// ParseKey reads 64 hex digits, with or without 0x. Its errors do not repeat
// what was read.
func ParseKey(s string) (*Key, error) {
	secret, err := crypto.HexToECDSA(strings.TrimPrefix(strings.TrimSpace(s), "0x"))
	if err != nil {
		return nil, errors.New("a key is 64 hex digits, of a number below the curve's order")
	}
	return &Key{secret, crypto.PubkeyToAddress(secret.PublicKey)}, nil
}

// NewKey is a fresh key by the system's randomness.
func NewKey() (*Key, error) {
	secret, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	return &Key{secret, crypto.PubkeyToAddress(secret.PublicKey)}, nil
}

// Address is the account's.
func (k *Key) Address() Address { return k.address }

// Sign signs a digest. The nonce is by RFC 6979, so that the same digest has
// the same signature.
func (k *Key) Sign(digest Hash) (Signature, error) {
	b, err := crypto.Sign(digest[:], k.secret)
	if err != nil {
		return Signature{}, err
	}
	return Signature{R: Hash(b[:32]), S: Hash(b[32:64]), V: b[64] + 27}, nil
}

// Hex is the secret itself: 0x and 64 hex digits, for development's wallets.
func (k *Key) Hex() string { return Hash(crypto.FromECDSA(k.secret)).Hex() }

// String is the address.
func (k *Key) String() string { return "key of " + k.address.Hex() }

// GoString is String, so that %#v shows no secret either.
func (k *Key) GoString() string { return k.String() }

// LogValue logs the address.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
