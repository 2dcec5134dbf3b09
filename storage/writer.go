package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"berth"
)

// maxGroup bounds how many transactions share one commit, and thereby how long
// the first of them waits for the others.
const maxGroup = 256

// writer is the one connection that writes. Syncing the disk takes longer than
// everything else in a small transaction, so those that wait while one group
// commits become the next group: each runs in a savepoint of its own, and one
// commit makes all of them durable.
//
// The writer's goroutine offers turns; whoever takes one has the session to
// itself until it reports on ran.
type writer struct {
	pool    *sql.DB
	session *session
	log     *slog.Logger
	turns   chan *group
	ran     chan error // nil, or what broke the group's transaction
	stop    chan struct{}
	stopped sync.WaitGroup
}

// group is the transactions of one commit.
type group struct {
	begun bool
	size  int
	done  chan struct{} // closed when err is known
	err   error
}

func openWriter(ctx context.Context, path string, log *slog.Logger) (*writer, error) {
	pool, err := openPool(path, writePragmas)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	if err := migrate(ctx, pool); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	w := &writer{
		pool:    pool,
		session: newSession(conn),
		log:     log,
		turns:   make(chan *group),
		ran:     make(chan error),
		stop:    make(chan struct{}),
	}
	w.stopped.Go(w.loop)
	return w, nil
}

// close lets the present group finish, refuses all later ones and closes the
// connection.
func (w *writer) close() error {
	close(w.stop)
	w.stopped.Wait()
	return errors.Join(w.session.close(), w.pool.Close())
}

func (w *writer) loop() {
	for {
		g := &group{done: make(chan struct{})}
		select {
		case <-w.stop:
			return
		case w.turns <- g:
		}
		g.err = w.finish(w.gather(g))
		close(g.done)
	}
}

// gather gives turns to those who wait, without waiting for more, and returns
// what broke the group's transaction, if anything did.
func (w *writer) gather(g *group) error {
	for g.size = 1; ; g.size++ {
		if err := <-w.ran; err != nil || g.size == maxGroup {
			return err
		}
		if w.offer(g) {
			continue
		}
		runtime.Gosched() // who was woken by the last commit may be about to ask
		if !w.offer(g) {
			return nil
		}
	}
}

// offer gives a turn to one who waits, if anybody does.
func (w *writer) offer(g *group) bool {
	select {
	case w.turns <- g:
		return true
	default:
		return false
	}
}

// finish commits what the group did, or undoes all of it.
func (w *writer) finish(err error) error {
	ctx := context.Background()
	if err == nil {
		if err = w.session.exec(ctx, "COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	w.log.Error("storage: a group of transactions was undone", "error", err)
	// SQLite may have rolled back by itself already; where it has not and this
	// fails too, the next BEGIN says so.
	if undo := w.session.exec(ctx, "ROLLBACK"); undo != nil {
		w.log.Warn("storage: rollback", "error", undo)
	}
	return berth.Errorf(berth.Unavailable, "the database could not save the change; nothing was changed").
		Hinted("Try again.").Because(err)
}

// do runs fn as a member of a group and waits until the group is on the disk.
// An error of fn waits too: what fn saw may have been another member's work.
func (w *writer) do(ctx context.Context, fn func(*scope) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var g *group
	select {
	case g = <-w.turns:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stop:
		return ErrClosed
	}
	err := w.member(g, fn)
	<-g.done
	if g.err != nil {
		return g.err
	}
	return err
}

// member runs fn in a savepoint, which it rolls back where fn fails or panics,
// and gives the turn back.
func (w *writer) member(g *group, fn func(*scope) error) (err error) {
	broken := w.enter(g)
	if broken != nil {
		w.ran <- broken
		return nil
	}
	s := &scope{session: w.session}
	kept := false
	defer func() { // also when fn panics or ends its goroutine
		s.over.Store(true)
		w.ran <- w.leave(kept)
	}()
	err = fn(s)
	kept = err == nil
	return err
}

// enter begins the group's transaction where the member is its first, and the
// member's savepoint.
func (w *writer) enter(g *group) error {
	ctx := context.Background()
	if !g.begun {
		if err := w.session.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		g.begun = true
	}
	if err := w.session.exec(ctx, "SAVEPOINT member"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	return nil
}

func (w *writer) leave(kept bool) error {
	ctx := context.Background()
	if !kept {
		if err := w.session.exec(ctx, "ROLLBACK TO member"); err != nil {
			return fmt.Errorf("roll back to savepoint: %w", err)
		}
	}
	if err := w.session.exec(ctx, "RELEASE member"); err != nil {
		return fmt.Errorf("release savepoint: %w", err)
	}
	return nil
}
