// Package provider is the cloud as Berth sees it: one small interface that a
// cloud's adapter implements, and the types that it speaks of. Nothing here is
// particular to one cloud. The interface asks for wanted states ("off",
// "this size"); how a cloud gets there is its adapter's affair.
package provider

import (
	"context"
	"net/netip"
	"time"

	"berth"
)

// Provider is a cloud account. All methods may be called concurrently. Every
// error that a method returns is, or wraps, an *Error, except the context's.
//
// Methods that start long work return a Ref, to be passed to Check until the
// work is done. The empty Ref means that there is nothing left to wait for:
// the machine is already as wanted.
type Provider interface {
	// Name is the cloud's name for people, such as "digitalocean".
	Name() string

	// Catalog is what the cloud sells now. It may come from a cache that is
	// some minutes old.
	Catalog(ctx context.Context) (Catalog, error)

	// Account is the account's standing at the cloud, as it is now.
	Account(ctx context.Context) (Account, error)

	// Create makes the machine that bears spec.Tag, at most once: where one
	// exists already, it is returned. An error of kind Ambiguous means that
	// the machine may or may not come to exist; calling Create again looks for
	// it before it makes another.
	Create(ctx context.Context, spec Spec) (Machine, error)

	// Machine is the machine with the provider's id, or NotFound.
	Machine(ctx context.Context, id string) (Machine, error)

	// Machines are all machines that bear tag: the deployment's tag for all
	// of Berth's, a server's for one. The cloud's list may lag behind a create.
	Machines(ctx context.Context, tag string) ([]Machine, error)

	// Delete ends a machine. A machine that is gone already is success.
	Delete(ctx context.Context, id string) error

	// SetPower turns a machine on or off, gently where the cloud can.
	SetPower(ctx context.Context, id string, on bool) (Ref, error)

	// Restart reboots a machine.
	Restart(ctx context.Context, id string) (Ref, error)

	// SetSize moves a machine that is off to another size. With disk its disk
	// grows to that size's, for good; else the disk stays as it is. Neither
	// makes a disk smaller: a size whose own is smaller is Invalid.
	SetSize(ctx context.Context, id, size string, disk bool) (Ref, error)

	// SetImage replaces a machine's disk by a fresh copy of an image or of a
	// snapshot; its first-boot data runs again.
	SetImage(ctx context.Context, id, image string) (Ref, error)

	// TakeSnapshot copies a machine's disk under a name that is unique in the
	// account. Once done, the copy is found by Snapshot.
	TakeSnapshot(ctx context.Context, id, name string) (Ref, error)

	// Check looks at work that was started before.
	Check(ctx context.Context, ref Ref) (Progress, error)

	// Snapshot is the finished snapshot with that name, or NotFound.
	Snapshot(ctx context.Context, name string) (Snapshot, error)

	// Snapshots are the finished snapshots whose name begins with prefix.
	Snapshots(ctx context.Context, prefix string) ([]Snapshot, error)

	// DeleteSnapshot removes a snapshot by the provider's id. One that is gone
	// already is success.
	DeleteSnapshot(ctx context.Context, id string) error
}

// Ref names work under way at the provider. It is opaque, fits in 200 bytes
// and stays valid across restarts.
type Ref string

// Progress is how far a piece of work has come.
type Progress string

// The states of work. Failed work changed nothing that it did not undo.
const (
	Running Progress = "running"
	Done    Progress = "done"
	Failed  Progress = "failed"
)

// Spec says what machine to create.
type Spec struct {
	Tag      string   // unique to this machine; also its name
	Tags     []string // further tags, the deployment's among them
	Region   string   // the provider's slug
	Size     string   // the provider's slug
	Image    string   // the provider's slug, or a snapshot's id at the provider
	UserData []byte   // first-boot data, as made by Boot.Encode; at most MaxUserData bytes

	// First says that a machine with the tag was certainly never asked for, or
	// each time certainly refused: there is none to look for.
	First bool
}

// State is a machine's state.
type State string

// The states of a machine. A machine that does not exist has none.
const (
	Creating State = "creating"
	On       State = "on"
	Off      State = "off"
)

// Machine is a virtual server at the provider.
type Machine struct {
	ID      string // the provider's, opaque
	Tag     string // the unique tag that Create gave it
	Tags    []string
	State   State
	Busy    bool       // work is under way that excludes other work
	Addr    netip.Addr // public IPv4; invalid until the cloud gives one
	SSHPort int
	Region  string
	Size    string
	DiskGB  int
	Created time.Time
}

// Snapshot is a copy of a machine's disk at the provider.
type Snapshot struct {
	ID        string // the provider's, opaque
	Name      string
	Bytes     int64 // what is stored, which is what retention is charged by
	MinDiskGB int   // the smallest disk that it fits on
	Regions   []string
	Created   time.Time
}

// Account is how an account stands at its cloud.
type Account struct {
	Standing     Standing
	Message      string // what the cloud says about the standing, for the operator; mostly empty
	MachineLimit int    // how many machines the account may have; 0 where that is not known
	Machines     int    // how many it has, also those that are not Berth's
}

// Standing tells whether a cloud still serves an account.
type Standing string

// The standings of an account.
const (
	Good   Standing = "good"
	Warned Standing = "warned" // served, and about to be locked unless the operator does something
	Locked Standing = "locked" // makes no machines any more
)

// Full tells whether the account's limit allows no further machine.
func (a Account) Full() bool { return a.MachineLimit > 0 && a.Machines >= a.MachineLimit }

// Catalog is what a cloud sells.
type Catalog struct {
	Regions []Region
	Sizes   []Size
	Images  []Image
}

// Region is a place where a cloud has machines.
type Region struct {
	Slug      string
	Name      string
	Available bool
}

// Size is a kind of machine.
type Size struct {
	Slug      string
	VCPUs     int
	MemoryMB  int
	DiskGB    int
	Hourly    berth.Micros // what the cloud charges, per hour, rounded up
	Regions   []string     // where it can be had now
	Available bool
}

// Image is an operating system that a machine can start from.
type Image struct {
	Slug      string
	Name      string
	MinDiskGB int
}
