package ops

import (
	"context"
	"net/http"
	"strings"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// CreateServerIn is the input of create_server.
type CreateServerIn struct {
	Size    string `json:"size,omitempty" catalog:"size" more:"list_offers" maxLength:"64"`
	Region  string `json:"region,omitempty" catalog:"region" more:"list_offers" maxLength:"64"`
	OfferID string `json:"offer_id,omitempty" maxLength:"64" doc:"Instead of size and region."`
	Image   string `json:"image,omitempty" catalog:"image" maxLength:"64" doc:"Default ubuntu-24-04-x64."`
	Minutes int    `json:"minutes,omitempty" minimum:"1" maximum:"527040" default:"1" doc:"Prepaid minutes; they start when SSH answers."`
	LeaseIn
	Label      string   `json:"label,omitempty" maxLength:"64" pattern:"^[a-zA-Z0-9._-]{1,64}$"`
	SSHKeyIDs  []string `json:"ssh_key_ids,omitempty" maxItems:"20" doc:"Keys of yours to install; ssh_exec needs none."`
	AllSSHKeys bool     `json:"all_ssh_keys,omitempty" doc:"Install all of them."`
	SnapshotID string   `json:"snapshot_id,omitempty" minLength:"1" maxLength:"64" doc:"Restore from this snapshot."`
	BootIn
	AutoRenew bool   `json:"auto_renew,omitempty" doc:"Buy the same again at the end."`
	PoolID    string `json:"pool_id,omitempty" maxLength:"64" doc:"Whose members may use it."`
}

// names are the private things that the order names. Only their owner can place
// it.
func (in CreateServerIn) names() (ids []berth.ID) {
	for _, id := range append(in.SSHKeyIDs, in.SnapshotID, in.PoolID) {
		for _, kind := range []string{berth.PrefixKey, berth.PrefixSnapshot, berth.PrefixPool} {
			if _, err := berth.ParseID(kind, id); err == nil {
				ids = append(ids, berth.ID(id))
			}
		}
	}
	return ids
}

// CreateServerOut is what create_server answers.
type CreateServerOut struct {
	ServerView
	MinutesPurchased int          `json:"minutes_purchased" doc:"Of the lease minutes; else 0."`
	TotalCharged     berth.Micros `json:"total_charged" doc:"Held now, charged when the server is delivered. A deposit goes into an escrow."`
	Action           ActionView   `json:"action"`
}

// ServerIn names a server.
type ServerIn struct {
	ServerID string `json:"server_id" subject:"srv" minLength:"1" maxLength:"64"`
}

// GetServerIn is the input of get_server.
type GetServerIn struct {
	ServerIn
	Reveal bool `json:"reveal_credentials,omitempty" doc:"Include the root password."`
}

// ListServersIn pages through servers.
type ListServersIn struct {
	PoolID string `json:"pool_id,omitempty" subject:"pool" maxLength:"64" doc:"All of this pool."`
	All    bool   `json:"all,omitempty" doc:"Also those that have ended."`
	Failed bool   `json:"failed,omitempty" doc:"Also those that failed."`
	After  string `json:"after,omitempty" maxLength:"64" pattern:"^(srv_[0-9a-f]{24})?$" patternDescription:"the next of the page before" doc:"The next of the page before."`
	Limit  int    `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// ServersOut is what list_servers answers.
type ServersOut struct {
	Servers []ServerView `json:"servers"`
	Next    string       `json:"next,omitempty" doc:"Pass as after for the next page."`
}

// Page is what is listed, and where the next page begins.
func (o ServersOut) Page() ([]ServerView, string) { return o.Servers, o.Next }

// DestroyIn is the input of destroy_server.
type DestroyIn struct {
	ServerIn
	Discard bool `json:"discard,omitempty" doc:"Take no snapshot: its files are lost."`
}

// DestroyOut is what destroy_server answers.
type DestroyOut struct {
	Deleted  bool           `json:"deleted"`
	ID       berth.ID       `json:"id"`
	Status   fleet.Status   `json:"status"`
	Snapshot *FinalSnapshot `json:"snapshot" doc:"Null where the server never came up, or its disk was discarded."`
	Refund   berth.Micros   `json:"refund,omitempty" doc:"The rest of a deposit; it returns as soon as the snapshot is taken."`
	Action   ActionView     `json:"action"`
}

// FinalSnapshot is the snapshot that a server leaves behind.
type FinalSnapshot struct {
	ID        berth.ID             `json:"id"`
	Status    fleet.SnapshotStatus `json:"status"`
	ExpiresIn int                  `json:"expires_in_hours"`
}

func (s *System) addServers() {
	Add(s.table, Op[CreateServerIn, CreateServerOut]{
		Name: "create_server",
		Doc: Doc{
			Title: "Create a server", Toolset: "default", Tag: "Servers", OpenWorld: true,
			Text:     "Buy a server: create fee + hourly price × minutes / 60 (or another lease), from your balance, charged only if it is delivered. Answers when SSH answers. Reuse the idempotency_key when you retry the same purchase. For port_forwards or cloud_init see create_servers.",
			Example:  `{"size":"small","region":"nyc1","minutes":60,"label":"web-1"}`,
			Unlisted: []string{"all_ssh_keys", "cloud_init", "port_forwards"},
		},
		Routes: []Route{{Method: "POST", Path: "/v1/servers", Status: http.StatusCreated}},
		Access: Identified,
		Priced: true,
		Plan: func(ctx context.Context, rx Rx, r *Request, in CreateServerIn) (Plan, error) {
			return s.planCreate(ctx, rx, r, in, 0)
		},
		Commit: s.createServer,
		Fresh: func(ctx context.Context, rx Rx, r *Request, out CreateServerOut) (_ CreateServerOut, err error) {
			out.ServerView, out.Action, err = s.refresh(ctx, rx, r, out.ID, out.Action.ID)
			return out, err
		},
	})
	Add(s.table, Op[ListServersIn, ServersOut]{
		Name: "list_servers",
		Doc: Doc{
			Title: "List servers", Text: "Your servers, newest first; those of others in a pool by pool_id. Free.", Toolset: "default", Tag: "Servers",
			Unlisted: []string{"failed"}, Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "GET", Path: "/v1/servers", Status: 200}},
		Access:  Identified,
		Subject: func(in ListServersIn) berth.ID { return berth.ID(in.PoolID) },
		Role:    always[ListServersIn](account.User),
		Read:    s.listServers,
	})
	Add(s.table, Op[GetServerIn, ServerView]{
		Name: "get_server",
		Doc: Doc{
			Title: "Look at a server", Text: "One server: status, address, SSH command, remaining time. Free.", Toolset: "default", Tag: "Servers",
			Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d"}`, ReadOnly: true, Idempotent: true,
		},
		// The contract's detail answers with the password, always.
		Routes:  []Route{{Method: "GET", Path: "/v1/servers/{server_id}", Status: 200, Fixed: map[string]any{"reveal_credentials": true}}},
		Access:  Identified,
		Subject: func(in GetServerIn) berth.ID { return berth.ID(in.ServerID) },
		Role:    always[GetServerIn](account.User),
		Read:    s.getServer,
	})
	s.addServerWork()
	s.addDestroy()
}

func (s *System) addDestroy() {
	Add(s.table, Op[DestroyIn, DestroyOut]{
		Name: "destroy_server",
		Doc: Doc{
			Title: "Destroy a server", Text: "End a server. A snapshot is taken first and kept 72 hours free. Unused minutes, hours and days are not refunded; the rest of a deposit is. Free.", Toolset: "default", Tag: "Servers",
			Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d"}`, Destructive: true, Idempotent: true, OpenWorld: true,
		},
		Routes:  []Route{{Method: "DELETE", Path: "/v1/servers/{server_id}", Status: 200}},
		Access:  Identified,
		Fee:     billing.FeeDestroy,
		Subject: func(in DestroyIn) berth.ID { return berth.ID(in.ServerID) },
		Plan: func(ctx context.Context, rx Rx, r *Request, in DestroyIn) (Plan, error) {
			price, err := s.fleet.PlanDestroy(ctx, rx, r.Server, r.buyer())
			return Plan{Price: price, Reason: billing.ReasonService, Memo: "destroy", Terms: map[string]any{"server_id": in.ServerID}}, err
		},
		Commit: s.destroyServer,
		Fresh:  s.freshDestroy,
	})
}

func (s *System) createOrder(r *Request, in CreateServerIn) (fleet.CreateOrder, error) {
	in, err := s.chosen(r, in)
	if err != nil {
		return fleet.CreateOrder{}, err
	}
	keys := make([]berth.ID, len(in.SSHKeyIDs))
	for i, k := range in.SSHKeyIDs {
		keys[i] = berth.ID(k)
	}
	o := fleet.CreateOrder{
		Owner: r.Principal, Contract: r.Contract, Pool: berth.ID(in.PoolID), Label: in.Label, Size: in.Size, Region: in.Region, Image: in.Image, Minutes: in.Minutes,
		Keys: keys, AllKeys: in.AllSSHKeys, Snapshot: berth.ID(in.SnapshotID), AutoRenew: in.AutoRenew,
	}
	in.BootIn.fill(&o)
	return o, in.LeaseIn.fill(&o)
}

// planCreate plans one server, or where count is above zero so many equal ones.
func (s *System) planCreate(ctx context.Context, rx Rx, r *Request, in CreateServerIn, count int) (Plan, error) {
	if in.Image != "" && in.SnapshotID != "" {
		return Plan{}, wrongField("image", "a server starts from an image or from a snapshot, not from both")
	}
	order, err := s.createOrder(r, in)
	if err != nil {
		return Plan{}, err
	}
	order.Count = count
	if in.PoolID != "" {
		if _, err := r.member(ctx, rx, order.Pool, account.Admin); err != nil {
			return Plan{}, err
		}
	}
	if err := r.restorable(ctx, rx, in.SnapshotID); err != nil {
		return Plan{}, err
	}
	price, err := s.fleet.PlanCreate(ctx, rx, order)
	terms, memo := orderTerms(order, price)
	return Plan{Price: price, Reason: billing.ReasonPurchase, Hold: true, Memo: memo, Terms: terms}, err
}

func (s *System) createServer(ctx context.Context, tx Tx, r *Request, in CreateServerIn, p Plan) (CreateServerOut, Effect, error) {
	order, err := s.createOrder(r, in)
	if err != nil {
		return CreateServerOut{}, Effect{}, err
	}
	sv, a, err := s.fleet.Create(ctx, tx, order, p.Price, r.Charge)
	if err != nil {
		return CreateServerOut{}, Effect{}, err
	}
	out := CreateServerOut{ServerView: s.viewServer(sv), TotalCharged: p.Price.Total, Action: viewAction(a)}
	if order.Period == fleet.Minute {
		out.MinutesPurchased = in.Minutes
	}
	return out, Effect{Ref: sv.ID, Action: a}, nil
}

func (s *System) listServers(ctx context.Context, rx Rx, r *Request, in ListServersIn) (ServersOut, error) {
	list, err := s.serversOf(ctx, rx, r, in)
	out := ServersOut{Servers: make([]ServerView, len(list))}
	for i, sv := range list {
		out.Servers[i] = s.viewServer(sv).seenBy(r, sv)
	}
	if len(list) == in.Limit {
		out.Next = string(list[len(list)-1].ID)
	}
	return out, err
}

// serversOf are the servers that list_servers is about: the caller's, or a
// pool's.
func (s *System) serversOf(ctx context.Context, rx Rx, r *Request, in ListServersIn) ([]fleet.Server, error) {
	page := fleet.ServerFilter{All: in.All, Failed: in.Failed, Contract: r.sees(), After: berth.ID(in.After), Limit: in.Limit}
	switch {
	case in.PoolID == "":
		return rx.Servers(ctx, r.Principal.ID, page)
	case in.All:
		return nil, wrongField("all", "servers that have ended are listed to who rented them, without pool_id")
	}
	return rx.PoolServers(ctx, r.Pool.ID, page)
}

func (s *System) getServer(ctx context.Context, rx Rx, r *Request, in GetServerIn) (ServerView, error) {
	out := s.viewServer(r.Server).seenBy(r, r.Server)
	if out.TransactionID != "" {
		purchase, err := rx.Transfer(ctx, out.TransactionID)
		if err != nil {
			return out, err
		}
		out.Purchase = &purchase.Amount
	}
	switch {
	case !in.Reveal:
		return out, nil
	case !r.Server.Status.Live():
		return out, nil // there is nothing left that its password opens
	case r.Role < account.Admin:
		out.Note = strings.TrimSpace(out.Note + " The password is shown to admins of the pool.")
		return out, nil
	}
	secrets, err := s.fleet.Secrets(r.Server)
	out.RootPassword = secrets.RootPassword
	return out, err
}

func (s *System) destroyServer(ctx context.Context, tx Tx, r *Request, in DestroyIn, _ Plan) (DestroyOut, Effect, error) {
	rest := r.Server.Lease.Left(s.now())
	snap, a, err := s.fleet.Destroy(ctx, tx, r.Server, !in.Discard)
	if err != nil {
		return DestroyOut{}, Effect{}, err
	}
	out := DestroyOut{Deleted: true, ID: r.Server.ID, Status: fleet.Destroying, Refund: rest, Action: viewAction(a)}
	if snap.ID != "" {
		out.Snapshot = s.finalSnapshot(snap)
		return out, Effect{Ref: r.Server.ID, Action: a}, nil // the rest returns once that is taken
	}
	return out, Effect{Ref: r.Server.ID, Action: a}, s.returnDeposit(ctx, tx, r, rest)
}

func (s *System) finalSnapshot(snap fleet.Snapshot) *FinalSnapshot {
	return &FinalSnapshot{ID: snap.ID, Status: snap.Status, ExpiresIn: hoursLeft(snap.ExpiresAt.Sub(s.now()))}
}

// hoursLeft rounds to the nearest hour, so that a fresh snapshot has 72.
func hoursLeft(d time.Duration) int { return int(max(0, d).Round(time.Hour) / time.Hour) }

func (s *System) freshDestroy(ctx context.Context, rx Rx, r *Request, out DestroyOut) (DestroyOut, error) {
	sv, action, err := s.refresh(ctx, rx, r, out.ID, out.Action.ID)
	if err != nil {
		return out, err
	}
	out.Status, out.Action = sv.Status, action
	if out.Snapshot != nil {
		snap, err := rx.Snapshot(ctx, out.Snapshot.ID)
		if err != nil {
			return out, err
		}
		out.Snapshot = s.finalSnapshot(snap)
	}
	return out, nil
}

func (s *System) refresh(ctx context.Context, rx Rx, r *Request, server, action berth.ID) (ServerView, ActionView, error) {
	sv, err := rx.Server(ctx, server)
	if err != nil {
		return ServerView{}, ActionView{}, err
	}
	a, err := rx.Action(ctx, action)
	return s.viewServer(sv).seenBy(r, sv), viewAction(a), err
}

// Location is where the server can be looked at over HTTP.
func (o CreateServerOut) Location() string { return "/v1/servers/" + string(o.ID) }
