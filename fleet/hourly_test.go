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

// hourly orders a server by the hour: small, 0.02 and 0.015 per hour.
func (s *sim) hourly() fleet.CreateOrder {
	o := s.order()
	o.Period, o.Minutes = fleet.Hour, 0
	return o
}

// leave spends the owner's balance but for an amount.
func (s *sim) leave(rest berth.Micros) {
	s.t.Helper()
	surplus := s.balance().Available() - rest
	s.write(func(tx fleet.Tx) error {
		_, err := billing.Charge(bg, tx, s.owner.ID, billing.Transfer{
			ID: string(berth.NewID(berth.PrefixTransaction, s.clock.Now())), Amount: surplus, Reason: billing.ReasonService, At: s.clock.Now(),
		})
		return err
	})
}

// credit adds to the owner's balance.
func (s *sim) credit(amount berth.Micros) {
	s.t.Helper()
	s.write(func(tx fleet.Tx) error {
		_, err := billing.Grant(bg, tx, s.owner.ID, billing.Transfer{ID: string(berth.NewID(berth.PrefixTransaction, s.clock.Now())), Amount: amount, At: s.clock.Now()})
		return err
	})
}

// open is the only action that runs.
func (s *sim) open() fleet.Action {
	s.t.Helper()
	ids, err := s.fleet.OpenActions(bg)
	if err != nil || len(ids) != 1 {
		s.t.Fatalf("open actions: %v, %v; want one", ids, err)
	}
	return s.action(ids[0])
}

// suspended is a server that was suspended for want of money.
func (s *sim) suspended() fleet.Server {
	s.t.Helper()
	srv := s.created(s.hourly())
	s.leave(14_999)
	s.clock.Advance(srv.Lease.PaidUntil.Sub(s.clock.Now()))
	s.expire()
	s.mustEnd(s.open().ID, fleet.ActionDone)
	return s.server(srv.ID)
}

func TestHourlyRenewals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv, a, err := s.create(s.hourly())
	if err != nil {
		t.Fatal(err)
	}
	if held := s.balance().Held; held != 35_000 {
		t.Errorf("held %s, want the fee and an hour", held)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	srv = s.server(srv.ID)
	if !srv.Lease.PaidUntil.Equal(srv.Delivered.Add(time.Hour)) {
		t.Errorf("delivered %s, paid until %s", srv.Delivered, srv.Lease.PaidUntil)
	}
	for hour := range 5 {
		s.clock.Advance(srv.Lease.PaidUntil.Add(time.Duration(hour)*time.Hour - 1).Sub(s.clock.Now()))
		s.expire()
		if paid := s.balance().Debited; paid != 35_000+berth.Micros(hour)*15_000 {
			t.Errorf("just before the end of hour %d %s are paid", hour, paid)
		}
		s.clock.Advance(1)
		s.expire()
		s.expire() // a second scan, or a second process, changes nothing
	}
	if paid := s.balance().Debited; paid != 35_000+5*15_000 {
		t.Errorf("paid %s after five renewals", paid)
	}
	if got := s.warned(); len(got) != 0 {
		t.Errorf("warned at %v, with enough in the balance", got)
	}
	s.clock.Advance(10 * time.Minute)
	a, err = s.destroy(srv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	s.settle(3*time.Hour, 10*time.Minute)
	if paid := s.balance().Debited; paid != 35_000+5*15_000 {
		t.Errorf("paid %s: billing stops with the hour that was begun", paid)
	}
}

// TestHourlyPriceIsFixed keeps the price from when the server was bought.
func TestHourlyPriceIsFixed(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.hourly())
	s.write(func(tx fleet.Tx) error {
		srv.Lease.Rate = 12_345 // as if it had been so
		return tx.UpdateServer(bg, srv)
	})
	s.clock.Advance(time.Hour)
	s.expire()
	if paid := s.balance().Debited; paid != 35_000+12_345 {
		t.Errorf("paid %s", paid)
	}
}

// TestHourlyCatchesUp bills the hours that ran while nobody scanned.
func TestHourlyCatchesUp(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.hourly())
	s.clock.Advance(3*time.Hour + time.Minute)
	for s.expire() > 0 {
	}
	if paid := s.balance().Debited; paid != 35_000+3*15_000 {
		t.Errorf("paid %s", paid)
	}
	if got := s.server(srv.ID); got.Status != fleet.Active || !got.Lease.PaidUntil.Equal(srv.Lease.PaidUntil.Add(3*time.Hour)) {
		t.Errorf("%s until %s", got.Status, got.Lease.PaidUntil)
	}
}

func TestHourlyWarnsOfWantOfMoney(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.created(s.hourly())
	s.leave(14_999)
	for range 59 {
		s.clock.Advance(time.Minute)
		s.expire()
	}
	if got := s.warned(); len(got) != 2 || got[0] != 15 || got[1] != 5 {
		t.Errorf("warned at %v", got)
	}
}

func TestSuspension(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.suspended()
	now := s.clock.Now()
	if srv.Status != fleet.Suspended || s.cloud.Answers(string(srv.ID)) {
		t.Fatalf("server is %s, and answers: %v", srv.Status, s.cloud.Answers(string(srv.ID)))
	}
	_, err := s.power(srv.ID, "on")
	wantCode(t, err, berth.Conflict)
	wantCode(t, s.extend(srv.ID, 5), berth.Conflict)
	end := srv.Lease.GraceUntil
	if left := end.Sub(now); left > 24*time.Hour || left < 24*time.Hour-time.Minute {
		t.Errorf("the grace ends %s after the suspension", left)
	}
	paid := s.balance().Debited
	s.settle(end.Sub(now)-time.Minute, 5*time.Minute)
	if got := s.server(srv.ID).Status; got != fleet.Suspended || s.balance().Debited != paid {
		t.Errorf("within the grace it is %s and cost %s", got, s.balance().Debited-paid)
	}
	s.settle(time.Hour, time.Minute)
	if got := s.server(srv.ID).Status; got != fleet.Destroyed {
		t.Errorf("after the grace it is %s", got)
	}
	var kept []fleet.Snapshot
	s.read(func(rx fleet.Rx) (err error) {
		kept, err = rx.Snapshots(bg, s.owner.ID, fleet.SnapshotFilter{Limit: 10})
		return err
	})
	if len(kept) != 1 || kept[0].Class != fleet.Backup || kept[0].ExpiresAt.Sub(end) < 168*time.Hour || kept[0].ExpiresAt.Sub(end) > 169*time.Hour {
		t.Errorf("it leaves %+v, want a backup for seven days", kept)
	}
	if e := s.events(); e["server.suspended"] != 1 || e["lease.ended"] != 1 || s.warned() == nil {
		t.Errorf("events %v, warned at %v", e, s.warned())
	}
}

func TestRevival(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.suspended()
	s.clock.Advance(3 * time.Hour)
	if n := s.expire(); n != 0 {
		t.Errorf("%d things were attended to, with no money", n)
	}
	s.credit(1) // now it is an hour's price, to the micro-dollar
	paid := s.balance().Debited
	s.expire()
	a := s.mustEnd(s.open().ID, fleet.ActionDone)
	got := s.server(srv.ID)
	if got.Status != fleet.Active || !s.cloud.Answers(string(srv.ID)) || !got.Lease.GraceUntil.IsZero() {
		t.Errorf("server: %+v", got)
	}
	if b := s.balance(); b.Debited-paid != 15_000 || b.Held != 0 || b.Available() != 0 {
		t.Errorf("balance: %+v", b)
	}
	if from := got.Lease.PaidUntil.Add(-time.Hour); from.Before(a.Created) || from.After(s.clock.Now()) {
		t.Errorf("the new hour begins %s, the revival at %s", from, a.Created)
	}
	s.clock.Advance(time.Hour)
	s.expire()
	if got := s.server(srv.ID); got.Status != fleet.Suspended {
		t.Errorf("an hour later it is %s", got.Status)
	}
}

// TestRevivalRefused leaves alone whom money does not help.
func TestRevivalRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*sim){
		"suspended account": func(s *sim) { s.owner.Suspended = true },
		"spent budget":      func(s *sim) { s.owner.Budget.Total = 100 * berth.Dollar },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			srv := s.suspended()
			spoil(s)
			s.write(func(tx fleet.Tx) error { return tx.UpdatePrincipal(bg, s.owner) })
			s.credit(berth.Dollar)
			writes := s.store.writes
			if n := s.expire(); n != 0 || s.store.writes != writes {
				t.Errorf("%d things were attended to, with %d writes", n, s.store.writes-writes)
			}
			if got := s.server(srv.ID).Status; got != fleet.Suspended {
				t.Errorf("server is %s", got)
			}
		})
	}
}

// TestRevivalFails holds nothing, and is tried again after a pause.
func TestRevivalFails(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.suspended()
	s.credit(berth.Dollar)
	before := s.balance()
	s.cloud.Fail(fleettest.Power, repeat(fleettest.Fault{Kind: provider.Invalid}, 1)...)
	s.expire()
	s.mustEnd(s.open().ID, fleet.ActionFailed)
	if got := s.server(srv.ID); got.Status != fleet.Suspended || s.balance() != before {
		t.Errorf("%s, balance %+v, was %+v", got.Status, s.balance(), before)
	}
	if n := s.expire(); n != 0 {
		t.Error("it was tried again at once")
	}
	s.clock.Advance(s.pace.RetryMax)
	s.expire()
	s.mustEnd(s.open().ID, fleet.ActionDone)
	if got := s.server(srv.ID).Status; got != fleet.Active {
		t.Errorf("server is %s", got)
	}
}

// TestSuspendedStaysOff turns a machine off again that somebody turned on.
func TestSuspendedStaysOff(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.suspended()
	if _, err := s.cloud.SetPower(bg, srv.MachineID, true); err != nil {
		t.Fatal(err)
	}
	s.settle(15*time.Minute, time.Minute)
	if got := s.server(srv.ID).Status; got != fleet.Suspended || s.cloud.Answers(string(srv.ID)) {
		t.Errorf("server is %s, and answers: %v", got, s.cloud.Answers(string(srv.ID)))
	}
}

// TestHourlySurvivesCrashes lets the process die before each write of a
// suspension and of a revival: each happens once.
func TestHourlySurvivesCrashes(t *testing.T) {
	t.Parallel()
	for name, revive := range map[string]bool{"suspend": false, "revive": true} {
		t.Run(name, func(t *testing.T) {
			died := true
			for n := 0; died; n++ {
				s := newSim(t)
				var srv fleet.Server
				if revive {
					srv = s.suspended()
					s.credit(20_000)
				} else {
					srv = s.created(s.hourly())
					s.leave(14_999)
					s.clock.Advance(time.Hour)
				}
				paid, process := s.balance().Debited, s.process
				s.dying.left = n
				if _, err := s.fleet.Expire(bg); err != nil {
					s.restart()
					s.expire()
				}
				s.mustEnd(s.open().ID, fleet.ActionDone)
				died = s.process > process
				status, cost := fleet.Suspended, berth.Micros(0)
				if revive {
					status, cost = fleet.Active, 15_000
				}
				if got := s.server(srv.ID); got.Status != status || s.cloud.Answers(string(srv.ID)) != revive {
					t.Fatalf("after dying at write %d it is %s, and answers: %v", n, got.Status, s.cloud.Answers(string(srv.ID)))
				}
				if b := s.balance(); b.Debited-paid != cost || b.Held != 0 {
					t.Fatalf("after dying at write %d: paid %s, held %s", n, b.Debited-paid, b.Held)
				}
			}
		})
	}
}

// TestHold: the operator's suspension of an account turns its hourly servers off
// at once and bills them no further, whatever the balance; lifting it turns them on
// again. A server that is paid ahead stays.
func TestHold(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	hourly, prepaid := s.created(s.hourly()), s.created(s.order())
	hold := func(suspended bool) {
		s.owner.Suspended = suspended
		s.write(func(tx fleet.Tx) error {
			if err := tx.UpdatePrincipal(bg, s.owner); err != nil || !suspended {
				return err
			}
			return s.fleet.Hold(bg, tx, s.owner.ID)
		})
	}
	hold(true)
	s.scanAll()
	held := s.server(hourly.ID)
	if held.Status != fleet.Suspended || s.machine(hourly.ID).State != provider.Off || held.Lease.GraceUntil.IsZero() {
		t.Fatalf("the hourly server of a suspended account is %s, until %s", held.Status, held.Lease.GraceUntil)
	}
	if got := s.server(prepaid.ID).Status; got != fleet.Active {
		t.Errorf("the prepaid one is %s", got)
	}
	spent := s.balance().Debited
	s.credit(berth.Dollar)
	s.clock.Advance(2 * time.Hour)
	s.scanAll()
	if got := s.server(hourly.ID).Status; got != fleet.Suspended || s.balance().Debited != spent {
		t.Errorf("with more money it is %s, and %s were spent instead of %s", got, s.balance().Debited, spent)
	}
	hold(false)
	s.scanAll()
	if got := s.server(hourly.ID).Status; got != fleet.Active || s.balance().Debited != spent+15_000 {
		t.Errorf("once that is lifted it is %s, and %s were spent", got, s.balance().Debited-spent)
	}
	hold(true)
	s.scanAll()
	s.clock.Advance(24 * time.Hour)
	s.scanAll()
	if got := s.server(hourly.ID).Status; got != fleet.Destroyed {
		t.Errorf("after its grace it is %s", got)
	}
	s.check()
}
