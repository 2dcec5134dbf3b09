package storage

import (
	"context"

	"berth"
	"berth/fleet"
	"berth/storage/db"
)

// Events implements fleet.Rx.
func (rx *Rx) Events(ctx context.Context, principal berth.ID, after int64, n int) ([]fleet.Event, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.Events(ctx, db.EventsParams{Principal: string(principal), After: after, Max: most})
	return all(rows, err, toEvent)
}

// AppendEvent implements fleet.Tx. Taking the number locks the principal.
func (tx *Tx) AppendEvent(ctx context.Context, e fleet.Event) (fleet.Event, error) {
	seq, err := tx.q.NextEventSeq(ctx, string(e.Principal))
	if err != nil {
		return fleet.Event{}, found(err, "no such account: %s", e.Principal)
	}
	e.Seq = seq
	return e, tx.q.InsertEvent(ctx, db.InsertEventParams{
		Principal: string(e.Principal),
		Seq:       e.Seq,
		Kind:      string(e.Kind),
		Subject:   string(e.Subject),
		Data:      string(e.Data),
		At:        toMicros(e.At),
	})
}

func toEvent(r db.Event) (fleet.Event, error) {
	return fleet.Event{
		Principal: berth.ID(r.Principal),
		Seq:       r.Seq,
		Kind:      fleet.EventKind(r.Kind),
		Subject:   berth.ID(r.Subject),
		Data:      fromJSON(r.Data),
		At:        fromMicros(r.At),
	}, nil
}
