package ops

import (
	"context"
	"net/http"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// MeOut is an account as its owner sees it.
type MeOut struct {
	ID          berth.ID     `json:"id" example:"acct_0193f2a4c1d05e6f7a8b9c0d"`
	Kind        account.Kind `json:"kind" enum:"local,email,wallet"`
	Email       string       `json:"email,omitempty"`
	Username    string       `json:"username" doc:"Unique; others invite you and top you up by it."`
	Alias       string       `json:"alias,omitempty" doc:"What others are shown beside it."`
	Wallets     []string     `json:"wallets,omitempty"`
	HasPassword bool         `json:"has_password"`
	Balance     berth.Micros `json:"balance" doc:"What can be spent now: holds are deducted."`
	Currency    string       `json:"currency" example:"USD"`
	CreatedAt   time.Time    `json:"created_at"`
}

// UpdateMeIn is the input of update_me. What is left out stays.
type UpdateMeIn struct {
	Username    string  `json:"username,omitempty" minLength:"1" maxLength:"100" pattern:"^[A-Za-z0-9_-]*$" patternDescription:"letters, digits, _ and -"`
	Alias       *string `json:"alias,omitempty" maxLength:"100"`
	Password    string  `json:"password,omitempty" minLength:"8" maxLength:"200" doc:"A new one; needs old_password."`
	OldPassword string  `json:"old_password,omitempty" maxLength:"200"`
}

// Veiled is the input without its passwords.
func (in UpdateMeIn) Veiled(hide func(string) string) any {
	in.Password, in.OldPassword = hide(in.Password), hide(in.OldPassword)
	return in
}

// SetPasswordIn is the input of set_password.
type SetPasswordIn struct {
	AccountIn
	Password string `json:"password" minLength:"8" maxLength:"200"`
}

// Veiled is the input without its password.
func (in SetPasswordIn) Veiled(hide func(string) string) any {
	in.Password = hide(in.Password)
	return in
}

func (s *System) addMe() {
	Add(s.table, Op[None, MeOut]{
		Name: "get_me",
		Doc: Doc{
			Title: "Look at your account", Toolset: "more", Tag: "Account", ReadOnly: true, Idempotent: true,
			Text: "Who you are here: account, username, e-mail, wallets, balance. Free.", Example: `{}`,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/me", Status: http.StatusOK}},
		Access: Identified,
		Read: func(ctx context.Context, rx Rx, r *Request, _ None) (MeOut, error) {
			return viewMe(ctx, rx, r.Principal)
		},
	})
	Add(s.table, Op[UpdateMeIn, MeOut]{
		Name: "update_me",
		Doc: Doc{
			Title: "Change your account", Toolset: "more", Tag: "Account", Idempotent: true,
			Text:    "Change your username, alias or password. A new password needs the old one, and ends the access tokens that you have. Free.",
			Example: `{"alias":"Jane Smith"}`,
		},
		Routes: []Route{{Method: "PATCH", Path: "/v1/me", Status: http.StatusOK}},
		Access: Identified, Run: s.updateMe,
	})
	Add(s.table, Op[SetPasswordIn, MeOut]{
		Name: "set_password", Doc: operatorDoc("Set a password", "Set the password of an account that has an e-mail address, and end its access tokens.", `{"account":"dev@example.com","password":"correct horse battery"}`, false),
		Routes: []Route{{Method: "POST", Path: "/v1/operator/accounts/{account}/password", Status: http.StatusOK}},
		Access: Operator, Run: s.setPassword,
	})
}

func viewMe(ctx context.Context, rx Rx, p account.Principal) (MeOut, error) {
	out := MeOut{
		ID: p.ID, Kind: p.Kind, Email: p.Email, Username: p.Username, Alias: p.Alias, Currency: "USD", CreatedAt: stamp(p.Created),
	}
	acct, err := rx.LedgerAccount(ctx, billing.CustomerAccount(p.ID))
	if err != nil {
		return out, err
	}
	out.Balance = acct.Available()
	if out.Wallets, err = walletsOf(ctx, rx, p.ID); err != nil {
		return out, err
	}
	hash, err := passwordOf(ctx, rx, p.ID)
	out.HasPassword = hash != ""
	return out, err
}

// passwordOf is the hash of an account's password, empty where it has none.
func passwordOf(ctx context.Context, rx Rx, principal berth.ID) (string, error) {
	hash, err := rx.Password(ctx, principal)
	if err != nil && berth.CodeOf(err) == berth.NotFound {
		return "", nil
	}
	return hash, err
}

func (s *System) updateMe(ctx context.Context, r *Request, in UpdateMeIn) (out MeOut, err error) {
	var change password
	if in.Password != "" {
		if change, err = s.newPassword(ctx, r, in); err != nil {
			return out, err
		}
	}
	err = s.store.Write(ctx, func(tx Tx) error {
		if err := tx.LockPrincipal(ctx, r.Principal.ID); err != nil {
			return err
		}
		p, err := tx.Principal(ctx, r.Principal.ID)
		if err != nil {
			return err
		}
		if p, err = rename(ctx, tx, p, in); err != nil {
			return err
		}
		if err := change.put(ctx, tx, &p, s.now()); err != nil {
			return err
		}
		if err := tx.UpdatePrincipal(ctx, p); err != nil {
			return err
		}
		out, err = viewMe(ctx, tx, p)
		return err
	})
	return out, err
}

// rename gives a principal the names that it asks for.
func rename(ctx context.Context, rx Rx, p account.Principal, in UpdateMeIn) (_ account.Principal, err error) {
	if in.Alias != nil {
		if p.Alias, err = account.ParseAlias(*in.Alias); err != nil {
			return p, err
		}
	}
	if in.Username == "" || in.Username == p.Username {
		return p, nil
	}
	if p.Kind != account.Email {
		return p, berth.Errorf(berth.Conflict, "the username of a %s account stays", p.Kind).
			Hinted("set an alias, which is what others are shown")
	}
	name, err := account.ParseUsername(in.Username)
	if err != nil {
		return p, err
	}
	holder, err := rx.PrincipalByUsername(ctx, name)
	switch {
	case err == nil && holder.ID != p.ID:
		return p, berth.Errorf(berth.Conflict, "the username %s is taken", name).Hinted("choose another one")
	case err != nil && berth.CodeOf(err) != berth.NotFound:
		return p, err
	}
	p.Username = name
	return p, nil
}

// password is a change of one: from a hash to another, or nothing.
type password struct {
	set      bool
	checked  bool   // from is what has to be there still
	from, to string // hashes
}

// newPassword checks the old password and hashes the new one, which both take
// too long for a transaction.
func (s *System) newPassword(ctx context.Context, r *Request, in UpdateMeIn) (c password, err error) {
	if r.Key.Budget != (account.Budget{}) {
		return c, berth.Errorf(berth.Forbidden, "a key with a spending cap changes no password").Hinted("log in, and use the access token")
	}
	if err := s.Admit(ctx, "password "+string(r.Principal.ID), loginsPerMinute); err != nil {
		return c, err
	}
	err = s.store.Read(ctx, func(rx Rx) (err error) {
		c.from, err = passwordOf(ctx, rx, r.Principal.ID)
		return err
	})
	if err != nil {
		return c, err
	}
	if c.from == "" {
		return c, berth.Errorf(berth.Conflict, "this account has no password yet").Hinted("the operator sets the first one: berth account update %s --password", r.Principal.ID)
	}
	ok, err := s.passwords.Matches(ctx, c.from, in.OldPassword)
	if err != nil {
		return c, err
	}
	if !ok {
		return c, berth.Errorf(berth.Forbidden, "old_password is not this account's password").Hinted("send the present password as old_password")
	}
	c.set, c.checked = true, true
	c.to, err = s.passwords.Hash(ctx, in.Password)
	return c, err
}

// put stores the change, and ends the access tokens from before.
func (c password) put(ctx context.Context, tx Tx, p *account.Principal, now time.Time) error {
	if !c.set {
		return nil
	}
	present, err := passwordOf(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	if c.checked && present != c.from {
		return berth.Errorf(berth.Conflict, "the password was changed meanwhile").Hinted("log in with the new one")
	}
	p.TokensFrom = now.Truncate(time.Second) // as tokens tell their time
	return tx.PutPassword(ctx, p.ID, c.to, now)
}

func (s *System) setPassword(ctx context.Context, r *Request, in SetPasswordIn) (out MeOut, err error) {
	change := password{set: true}
	if change.to, err = s.passwords.Hash(ctx, in.Password); err != nil {
		return out, err
	}
	err = s.store.Write(ctx, func(tx Tx) error {
		p, err := findAccount(ctx, tx, in.Account)
		if err != nil {
			return err
		}
		if p.Email == "" {
			return berth.Errorf(berth.Conflict, "the account %s has no e-mail address to log in with", p.ID).Hinted("passwords are for accounts with an e-mail address")
		}
		if err := tx.LockPrincipal(ctx, p.ID); err != nil {
			return err
		}
		if err := change.put(ctx, tx, &p, s.now()); err != nil {
			return err
		}
		if err := tx.UpdatePrincipal(ctx, p); err != nil {
			return err
		}
		r.Made = p.ID
		out, err = viewMe(ctx, tx, p)
		return err
	})
	return out, err
}
