package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"berth"
)

// A token is tokenPrefix, the 24 hex digits of the API key's id, "_", and its
// secret in base64url without padding.
const (
	tokenPrefix = "berth_"
	idDigits    = 24
	secretBytes = 32
	maxKeyName  = 64 // characters
)

// tokenEncoding is strict, so that no two tokens mean the same secret.
var tokenEncoding = base64.RawURLEncoding.Strict()

var errToken = errors.New("a token is " + tokenPrefix + ", 24 hex digits, _ and 43 characters of base64url")

// NewAPIKey makes a key for a principal and the token that proves it, which is
// kept nowhere and can't be shown again. The name is at most 64 printable
// characters.
func NewAPIKey(principal berth.ID, name string, budget Budget, now time.Time) (APIKey, string, error) {
	printable := utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
	if !printable || utf8.RuneCountInString(name) > maxKeyName {
		return APIKey{}, "", refused("name", "an API key's name is at most %d printable characters", maxKeyName)
	}
	if err := budget.check(); err != nil {
		return APIKey{}, "", err
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret) // never fails since Go 1.24
	hash := sha256.Sum256(secret)
	k := APIKey{
		ID: berth.NewID(berth.PrefixAPIKey, now), Principal: principal, Name: name,
		Hash: hash[:], Budget: budget, Created: now,
	}
	return k, tokenPrefix + k.ID.Hex() + "_" + tokenEncoding.EncodeToString(secret), nil
}

// ParseToken takes a token apart. Its error never holds any part of the token.
func ParseToken(token string) (id berth.ID, secret []byte, err error) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok || len(rest) != idDigits+1+tokenEncoding.EncodedLen(secretBytes) || rest[idDigits] != '_' {
		return "", nil, errToken
	}
	id, err = berth.ParseID(berth.PrefixAPIKey, berth.PrefixAPIKey+"_"+rest[:idDigits])
	if err != nil {
		return "", nil, errToken
	}
	// The decoder skips line breaks, which would make a second spelling.
	if strings.ContainsAny(rest, "\r\n") {
		return "", nil, errToken
	}
	secret, err = tokenEncoding.DecodeString(rest[idDigits+1:])
	if err != nil {
		return "", nil, errToken
	}
	return id, secret, nil
}

// Matches tells whether the key is valid and secret is its secret, in a time
// that does not depend on the secret. A fast hash is enough: the secret is 256
// random bits, which nobody can guess through.
func (k APIKey) Matches(secret []byte) bool {
	hash := sha256.Sum256(secret)
	same := subtle.ConstantTimeCompare(hash[:], k.Hash) == 1
	return same && k.Revoked.IsZero()
}

// Authenticate finds the principal and the key that a token proves. Every token
// that proves none gets the same berth.Unauthenticated; a suspended principal
// gets berth.Suspended. Other errors are the store's.
func Authenticate(ctx context.Context, rx Rx, token string) (Principal, APIKey, error) {
	id, secret, err := ParseToken(token)
	if err != nil {
		return Principal{}, APIKey{}, unauthenticated(err)
	}
	k, err := rx.APIKey(ctx, id)
	if err != nil && berth.CodeOf(err) != berth.NotFound {
		return Principal{}, APIKey{}, fmt.Errorf("read API key %s: %w", id, err)
	}
	if err != nil || !k.Matches(secret) {
		return Principal{}, APIKey{}, unauthenticated(fmt.Errorf("API key %s is unknown, revoked or has another secret", id))
	}
	p, err := rx.Principal(ctx, k.Principal)
	if err != nil {
		// A key without its principal is a broken store, not a wrong token.
		return Principal{}, APIKey{}, berth.Errorf(berth.Internal, "the account of API key %s can't be read", id).Because(err)
	}
	if err := p.active(); err != nil {
		return Principal{}, APIKey{}, err
	}
	return p, k, nil
}

// unauthenticated is the one answer to every token that proves nothing.
func unauthenticated(cause error) error {
	return berth.Errorf(berth.Unauthenticated, "the API key is not valid").
		Hinted("Send a valid key as \"Authorization: Bearer %s…\".", tokenPrefix).Because(cause)
}

// refused is the error for one wrong field.
func refused(field, format string, args ...any) error {
	e := berth.Errorf(berth.InvalidInput, format, args...)
	e.Fields = []berth.Field{{Name: field, Reason: e.Message}}
	return e
}
