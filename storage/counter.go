package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"berth/storage/db"
)

// Counter implements ops.Rx.
func (rx *Rx) Counter(ctx context.Context, name string, since time.Time) (int, error) {
	n, err := rx.q.Counter(ctx, db.CounterParams{Name: name, Since: toMicros(since)})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return int(n), err
}

// CountUp implements ops.Tx.
func (tx *Tx) CountUp(ctx context.Context, name string, since time.Time) (int, error) {
	n, err := tx.q.CountUp(ctx, db.CountUpParams{Name: name, Since: toMicros(since)})
	return int(n), err
}

// DeleteCounters implements ops.Tx.
func (tx *Tx) DeleteCounters(ctx context.Context, before time.Time) (int64, error) {
	return tx.q.DeleteCounters(ctx, toMicros(before))
}
