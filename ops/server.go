package ops

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// ServerView is a server as its owner sees it.
type ServerView struct {
	ID               berth.ID         `json:"id" example:"srv_0193f2a4c1d05e6f7a8b9c0d"`
	Label            string           `json:"label"`
	Status           fleet.Status     `json:"status" enum:"provisioning,active,off,suspended,destroying,destroyed,error"`
	Contract         billing.Contract `json:"contract,omitempty" doc:"What it was bought through, unless natively."`
	Region           string           `json:"region"`
	Size             string           `json:"size"`
	Image            string           `json:"image"`
	DiskGB           int              `json:"disk_gb,omitempty"`
	SnapshotID       berth.ID         `json:"snapshot_id,omitempty" doc:"What it was restored from."`
	PoolID           berth.ID         `json:"pool_id" doc:"Whose members may use it."`
	OwnerID          berth.ID         `json:"owner_id,omitempty" doc:"The account that rents it, where that is not yours."`
	Role             string           `json:"role,omitempty" enum:"user,admin,owner" doc:"Yours in its pool, where you do not rent it."`
	IP               *string          `json:"ip" doc:"Null until the provider gives one."`
	SSHPort          int              `json:"ssh_port,omitempty"`
	SSHCommand       string           `json:"ssh_command,omitempty"`
	HostKey          string           `json:"host_key,omitempty" doc:"The server's SSH host key, to be pinned."`
	SSHKeyIDs        []berth.ID       `json:"ssh_key_ids,omitempty" doc:"Keys of yours that it was made with."`
	PortForwards     []PortForward    `json:"port_forwards,omitempty" doc:"External ports of its address that lead to internal ones."`
	RootPassword     string           `json:"root_password,omitempty"`
	Price            berth.Micros     `json:"price" doc:"Of its purchase and of what was bought for it since, without deposits."`
	TransactionID    string           `json:"transaction_id,omitempty" doc:"Of its purchase."`
	Hourly           berth.Micros     `json:"hourly_price"`
	PaidUntil        time.Time        `json:"paid_until" doc:"Provisional until the server is delivered, when its time starts."`
	RemainingMinutes int64            `json:"remaining_minutes"`
	RemainingHours   float64          `json:"remaining_hours"`
	AutoRenew        bool             `json:"auto_renew"`
	LeaseView
	ProviderID  string     `json:"provider_id,omitempty" doc:"The machine's id at the cloud."`
	CreatedAt   time.Time  `json:"created_at"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty" doc:"When it first answered, and its time began."`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	Error       string     `json:"error,omitempty"`
	Note        string     `json:"note,omitempty"`
}

// ActionView is an action as its owner sees it.
type ActionView struct {
	ID         berth.ID           `json:"id" example:"act_0193f2a4c1d05e6f7a8b9c0d"`
	Kind       fleet.ActionKind   `json:"kind"`
	Status     fleet.ActionStatus `json:"status" enum:"running,completed,failed"`
	Stage      string             `json:"stage"`
	Percent    int                `json:"percent"`
	ServerID   berth.ID           `json:"server_id,omitempty"`
	SnapshotID berth.ID           `json:"snapshot_id,omitempty"`
	Error      string             `json:"error,omitempty"`
	CreatedAt  time.Time          `json:"created_at"`
	EndedAt    *time.Time         `json:"ended_at,omitempty"`
}

func viewAction(a fleet.Action) ActionView {
	v := ActionView{
		ID: a.ID, Kind: a.Kind, Status: a.Status, Stage: a.Stage, Percent: a.Percent,
		ServerID: a.Server, SnapshotID: a.Snapshot, Error: a.Reason, CreatedAt: stamp(a.Created),
	}
	v.EndedAt = happened(a.Ended)
	return v
}

// happened is a time as answers show it, null where it has not come.
func happened(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = stamp(t)
	return &t
}

func (s *System) viewServer(v fleet.Server) ServerView {
	left := max(0, v.Lease.PaidUntil.Sub(s.now()))
	switch {
	case !v.Status.Live():
		left = 0
	case v.Delivered.IsZero(): // its time has not begun
		left = v.Lease.Bought
	}
	list := s.catalog.Prices[cmp.Or(v.Contract, billing.Native)] // shows its own names
	out := ServerView{
		ID: v.ID, Label: v.Label, Status: v.Status, Region: list.RegionName(v.Region), Size: v.Size, Image: list.ImageName(v.Image), SnapshotID: v.Snapshot,
		PoolID: v.Pool, HostKey: v.HostKey, Hourly: v.Lease.Rate, PaidUntil: stamp(v.Lease.PaidUntil), AutoRenew: v.Lease.Renews, LeaseView: viewLease(v, s.now()), Note: leaseNote(v),
		RemainingMinutes: int64(left / time.Minute), RemainingHours: float64(left/(36*time.Second)) / 100,
		DiskGB: v.DiskGB, SSHKeyIDs: v.Keys, PortForwards: viewForwards(v.Forwards), Price: v.Price, TransactionID: v.Charge, ProviderID: v.MachineID,
		CreatedAt: stamp(v.Created), DeliveredAt: happened(v.Delivered), EndedAt: happened(v.Ended), Error: v.Reason,
	}
	if v.Contract != billing.Native {
		out.Contract = v.Contract
	}
	if v.Addr.IsValid() && v.Status.Live() {
		ip := v.Addr.String()
		out.IP, out.SSHPort = &ip, v.SSHPort
		out.SSHCommand = "ssh root@" + ip
		if v.SSHPort != 22 {
			out.SSHCommand = fmt.Sprintf("ssh -p %d root@%s", v.SSHPort, ip)
		}
	}
	return out
}

// seenBy is the view with who rents the server and the caller's role there, for
// callers who do not rent it.
func (v ServerView) seenBy(r *Request, of fleet.Server) ServerView {
	if of.Owner != r.Principal.ID {
		v.OwnerID, v.Role = of.Owner, r.Role.String()
	}
	return v
}

// stamp is a time as answers show it: UTC, to the millisecond.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

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
	After  string `json:"after,omitempty" maxLength:"64" pattern:"^(srv_[0-9a-f]{24})?$" patternDescription:"the next of the page before" doc:"The next of the page before."`
	Limit  int    `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// ServersOut is what list_servers answers.
type ServersOut struct {
	Servers []ServerView `json:"servers"`
	Next    string       `json:"next,omitempty" doc:"Pass as after for the next page."`
}

// PowerIn is the input of power_server.
type PowerIn struct {
	ServerIn
	Action string `json:"action" enum:"on,off,reboot"`
}

// role is what the call needs: whoever may work on a server may reboot it.
func (in PowerIn) role() account.Role {
	if in.Action == "reboot" {
		return account.User
	}
	return account.Admin
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
	Image      string `json:"image,omitempty" catalog:"image" maxLength:"64" doc:"Default: the present one."`
	SnapshotID string `json:"snapshot_id,omitempty" minLength:"1" maxLength:"64" doc:"A snapshot of yours instead of an image."`
	Reveal     bool   `json:"reveal_credentials,omitempty" doc:"Include the root password."`
}

// RebuildOut is what rebuild_server answers. The password is never stored with
// the answer: it comes from the server's sealed secrets each time.
type RebuildOut struct {
	WorkOut
	RootPassword string `json:"root_password,omitempty"`
}

// role is what the call needs: a snapshot is restored by its owner alone.
func (in RebuildIn) role() account.Role {
	if in.SnapshotID != "" {
		return account.Renter
	}
	return account.Owner
}

// WorkOut is what operations answer that go on as an action.
type WorkOut struct {
	Server  ServerView   `json:"server"`
	Action  ActionView   `json:"action"`
	Charged berth.Micros `json:"charged"`
}

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
			Title: "List servers", Text: "Your servers, newest first. Free.", Toolset: "default", Tag: "Servers",
			Example: `{}`, ReadOnly: true, Idempotent: true,
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
	page := fleet.ServerFilter{All: in.All, Contract: r.sees(), After: berth.ID(in.After), Limit: in.Limit}
	switch {
	case in.PoolID == "":
		return rx.Servers(ctx, r.Principal.ID, page)
	case in.All:
		return nil, wrongField("all", "servers that have ended are listed to who rented them, without pool_id")
	}
	return rx.PoolServers(ctx, r.Pool.ID, page)
}

func (s *System) getServer(_ context.Context, _ Rx, r *Request, in GetServerIn) (ServerView, error) {
	out := s.viewServer(r.Server).seenBy(r, r.Server)
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
		return Plan{}, berth.Errorf(berth.Conflict, "the server is on").Hinted("turn it off first: power_server off")
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
	price, err := s.fleet.PlanRebuild(ctx, rx, r.Server, r.buyer(), in.Image, berth.ID(in.SnapshotID), nil)
	return Plan{
		Price: price, Reason: billing.ReasonService, Hold: true, Memo: "rebuild",
		Terms: map[string]any{"server_id": in.ServerID},
	}, err
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
	}
	return out, Effect{Ref: r.Server.ID, Action: a}, nil
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
