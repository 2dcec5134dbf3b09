package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// people is an account.Rx of one principal and one key.
type people struct {
	account.Rx
	principal account.Principal
	key       account.APIKey
	broken    error // what every read answers, if set
}

func (p people) APIKey(_ context.Context, id berth.ID) (account.APIKey, error) {
	if p.broken != nil {
		return account.APIKey{}, p.broken
	}
	if id != p.key.ID {
		return account.APIKey{}, berth.Errorf(berth.NotFound, "there is no API key %s", id)
	}
	return p.key, nil
}

func (p people) Principal(_ context.Context, id berth.ID) (account.Principal, error) {
	if id != p.principal.ID {
		return account.Principal{}, berth.Errorf(berth.NotFound, "there is no account %s", id)
	}
	return p.principal, nil
}

func newPeople(t *testing.T) (people, string) {
	t.Helper()
	p, err := account.NewEmailPrincipal("agent@example.com", account.Budget{}, now)
	if err != nil {
		t.Fatal(err)
	}
	k, token, err := account.NewAPIKey(p.ID, "laptop", account.Budget{Total: 5 * berth.Dollar}, now)
	if err != nil {
		t.Fatal(err)
	}
	return people{principal: p, key: k}, token
}

func TestAuthenticate(t *testing.T) {
	rx, token := newPeople(t)
	p, k, err := account.Authenticate(t.Context(), rx, token)
	if err != nil || p.ID != rx.principal.ID || k.ID != rx.key.ID {
		t.Fatalf("Authenticate = %v, %v, %v", p.ID, k.ID, err)
	}
	if !strings.HasPrefix(token, "berth_") || strings.Contains(fmt.Sprintf("%+v", k), token[len(token)-43:]) {
		t.Errorf("the key %+v holds the secret, or the token has another form", k)
	}

	_, stranger, err := account.NewAPIKey(rx.principal.ID, "", account.Budget{}, now)
	if err != nil {
		t.Fatal(err)
	}
	revoked := rx
	revoked.key.Revoked = now
	const secretAt = len("berth_") + 24 + 1
	refusals := map[string]struct {
		rx    people
		token string
	}{
		"empty":            {rx, ""},
		"another scheme":   {rx, "sk-0123"},
		"cut short":        {rx, token[:len(token)-1]},
		"an unknown id":    {rx, stranger},
		"another's secret": {rx, token[:secretAt] + stranger[secretAt:]},
		"revoked":          {revoked, token},
	}
	messages := make(map[string]bool)
	for name, c := range refusals {
		_, _, err := account.Authenticate(t.Context(), c.rx, c.token)
		var e *berth.Error
		if !errors.As(err, &e) || e.Code != berth.Unauthenticated {
			t.Errorf("%s: error = %v, want unauthenticated", name, err)
			continue
		}
		messages[e.Message+e.Hint] = true
	}
	if len(messages) != 1 {
		t.Errorf("refusals can be told apart: %v", messages)
	}
}

func TestAuthenticateSuspendedAndBroken(t *testing.T) {
	rx, token := newPeople(t)
	suspended := rx
	suspended.principal.Suspended = true
	broken := rx
	broken.broken = errors.New("disk on fire")
	orphan := rx
	orphan.principal.ID = berth.NewID(berth.PrefixAccount, now)
	for name, c := range map[string]struct {
		rx   people
		want berth.Code
	}{
		"suspended":        {suspended, berth.Suspended},
		"a broken store":   {broken, berth.Internal},
		"a lost principal": {orphan, berth.Internal},
	} {
		if _, _, err := account.Authenticate(t.Context(), c.rx, token); err == nil || berth.CodeOf(err) != c.want {
			t.Errorf("%s: error = %v, want %s", name, err, c.want)
		}
	}
}

func TestNewAPIKeyRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		name   string
		budget account.Budget
	}{
		"long name":    {strings.Repeat("n", 65), account.Budget{}},
		"line break":   {"a\nb", account.Budget{}},
		"negative cap": {"", account.Budget{PerCall: -1}},
	} {
		if _, _, err := account.NewAPIKey("acct_x", c.name, c.budget, now); berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%s: error = %v, want invalid_input", name, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	_, token, err := account.NewAPIKey("acct_x", "", account.Budget{}, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("")
	f.Add("berth_")
	f.Add(strings.ToUpper(token))
	f.Add(token + "=")
	f.Add(token[:len(token)-1] + "\n")
	f.Add(strings.Replace(token, "_", "-", 2))
	f.Fuzz(func(t *testing.T, s string) {
		id, secret, err := account.ParseToken(s)
		if err != nil {
			if id != "" || secret != nil {
				t.Fatalf("ParseToken(%q) refuses and answers %q", s, id)
			}
			return
		}
		// What is accepted has one spelling only.
		if len(secret) != 32 || id.Prefix() != berth.PrefixAPIKey {
			t.Fatalf("ParseToken(%q) = %q, %d bytes", s, id, len(secret))
		}
		other := []byte(s)
		for i := range other {
			for _, flip := range []byte{1, 0x20} {
				other[i] ^= flip
				if id2, secret2, err := account.ParseToken(string(other)); err == nil && id2 == id && string(secret2) == string(secret) {
					t.Fatalf("%q and %q are the same token", s, other)
				}
				other[i] ^= flip
			}
		}
	})
}
