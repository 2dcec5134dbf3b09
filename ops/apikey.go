package ops

import (
	"context"
	"net/http"
	"time"

	"berth"
	"berth/account"
)

// CreateKeyIn is the input of create_api_key.
type CreateKeyIn struct {
	AccountIn
	Name          string `json:"name,omitempty" maxLength:"64" default:"key"`
	BudgetTotal   string `json:"budget_total,omitempty" maxLength:"20"`
	BudgetPerCall string `json:"budget_per_call,omitempty" maxLength:"20"`
}

// APIKeyView is an API key as the operator sees it.
type APIKeyView struct {
	ID        berth.ID    `json:"id"`
	AccountID berth.ID    `json:"account_id"`
	Name      string      `json:"name"`
	Budget    *BudgetView `json:"budget,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	RevokedAt *time.Time  `json:"revoked_at,omitempty"`
	Secret    string      `json:"api_key,omitempty" doc:"Shown once, when it is made."`
}

// Redacted is the view without its secret.
func (v APIKeyView) Redacted() any {
	v.Secret = ""
	return v
}

// RevokeKeyIn is the input of revoke_api_key.
type RevokeKeyIn struct {
	KeyID string `json:"api_key_id" minLength:"1" maxLength:"64"`
}

// APIKeysOut is what list_api_keys answers.
type APIKeysOut struct {
	Keys []APIKeyView `json:"api_keys"`
}

func (s *System) addAPIKeys() {
	Add(s.table, Op[AccountIn, APIKeysOut]{
		Name: "list_api_keys", Doc: operatorDoc("List API keys", "An account's API keys, without their secrets.", `{"account":"dev@example.com"}`, true),
		Routes: []Route{{Method: "GET", Path: "/v1/operator/accounts/{account}/keys", Status: http.StatusOK}},
		Access: Operator, Read: s.listKeys,
	})
	Add(s.table, Op[CreateKeyIn, APIKeyView]{
		Name: "create_api_key", Doc: operatorDoc("Make an API key", "Make a further API key for an account; it is shown once.", `{"account":"dev@example.com","name":"ci"}`, false),
		Routes: []Route{{Method: "POST", Path: "/v1/operator/accounts/{account}/keys", Status: http.StatusCreated}},
		Access: Operator, Commit: s.createKey,
	})
	Add(s.table, Op[RevokeKeyIn, APIKeyView]{
		Name: "revoke_api_key", Doc: operatorDoc("Revoke an API key", "An API key that is revoked is refused at once.", `{"api_key_id":"akey_0193f2a4c1d05e6f7a8b9c0d"}`, false),
		Routes: []Route{{Method: "DELETE", Path: "/v1/operator/keys/{api_key_id}", Status: 200}},
		Access: Operator, Commit: s.revokeKey,
	})
}

func (s *System) createKey(ctx context.Context, tx Tx, _ *Request, in CreateKeyIn, _ Plan) (APIKeyView, Effect, error) {
	p, err := findAccount(ctx, tx, in.Account)
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	budget, err := parseBudget(in.BudgetTotal, in.BudgetPerCall)
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	key, token, err := account.NewAPIKey(p.ID, in.Name, budget, s.now())
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	out := viewAPIKey(key)
	out.Secret = token
	return out, Effect{Ref: key.ID}, tx.InsertAPIKey(ctx, key)
}

func (s *System) listKeys(ctx context.Context, rx Rx, _ *Request, in AccountIn) (APIKeysOut, error) {
	p, err := findAccount(ctx, rx, in.Account)
	if err != nil {
		return APIKeysOut{}, err
	}
	list, err := rx.APIKeys(ctx, p.ID)
	out := APIKeysOut{Keys: make([]APIKeyView, len(list))}
	for i, k := range list {
		out.Keys[i] = viewAPIKey(k)
	}
	return out, err
}

func viewAPIKey(k account.APIKey) APIKeyView {
	v := APIKeyView{ID: k.ID, AccountID: k.Principal, Name: k.Name, Budget: viewBudget(k.Budget, 0), CreatedAt: stamp(k.Created)}
	if !k.Revoked.IsZero() {
		at := stamp(k.Revoked)
		v.RevokedAt = &at
	}
	return v
}

func (s *System) revokeKey(ctx context.Context, tx Tx, _ *Request, in RevokeKeyIn, _ Plan) (APIKeyView, Effect, error) {
	key, err := tx.APIKey(ctx, berth.ID(in.KeyID))
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	if key.Revoked.IsZero() {
		key.Revoked = s.now()
	}
	return viewAPIKey(key), Effect{Ref: key.ID}, tx.UpdateAPIKey(ctx, key)
}
