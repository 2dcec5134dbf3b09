package ops_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/ops"
	"berth/ops/opstest"
)

const secret = "correct horse battery"

// from calls an operation from an address, as nobody.
func from(w *opstest.World, address, op string, args opstest.Args) (*ops.Result, error) {
	return w.System.Dispatch(context.Background(), &ops.Call{Op: op, Args: args, Front: "http", Origin: ops.Origin{Address: address}})
}

func bearer(token string) []ops.Credential {
	return []ops.Credential{{Scheme: ops.BearerScheme, Token: token}}
}

// registered is a new account's session.
func registered(t *testing.T, w *opstest.World, email string) ops.SessionOut {
	t.Helper()
	res, err := from(w, email, "register", opstest.Args{"email": email, "password": secret})
	if err != nil {
		t.Fatal(err)
	}
	return res.Out.(ops.SessionOut)
}

func TestRegisterAndLogIn(t *testing.T) {
	w := opstest.New(t)
	first := registered(t, w, "Jane.Doe@Example.com")
	me := first.Account
	if me.Email != "jane.doe@example.com" || me.Username != "jane-doe" || me.Balance != opstest.Welcome || !me.HasPassword || first.ExpiresIn != 900 {
		t.Errorf("registered %+v", first)
	}
	if _, err := from(w, "", "register", opstest.Args{"email": "jane.doe@example.com", "password": secret}); err == nil {
		t.Error("registered twice")
	} else if e := wantError(t, err, berth.Conflict); e.Hint == "" {
		t.Error("no hint")
	}
	if other := registered(t, w, "jane.doe@example.org").Account; !strings.HasPrefix(other.Username, "jane-doe-") {
		t.Errorf("a namesake is %q", other.Username)
	}
	res, err := from(w, "", "login", opstest.Args{"email": " JANE.doe@example.com", "password": secret})
	if err != nil {
		t.Fatal(err)
	}
	token := res.Out.(ops.SessionOut).AccessToken
	if got := w.Must(bearer(token), "get_me", nil).Out.(ops.MeOut); got.ID != me.ID {
		t.Errorf("the token is %s's", got.ID)
	}
	// A token buys like a key.
	w.Must(bearer(token), "create_server", smallForAnHour)
	w.Settle()
	w.Local(0)
	w.Verify()
}

// TestLoginRefusals: what is wrong can't be told apart.
func TestLoginRefusals(t *testing.T) {
	w := opstest.New(t)
	registered(t, w, "jane@example.com")
	keyed := w.Principal()
	words := map[string]bool{}
	for name, args := range map[string]opstest.Args{
		"a wrong password":   {"email": "jane@example.com", "password": "wrong horse battery"},
		"an unknown e-mail":  {"email": "joan@example.com", "password": secret},
		"no e-mail":          {"email": "not an e-mail", "password": secret},
		"without a password": {"email": keyed.Email, "password": secret},
		"an empty password":  {"email": keyed.Email, "password": ""},
	} {
		_, err := from(w, "", "login", args)
		e := wantError(t, err, berth.Unauthenticated)
		if words[e.Message+e.Hint] = true; strings.Contains(e.Error(), secret) {
			t.Errorf("%s: the error shows the password", name)
		}
	}
	if len(words) != 1 {
		t.Errorf("refusals can be told apart: %v", words)
	}
}

// TestLoginLimit: the eleventh try of a minute from one address is refused, and
// nobody else's.
func TestLoginLimit(t *testing.T) {
	w := opstest.New(t)
	registered(t, w, "jane@example.com")
	wrong := opstest.Args{"email": "jane@example.com", "password": "wrong horse battery"}
	for i := range 12 {
		_, err := from(w, "192.0.2.1", "login", wrong)
		if i < 10 {
			wantError(t, err, berth.Unauthenticated)
			continue
		}
		if e := wantError(t, err, berth.RateLimited); e.RetryAfter != time.Minute || e.Hint == "" {
			t.Errorf("retry after %s", e.RetryAfter)
		}
	}
	right := opstest.Args{"email": "jane@example.com", "password": secret}
	if _, err := from(w, "192.0.2.1", "login", right); berth.CodeOf(err) != berth.RateLimited {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := from(w, "192.0.2.1", "register", opstest.Args{"email": "x@example.com", "password": secret}); berth.CodeOf(err) != berth.RateLimited {
		t.Errorf("registering is counted apart: %v", err)
	}
	if _, err := from(w, "192.0.2.2", "login", right); err != nil {
		t.Errorf("the owner, from elsewhere, is locked out: %v", err)
	}
	w.Restart(w.Catalog) // another process counts on
	wantError(t, second(from(w, "192.0.2.1", "login", right)), berth.RateLimited)
	w.Clock.Advance(time.Minute)
	if _, err := from(w, "192.0.2.1", "login", right); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func second(_ *ops.Result, err error) error { return err }

func TestTokensEnd(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	s := registered(t, w, "jane@example.com")
	use := func() error { return second(w.Do(bearer(s.AccessToken), "get_me", nil)) }
	w.Must(opstest.Operator, "update_account", opstest.Args{"account": "jane", "suspended": true})
	wantError(t, use(), berth.Suspended)
	wantError(t, second(from(w, "", "login", opstest.Args{"email": "jane@example.com", "password": secret})), berth.Suspended)
	w.Must(opstest.Operator, "update_account", opstest.Args{"account": "jane", "suspended": false})
	if err := use(); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(account.TokenLife)
	if e := wantError(t, use(), berth.Unauthenticated); !strings.Contains(e.Message, "expired") || !strings.Contains(e.Hint, "/v1/auth/login") {
		t.Errorf("%s (%s)", e.Message, e.Hint)
	}
}

func TestUpdateMe(t *testing.T) {
	w := opstest.New(t)
	s := registered(t, w, "jane@example.com")
	registered(t, w, "joan@example.com")
	creds := bearer(s.AccessToken)
	got := w.Must(creds, "update_me", opstest.Args{"username": "Jane_2", "alias": " Jane Smith "}).Out.(ops.MeOut)
	if got.Username != "Jane_2" || got.Alias != "Jane Smith" {
		t.Errorf("%+v", got)
	}
	w.Must(creds, "update_me", opstest.Args{"username": "JANE_2"}) // one's own, in other letters
	for name, tt := range map[string]struct {
		args opstest.Args
		code berth.Code
	}{
		"another's username":   {opstest.Args{"username": "JOAN"}, berth.Conflict},
		"a reserved username":  {opstest.Args{"username": "local"}, berth.InvalidInput},
		"a dotted username":    {opstest.Args{"username": "a.b"}, berth.InvalidInput},
		"an alias of two rows": {opstest.Args{"alias": "a\nb"}, berth.InvalidInput},
		"no old password":      {opstest.Args{"password": "a new password"}, berth.Forbidden},
		"a wrong old password": {opstest.Args{"password": "a new password", "old_password": "wrong"}, berth.Forbidden},
		"a short password":     {opstest.Args{"password": "short", "old_password": secret}, berth.InvalidInput},
	} {
		if e := wantError(t, second(w.Do(creds, "update_me", tt.args)), tt.code); e.Hint == "" {
			t.Errorf("%s: no hint", name)
		}
	}
	w.Clock.Advance(time.Second)
	w.Must(creds, "update_me", opstest.Args{"password": "a new password", "old_password": secret})
	wantError(t, second(w.Do(creds, "get_me", nil)), berth.Unauthenticated)
	wantError(t, second(from(w, "", "login", opstest.Args{"email": "jane@example.com", "password": secret})), berth.Unauthenticated)
	if _, err := from(w, "", "login", opstest.Args{"email": "jane@example.com", "password": "a new password"}); err != nil {
		t.Error(err)
	}
}

// TestPasswordsOfKeys: who has no password, or a key with a cap, can't set one.
func TestPasswordsOfKeys(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	p := w.Principal()
	change := opstest.Args{"password": "a new password", "old_password": secret}
	wantError(t, second(w.Do(p.Creds, "update_me", change)), berth.Conflict)
	w.Must(opstest.Operator, "set_password", opstest.Args{"account": p.Email, "password": secret})
	capped := w.Must(p.Creds, "mint_api_key", opstest.Args{"budget_total": "1.00"}).Out.(ops.APIKeyView).Secret
	wantError(t, second(w.Do(bearer(capped), "update_me", change)), berth.Forbidden)
	w.Must(p.Creds, "update_me", change)
	if _, err := from(w, "", "login", opstest.Args{"email": p.Email, "password": "a new password"}); err != nil {
		t.Error(err)
	}
	wantError(t, second(w.Do(opstest.Operator, "set_password", opstest.Args{"account": "local", "password": secret})), berth.Conflict)
}

// TestPasswordsStayHidden: neither a stored answer nor its hash tells a password
// or a token.
func TestPasswordsStayHidden(t *testing.T) {
	w := opstest.New(t)
	s := registered(t, w, "jane@example.com")
	change := func(key, password, old string) error {
		return second(keyed(w, bearer(s.AccessToken), key, "update_me", opstest.Args{"password": password, "old_password": old}))
	}
	if err := change("k", "a new password", secret); err != nil {
		t.Fatal(err)
	}
	if err := change("k", "a new password", secret); err != nil {
		t.Errorf("the same call again: %v", err)
	}
	wantError(t, change("k", "another password", secret), berth.IdempotencyConflict)
	for _, text := range []string{secret, "a new password", s.AccessToken} {
		if w.Contains(text) {
			t.Errorf("%s is stored", text)
		}
	}
	if text := fmt.Sprintf("%v", w.Audit()); strings.Contains(text, secret) || !strings.Contains(text, string(s.Account.ID)) {
		t.Errorf("the trail: %s", text)
	}
}
