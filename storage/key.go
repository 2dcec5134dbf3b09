package storage

import (
	"context"

	"berth"
	"berth/fleet"
	"berth/storage/db"
)

// Key implements fleet.Rx.
func (rx *Rx) Key(ctx context.Context, id berth.ID) (fleet.Key, error) {
	row, err := rx.q.Key(ctx, string(id))
	return one(row, err, toKey, "no such key: %s", id)
}

// Keys implements fleet.Rx.
func (rx *Rx) Keys(ctx context.Context, owner berth.ID) ([]fleet.Key, error) {
	rows, err := rx.q.Keys(ctx, string(owner))
	return all(rows, err, toKey)
}

// InsertKey implements fleet.Tx.
func (tx *Tx) InsertKey(ctx context.Context, k fleet.Key) error {
	err := tx.q.InsertKey(ctx, db.InsertKeyParams{
		ID:          string(k.ID),
		Owner:       string(k.Owner),
		Name:        k.Name,
		PublicKey:   k.PublicKey,
		Fingerprint: k.Fingerprint,
		Created:     toMicros(k.Created),
	})
	return conflict(err, "the key %s is there already", k.Fingerprint)
}

// DeleteKey implements fleet.Tx.
func (tx *Tx) DeleteKey(ctx context.Context, id berth.ID) error {
	n, err := tx.q.DeleteKey(ctx, string(id))
	return changed(n, err, "no such key: %s", id)
}

func toKey(r db.Key) (fleet.Key, error) {
	return fleet.Key{
		ID:          berth.ID(r.ID),
		Owner:       berth.ID(r.Owner),
		Name:        r.Name,
		PublicKey:   r.PublicKey,
		Fingerprint: r.Fingerprint,
		Created:     fromMicros(r.Created),
	}, nil
}
