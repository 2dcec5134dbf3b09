package ops

import (
	"context"

	"berth"
	"berth/fleet"
)

// UpdateServerIn is the input of update_server. What is left out stays.
type UpdateServerIn struct {
	ServerIn
	AutoRenew *bool   `json:"auto_renew,omitempty" doc:"Whether it buys the same minutes again at the end."`
	Label     *string `json:"label,omitempty" maxLength:"64" pattern:"^[a-zA-Z0-9._-]{1,64}$"`
}

func (s *System) addUpdate() {
	Add(s.table, Op[UpdateServerIn, ServerView]{
		Name: "update_server",
		Doc: Doc{
			Title: "Change a server's settings", Text: "Turn auto_renew on or off, or give a server another label. Free.", Toolset: "more", Tag: "Servers",
			Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d","auto_renew":false}`, Idempotent: true,
		},
		Routes:  []Route{{Method: "PATCH", Path: "/v1/servers/{server_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in UpdateServerIn) berth.ID { return berth.ID(in.ServerID) },
		Commit:  s.updateServer,
	})
}

func (s *System) updateServer(ctx context.Context, tx Tx, r *Request, in UpdateServerIn, _ Plan) (ServerView, Effect, error) {
	sv, effect := r.Server, Effect{Ref: r.Server.ID}
	if !sv.Status.Live() || sv.Status == fleet.Destroying {
		return ServerView{}, effect, berth.Errorf(berth.Conflict, "the server %s is %s", sv.ID, sv.Status).
			Hinted("only servers that live can be changed")
	}
	var err error
	if in.Label != nil {
		sv.Label = *in.Label
		if err = tx.UpdateServer(ctx, sv); err != nil {
			return ServerView{}, effect, err
		}
	}
	if in.AutoRenew != nil {
		sv, err = s.fleet.SetAutoRenew(ctx, tx, sv, *in.AutoRenew)
	}
	return s.viewServer(sv), effect, err
}
