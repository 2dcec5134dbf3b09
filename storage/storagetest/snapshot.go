package storagetest

import (
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
)

func snapshots(s suite) {
	ctx := s.Context()
	owner := s.principal("a@example.com")
	snap := fleet.Snapshot{
		ID:         newID(berth.PrefixSnapshot, 1),
		Owner:      owner,
		Contract:   billing.Rentals,
		Server:     newID(berth.PrefixServer, 1),
		Name:       "before",
		Status:     fleet.SnapshotAvailable,
		Region:     "nyc1",
		Size:       "small",
		Image:      "debian-12-x64",
		ProviderID: "99",
		Bytes:      1 << 40,
		MinDiskGB:  25,
		Created:    at(1),
		ExpiresAt:  at(2),
		Class:      fleet.Backup,
	}
	filled(s, snap)
	get := func(rx ops.Rx) (fleet.Snapshot, error) { return rx.Snapshot(ctx, snap.ID) }
	absent(s, get, "no such snapshot: "+string(snap.ID))
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.UpdateSnapshot(ctx, snap) }, string(snap.ID))
	s.write(func(tx ops.Tx) error { return tx.InsertSnapshot(ctx, snap) })
	fetch(s, "snapshot", snap, get)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertSnapshot(ctx, snap) })

	least := fleet.Snapshot{ID: snap.ID, Owner: owner, Contract: billing.Native, Status: fleet.SnapshotPending, Class: fleet.ShortTerm}
	s.write(func(tx ops.Tx) error { return tx.UpdateSnapshot(ctx, least) })
	fetch(s, "emptied", least, get)
	s.write(func(tx ops.Tx) error { return tx.UpdateSnapshot(ctx, snap) })
	fetch(s, "filled", snap, get)
}

func snapshotLists(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	var own []fleet.Snapshot
	for i, status := range []fleet.SnapshotStatus{
		fleet.SnapshotPending, fleet.SnapshotAvailable, fleet.SnapshotDeleted,
		fleet.SnapshotExpired, fleet.SnapshotFailed, fleet.SnapshotAvailable,
	} {
		snap := fleet.Snapshot{
			ID: newID(berth.PrefixSnapshot, i), Owner: owner, Contract: billing.Native, Status: status, Created: at(i), ExpiresAt: at(100 - i), Class: fleet.ShortTerm,
		}
		own = append(own, snap)
		foreign := fleet.Snapshot{ID: newID(berth.PrefixSnapshot, i), Owner: other, Contract: billing.Native, Status: fleet.SnapshotPending, Class: fleet.ShortTerm}
		s.write(func(tx ops.Tx) error {
			if err := tx.InsertSnapshot(ctx, snap); err != nil {
				return err
			}
			return tx.InsertSnapshot(ctx, foreign)
		})
	}
	for name, tt := range map[string]struct {
		filter fleet.SnapshotFilter
		want   []fleet.Snapshot
	}{
		"kept":      {fleet.SnapshotFilter{Limit: 200}, []fleet.Snapshot{own[5], own[1], own[0]}},
		"all":       {fleet.SnapshotFilter{All: true, Limit: 4}, []fleet.Snapshot{own[5], own[4], own[3], own[2]}},
		"next kept": {fleet.SnapshotFilter{After: own[5].ID, Limit: 1}, []fleet.Snapshot{own[1]}},
		"since":     {fleet.SnapshotFilter{Since: at(97), Limit: 9}, []fleet.Snapshot{own[5], own[2], own[1], own[0]}},
		"next":      {fleet.SnapshotFilter{All: true, After: own[2].ID, Limit: 9}, []fleet.Snapshot{own[1], own[0]}},
	} {
		fetch(s, name, tt.want, func(rx ops.Rx) ([]fleet.Snapshot, error) { return rx.Snapshots(ctx, owner, tt.filter) })
	}

	never := fleet.Snapshot{ID: newID(berth.PrefixSnapshot, 50), Owner: other, Contract: billing.Native, Status: fleet.SnapshotAvailable, ExpiresAt: time.Time{}, Class: fleet.ShortTerm}
	s.write(func(tx ops.Tx) error { return tx.InsertSnapshot(ctx, never) })
	for _, tt := range []struct {
		now, limit int
		want       []fleet.Snapshot
	}{
		{100, 9, []fleet.Snapshot{own[5], own[4], own[1]}},
		{100, 1, []fleet.Snapshot{own[5]}},
		{96, 9, []fleet.Snapshot{own[5], own[4]}},
		{94, 9, []fleet.Snapshot{}},
	} {
		fetch(s, "due", tt.want, func(rx ops.Rx) ([]fleet.Snapshot, error) { return rx.DueSnapshots(ctx, at(tt.now), tt.limit) })
	}
}
