package ops

import (
	"context"

	"berth"
	"berth/account"
	"berth/fleet"
)

// ActionIn names an action.
type ActionIn struct {
	ActionID string `json:"action_id" subject:"act" minLength:"1" maxLength:"64"`
}

// ActionsIn chooses actions.
type ActionsIn struct {
	Subject string `json:"subject,omitempty" subject:"srv,snap" maxLength:"64" pattern:"^((srv|snap)_[0-9a-f]{24})?$" patternDescription:"the id of a server or snapshot" doc:"Only those of this server or snapshot."`
	Open    bool   `json:"open,omitempty" doc:"Only those that still run."`
	Limit   int    `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// ActionsOut is what list_actions answers.
type ActionsOut struct {
	Actions []ActionView `json:"actions"`
}

// EventsIn chooses events.
type EventsIn struct {
	After int64 `json:"after,omitempty" minimum:"0" maximum:"9007199254740991" doc:"Only events with a larger seq."`
	Limit int   `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// EventsOut is what list_events answers.
type EventsOut struct {
	Events []fleet.Event `json:"events"`
}

func (s *System) addActions() {
	Add(s.table, Op[ActionIn, ActionView]{
		Name: "get_action",
		Doc: Doc{
			Title: "Look at an action", Text: "How far long work has come: status, stage, percent. With wait_seconds it waits for the end. Free.", Toolset: "default", Tag: "Actions",
			Example: `{"action_id":"act_0193f2a4c1d05e6f7a8b9c0d"}`, ReadOnly: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "GET", Path: "/v1/actions/{action_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in ActionIn) berth.ID { return berth.ID(in.ActionID) },
		Role:    always[ActionIn](account.User),
		Read: func(_ context.Context, _ Rx, r *Request, _ ActionIn) (ActionView, error) {
			return viewAction(r.Action), nil
		},
		Fresh: func(ctx context.Context, rx Rx, _ *Request, out ActionView) (ActionView, error) {
			a, err := rx.Action(ctx, out.ID)
			return viewAction(a), err
		},
	})
	Add(s.table, Op[ActionsIn, ActionsOut]{
		Name: "list_actions",
		Doc: Doc{
			Title: "List actions", Text: "Your latest actions, newest first. Free.", Toolset: "more", Tag: "Actions",
			Example: `{"open":true}`, ReadOnly: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "GET", Path: "/v1/actions", Status: 200}},
		Access:  Identified,
		Subject: func(in ActionsIn) berth.ID { return berth.ID(in.Subject) },
		Role:    always[ActionsIn](account.User),
		Read: func(ctx context.Context, rx Rx, r *Request, in ActionsIn) (ActionsOut, error) {
			f := fleet.ActionFilter{Owner: r.Principal.ID, Subject: berth.ID(in.Subject), Open: in.Open, Limit: in.Limit}
			switch f.Subject.Prefix() {
			case berth.PrefixServer:
				f.Owner = r.Server.Owner // who may be another one, of its pool
			case berth.PrefixSnapshot:
				f.Owner = r.Snapshot.Owner
			}
			list, err := rx.Actions(ctx, f)
			out := ActionsOut{Actions: make([]ActionView, len(list))}
			for i, a := range list {
				out.Actions[i] = viewAction(a)
			}
			return out, err
		},
	})
	Add(s.table, Op[EventsIn, EventsOut]{
		Name: "list_events",
		Doc: Doc{
			Title: "List events", Text: "What happened to your servers and snapshots, oldest first: warnings, renewals, stages. Free.", Toolset: "more", Tag: "Actions",
			Example: `{"after":0}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/events", Status: 200}},
		Access: Identified,
		Read: func(ctx context.Context, rx Rx, r *Request, in EventsIn) (EventsOut, error) {
			list, err := rx.Events(ctx, r.Principal.ID, in.After, in.Limit)
			if list == nil {
				list = []fleet.Event{}
			}
			return EventsOut{Events: list}, err
		},
	})
}
