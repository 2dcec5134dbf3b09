package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"berth"
)

// TokenLife is how long an access token is good for.
const TokenLife = 15 * time.Minute

const (
	tokenIssuer   = "berth"
	tokenAudience = "berth api"
	keyDay        = "2006-01-02"     // a signing key's name: the day, in UTC, for which it signs
	keyOverlap    = 30 * time.Minute // how long a day's key verifies after its day
	clockSkew     = time.Minute      // how far another replica's clock may be ahead
	maxAccess     = 2048             // bytes of an access token
)

// deriver gives keys for purposes; a *Vault.
type deriver interface {
	Derive(purpose string, n int) ([]byte, error)
}

// Tokens issues access tokens, which are JWTs (RFC 7519) signed by HMAC-SHA-256,
// and verifies them. The signing key is derived anew for each day, so it rotates
// without being kept anywhere, and is the same in every process with the same
// master key. It may be used concurrently.
type Tokens struct {
	keys   deriver
	parser *jwt.Parser
	now    berth.Clock
}

// NewTokens makes one over a vault's present master key.
func NewTokens(keys deriver, now berth.Clock) *Tokens {
	return &Tokens{keys: keys, now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenAudience),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	)}
}

// Issue makes an access token for an account, which is good for TokenLife.
func (t *Tokens) Issue(principal berth.ID) (token string, expires time.Time, err error) {
	now := t.now().UTC().Truncate(time.Second) // the claims have no fractions
	expires = now.Add(TokenLife)
	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: tokenIssuer, Audience: jwt.ClaimStrings{tokenAudience}, Subject: string(principal),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
	})
	day := now.Format(keyDay)
	unsigned.Header["kid"] = day
	key, err := t.key(day)
	if err != nil {
		return "", time.Time{}, err
	}
	token, err = unsigned.SignedString(key)
	return token, expires, err
}

func (t *Tokens) key(day string) ([]byte, error) { return t.keys.Derive("access tokens of "+day, 32) }

// verify is whom a token names and when it was issued.
func (t *Tokens) verify(token string) (principal berth.ID, issued time.Time, err error) {
	var claims jwt.RegisteredClaims
	if len(token) > maxAccess {
		return "", issued, fmt.Errorf("an access token of %d bytes", len(token))
	}
	_, err = t.parser.ParseWithClaims(token, &claims, func(unverified *jwt.Token) (any, error) {
		day, _ := unverified.Header["kid"].(string)
		for _, at := range []time.Time{t.now(), t.now().Add(-keyOverlap), t.now().Add(clockSkew)} {
			if day == at.UTC().Format(keyDay) {
				return t.key(day)
			}
		}
		return nil, errors.New("it is signed by a key of another day")
	})
	if err != nil {
		return "", issued, err
	}
	if claims.IssuedAt == nil || claims.IssuedAt.After(t.now().Add(clockSkew)) || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > TokenLife {
		return "", issued, errors.New("its times are not those of a token that was issued here")
	}
	principal, err = berth.ParseID(berth.PrefixAccount, claims.Subject)
	return principal, claims.IssuedAt.Time, err
}

// Authenticate finds the principal that an access token proves. The account is
// read each time: a suspended one gets berth.Suspended at once, and tokens from
// before a change of its password are refused. A token that proves nobody gets
// berth.Unauthenticated, with a hint to log in again. Other errors are the
// store's.
func (t *Tokens) Authenticate(ctx context.Context, rx Rx, token string) (Principal, error) {
	id, issued, err := t.verify(token)
	if err != nil {
		return Principal{}, staleToken(err)
	}
	p, err := rx.Principal(ctx, id)
	switch {
	case err != nil && berth.CodeOf(err) == berth.NotFound:
		return Principal{}, staleToken(err)
	case err != nil:
		return Principal{}, fmt.Errorf("read the account of an access token: %w", err)
	case issued.Before(p.TokensFrom):
		return Principal{}, staleToken(fmt.Errorf("issued at %s, before the password was changed", issued))
	}
	return p, p.active()
}

// staleToken is the answer to an access token that proves nobody.
func staleToken(cause error) error {
	e := berth.Errorf(berth.Unauthenticated, "the access token is not valid")
	if errors.Is(cause, jwt.ErrTokenExpired) {
		e.Message = "the access token has expired"
	}
	return e.Hinted("Log in again (POST /v1/auth/login) and repeat the request once with the new token.").Because(cause)
}

// IsAccessToken tells access tokens from API keys, by their form.
func IsAccessToken(token string) bool {
	return !strings.HasPrefix(token, tokenPrefix) && strings.Count(token, ".") == 2
}
