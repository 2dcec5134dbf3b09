package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// Buyer is who asks for something and pays for it, and the contract that it is
// asked through, whose fees hold; empty for the native one.
type Buyer struct {
	account.Principal
	Contract billing.Contract
}

// prices is the price list of a contract, empty for the native one.
func (f *Fleet) prices(k billing.Contract) *billing.PriceList {
	return f.Catalog.Prices[cmp.Or(k, billing.Native)]
}

// invalid is the error for one wrong field.
func invalid(field, format string, args ...any) *berth.Error {
	reason := fmt.Sprintf(format, args...)
	e := berth.Errorf(berth.InvalidInput, "%s: %s", field, reason)
	e.Fields = []berth.Field{{Name: field, Reason: reason}}
	return e
}

// missing is the error for a thing that is not there or, which the caller must
// not learn, somebody else's.
func missing(noun string, id berth.ID, foreign bool) *berth.Error {
	e := berth.Errorf(berth.NotFound, "there is no %s %.60s", noun, id).Hinted("List yours for their ids.")
	e.Foreign = foreign
	return e
}

// isNotFound tells whether err says that something is not there.
func isNotFound(err error) bool { return err != nil && berth.CodeOf(err) == berth.NotFound }

// checkFree refuses a server on which an action is under way.
func checkFree(ctx context.Context, rx Rx, s Server) error {
	open, err := openAction(ctx, rx, s.Owner, s.ID)
	if err != nil || open.ID == "" {
		return err
	}
	return berth.Errorf(berth.Conflict, "a %s is under way on this server: action %s, at %q", open.Kind, open.ID, open.Stage).
		Hinted("Wait until action %s has ended, then try again.", open.ID)
}

// openAction is the action that runs on a server or snapshot; zero for none.
func openAction(ctx context.Context, rx Rx, owner, subject berth.ID) (Action, error) {
	open, err := rx.Actions(ctx, ActionFilter{Owner: owner, Subject: subject, Open: true, Limit: 1})
	if err != nil {
		return Action{}, fmt.Errorf("look for actions on %s: %w", subject, err)
	}
	if len(open) == 0 {
		return Action{}, nil
	}
	return open[0], nil
}

// checkState refuses a server that is in none of the wanted states, or whose
// lease has ended.
func (f *Fleet) checkState(s Server, wanted ...Status) error {
	if !slices.Contains(wanted, s.Status) {
		return berth.Errorf(berth.Conflict, "the server is %s", s.Status).Hinted("%s", stateHint(s, wanted))
	}
	// An hourly lease either buys its next hour now or is suspended.
	if s.Lease.Period != Hour && !s.Delivered.IsZero() && !f.Now().Before(s.Lease.PaidUntil) {
		return berth.Errorf(berth.Conflict, "the server's lease ended at %s", s.Lease.PaidUntil.UTC().Format(time.RFC3339)).
			Hinted("It is being snapshotted and destroyed. Create a server from the snapshot to go on.")
	}
	return nil
}

// stateHint says what to do about a server's state.
func stateHint(s Server, wanted []Status) string {
	switch s.Status {
	case Provisioning:
		return "Wait until it is ready, then try again."
	case Off:
		return "Turn it on first."
	case Active:
		if slices.Contains(wanted, Off) {
			return "Turn it off first."
		}
	case Suspended:
		return "Add to the balance; it comes back by itself."
	case Destroying:
		return "It can't be kept any more. Create a server from its snapshot to go on."
	case Destroyed, Failed:
		return "Create another server."
	}
	return "It must be " + joinStatuses(wanted) + "."
}

func joinStatuses(statuses []Status) string {
	words := make([]string, len(statuses))
	for i, s := range statuses {
		words[i] = string(s)
	}
	return strings.Join(words, " or ")
}

// checkRestorable refuses a snapshot that a disk in a region can't be made of.
func (f *Fleet) checkRestorable(ctx context.Context, rx Rx, list *billing.PriceList, owner, id berth.ID, region string, size billing.Size) (Snapshot, error) {
	sn, err := rx.Snapshot(ctx, id)
	foreign := err == nil && sn.Owner != owner
	if foreign || isNotFound(err) {
		return Snapshot{}, missing("snapshot", id, foreign)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("read snapshot %s: %w", id, err)
	}
	if sn.Status != SnapshotAvailable || !f.Now().Before(sn.ExpiresAt) {
		return Snapshot{}, berth.Errorf(berth.Conflict, "snapshot %s is %s", id, f.snapshotState(sn)).
			Hinted("%s", snapshotHint(sn))
	}
	if sn.Region != region {
		return Snapshot{}, berth.Errorf(berth.InvalidInput, "snapshot %s is in region %s, not in %s", id, sn.Region, region).
			Hinted("Choose region %s.", sn.Region)
	}
	if size.Machine.DiskGB < sn.MinDiskGB {
		return Snapshot{}, berth.Errorf(berth.SnapshotTooLarge, "snapshot %s needs a disk of %d GB; size %s has %d GB",
			id, sn.MinDiskGB, size.Slug, size.Machine.DiskGB).Hinted("%s", largeEnough(list, sn.MinDiskGB))
	}
	return sn, nil
}

// snapshotState is a snapshot's state as its owner should see it.
func (f *Fleet) snapshotState(sn Snapshot) SnapshotStatus {
	if sn.Status == SnapshotAvailable && !f.Now().Before(sn.ExpiresAt) {
		return SnapshotExpired
	}
	return sn.Status
}

func snapshotHint(sn Snapshot) string {
	if sn.Status == SnapshotPending {
		return "Wait until it is available, then try again."
	}
	return "Choose another snapshot, or start from an image."
}

// largeEnough names the sizes whose disk has at least so many gigabytes.
func largeEnough(list *billing.PriceList, diskGB int) string {
	var fit []string
	for _, s := range list.Sizes {
		if s.Machine.DiskGB >= diskGB {
			fit = append(fit, s.Slug)
		}
	}
	if len(fit) == 0 {
		return "No size is large enough."
	}
	return "Choose one of these sizes: " + strings.Join(fit, ", ") + "."
}

// newAction is a running action at its kind's first stage.
func (f *Fleet) newAction(kind ActionKind, owner berth.ID) Action {
	first := f.sagas[kind].stages[0]
	now := f.Now()
	return Action{
		ID: berth.NewID(berth.PrefixAction, now), Owner: owner, Kind: kind, Status: ActionRunning,
		Stage: first.name, Percent: first.percent, StageAt: now, NextAt: now, Created: now,
	}
}

// start writes a new action with the event that tells of it.
func (f *Fleet) start(ctx context.Context, tx Tx, a Action) error {
	if err := tx.InsertAction(ctx, a); err != nil {
		return fmt.Errorf("insert action: %w", err)
	}
	return f.emit(ctx, tx, a.Owner, EventActionStarted, a.ID, stageData(a))
}

// input reads what an action's kind keeps in its row.
func input[T any](a Action) (in T, err error) {
	if len(a.Input) == 0 {
		return in, nil
	}
	if err := json.Unmarshal(a.Input, &in); err != nil {
		return in, fmt.Errorf("read the input of action %s: %w", a.ID, err)
	}
	return in, nil
}

// mustJSON is v in JSON. It is only for types that can't fail to be written.
func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("fleet: write %T: %v", v, err))
	}
	return b
}
