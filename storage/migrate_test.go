package storage

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// TestLeasesMigration brings a database up to date that has transfers, holds and
// actions from before tables were made anew: they are all there, and a hold can
// still be resolved once only.
func TestLeasesMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	before(t, path, 4, `
		INSERT INTO principals (id, kind, email, tariff, budget_total, budget_per_call, server_limit, suspended, created)
			VALUES ('acct_1', 'email', 'a@example.com', 'retail', 0, 0, 0, FALSE, 1);
		INSERT INTO actions VALUES ('act_1', 'acct_1', 'create', '', '', 'running', 'paid', 5, 0, '', '{}', '', '', 0, '', 0, 0, 0, 1, 0);
		INSERT INTO snapshots VALUES ('snap_1', 'acct_1', '', 'one', 'available', 'nyc1', 'small', 'debian', '1', 1, 1, 1, 2);
		INSERT INTO transfers VALUES (1, 'hold', 'pending', 'customer:acct_1', 'revenue', 5, NULL, 'purchase', '', '', '', '', 1);
		INSERT INTO transfers VALUES (2, 'capture', 'post', 'customer:acct_1', 'revenue', 5, 'hold', 'purchase', '', '', '', '', 2);`)
	d := openAt(t, path)
	err := d.Read(bg, func(rx *Rx) error {
		if got, err := rx.Resolution(bg, "hold"); err != nil || got.ID != "capture" {
			t.Errorf("the resolution: %+v, %v", got, err)
		}
		if got, err := rx.Action(bg, "act_1"); err != nil || got.Kind != fleet.ActionCreate {
			t.Errorf("the action: %+v, %v", got, err)
		}
		got, err := rx.Snapshot(bg, "snap_1")
		if got.Class != fleet.ShortTerm {
			t.Errorf("the snapshot: %+v", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	again := billing.Transfer{
		ID: "again", Kind: billing.Void, Pending: "hold", Debit: "customer:acct_1", Credit: billing.Revenue, Amount: 5, Reason: billing.ReasonPurchase,
	}
	insert := func(tr billing.Transfer) error {
		return d.Write(bg, func(tx *Tx) error { return tx.InsertTransfer(bg, tr) })
	}
	if err := insert(again); berth.CodeOf(err) != berth.Conflict {
		t.Errorf("a second resolution: %v", err)
	}
	again.Pending = "nothing"
	if err := insert(again); berth.CodeOf(err) != berth.NotFound {
		t.Errorf("a resolution of nothing: %v", err)
	}
	usage := billing.Transfer{ID: "usage", Kind: billing.Direct, Debit: "escrow:srv_1", Credit: billing.Revenue, Amount: 1, Reason: billing.ReasonUsage}
	if err := insert(usage); err != nil {
		t.Error(err)
	}
}

// before makes a database at a version of the schema, with rows.
func before(t *testing.T, path string, version int64, rows string) {
	t.Helper()
	pool, err := sql.Open("sqlite", "file:"+path+"?_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, pool, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(bg, version); err != nil {
		t.Fatal(err)
	}
	for _, row := range strings.Split(rows, ";\n") {
		if _, err := pool.ExecContext(bg, row); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
}
