package storage

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/ops"
	"berth/storage/storagetest"
)

func TestMain(m *testing.M) {
	beTheChild()
	goleak.VerifyTestMain(m)
}

// open opens a database in a temporary folder and closes it after the test.
func open(t testing.TB) *DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "berth.db"))
}

func openAt(t testing.TB, path string) *DB {
	t.Helper()
	d, err := Open(bg, Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) ops.Store { return open(t).Ops() })
}

var bg = context.Background()

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func testPrincipal(email string) account.Principal {
	return account.Principal{
		ID:      berth.NewID(berth.PrefixAccount, epoch),
		Kind:    account.Email,
		Email:   email,
		Tariff:  account.Retail,
		Created: epoch,
	}
}

func testGrant(id string, to berth.ID, amount berth.Micros) billing.Transfer {
	return billing.Transfer{
		ID: id, Kind: billing.Direct, Debit: billing.Grants, Credit: billing.CustomerAccount(to),
		Amount: amount, Reason: billing.ReasonGrant, At: epoch,
	}
}

func mustWrite(t testing.TB, d *DB, fn func(*Tx) error) {
	t.Helper()
	if err := d.Write(bg, fn); err != nil {
		t.Fatal(err)
	}
}
