// Package opstest is a whole Berth for tests of operations and fronts: the real
// system over a real store, with a cloud in memory, servers whose commands and
// files are recorded, and a clock that only the test moves.
package opstest

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/railtest"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/storage"
)

// Epoch is when every World begins.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// World is one deployment. Nothing goes on in it by itself: Settle and Drive
// carry out what was begun.
type World struct {
	System  *ops.System
	Fleet   *fleet.Fleet
	Store   ops.Store
	Catalog *billing.Catalog
	Clock   *fleettest.Clock
	Cloud   *fleettest.Cloud
	Prober  *fleettest.Prober
	Hands   *Hands
	Rail    *railtest.Rail
	// Rails are those that wallets pay over, and Log what the system tells: Rail
	// alone, and nothing, where a test puts no others here before a Restart.
	Rails []billing.Rail
	Log   *slog.Logger

	t      testing.TB
	db     *storage.DB
	path   string
	beside *sql.DB       // reads the same file
	rung   chan struct{} // has something in it after a ring

	mu     sync.Mutex
	serial int
}

// New opens a deployment with the default catalog, which the test closes.
func New(t testing.TB) *World {
	t.Helper()
	clock := fleettest.NewClock(Epoch)
	cloud := fleettest.NewCloud(clock)
	w := &World{
		Clock: clock, Cloud: cloud, Prober: &fleettest.Prober{Cloud: cloud}, Hands: NewHands(clock.Now), Rail: railtest.New(),
		t: t, path: filepath.Join(t.TempDir(), "berth.db"), rung: make(chan struct{}, 1),
	}
	w.Rails, w.Log = []billing.Rail{w.Rail}, discard
	db, err := storage.Open(context.Background(), storage.Options{Path: w.path, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w.db, w.Store = db, db.Ops()
	w.Restart(billing.DefaultCatalog())
	return w
}

var discard = slog.New(slog.DiscardHandler)

// Restart puts a new system over the same store and cloud, with another
// catalog, as a new process would.
func (w *World) Restart(catalog *billing.Catalog) {
	w.Catalog = catalog
	w.Fleet = fleet.New(fleet.Options{
		Store: w.db.Fleet(), Provider: w.Cloud, Catalog: catalog, Vault: fleettest.Vault{}, Prober: w.Prober,
		Ring: w.ring, Now: w.Clock.Now, Log: w.Log, Deployment: "test", Pace: fleet.SandboxPace(), Process: "test",
	})
	w.System = ops.New(ops.Options{
		Store: w.Store, Fleet: w.Fleet, Catalog: catalog, Hands: w.Hands, Now: w.Clock.Now, Log: w.Log,
		Cashier: billing.NewCashier(w.db.Payments(), w.Rails, w.Clock.Now, w.Log),
		Keys:    keys{}, Welcome: Welcome,
		Withdrawals: ops.Withdrawals{Minimum: berth.Dollar / 100, Daily: 5 * berth.Dollar},
	})
}

// Welcome is what each account that registers is given.
const Welcome = 10 * berth.Dollar

// keys derives keys from nothing but their purpose.
type keys struct{}

// Derive implements ops.Keys.
func (keys) Derive(purpose string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte("test"), nil, purpose, n)
}

func (w *World) ring(...berth.ID) {
	select {
	case w.rung <- struct{}{}:
	default:
	}
}

// maxRounds bounds Settle, so that an action which never ends fails the test.
const maxRounds = 5000

// Settle carries every open action to its end and moves the clock by what they
// wait for.
func (w *World) Settle() {
	w.t.Helper()
	for range maxRounds {
		open, err := w.round(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		if open == 0 {
			return
		}
	}
	w.t.Fatal("actions go on and on")
}

// round steps each open action once, lets the time pass that all of them want
// to wait, and tells how many were open.
func (w *World) round(ctx context.Context) (open int, err error) {
	ids, err := w.Fleet.OpenActions(ctx)
	wait := time.Hour
	for _, id := range ids {
		again, done, err := w.Fleet.Step(ctx, id)
		if err != nil {
			return 0, err
		}
		if !done {
			wait = min(wait, again)
		}
	}
	if len(ids) > 0 && wait < time.Hour {
		w.Clock.Advance(wait)
	}
	return len(ids), err
}

// Drive carries out actions in the background as they are announced, until the
// test ends.
func (w *World) Drive() {
	ctx, cancel := context.WithCancel(context.Background())
	var drivers sync.WaitGroup
	drivers.Go(func() {
		for {
			open, err := w.round(ctx)
			if err != nil && ctx.Err() == nil {
				w.t.Errorf("drive: %v", err)
				return
			}
			if open > 0 && ctx.Err() == nil {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-w.rung:
			}
		}
	})
	w.t.Cleanup(func() {
		cancel()
		drivers.Wait()
	})
}

// next is a number that no other call has got.
func (w *World) next() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serial++
	return w.serial
}
