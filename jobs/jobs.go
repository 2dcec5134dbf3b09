// Package jobs is the doorbell: it calls the fleet's steps when they are due,
// on River. Nothing of a saga lives here. The truth is the action's row, and a
// scan at the start rings for every action that runs, so the embedded queue is
// kept in memory and costs the disk nothing.
package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the embedded queue's engine

	"berth"
)

// Fleet is what the jobs advance.
type Fleet interface {
	Step(ctx context.Context, id berth.ID) (again time.Duration, done bool, err error)
	OpenActions(ctx context.Context) ([]berth.ID, error)
	Expire(ctx context.Context) (int, error)
	Reconcile(ctx context.Context) error
	Refresh(ctx context.Context) error
}

// Options adjust the jobs. Fleet and Log must be set.
type Options struct {
	Fleet Fleet
	Prune func(context.Context) error // forgets what is past its time; nil for nothing
	// Payments follows what wallets have paid; nil for nothing.
	Payments func(context.Context) error
	Log      *slog.Logger
	Expire   time.Duration // between two looks at leases and retention; 1 second if zero
	Sweep    time.Duration // between two comparisons with the provider; 5 minutes if zero
}

// maxActions bounds the actions that are advanced at once.
const maxActions = 500

// Queue rings for actions and keeps time for the fleet.
type Queue struct {
	o      Options
	bell   *bell
	ending atomic.Bool
	db     *sql.DB
	client *river.Client[*sql.Tx]
	ringer sync.WaitGroup
}

// New makes a queue that collects rings; Start begins to answer them.
func New(o Options) *Queue {
	if o.Expire == 0 {
		o.Expire = time.Second
	}
	if o.Sweep == 0 {
		o.Sweep = 5 * time.Minute
	}
	return &Queue{o: o, bell: newBell()}
}

// Ring asks for actions to be advanced soon. It never blocks and never fails:
// an action whose ring is lost is rung for again by the next scan.
func (q *Queue) Ring(ids ...berth.ID) { q.bell.ring(ids...) }

// Start opens the queue, rings for every action that runs, and returns.
func (q *Queue) Start(ctx context.Context) error {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	db.SetMaxOpenConns(1) // a database in memory is its connection's own
	db.SetConnMaxLifetime(0)
	driver := riversqlite.New(db)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: q.quiet()})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("prepare the queue: %w", err), db.Close())
	}
	if q.client, err = river.NewClient(driver, q.config()); err != nil {
		return errors.Join(fmt.Errorf("make the queue: %w", err), db.Close())
	}
	q.db = db
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(fmt.Errorf("start the queue: %w", err), db.Close())
	}
	q.ringer.Add(1)
	go q.answer()
	return q.scan(ctx)
}

func (q *Queue) config() *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, &advancer{fleet: q.o.Fleet})
	tasks := []task{
		{name: "expire", every: q.o.Expire, run: func(ctx context.Context) error { _, err := q.o.Fleet.Expire(ctx); return err }},
		{name: "reconcile", every: q.o.Sweep, run: q.o.Fleet.Reconcile},
		{name: "refresh", every: 10 * time.Minute, run: q.o.Fleet.Refresh, first: true},
		{name: "scan", every: 30 * time.Second, run: q.scan},
	}
	if q.o.Payments != nil {
		tasks = append(tasks, task{name: "payments", every: 2 * time.Second, run: q.o.Payments})
	}
	if q.o.Prune != nil {
		tasks = append(tasks, task{name: "prune", every: time.Hour, run: q.o.Prune})
	}
	river.AddWorker(workers, &keeper{tasks: tasks, log: q.o.Log})
	c := &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: maxActions},
			upkeepQueue:        {MaxWorkers: len(tasks)},
		},
		Workers: workers, Logger: q.quiet(),
		// A ring in this process wakes the producer at once; polling is for
		// jobs that were snoozed.
		FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 500 * time.Millisecond,
		JobTimeout: -1, RescueStuckJobsAfter: 24 * time.Hour,
		CompletedJobRetentionPeriod: time.Minute,
		SoftStopTimeout:             5 * time.Second,
	}
	for _, t := range tasks {
		c.PeriodicJobs = append(c.PeriodicJobs, t.periodic())
	}
	return c
}

// answer turns rings into jobs until the bell is closed.
func (q *Queue) answer() {
	defer q.ringer.Done()
	for ids := range q.bell.rings() {
		jobs := make([]river.InsertManyParams, len(ids))
		for i, id := range ids {
			jobs[i].Args = advance{Action: id}
		}
		if _, err := q.client.InsertMany(context.Background(), jobs); err != nil {
			q.o.Log.Error("rings were lost until the next scan", slog.Int("actions", len(ids)), slog.Any("error", err))
		}
	}
}

// scan rings for every action that runs.
func (q *Queue) scan(ctx context.Context) error {
	ids, err := q.o.Fleet.OpenActions(ctx)
	if err != nil {
		return fmt.Errorf("scan for actions: %w", err)
	}
	q.Ring(ids...)
	return nil
}

// Stop lets steps under way finish, until ctx is done, and closes the queue.
// Actions stay where they are; the next process goes on with them.
func (q *Queue) Stop(ctx context.Context) error {
	q.ending.Store(true)
	q.bell.close()
	if q.client == nil {
		return nil
	}
	q.ringer.Wait()
	return errors.Join(q.client.StopAndCancel(ctx), q.db.Close())
}
