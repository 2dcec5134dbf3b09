package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
	"berth/storage"
)

// TestMain keeps the random tests short; -rapid.checks=1000 makes them long.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

var (
	bg    = context.Background()
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// tester is what the simulation needs of a test, rapid's included.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

var errCrash = errors.New("the process died here")

// dying is a store whose process dies at a write, before that took effect.
type dying struct {
	fleet.Store
	left int // writes that still succeed; below zero: all
}

func (d *dying) Write(ctx context.Context, fn func(fleet.Tx) error) error {
	if d.left == 0 {
		return errCrash
	}
	d.left--
	return d.Store.Write(ctx, fn)
}

// counting is a store that counts its writes.
type counting struct {
	fleet.Store
	writes int
}

func (c *counting) Write(ctx context.Context, fn func(fleet.Tx) error) error {
	c.writes++
	return c.Store.Write(ctx, fn)
}

// sim is a deployment in which time passes only by the clock.
type sim struct {
	t       tester
	clock   *fleettest.Clock
	cloud   *fleettest.Cloud
	prober  *fleettest.Prober
	store   *counting
	checked [2]int // writes and machines made when the state was last checked
	dying   *dying
	fleet   *fleet.Fleet
	pace    fleet.Pace
	log     bytes.Buffer // what the operator is told: warnings and worse
	owner   account.Principal
	rung    []berth.ID
	process int
	servers []berth.ID
}

// newSim opens a deployment with one principal, who has 100 USD.
func newSim(t testing.TB) *sim {
	db := openStore(t, t.TempDir())
	return simOn(t, db)
}

func openStore(t testing.TB, dir string) fleet.Store {
	t.Helper()
	db, err := storage.Open(bg, storage.Options{Path: filepath.Join(dir, "berth.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db.Fleet()
}

func simOn(t tester, store fleet.Store) *sim {
	clock := fleettest.NewClock(epoch)
	cloud := fleettest.NewCloud(clock)
	s := &sim{
		t: t, clock: clock, cloud: cloud, prober: &fleettest.Prober{Cloud: cloud}, store: &counting{Store: store},
		pace: fleet.CloudPace(),
	}
	s.restart()
	s.owner = s.principal(account.Retail)
	return s
}

// principal adds a principal with 100 USD.
func (s *sim) principal(tariff account.Tariff) account.Principal {
	id := berth.NewID(berth.PrefixAccount, s.clock.Now())
	p := account.Principal{ID: id, Kind: account.Email, Email: string(id) + "@example.com", Tariff: tariff, Created: s.clock.Now()}
	s.write(func(tx fleet.Tx) error {
		if err := tx.InsertPrincipal(bg, p); err != nil {
			return err
		}
		_, err := billing.Grant(bg, tx, p.ID, billing.Transfer{ID: "grant:" + string(p.ID), Amount: 100 * berth.Dollar, At: s.clock.Now()})
		return err
	})
	return p
}

// restart lets another process go on, without any memory of the last one.
func (s *sim) restart() {
	s.process++
	s.dying = &dying{Store: s.store, left: -1}
	s.fleet = fleet.New(fleet.Options{
		Store: s.dying, Provider: s.cloud, Catalog: billing.DefaultCatalog(), Vault: fleettest.Vault{},
		Prober: s.prober, Ring: func(ids ...berth.ID) { s.rung = append(s.rung, ids...) }, Now: s.clock.Now,
		Log: slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelWarn})), Deployment: "test", Pace: s.pace,
		Process: "process-" + string(rune('a'+s.process%26)) + time.Duration(s.process).String(),
	})
}

func (s *sim) write(fn func(fleet.Tx) error) {
	s.t.Helper()
	if err := s.store.Write(bg, fn); err != nil {
		s.t.Fatalf("write: %v", err)
	}
}

func (s *sim) read(fn func(fleet.Rx) error) {
	s.t.Helper()
	if err := s.store.Read(bg, fn); err != nil {
		s.t.Fatalf("read: %v", err)
	}
}

// buy does what an operation does with money: it plans, commits and holds in
// one transaction. commit gets the id of the charge and returns what it is for.
func (s *sim) buy(owner account.Principal, plan func(fleet.Rx) (billing.Price, error), commit func(fleet.Tx, billing.Price, string) (berth.ID, error)) error {
	return s.store.Write(bg, func(tx fleet.Tx) error {
		if err := tx.LockPrincipal(bg, owner.ID); err != nil {
			return err
		}
		price, err := plan(tx)
		if err != nil {
			return err
		}
		charge := ""
		if price.Total > price.Deposit {
			charge = string(berth.NewID(berth.PrefixTransaction, s.clock.Now()))
		}
		ref, err := commit(tx, price, charge)
		if err != nil {
			return err
		}
		_, err = billing.Deposit(bg, tx, owner.ID, ref, billing.Transfer{
			ID: string(berth.NewID(berth.PrefixTransaction, s.clock.Now())), Amount: price.Deposit, At: s.clock.Now(),
		})
		if err != nil {
			return err
		}
		_, err = billing.Hold(bg, tx, owner.ID, billing.Transfer{
			ID: charge, Amount: price.Total - price.Deposit, Reason: billing.ReasonPurchase, Ref: ref, At: s.clock.Now(),
		})
		return err
	})
}

func (s *sim) order() fleet.CreateOrder {
	return fleet.CreateOrder{Owner: s.owner, Size: "small", Region: "nyc1", Minutes: 60}
}

// create orders a server.
func (s *sim) create(o fleet.CreateOrder) (srv fleet.Server, a fleet.Action, err error) {
	err = s.buy(o.Owner, func(rx fleet.Rx) (billing.Price, error) { return s.fleet.PlanCreate(bg, rx, o) },
		func(tx fleet.Tx, price billing.Price, charge string) (berth.ID, error) {
			srv, a, err = s.fleet.Create(bg, tx, o, price, charge)
			return srv.ID, err
		})
	if err == nil {
		s.servers = append(s.servers, srv.ID)
	}
	return srv, a, err
}

// created is a server that is there.
func (s *sim) created(o fleet.CreateOrder) fleet.Server {
	s.t.Helper()
	srv, a, err := s.create(o)
	if err != nil {
		s.t.Fatalf("create: %v", err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	return s.server(srv.ID)
}

// change orders something on a server and returns the action.
func (s *sim) change(id berth.ID, plan func(fleet.Rx, fleet.Server) (billing.Price, error), commit func(fleet.Tx, fleet.Server, billing.Price, string) (fleet.Action, error)) (a fleet.Action, err error) {
	err = s.buy(s.owner, func(rx fleet.Rx) (billing.Price, error) {
		srv, err := rx.Server(bg, id)
		if err != nil {
			return billing.Price{}, err
		}
		return plan(rx, srv)
	}, func(tx fleet.Tx, price billing.Price, charge string) (berth.ID, error) {
		srv, err := tx.Server(bg, id)
		if err != nil {
			return "", err
		}
		a, err = commit(tx, srv, price, charge)
		return id, err
	})
	return a, err
}

func (s *sim) power(id berth.ID, what string) (fleet.Action, error) {
	return s.change(id, func(rx fleet.Rx, srv fleet.Server) (billing.Price, error) {
		return s.fleet.PlanPower(bg, rx, srv, fleet.Buyer{Principal: s.owner}, what)
	}, func(tx fleet.Tx, srv fleet.Server, _ billing.Price, charge string) (fleet.Action, error) {
		return s.fleet.Power(bg, tx, srv, what, charge)
	})
}

func (s *sim) resize(id berth.ID, size string) (fleet.Action, error) {
	return s.resizeTo(id, size, false)
}

func (s *sim) resizeTo(id berth.ID, size string, keepDisk bool) (fleet.Action, error) {
	return s.change(id, func(rx fleet.Rx, srv fleet.Server) (billing.Price, error) {
		return s.fleet.PlanResize(bg, rx, srv, fleet.Buyer{Principal: s.owner}, size, keepDisk)
	}, func(tx fleet.Tx, srv fleet.Server, price billing.Price, charge string) (fleet.Action, error) {
		return s.fleet.Resize(bg, tx, srv, size, keepDisk, price, charge)
	})
}

func (s *sim) rebuild(id berth.ID, image string, snapshot berth.ID) (fleet.Action, error) {
	return s.change(id, func(rx fleet.Rx, srv fleet.Server) (billing.Price, error) {
		return s.fleet.PlanRebuild(bg, rx, srv, fleet.Buyer{Principal: s.owner}, image, snapshot, nil)
	}, func(tx fleet.Tx, srv fleet.Server, _ billing.Price, charge string) (fleet.Action, error) {
		return s.fleet.Rebuild(bg, tx, srv, image, snapshot, charge)
	})
}

func (s *sim) snapshot(id berth.ID) (fleet.Action, error) {
	return s.change(id, func(rx fleet.Rx, srv fleet.Server) (billing.Price, error) {
		return s.fleet.PlanSnapshot(bg, rx, srv, fleet.Buyer{Principal: s.owner}, "", "")
	}, func(tx fleet.Tx, srv fleet.Server, _ billing.Price, charge string) (fleet.Action, error) {
		_, a, err := s.fleet.TakeSnapshot(bg, tx, srv, "", "", charge)
		return a, err
	})
}

func (s *sim) destroy(id berth.ID, withSnapshot bool) (fleet.Action, error) {
	return s.change(id, func(rx fleet.Rx, srv fleet.Server) (billing.Price, error) {
		return s.fleet.PlanDestroy(bg, rx, srv, fleet.Buyer{Principal: s.owner})
	}, func(tx fleet.Tx, srv fleet.Server, _ billing.Price, _ string) (fleet.Action, error) {
		_, a, err := s.fleet.Destroy(bg, tx, srv, withSnapshot)
		return a, err
	})
}

// extend buys minutes, at once.
func (s *sim) extend(id berth.ID, minutes int) error {
	return s.store.Write(bg, func(tx fleet.Tx) error {
		srv, err := tx.Server(bg, id)
		if err != nil {
			return err
		}
		price, err := s.fleet.PlanExtend(bg, tx, srv, fleet.Buyer{Principal: s.owner}, fleet.More{Minutes: minutes})
		if err != nil {
			return err
		}
		if _, err := s.fleet.Extend(bg, tx, srv, fleet.Buyer{Principal: s.owner}, fleet.More{Minutes: minutes}, price); err != nil {
			return err
		}
		_, err = billing.Charge(bg, tx, s.owner.ID, billing.Transfer{
			ID: string(berth.NewID(berth.PrefixTransaction, s.clock.Now())), Amount: price.Total,
			Reason: billing.ReasonExtension, Ref: id, At: s.clock.Now(),
		})
		return err
	})
}

func (s *sim) server(id berth.ID) (srv fleet.Server) {
	s.t.Helper()
	s.read(func(rx fleet.Rx) (err error) { srv, err = rx.Server(bg, id); return err })
	return srv
}

// machine is the server's machine as the provider has it.
func (s *sim) machine(id berth.ID) provider.Machine {
	s.t.Helper()
	m, err := s.cloud.Machine(bg, s.server(id).MachineID)
	if err != nil {
		s.t.Fatalf("machine of %s: %v", id, err)
	}
	return m
}

func (s *sim) action(id berth.ID) (a fleet.Action) {
	s.t.Helper()
	s.read(func(rx fleet.Rx) (err error) { a, err = rx.Action(bg, id); return err })
	return a
}

func (s *sim) snapshotRow(id berth.ID) (sn fleet.Snapshot) {
	s.t.Helper()
	s.read(func(rx fleet.Rx) (err error) { sn, err = rx.Snapshot(bg, id); return err })
	return sn
}

func (s *sim) balance() (b billing.Account) {
	s.t.Helper()
	s.read(func(rx fleet.Rx) (err error) {
		b, err = rx.LedgerAccount(bg, billing.CustomerAccount(s.owner.ID))
		return err
	})
	return b
}

// events counts the owner's events by kind.
func (s *sim) events() map[fleet.EventKind]int {
	s.t.Helper()
	kinds := map[fleet.EventKind]int{}
	s.read(func(rx fleet.Rx) error {
		for after := int64(0); ; {
			page, err := rx.Events(bg, s.owner.ID, after, 100)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, e := range page {
				if !slices.ContainsFunc(fleet.EventDocs, func(d fleet.EventDoc) bool { return d.Kind == e.Kind }) {
					s.t.Fatalf("the event %s is of no documented kind", e.Kind)
				}
				kinds[e.Kind]++
				after = e.Seq
			}
		}
	})
	return kinds
}

// step takes one step of an action and moves the clock to the next. A process
// that dies is followed by another.
func (s *sim) step(id berth.ID) (done bool) {
	s.t.Helper()
	again, done, err := s.fleet.Step(bg, id)
	switch {
	case errors.Is(err, errCrash):
		s.restart()
	case err != nil:
		s.t.Fatalf("step: %v", err)
	}
	s.check()
	if !done {
		s.clock.Advance(again)
	}
	return done
}

// end steps until the action has ended.
func (s *sim) end(id berth.ID) fleet.Action {
	s.t.Helper()
	percent := 0
	for range 20_000 {
		done := s.step(id)
		a := s.action(id)
		if a.Percent < percent {
			s.t.Fatalf("%s fell from %d to %d percent at %q", a.Kind, percent, a.Percent, a.Stage)
		}
		percent = a.Percent
		if done {
			return a
		}
	}
	s.t.Fatalf("action %+v does not end", s.action(id))
	return fleet.Action{}
}

func (s *sim) mustEnd(id berth.ID, status fleet.ActionStatus) fleet.Action {
	s.t.Helper()
	a := s.end(id)
	if a.Status != status {
		s.t.Fatalf("%s is %s at %q (%s), want %s", a.Kind, a.Status, a.Stage, a.Reason, status)
	}
	return a
}

// settle runs the scans and all open actions until a time has passed.
func (s *sim) settle(d time.Duration, interval time.Duration) {
	s.t.Helper()
	for end := s.clock.Now().Add(d); s.clock.Now().Before(end); s.clock.Advance(interval) {
		if _, err := s.fleet.Expire(bg); err != nil {
			s.t.Fatalf("expire: %v", err)
		}
		if err := s.fleet.Reconcile(bg); err != nil {
			s.t.Fatalf("reconcile: %v", err)
		}
		open, err := s.fleet.OpenActions(bg)
		if err != nil {
			s.t.Fatalf("open actions: %v", err)
		}
		for _, id := range open {
			for range 50 {
				again, done, err := s.fleet.Step(bg, id)
				if err != nil {
					s.t.Fatalf("step: %v", err)
				}
				if done || again > 0 {
					break
				}
			}
		}
		s.check()
	}
}

// check holds what must always be true against the state, where that may have
// changed.
func (s *sim) check() {
	s.t.Helper()
	state := [2]int{s.store.writes, s.cloud.Created()}
	if state == s.checked {
		return
	}
	s.checked = state
	s.read(func(rx fleet.Rx) error {
		report, err := billing.Verify(bg, rx)
		if err != nil {
			return err
		}
		if !report.OK() {
			s.t.Fatalf("the ledger: %q", report.Problems)
		}
		problems, err := fleet.VerifyServers(bg, rx)
		if err != nil {
			return err
		}
		if len(problems) > 0 {
			s.t.Fatalf("servers: %q", problems)
		}
		return nil
	})
	for _, id := range s.servers {
		n := s.cloud.Count(string(id))
		if status := s.server(id).Status; n > 1 || status == fleet.Destroyed && n > 0 {
			s.t.Fatalf("server %s is %s and has %d machines", id, status, n)
		}
	}
}

// wantCode fails unless err is a *berth.Error with the code, and tells what to
// do.
func wantCode(t *testing.T, err error, code berth.Code) {
	t.Helper()
	var e *berth.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
	if e.Hint == "" && len(e.Fields) == 0 {
		t.Errorf("%v has neither hint nor field", e)
	}
}

// temp is a new folder below dir.
func temp(t tester, dir string) string {
	sub, err := os.MkdirTemp(dir, "")
	if err != nil {
		t.Fatalf("%v", err)
	}
	return sub
}
