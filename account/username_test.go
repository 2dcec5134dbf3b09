package account_test

import (
	"context"
	"strings"
	"testing"

	"berth"
	"berth/account"
)

func TestParseUsername(t *testing.T) {
	for name, ok := range map[string]bool{
		"jane_admin": true, "a": true, "A-1": true, strings.Repeat("x", 100): true, "acct_short": true, "0xabc": true,
		"": false, strings.Repeat("x", 101): false, "jane.smith": false, "jäne": false, "a b": false, "a\n": false, "local": false, "LOCAL": false,
		"acct_0193f2a4c1d05e6f7a8b9c0d": false, "0x" + strings.Repeat("A1", 20): false,
	} {
		if _, err := account.ParseUsername(name); (err == nil) != ok || err != nil && berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestParseAlias(t *testing.T) {
	for alias, want := range map[string]string{" Jane Smith ": "Jane Smith", "": "", "ジェーン": "ジェーン"} {
		if got, err := account.ParseAlias(alias); got != want || err != nil {
			t.Errorf("%q: %q, %v", alias, got, err)
		}
	}
	for _, alias := range []string{strings.Repeat("x", 101), "a\nb", "a\u202eb", "\xff"} {
		if _, err := account.ParseAlias(alias); berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%q: %v", alias, err)
		}
	}
}

// names is an account.Rx that knows which usernames are taken.
type names struct {
	account.Rx
	taken string // with a space around each
}

func (n names) PrincipalByUsername(_ context.Context, name string) (account.Principal, error) {
	if strings.Contains(n.taken, " "+strings.ToLower(name)+" ") {
		return account.Principal{}, nil
	}
	return account.Principal{}, berth.Errorf(berth.NotFound, "no such account")
}

func TestNamed(t *testing.T) {
	w := berth.Wallet{Address: "0x1111111111111111111111111111111111111111"}
	for _, tt := range []struct {
		name, email, taken, want string // want: * stands for a part of the id
	}{
		{"plain", "jane@example.com", "", "jane"},
		{"odd letters", "jane.doe+x@example.com", "", "jane-doe-x"},
		{"nothing left", "+@example.com", "", "user"},
		{"taken", "jane@example.com", " jane ", "jane-*"},
		{"reserved", "local@example.com", "", "local-*"},
		{"a wallet's", w.Address + "@example.com", "", w.Address + "-*"},
		{"a wallet", "", "", w.Address},
		{"a contract's twin", "", " " + w.Address + " ", w.Address + "-*"},
	} {
		p := account.NewWalletPrincipal(now)
		if tt.email != "" {
			var err error
			if p, err = account.NewEmailPrincipal(tt.email, account.Budget{}, now); err != nil {
				t.Fatal(err)
			}
		}
		p, err := account.Named(t.Context(), names{taken: tt.taken}, p, w)
		if want := strings.Replace(tt.want, "*", p.ID.Hex()[18:], 1); err != nil || p.Username != want {
			t.Errorf("%s: %q, %v, want %q", tt.name, p.Username, err, want)
		}
	}
}
