// Package storage keeps everything that Berth must not forget. It is the only
// package that knows SQL: the schema is in migrations, the queries are in
// queries, and db holds the code generated from them, which runs unchanged on
// SQLite and PostgreSQL. A DB is SQLite: one writer that commits waiting
// transactions in groups, and a pool of read-only connections.
package storage

//go:generate sqlc generate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
)

// ErrClosed is what transactions on a closed DB return.
var ErrClosed = errors.New("storage: the database is closed")

// Options say which database to open.
type Options struct {
	Path      string       // of the database file, made where there is none; its folder must exist
	Log       *slog.Logger // slog.Default where nil
	ReadConns int          // how many reads can run at once; zero means the number of processors, at least 4
}

// DB is an open database. Its methods may be called concurrently.
type DB struct {
	path    string
	log     *slog.Logger
	writer  *writer
	readers *readers
	running atomic.Int64 // transactions whose functions are being called
	closing sync.Once
	closed  error
}

// Open opens the database and brings its schema up to date. It refuses a
// database that a newer Berth has written.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.ReadConns == 0 {
		o.ReadConns = max(4, runtime.NumCPU())
	}
	if o.ReadConns < 0 {
		return nil, fmt.Errorf("storage: %d read connections", o.ReadConns)
	}
	if err := createFile(o.Path); err != nil {
		return nil, fmt.Errorf("storage: open %s: %w", o.Path, err)
	}
	w, err := openWriter(ctx, o.Path, o.Log)
	if err != nil {
		return nil, fmt.Errorf("storage: open %s: %w", o.Path, err)
	}
	r, err := openReaders(o.Path, o.ReadConns)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("storage: open %s: %w", o.Path, err), w.close())
	}
	return &DB{path: o.Path, log: o.Log, writer: w, readers: r}, nil
}

// Close waits for the transactions that run, refuses those that wait and all
// later ones with ErrClosed, and closes the database. Closing twice is closing
// once.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.closed = errors.Join(d.readers.close(), d.writer.close())
	})
	return d.closed
}

// Write runs fn in a transaction. When Write returns nil, what fn changed is
// on the disk; when it returns an error, or fn panics, nothing of it is. fn runs on
// the caller's goroutine, one at a time with all others, so it does no I/O but
// through its Tx, which is of no use after it.
//
// A context that ends while the transaction waits for its turn, or between two
// of its statements, makes it fail. Write inside a transaction panics.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	d.refuseNesting()
	return d.writer.do(ctx, func(s *scope) error { return d.transact(func() error { return fn(newTx(s)) }) })
}

// Read runs fn with one consistent snapshot of the database, which holds all
// that was written before Read was called. Read inside a transaction panics.
func (d *DB) Read(ctx context.Context, fn func(*Rx) error) error {
	d.refuseNesting()
	return d.readers.do(ctx, func(s *scope) error { return d.transact(func() error { return fn(newRx(s)) }) })
}
