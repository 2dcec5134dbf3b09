package ops

import (
	"context"
	"net/http"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// CreateServersIn is the input of create_servers.
type CreateServersIn struct {
	Count int `json:"count" minimum:"1" maximum:"10"`
	CreateServerIn
}

// FleetOut is what create_servers answers.
type FleetOut struct {
	Servers          []ServerView `json:"servers"`
	MinutesPurchased int          `json:"minutes_purchased" doc:"Of each, with the lease minutes; else 0."`
	TotalCharged     berth.Micros `json:"total_charged" doc:"Held now, in equal parts; each is charged when its server is delivered, and released if it fails. Deposits go into escrows."`
	Actions          []ActionView `json:"actions" doc:"One for each server, in their order."`
}

// actionIDs are the actions that the call started, to be waited for together.
func (o FleetOut) actionIDs() []berth.ID {
	ids := make([]berth.ID, len(o.Actions))
	for i, a := range o.Actions {
		ids[i] = a.ID
	}
	return ids
}

func (s *System) addFleets() {
	Add(s.table, Op[CreateServersIn, FleetOut]{
		Name: "create_servers",
		Doc: Doc{
			Title: "Create several servers", Toolset: "more", Tag: "Servers", OpenWorld: true,
			Text:    "Buy 1 to 10 equal servers at once, all or none, each at create_server's price in USD. Labels get the ends -1, -2 and so on. Each is charged only if it is delivered: the answer tells of any that failed. Takes port_forwards, cloud_init and all_ssh_keys too.",
			Example: `{"count":3,"size":"small","region":"nyc1","minutes":60,"label":"web"}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/servers/bulk", Status: http.StatusCreated}},
		Access: Identified,
		Priced: true,
		Plan: func(ctx context.Context, rx Rx, r *Request, in CreateServersIn) (Plan, error) {
			return s.planCreate(ctx, rx, r, in.CreateServerIn, in.Count)
		},
		Commit: s.createServers,
		Fresh:  s.freshFleet,
	})
}

// createServers orders servers that differ by their labels only. Each has its own
// row, action and charge, so that each fails by itself.
func (s *System) createServers(ctx context.Context, tx Tx, r *Request, in CreateServersIn, p Plan) (FleetOut, Effect, error) {
	order, err := s.createOrder(r, in.CreateServerIn)
	if err != nil {
		return FleetOut{}, Effect{}, err
	}
	order.Count = in.Count
	out, each := FleetOut{TotalCharged: p.Price.Total}, fleet.Each(p.Price, in.Count)
	if order.Period == fleet.Minute {
		out.MinutesPurchased = in.Minutes
	}
	var effect Effect
	for n := 1; n <= in.Count; n++ {
		charge := ""
		if each.Total > each.Deposit {
			charge = string(berth.NewID(berth.PrefixTransaction, s.now()))
		}
		sv, a, err := s.fleet.Create(ctx, tx, order.Nth(n), each, charge)
		if err != nil {
			return FleetOut{}, Effect{}, err
		}
		out.Servers, out.Actions = append(out.Servers, s.viewServer(sv)), append(out.Actions, viewAction(a))
		effect.Shares = append(effect.Shares, Share{Ref: sv.ID, Action: a, Charge: charge, Price: each})
	}
	return out, effect, nil
}

func (s *System) freshFleet(ctx context.Context, rx Rx, r *Request, out FleetOut) (_ FleetOut, err error) {
	for i := range out.Servers {
		out.Servers[i], out.Actions[i], err = s.refresh(ctx, rx, r, out.Servers[i].ID, out.Actions[i].ID)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Share is one of several things that a call buys at once: its money is taken by
// itself, and goes by its own action.
type Share struct {
	Ref    berth.ID // what the money is for
	Action fleet.Action
	Charge string // the id of the money's transfer; empty where it is free
	Price  billing.Price
}

// shares are what a commit's money is for: one thing, unless it says otherwise.
// charge and price are the whole call's.
func (e Effect) shares(charge string, price billing.Price) []Share {
	if len(e.Shares) > 0 {
		return e.Shares
	}
	return []Share{{Ref: e.Ref, Action: e.Action, Charge: charge, Price: price}}
}

// actions are the actions that a commit started.
func (e Effect) actions() (list []fleet.Action) {
	for _, share := range e.shares("", billing.Price{}) {
		if share.Action.ID != "" {
			list = append(list, share.Action)
		}
	}
	return list
}

// first is the id of the action that stands for all that a commit started; empty
// where it started none.
func (e Effect) first() berth.ID {
	for _, a := range e.actions() {
		return a.ID
	}
	return ""
}
