package fleet

import (
	"context"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/billing"
)

// The bounds of a registered key.
const (
	maxPublicKey = 8 << 10 // bytes: an RSA key of 16,384 bits needs under 3 KiB
	maxName      = 64      // characters of a key's or a snapshot's name
	minRSABits   = 2048
)

var keyTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// ParseKey reads an SSH public key as one line of an authorized_keys file. It
// returns the key as Berth keeps it, without options and comment, and its
// SHA-256 fingerprint. Errors are berth.InvalidInput.
func ParseKey(publicKey string) (normalised, fingerprint string, err error) {
	line := strings.TrimSpace(publicKey)
	if len(line) > maxPublicKey {
		return "", "", invalid("public_key", "%d bytes are more than %d", len(line), maxPublicKey)
	}
	if strings.ContainsAny(line, "\r\n\x00") {
		return "", "", invalid("public_key", "it must be one key on one line")
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return "", "", invalid("public_key", "this is a private key; send the public half, and keep this one to yourself")
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "", "", invalid("public_key", "it is no OpenSSH public key, such as \"ssh-ed25519 AAAA… name\"")
	}
	if len(options) > 0 {
		return "", "", invalid("public_key", "options before the key are not taken")
	}
	if !slices.Contains(keyTypes, key.Type()) {
		return "", "", invalid("public_key", "keys of type %s are not taken; use ssh-ed25519", key.Type())
	}
	if err := checkStrength(key); err != nil {
		return "", "", err
	}
	return publicLine(key, ""), ssh.FingerprintSHA256(key), nil
}

// checkStrength refuses RSA keys that are too short.
func checkStrength(key ssh.PublicKey) error {
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil // a security key: its type fixes its strength
	}
	if public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
		return invalid("public_key", "an RSA key of %d bits is too short; at least %d are needed", public.N.BitLen(), minRSABits)
	}
	return nil
}

// checkName refuses a name that is too long or not printable.
func checkName(field, name string) error {
	n := utf8.RuneCountInString(name)
	if n < 1 || n > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return invalid(field, "it must have 1 to %d printable characters", maxName)
	}
	return nil
}

// PlanKey tells whether a key can be added, and what that costs.
func (f *Fleet) PlanKey(ctx context.Context, rx Rx, by Buyer, name, publicKey string) (billing.Price, error) {
	if err := checkName("name", name); err != nil {
		return billing.Price{}, err
	}
	_, fingerprint, err := ParseKey(publicKey)
	if err != nil {
		return billing.Price{}, err
	}
	keys, err := rx.Keys(ctx, by.ID)
	if err != nil {
		return billing.Price{}, fmt.Errorf("list keys: %w", err)
	}
	for _, k := range keys {
		if k.Fingerprint == fingerprint {
			return billing.Price{}, berth.Errorf(berth.Conflict, "this key is registered already, as %s", k.ID).
				Hinted("Use %s.", k.ID)
		}
	}
	if limit := f.Catalog.Limits.Keys; len(keys) >= limit {
		return billing.Price{}, berth.Errorf(berth.LimitReached, "%d keys are registered, which is the limit", limit).
			Hinted("Remove one first.")
	}
	return f.prices(by.Contract).FeePrice(by.Tariff, billing.FeeKey), nil
}

// AddKey registers an SSH public key that PlanKey has passed in the same
// transaction.
func (f *Fleet) AddKey(ctx context.Context, tx Tx, owner berth.ID, name, publicKey string) (Key, error) {
	if err := checkName("name", name); err != nil {
		return Key{}, err
	}
	line, fingerprint, err := ParseKey(publicKey)
	if err != nil {
		return Key{}, err
	}
	k := Key{
		ID: berth.NewID(berth.PrefixKey, f.Now()), Owner: owner, Name: name,
		PublicKey: line, Fingerprint: fingerprint, Created: f.Now(),
	}
	if err := tx.InsertKey(ctx, k); err != nil {
		return Key{}, err
	}
	return k, f.emit(ctx, tx, owner, EventKeyAdded, k.ID, data{"name": name, "fingerprint": fingerprint})
}

// RemoveKey forgets an SSH public key. Servers on which it is installed keep it.
func (f *Fleet) RemoveKey(ctx context.Context, tx Tx, k Key) error {
	if err := tx.DeleteKey(ctx, k.ID); err != nil {
		return err
	}
	return f.emit(ctx, tx, k.Owner, EventKeyRemoved, k.ID, data{"name": k.Name})
}
