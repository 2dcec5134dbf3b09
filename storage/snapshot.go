package storage

import (
	"cmp"
	"context"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/storage/db"
)

// Snapshot implements fleet.Rx.
func (rx *Rx) Snapshot(ctx context.Context, id berth.ID) (fleet.Snapshot, error) {
	row, err := rx.q.Snapshot(ctx, string(id))
	return one(row, err, toSnapshot, "no such snapshot: %s", id)
}

// Snapshots implements fleet.Rx.
func (rx *Rx) Snapshots(ctx context.Context, owner berth.ID, q fleet.SnapshotFilter) ([]fleet.Snapshot, error) {
	most, err := limit(q.Limit, maxPage)
	if err != nil {
		return nil, err
	}
	p := db.SnapshotsParams{Owner: string(owner), Contract: string(q.Contract), Class: string(q.Class), After: string(q.After), Max: most}
	var rows []db.Snapshot
	switch {
	case q.All:
		rows, err = rx.q.Snapshots(ctx, p)
	case !q.Since.IsZero():
		rows, err = rx.q.SnapshotsSince(ctx, db.SnapshotsSinceParams{
			Owner: p.Owner, Since: toMicros(q.Since), Contract: p.Contract, Class: p.Class, After: p.After, Max: most,
		})
	default:
		rows, err = rx.q.SnapshotsKept(ctx, db.SnapshotsKeptParams(p))
	}
	return all(rows, err, toSnapshot)
}

// DueSnapshots implements fleet.Rx.
func (rx *Rx) DueSnapshots(ctx context.Context, now time.Time, n int) ([]fleet.Snapshot, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.DueSnapshots(ctx, db.DueSnapshotsParams{Now: toMicros(now), Max: most})
	return all(rows, err, toSnapshot)
}

// InsertSnapshot implements fleet.Tx.
func (tx *Tx) InsertSnapshot(ctx context.Context, s fleet.Snapshot) error {
	err := tx.q.InsertSnapshot(ctx, db.InsertSnapshotParams(fromSnapshot(s)))
	return conflict(err, "there is a snapshot %s already", s.ID)
}

// UpdateSnapshot implements fleet.Tx.
func (tx *Tx) UpdateSnapshot(ctx context.Context, s fleet.Snapshot) error {
	n, err := tx.q.UpdateSnapshot(ctx, db.UpdateSnapshotParams(fromSnapshot(s)))
	return changed(n, err, "no such snapshot: %s", s.ID)
}

func fromSnapshot(s fleet.Snapshot) db.Snapshot {
	return db.Snapshot{
		ID:         string(s.ID),
		Owner:      string(s.Owner),
		Server:     string(s.Server),
		Name:       s.Name,
		Status:     string(s.Status),
		Region:     s.Region,
		Size:       s.Size,
		Image:      s.Image,
		ProviderID: s.ProviderID,
		Bytes:      s.Bytes,
		MinDiskGb:  int64(s.MinDiskGB),
		Created:    toMicros(s.Created),
		ExpiresAt:  toMicros(s.ExpiresAt),
		Class:      string(s.Class),
		Contract:   string(cmp.Or(s.Contract, billing.Native)),
	}
}

func toSnapshot(r db.Snapshot) (fleet.Snapshot, error) {
	return fleet.Snapshot{
		ID:         berth.ID(r.ID),
		Owner:      berth.ID(r.Owner),
		Server:     berth.ID(r.Server),
		Name:       r.Name,
		Status:     fleet.SnapshotStatus(r.Status),
		Region:     r.Region,
		Size:       r.Size,
		Image:      r.Image,
		ProviderID: r.ProviderID,
		Bytes:      r.Bytes,
		MinDiskGB:  int(r.MinDiskGb),
		Created:    fromMicros(r.Created),
		ExpiresAt:  fromMicros(r.ExpiresAt),
		Class:      fleet.SnapshotClass(r.Class),
		Contract:   billing.Contract(r.Contract),
	}, nil
}
