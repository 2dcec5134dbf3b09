package mpp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"testing"

	"berth/billing"
	"berth/billing/evm"
)

// passkey is a key as phones and browsers have.
type passkey struct{ *ecdsa.PrivateKey }

func newPasskey(t *testing.T) passkey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return passkey{key}
}

// point is x and y.
func (k passkey) point(t *testing.T) []byte {
	t.Helper()
	b, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b[1:]
}

func (k passkey) address(t *testing.T) evm.Address {
	t.Helper()
	return evm.Address(evm.Keccak(k.point(t)).Bytes()[12:])
}

// sign is r and s, with the s that is asked for.
func (k passkey) sign(t *testing.T, message []byte, high bool) []byte {
	t.Helper()
	r, s, err := ecdsa.Sign(rand.Reader, k.PrivateKey, message)
	if err != nil {
		t.Fatal(err)
	}
	if (s.Cmp(halfP256) > 0) != high {
		s = new(big.Int).Sub(elliptic.P256().Params().N, s)
	}
	b := make([]byte, 64)
	r.FillBytes(b[:32])
	s.FillBytes(b[32:])
	return b
}

func (k passkey) p256(t *testing.T, digest evm.Hash, prehash, high bool) []byte {
	t.Helper()
	message, flag := digest[:], byte(0)
	if prehash {
		hashed := sha256.Sum256(message)
		message, flag = hashed[:], 1
	}
	return append(append(append([]byte{typeP256}, k.sign(t, message, high)...), k.point(t)...), flag)
}

func (k passkey) webAuthn(t *testing.T, digest evm.Hash, flags byte, extensions []byte, client string) []byte {
	t.Helper()
	data := append(append(bytes.Repeat([]byte{9}, 32), flags, 0, 0, 0, 1), extensions...)
	if client == "" {
		client = `{"type":"webauthn.get","challenge":"` + base64url.EncodeToString(digest[:]) + `","origin":"https://wallet.example.com"}`
	}
	inner := sha256.Sum256([]byte(client))
	outer := sha256.Sum256(append(bytes.Clone(data), inner[:]...))
	b := append(append([]byte{typeWebAuthn}, data...), client...)
	return append(append(b, k.sign(t, outer[:], false)...), k.point(t)...)
}

func TestPasskeys(t *testing.T) {
	k, digest := newPasskey(t), evm.Keccak([]byte("what is signed"))
	get := func(challenge string) string { return `{"type":"webauthn.get","challenge":"` + challenge + `"}` }
	other := base64url.EncodeToString(bytes.Repeat([]byte{1}, 32))
	changed := k.p256(t, digest, false, false)
	changed[5] ^= 1
	for name, c := range map[string]struct {
		envelope []byte
		problem  billing.Problem // empty where it is taken
	}{
		"P256":                       {k.p256(t, digest, false, false), ""},
		"P256 hashed again":          {k.p256(t, digest, true, false), ""},
		"P256 with a high s":         {k.p256(t, digest, false, true), billing.Unverified},
		"P256 changed":               {changed, billing.Unverified},
		"P256 with another flag":     {append(k.p256(t, digest, false, false)[:129], 2), billing.Malformed},
		"P256 without a point":       {append(append([]byte{typeP256}, make([]byte, 128)...), 0), billing.Unverified},
		"P256 cut off":               {k.p256(t, digest, false, false)[:100], billing.Unsupported},
		"WebAuthn":                   {k.webAuthn(t, digest, 0x05, nil, ""), ""},
		"WebAuthn with extensions":   {k.webAuthn(t, digest, 0x81, []byte("{no JSON"), ""), ""},
		"WebAuthn without the user":  {k.webAuthn(t, digest, 0x04, nil, ""), billing.Unverified},
		"WebAuthn of something else": {k.webAuthn(t, digest, 0x05, nil, get(other)), billing.Unverified},
		"WebAuthn of a registration": {k.webAuthn(t, digest, 0x05, nil, `{"type":"webauthn.create","challenge":"`+base64url.EncodeToString(digest[:])+`"}`), billing.Unverified},
		"WebAuthn without JSON":      {k.webAuthn(t, digest, 0x05, nil, "nothing"), billing.Malformed},
		"WebAuthn cut off":           {k.webAuthn(t, digest, 0x05, nil, "")[:60], billing.Malformed},
		"WebAuthn too long":          {append([]byte{typeWebAuthn}, make([]byte, 3000)...), billing.Malformed},
		"an access key cut off":      {[]byte{typeKeychain, 1, 2}, billing.Malformed},
		"an access key of version 1": {append([]byte{0x03}, make([]byte, 85)...), billing.Unsupported},
		"several signers":            {append([]byte{0x05}, make([]byte, 200)...), billing.Unsupported},
		"nothing":                    {nil, billing.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := recoverSigner(digest, c.envelope)
			if c.problem != "" {
				if problemOf(err) != c.problem {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || who.account != k.address(t) || !bytes.Equal(who.envelope, c.envelope) {
				t.Errorf("account %s, error %v", who.account, err)
			}
		})
	}
}

// TestPasskeyAsAccessKey: the account in front of the signature is part of what
// is signed.
func TestPasskeyAsAccessKey(t *testing.T) {
	k, digest, root := newPasskey(t), evm.Keccak([]byte("what is signed")), evm.Address{7}
	envelope := append(append([]byte{typeKeychain}, root[:]...), k.p256(t, keychainDigest(digest, root), false, false)...)
	who, err := recoverSigner(digest, envelope)
	if err != nil || who.account != root || who.key != k.address(t) {
		t.Fatalf("%+v, error %v", who, err)
	}
	envelope[1] ^= 1
	if who, err := recoverSigner(digest, envelope); problemOf(err) != billing.Unverified {
		t.Errorf("for another account: %+v, error %v", who, err)
	}
}
