package storage

import (
	"context"
	"time"

	"berth"
	"berth/ops"
	"berth/storage/db"
)

// Answer implements ops.Rx.
func (rx *Rx) Answer(ctx context.Context, principal berth.ID, operation, key string) (ops.Answer, error) {
	row, err := rx.q.Answer(ctx, db.AnswerParams{Principal: string(principal), Operation: operation, Key: key})
	return one(row, err, toAnswer, "no answer of %s to the idempotency key %s", operation, key)
}

// InsertAnswer implements ops.Tx.
func (tx *Tx) InsertAnswer(ctx context.Context, a ops.Answer) error {
	err := tx.q.InsertAnswer(ctx, db.InsertAnswerParams{
		Principal: string(a.Principal),
		Operation: a.Operation,
		Key:       a.Key,
		Hash:      toBlob(a.Hash),
		Out:       string(a.Out),
		Action:    string(a.Action),
		Receipt:   string(a.Receipt),
		At:        toMicros(a.At),
	})
	return conflict(err, "the idempotency key %s has an answer already", a.Key)
}

// DeleteAnswers implements ops.Tx.
func (tx *Tx) DeleteAnswers(ctx context.Context, before time.Time) (int64, error) {
	return tx.q.DeleteAnswers(ctx, toMicros(before))
}

func toAnswer(r db.Answer) (ops.Answer, error) {
	return ops.Answer{
		Principal: berth.ID(r.Principal),
		Operation: r.Operation,
		Key:       r.Key,
		Hash:      fromBlob(r.Hash),
		Out:       fromJSON(r.Out),
		Action:    berth.ID(r.Action),
		Receipt:   fromJSON(r.Receipt),
		At:        fromMicros(r.At),
	}, nil
}
