package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/account"
)

func TestPoolChecked(t *testing.T) {
	long := strings.Repeat("ä", 100)
	for name, tt := range map[string]struct {
		pool  account.Pool
		wrong string // the field that is refused
	}{
		"a name":                     {account.Pool{Name: "Team"}, ""},
		"the longest name":           {account.Pool{Name: long}, ""},
		"a name that is too long":    {account.Pool{Name: long + "ä"}, "name"},
		"no name":                    {account.Pool{Name: "  "}, "name"},
		"a name of two lines":        {account.Pool{Name: "a\nb"}, "name"},
		"a name that is no text":     {account.Pool{Name: "\xff"}, "name"},
		"a hidden character":         {account.Pool{Name: "a\u202eb"}, "name"},
		"a description of two lines": {account.Pool{Name: "a", Description: "b\n\tc"}, ""},
		"a long description":         {account.Pool{Name: "a", Description: strings.Repeat("ä", 500)}, ""},
		"too long a description":     {account.Pool{Name: "a", Description: strings.Repeat("ä", 501)}, "description"},
		"a control character":        {account.Pool{Name: "a", Description: "b\x00"}, "description"},
		"settings":                   {account.Pool{Name: "a", Settings: json.RawMessage(`{"a":[1,{"b":null}]}`)}, ""},
		"settings that are a list":   {account.Pool{Name: "a", Settings: json.RawMessage(`[1]`)}, "settings"},
		"settings that are cut off":  {account.Pool{Name: "a", Settings: json.RawMessage(`{"a":`)}, "settings"},
		"large settings":             {account.Pool{Name: "a", Settings: json.RawMessage(`{"a":"` + strings.Repeat("x", 4088) + `"}`)}, ""},
		"too large settings":         {account.Pool{Name: "a", Settings: json.RawMessage(`{"a":"` + strings.Repeat("x", 4089) + `"}`)}, "settings"},
		"settings with a NUL":        {account.Pool{Name: "a", Settings: json.RawMessage(`{"a":"\u0000"}`)}, "settings"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.pool.Checked()
			if tt.wrong == "" {
				if err != nil || !json.Valid(got.Settings) {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if e := typed(t, err, berth.InvalidInput); len(e.Fields) != 1 || e.Fields[0].Name != tt.wrong {
				t.Errorf("refused for %v", e.Fields)
			}
		})
	}
}

// typed is err as a *berth.Error with a code.
func typed(t *testing.T, err error, code berth.Code) *berth.Error {
	t.Helper()
	var e *berth.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error = %v, want a typed %s", err, code)
	}
	return e
}

// TestPoolCheckedTwice: what was accepted is accepted as it is.
func TestPoolCheckedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once, err := account.Pool{Name: rapid.String().Draw(t, "name"), Description: rapid.String().Draw(t, "description")}.Checked()
		if err != nil {
			return
		}
		twice, err := once.Checked()
		if err != nil || twice.Name != once.Name || twice.Description != once.Description || string(twice.Settings) != string(once.Settings) {
			t.Fatalf("%+v became %+v, %v", once, twice, err)
		}
	})
}

// oneMember is a store with one member in it.
type oneMember struct {
	account.PoolRx
	role   account.Role
	joined time.Time
	fault  error
}

func (s oneMember) Member(_ context.Context, pool, principal berth.ID) (account.Member, error) {
	switch {
	case s.fault != nil:
		return account.Member{}, s.fault
	case principal != "acct_member":
		return account.Member{}, berth.Errorf(berth.NotFound, "%s is no member of %s", principal, pool)
	}
	return account.Member{Pool: pool, Principal: principal, Role: s.role, Joined: s.joined}, nil
}

func TestRoleIn(t *testing.T) {
	p := account.Pool{ID: "pool_p", Owner: "acct_owner"}
	joined := time.Unix(1, 0)
	for name, tt := range map[string]struct {
		rx   oneMember
		who  berth.ID
		want account.Role
		code berth.Code
	}{
		"its owner":       {oneMember{}, "acct_owner", account.Owner, ""},
		"a user":          {oneMember{role: account.User, joined: joined}, "acct_member", account.User, ""},
		"an admin":        {oneMember{role: account.Admin, joined: joined}, "acct_member", account.Admin, ""},
		"only invited":    {oneMember{role: account.Admin}, "acct_member", account.Stranger, ""},
		"a stranger":      {oneMember{role: account.Admin, joined: joined}, "acct_other", account.Stranger, ""},
		"nobody":          {oneMember{role: account.Admin, joined: joined}, "", account.Stranger, ""},
		"a store's fault": {oneMember{fault: berth.Errorf(berth.Unavailable, "down")}, "acct_member", account.Stranger, berth.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := account.RoleIn(t.Context(), tt.rx, p, tt.who)
			if got != tt.want || (err != nil) != (tt.code != "") {
				t.Fatalf("%s, %v", got, err)
			}
			if tt.code != "" {
				typed(t, err, tt.code)
			}
		})
	}
}
