package ops

import (
	"context"

	"berth"
	"berth/account"
	"berth/fleet"
)

// UpdateServerIn is the input of update_server. What is left out stays.
type UpdateServerIn struct {
	ServerIn
	AutoRenew *bool   `json:"auto_renew,omitempty" doc:"Whether it buys the same minutes again at the end."`
	Label     *string `json:"label,omitempty" maxLength:"64" pattern:"^[a-zA-Z0-9._-]{1,64}$"`
	PoolID    *string `json:"pool_id,omitempty" minLength:"1" maxLength:"64" doc:"Move it into this pool, which you own or are admin of. Only who rents it may."`
}

// role is what the call needs. What shares a server with others, or has its
// renter's balance pay later on, is left to the renter.
func (in UpdateServerIn) role() account.Role {
	if in.PoolID != nil || (in.AutoRenew != nil && *in.AutoRenew) {
		return account.Renter
	}
	return account.Owner
}

func (s *System) addUpdate() {
	Add(s.table, Op[UpdateServerIn, ServerView]{
		Name: "update_server",
		Doc: Doc{
			Title: "Change a server's settings", Text: "Turn auto_renew on or off, give a server another label, or move it to another pool. Free.", Toolset: "more", Tag: "Servers",
			Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d","auto_renew":false}`, Idempotent: true,
		},
		Routes:  []Route{{Method: "PATCH", Path: "/v1/servers/{server_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in UpdateServerIn) berth.ID { return berth.ID(in.ServerID) },
		Role:    UpdateServerIn.role,
		Commit:  s.updateServer,
	})
}

func (s *System) updateServer(ctx context.Context, tx Tx, r *Request, in UpdateServerIn, _ Plan) (ServerView, Effect, error) {
	sv, effect := r.Server, Effect{Ref: r.Server.ID}
	if !sv.Status.Live() || sv.Status == fleet.Destroying {
		return ServerView{}, effect, berth.Errorf(berth.Conflict, "the server %s is %s", sv.ID, sv.Status).
			Hinted("only servers that live can be changed")
	}
	if in.PoolID != nil {
		if _, err := r.member(ctx, tx, berth.ID(*in.PoolID), account.Admin); err != nil {
			return ServerView{}, effect, err
		}
		sv.Pool = berth.ID(*in.PoolID)
	}
	if in.Label != nil {
		sv.Label = *in.Label
	}
	err := tx.UpdateServer(ctx, sv)
	if err == nil && sv.Pool != r.Server.Pool {
		err = s.notify(ctx, tx, sv.Owner, fleet.EventServerMoved, sv.ID, map[string]any{"pool_id": sv.Pool})
	}
	if err != nil {
		return ServerView{}, effect, err
	}
	if in.AutoRenew != nil {
		sv, err = s.fleet.SetAutoRenew(ctx, tx, sv, *in.AutoRenew)
	}
	return s.viewServer(sv).seenBy(r, sv), effect, err
}
