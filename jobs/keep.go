package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// upkeepQueue is apart from the actions' queue, so that many waiting actions
// delay no lease's end.
const upkeepQueue = "upkeep"

// task is work that comes back at intervals.
type task struct {
	name  string
	every time.Duration
	first bool // also at the start
	run   func(context.Context) error
}

func (t task) periodic() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(t.every), func() (river.JobArgs, *river.InsertOpts) {
		return keep{Task: t.name}, &river.InsertOpts{
			Queue: upkeepQueue, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished},
		}
	}, &river.PeriodicJobOpts{RunOnStart: t.first})
}

// keep is the job of one task.
type keep struct {
	Task string `json:"task" river:"unique"`
}

// Kind implements river.JobArgs.
func (keep) Kind() string { return "keep" }

// keeper carries out tasks.
type keeper struct {
	river.WorkerDefaults[keep]
	tasks []task
	log   *slog.Logger
}

// Work implements river.Worker. A task that fails is told of and comes back at
// its next time.
func (k *keeper) Work(ctx context.Context, job *river.Job[keep]) error {
	for _, t := range k.tasks {
		if t.name != job.Args.Task {
			continue
		}
		if err := t.run(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("upkeep failed", slog.String("task", t.name), slog.Any("error", err))
		}
		return nil
	}
	return fmt.Errorf("there is no task %q", job.Args.Task)
}
