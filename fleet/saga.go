package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth/provider"
)

// work is an action together with the rows that it is about.
type work struct {
	Action   Action
	Server   Server   // zero for work on a snapshot alone
	Snapshot Snapshot // zero where none is taken, restored or deleted

	noted bool // this step is the first after what it does was noted in the action
}

// change alters the rows of a piece of work inside the transaction that records
// a step. It may run more than once, each time on freshly read rows.
type change func(f *Fleet, ctx context.Context, tx Tx, w *work) error

// outcome is how a step went.
type outcome struct {
	to    string        // the stage to go on to; empty: stay in this one
	wait  time.Duration // how long to wait before the next step, where it stays
	apply change        // what it changed; nil for nothing
}

// step does one thing outside any transaction: at most one call that changes
// something at the provider. An error of the provider is taken for what its
// kind says; a *failure ends the action. The outcome's change is recorded also
// with an error after which the step is tried again.
type step func(f *Fleet, ctx context.Context, w work) (outcome, error)

// stage is a part of an action that its caller can see.
type stage struct {
	name    string
	percent int // shown when it is entered; what is shown never falls
	run     step
	// limit is how long the stage may last before the action fails; nil: it is
	// never given up, whatever happens.
	limit func(Pace, work) time.Duration
	// note writes into the action, before the step runs, what it is about to
	// do, and tells whether it changed anything. A step that must not be
	// repeated blindly after a crash needs it.
	note func(a *Action, now time.Time) bool
}

// final tells whether an action ends when it reaches the stage.
func (s stage) final() bool { return s.run == nil }

// saga is how one kind of action goes: its stages, the first one first.
type saga struct {
	stages []stage
	// fail changes the rows when the action fails, and names the stage that
	// cleans up; without one the action ends at once.
	fail func(f *Fleet, ctx context.Context, tx Tx, w *work) (cleanup string, err error)
}

// sagas are all kinds of action.
func sagas() map[ActionKind]saga {
	return map[ActionKind]saga{
		ActionCreate:         createSaga(),
		ActionDestroy:        destroySaga(),
		ActionSnapshot:       snapshotSaga(),
		ActionDeleteSnapshot: deleteSnapshotSaga(),
		ActionPowerOn:        powerOnSaga(),
		ActionPowerOff:       powerOffSaga(),
		ActionReboot:         rebootSaga(),
		ActionResize:         resizeSaga(),
		ActionRebuild:        rebuildSaga(),
		ActionSuspend:        suspendSaga(),
		ActionRevive:         reviveSaga(),
	}
}

// stage finds a stage by its name.
func (s saga) stage(name string) (stage, error) {
	for _, st := range s.stages {
		if st.name == name {
			return st, nil
		}
	}
	return stage{}, fmt.Errorf("there is no stage %q", name)
}

// failure ends an action; its text is for the owner.
type failure struct {
	reason string
	err    error // the cause, or nil
}

func (e *failure) Error() string { return e.reason }
func (e *failure) Unwrap() error { return e.err }

// failf is a failure with a reason in words.
func failf(format string, args ...any) error { return &failure{reason: fmt.Sprintf(format, args...)} }

// tries is how often a stage asks the provider again for work that it reported
// as failed.
const tries = 4

// ask is a step that asks the provider once for a change and then waits until
// it is done, to go on to the stage next with the change done.
func ask(next string, request func(context.Context, provider.Provider, work) (provider.Ref, error), done change) step {
	return func(f *Fleet, ctx context.Context, w work) (outcome, error) {
		finished := outcome{to: next, apply: done}
		if w.Action.Ref == "" {
			ref, err := request(ctx, f.Provider, w)
			switch {
			case err != nil:
				return outcome{}, err
			case ref == "":
				return finished, nil
			}
			return outcome{wait: f.Pace.Poll, apply: setRef(ref)}, nil
		}
		over, out, err := f.check(ctx, w)
		switch {
		case over:
			return finished, nil
		case errors.Is(err, errAgain) && w.Action.Attempt >= tries:
			return outcome{}, failf("the provider reported %d times that the change failed", tries)
		}
		return out, err
	}
}

// check looks at the work that the action waits for and tells whether it is
// over. Work that failed, or that the provider has forgotten, is to be asked
// for again: the error is then errAgain.
func (f *Fleet) check(ctx context.Context, w work) (over bool, out outcome, err error) {
	progress, err := f.Provider.Check(ctx, w.Action.Ref)
	lost := provider.KindOf(err) == provider.NotFound
	switch {
	case err != nil && !lost:
		return false, outcome{}, err
	case progress == provider.Done:
		return true, outcome{}, nil
	case progress == provider.Running:
		return false, outcome{wait: f.patience(w.Action)}, nil
	}
	return false, outcome{apply: setRef("")}, errAgain
}

// errAgain is the error of a step that is to be tried again after a pause.
var errAgain = errors.New("the provider reported that the work failed")

// setRef is the change that notes what the action waits for.
func setRef(ref provider.Ref) change {
	return func(_ *Fleet, _ context.Context, _ Tx, w *work) error {
		w.Action.Ref = ref
		return nil
	}
}

// patience is the pause between two looks at single pieces of work: longer
// when the work is longer under way, to spare the provider's rate limit.
func (f *Fleet) patience(a Action) time.Duration {
	const longest = 30 * time.Second
	return max(f.Pace.Poll, min(f.Now().Sub(a.StageAt)/10, longest))
}

// The limits of stages.
func requestLimit(p Pace, _ work) time.Duration { return p.Request }
func changeLimit(p Pace, _ work) time.Duration  { return p.Change }
func connectLimit(p Pace, _ work) time.Duration { return p.Connect }
func copyLimit(p Pace, _ work) time.Duration    { return p.Copy }
