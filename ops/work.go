package ops

import (
	"context"
	"fmt"
	"net/http"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// PowerIn is the input of power_server.
type PowerIn struct {
	ServerIn
	Action string `json:"action" enum:"on,off,reboot"`
}

// ResizeIn is the input of resize_server.
type ResizeIn struct {
	ServerIn
	Size     string `json:"size" catalog:"size" more:"list_offers" minLength:"1" maxLength:"64"`
	KeepDisk bool   `json:"keep_disk,omitempty" doc:"Change CPU and memory only."`
	IfOff    bool   `json:"if_off,omitempty" doc:"Only if it is off."`
}

// ResizeOut is what resize_server answers.
type ResizeOut struct {
	WorkOut
	DepositDelta berth.Micros `json:"deposit_delta,omitempty" doc:"Of a lease with a deposit: what was added to it, or below zero what returns when the size has changed."`
}

// RebuildIn is the input of rebuild_server.
type RebuildIn struct {
	ServerIn
	Image      string `json:"image,omitempty" catalog:"image" maxLength:"64" doc:"The present one, or another; or else snapshot_id."`
	SnapshotID string `json:"snapshot_id,omitempty" minLength:"1" maxLength:"64" doc:"A snapshot of yours instead of an image."`
	Reveal     bool   `json:"reveal_credentials,omitempty" doc:"Include the root password."`
}

// RebuildOut is what rebuild_server answers. The password is never stored with
// the answer: it comes from the server's sealed secrets each time.
type RebuildOut struct {
	WorkOut
	RootPassword string `json:"root_password,omitempty"`
}

// WorkOut is what operations answer that go on as an action.
type WorkOut struct {
	Server  ServerView   `json:"server"`
	Action  ActionView   `json:"action"`
	Charged berth.Micros `json:"charged"`
}

func (s *System) addServerWork() {
	Add(s.table, Op[PowerIn, WorkOut]{
		Name: "power_server",
		Doc: Doc{
			Title: "Power on, off or reboot", Text: "Turn a server on or off, or reboot it. 0.005 USD. A server that is off is billed on.", Toolset: "default", Tag: "Servers",
			Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d","action":"reboot"}`, Destructive: true, Idempotent: true, OpenWorld: true,
		},
		Routes: []Route{
			{Method: "POST", Path: "/v1/servers/{server_id}/power", Status: 200},
			{Method: "POST", Path: "/v1/servers/{server_id}/reboot", Status: 200, Name: "reboot_server", Summary: "Reboot", Fixed: map[string]any{"action": "reboot"}},
		},
		Access:  Identified,
		Fee:     billing.FeePower,
		Subject: func(in PowerIn) berth.ID { return berth.ID(in.ServerID) },
		Role:    PowerIn.role,
		Priced:  true,
		Plan:    s.planPower,
		Commit: func(ctx context.Context, tx Tx, r *Request, in PowerIn, p Plan) (WorkOut, Effect, error) {
			a, err := s.fleet.Power(ctx, tx, r.Server, in.Action, r.Charge)
			return s.work(ctx, tx, r, a, p, err)
		},
		Fresh: s.freshWork,
	})
	Add(s.table, Op[ResizeIn, ResizeOut]{
		Name: "resize_server",
		Doc: Doc{
			Title: "Resize a server", Text: "Move a server to another size. Its disk grows to the size's for good, or stays with keep_disk; it never shrinks. Off meanwhile. 0.005 USD + the difference for the remaining time.", Toolset: "default", Tag: "Servers",
			Unlisted: []string{"if_off"},
			Example:  `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d","size":"medium"}`, Destructive: true, Idempotent: true, OpenWorld: true,
		},
		Routes:  []Route{{Method: "POST", Path: "/v1/servers/{server_id}/resize", Status: http.StatusAccepted}},
		Access:  Identified,
		Fee:     billing.FeeResize,
		Subject: func(in ResizeIn) berth.ID { return berth.ID(in.ServerID) },
		Role:    always[ResizeIn](account.Admin),
		Priced:  true,
		Plan:    s.planResize,
		Commit:  s.resizeServer,
		Fresh: func(ctx context.Context, rx Rx, r *Request, out ResizeOut) (_ ResizeOut, err error) {
			out.WorkOut, err = s.freshWork(ctx, rx, r, out.WorkOut)
			return out, err
		},
	})
	Add(s.table, Op[RebuildIn, RebuildOut]{
		Name: "rebuild_server",
		Doc: Doc{
			Title: "Rebuild a server", Text: "Replace a server's disk by a fresh image or a snapshot. Its files are lost: take a snapshot first. 0.005 USD.", Toolset: "default", Tag: "Servers",
			Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d","image":"debian-12-x64"}`, Destructive: true, OpenWorld: true,
		},
		Routes:  []Route{{Method: "POST", Path: "/v1/servers/{server_id}/rebuild", Status: http.StatusAccepted}},
		Access:  Identified,
		Fee:     billing.FeeRebuild,
		Subject: func(in RebuildIn) berth.ID { return berth.ID(in.ServerID) },
		Role:    RebuildIn.role,
		Priced:  true,
		Plan:    s.planRebuild,
		Commit: func(ctx context.Context, tx Tx, r *Request, in RebuildIn, p Plan) (RebuildOut, Effect, error) {
			a, err := s.fleet.Rebuild(ctx, tx, r.Server, in.Image, berth.ID(in.SnapshotID), r.Charge)
			out, effect, err := s.work(ctx, tx, r, a, p, err)
			return RebuildOut{WorkOut: out}, effect, err
		},
		Reveal: s.revealRebuilt,
		Fresh: func(ctx context.Context, rx Rx, r *Request, out RebuildOut) (_ RebuildOut, err error) {
			out.WorkOut, err = s.freshWork(ctx, rx, r, out.WorkOut)
			return out, err
		},
	})
}

func (s *System) planPower(ctx context.Context, rx Rx, r *Request, in PowerIn) (Plan, error) {
	price, err := s.fleet.PlanPower(ctx, rx, r.Server, r.buyer(), in.Action)
	return Plan{
		Price: price, Reason: billing.ReasonService, Hold: true, Memo: "power " + in.Action,
		Terms: map[string]any{"server_id": in.ServerID, "action": in.Action},
	}, err
}

// revealRebuilt adds the root password, which a rebuild sets anew, for callers
// who asked for it and may see it.
func (s *System) revealRebuilt(_ context.Context, _ Rx, r *Request, in RebuildIn, out RebuildOut) (RebuildOut, error) {
	if !in.Reveal || r.Role < account.Admin || !r.Server.Status.Live() {
		return out, nil
	}
	secrets, err := s.fleet.Secrets(r.Server)
	out.RootPassword = secrets.RootPassword
	return out, err
}

func (s *System) planResize(ctx context.Context, rx Rx, r *Request, in ResizeIn) (Plan, error) {
	if in.IfOff && r.Server.Status == fleet.Active {
		return Plan{}, berth.Errorf(berth.Conflict, "the server is on; it has to be off for this").Hinted("turn it off first: power_server off")
	}
	price, err := s.fleet.PlanResize(ctx, rx, r.Server, r.buyer(), in.Size, in.KeepDisk)
	return Plan{
		Price: price, Reason: billing.ReasonService, Hold: true, Memo: "resize to " + in.Size,
		Terms: map[string]any{"server_id": in.ServerID, "size": in.Size},
	}, err
}

func (s *System) resizeServer(ctx context.Context, tx Tx, r *Request, in ResizeIn, p Plan) (ResizeOut, Effect, error) {
	delta, err := s.fleet.DepositDelta(r.Server, r.buyer(), in.Size, p.Price)
	if err != nil {
		return ResizeOut{}, Effect{}, err
	}
	a, err := s.fleet.Resize(ctx, tx, r.Server, in.Size, in.KeepDisk, p.Price, r.Charge)
	out, effect, err := s.work(ctx, tx, r, a, p, err)
	return ResizeOut{WorkOut: out, DepositDelta: delta}, effect, err
}

func (s *System) planRebuild(ctx context.Context, rx Rx, r *Request, in RebuildIn) (Plan, error) {
	if in.Image != "" && in.SnapshotID != "" {
		return Plan{}, wrongField("image", "a server is rebuilt from an image or from a snapshot, not from both")
	}
	if err := r.restorable(ctx, rx, in.SnapshotID); err != nil {
		return Plan{}, err
	}
	if in.Image == "" && in.SnapshotID == "" {
		return Plan{}, wrongField("image", fmt.Sprintf("say what to install, since all files are lost: %s as now, another image, or a snapshot_id", s.viewServer(r.Server).Image))
	}
	price, err := s.fleet.PlanRebuild(ctx, rx, r.Server, r.buyer(), in.Image, berth.ID(in.SnapshotID), nil)
	return Plan{
		Price: price, Reason: billing.ReasonService, Hold: true, Memo: "rebuild",
		Terms: map[string]any{"server_id": in.ServerID},
	}, err
}

// work is the answer of a commit that started an action on the request's
// server, unless it failed with err.
func (s *System) work(ctx context.Context, rx Rx, r *Request, a fleet.Action, p Plan, err error) (WorkOut, Effect, error) {
	if err != nil {
		return WorkOut{}, Effect{}, err
	}
	sv, err := rx.Server(ctx, r.Server.ID)
	out := WorkOut{Server: s.viewServer(sv).seenBy(r, sv), Action: viewAction(a), Charged: p.Price.Total}
	return out, Effect{Ref: sv.ID, Action: a}, err
}

func (s *System) freshWork(ctx context.Context, rx Rx, r *Request, out WorkOut) (_ WorkOut, err error) {
	out.Server, out.Action, err = s.refresh(ctx, rx, r, out.Server.ID, out.Action.ID)
	return out, err
}

// role is what the call needs: whoever may work on a server may reboot it.
func (in PowerIn) role() account.Role {
	if in.Action == "reboot" {
		return account.User
	}
	return account.Admin
}

// role is what the call needs: a snapshot is restored by its owner alone.
func (in RebuildIn) role() account.Role {
	if in.SnapshotID != "" {
		return account.Renter
	}
	return account.Owner
}
