package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"berth"
	"berth/account"
	"berth/fleet"
)

// PoolView is a pool as one of its people sees it.
type PoolView struct {
	ID          berth.ID        `json:"id" example:"pool_0193f2a4c1d05e6f7a8b9c0d"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Default     bool            `json:"is_default" doc:"Where your servers are that are in no other; it can't be deleted."`
	Settings    json.RawMessage `json:"settings" doc:"Kept, and given no meaning."`
	OwnerID     berth.ID        `json:"owner_id"`
	Role        string          `json:"role" enum:"user,admin,owner" doc:"Yours."`
	Members     int             `json:"member_count" doc:"Who joined; the owner is not counted."`
	Servers     int             `json:"server_count" doc:"Those that have not ended."`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

// PoolServer is a server in short, as members see it in its pool.
type PoolServer struct {
	ID      berth.ID     `json:"id"`
	Label   string       `json:"label"`
	Status  fleet.Status `json:"status"`
	Ready   bool         `json:"is_ready" doc:"It is on and was delivered."`
	OwnerID berth.ID     `json:"owner_id" doc:"Who rents it."`
}

// PoolOut is what get_pool answers.
type PoolOut struct {
	PoolView
	People []MemberView `json:"members" doc:"Those who are invited and have not joined included."`
	List   []PoolServer `json:"servers" doc:"The newest 200; list_servers with pool_id pages through all."`
}

// PoolsOut is what list_pools answers.
type PoolsOut struct {
	Pools []PoolView `json:"pools"`
}

// PoolIn names a pool.
type PoolIn struct {
	PoolID string `json:"pool_id" subject:"pool" minLength:"1" maxLength:"64"`
}

// CreatePoolIn is the input of create_pool.
type CreatePoolIn struct {
	Name        string         `json:"name" minLength:"1" maxLength:"100"`
	Description string         `json:"description,omitempty" maxLength:"500"`
	Settings    map[string]any `json:"settings,omitempty" maxProperties:"100" doc:"Any object of at most 4 KiB; kept, and given no meaning."`
}

// UpdatePoolIn is the input of update_pool. What is left out stays.
type UpdatePoolIn struct {
	PoolIn
	Name        *string        `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Description *string        `json:"description,omitempty" maxLength:"500"`
	Settings    map[string]any `json:"settings,omitempty" maxProperties:"100" doc:"Replaces the present ones."`
}

func (s *System) addPools() {
	Add(s.table, Op[None, PoolsOut]{
		Name: "list_pools",
		Doc: Doc{
			Title: "List pools", Text: "The pools that you own, then those that you joined. Free.", Toolset: "pools", Tag: "Pools",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/pools", Status: 200}},
		Access: Identified,
		Read:   s.listPools,
	})
	Add(s.table, Op[PoolIn, PoolOut]{
		Name: "get_pool",
		Doc: Doc{
			Title: "Look at a pool", Text: "One pool with its members and servers. Free.", Toolset: "pools", Tag: "Pools",
			Example: `{"pool_id":"pool_0193f2a4c1d05e6f7a8b9c0d"}`, ReadOnly: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "GET", Path: "/v1/pools/{pool_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in PoolIn) berth.ID { return berth.ID(in.PoolID) },
		Role:    always[PoolIn](account.User),
		Read:    s.getPool,
	})
	Add(s.table, Op[CreatePoolIn, PoolView]{
		Name: "create_pool",
		Doc: Doc{
			Title: "Create a pool", Text: "A group whose members share servers. Invite them by invite_member; put servers in by create_server or update_server with pool_id. Free.",
			Toolset: "pools", Tag: "Pools", Example: `{"name":"Team","description":"Staging and production"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/pools", Status: http.StatusCreated}},
		Access: Identified,
		Plan:   s.planPool,
		Commit: s.createPool,
	})
	Add(s.table, Op[UpdatePoolIn, PoolView]{
		Name: "update_pool",
		Doc: Doc{
			Title: "Change a pool", Text: "Change a pool's name, description or settings. Its owner only. Free.", Toolset: "pools", Tag: "Pools",
			Example: `{"pool_id":"pool_0193f2a4c1d05e6f7a8b9c0d","description":"Staging"}`, Idempotent: true,
		},
		Routes:  []Route{{Method: "PATCH", Path: "/v1/pools/{pool_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in UpdatePoolIn) berth.ID { return berth.ID(in.PoolID) },
		Role:    always[UpdatePoolIn](account.Owner),
		Commit:  s.updatePool,
	})
	Add(s.table, Op[PoolIn, DeletedOut]{
		Name: "delete_pool",
		Doc: Doc{
			Title: "Delete a pool", Text: "End a pool: its servers go to the default pools of those who rent them, and members lose their access. Its owner only; never the default pool. Free.",
			Toolset: "pools", Tag: "Pools", Example: `{"pool_id":"pool_0193f2a4c1d05e6f7a8b9c0d"}`, Destructive: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "DELETE", Path: "/v1/pools/{pool_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in PoolIn) berth.ID { return berth.ID(in.PoolID) },
		Role:    always[PoolIn](account.Owner),
		Plan: func(ctx context.Context, rx Rx, r *Request, _ PoolIn) (Plan, error) {
			if r.Pool.Default {
				return Plan{}, berth.Errorf(berth.Conflict, "%s is a default pool, which everybody has one of", r.Pool.ID).
					Hinted("remove its members by remove_member, or move your servers out by update_server with pool_id")
			}
			return Plan{}, r.concernMembers(ctx, rx)
		},
		Commit: s.deletePool,
	})
}

func (s *System) listPools(ctx context.Context, rx Rx, r *Request, _ None) (PoolsOut, error) {
	list, err := rx.Pools(ctx, r.Principal.ID)
	if err != nil {
		return PoolsOut{}, err
	}
	out := PoolsOut{Pools: make([]PoolView, len(list))}
	for i, p := range list {
		role, err := account.RoleIn(ctx, rx, p, r.Principal.ID)
		if err != nil {
			return PoolsOut{}, err
		}
		if out.Pools[i], err = r.viewPool(ctx, rx, p, role); err != nil {
			return PoolsOut{}, err
		}
	}
	return out, nil
}

// viewPool is a pool as somebody with a role there sees it.
func (r *Request) viewPool(ctx context.Context, rx Rx, p account.Pool, role account.Role) (PoolView, error) {
	if role > account.Owner {
		role = account.Owner // the operator, who acts for it
	}
	v := PoolView{
		ID: p.ID, Name: p.Name, Description: p.Description, Default: p.Default, Settings: p.Settings,
		OwnerID: p.Owner, Role: role.String(), CreatedAt: stamp(p.Created), UpdatedAt: stamp(p.Updated),
	}
	members, err := rx.Members(ctx, p.ID)
	if err != nil {
		return v, err
	}
	for _, m := range members {
		if m.Authorized() {
			v.Members++
		}
	}
	v.Servers, err = rx.CountPoolServers(ctx, p.ID, r.sees())
	return v, err
}

func (s *System) getPool(ctx context.Context, rx Rx, r *Request, _ PoolIn) (PoolOut, error) {
	view, err := r.viewPool(ctx, rx, r.Pool, r.Role)
	out := PoolOut{PoolView: view, People: []MemberView{}, List: []PoolServer{}}
	if err != nil {
		return out, err
	}
	members, err := rx.Members(ctx, r.Pool.ID)
	if err != nil {
		return out, err
	}
	for _, m := range members {
		v, err := viewMember(ctx, rx, m)
		if err != nil {
			return out, err
		}
		out.People = append(out.People, v)
	}
	servers, err := rx.PoolServers(ctx, r.Pool.ID, fleet.ServerFilter{Contract: r.sees(), Limit: 200})
	for _, v := range servers {
		out.List = append(out.List, PoolServer{
			ID: v.ID, Label: v.Label, Status: v.Status, Ready: v.Status == fleet.Active && !v.Delivered.IsZero(), OwnerID: v.Owner,
		})
	}
	return out, err
}

// newPool is the pool that create_pool asks for.
func (s *System) newPool(owner berth.ID, in CreatePoolIn) (account.Pool, error) {
	settings, err := settingsText(in.Settings)
	if err != nil {
		return account.Pool{}, err
	}
	now := s.now()
	return account.Pool{
		ID: berth.NewID(berth.PrefixPool, now), Owner: owner, Name: in.Name, Description: in.Description,
		Settings: settings, Created: now, Updated: now,
	}.Checked()
}

func settingsText(settings map[string]any) (json.RawMessage, error) {
	if settings == nil {
		return json.RawMessage("{}"), nil
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("a pool's settings: %w", err)
	}
	return text, nil
}

func (s *System) planPool(ctx context.Context, rx Rx, r *Request, in CreatePoolIn) (Plan, error) {
	if _, err := s.newPool(r.Principal.ID, in); err != nil {
		return Plan{}, err
	}
	list, err := rx.Pools(ctx, r.Principal.ID)
	if err != nil {
		return Plan{}, err
	}
	own := slices.DeleteFunc(list, func(p account.Pool) bool { return p.Owner != r.Principal.ID })
	if len(own) >= account.MaxPools {
		return Plan{}, berth.Errorf(berth.LimitReached, "you own %d pools, and %d is the limit", len(own), account.MaxPools).
			Hinted("delete one by delete_pool first")
	}
	return Plan{}, nil
}

func (s *System) createPool(ctx context.Context, tx Tx, r *Request, in CreatePoolIn, _ Plan) (PoolView, Effect, error) {
	p, err := s.newPool(r.Principal.ID, in)
	if err == nil {
		err = tx.InsertPool(ctx, p)
	}
	if err != nil {
		return PoolView{}, Effect{}, err
	}
	out, err := r.viewPool(ctx, tx, p, account.Owner)
	return out, Effect{Ref: p.ID}, err
}

func (s *System) updatePool(ctx context.Context, tx Tx, r *Request, in UpdatePoolIn, _ Plan) (PoolView, Effect, error) {
	p := r.Pool
	if in.Name != nil {
		p.Name = *in.Name
	}
	if in.Description != nil {
		p.Description = *in.Description
	}
	var err error
	if in.Settings != nil {
		if p.Settings, err = settingsText(in.Settings); err != nil {
			return PoolView{}, Effect{}, err
		}
	}
	p.Updated = s.now()
	if p, err = p.Checked(); err == nil {
		err = tx.UpdatePool(ctx, p)
	}
	if err != nil {
		return PoolView{}, Effect{}, err
	}
	out, err := r.viewPool(ctx, tx, p, r.Role)
	return out, Effect{Ref: p.ID}, err
}

// concernMembers has the locks taken of all who may have servers in the pool.
func (r *Request) concernMembers(ctx context.Context, rx Rx) error {
	members, err := rx.Members(ctx, r.Pool.ID)
	for _, m := range members {
		r.concerned = append(r.concerned, m.Principal)
	}
	return err
}

func (s *System) deletePool(ctx context.Context, tx Tx, r *Request, _ PoolIn, _ Plan) (DeletedOut, Effect, error) {
	out := DeletedOut{Deleted: true, ID: r.Pool.ID}
	members, err := tx.Members(ctx, r.Pool.ID)
	if err != nil {
		return out, Effect{}, err
	}
	for _, m := range members {
		if err := s.notify(ctx, tx, m.Principal, fleet.EventPoolDeleted, r.Pool.ID, poolData(r.Pool, nil)); err != nil {
			return out, Effect{}, err
		}
	}
	return out, Effect{Ref: r.Pool.ID}, tx.DeletePool(ctx, r.Pool.ID)
}

// notify appends an event to somebody's feed.
func (s *System) notify(ctx context.Context, tx Tx, to berth.ID, kind fleet.EventKind, subject berth.ID, data map[string]any) error {
	text, err := json.Marshal(data)
	if err == nil {
		_, err = tx.AppendEvent(ctx, fleet.Event{Principal: to, Kind: kind, Subject: subject, Data: text, At: s.now()})
	}
	if err != nil {
		return fmt.Errorf("event %s for %s: %w", kind, to, err)
	}
	return nil
}

// poolData is what events about a pool say: which, and who else is meant.
func poolData(p account.Pool, who *account.Principal) map[string]any {
	data := map[string]any{"pool_id": p.ID, "pool_name": p.Name}
	if who != nil {
		data["account_id"], data["username"] = who.ID, who.Username
	}
	return data
}
