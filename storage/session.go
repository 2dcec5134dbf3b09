package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"berth/storage/db"
)

// session is one connection with the statements that were prepared on it. The
// generated queries are a closed set, so the cache needs no bound. It is used
// by one goroutine at a time.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	rows     *rows // of a read connection
}

func newSession(conn *sql.Conn) *session {
	return &session{conn: conn, prepared: make(map[string]*sql.Stmt)}
}

// exec runs a statement without parameters, such as COMMIT.
func (s *session) exec(ctx context.Context, query string) error {
	stmt, err := s.prepare(query)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx, nil...)
	return err
}

// version is a number that differs from the last one where anything has been
// committed since. Inside a transaction it also fixes what that sees.
func (s *session) version(ctx context.Context) (n int64, err error) {
	stmt, err := s.prepare("PRAGMA data_version")
	if err != nil {
		return 0, err
	}
	err = stmt.QueryRowContext(ctx).Scan(&n)
	return n, err
}

func (s *session) prepare(query string) (*sql.Stmt, error) {
	if stmt, ok := s.prepared[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	s.prepared[query] = stmt
	return stmt, nil
}

func (s *session) close() error {
	var err error
	for _, stmt := range s.prepared {
		err = errors.Join(err, stmt.Close())
	}
	return errors.Join(err, s.conn.Close())
}

// scope is a session for the length of one transaction. Later use is a defect
// that would write into somebody else's transaction, so it panics.
type scope struct {
	session *session
	over    atomic.Bool
}

var _ db.DBTX = (*scope)(nil)

// whole is the context for one statement: one that has ended refuses it, but
// never interrupts it half-way, for SQLite answers that by rolling back the
// whole transaction, and with it every other member of a group.
func whole(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

func (s *scope) live() *session {
	if s.over.Load() {
		panic("storage: a transaction is used after its end")
	}
	return s.session
}

// inQuery adds to an engine's error the name of the query, which generated
// queries begin with.
func inQuery(query string, err error) error {
	if err == nil {
		return nil
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(query, "-- name: "), " ")
	return fmt.Errorf("storage: query %s: %w", name, err)
}

// PrepareContext implements db.DBTX.
func (s *scope) PrepareContext(_ context.Context, query string) (*sql.Stmt, error) {
	return s.live().prepare(query)
}

// ExecContext implements db.DBTX.
func (s *scope) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := s.live().prepare(query)
	if err != nil {
		return nil, inQuery(query, err)
	}
	result, err := stmt.ExecContext(whole(ctx), args...)
	return result, inQuery(query, err)
}

// QueryContext implements db.DBTX.
func (s *scope) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.live().prepare(query)
	if err != nil {
		return nil, inQuery(query, err)
	}
	rows, err := stmt.QueryContext(whole(ctx), args...)
	return rows, inQuery(query, err)
}

// QueryRowContext implements db.DBTX.
func (s *scope) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, err := s.live().prepare(query)
	if err != nil {
		// A sql.Row can only come from database/sql; this one carries the same error.
		return s.session.conn.QueryRowContext(ctx, query, args...)
	}
	return stmt.QueryRowContext(whole(ctx), args...)
}
