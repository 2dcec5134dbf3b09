package ops

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// ExtendIn is the input of extend.
type ExtendIn struct {
	ID      string `json:"id" subject:"srv,snap" minLength:"1" maxLength:"64" doc:"A server (srv_…) or a snapshot (snap_…)."`
	Minutes int    `json:"minutes,omitempty" minimum:"1" maximum:"527040" doc:"For a server."`
	Days    int    `json:"days,omitempty" minimum:"1" maximum:"365" doc:"For a snapshot."`
}

// ExtendOut is what extend answers.
type ExtendOut struct {
	ID            berth.ID     `json:"id"`
	PaidUntil     *time.Time   `json:"paid_until,omitempty" doc:"Of a server."`
	MinutesAdded  int          `json:"minutes_added,omitempty"`
	ExpiresAt     *time.Time   `json:"expires_at,omitempty" doc:"Of a snapshot."`
	RemainingDays *float64     `json:"remaining_days,omitempty"`
	DaysAdded     int          `json:"days_added,omitempty"`
	Charged       berth.Micros `json:"charged"`
}

func (s *System) addLeases() {
	Add(s.table, Op[ExtendIn, ExtendOut]{
		Name: "extend",
		Doc: Doc{
			Title: "Extend a server or snapshot", Toolset: "default", Tag: "Servers", OpenWorld: false,
			Text:    "Add prepaid minutes to a server, or days of retention to a snapshot. At least 0.01 USD.",
			Example: `{"id":"srv_0193f2a4c1d05e6f7a8b9c0d","minutes":60}`,
		},
		Routes: []Route{
			{Method: "POST", Path: "/v1/servers/{id}/extend", Status: 200, Name: "extend_server", Summary: "Add prepaid minutes", Omit: []string{"days"}, Require: []string{"minutes"}},
			{Method: "POST", Path: "/v1/snapshots/{id}/extend", Status: 200, Name: "extend_snapshot", Summary: "Extend a snapshot's retention", Omit: []string{"minutes"}, Require: []string{"days"}},
		},
		Access:  Identified,
		Subject: func(in ExtendIn) berth.ID { return berth.ID(in.ID) },
		Priced:  true,
		Plan:    s.planExtend,
		Commit:  s.extend,
	})
}

func (s *System) planExtend(ctx context.Context, rx Rx, r *Request, in ExtendIn) (Plan, error) {
	p := Plan{Reason: billing.ReasonExtension, Terms: map[string]any{"id": in.ID, "minutes": in.Minutes, "days": in.Days}}
	var err error
	switch kind := berth.ID(in.ID).Prefix(); {
	case kind == berth.PrefixServer && in.Minutes > 0 && in.Days == 0:
		if r.Server.Status == fleet.Provisioning {
			return p, berth.Errorf(berth.Conflict, "the server %s is provisioning: its time has not begun", in.ID).
				Hinted("extend it once get_server shows it active")
		}
		p.Memo = plural("minute", in.Minutes) + " more"
		p.Price, err = s.fleet.PlanExtend(ctx, rx, r.Server, r.Principal, in.Minutes)
	case kind == berth.PrefixSnapshot && in.Days > 0 && in.Minutes == 0:
		p.Memo = plural("day", in.Days) + " more"
		p.Price, err = s.fleet.PlanRetain(ctx, rx, r.Snapshot, r.Principal, in.Days)
	case kind == berth.PrefixServer && in.Minutes == 0:
		err = wrongField("minutes", "is required for a server")
	case kind == berth.PrefixSnapshot && in.Days == 0:
		err = wrongField("days", "is required for a snapshot")
	case kind == berth.PrefixServer:
		err = wrongField("minutes", "a server is extended by minutes, and by nothing else")
	case kind == berth.PrefixSnapshot:
		err = wrongField("days", "a snapshot is extended by days, and by nothing else")
	default:
		err = wrongField("id", "only servers (srv_…) and snapshots (snap_…) can be extended")
	}
	return p, err
}

func wrongField(name, reason string) error {
	e := berth.Errorf(berth.InvalidInput, "%s: %s", name, reason)
	e.Fields = []berth.Field{{Name: name, Reason: reason}}
	return e
}

func (s *System) extend(ctx context.Context, tx Tx, r *Request, in ExtendIn, p Plan) (ExtendOut, Effect, error) {
	out := ExtendOut{ID: berth.ID(in.ID), MinutesAdded: in.Minutes, DaysAdded: in.Days, Charged: p.Price.Total}
	effect := Effect{Ref: out.ID}
	if in.Minutes > 0 {
		sv, err := s.fleet.Extend(ctx, tx, r.Server, in.Minutes)
		until := stamp(sv.Lease.PaidUntil)
		out.PaidUntil = &until
		return out, effect, err
	}
	snap, err := s.fleet.Retain(ctx, tx, r.Snapshot, in.Days)
	expires, days := stamp(snap.ExpiresAt), daysLeft(snap.ExpiresAt.Sub(s.now()))
	out.ExpiresAt, out.RemainingDays = &expires, &days
	return out, effect, err
}

// daysLeft is a duration in days, to two decimals, never below zero.
func daysLeft(d time.Duration) float64 {
	return float64(max(0, d)/(864*time.Second)) / 100
}

// plural says how many of a thing, in English.
func plural(thing string, n int) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
