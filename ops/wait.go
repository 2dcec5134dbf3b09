package ops

import (
	"context"
	"errors"
	"time"

	"berth"
	"berth/fleet"
)

// Wait follows a result's action for at most d, telling sink of each stage, and
// brings the answer up to date. An action that failed in that time is an error,
// except where the call only looked at it; one that still runs is none. Waiting
// is no part of the stored answer.
func (s *System) Wait(ctx context.Context, res *Result, d time.Duration, sink Sink) error {
	if res.Action == "" || d <= 0 {
		return nil
	}
	if sink == nil {
		sink = noSink{}
	}
	waiting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	stage := ""
	last, err := s.fleet.Follow(waiting, res.Action, func(a fleet.Action) {
		if a.Stage != stage {
			stage = a.Stage
			sink.Progress(a.Stage, a.Percent, progressMessage(a))
		}
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if last.Status == fleet.ActionFailed && res.Operation.Changes() {
		return failed(last)
	}
	if res.Operation.fresh == nil {
		return nil
	}
	return s.store.Read(ctx, func(rx Rx) error {
		res.Out, err = res.Operation.fresh(ctx, rx, res.request, res.Out)
		return err
	})
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
