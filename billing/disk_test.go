package billing_test

import (
	"context"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"berth/billing"
	"berth/ops"
	"berth/storage"
)

// onDisk is the real store.
type onDisk struct{ ops.Store }

func (s onDisk) Read(ctx context.Context, fn func(billing.Rx) error) error {
	return s.Store.Read(ctx, func(rx ops.Rx) error { return fn(rx) })
}

func (s onDisk) Write(ctx context.Context, fn func(billing.Tx) error) error {
	return s.Store.Write(ctx, func(tx ops.Tx) error { return fn(tx) })
}

func TestLedgerModelOnDisk(t *testing.T) {
	db, err := storage.Open(t.Context(), storage.Options{Path: filepath.Join(t.TempDir(), "berth.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	// All runs share one ledger, which is verified after each.
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(onDisk{db.Ops()})
		steps := m.steps()
		steps[""] = m.check
		t.Repeat(steps)
		mustVerify(t, m.store)
	})
}
