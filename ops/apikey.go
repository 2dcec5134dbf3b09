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

// MintKeyIn is the input of mint_api_key.
type MintKeyIn struct {
	Name          string `json:"name,omitempty" maxLength:"64" default:"key"`
	BudgetTotal   string `json:"budget_total,omitempty" maxLength:"20" doc:"USD that it may ever spend, such as 5.00."`
	BudgetPerCall string `json:"budget_per_call,omitempty" maxLength:"20" doc:"USD that one call may cost."`
}

// DropKeyIn is the input of drop_api_key.
type DropKeyIn struct {
	KeyID string `json:"api_key_id" subject:"akey" minLength:"1" maxLength:"128" doc:"Its id, akey_…, or the key itself."`
}

// APIKeyView is an API key as its owner and the operator see it.
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
	KeyID string `json:"api_key_id" minLength:"1" maxLength:"128" doc:"Its id, akey_…, or the key itself."`
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

// addOwnKeys are the operations by which accounts see to their own keys.
func (s *System) addOwnKeys() {
	Add(s.table, Op[MintKeyIn, APIKeyView]{
		Name: "mint_api_key",
		Doc: Doc{
			Title: "Make an API key of your own", Toolset: "more", Tag: "Money",
			Text:    "Make an API key for your account, with a spending cap if you like; it is shown once. Send it as Authorization: Bearer, or as Berth-Key, and your account's balance pays. A wallet proves itself once for it. Free.",
			Example: `{"name":"ci","budget_total":"5.00"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/api-keys", Status: http.StatusCreated}},
		Access: Identified, Commit: s.mintKey,
	})
	Add(s.table, Op[None, APIKeysOut]{
		Name: "list_own_api_keys",
		Doc: Doc{
			Title: "List your API keys", Toolset: "more", Tag: "Money", ReadOnly: true, Idempotent: true,
			Text: "Your account's API keys with their spending caps, without their secrets. Free.", Example: `{}`,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/api-keys", Status: http.StatusOK}},
		Access: Identified,
		Read: func(ctx context.Context, rx Rx, r *Request, _ None) (APIKeysOut, error) {
			return keysOf(ctx, rx, r.Principal.ID)
		},
	})
	Add(s.table, Op[DropKeyIn, APIKeyView]{
		Name: "drop_api_key",
		Doc: Doc{
			Title: "Revoke an API key of yours", Toolset: "more", Tag: "Money", Destructive: true, Idempotent: true,
			Text: "Revoke one of your API keys; it is refused at once. Free.", Example: `{"api_key_id":"akey_0193f2a4c1d05e6f7a8b9c0d"}`,
		},
		Routes:  []Route{{Method: "DELETE", Path: "/v1/api-keys/{api_key_id}", Status: http.StatusOK}},
		Access:  Identified,
		Subject: func(in DropKeyIn) berth.ID { return keyID(in.KeyID) },
		Commit: func(ctx context.Context, tx Tx, _ *Request, in DropKeyIn, _ Plan) (APIKeyView, Effect, error) {
			return s.endKey(ctx, tx, keyID(in.KeyID))
		},
	})
}

// mintKey refuses keys with a cap of their own: a key can't make one that may
// spend more than itself.
func (s *System) mintKey(ctx context.Context, tx Tx, r *Request, in MintKeyIn, _ Plan) (APIKeyView, Effect, error) {
	if r.Key.Budget != (account.Budget{}) {
		return APIKeyView{}, Effect{}, berth.Errorf(berth.Forbidden, "a key with a spending cap makes no further keys").
			Hinted("use a key without a cap, or prove yourself by your wallet")
	}
	return s.newKey(ctx, tx, r.Principal.ID, in)
}

func (s *System) newKey(ctx context.Context, tx Tx, owner berth.ID, in MintKeyIn) (APIKeyView, Effect, error) {
	budget, err := parseBudget(in.BudgetTotal, in.BudgetPerCall)
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	key, token, err := account.NewAPIKey(owner, in.Name, budget, s.now())
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	out := viewAPIKey(key)
	out.Secret = token
	return out, Effect{Ref: key.ID}, tx.InsertAPIKey(ctx, key)
}

func (s *System) createKey(ctx context.Context, tx Tx, _ *Request, in CreateKeyIn, _ Plan) (APIKeyView, Effect, error) {
	p, err := findAccount(ctx, tx, in.Account)
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	return s.newKey(ctx, tx, p.ID, MintKeyIn{in.Name, in.BudgetTotal, in.BudgetPerCall})
}

func (s *System) listKeys(ctx context.Context, rx Rx, _ *Request, in AccountIn) (APIKeysOut, error) {
	p, err := findAccount(ctx, rx, in.Account)
	if err != nil {
		return APIKeysOut{}, err
	}
	return keysOf(ctx, rx, p.ID)
}

func keysOf(ctx context.Context, rx Rx, owner berth.ID) (APIKeysOut, error) {
	list, err := rx.APIKeys(ctx, owner)
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
	return s.endKey(ctx, tx, keyID(in.KeyID))
}

// keyID is the id of an API key that is named by it or by the key itself, which
// is what its owner has at hand when it leaked.
func keyID(text string) berth.ID {
	if id, _, err := account.ParseToken(text); err == nil {
		return id
	}
	return berth.ID(text)
}

func (s *System) endKey(ctx context.Context, tx Tx, id berth.ID) (APIKeyView, Effect, error) {
	key, err := tx.APIKey(ctx, id)
	if err != nil {
		return APIKeyView{}, Effect{}, err
	}
	if key.Revoked.IsZero() {
		key.Revoked = s.now()
	}
	return viewAPIKey(key), Effect{Ref: key.ID}, tx.UpdateAPIKey(ctx, key)
}
