package ops

import (
	"cmp"
	"fmt"
	"time"

	"berth"
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
	Purchase         *berth.Micros    `json:"transaction_amount,omitempty" doc:"Of its purchase; get_server tells it."`
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
