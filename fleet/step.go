package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"time"

	"berth"
	"berth/billing"
	"berth/provider"
)

// holdTime is how long a process has an action for itself. It is renewed when
// less than half is left, so that a waiting action writes twice a minute.
const holdTime = time.Minute

// stepTime bounds one step, so that it ends while the action is held.
const stepTime = holdTime / 2

// Step advances an action by one small idempotent step. It returns when to
// look again; done means that the action has ended, well or not. The error is
// only for what Step could not even record.
//
// Any number of processes may call it for the same action: the one that holds
// the action works, the others are told to come back later. What a process
// does after it has lost its hold is not recorded.
func (f *Fleet) Step(ctx context.Context, id berth.ID) (again time.Duration, done bool, err error) {
	if !f.begin(id) {
		return f.Pace.Poll, false, nil
	}
	defer f.end(id)
	w, again, err := f.take(ctx, id)
	if err != nil {
		return 0, false, fmt.Errorf("take up action %s: %w", id, err)
	}
	if w.Action.Status != ActionRunning {
		return 0, true, nil
	}
	if again > 0 {
		return again, false, nil
	}
	st, err := f.sagas[w.Action.Kind].stage(w.Action.Stage)
	if err != nil {
		return 0, false, fmt.Errorf("action %s: %w", id, err)
	}
	stepping, cancel := context.WithTimeout(ctx, stepTime)
	out, err := st.run(f, stepping, w)
	cancel()
	if ctx.Err() != nil {
		return 0, false, ctx.Err()
	}
	if errors.Is(err, errLater) {
		return f.pollPause(w.Action), false, nil
	}
	again, done, err = f.record(ctx, w, st, out, err)
	if err != nil {
		return 0, false, fmt.Errorf("record %s of action %s: %w", st.name, id, err)
	}
	return again, done, nil
}

// begin keeps a second goroutine of this process away from an action.
func (f *Fleet) begin(id berth.ID) bool {
	_, busy := f.busy.LoadOrStore(id, nil)
	return !busy
}

func (f *Fleet) end(id berth.ID) { f.busy.Delete(id) }

// take reads the action and its rows, and holds it for this process. A wait
// means that there is nothing to do yet.
func (f *Fleet) take(ctx context.Context, id berth.ID) (w work, wait time.Duration, err error) {
	mustWrite := false
	err = f.Store.Read(ctx, func(rx Rx) error {
		if w, err = load(ctx, rx, id); err != nil {
			return err
		}
		wait = f.idle(w.Action)
		mustWrite = f.hold(&w)
		return nil
	})
	if err != nil || w.Action.Status != ActionRunning || wait > 0 || !mustWrite {
		return w, wait, err
	}
	owner := w.Action.Owner
	err = f.Store.Write(ctx, func(tx Tx) error {
		if err := tx.LockPrincipal(ctx, owner); err != nil {
			return err
		}
		if w, err = load(ctx, tx, id); err != nil {
			return err
		}
		if wait = f.idle(w.Action); wait > 0 || w.Action.Status != ActionRunning || !f.hold(&w) {
			return nil
		}
		return tx.UpdateAction(ctx, w.Action)
	})
	return w, wait, err
}

// idle is how long nothing is to be done: until the time that was set, and
// while another process holds the action.
func (f *Fleet) idle(a Action) time.Duration {
	now := f.Now()
	wait := a.NextAt.Sub(now)
	if a.HeldBy != f.Process {
		wait = max(wait, a.HeldTill.Sub(now))
	}
	return max(wait, 0)
}

// hold gives the action to this process, notes what its stage is about to do,
// and tells whether that changed the row.
func (f *Fleet) hold(w *work) bool {
	a, now := &w.Action, f.Now()
	changed := false
	if a.HeldBy != f.Process {
		a.Fence, a.HeldBy, changed = a.Fence+1, f.Process, true
	}
	if a.HeldTill.Sub(now) < holdTime/2 {
		a.HeldTill, changed = now.Add(holdTime), true
	}
	if st, err := f.sagas[a.Kind].stage(a.Stage); err == nil && st.note != nil {
		w.noted = st.note(a, now)
	}
	return changed || w.noted
}

// load reads an action and its rows.
func load(ctx context.Context, rx Rx, id berth.ID) (w work, err error) {
	if w.Action, err = rx.Action(ctx, id); err != nil {
		return work{}, err
	}
	if w.Action.Server != "" {
		if w.Server, err = rx.Server(ctx, w.Action.Server); err != nil {
			return work{}, err
		}
	}
	if w.Action.Snapshot != "" {
		if w.Snapshot, err = rx.Snapshot(ctx, w.Action.Snapshot); err != nil {
			return work{}, err
		}
	}
	return w, nil
}

// verdict is what becomes of an action after a step.
type verdict struct {
	outcome
	retry  time.Duration // above zero: count an attempt and pause
	reason string        // not empty: the action fails
}

// judge turns a step's result into a verdict. An action that is cleaning up
// after a failure, and a stage without a limit, can't fail any more.
func (f *Fleet) judge(ctx context.Context, w work, st stage, out outcome, err error) verdict {
	a := w.Action
	v := verdict{outcome: out}
	bounded := st.limit != nil && a.Reason == ""
	late := bounded && f.Now().Sub(a.StageAt) > st.limit(f.Pace, w) && out.to == ""
	var ended *failure
	switch {
	case err == nil && late:
		v.reason = fmt.Sprintf("%q took longer than %s", st.name, st.limit(f.Pace, w))
	case err == nil:
	case errors.As(err, &ended) && a.Reason == "":
		v.reason = ended.reason
	case late || bounded && permanent(err):
		v.reason = f.explain(err)
	default:
		v.retry = f.backoff(a.Attempt, err)
	}
	if err != nil {
		level := slog.LevelWarn
		if v.retry > 0 && provider.KindOf(err) == provider.RateLimited {
			level = slog.LevelDebug // it waits for its turn
		}
		f.Log.Log(ctx, level, "step failed", slog.String("action", string(a.ID)), slog.String("kind", string(a.Kind)),
			slog.String("stage", a.Stage), slog.Int("attempt", a.Attempt), slog.Bool("gives_up", v.reason != ""), slog.Any("error", err))
	}
	return v
}

// permanent tells whether the same request would meet the same error.
func permanent(err error) bool {
	kind := provider.KindOf(err)
	return kind != "" && !kind.Temporary()
}

// backoff is the pause before the next attempt: it doubles from one to the
// next, with a quarter of jitter, and is at least what the provider asks for.
func (f *Fleet) backoff(attempt int, err error) time.Duration {
	pause := f.Pace.RetryMax
	if attempt < 20 { // beyond, shifting would overflow
		pause = min(pause, f.Pace.Retry<<attempt)
	}
	pause += time.Duration((rand.Float64() - 0.5) / 2 * float64(pause))
	var e *provider.Error
	if errors.As(err, &e) {
		pause = max(pause, e.RetryAfter)
	}
	return max(pause, time.Millisecond)
}

// record writes what a step came to, unless the action has been taken away
// meanwhile: then somebody else goes on from the row as it was.
func (f *Fleet) record(ctx context.Context, w work, st stage, out outcome, stepErr error) (again time.Duration, done bool, err error) {
	v := f.judge(ctx, w, st, out, stepErr)
	if v.to == "" && v.apply == nil && v.retry == 0 && v.reason == "" {
		return f.pause(v.wait), false, nil
	}
	var after Action
	lost := false
	err = f.Store.Write(ctx, func(tx Tx) error {
		if err := tx.LockPrincipal(ctx, w.Action.Owner); err != nil {
			return err
		}
		fresh, err := load(ctx, tx, w.Action.ID)
		if err != nil {
			return err
		}
		after = fresh.Action
		if lost = after.Status != ActionRunning || after.Fence != w.Action.Fence; lost {
			return nil
		}
		if err := f.advance(ctx, tx, &fresh, v); err != nil {
			return err
		}
		after = fresh.Action
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	if after.Stage != w.Action.Stage || after.Status != ActionRunning {
		f.hub.publish(after)
	}
	switch {
	case after.Status != ActionRunning:
		return 0, true, nil
	case lost:
		return f.Pace.Poll, false, nil
	case after.Stage != w.Action.Stage:
		return 0, false, nil
	}
	return max(v.wait, v.retry), false, nil
}

// pause is how long a step that changed nothing asks to wait. Where it does not
// say, it must not spin.
func (f *Fleet) pause(asked time.Duration) time.Duration {
	if asked > 0 {
		return asked
	}
	return max(f.Pace.Poll, time.Millisecond)
}

// advance changes the rows by a verdict.
func (f *Fleet) advance(ctx context.Context, tx Tx, w *work, v verdict) error {
	before := *w
	if v.apply != nil {
		if err := v.apply(f, ctx, tx, w); err != nil {
			return err
		}
	}
	w.Action.NextAt = f.Now()
	switch {
	case v.reason != "":
		if err := f.giveUp(ctx, tx, w, v.reason); err != nil {
			return err
		}
	case v.retry > 0:
		w.Action.Attempt++
		w.Action.NextAt = f.Now().Add(v.retry)
		if err := f.tellDelay(ctx, tx, w.Action); err != nil {
			return err
		}
	case v.to != "":
		if err := f.enter(ctx, tx, w, v.to); err != nil {
			return err
		}
	default:
		w.Action.NextAt = f.Now().Add(v.wait)
	}
	return w.write(ctx, tx, before)
}

// write stores the rows that differ from before.
func (w *work) write(ctx context.Context, tx Tx, before work) error {
	if !reflect.DeepEqual(w.Server, before.Server) {
		if err := tx.UpdateServer(ctx, w.Server); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(w.Snapshot, before.Snapshot) {
		if err := tx.UpdateSnapshot(ctx, w.Snapshot); err != nil {
			return err
		}
	}
	return tx.UpdateAction(ctx, w.Action)
}

// enter moves the action to a stage, and ends it where that is the last one:
// well, with its charge captured, unless it was cleaning up.
func (f *Fleet) enter(ctx context.Context, tx Tx, w *work, name string) error {
	st, err := f.sagas[w.Action.Kind].stage(name)
	if err != nil {
		return err
	}
	a := &w.Action
	a.Stage, a.StageAt, a.Attempt, a.Ref = st.name, f.Now(), 0, ""
	a.Percent = max(a.Percent, st.percent)
	if !st.final() {
		return f.emit(ctx, tx, a.Owner, EventActionStage, a.ID, stageData(*a))
	}
	if a.Reason != "" {
		return f.finish(ctx, tx, a, ActionFailed)
	}
	if err := billing.Capture(ctx, tx, a.Charge, f.Now()); err != nil {
		return fmt.Errorf("capture %s: %w", a.Charge, err)
	}
	return f.finish(ctx, tx, a, ActionDone)
}

// giveUp fails the action: what was held for it goes back to its owner at once,
// and what is half made is cleaned up.
func (f *Fleet) giveUp(ctx context.Context, tx Tx, w *work, reason string) error {
	w.Action.Reason = clip(reason)
	if err := billing.Release(ctx, tx, w.Action.Charge, memo(w.Action.Reason), f.Now()); err != nil {
		return fmt.Errorf("release %s: %w", w.Action.Charge, err)
	}
	cleanup, err := f.sagas[w.Action.Kind].fail(f, ctx, tx, w)
	if err != nil {
		return err
	}
	if cleanup != "" {
		return f.enter(ctx, tx, w, cleanup)
	}
	return f.finish(ctx, tx, &w.Action, ActionFailed)
}

// finish ends an action and tells of it.
func (f *Fleet) finish(ctx context.Context, tx Tx, a *Action, status ActionStatus) error {
	a.Status, a.Ended = status, f.Now()
	a.HeldBy, a.HeldTill, a.Ref = "", time.Time{}, ""
	kind := EventActionCompleted
	if status == ActionFailed {
		kind = EventActionFailed
	}
	return f.emit(ctx, tx, a.Owner, kind, a.ID, stageData(*a))
}

// tellDelay tells of an action that keeps meeting errors: after 4, 8, 16 …
// attempts.
func (f *Fleet) tellDelay(ctx context.Context, tx Tx, a Action) error {
	if a.Attempt < 4 || a.Attempt&(a.Attempt-1) != 0 {
		return nil
	}
	return f.emit(ctx, tx, a.Owner, EventActionDelayed, a.ID, stageData(a))
}
