package storage

import (
	"context"

	"berth/ops"
	"berth/storage/db"
)

// InsertAudit implements ops.Tx.
func (tx *Tx) InsertAudit(ctx context.Context, a ops.Audit) error {
	return tx.q.InsertAudit(ctx, db.InsertAuditParams{
		At:        toMicros(a.At),
		Principal: string(a.Principal),
		Key:       string(a.Key),
		Operation: a.Operation,
		Subject:   string(a.Subject),
		Front:     a.Front,
		Outcome:   a.Outcome,
	})
}
