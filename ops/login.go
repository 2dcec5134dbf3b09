package ops

import (
	"context"
	"net/http"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// RegisterIn is the input of register.
type RegisterIn struct {
	Email    string `json:"email" minLength:"3" maxLength:"254"`
	Password string `json:"password" minLength:"8" maxLength:"200"`
}

// Veiled is the input without its password.
func (in RegisterIn) Veiled(hide func(string) string) any {
	in.Password = hide(in.Password)
	return in
}

// LoginIn is the input of login. Its password has no lower bound: it is wrong,
// not malformed.
type LoginIn struct {
	Email    string `json:"email" minLength:"3" maxLength:"254"`
	Password string `json:"password" maxLength:"200"`
}

// Veiled is the input without its password.
func (in LoginIn) Veiled(hide func(string) string) any {
	in.Password = hide(in.Password)
	return in
}

// SessionOut is what register and login answer.
type SessionOut struct {
	AccessToken string    `json:"access_token,omitempty" doc:"Send it as Authorization: Bearer. Shown once."`
	TokenType   string    `json:"token_type" example:"Bearer"`
	ExpiresIn   int       `json:"expires_in" doc:"Seconds."`
	ExpiresAt   time.Time `json:"expires_at"`
	Account     MeOut     `json:"account"`
}

// Redacted is the answer without its token.
func (o SessionOut) Redacted() any {
	o.AccessToken = ""
	return o
}

func (s *System) addLogin() {
	Add(s.table, Op[RegisterIn, SessionOut]{
		Name: "register",
		Doc: Doc{
			Title: "Register an account", Tag: "Account",
			Text:    "Make an account with an e-mail address and a password of 8 to 200 characters. The answer has an access token, which is good for 15 minutes wherever an API key is. At most 10 tries per minute and address, with login. Free.",
			Example: `{"email":"agent@example.com","password":"correct horse battery"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/auth/register", Status: http.StatusCreated}},
		Run:    s.register,
	})
	Add(s.table, Op[LoginIn, SessionOut]{
		Name: "login",
		Doc: Doc{
			Title: "Log in", Tag: "Account", ReadOnly: true,
			Text:    "Get a fresh access token for 15 minutes. At most 10 tries per minute and address, with register. Free.",
			Example: `{"email":"agent@example.com","password":"correct horse battery"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/auth/login", Status: http.StatusOK}},
		Run:    s.login,
	})
}

func (s *System) register(ctx context.Context, r *Request, in RegisterIn) (SessionOut, error) {
	if err := s.AdmitLogin(ctx, r.Address); err != nil {
		return SessionOut{}, err
	}
	p, err := account.NewEmailPrincipal(in.Email, account.Budget{}, s.now())
	if err != nil {
		return SessionOut{}, err
	}
	hash, err := s.passwords.Hash(ctx, in.Password)
	if err != nil {
		return SessionOut{}, err
	}
	err = s.store.Write(ctx, func(tx Tx) (err error) {
		p, err = s.enrol(ctx, tx, p, hash)
		return err
	})
	if err != nil && berth.CodeOf(err) == berth.Conflict {
		return SessionOut{}, berth.Errorf(berth.Conflict, "there is an account with this e-mail address already").
			Hinted("log in: POST /v1/auth/login").Because(err)
	}
	if err != nil {
		return SessionOut{}, err
	}
	r.Made = p.ID
	return s.session(ctx, p)
}

// enrol stores a new account with its password, and welcomes it.
func (s *System) enrol(ctx context.Context, tx Tx, p account.Principal, hash string) (account.Principal, error) {
	p, err := account.Named(ctx, tx, p, berth.Wallet{})
	if err != nil {
		return p, err
	}
	if err := account.Join(ctx, tx, p); err != nil {
		return p, err
	}
	if err := tx.PutPassword(ctx, p.ID, hash, s.now()); err != nil || s.welcome == 0 {
		return p, err
	}
	_, err = billing.Grant(ctx, tx, p.ID, billing.Transfer{
		ID: string(berth.NewID(berth.PrefixTransaction, s.now())), Amount: s.welcome, Ref: p.ID, Operation: "register", Memo: "play money", At: s.now(),
	})
	return p, err
}

func (s *System) login(ctx context.Context, r *Request, in LoginIn) (SessionOut, error) {
	if err := s.AdmitLogin(ctx, r.Address); err != nil {
		return SessionOut{}, err
	}
	var (
		p    account.Principal
		hash string
	)
	err := s.store.Read(ctx, func(rx Rx) (err error) {
		email, err := account.ParseEmail(in.Email)
		if err != nil {
			return nil //nolint:nilerr // nobody's, like any that is unknown
		}
		if p, err = rx.PrincipalByEmail(ctx, email); err == nil {
			hash, err = rx.Password(ctx, p.ID)
		}
		if err != nil && berth.CodeOf(err) == berth.NotFound {
			return nil
		}
		return err
	})
	if err != nil {
		return SessionOut{}, err
	}
	if err := s.passwords.LogIn(ctx, p, hash, in.Password); err != nil {
		return SessionOut{}, err
	}
	return s.session(ctx, p)
}

// session is a fresh access token with the account that it is for.
func (s *System) session(ctx context.Context, p account.Principal) (out SessionOut, err error) {
	err = s.store.Read(ctx, func(rx Rx) (err error) {
		out.Account, err = viewMe(ctx, rx, p)
		return err
	})
	if err != nil {
		return out, err
	}
	out.TokenType, out.ExpiresIn = "Bearer", int(account.TokenLife.Seconds())
	out.AccessToken, out.ExpiresAt, err = s.tokens.Issue(p.ID)
	return out, err
}
