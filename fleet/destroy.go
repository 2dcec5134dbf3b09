package fleet

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/billing"
	"berth/provider"
)

// The stages of a destroy, beside those of taking a snapshot.
const (
	stageWaiting      = "waiting for a snapshot"
	stageSnapshotting = "snapshotting"
	stageDeleting     = "deleting"
	stageConfirming   = "confirming"
	stageGone         = "gone"
)

// destroyInput is what a destroy keeps in its action.
type destroyInput struct {
	Was      Status `json:"was"`                 // the server's state before
	LeaseEnd bool   `json:"lease_end,omitempty"` // nobody asked for it: the lease ran out
}

// PlanDestroy tells whether a server can be destroyed now, and what asking for it
// costs. A server that is still being made can: its purchase is then released. So
// can one that failed, to be rid of it.
func (f *Fleet) PlanDestroy(ctx context.Context, rx Rx, s Server, by Buyer) (billing.Price, error) {
	price := f.prices(by.Contract).FeePrice(by.Tariff, billing.FeeDestroy)
	return price, f.checkEnds(ctx, rx, s)
}

// checkEnds refuses a server that can't be destroyed now.
func (f *Fleet) checkEnds(ctx context.Context, rx Rx, s Server) error {
	if s.Status == Destroying || s.Status == Destroyed {
		return berth.Errorf(berth.Conflict, "the server is %s", s.Status).
			Hinted("There is nothing left to destroy.")
	}
	if s.Status == Provisioning {
		return nil
	}
	// A snapshot changes nothing about the server: its end waits for it, and who
	// asked need not ask again while each hour is paid.
	if open, err := openAction(ctx, rx, s.Owner, s.ID); err != nil || open.Kind == ActionSnapshot {
		return err
	}
	return checkFree(ctx, rx, s)
}

// Destroy starts ending a server, with a snapshot first if wanted. A server
// that never came up, or that failed, has nothing to keep: the Snapshot is then
// zero, what was held for it is released, and the action that was making it
// ends. Call Announce after the commit.
//
// If the snapshot fails again and again, the server is kept as it was and the
// action fails: what a caller wanted to keep is never destroyed without it.
func (f *Fleet) Destroy(ctx context.Context, tx Tx, s Server, withSnapshot bool) (Snapshot, Action, error) {
	return f.destroy(ctx, tx, s, withSnapshot, destroyInput{Was: s.Status})
}

func (f *Fleet) destroy(ctx context.Context, tx Tx, s Server, withSnapshot bool, in destroyInput) (Snapshot, Action, error) {
	a := f.newAction(ActionDestroy, s.Owner)
	a.Server, a.Input = s.ID, mustJSON(in)
	if s.Status == Failed { // its money was settled then; only what may be left of a machine goes
		a.Stage, s.Status = stageDeleting, Destroying
		if err := tx.UpdateServer(ctx, s); err != nil {
			return Snapshot{}, Action{}, fmt.Errorf("update server: %w", err)
		}
		return Snapshot{}, a, f.start(ctx, tx, a)
	}
	var sn Snapshot
	if err := f.halt(ctx, tx, &s); err != nil {
		return Snapshot{}, Action{}, err
	}
	before, err := openAction(ctx, tx, s.Owner, s.ID)
	if err != nil {
		return Snapshot{}, Action{}, err
	}
	switch {
	case s.Status == Provisioning:
		if err := f.cancelCreate(ctx, tx, s); err != nil {
			return Snapshot{}, Action{}, err
		}
		a.Stage = stageDeleting
	case withSnapshot:
		class := ShortTerm
		if in.LeaseEnd && s.Lease.Period == Hour {
			class = Backup
		}
		sn = f.newSnapshot(s, "final-"+s.Label, class)
		if err := tx.InsertSnapshot(ctx, sn); err != nil {
			return Snapshot{}, Action{}, fmt.Errorf("insert snapshot: %w", err)
		}
		a.Snapshot = sn.ID
	default:
		a.Stage = stageDeleting
	}
	if a.Stage == stageDeleting { // else the server may be kept
		if err := f.settle(ctx, tx, &s); err != nil {
			return Snapshot{}, Action{}, err
		}
	}
	if before.Kind == ActionSnapshot {
		a.Stage = stageWaiting
	}
	s.Status, s.DueAt = Destroying, time.Time{}
	if err := tx.UpdateServer(ctx, s); err != nil {
		return Snapshot{}, Action{}, fmt.Errorf("update server: %w", err)
	}
	return sn, a, f.start(ctx, tx, a)
}

// awaitSnapshot waits for a snapshot that was begun before the destroy.
func (f *Fleet) awaitSnapshot(ctx context.Context, w work) (outcome, error) {
	running := false
	err := f.Store.Read(ctx, func(rx Rx) error {
		open, err := rx.Actions(ctx, ActionFilter{Owner: w.Server.Owner, Subject: w.Server.ID, Open: true, Limit: 2})
		running = len(open) > 1 // one is the destroy
		return err
	})
	switch {
	case err != nil:
		return outcome{}, fmt.Errorf("look for actions on %s: %w", w.Server.ID, err)
	case running:
		return outcome{wait: f.pollPause(w.Action)}, nil
	case w.Snapshot.ID == "":
		return outcome{to: stageDeleting}, nil
	}
	return outcome{to: stageSnapshotting}, nil
}

// cancelCreate ends the action that is making a server. Whatever it is doing at
// the provider at this moment, it can't record any more; the machine that may
// come of it is found by its tag.
func (f *Fleet) cancelCreate(ctx context.Context, tx Tx, s Server) error {
	a, err := openAction(ctx, tx, s.Owner, s.ID)
	if err != nil {
		return err
	}
	if a.Kind != ActionCreate {
		return fmt.Errorf("server %s is provisioning without a create", s.ID)
	}
	a.Reason = "the server was destroyed before it was ready"
	if err := billing.Release(ctx, tx, a.Charge, a.Reason, f.Now()); err != nil {
		return fmt.Errorf("release %s: %w", a.Charge, err)
	}
	if err := f.finish(ctx, tx, &a, ActionFailed); err != nil {
		return err
	}
	return tx.UpdateAction(ctx, a)
}

func destroySaga() saga {
	return saga{
		stages: []stage{
			// Without a limit: the step itself decides when to stop trying.
			{name: stageSnapshotting, percent: 10, run: (*Fleet).keepDisk},
			{name: stageDeleting, percent: 60, run: remove(stageConfirming)},
			{name: stageConfirming, percent: 85, run: confirmGone(stageDeleting, stageGone, (*Fleet).bury)},
			{name: stageGone, percent: 100},
			{name: stageWaiting, run: (*Fleet).awaitSnapshot},
		},
		fail: (*Fleet).keepServer,
	}
}

// keepDisk takes the last snapshot of a server. For a caller who asked for the
// destroy it is tried several times over some minutes, and then the server
// stays. When a lease has run out it is tried for long, and then the machine
// goes without it: its owner is told.
func (f *Fleet) keepDisk(ctx context.Context, w work) (outcome, error) {
	in, err := input[destroyInput](w.Action)
	if err != nil {
		return outcome{}, err
	}
	age := f.Now().Sub(w.Action.StageAt)
	switch {
	case in.LeaseEnd && age > f.Pace.LastSnapshot:
		return outcome{to: stageDeleting, apply: settled((*Fleet).loseDisk)}, nil
	case !in.LeaseEnd && (age > f.Pace.Copy || age > f.Pace.Request && w.Action.Attempt >= f.Pace.SnapshotTries):
		return outcome{}, failf("the snapshot did not succeed, so the server was kept; try again, or destroy it without a snapshot")
	}
	taken, out, err := f.copyDisk(ctx, w)
	switch {
	case provider.KindOf(err) == provider.NotFound:
		return outcome{to: stageDeleting, apply: settled((*Fleet).loseDisk)}, nil // there is no disk any more
	case err != nil || taken.ID == "":
		return out, err
	}
	return outcome{to: stageDeleting, apply: settled(complete(taken))}, nil
}

// loseDisk gives up the last snapshot, and says so.
func (f *Fleet) loseDisk(ctx context.Context, tx Tx, w *work) error {
	if err := f.failSnapshot(ctx, tx, w, "the provider could not copy the disk"); err != nil {
		return err
	}
	return f.emit(ctx, tx, w.Server.Owner, EventServerLostSnapshot, w.Server.ID, data{"snapshot_id": w.Snapshot.ID})
}

// keepServer puts a server back that could not be snapshotted.
func (f *Fleet) keepServer(ctx context.Context, tx Tx, w *work) (string, error) {
	in, err := input[destroyInput](w.Action)
	if err != nil {
		return "", err
	}
	w.Server.Status = in.Was
	if w.Server.Lease.Period == Deposit {
		w.Server.Lease.begin(f.Now())
	}
	f.reschedule(&w.Server)
	if err := f.failSnapshot(ctx, tx, w, w.Action.Reason); err != nil {
		return "", err
	}
	return "", f.emit(ctx, tx, w.Server.Owner, EventServerKept, w.Server.ID, data{"reason": w.Action.Reason})
}

// remove is a step that deletes a server's machines, one at a time: the one
// that is known, and where none is, all that bear its tag.
func remove(next string) step {
	return func(f *Fleet, ctx context.Context, w work) (outcome, error) {
		f.Prober.Forget(w.Server.ID)
		id := w.Server.MachineID
		if id == "" {
			found, err := f.Provider.Machines(ctx, string(w.Server.ID))
			if err != nil || len(found) == 0 {
				return outcome{to: next}, err
			}
			id = found[0].ID
		}
		if err := f.Provider.Delete(ctx, id); err != nil {
			return outcome{}, err
		}
		f.capacity.freed()
		return outcome{to: next}, nil
	}
}

// confirmGone is a step that makes sure that a server has no machine any more,
// and goes back to delete again where it still has one and nothing is being done
// with it. A machine whose request was under way may appear late, so the list
// must stay empty for a while.
func confirmGone(back, next string, done change) step {
	return func(f *Fleet, ctx context.Context, w work) (outcome, error) {
		age := f.Now().Sub(w.Action.StageAt)
		left, err := f.remains(ctx, w)
		known := w.Server.MachineID != ""
		switch {
		case err != nil:
			return outcome{}, err
		case left == atWork:
			return outcome{wait: f.pollPause(w.Action)}, nil
		case left == there && (!known || age > f.Pace.Settle):
			return outcome{to: back}, nil
		case left == there, !known && age < f.Pace.Settle:
			return outcome{wait: f.pollPause(w.Action)}, nil
		}
		return outcome{to: next, apply: done}, nil
	}
}

// remnant is what is left of a server at the provider.
type remnant int

const (
	nothing remnant = iota
	there           // a machine
	atWork          // a machine with which something is being done
)

// remains looks for what is left of a server. While the common list shows its
// machine nobody asks for that by itself; that it is gone is believed only when
// it was asked for.
func (f *Fleet) remains(ctx context.Context, w work) (remnant, error) {
	if w.Server.MachineID == "" {
		list, err := f.Provider.Machines(ctx, string(w.Server.ID))
		if len(list) > 0 {
			return there, nil
		}
		return nothing, err
	}
	listed, err := f.machines(ctx, f.pollPause(w.Action))
	if err != nil {
		return nothing, err
	}
	m, shown := listed.byTag[string(w.Server.ID)]
	shown = shown && m.ID == w.Server.MachineID
	switch {
	case listed.asked.Before(w.Action.StageAt), shown && m.Busy:
		return atWork, nil // as far as is known
	case shown:
		return there, nil
	}
	m, err = f.Provider.Machine(ctx, w.Server.MachineID)
	switch {
	case provider.KindOf(err) == provider.NotFound:
		return nothing, nil
	case err == nil && m.Busy:
		return atWork, nil
	}
	return there, err
}

// bury ends a server's row.
func (f *Fleet) bury(ctx context.Context, tx Tx, w *work) error {
	w.Server.Status, w.Server.Ended = Destroyed, f.Now()
	return f.emit(ctx, tx, w.Server.Owner, EventServerDestroyed, w.Server.ID, data{"snapshot_id": w.Snapshot.ID})
}
