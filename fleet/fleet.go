// Package fleet is what Berth sells and runs: servers and their leases,
// snapshots, SSH keys, the actions that change them, and the events that tell
// of it. It holds their rules and their sagas. It knows no HTTP and no SQL.
package fleet

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/provider"
)

// Status is a server's state.
type Status string

// The states of a server.
const (
	Provisioning Status = "provisioning" // bought; not answering SSH yet
	Active       Status = "active"       // on
	Off          Status = "off"          // powered off by its owner; still billed
	Suspended    Status = "suspended"    // powered off for want of money; recoverable
	Destroying   Status = "destroying"   // on its way out; nothing more can be done with it
	Destroyed    Status = "destroyed"
	Failed       Status = "error" // never came up, or vanished; nothing is charged for it
)

// Live tells whether a server in this state holds a machine that must be
// accounted for.
func (s Status) Live() bool { return s != Destroyed && s != Failed }

// Period is the step in which a lease is bought.
type Period string

// The periods.
const (
	Minute  Period = "minute"
	Hour    Period = "hour"
	Day     Period = "day"
	Deposit Period = "deposit" // metered by the second out of an escrow
)

// Lease says until when a server may live and how that is paid for. The ways
// to buy are settings of it.
type Lease struct {
	Rate       berth.Micros // per hour
	PaidUntil  time.Time    // provisional until delivery, final from then on
	Period     Period
	Renews     bool          // buys the next period from the balance at the end
	Renewal    time.Duration // how much time a renewal buys
	Refundable bool          // the unused part goes back at the end
	Bought     time.Duration // all time bought so far

	// Of a lease with a deposit: what was in its escrow when metering at the
	// present rate began, what was metered of that since, and when that was.
	// While nothing is metered, because the server is not delivered yet or on its
	// way out, MeteredFrom is zero. The escrow holds Deposit - Metered.
	Deposit     berth.Micros
	Metered     berth.Micros
	MeteredFrom time.Time
	// GraceUntil is when a server ends that is suspended for want of money; zero
	// while it is not.
	GraceUntil time.Time
}

// Server is a virtual server.
type Server struct {
	ID         berth.ID
	Owner      berth.ID
	Contract   billing.Contract // what it was bought through, whose price list holds for it
	Pool       berth.ID         // whose members may use it
	Label      string           // 1 to 64 of [a-zA-Z0-9._-]
	Status     Status
	Region     string // the catalog's slugs
	Size       string
	Image      string
	Snapshot   berth.ID   // what it was restored from, if anything
	Keys       []berth.ID // installed beside the managed key
	DiskGB     int        // of the disk, which a resize may leave as it is
	Forwards   []provider.Forward
	Lease      Lease
	DueAt      time.Time    // when the lease next wants attention: a warning or its end; zero: never
	Charge     string       // the pending transfer of the purchase
	Price      berth.Micros // of it and of all time and sizes bought for it since, without deposits
	MachineID  string       // the provider's
	Addr       netip.Addr
	SSHPort    int
	HostKey    string // public, authorized_keys form
	Secrets    []byte // sealed ServerSecrets
	CustomBoot bool   // the caller's own user data or snapshot may close port 22
	Reason     string // why it is in error, for its owner
	Created    time.Time
	Delivered  time.Time // zero until it answered
	Ended      time.Time // zero while it lives
}

// ServerSecrets is what only a server's owner may see, and what the saga needs
// to make it. It is sealed at rest.
type ServerSecrets struct {
	HostKeyPEM   string `json:"host_key"`
	RootPassword string `json:"root_password"`
	UserData     string `json:"user_data,omitempty"`
}

// SnapshotStatus is a snapshot's state.
type SnapshotStatus string

// The states of a snapshot.
const (
	SnapshotPending   SnapshotStatus = "pending"
	SnapshotAvailable SnapshotStatus = "available"
	SnapshotDeleted   SnapshotStatus = "deleted"
	SnapshotExpired   SnapshotStatus = "expired"
	SnapshotFailed    SnapshotStatus = "error"
)

// Snapshot is a copy of a server's disk that outlives it until ExpiresAt.
type Snapshot struct {
	ID         berth.ID
	Owner      berth.ID
	Contract   billing.Contract // of the server that it was taken of
	Server     berth.ID
	Name       string
	Status     SnapshotStatus
	Region     string
	Size       string // the server's size when it was taken
	Image      string
	ProviderID string
	Bytes      int64
	MinDiskGB  int
	Created    time.Time
	ExpiresAt  time.Time
	Class      SnapshotClass
}

// SnapshotClass is how long a snapshot is kept unless that is extended.
type SnapshotClass string

// The classes; their times are in the price list.
const (
	ShortTerm SnapshotClass = "snapshot" // the free retention
	Backup    SnapshotClass = "backup"   // the retention of backups
)

// Key is an SSH public key that its owner may have installed on servers.
type Key struct {
	ID          berth.ID
	Owner       berth.ID
	Name        string
	PublicKey   string // authorized_keys form
	Fingerprint string // SHA256:…
	Created     time.Time
}

// ActionKind is what an action does.
type ActionKind string

// The kinds of action.
const (
	ActionCreate         ActionKind = "create"
	ActionDestroy        ActionKind = "destroy"
	ActionSnapshot       ActionKind = "snapshot"
	ActionPowerOn        ActionKind = "power_on"
	ActionPowerOff       ActionKind = "power_off"
	ActionReboot         ActionKind = "reboot"
	ActionResize         ActionKind = "resize"
	ActionRebuild        ActionKind = "rebuild"
	ActionDeleteSnapshot ActionKind = "delete_snapshot"
	ActionSuspend        ActionKind = "suspend" // off, for want of money
	ActionRevive         ActionKind = "revive"  // on again, when an hour is paid
)

// ActionStatus is an action's state.
type ActionStatus string

// The states of an action.
const (
	ActionRunning ActionStatus = "running"
	ActionDone    ActionStatus = "completed"
	ActionFailed  ActionStatus = "failed"
)

// Action is long work on a server or a snapshot. Its row is the whole truth
// about how far the work has come: any process can take it up at any time.
type Action struct {
	ID       berth.ID
	Owner    berth.ID
	Kind     ActionKind
	Server   berth.ID // empty for work on a snapshot alone
	Snapshot berth.ID // what is taken, restored or deleted
	Status   ActionStatus
	Stage    string // a named stage, as shown to the caller
	Percent  int    // 0 to 100, never falling
	Attempt  int    // tries of the present stage
	Ref      provider.Ref
	Input    json.RawMessage // what the kind needs beyond the rows
	Charge   string          // the pending transfer that success captures, if any
	Reason   string          // why it failed, for its owner
	Fence    int64           // grows each time that the action changes hands
	HeldBy   string          // the process that is at work on it
	HeldTill time.Time
	NextAt   time.Time // when to look again
	StageAt  time.Time // when the present stage began
	Created  time.Time
	Ended    time.Time // zero while it runs
}

// Event is one line of the append-only outbox. Seq counts per principal from 1
// without gaps.
type Event struct {
	Principal berth.ID        `json:"-"`
	Seq       int64           `json:"seq"`
	Kind      EventKind       `json:"kind"`
	Subject   berth.ID        `json:"subject"`
	Data      json.RawMessage `json:"data,omitempty"`
	At        time.Time       `json:"at"`
}

// Rx reads the fleet. Where there is none, methods that read one thing return
// a *berth.Error with the code berth.NotFound. Lists are ordered newest first,
// except Events and the due and open lists, which are oldest first.
type Rx interface {
	account.Rx
	billing.Rx
	Server(ctx context.Context, id berth.ID) (Server, error)
	Servers(ctx context.Context, owner berth.ID, q ServerFilter) ([]Server, error)
	// PoolServers are a pool's servers that have not ended, whoever rents them. The
	// filter's All is not looked at.
	PoolServers(ctx context.Context, pool berth.ID, q ServerFilter) ([]Server, error)
	CountPoolServers(ctx context.Context, pool berth.ID, contract billing.Contract) (int, error) // as in PoolServers
	// CountServers is how many servers an owner has that were bought through a
	// contract (empty: any) and are not on their way out.
	CountServers(ctx context.Context, owner berth.ID, contract billing.Contract) (int, error)
	LiveServers(ctx context.Context, after berth.ID, limit int) ([]Server, error) // of everybody, by id
	DueServers(ctx context.Context, now time.Time, limit int) ([]Server, error)   // live, delivered, DueAt reached
	// RevivableServers are the servers suspended for want of money, in their
	// grace, whose owner is not suspended and has as much as an hour costs; by id.
	RevivableServers(ctx context.Context, now time.Time, after berth.ID, limit int) ([]Server, error)
	Snapshot(ctx context.Context, id berth.ID) (Snapshot, error)
	Snapshots(ctx context.Context, owner berth.ID, q SnapshotFilter) ([]Snapshot, error)
	DueSnapshots(ctx context.Context, now time.Time, limit int) ([]Snapshot, error) // available or failed, ExpiresAt reached
	Key(ctx context.Context, id berth.ID) (Key, error)
	Keys(ctx context.Context, owner berth.ID) ([]Key, error)
	Action(ctx context.Context, id berth.ID) (Action, error)
	Actions(ctx context.Context, q ActionFilter) ([]Action, error)
	OpenActions(ctx context.Context, after berth.ID, limit int) ([]Action, error) // running, of everybody, by id
	Events(ctx context.Context, principal berth.ID, after int64, limit int) ([]Event, error)
}

// Tx reads and changes the fleet.
type Tx interface {
	Rx
	account.Tx
	billing.Tx
	InsertServer(ctx context.Context, s Server) error
	UpdateServer(ctx context.Context, s Server) error
	InsertSnapshot(ctx context.Context, s Snapshot) error
	UpdateSnapshot(ctx context.Context, s Snapshot) error
	InsertKey(ctx context.Context, k Key) error // berth.Conflict where the owner has that fingerprint
	DeleteKey(ctx context.Context, id berth.ID) error
	InsertAction(ctx context.Context, a Action) error
	UpdateAction(ctx context.Context, a Action) error
	// AppendEvent gives the event its principal's next sequence number.
	AppendEvent(ctx context.Context, e Event) (Event, error)
}

// ServerFilter chooses servers of one owner.
type ServerFilter struct {
	All      bool             // also those that have ended
	Failed   bool             // also those that failed, until they are destroyed
	Contract billing.Contract // only those that were bought through it; empty for all
	After    berth.ID
	Limit    int // 1 to 200
}

// SnapshotFilter chooses snapshots of one owner.
type SnapshotFilter struct {
	All      bool             // also those deleted, expired or failed
	Since    time.Time        // also those of these whose retention ended later; zero for none
	Contract billing.Contract // only those of servers that were bought through it; empty for all
	Class    SnapshotClass    // empty for all
	After    berth.ID
	Limit    int // 1 to 200
}

// ActionFilter chooses actions.
type ActionFilter struct {
	Owner   berth.ID
	Subject berth.ID // of one server or snapshot; empty for all
	Open    bool     // only those that run
	Limit   int      // 1 to 200
}

// Store runs transactions. Write may run fn more than once, so fn does no I/O
// but through its Tx; what it changes happens whole or not at all.
type Store interface {
	Read(ctx context.Context, fn func(Rx) error) error
	Write(ctx context.Context, fn func(Tx) error) error
}
