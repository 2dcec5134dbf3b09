package ops

import (
	"context"
	"net/http"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// KeyView is an SSH key as its owner sees it.
type KeyView struct {
	ID          berth.ID  `json:"id" example:"key_0193f2a4c1d05e6f7a8b9c0d"`
	Name        string    `json:"name"`
	Fingerprint string    `json:"fingerprint" example:"SHA256:…"`
	PublicKey   string    `json:"public_key"`
	CreatedAt   time.Time `json:"created_at"`
}

func viewKey(k fleet.Key) KeyView {
	return KeyView{ID: k.ID, Name: k.Name, Fingerprint: k.Fingerprint, PublicKey: k.PublicKey, CreatedAt: stamp(k.Created)}
}

// AddKeyIn is the input of add_ssh_key.
type AddKeyIn struct {
	Name      string `json:"name" minLength:"1" maxLength:"64"`
	PublicKey string `json:"public_key" minLength:"1" maxLength:"8192" doc:"One line, such as ssh-ed25519 AAAA…"`
}

// AddKeyOut is what add_ssh_key answers.
type AddKeyOut struct {
	KeyView
	Charged berth.Micros `json:"charged"`
}

// KeysOut is what list_ssh_keys answers.
type KeysOut struct {
	Keys []KeyView `json:"keys"`
}

// KeyIn names an SSH key.
type KeyIn struct {
	KeyID string `json:"key_id" subject:"key" minLength:"1" maxLength:"64"`
}

// DeletedOut is what removals answer.
type DeletedOut struct {
	Deleted bool     `json:"deleted"`
	ID      berth.ID `json:"id"`
}

func (s *System) addKeys() {
	Add(s.table, Op[AddKeyIn, AddKeyOut]{
		Name: "add_ssh_key",
		Doc: Doc{
			Title: "Add an SSH key", Text: "Register a public key, to be installed by create_server with ssh_key_ids. 0.001 USD.", Toolset: "default", Tag: "SSH keys",
			Example: `{"name":"laptop","public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJb0mZ3pqjYF0mJ2V0G8dX3qk3v1i3o2n9y0y1x2w3v4 me@laptop"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/keys", Status: http.StatusCreated}},
		Access: Identified,
		Fee:    billing.FeeKey,
		Priced: true,
		Plan:   s.planKey,
		Commit: func(ctx context.Context, tx Tx, r *Request, in AddKeyIn, p Plan) (AddKeyOut, Effect, error) {
			k, err := s.fleet.AddKey(ctx, tx, r.Principal.ID, in.Name, in.PublicKey)
			return AddKeyOut{viewKey(k), p.Price.Total}, Effect{Ref: k.ID}, err
		},
	})
	Add(s.table, Op[None, KeysOut]{
		Name: "list_ssh_keys",
		Doc: Doc{
			Title: "List SSH keys", Text: "Your registered public keys. Free.", Toolset: "default", Tag: "SSH keys",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/keys", Status: 200}},
		Access: Identified,
		Read: func(ctx context.Context, rx Rx, r *Request, _ None) (KeysOut, error) {
			list, err := rx.Keys(ctx, r.Principal.ID)
			out := KeysOut{Keys: make([]KeyView, len(list))}
			for i, k := range list {
				out.Keys[i] = viewKey(k)
			}
			return out, err
		},
	})
	Add(s.table, Op[KeyIn, DeletedOut]{
		Name: "remove_ssh_key",
		Doc: Doc{
			Title: "Remove an SSH key", Text: "Forget a public key. Servers that have it keep it. Free.", Toolset: "default", Tag: "SSH keys",
			Example: `{"key_id":"key_0193f2a4c1d05e6f7a8b9c0d"}`, Destructive: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "DELETE", Path: "/v1/keys/{key_id}", Status: 200}},
		Access:  Identified,
		Fee:     billing.FeeRemoveKey,
		Subject: func(in KeyIn) berth.ID { return berth.ID(in.KeyID) },
		Plan: func(_ context.Context, _ Rx, r *Request, _ KeyIn) (Plan, error) {
			price := s.catalog.Prices[r.Contract].FeePrice(r.Principal.Tariff, billing.FeeRemoveKey)
			return Plan{Price: price, Reason: billing.ReasonService, Memo: "SSH key"}, nil
		},
		Commit: func(ctx context.Context, tx Tx, r *Request, in KeyIn, _ Plan) (DeletedOut, Effect, error) {
			return DeletedOut{Deleted: true, ID: r.SSHKey.ID}, Effect{Ref: r.SSHKey.ID}, s.fleet.RemoveKey(ctx, tx, r.SSHKey)
		},
	})
}

func (s *System) planKey(ctx context.Context, rx Rx, r *Request, in AddKeyIn) (Plan, error) {
	price, err := s.fleet.PlanKey(ctx, rx, r.buyer(), in.Name, in.PublicKey)
	return keyPlan(price), err
}

func keyPlan(price billing.Price) Plan {
	return Plan{Price: price, Reason: billing.ReasonService, Memo: "SSH key", Terms: map[string]any{}}
}
