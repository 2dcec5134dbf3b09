package mpp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"math/big"

	"berth/billing"
	"berth/billing/evm"
)

// The first byte of a signature that is not a plain one of secp256k1, which has
// 65 bytes and no type.
const (
	typeP256     = 0x01
	typeWebAuthn = 0x02
	typeKeychain = 0x04 // an access key's, with the account that it signs for
)

const (
	p256Length     = 129     // r, s, x, y, and whether the digest was hashed again
	webAuthnTail   = 128     // r, s, x, y
	maxWebAuthn    = 2 << 10 // bytes
	authenticator  = 37      // the least that authenticator data has
	userPresent    = 0x01
	keychainHeader = 1 + 20
)

// magic ends signatures that wallets make of messages, so that nobody mistakes
// them for another chain's.
var magic = bytes.Repeat([]byte{0x77}, 32)

// signed is who made a signature.
type signed struct {
	account evm.Address // who it is made for
	// key is the access key that made it, and zero where the account's own did.
	// Whether the account granted that key is for the chain to say.
	key evm.Address
	// envelope is the signature as the chain writes it: a plain one ends with 27
	// or 28, which the hash of its transaction depends on.
	envelope []byte
}

// recoverSigner finds out who made a Tempo signature over digest.
func recoverSigner(digest evm.Hash, envelope []byte) (signed, error) {
	if len(envelope) == 0 || envelope[0] != typeKeychain || len(envelope) == evm.SignatureLength {
		account, exact, err := recoverKey(digest, envelope)
		return signed{account: account, envelope: exact}, err
	}
	if len(envelope) <= keychainHeader {
		return signed{}, malformed("the access key's signature is cut off")
	}
	root := evm.Address(envelope[1:keychainHeader])
	key, exact, err := recoverKey(keychainDigest(digest, root), envelope[keychainHeader:])
	if err != nil {
		return signed{}, err
	}
	return signed{account: root, key: key, envelope: append(bytes.Clone(envelope[:keychainHeader]), exact...)}, nil
}

// keychainDigest is what an access key signs of a digest: the account is in it,
// so that a key which serves two accounts can't be turned from one to the other.
func keychainDigest(digest evm.Hash, root evm.Address) evm.Hash {
	return evm.Keccak([]byte{typeKeychain}, digest[:], root[:])
}

// recoverKey is the address of the key that made a primitive signature.
func recoverKey(digest evm.Hash, envelope []byte) (evm.Address, []byte, error) {
	switch {
	case len(envelope) == evm.SignatureLength:
		return recoverPlain(digest, envelope)
	case len(envelope) == 1+p256Length && envelope[0] == typeP256:
		address, err := verifyP256(digest, envelope[1:])
		return address, envelope, err
	case len(envelope) > 0 && envelope[0] == typeWebAuthn:
		address, err := verifyWebAuthn(digest, envelope[1:])
		return address, envelope, err
	default:
		return evm.Address{}, nil, billing.Refuse(billing.Unsupported,
			"a signature of %d bytes of this type is not taken: plain ones, P256, WebAuthn and access keys of version 2 are", len(envelope))
	}
}

func recoverPlain(digest evm.Hash, envelope []byte) (evm.Address, []byte, error) {
	exact := bytes.Clone(envelope)
	if v := &exact[len(exact)-1]; *v < 2 {
		*v += 27
	}
	s, err := evm.ParseSignature(exact)
	if err != nil {
		return evm.Address{}, nil, billing.Refuse(billing.Unverified, "%v", err)
	}
	address, err := evm.Recover(digest, s)
	if err != nil {
		return evm.Address{}, nil, billing.Refuse(billing.Unverified, "%v", err)
	}
	return address, exact, nil
}

// verifyP256 takes r, s, x, y and a flag: whether SHA-256 was put on top of the
// digest, as browsers' keys do.
func verifyP256(digest evm.Hash, b []byte) (evm.Address, error) {
	message := digest[:]
	switch b[128] {
	case 0:
	case 1:
		hashed := sha256.Sum256(message)
		message = hashed[:]
	default:
		return evm.Address{}, malformed("a P256 signature ends with 0 or 1")
	}
	return verifyCurve(message, b[:128])
}

// verifyWebAuthn takes authenticator data, client data, r, s, x and y (Web
// Authentication level 3, §7.2). What the signature binds is the challenge; on
// whose site it was made is between the wallet and its chain.
func verifyWebAuthn(digest evm.Hash, b []byte) (evm.Address, error) {
	if len(b) > maxWebAuthn || len(b) < authenticator+webAuthnTail {
		return evm.Address{}, malformed("a WebAuthn signature of %d bytes is too short or too long", len(b))
	}
	data, tail := b[:len(b)-webAuthnTail], b[len(b)-webAuthnTail:]
	clientData, err := splitClientData(data)
	if err != nil {
		return evm.Address{}, err
	}
	var client struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(clientData, &client); err != nil {
		return evm.Address{}, malformed("the WebAuthn signature's client data is no JSON")
	}
	if client.Type != "webauthn.get" || client.Challenge != base64url.EncodeToString(digest[:]) || data[32]&userPresent == 0 {
		return evm.Address{}, billing.Refuse(billing.Unverified, "the WebAuthn signature is for something else")
	}
	inner := sha256.Sum256(clientData)
	outer := sha256.Sum256(append(bytes.Clone(data[:len(data)-len(clientData)]), inner[:]...))
	return verifyCurve(outer[:], tail)
}

// splitClientData finds the JSON that ends the data. Extensions may stand
// between the authenticator's fixed part and it.
func splitClientData(data []byte) ([]byte, error) {
	for i := authenticator; i < len(data); i++ {
		if data[i] == '{' && json.Valid(data[i:]) {
			return data[i:], nil
		}
	}
	return nil, malformed("the WebAuthn signature has no client data")
}

var halfP256 = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

// verifyCurve takes r, s, x and y. The account's address is the key's hash.
func verifyCurve(message, b []byte) (evm.Address, error) {
	r, s := new(big.Int).SetBytes(b[:32]), new(big.Int).SetBytes(b[32:64])
	if s.Cmp(halfP256) > 0 {
		return evm.Address{}, billing.Refuse(billing.Unverified, "the signature's s is high: it could be written in two ways")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{0x04}, b[64:128]...))
	if err != nil || !ecdsa.Verify(key, message, r, s) {
		return evm.Address{}, billing.Refuse(billing.Unverified, "the P256 signature is wrong")
	}
	return evm.Address(evm.Keccak(b[64:128]).Bytes()[12:]), nil
}

func malformed(format string, args ...any) error {
	return billing.Refuse(billing.Malformed, format, args...)
}
