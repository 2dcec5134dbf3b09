package hourly

import (
	"net/http"
	"strings"

	"berth"
	"berth/api"
	"berth/ops"
)

type register struct {
	Email    string `json:"email" format:"email" maxLength:"254"`
	Password string `json:"password" minLength:"8" maxLength:"200"`
}

// login has no lower bound for its password: a short one is wrong, not malformed.
type login struct {
	Email    string `json:"email" minLength:"3" maxLength:"254"`
	Password string `json:"password" maxLength:"200"`
}

type user struct {
	ID      berth.ID     `json:"id"`
	Email   string       `json:"email"`
	Balance berth.Micros `json:"balance" doc:"US dollars, as a decimal string."`
}

type session struct {
	AccessToken string `json:"accessToken" doc:"Good for 15 minutes, as Authorization: Bearer."`
	User        user   `json:"user"`
}

type me struct {
	User user `json:"user"`
}

type account struct {
	Balance berth.Micros `json:"balance" doc:"What can be spent now."`
	Hourly  string       `json:"hourlySpend" doc:"What the servers that are billed cost per hour."`
}

var (
	registerForm = ops.NewForm[register]()
	loginForm    = ops.NewForm[login]()
)

// errTaken tells where to go on whose address is registered already, errLogin
// what to do where a login fails: a fresh token would not help.
var (
	errTaken = berth.Errorf(berth.Conflict, "there is an account with this e-mail address already").Hinted("log in by POST /auth/login")
	errLogin = berth.Errorf(berth.Unauthenticated, "the e-mail address or the password is wrong").Hinted("register by POST /auth/register if there is no account yet")
)

func accountRoutes() []api.ContractRoute {
	return []api.ContractRoute{
		{
			Method: "POST", Path: "/auth/register", Status: http.StatusCreated, Summary: "Create an account",
			Open: true, Body: register{}, Answer: session{}, Errors: []int{http.StatusConflict}, Serve: serveRegister,
		},
		{
			Method: "POST", Path: "/auth/login", Status: http.StatusOK, Summary: "Get a fresh access token",
			Open: true, Body: login{}, Answer: session{}, Errors: []int{http.StatusUnauthorized, http.StatusForbidden}, Serve: serveLogin,
		},
		{Method: "GET", Path: "/auth/me", Status: http.StatusOK, Summary: "Who calls, and the balance", Answer: me{}, Serve: serveMe},
		{Method: "GET", Path: "/billing", Status: http.StatusOK, Summary: "The balance and what the servers cost per hour", Answer: account{}, Serve: serveBilling},
	}
}

func viewUser(v ops.MeOut) user { return user{v.ID, v.Email, v.Balance} }

func serveRegister(x *api.Exchange) (any, error) {
	in, err := api.Body(x, registerForm)
	if err != nil {
		return nil, err
	}
	out, err := api.Run[ops.SessionOut](x, "register", map[string]any{"email": in.Email, "password": in.Password})
	if err != nil && berth.CodeOf(err) == berth.Conflict {
		err = errTaken
	}
	return session{out.AccessToken, viewUser(out.Account)}, err
}

func serveLogin(x *api.Exchange) (any, error) {
	in, err := api.Body(x, loginForm)
	if err != nil {
		return nil, err
	}
	out, err := api.Run[ops.SessionOut](x, "login", map[string]any{"email": in.Email, "password": in.Password})
	if err != nil && berth.CodeOf(err) == berth.Unauthenticated {
		err = errLogin
	}
	return session{out.AccessToken, viewUser(out.Account)}, err
}

func serveMe(x *api.Exchange) (any, error) {
	if err := x.AdmitLogin(); err != nil {
		return nil, err
	}
	out, err := api.Run[ops.MeOut](x, "get_me", nil)
	return me{viewUser(out)}, err
}

func serveBilling(x *api.Exchange) (any, error) {
	out, err := api.Run[ops.BalanceOut](x, "get_balance", nil)
	return account{out.Balance, rate(out.Hourly)}, err
}

// rate shows a rate as the document does: without zeros at its end, "0" for none.
func rate(m berth.Micros) string {
	return strings.TrimSuffix(strings.TrimRight(m.String(), "0"), ".")
}
