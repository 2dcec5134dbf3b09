package storage

import (
	"context"

	"berth/billing"
	"berth/fleet"
	"berth/ops"
	"berth/storage/db"
)

// Rx reads, inside one transaction. Lists with a limit want one of 1 to their
// documented bound, 1000 where there is none, and fail outside it.
type Rx struct {
	q    *db.Queries
	rows *rows // nil in a transaction that writes
}

// Tx reads and changes, inside one transaction. An update replaces the whole
// row that has the id.
type Tx struct {
	Rx
}

var (
	_ ops.Rx = (*Rx)(nil)
	_ ops.Tx = (*Tx)(nil)
)

func newRx(s *scope) *Rx { return &Rx{db.New(s), s.session.rows} }
func newTx(s *scope) *Tx { return &Tx{Rx{q: db.New(s)}} }

// Ops is the database as operations see it.
func (d *DB) Ops() ops.Store { return opsStore{d} }

// Fleet is the database as the fleet sees it.
func (d *DB) Fleet() fleet.Store { return fleetStore{d} }

// Payments is the database as the cashier sees it.
func (d *DB) Payments() billing.PaymentStore { return paymentStore{d} }

type paymentStore struct{ db *DB }

func (s paymentStore) Read(ctx context.Context, fn func(billing.PaymentRx) error) error {
	return s.db.Read(ctx, func(rx *Rx) error { return fn(rx) })
}

func (s paymentStore) Write(ctx context.Context, fn func(billing.PaymentTx) error) error {
	return s.db.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

type opsStore struct{ db *DB }

func (s opsStore) Read(ctx context.Context, fn func(ops.Rx) error) error {
	return s.db.Read(ctx, func(rx *Rx) error { return fn(rx) })
}

func (s opsStore) Write(ctx context.Context, fn func(ops.Tx) error) error {
	return s.db.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

type fleetStore struct{ db *DB }

func (s fleetStore) Read(ctx context.Context, fn func(fleet.Rx) error) error {
	return s.db.Read(ctx, func(rx *Rx) error { return fn(rx) })
}

func (s fleetStore) Write(ctx context.Context, fn func(fleet.Tx) error) error {
	return s.db.Write(ctx, func(tx *Tx) error { return fn(tx) })
}
