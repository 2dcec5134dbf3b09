package fleet_test

import (
	"testing"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

// deposit orders a small server with a deposit: a day's worth is 0.36.
func (s *sim) deposit() fleet.CreateOrder {
	o := s.order()
	o.Period, o.Minutes = fleet.Deposit, 0
	return o
}

func (s *sim) escrow(id berth.ID) (left berth.Micros) {
	s.t.Helper()
	s.read(func(rx fleet.Rx) error {
		a, err := rx.LedgerAccount(bg, billing.EscrowAccount(id))
		left = a.Available()
		return err
	})
	return left
}

// more extends a lease, at once.
func (s *sim) more(id berth.ID, more fleet.More) error {
	return s.store.Write(bg, func(tx fleet.Tx) error {
		srv, err := tx.Server(bg, id)
		if err != nil {
			return err
		}
		price, err := s.fleet.PlanExtend(bg, tx, srv, fleet.Buyer{Principal: s.owner}, more)
		if err != nil {
			return err
		}
		if _, err := s.fleet.Extend(bg, tx, srv, fleet.Buyer{Principal: s.owner}, more, price); err != nil {
			return err
		}
		key := string(berth.NewID(berth.PrefixTransaction, s.clock.Now()))
		if _, err := billing.Deposit(bg, tx, s.owner.ID, id, billing.Transfer{ID: key + ":deposit", Amount: price.Deposit, At: s.clock.Now()}); err != nil {
			return err
		}
		_, err = billing.Charge(bg, tx, s.owner.ID, billing.Transfer{
			ID: key, Amount: price.Total - price.Deposit, Reason: billing.ReasonExtension, Ref: id, At: s.clock.Now(),
		})
		return err
	})
}

func TestDeposit(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv, a, err := s.create(s.deposit())
	if err != nil {
		t.Fatal(err)
	}
	if b := s.balance(); b.Held != 20_000 || b.Debited != 360_000 || s.escrow(srv.ID) != 360_000 {
		t.Errorf("balance %+v, escrow %s: want the fee held and a day deposited", b, s.escrow(srv.ID))
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	srv = s.server(srv.ID)
	if !srv.Lease.PaidUntil.Equal(srv.Delivered.Add(24 * time.Hour)) {
		t.Errorf("it lasts until %s, delivered %s", srv.Lease.PaidUntil, srv.Delivered)
	}
	s.clock.Advance(srv.Delivered.Add(1001 * time.Second).Sub(s.clock.Now()))
	if left := srv.Lease.Left(s.clock.Now()); left != 360_000-4_170 {
		t.Errorf("%s are left, want 0.35583", left)
	}
	if err := s.more(srv.ID, fleet.More{Deposit: 15_000}); err != nil {
		t.Fatal(err)
	}
	if got := s.server(srv.ID); !got.Lease.PaidUntil.Equal(srv.Lease.PaidUntil.Add(time.Hour)) {
		t.Errorf("an hour's worth moved the end to %s", got.Lease.PaidUntil)
	}
	a, err = s.destroy(srv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	if b := s.balance(); b.Debited-b.Credited+100*berth.Dollar != 20_000+4_170 {
		t.Errorf("balance %+v: want the fee and floor(1001 × 0.015 / 3600) gone, at once", b)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if left := s.escrow(srv.ID); left != 0 {
		t.Errorf("%s are left in the escrow", left)
	}
}

// TestDepositReturns gives all of it back where nothing was delivered.
func TestDepositReturns(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*sim, fleet.Server, fleet.Action){
		"a failed create": func(s *sim, _ fleet.Server, a fleet.Action) {
			s.cloud.Fail(fleettest.Create, repeat(fleettest.Fault{Kind: provider.OutOfCapacity}, 1)...)
			s.mustEnd(a.ID, fleet.ActionFailed)
		},
		"a cancelled create": func(s *sim, srv fleet.Server, _ fleet.Action) {
			a, err := s.destroy(srv.ID, true)
			if err != nil {
				s.t.Fatalf("destroy: %v", err)
			}
			s.mustEnd(a.ID, fleet.ActionDone)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			srv, a, err := s.create(s.deposit())
			if err != nil {
				t.Fatal(err)
			}
			end(s, srv, a)
			if b := s.balance(); b.Available() != 100*berth.Dollar {
				t.Errorf("balance %+v", b)
			}
		})
	}
}

// TestDepositRunsOut ends the lease as a prepaid one: warned, with a snapshot.
func TestDepositRunsOut(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	o := s.deposit()
	o.Deposit = 30_001 // two hours, and a micro-dollar that buys no second
	srv := s.created(o)
	s.settle(3*time.Hour, time.Minute)
	got := s.server(srv.ID)
	if got.Status != fleet.Destroyed || s.cloud.CountSnapshots() != 1 {
		t.Errorf("server is %s, with %d snapshots", got.Status, s.cloud.CountSnapshots())
	}
	if b := s.balance(); b.Available() != 100*berth.Dollar-20_000-30_000 {
		t.Errorf("balance %+v", b)
	}
	if got := s.warned(); len(got) != 3 || got[0] != 60 || got[1] != 15 || got[2] != 5 {
		t.Errorf("warned at %v", got)
	}
}

func TestDepositResize(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.deposit())
	s.clock.Advance(srv.Delivered.Add(time.Hour).Sub(s.clock.Now()))
	before := s.balance()
	a, err := s.resize(srv.ID, "medium")
	if err != nil {
		t.Fatal(err)
	}
	// 23 hours at 0.03 more.
	if b := s.balance(); b.Held != 5_000 || b.Debited-before.Debited != 690_000 {
		t.Errorf("balance %+v", b)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	got := s.server(srv.ID)
	if late := got.Lease.PaidUntil.Sub(srv.Lease.PaidUntil); got.Lease.Rate != 45_000 || late < -time.Second || late > time.Second {
		t.Errorf("rate %s, the end moved by %s", got.Lease.Rate, late)
	}
}

func TestDepositResizeThatFails(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.deposit())
	available := s.balance().Available()
	s.cloud.Fail(fleettest.Resize, repeat(fleettest.Fault{Kind: provider.OutOfCapacity}, 100)...)
	a, err := s.resize(srv.ID, "medium")
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionFailed)
	if got := s.server(srv.ID); s.balance().Available() != available || !got.Lease.PaidUntil.Equal(srv.Lease.PaidUntil) {
		t.Errorf("balance %s, was %s; until %s, was %s", s.balance().Available(), available, got.Lease.PaidUntil, srv.Lease.PaidUntil)
	}
}

// TestDepositOfAKeptServer goes on where the snapshot before a destroy fails; it
// is not metered meanwhile.
func TestDepositOfAKeptServer(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.deposit())
	s.cloud.Fail(fleettest.Snapshot, repeat(fleettest.Fault{Kind: provider.Unavailable}, 1000)...)
	s.clock.Advance(srv.Delivered.Add(time.Hour).Sub(s.clock.Now()))
	a, err := s.destroy(srv.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	if left := s.escrow(srv.ID); left != 345_000 {
		t.Errorf("%s are in the escrow while the snapshot is taken", left)
	}
	s.mustEnd(a.ID, fleet.ActionFailed)
	got := s.server(srv.ID)
	if got.Status != fleet.Active || s.escrow(srv.ID) != 345_000 || !got.Lease.PaidUntil.Equal(got.Lease.MeteredFrom.Add(23*time.Hour)) {
		t.Errorf("%s, escrow %s, lease %+v", got.Status, s.escrow(srv.ID), got.Lease)
	}
}

func TestDepositOfAVanishedServer(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.deposit())
	s.cloud.Vanish(string(srv.ID))
	s.settle(30*time.Minute, time.Minute)
	got := s.server(srv.ID)
	used := billing.Metered(15_000, got.Ended.Sub(srv.Delivered))
	if b := s.balance(); got.Status != fleet.Failed || b.Available() != 100*berth.Dollar-20_000-used {
		t.Errorf("%s, balance %+v, used %s", got.Status, b, used)
	}
}

// TestDepositSurvivesCrashes lets the process die before each write of a destroy
// and of a resize: the rest returns once.
func TestDepositSurvivesCrashes(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]func(*sim, berth.ID) (fleet.Action, error){
		"destroy": func(s *sim, id berth.ID) (fleet.Action, error) { return s.destroy(id, true) },
		"resize":  func(s *sim, id berth.ID) (fleet.Action, error) { return s.resize(id, "medium") },
	} {
		t.Run(name, func(t *testing.T) {
			died := true
			for n := 0; died; n++ {
				s := newSim(t)
				srv := s.created(s.deposit())
				a, err := order(s, srv.ID)
				if err != nil {
					t.Fatal(err)
				}
				process := s.process
				s.dying.left = n
				s.mustEnd(a.ID, fleet.ActionDone) // each step verifies escrow and ledger
				died = s.process > process
				got := s.server(srv.ID)
				if name == "destroy" && s.escrow(srv.ID) != 0 || name == "resize" && got.Lease.Rate != 45_000 {
					t.Fatalf("after dying at write %d: escrow %s, lease %+v", n, s.escrow(srv.ID), got.Lease)
				}
			}
		})
	}
}
