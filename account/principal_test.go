package account_test

import (
	"strings"
	"testing"

	"berth"
	"berth/account"
)

func TestNewEmailPrincipal(t *testing.T) {
	for email, want := range map[string]string{
		"agent@example.com":        "agent@example.com",
		" Agent.Smith@Example.COM": "agent.smith@example.com",
		"a+b@sub.example.org":      "a+b@sub.example.org",
		"":                         "",
		"agent":                    "",
		"@example.com":             "",
		"Agent <a@example.com>":    "",
		"a@example.com, b@x.com":   "",
		"a@example.com\nBcc: b@x":  "",
		`"a b"@example.com`:        "",
		strings.Repeat("a", 243) + "@example.com": "",
	} {
		p, err := account.NewEmailPrincipal(email, account.Budget{}, now)
		if want == "" {
			if err == nil || berth.CodeOf(err) != berth.InvalidInput {
				t.Errorf("%q: error = %v, want invalid_input", email, err)
			}
			continue
		}
		if err != nil || p.Email != want || p.Tariff != account.Retail || p.Kind != account.Email || p.ID.Prefix() != berth.PrefixAccount {
			t.Errorf("%q: %+v, %v", email, p, err)
		}
	}
	if _, err := account.NewEmailPrincipal("a@example.com", account.Budget{Total: -1}, now); berth.CodeOf(err) != berth.InvalidInput {
		t.Errorf("a negative cap: error = %v", err)
	}
}

func TestNewLocalPrincipal(t *testing.T) {
	p := account.NewLocalPrincipal(now)
	if p.Tariff != account.Cost || p.Kind != account.Local || p.Email != "" || !p.Created.Equal(now) {
		t.Errorf("local principal = %+v", p)
	}
}
