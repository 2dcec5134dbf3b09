package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"berth"
)

// patience is the longest pause that a job waits out itself. For longer ones it
// is put back, which frees its worker.
const patience = 5 * time.Second

// advance is the job of one action. There is at most one at a time.
type advance struct {
	Action berth.ID `json:"action" river:"unique"`
}

// Kind implements river.JobArgs.
func (advance) Kind() string { return "advance" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (advance) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 10_000, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished}}
}

// unfinished are the states in which a job still will run.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// advancer steps an action until it ends or has to wait for long.
type advancer struct {
	river.WorkerDefaults[advance]
	fleet Fleet
}

// Work implements river.Worker.
func (w *advancer) Work(ctx context.Context, job *river.Job[advance]) error {
	for {
		again, done, err := w.fleet.Step(ctx, job.Args.Action)
		switch {
		case err != nil:
			return err
		case done:
			return nil
		case again > patience:
			return river.JobSnooze(again)
		}
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// NextRetry implements river.Worker: only storage that fails leads here, and
// that is worth looking at again soon.
func (w *advancer) NextRetry(*river.Job[advance]) time.Time { return time.Now().Add(time.Second) }
