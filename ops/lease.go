package ops

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// ExtendIn is the input of extend.
type ExtendIn struct {
	ID      string `json:"id" subject:"srv,snap" minLength:"1" maxLength:"64" doc:"A server (srv_…) or a snapshot (snap_…)."`
	Minutes int    `json:"minutes,omitempty" minimum:"1" maximum:"527040" doc:"For a prepaid server."`
	Days    int    `json:"days,omitempty" minimum:"1" maximum:"365" doc:"For a snapshot, or a rental (1, 7 or 30)."`
	Deposit string `json:"deposit,omitempty" maxLength:"20" doc:"USD, for a server with a deposit."`
}

// ExtendOut is what extend answers.
type ExtendOut struct {
	ID            berth.ID     `json:"id"`
	PaidUntil     *time.Time   `json:"paid_until,omitempty" doc:"Of a server."`
	MinutesAdded  int          `json:"minutes_added,omitempty"`
	ExpiresAt     *time.Time   `json:"expires_at,omitempty" doc:"Of a snapshot."`
	RemainingDays *float64     `json:"remaining_days,omitempty"`
	DaysAdded     int          `json:"days_added,omitempty"`
	DepositAdded  berth.Micros `json:"deposit_added,omitempty"`
	Charged       berth.Micros `json:"charged"`
}

func (s *System) addLeases() {
	Add(s.table, Op[ExtendIn, ExtendOut]{
		Name: "extend",
		Doc: Doc{
			Title: "Extend a server or snapshot", Toolset: "default", Tag: "Servers", OpenWorld: false,
			Text:    "Add to a server what its lease takes (minutes, days or deposit), or days of retention to a snapshot. At least 0.01 USD. An hourly server extends itself.",
			Example: `{"id":"srv_0193f2a4c1d05e6f7a8b9c0d","minutes":60}`,
		},
		Routes: []Route{
			{Method: "POST", Path: "/v1/servers/{id}/extend", Status: 200, Name: "extend_server", Summary: "Add minutes, days or deposit"},
			{Method: "POST", Path: "/v1/snapshots/{id}/extend", Status: 200, Name: "extend_snapshot", Summary: "Extend a snapshot's retention", Omit: []string{"minutes", "deposit"}, Require: []string{"days"}},
		},
		Access:  Identified,
		Subject: func(in ExtendIn) berth.ID { return berth.ID(in.ID) },
		Role:    ExtendIn.role,
		Priced:  true,
		Plan:    s.planExtend,
		Commit:  s.extend,
	})
}

// role is what the call needs: a snapshot is its owner's affair.
func (in ExtendIn) role() account.Role {
	if berth.ID(in.ID).Prefix() == berth.PrefixServer {
		return account.Admin
	}
	return account.Renter
}

func (s *System) planExtend(ctx context.Context, rx Rx, r *Request, in ExtendIn) (Plan, error) {
	p := Plan{Reason: billing.ReasonExtension, Terms: map[string]any{"id": in.ID, "minutes": in.Minutes, "days": in.Days}}
	var err error
	switch berth.ID(in.ID).Prefix() {
	case berth.PrefixServer:
		return s.planMore(ctx, rx, r, in, p)
	case berth.PrefixSnapshot:
		switch {
		case in.Minutes > 0 || in.Deposit != "":
			return p, wrongField("days", "a snapshot is extended by days, and by nothing else")
		case in.Days == 0:
			return p, wrongField("days", "is required for a snapshot")
		}
		p.Memo = plural("day", in.Days) + " more"
		p.Price, err = s.fleet.PlanRetain(ctx, rx, r.Snapshot, r.buyer(), in.Days)
		return p, err
	}
	return p, wrongField("id", "only servers (srv_…) and snapshots (snap_…) can be extended")
}

// planMore plans the extension of a server, by what its kind of lease takes.
func (s *System) planMore(ctx context.Context, rx Rx, r *Request, in ExtendIn, p Plan) (Plan, error) {
	more, err := in.more()
	if err != nil {
		return p, err
	}
	var unit string
	var missing bool
	switch l := r.Server.Lease; l.Period {
	case fleet.Minute:
		unit, missing, p.Memo = "minutes", in.Minutes == 0, plural("minute", in.Minutes)+" more"
	case fleet.Day:
		unit, missing, p.Memo = "days", in.Days == 0, plural("day", in.Days)+" more"
	case fleet.Deposit:
		unit, missing, p.Memo = "deposit", in.Deposit == "", "more deposit"
		p.Terms["deposit"] = more.Deposit.String()
	}
	if missing {
		return p, wrongField(unit, "is required for this server")
	}
	if r.Server.Status == fleet.Provisioning && r.Server.Lease.Period != fleet.Hour {
		e := berth.Errorf(berth.Conflict, "the server %s is provisioning: its time has not begun", in.ID)
		e.RetryAfter = 5 * time.Second
		return p, e.Hinted("try again in some seconds: its time begins when it answers")
	}
	p.Price, err = s.fleet.PlanExtend(ctx, rx, r.Server, r.buyer(), more)
	return p, err
}

// more is what a server is to be extended by.
func (in ExtendIn) more() (fleet.More, error) {
	deposit, err := positiveAmount("deposit", in.Deposit)
	return fleet.More{Minutes: in.Minutes, Days: in.Days, Deposit: deposit}, err
}

func wrongField(name, reason string) error {
	e := berth.Errorf(berth.InvalidInput, "%s: %s", name, reason)
	e.Fields = []berth.Field{{Name: name, Reason: reason}}
	return e
}

func (s *System) extend(ctx context.Context, tx Tx, r *Request, in ExtendIn, p Plan) (ExtendOut, Effect, error) {
	out := ExtendOut{
		ID: berth.ID(in.ID), MinutesAdded: in.Minutes, DaysAdded: in.Days, DepositAdded: p.Price.Deposit, Charged: p.Price.Total,
	}
	effect := Effect{Ref: out.ID}
	if out.ID.Prefix() == berth.PrefixServer {
		more, err := in.more()
		if err != nil {
			return out, effect, err
		}
		sv, err := s.fleet.Extend(ctx, tx, r.Server, r.buyer(), more, p.Price)
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
