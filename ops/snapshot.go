package ops

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// SnapshotView is a snapshot as its owner sees it.
type SnapshotView struct {
	ID            berth.ID             `json:"id" example:"snap_0193f2a4c1d05e6f7a8b9c0d"`
	Name          string               `json:"name"`
	Status        fleet.SnapshotStatus `json:"status" enum:"pending,available,deleted,expired,error"`
	ServerID      berth.ID             `json:"server_id" doc:"What it was taken of."`
	Region        string               `json:"region"`
	Size          string               `json:"size" doc:"The server's, when it was taken."`
	SizeGB        float64              `json:"size_gb" doc:"What is stored; retention is charged by it."`
	MinDiskGB     int                  `json:"min_disk_gb" doc:"The smallest disk that it can be restored to."`
	CreatedAt     time.Time            `json:"created_at"`
	ExpiresAt     time.Time            `json:"expires_at"`
	RemainingDays float64              `json:"remaining_days"`
	Class         fleet.SnapshotClass  `json:"class" enum:"snapshot,backup"`
}

func (s *System) viewSnapshot(v fleet.Snapshot) SnapshotView {
	left := v.ExpiresAt.Sub(s.now())
	if v.Status != fleet.SnapshotPending && v.Status != fleet.SnapshotAvailable {
		left = 0
	}
	return SnapshotView{
		ID: v.ID, Name: v.Name, Status: v.Status, ServerID: v.Server,
		Region: s.catalog.Prices[cmp.Or(v.Contract, billing.Native)].RegionName(v.Region), Size: v.Size,
		SizeGB: math.Round(float64(v.Bytes)/1e5) / 1e4, MinDiskGB: v.MinDiskGB,
		CreatedAt: stamp(v.Created), ExpiresAt: stamp(v.ExpiresAt), RemainingDays: daysLeft(left), Class: v.Class,
	}
}

// SnapshotIn is the input of snapshot.
type SnapshotIn struct {
	ServerIn
	Name  string `json:"name,omitempty" maxLength:"64"`
	Class string `json:"class,omitempty" enum:"snapshot,backup" default:"snapshot" doc:"A backup is kept 7 days, for 0.05 USD."`
}

// SnapshotOut is what snapshot answers.
type SnapshotOut struct {
	SnapshotView
	ExpiresIn int          `json:"expires_in_hours"`
	Message   string       `json:"message"`
	Charged   berth.Micros `json:"charged"`
	Action    ActionView   `json:"action"`
}

// ListSnapshotsIn pages through snapshots.
type ListSnapshotsIn struct {
	All    bool   `json:"all,omitempty" doc:"Also those that have ended."`
	Recent bool   `json:"recent,omitempty" doc:"Also those that failed, or ended in the last 24 hours."`
	Class  string `json:"class,omitempty" enum:"snapshot,backup"`
	After  string `json:"after,omitempty" maxLength:"64" pattern:"^(snap_[0-9a-f]{24})?$" patternDescription:"the next of the page before" doc:"The next of the page before."`
	Limit  int    `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// SnapshotsOut is what list_snapshots answers.
type SnapshotsOut struct {
	Snapshots []SnapshotView `json:"snapshots"`
	Next      string         `json:"next,omitempty" doc:"Pass as after for the next page."`
}

// Page is what is listed, and where the next page begins.
func (o SnapshotsOut) Page() ([]SnapshotView, string) { return o.Snapshots, o.Next }

// OneSnapshotIn names a snapshot.
type OneSnapshotIn struct {
	SnapshotID string `json:"snapshot_id" subject:"snap" minLength:"1" maxLength:"64"`
}

// DeleteSnapshotOut is what delete_snapshot answers.
type DeleteSnapshotOut struct {
	Deleted bool       `json:"deleted"`
	ID      berth.ID   `json:"id"`
	Action  ActionView `json:"action"`
}

func (s *System) addSnapshots() {
	Add(s.table, Op[SnapshotIn, SnapshotOut]{
		Name: "snapshot",
		Doc: Doc{
			Title: "Snapshot a server", Text: "Copy a running server's disk. Kept 72 hours free; extend keeps it longer. 0.01 USD. Restore it by create_server with snapshot_id.", Toolset: "default", Tag: "Snapshots",
			Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d","name":"before-upgrade"}`, OpenWorld: true,
		},
		Routes:  []Route{{Method: "POST", Path: "/v1/servers/{server_id}/snapshot", Status: http.StatusAccepted}},
		Access:  Identified,
		Subject: func(in SnapshotIn) berth.ID { return berth.ID(in.ServerID) },
		Role:    always[SnapshotIn](account.Admin),
		Priced:  true,
		Plan:    s.planSnapshot,
		Commit:  s.takeSnapshot,
		Fresh:   s.freshSnapshot,
	})
	Add(s.table, Op[ListSnapshotsIn, SnapshotsOut]{
		Name: "list_snapshots",
		Doc: Doc{
			Title: "List snapshots", Text: "Your snapshots with size and expiry, newest first. Free.", Toolset: "default", Tag: "Snapshots",
			Unlisted: []string{"recent"}, Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/snapshots", Status: 200}},
		Access: Identified,
		Read:   s.listSnapshots,
	})
	Add(s.table, Op[OneSnapshotIn, SnapshotView]{
		Name: "get_snapshot",
		Doc: Doc{
			Title: "Look at a snapshot", Text: "One snapshot: source, size, region, expiry. Free.", Toolset: "more", Tag: "Snapshots",
			Example: `{"snapshot_id":"snap_0193f2a4c1d05e6f7a8b9c0d"}`, ReadOnly: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "GET", Path: "/v1/snapshots/{snapshot_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in OneSnapshotIn) berth.ID { return berth.ID(in.SnapshotID) },
		Role:    always[OneSnapshotIn](account.User),
		Read: func(_ context.Context, _ Rx, r *Request, _ OneSnapshotIn) (SnapshotView, error) {
			return s.viewSnapshot(r.Snapshot), nil
		},
	})
	Add(s.table, Op[OneSnapshotIn, DeleteSnapshotOut]{
		Name: "delete_snapshot",
		Doc: Doc{
			Title: "Delete a snapshot", Text: "Delete a snapshot for good. Unused retention is not refunded. Free.", Toolset: "default", Tag: "Snapshots",
			Example: `{"snapshot_id":"snap_0193f2a4c1d05e6f7a8b9c0d"}`, Destructive: true, Idempotent: true, OpenWorld: true,
		},
		Routes:  []Route{{Method: "DELETE", Path: "/v1/snapshots/{snapshot_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in OneSnapshotIn) berth.ID { return berth.ID(in.SnapshotID) },
		Plan: func(ctx context.Context, rx Rx, r *Request, _ OneSnapshotIn) (Plan, error) {
			return Plan{}, s.fleet.PlanDeleteSnapshot(ctx, rx, r.Snapshot)
		},
		Commit: s.deleteSnapshot,
		Fresh: func(ctx context.Context, rx Rx, _ *Request, out DeleteSnapshotOut) (DeleteSnapshotOut, error) {
			a, err := rx.Action(ctx, out.Action.ID)
			out.Action = viewAction(a)
			return out, err
		},
	})
}

func (s *System) planSnapshot(ctx context.Context, rx Rx, r *Request, in SnapshotIn) (Plan, error) {
	price, err := s.fleet.PlanSnapshot(ctx, rx, r.Server, r.buyer(), in.Name, fleet.SnapshotClass(in.Class))
	plan := Plan{
		Price: price, Reason: billing.ReasonService, Hold: true, Memo: "snapshot",
		Terms: map[string]any{"server_id": in.ServerID},
	}
	if in.Class == string(fleet.Backup) {
		plan.Memo, plan.Terms["class"] = "backup", in.Class
	}
	return plan, err
}

func (s *System) takeSnapshot(ctx context.Context, tx Tx, r *Request, in SnapshotIn, p Plan) (SnapshotOut, Effect, error) {
	snap, a, err := s.fleet.TakeSnapshot(ctx, tx, r.Server, in.Name, fleet.SnapshotClass(in.Class), r.Charge)
	if err != nil {
		return SnapshotOut{}, Effect{}, err
	}
	out := SnapshotOut{
		SnapshotView: s.viewSnapshot(snap), ExpiresIn: hoursLeft(snap.ExpiresAt.Sub(s.now())),
		Message: "The snapshot completes in the background; its retention starts when it is complete.",
		Charged: p.Price.Total, Action: viewAction(a),
	}
	return out, Effect{Ref: snap.ID, Action: a}, nil
}

func (s *System) freshSnapshot(ctx context.Context, rx Rx, _ *Request, out SnapshotOut) (SnapshotOut, error) {
	snap, err := rx.Snapshot(ctx, out.ID)
	if err != nil {
		return out, err
	}
	a, err := rx.Action(ctx, out.Action.ID)
	out.SnapshotView, out.Action = s.viewSnapshot(snap), viewAction(a)
	out.ExpiresIn = hoursLeft(snap.ExpiresAt.Sub(s.now()))
	if snap.Status == fleet.SnapshotAvailable {
		out.Message = "The snapshot is complete; restore it by create_server with snapshot_id."
	}
	return out, err
}

func (s *System) listSnapshots(ctx context.Context, rx Rx, r *Request, in ListSnapshotsIn) (SnapshotsOut, error) {
	page := fleet.SnapshotFilter{
		All: in.All, Contract: r.sees(), Class: fleet.SnapshotClass(in.Class), After: berth.ID(in.After), Limit: in.Limit,
	}
	if in.Recent {
		page.Since = s.now().Add(-24 * time.Hour)
	}
	list, err := rx.Snapshots(ctx, r.Principal.ID, page)
	out := SnapshotsOut{Snapshots: make([]SnapshotView, len(list))}
	for i, snap := range list {
		out.Snapshots[i] = s.viewSnapshot(snap)
	}
	if len(list) == in.Limit {
		out.Next = string(list[len(list)-1].ID)
	}
	return out, err
}

func (s *System) deleteSnapshot(ctx context.Context, tx Tx, r *Request, _ OneSnapshotIn, _ Plan) (DeleteSnapshotOut, Effect, error) {
	a, err := s.fleet.DeleteSnapshot(ctx, tx, r.Snapshot)
	if err != nil {
		return DeleteSnapshotOut{}, Effect{}, err
	}
	return DeleteSnapshotOut{Deleted: true, ID: r.Snapshot.ID, Action: viewAction(a)}, Effect{Ref: r.Snapshot.ID, Action: a}, nil
}
