package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth"
	"berth/billing"
	"berth/provider"
)

// PlanSnapshot tells whether a snapshot of a server can be taken, and what it
// costs. An empty name is made up, and an empty class is ShortTerm.
func (f *Fleet) PlanSnapshot(ctx context.Context, rx Rx, s Server, by Buyer, name string, class SnapshotClass) (billing.Price, error) {
	fee := billing.FeeSnapshot
	switch class {
	case "", ShortTerm:
	case Backup:
		fee = billing.FeeBackup
	default:
		return billing.Price{}, invalid("class", "%.20q is none of snapshot, backup", class)
	}
	if name != "" {
		if err := checkName("name", name); err != nil {
			return billing.Price{}, err
		}
	}
	if err := f.checkState(s, Active, Off); err != nil {
		return billing.Price{}, err
	}
	if err := checkFree(ctx, rx, s); err != nil {
		return billing.Price{}, err
	}
	return f.prices(by.Contract).FeePrice(by.Tariff, fee), f.checkSnapshotLimit(ctx, rx, s.Owner)
}

// checkSnapshotLimit refuses a snapshot more than a principal may have.
func (f *Fleet) checkSnapshotLimit(ctx context.Context, rx Rx, owner berth.ID) error {
	limit, n := f.Catalog.Limits.Snapshots, 0
	for after := berth.ID(""); n < limit; {
		page, err := rx.Snapshots(ctx, owner, SnapshotFilter{After: after, Limit: 200})
		if err != nil {
			return fmt.Errorf("count snapshots: %w", err)
		}
		n += len(page)
		if len(page) < 200 {
			break
		}
		after = page[len(page)-1].ID
	}
	if n < limit {
		return nil
	}
	return berth.Errorf(berth.LimitReached, "%d snapshots are kept, which is the limit", limit).
		Hinted("Delete one first.")
}

// newSnapshot is the row of a snapshot that is about to be taken.
func (f *Fleet) newSnapshot(s Server, name string, class SnapshotClass) Snapshot {
	now := f.Now()
	if class == "" {
		class = ShortTerm
	}
	return Snapshot{
		ID: berth.NewID(berth.PrefixSnapshot, now), Owner: s.Owner, Contract: s.Contract, Server: s.ID, Name: name,
		Status: SnapshotPending, Region: s.Region, Size: s.Size, Image: s.Image,
		Created: now, ExpiresAt: now.Add(f.retention(s.Contract, class)), Class: class,
	}
}

// retention is how long a snapshot is kept unless that is extended.
func (f *Fleet) retention(k billing.Contract, class SnapshotClass) time.Duration {
	if class == Backup {
		return f.prices(k).Leases.BackupRetention
	}
	return f.prices(k).FreeRetention
}

// TakeSnapshot starts copying a server's disk. Call Announce after the commit.
func (f *Fleet) TakeSnapshot(ctx context.Context, tx Tx, s Server, name string, class SnapshotClass, charge string) (Snapshot, Action, error) {
	if name == "" {
		name = s.Label + f.Now().UTC().Format("-20060102-150405")
	}
	sn := f.newSnapshot(s, name, class)
	if err := tx.InsertSnapshot(ctx, sn); err != nil {
		return Snapshot{}, Action{}, fmt.Errorf("insert snapshot: %w", err)
	}
	a := f.newAction(ActionSnapshot, s.Owner)
	a.Server, a.Snapshot, a.Charge = s.ID, sn.ID, charge
	return sn, a, f.start(ctx, tx, a)
}

func snapshotSaga() saga {
	return saga{
		stages: []stage{
			{name: stageSnapshotting, percent: 20, run: (*Fleet).takeSnapshot, limit: copyLimit},
			{name: "available", percent: 100},
		},
		fail: func(f *Fleet, ctx context.Context, tx Tx, w *work) (string, error) {
			return "", f.failSnapshot(ctx, tx, w, w.Action.Reason)
		},
	}
}

// takeSnapshot copies the disk of a server that goes on.
func (f *Fleet) takeSnapshot(ctx context.Context, w work) (outcome, error) {
	taken, out, err := f.copyDisk(ctx, w)
	if errors.Is(err, errAgain) && w.Action.Attempt >= tries {
		return outcome{}, failf("the provider reported %d times that the snapshot failed", tries)
	}
	if err != nil || taken.ID == "" {
		return out, err
	}
	return outcome{to: "available", apply: complete(taken)}, nil
}

// providerName is a snapshot's name at the provider.
func (f *Fleet) providerName(id berth.ID) string { return f.Deployment + "-" + string(id) }

// copyDisk asks for a snapshot, once, and waits for it. It is taken when the
// result has an id; an error of kind NotFound means that the machine is gone.
// An earlier request whose answer was lost is recognised by the unique name: by
// the finished snapshot, or by the machine being busy with it.
func (f *Fleet) copyDisk(ctx context.Context, w work) (taken provider.Snapshot, out outcome, err error) {
	if w.Action.Ref != "" {
		over, out, err := f.check(ctx, w)
		if err != nil || !over {
			return provider.Snapshot{}, out, err
		}
	}
	taken, err = f.Provider.Snapshot(ctx, f.providerName(w.Snapshot.ID))
	switch {
	case err == nil:
		return taken, outcome{}, nil
	case provider.KindOf(err) != provider.NotFound:
		return provider.Snapshot{}, outcome{}, err
	case w.Action.Ref != "":
		return provider.Snapshot{}, outcome{wait: f.patience(w.Action)}, nil // done, and not listed yet
	}
	ref, err := f.Provider.TakeSnapshot(ctx, w.Server.MachineID, f.providerName(w.Snapshot.ID))
	if err != nil {
		return provider.Snapshot{}, outcome{}, err
	}
	return provider.Snapshot{}, outcome{wait: f.Pace.Poll, apply: setRef(ref)}, nil
}

// complete is the change that makes a snapshot available: its retention begins
// now.
func complete(taken provider.Snapshot) change {
	return func(f *Fleet, ctx context.Context, tx Tx, w *work) error {
		sn := &w.Snapshot
		sn.Status, sn.ProviderID, sn.Bytes, sn.MinDiskGB = SnapshotAvailable, taken.ID, taken.Bytes, taken.MinDiskGB
		sn.ExpiresAt = f.Now().Add(f.retention(sn.Contract, sn.Class))
		return f.emit(ctx, tx, sn.Owner, EventSnapshotAvailable, sn.ID, data{
			"server_id": sn.Server, "bytes": sn.Bytes, "expires_at": sn.ExpiresAt,
		})
	}
}

// failSnapshot ends the row of a snapshot that was not taken. Should it come to
// exist after all, the sweeper removes it.
func (f *Fleet) failSnapshot(ctx context.Context, tx Tx, w *work, reason string) error {
	if w.Snapshot.ID == "" {
		return nil
	}
	w.Snapshot.Status = SnapshotFailed
	return f.emit(ctx, tx, w.Snapshot.Owner, EventSnapshotFailed, w.Snapshot.ID, data{"reason": reason})
}

// PlanRetain tells what keeping a snapshot for more days costs.
func (f *Fleet) PlanRetain(_ context.Context, _ Rx, sn Snapshot, by Buyer, days int) (billing.Price, error) {
	if sn.Status != SnapshotAvailable || !f.Now().Before(sn.ExpiresAt) {
		return billing.Price{}, berth.Errorf(berth.Conflict, "the snapshot is %s", f.snapshotState(sn)).
			Hinted("%s", snapshotHint(sn))
	}
	price, err := f.prices(sn.Contract).RetentionPrice(by.Tariff, sn.Bytes, days)
	if err != nil {
		return billing.Price{}, err
	}
	most := 2 * time.Duration(f.Catalog.Limits.RetentionDays) * 24 * time.Hour
	if sn.ExpiresAt.Sub(f.Now())+time.Duration(days)*24*time.Hour > most {
		return billing.Price{}, invalid("days", "a snapshot can be kept for at most %d days from now", int(most.Hours()/24))
	}
	return price, nil
}

// Retain keeps a snapshot for more days, counted from now or from its present
// expiry, whichever is later. The caller has charged for it.
func (f *Fleet) Retain(ctx context.Context, tx Tx, sn Snapshot, days int) (Snapshot, error) {
	from := sn.ExpiresAt
	if now := f.Now(); from.Before(now) {
		from = now
	}
	sn.ExpiresAt = from.Add(time.Duration(days) * 24 * time.Hour)
	if err := tx.UpdateSnapshot(ctx, sn); err != nil {
		return Snapshot{}, fmt.Errorf("update snapshot: %w", err)
	}
	return sn, f.emit(ctx, tx, sn.Owner, EventSnapshotExtended, sn.ID, data{"expires_at": sn.ExpiresAt, "days": days})
}

// PlanDeleteSnapshot tells whether a snapshot can be deleted now.
func (f *Fleet) PlanDeleteSnapshot(ctx context.Context, rx Rx, sn Snapshot) error {
	if sn.Status == SnapshotDeleted || sn.Status == SnapshotExpired {
		return berth.Errorf(berth.Conflict, "the snapshot is %s already", sn.Status)
	}
	open, err := openAction(ctx, rx, sn.Owner, sn.ID)
	if err != nil || open.ID == "" {
		return err
	}
	return berth.Errorf(berth.Conflict, "a %s is using the snapshot: action %s, at %q", open.Kind, open.ID, open.Stage).
		Hinted("Wait until action %s has ended, then try again.", open.ID)
}

// DeleteSnapshot takes a snapshot from its owner at once and starts removing it
// at the provider. Call Announce after the commit.
func (f *Fleet) DeleteSnapshot(ctx context.Context, tx Tx, sn Snapshot) (Action, error) {
	return f.dropSnapshot(ctx, tx, sn, SnapshotDeleted)
}

// dropSnapshot ends a snapshot's row with a status, and starts removing it. Its
// retention ends now, if it has not before.
func (f *Fleet) dropSnapshot(ctx context.Context, tx Tx, sn Snapshot, as SnapshotStatus) (Action, error) {
	sn.Status = as
	if now := f.Now(); sn.ExpiresAt.After(now) {
		sn.ExpiresAt = now
	}
	if err := tx.UpdateSnapshot(ctx, sn); err != nil {
		return Action{}, fmt.Errorf("update snapshot: %w", err)
	}
	if err := f.emit(ctx, tx, sn.Owner, EventKind("snapshot."+string(as)), sn.ID, data{"name": sn.Name}); err != nil {
		return Action{}, err
	}
	a := f.newAction(ActionDeleteSnapshot, sn.Owner)
	a.Snapshot = sn.ID
	return a, f.start(ctx, tx, a)
}

// deleteSnapshotSaga never gives up: what is left at the provider costs money.
func deleteSnapshotSaga() saga {
	return saga{
		stages: []stage{
			{name: stageDeleting, percent: 30, run: (*Fleet).removeSnapshot},
			{name: "deleted", percent: 100},
		},
		fail: func(*Fleet, context.Context, Tx, *work) (string, error) { return "", nil },
	}
}

// removeSnapshot deletes a snapshot at the provider. One that failed has no id:
// it is looked for by name, in case it came to exist all the same.
func (f *Fleet) removeSnapshot(ctx context.Context, w work) (outcome, error) {
	id := w.Snapshot.ProviderID
	if id == "" {
		found, err := f.Provider.Snapshot(ctx, f.providerName(w.Snapshot.ID))
		if provider.KindOf(err) == provider.NotFound {
			return outcome{to: "deleted"}, nil
		}
		if err != nil {
			return outcome{}, err
		}
		id = found.ID
	}
	if err := f.Provider.DeleteSnapshot(ctx, id); err != nil {
		return outcome{}, err
	}
	return outcome{to: "deleted"}, nil
}
