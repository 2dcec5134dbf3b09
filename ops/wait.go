package ops

import (
	"context"
	"errors"
	"time"

	"berth"
	"berth/fleet"
)

// Wait follows a result's actions for at most d, telling sink of each stage, and
// brings the answer up to date. An action that failed in that time is an error,
// except where the call only looked at it, or where others that were started with
// it did not fail: the answer tells. One that still runs is none. Waiting is no
// part of the stored answer.
func (s *System) Wait(ctx context.Context, res *Result, d time.Duration, sink Sink) error {
	ids := res.actions()
	if len(ids) == 0 || d <= 0 {
		return nil
	}
	if sink == nil {
		sink = noSink{}
	}
	waiting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	failures := 0
	var last fleet.Action
	for i, id := range ids {
		var err error
		last, err = s.follow(waiting, id, func(a fleet.Action) {
			sink.Progress(a.Stage, (100*i+a.Percent)/len(ids), progressMessage(a))
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if last.Status == fleet.ActionFailed {
			failures++
		}
	}
	if failures == len(ids) && res.Operation.Changes() {
		return failed(last)
	}
	if res.Operation.fresh == nil {
		return nil
	}
	return s.store.Read(ctx, func(rx Rx) (err error) {
		res.Out, err = res.Operation.fresh(ctx, rx, res.request, res.Out)
		return err
	})
}

// follow tells of each stage of an action until it ends or the time is up, which
// is no error, and returns it as it was then.
func (s *System) follow(ctx context.Context, id berth.ID, each func(fleet.Action)) (fleet.Action, error) {
	stage := ""
	last, err := s.fleet.Follow(ctx, id, func(a fleet.Action) {
		if a.Stage != stage {
			stage = a.Stage
			each(a)
		}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return last, err
}

// actions are the actions that can be waited for: one, or those of a fleet.
func (r *Result) actions() []berth.ID {
	switch many, ok := r.Out.(interface{ actionIDs() []berth.ID }); {
	case r.Action == "":
		return nil
	case ok:
		return many.actionIDs()
	}
	return []berth.ID{r.Action}
}

func progressMessage(a fleet.Action) string {
	subject := a.Server
	if subject == "" {
		subject = a.Snapshot
	}
	return string(a.Kind) + " " + string(subject) + ": " + a.Stage
}

func failed(a fleet.Action) error {
	return berth.Errorf(berth.Unavailable, "%s failed: %s", a.Kind, a.Reason).
		Hinted("what was held for it has been released; look at get_action %s, then try again or choose otherwise", a.ID)
}
