package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// readers are the read-only connections. Each slot holds one, or nil until
// the slot is first used: opening them all would delay the start.
type readers struct {
	pool  *sql.DB
	slots chan *session
	stop  chan struct{}
}

func openReaders(path string, n int) (*readers, error) {
	pool, err := openPool(path, readPragmas)
	if err != nil {
		return nil, err
	}
	r := &readers{pool: pool, slots: make(chan *session, n), stop: make(chan struct{})}
	for range n {
		r.slots <- nil
	}
	return r, nil
}

// close waits for the reads that run and closes their connections.
func (r *readers) close() error {
	close(r.stop)
	var err error
	for range cap(r.slots) {
		if s := <-r.slots; s != nil {
			err = errors.Join(err, s.close())
		}
	}
	return errors.Join(err, r.pool.Close())
}

func (r *readers) do(ctx context.Context, fn func(*scope) error) error {
	s, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer func() { r.slots <- s }()
	if s == nil {
		conn, err := r.pool.Conn(ctx)
		if err != nil {
			return fmt.Errorf("storage: open a read connection: %w", err)
		}
		s = newSession(conn)
		s.rows = newRows()
	}
	return snapshot(s, fn)
}

func (r *readers) take(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-r.stop: // a free slot must not win over a closed database
		return nil, ErrClosed
	default:
	}
	select {
	case s := <-r.slots:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.stop:
		return nil, ErrClosed
	}
}

// snapshot runs fn in a read transaction of the session.
func snapshot(s *session, fn func(*scope) error) (err error) {
	ctx := context.Background()
	if err := s.exec(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("storage: begin to read: %w", err)
	}
	sc := &scope{session: s}
	defer func() { // also when fn panics
		sc.over.Store(true)
		if end := s.exec(ctx, "COMMIT"); end != nil {
			err = errors.Join(err, fmt.Errorf("storage: end a read: %w", end))
		}
	}()
	version, err := s.version(ctx)
	if err != nil {
		return fmt.Errorf("storage: read the version: %w", err)
	}
	s.rows.at(version)
	return fn(sc)
}
