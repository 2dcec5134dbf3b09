package fleet

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/account"
	"berth/billing"
)

var errUnwritten = errors.New("fleet: not written yet")

// Fleet carries out orders. It may be used concurrently.
type Fleet struct {
	Options
}

// New makes a Fleet. It starts nothing.
func New(o Options) *Fleet { return &Fleet{Options: o} }

// CreateOrder asks for a server.
type CreateOrder struct {
	Owner     account.Principal
	Label     string // empty: one is made up
	Size      string
	Region    string
	Image     string // empty: the catalog's default; ignored with Snapshot
	Minutes   int
	Keys      []berth.ID
	Snapshot  berth.ID // restore from it
	UserData  string   // cloud-init data, run as root on first boot
	AutoRenew bool
}

// PlanCreate tells whether the order can be carried out and what it costs.
func (f *Fleet) PlanCreate(ctx context.Context, rx Rx, o CreateOrder) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// Create carries out an order that PlanCreate has passed in the same
// transaction: it writes the server and the action that will make it. charge
// is the pending transfer that delivery captures; empty where it is free.
// Call Announce after the commit.
func (f *Fleet) Create(ctx context.Context, tx Tx, o CreateOrder, price billing.Price, charge string) (Server, Action, error) {
	return Server{}, Action{}, errUnwritten
}

// PlanExtend tells what more time costs.
func (f *Fleet) PlanExtend(ctx context.Context, rx Rx, s Server, owner account.Principal, minutes int) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// Extend adds time to a server's lease. The caller has charged for it.
func (f *Fleet) Extend(ctx context.Context, tx Tx, s Server, minutes int) (Server, error) {
	return Server{}, errUnwritten
}

// PlanRetain tells what keeping a snapshot for more days costs.
func (f *Fleet) PlanRetain(ctx context.Context, rx Rx, sn Snapshot, owner account.Principal, days int) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// Retain keeps a snapshot for more days, counted from now or from its present
// expiry, whichever is later. The caller has charged for it.
func (f *Fleet) Retain(ctx context.Context, tx Tx, sn Snapshot, days int) (Snapshot, error) {
	return Snapshot{}, errUnwritten
}

// PlanPower tells whether a server can be turned "on" or "off" or be made to
// "reboot", and what that costs.
func (f *Fleet) PlanPower(ctx context.Context, rx Rx, s Server, owner account.Principal, action string) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// Power starts turning a server "on" or "off" or a "reboot".
func (f *Fleet) Power(ctx context.Context, tx Tx, s Server, action, charge string) (Action, error) {
	return Action{}, errUnwritten
}

// PlanResize tells whether a server can move to another size, and what the
// rest of its lease costs more there.
func (f *Fleet) PlanResize(ctx context.Context, rx Rx, s Server, owner account.Principal, size string) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// Resize starts moving a server to another size.
func (f *Fleet) Resize(ctx context.Context, tx Tx, s Server, size string, price billing.Price, charge string) (Action, error) {
	return Action{}, errUnwritten
}

// PlanRebuild tells whether a server's disk can be replaced by an image or a
// snapshot. userData, where not nil, must be what the server was created with.
func (f *Fleet) PlanRebuild(ctx context.Context, rx Rx, s Server, owner account.Principal, image string, snapshot berth.ID, userData *string) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// Rebuild starts replacing a server's disk.
func (f *Fleet) Rebuild(ctx context.Context, tx Tx, s Server, image string, snapshot berth.ID, charge string) (Action, error) {
	return Action{}, errUnwritten
}

// PlanSnapshot tells whether a snapshot of a server can be taken, and what it
// costs. An empty name is made up.
func (f *Fleet) PlanSnapshot(ctx context.Context, rx Rx, s Server, owner account.Principal, name string) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// TakeSnapshot starts copying a server's disk.
func (f *Fleet) TakeSnapshot(ctx context.Context, tx Tx, s Server, name, charge string) (Snapshot, Action, error) {
	return Snapshot{}, Action{}, errUnwritten
}

// PlanDestroy tells whether a server can be destroyed now.
func (f *Fleet) PlanDestroy(ctx context.Context, rx Rx, s Server) error { return errUnwritten }

// Destroy starts ending a server, with a snapshot first if wanted. A server
// that never came up has nothing to keep: the Snapshot is then zero.
func (f *Fleet) Destroy(ctx context.Context, tx Tx, s Server, withSnapshot bool) (Snapshot, Action, error) {
	return Snapshot{}, Action{}, errUnwritten
}

// PlanDeleteSnapshot tells whether a snapshot can be deleted now.
func (f *Fleet) PlanDeleteSnapshot(ctx context.Context, rx Rx, sn Snapshot) error {
	return errUnwritten
}

// DeleteSnapshot takes a snapshot from its owner and starts removing it at the
// provider.
func (f *Fleet) DeleteSnapshot(ctx context.Context, tx Tx, sn Snapshot) (Action, error) {
	return Action{}, errUnwritten
}

// PlanKey tells whether a key can be added, and what that costs.
func (f *Fleet) PlanKey(ctx context.Context, rx Rx, owner account.Principal, name, publicKey string) (billing.Price, error) {
	return billing.Price{}, errUnwritten
}

// AddKey registers an SSH public key.
func (f *Fleet) AddKey(ctx context.Context, tx Tx, owner berth.ID, name, publicKey string) (Key, error) {
	return Key{}, errUnwritten
}

// RemoveKey forgets an SSH public key. Servers that have it keep it.
func (f *Fleet) RemoveKey(ctx context.Context, tx Tx, k Key) error { return errUnwritten }

// SetAutoRenew says whether a lease buys more time at its end.
func (f *Fleet) SetAutoRenew(ctx context.Context, tx Tx, s Server, on bool) (Server, error) {
	return Server{}, errUnwritten
}

// Secrets opens a server's secrets.
func (f *Fleet) Secrets(s Server) (ServerSecrets, error) { return ServerSecrets{}, errUnwritten }

// Signer is the private half of a principal's managed key.
func (f *Fleet) Signer(ctx context.Context, rx Rx, owner berth.ID) (ssh.Signer, error) {
	return nil, errUnwritten
}

// Announce tells followers of actions that began, and rings for them. Call it
// after the commit that wrote them.
func (f *Fleet) Announce(actions ...Action) {}

// Step advances an action by one small idempotent step. It returns when to
// look again; done means that the action has ended, well or not. The error is
// only for what Step could not even record.
func (f *Fleet) Step(ctx context.Context, id berth.ID) (again time.Duration, done bool, err error) {
	return 0, false, errUnwritten
}

// Expire attends to servers and snapshots whose lease or retention wants it
// now: warnings, renewals, ends. It returns how many it attended to.
func (f *Fleet) Expire(ctx context.Context) (int, error) { return 0, errUnwritten }

// Reconcile compares the provider's machines and snapshots with the rows.
func (f *Fleet) Reconcile(ctx context.Context) error { return errUnwritten }

// Refresh reads what the provider can deliver now, against which orders are
// checked. Until it has succeeded once, only Berth's own catalog is known.
func (f *Fleet) Refresh(ctx context.Context) error { return errUnwritten }

// OpenActions are the ids of all running actions.
func (f *Fleet) OpenActions(ctx context.Context) ([]berth.ID, error) { return nil, errUnwritten }

// Follow calls each with an action's state and again on every change, until it
// ends or ctx is done. It returns the last state seen, and ctx's error if that
// came first.
func (f *Fleet) Follow(ctx context.Context, id berth.ID, each func(Action)) (Action, error) {
	return Action{}, errUnwritten
}

// VerifyServers are the contradictions between servers and their charges, in
// words; none when all is well.
func VerifyServers(ctx context.Context, rx Rx) ([]string, error) { return nil, errUnwritten }
