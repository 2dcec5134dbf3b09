package account

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"berth"
)

// one is an Rx of one principal.
type one struct {
	Rx
	principal Principal
	err       error
}

func (o one) Principal(_ context.Context, id berth.ID) (Principal, error) {
	if o.err == nil && id != o.principal.ID {
		return Principal{}, berth.Errorf(berth.NotFound, "no such account")
	}
	return o.principal, o.err
}

func TestTokenRotation(t *testing.T) {
	for _, tt := range []struct {
		name           string
		issued, looked time.Duration // after midnight
		ok             bool
		hint           string
	}{
		{"at once", 12 * time.Hour, 12 * time.Hour, true, ""},
		{"just in time", 12 * time.Hour, 12*time.Hour + TokenLife - time.Second, true, ""},
		{"too late", 12 * time.Hour, 12*time.Hour + TokenLife, false, "expired"},
		{"over midnight", 24*time.Hour - time.Second, 24*time.Hour + 10*time.Minute, true, ""},
		{"at midnight", 24 * time.Hour, 24 * time.Hour, true, ""},
		{"by a clock that is slow", 24 * time.Hour, 24*time.Hour - 30*time.Second, true, ""},
		{"from the future", 12 * time.Hour, 11 * time.Hour, false, "not valid"},
		{"the day after", 12 * time.Hour, 36 * time.Hour, false, "not valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			midnight := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			now := midnight.Add(tt.issued)
			tokens := NewTokens(fakeKeys("k"), func() time.Time { return now })
			p := Principal{ID: berth.NewID(berth.PrefixAccount, now)}
			token, expires, err := tokens.Issue(p.ID)
			if err != nil || !expires.Equal(now.Add(TokenLife)) || !IsAccessToken(token) {
				t.Fatalf("%s until %s, %v", token, expires, err)
			}
			now = midnight.Add(tt.looked)
			who, err := tokens.Authenticate(t.Context(), one{principal: p}, token)
			if tt.ok {
				if err != nil || who.ID != p.ID {
					t.Errorf("%s, %v", who.ID, err)
				}
				return
			}
			e := unauthenticatedBy(t, err)
			if !strings.Contains(e.Message, tt.hint) || !strings.Contains(e.Hint, "Log in again") || strings.Contains(e.Error(), token) {
				t.Errorf("%v (%s)", e, e.Hint)
			}
		})
	}
}

// TestKeysOfOldDays: a key verifies for half an hour after its day and no longer,
// whatever expiry a token claims.
func TestKeysOfOldDays(t *testing.T) {
	now := noon
	tokens := NewTokens(fakeKeys("k"), func() time.Time { return now })
	for at, ok := range map[time.Duration]bool{
		24*time.Hour - time.Second: true, 24*time.Hour + 29*time.Minute: true, 24*time.Hour + 30*time.Minute: false, 72 * time.Hour: false,
	} {
		midnight := noon.Add(-12 * time.Hour)
		now = midnight.Add(at)
		token := forge(t, tokens, "2026-03-01", jwt.SigningMethodHS256, nil)
		if _, _, err := tokens.verify(token); (err == nil) != ok {
			t.Errorf("%s after midnight: %v", at, err)
		}
	}
}

// forge signs a token by a day's own key.
func forge(t *testing.T, tokens *Tokens, day string, method jwt.SigningMethod, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": "berth", "aud": "berth api", "sub": "acct_0193f2a4c1d05e6f7a8b9c0d",
		"iat": tokens.now().Unix(), "exp": tokens.now().Add(time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	unsigned := jwt.NewWithClaims(method, claims)
	unsigned.Header["kid"] = day
	var key any = jwt.UnsafeAllowNoneSignatureType
	if method != jwt.SigningMethodNone {
		secret, err := tokens.key(day)
		if err != nil {
			t.Fatal(err)
		}
		key = secret
	}
	token, err := unsigned.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestForgedTokens(t *testing.T) {
	tokens := NewTokens(fakeKeys("k"), func() time.Time { return noon })
	const today = "2026-03-01"
	good := forge(t, tokens, today, jwt.SigningMethodHS256, nil)
	if _, _, err := tokens.verify(good); err != nil {
		t.Fatal(err)
	}
	claim := func(name string, v any) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}
	}
	hs := jwt.SigningMethodHS256
	for name, token := range map[string]string{
		"empty":               "",
		"three dots":          "...",
		"another algorithm":   forge(t, tokens, today, jwt.SigningMethodHS512, nil),
		"no algorithm":        forge(t, tokens, today, jwt.SigningMethodNone, nil),
		"no signature":        good[:strings.LastIndex(good, ".")+1],
		"another's signature": good[:strings.LastIndex(good, ".")] + forge(t, NewTokens(fakeKeys("other"), tokens.now), today, hs, nil)[strings.LastIndex(good, "."):],
		"another master key":  forge(t, NewTokens(fakeKeys("other"), tokens.now), today, hs, nil),
		"yesterday's key":     forge(t, tokens, "2026-02-28", hs, nil),
		"no key":              forge(t, tokens, "", hs, nil),
		"another issuer":      forge(t, tokens, today, hs, claim("iss", "someone")),
		"no issuer":           forge(t, tokens, today, hs, claim("iss", nil)),
		"another audience":    forge(t, tokens, today, hs, claim("aud", "other")),
		"no audience":         forge(t, tokens, today, hs, claim("aud", nil)),
		"no expiry":           forge(t, tokens, today, hs, claim("exp", nil)),
		"no time of issue":    forge(t, tokens, today, hs, claim("iat", nil)),
		"a long life":         forge(t, tokens, today, hs, claim("exp", noon.Add(time.Hour).Unix())),
		"no account":          forge(t, tokens, today, hs, claim("sub", "srv_0193f2a4c1d05e6f7a8b9c0d")),
		"too long":            forge(t, tokens, today, hs, claim("jti", strings.Repeat("x", 3000))),
	} {
		if id, _, err := tokens.verify(token); err == nil {
			t.Errorf("%s: proves %s", name, id)
		}
	}
}

func TestTokenStatus(t *testing.T) {
	now := noon
	tokens := NewTokens(fakeKeys("k"), func() time.Time { return now })
	p := Principal{ID: berth.NewID(berth.PrefixAccount, noon)}
	token, _, err := tokens.Issue(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	suspended, changed := p, p
	suspended.Suspended = true
	changed.TokensFrom = noon.Add(time.Second)
	for name, tt := range map[string]struct {
		rx   one
		want berth.Code
	}{
		"suspended":               {one{principal: suspended}, berth.Suspended},
		"the password changed":    {one{principal: changed}, berth.Unauthenticated},
		"the account is not here": {one{}, berth.Unauthenticated},
		"the store is broken":     {one{err: errors.New("disk on fire")}, berth.Internal},
	} {
		if _, err := tokens.Authenticate(t.Context(), tt.rx, token); err == nil || berth.CodeOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func unauthenticatedBy(t *testing.T, err error) *berth.Error {
	t.Helper()
	var e *berth.Error
	if !errors.As(err, &e) || e.Code != berth.Unauthenticated {
		t.Fatalf("error = %v, want unauthenticated", err)
	}
	return e
}
