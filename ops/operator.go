package ops

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// AccountView is a principal as the operator sees it.
type AccountView struct {
	ID        berth.ID       `json:"id" example:"acct_0193f2a4c1d05e6f7a8b9c0d"`
	Kind      account.Kind   `json:"kind" enum:"local,email,wallet"`
	Email     string         `json:"email,omitempty"`
	Username  string         `json:"username,omitempty"`
	Alias     string         `json:"alias,omitempty"`
	Wallets   []string       `json:"wallets,omitempty"`
	Tariff    account.Tariff `json:"tariff" enum:"retail,cost"`
	Balance   berth.Micros   `json:"balance"`
	Held      berth.Micros   `json:"held"`
	Spent     berth.Micros   `json:"spent"`
	Budget    *BudgetView    `json:"budget,omitempty"`
	Servers   int            `json:"live_servers"`
	Limit     int            `json:"server_limit" doc:"Live servers at once."`
	Suspended bool           `json:"suspended"`
	CreatedAt time.Time      `json:"created_at"`
	APIKey    string         `json:"api_key,omitempty" doc:"Shown once, when it is made."`
}

// Redacted is the view without its secret.
func (v AccountView) Redacted() any {
	v.APIKey = ""
	return v
}

// CreateAccountIn is the input of create_account.
type CreateAccountIn struct {
	Email         string `json:"email" minLength:"3" maxLength:"254"`
	Credit        string `json:"credit,omitempty" maxLength:"20" doc:"USD to grant at once."`
	BudgetTotal   string `json:"budget_total,omitempty" maxLength:"20" doc:"USD that may ever be spent."`
	BudgetPerCall string `json:"budget_per_call,omitempty" maxLength:"20" doc:"USD that one call may cost."`
}

// AccountIn names an account by id or e-mail; "local" is the local principal.
type AccountIn struct {
	Account string `json:"account" minLength:"1" maxLength:"254" doc:"Its id, its e-mail, its username, its wallet's address, or local."`
}

// UpdateAccountIn is the input of update_account. What is left out stays.
type UpdateAccountIn struct {
	AccountIn
	BudgetTotal   *string `json:"budget_total,omitempty" maxLength:"20" doc:"USD that may ever be spent; 0 for no cap."`
	BudgetPerCall *string `json:"budget_per_call,omitempty" maxLength:"20" doc:"USD that one call may cost; 0 for no cap."`
	ServerLimit   *int    `json:"server_limit,omitempty" minimum:"0" maximum:"10000" doc:"Live servers at once; 0 for the catalog's default."`
	Suspended     *bool   `json:"suspended,omitempty"`
}

// PageIn pages through everything.
type PageIn struct {
	After string `json:"after,omitempty" maxLength:"64" pattern:"^([a-z]+_[0-9a-f]{24})?$" patternDescription:"the next of the page before"`
	Limit int    `json:"limit,omitempty" minimum:"1" maximum:"200" default:"100"`
}

// AccountsOut is what list_accounts answers.
type AccountsOut struct {
	Accounts []AccountView `json:"accounts"`
	Next     string        `json:"next,omitempty"`
}

// AllServersOut is what list_all_servers answers.
type AllServersOut struct {
	Servers []OwnedServer `json:"servers"`
	Next    string        `json:"next,omitempty"`
}

// OwnedServer is a server with its owner.
type OwnedServer struct {
	ServerView
	Owner berth.ID `json:"owner"`
}

func operatorDoc(title, text, example string, reads bool) Doc {
	return Doc{Title: title, Text: text, Tag: "Operator", Example: example, ReadOnly: reads, Idempotent: reads}
}

func (s *System) addOperator() {
	s.addAPIKeys()
	s.addOwnKeys()
	s.addLedger()
	Add(s.table, Op[CreateAccountIn, AccountView]{
		Name: "create_account", Doc: operatorDoc("Create an account", "Make an account with an API key, which is shown once.", `{"email":"dev@example.com","credit":"25.00"}`, false),
		Routes: []Route{{Method: "POST", Path: "/v1/operator/accounts", Status: http.StatusCreated}},
		Access: Operator, Commit: s.createAccount,
	})
	Add(s.table, Op[PageIn, AccountsOut]{
		Name: "list_accounts", Doc: operatorDoc("List accounts", "All accounts with their balances.", `{}`, true),
		Routes: []Route{{Method: "GET", Path: "/v1/operator/accounts", Status: 200}},
		Access: Operator, Read: s.listAccounts,
	})
	Add(s.table, Op[AccountIn, AccountView]{
		Name: "get_account", Doc: operatorDoc("Look at an account", "One account with its balance.", `{"account":"local"}`, true),
		Routes: []Route{{Method: "GET", Path: "/v1/operator/accounts/{account}", Status: 200}},
		Access: Operator, Read: s.getAccount,
	})
	Add(s.table, Op[UpdateAccountIn, AccountView]{
		Name: "update_account", Doc: operatorDoc("Change an account", "Set spending caps, the server limit, or suspend it.", `{"account":"dev@example.com","budget_total":"50.00"}`, false),
		Routes: []Route{{Method: "PATCH", Path: "/v1/operator/accounts/{account}", Status: 200}},
		Access: Operator, Commit: s.updateAccount,
	})
	s.addCredits()
	Add(s.table, Op[PageIn, AllServersOut]{
		Name: "list_all_servers", Doc: operatorDoc("List everybody's servers", "All live servers with their owners.", `{}`, true),
		Routes: []Route{{Method: "GET", Path: "/v1/operator/servers", Status: 200}},
		Access: Operator, Read: s.listAllServers,
	})
	Add(s.table, Op[None, ReconcileOut]{
		Name: "reconcile", Doc: operatorDoc("Reconcile with the provider", "Compare the provider's machines with the books now. What looks wrong is acted on when it has looked wrong for the grace period.", `{}`, false),
		Routes: []Route{{Method: "POST", Path: "/v1/operator/reconcile", Status: 200}},
		Access: Operator, Run: s.reconcile,
	})
}

func (s *System) createAccount(ctx context.Context, tx Tx, _ *Request, in CreateAccountIn, _ Plan) (AccountView, Effect, error) {
	budget, err := parseBudget(in.BudgetTotal, in.BudgetPerCall)
	if err != nil {
		return AccountView{}, Effect{}, err
	}
	p, err := account.NewEmailPrincipal(in.Email, budget, s.now())
	if err != nil {
		return AccountView{}, Effect{}, err
	}
	if p, err = account.Named(ctx, tx, p, berth.Wallet{}); err != nil {
		return AccountView{}, Effect{}, err
	}
	if err := account.Join(ctx, tx, p); err != nil {
		return AccountView{}, Effect{}, err
	}
	if in.Credit != "" {
		if err := s.grant(ctx, tx, p.ID, in.Credit, "first credit"); err != nil {
			return AccountView{}, Effect{}, err
		}
	}
	key, token, err := account.NewAPIKey(p.ID, "first", account.Budget{}, s.now())
	if err != nil {
		return AccountView{}, Effect{}, err
	}
	if err := tx.InsertAPIKey(ctx, key); err != nil {
		return AccountView{}, Effect{}, err
	}
	out, err := s.viewAccount(ctx, tx, p)
	out.APIKey = token
	return out, Effect{Ref: p.ID}, err
}

func parseBudget(total, perCall string) (account.Budget, error) {
	t, err := parseAmount("budget_total", total)
	if err != nil {
		return account.Budget{}, err
	}
	c, err := parseAmount("budget_per_call", perCall)
	return account.Budget{Total: t, PerCall: c}, err
}

func parseAmount(field, s string) (berth.Micros, error) {
	if s == "" {
		return 0, nil
	}
	m, err := berth.ParseMicros(s)
	if err != nil {
		return 0, wrongField(field, err.Error())
	}
	if m < 0 {
		return 0, wrongField(field, "must not be negative")
	}
	return m, nil
}

func (s *System) viewAccount(ctx context.Context, rx Rx, p account.Principal) (AccountView, error) {
	acct, err := rx.LedgerAccount(ctx, billing.CustomerAccount(p.ID))
	if err != nil {
		return AccountView{}, err
	}
	spent, err := rx.Spent(ctx, p.ID, "")
	if err != nil {
		return AccountView{}, err
	}
	live, err := rx.CountServers(ctx, p.ID, "")
	if err != nil {
		return AccountView{}, err
	}
	wallets, err := walletsOf(ctx, rx, p.ID)
	return AccountView{
		ID: p.ID, Kind: p.Kind, Email: p.Email, Username: p.Username, Alias: p.Alias, Wallets: wallets, Tariff: p.Tariff, Balance: acct.Available(), Held: acct.Held, Spent: spent,
		Budget: viewBudget(p.Budget, spent), Servers: live, Limit: cmp.Or(p.ServerLimit, s.catalog.Prices[billing.Native].Servers), Suspended: p.Suspended, CreatedAt: stamp(p.Created),
	}, err
}

func findAccount(ctx context.Context, rx Rx, name string) (account.Principal, error) {
	if name == "local" {
		return rx.LocalPrincipal(ctx)
	}
	if id, err := berth.ParseID(berth.PrefixAccount, name); err == nil {
		return rx.Principal(ctx, id)
	}
	if w, err := berth.ParseWallet(name); err == nil {
		return rx.PrincipalByWallet(ctx, w)
	}
	if name, err := account.ParseUsername(name); err == nil {
		return rx.PrincipalByUsername(ctx, name)
	}
	email, err := account.ParseEmail(name)
	if err != nil {
		return account.Principal{}, wrongField("account", "neither an id (acct_…), nor an e-mail address, nor a username, nor a wallet (0x…), nor local")
	}
	return rx.PrincipalByEmail(ctx, email)
}

func (s *System) listAccounts(ctx context.Context, rx Rx, _ *Request, in PageIn) (AccountsOut, error) {
	list, err := rx.Principals(ctx, berth.ID(in.After), in.Limit)
	out := AccountsOut{Accounts: make([]AccountView, len(list))}
	for i, p := range list {
		v, verr := s.viewAccount(ctx, rx, p)
		out.Accounts[i], err = v, errors.Join(err, verr)
	}
	if len(list) == in.Limit {
		out.Next = string(list[len(list)-1].ID)
	}
	return out, err
}

func (s *System) getAccount(ctx context.Context, rx Rx, _ *Request, in AccountIn) (AccountView, error) {
	p, err := findAccount(ctx, rx, in.Account)
	if err != nil {
		return AccountView{}, err
	}
	return s.viewAccount(ctx, rx, p)
}

func (s *System) updateAccount(ctx context.Context, tx Tx, _ *Request, in UpdateAccountIn, _ Plan) (AccountView, Effect, error) {
	p, err := findAccount(ctx, tx, in.Account)
	if err != nil {
		return AccountView{}, Effect{}, err
	}
	for _, cap := range []struct {
		field string
		text  *string
		into  *berth.Micros
	}{{"budget_total", in.BudgetTotal, &p.Budget.Total}, {"budget_per_call", in.BudgetPerCall, &p.Budget.PerCall}} {
		if cap.text == nil {
			continue
		}
		if *cap.into, err = parseAmount(cap.field, *cap.text); err != nil {
			return AccountView{}, Effect{}, err
		}
	}
	if in.ServerLimit != nil {
		p.ServerLimit = *in.ServerLimit
	}
	if in.Suspended != nil {
		p.Suspended = *in.Suspended
	}
	if err := tx.UpdatePrincipal(ctx, p); err != nil {
		return AccountView{}, Effect{}, err
	}
	if p.Suspended {
		if err := s.fleet.Hold(ctx, tx, p.ID); err != nil {
			return AccountView{}, Effect{}, err
		}
	}
	out, err := s.viewAccount(ctx, tx, p)
	return out, Effect{Ref: p.ID}, err
}

func (s *System) listAllServers(ctx context.Context, rx Rx, _ *Request, in PageIn) (AllServersOut, error) {
	list, err := rx.LiveServers(ctx, berth.ID(in.After), in.Limit)
	out := AllServersOut{Servers: make([]OwnedServer, len(list))}
	for i, v := range list {
		out.Servers[i] = OwnedServer{s.viewServer(v), v.Owner}
	}
	if len(list) == in.Limit {
		out.Next = string(list[len(list)-1].ID)
	}
	return out, err
}
