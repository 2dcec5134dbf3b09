package fleet_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

// expire runs one scan.
func (s *sim) expire() int {
	s.t.Helper()
	n, err := s.fleet.Expire(bg)
	if err != nil {
		s.t.Fatalf("expire: %v", err)
	}
	s.check()
	return n
}

// warned are the minutes of the warnings that were given.
func (s *sim) warned() (minutes []int) {
	s.t.Helper()
	s.read(func(rx fleet.Rx) error {
		events, err := rx.Events(bg, s.owner.ID, 0, 1000)
		for _, e := range events {
			if e.Kind != "lease.warning" {
				continue
			}
			var d struct{ Minutes int }
			if err := json.Unmarshal(e.Data, &d); err != nil {
				return err
			}
			minutes = append(minutes, d.Minutes)
		}
		return err
	})
	return minutes
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minutes int
		want    []int
	}{
		{2 * 24 * 60, []int{1440, 60, 15, 5}}, {1440, []int{60, 15, 5}}, {60, []int{15, 5}}, {5, nil}, {1, nil},
	} {
		s := newSim(t)
		o := s.order()
		o.Minutes = c.minutes
		srv := s.created(o)
		for s.clock.Now().Before(srv.Lease.PaidUntil) {
			s.expire()
			s.clock.Advance(30 * time.Second)
			if next := s.server(srv.ID).DueAt; next.Sub(s.clock.Now()) > time.Minute {
				s.clock.Advance(next.Sub(s.clock.Now()) - time.Minute)
			}
		}
		if got := s.warned(); !slices.Equal(got, c.want) {
			t.Errorf("a lease of %d minutes warns at %v, want %v", c.minutes, got, c.want)
		}
		if got := s.server(srv.ID).Status; got != fleet.Active {
			t.Errorf("at the end it is %s", got)
		}
	}
}

// TestLateScan gives one warning, not all that were missed.
func TestLateScan(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	s.clock.Advance(57 * time.Minute)
	for s.expire() > 0 {
	}
	if got := s.warned(); !slices.Equal(got, []int{5}) {
		t.Errorf("warned at %v, want only at 5", got)
	}
	if got := s.server(srv.ID).DueAt; !got.Equal(srv.Lease.PaidUntil) {
		t.Errorf("due at %s, want the end, %s", got, srv.Lease.PaidUntil)
	}
}

func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	s.settle(2*time.Hour, 30*time.Second)
	if got := s.server(srv.ID); got.Status != fleet.Destroyed || got.Ended.Sub(srv.Lease.PaidUntil) > 2*time.Minute {
		t.Errorf("server is %s, ended %s", got.Status, got.Ended)
	}
	if s.cloud.CountSnapshots() != 1 {
		t.Errorf("%d snapshots", s.cloud.CountSnapshots())
	}
	s.settle(73*time.Hour, 10*time.Minute)
	if s.cloud.CountSnapshots() != 0 || s.events()["snapshot.expired"] != 1 {
		t.Errorf("after 72 hours there are %d snapshots; events %v", s.cloud.CountSnapshots(), s.events())
	}
	if n := s.expire(); n != 0 {
		t.Errorf("%d things are due after all has ended", n)
	}
}

func TestLeaseEndsDuringAnAction(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	s.clock.Advance(time.Hour - time.Second)
	a, err := s.snapshot(srv.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(10 * time.Second)
	s.expire()
	if got := s.server(srv.ID).Status; got != fleet.Active {
		t.Errorf("in the middle of a snapshot it is %s", got)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	s.settle(5*time.Minute, 3*time.Second)
	if got := s.server(srv.ID).Status; got != fleet.Destroyed {
		t.Errorf("afterwards it is %s", got)
	}
}

func TestAutoRenew(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	o := s.order()
	o.AutoRenew = true
	srv := s.created(o)
	s.clock.Advance(time.Hour)
	s.expire()
	s.expire() // a second scan, or a second process, changes nothing
	got := s.server(srv.ID)
	if want := srv.Lease.PaidUntil.Add(time.Hour); !got.Lease.PaidUntil.Equal(want) || got.Status != fleet.Active {
		t.Fatalf("%s until %s, want %s", got.Status, got.Lease.PaidUntil, want)
	}
	if paid := s.balance().Debited; paid != 35_000+15_000 {
		t.Errorf("paid %s, want 0.05", paid)
	}
	s.clock.Advance(time.Hour)
	s.expire()
	if paid := s.balance().Debited; paid != 35_000+2*15_000 {
		t.Errorf("paid %s after two renewals, want 0.065", paid)
	}
	got = s.server(srv.ID)
	s.write(func(tx fleet.Tx) error {
		_, err := s.fleet.SetAutoRenew(bg, tx, got, false)
		return err
	})
	s.clock.Advance(time.Hour)
	s.expire()
	if got := s.server(srv.ID).Status; got != fleet.Destroying {
		t.Errorf("without auto-renew it is %s", got)
	}
}

func TestRenewalRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*sim, fleet.Tx) error{
		"no money": func(s *sim, tx fleet.Tx) error {
			_, err := billing.Charge(bg, tx, s.owner.ID, billing.Transfer{
				ID: "spent", Amount: 100*berth.Dollar - 35_000 - 1, Reason: billing.ReasonService, At: s.clock.Now(),
			})
			return err
		},
		"budget": func(s *sim, tx fleet.Tx) error {
			s.owner.Budget.Total = 40_000
			return tx.UpdatePrincipal(bg, s.owner)
		},
		"suspended": func(s *sim, tx fleet.Tx) error {
			s.owner.Suspended = true
			return tx.UpdatePrincipal(bg, s.owner)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			o := s.order()
			o.AutoRenew = true
			srv := s.created(o)
			s.write(func(tx fleet.Tx) error { return spoil(s, tx) })
			paid := s.balance().Debited
			s.clock.Advance(time.Hour)
			s.expire()
			if got := s.server(srv.ID).Status; got != fleet.Destroying {
				t.Errorf("server is %s", got)
			}
			if s.balance().Debited != paid || s.events()["lease.renewal_failed"] != 1 {
				t.Errorf("paid %s more; events %v", s.balance().Debited-paid, s.events())
			}
		})
	}
}

func TestReconcileOrphan(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	kept := s.created(s.order())
	// A machine of a server that nobody knows, and a second one of one that is.
	unknown := string(berth.NewID(berth.PrefixServer, s.clock.Now()))
	if _, err := s.cloud.Create(bg, provider.Spec{Tag: unknown, Tags: []string{"test"}}); err != nil {
		t.Fatal(err)
	}
	dead := s.created(s.order())
	a, err := s.destroy(dead.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	s.servers = s.servers[:1]
	if _, err := s.cloud.Create(bg, provider.Spec{Tag: string(dead.ID), Tags: []string{"test"}}); err != nil {
		t.Fatal(err)
	}
	s.settle(5*time.Minute, time.Minute)
	if s.cloud.Count(unknown) != 1 || s.cloud.Count(string(dead.ID)) != 1 {
		t.Error("orphans were destroyed before the grace was over")
	}
	s.settle(8*time.Minute, time.Minute)
	if s.cloud.Count(unknown) != 0 || s.cloud.Count(string(dead.ID)) != 0 {
		t.Error("orphans are left")
	}
	if s.cloud.Count(string(kept.ID)) != 1 || s.events()["server.orphan_destroyed"] != 1 {
		t.Errorf("events %v", s.events())
	}
}

func TestReconcileVanished(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	o := s.order()
	o.Minutes = 600
	srv, other := s.created(o), s.created(o)
	s.cloud.Vanish(string(srv.ID))
	s.cloud.Fail(fleettest.Get, repeat(fleettest.Fault{Kind: provider.Unavailable}, 1)...)
	if err := s.fleet.Reconcile(bg); err == nil {
		t.Error("a failed look is no error")
	}
	s.settle(30*time.Minute, time.Minute)
	got := s.server(srv.ID)
	if got.Status != fleet.Failed || got.Reason == "" {
		t.Fatalf("server is %s", got.Status)
	}
	left := srv.Lease.PaidUntil.Sub(got.Ended) / time.Second
	want := berth.Micros(left) * 15_000 / 3600
	if b := s.balance(); b.Credited-100*berth.Dollar != want {
		t.Errorf("refunded %s, want %s", b.Credited-100*berth.Dollar, want)
	}
	if got := s.server(other.ID).Status; got != fleet.Active {
		t.Errorf("the other server is %s", got)
	}
}

// TestReconcileWrongAccount takes nothing for gone when everything is.
func TestReconcileWrongAccount(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for range 3 {
		s.cloud.Vanish(string(s.created(s.order()).ID))
	}
	for range 30 {
		if err := s.fleet.Reconcile(bg); err == nil {
			t.Fatal("no error")
		}
		s.clock.Advance(time.Minute)
	}
	for _, id := range s.servers {
		if got := s.server(id).Status; got != fleet.Active {
			t.Errorf("server is %s", got)
		}
	}
}

func TestReconcilePower(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	s.cloud.TurnOff(string(srv.ID))
	s.settle(15*time.Minute, time.Minute)
	if got := s.server(srv.ID).Status; got != fleet.Off {
		t.Errorf("server is %s", got)
	}
}

// TestSurvey tells of what differs when it is first seen, and again when it has
// lasted and is seen to.
func TestSurvey(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	off, gone, fine := s.created(s.order()), s.created(s.order()), s.created(s.order())
	s.cloud.TurnOff(string(off.ID))
	s.cloud.Vanish(string(gone.ID))
	if _, err := s.cloud.TakeSnapshot(bg, fine.MachineID, "test-snap_0123456789abcdef01234567"); err != nil {
		t.Fatal(err)
	}
	want := map[fleet.FindingKind]string{
		fleet.TurnedOnOrOff: string(off.ID), fleet.VanishedMachine: string(gone.ID), fleet.OrphanedSnapshot: "test-snap_0123456789abcdef01234567",
	}
	seen, settled := map[fleet.FindingKind]bool{}, map[fleet.FindingKind]bool{}
	for round := 0; len(settled) < len(want); round++ {
		got, err := s.fleet.Survey(bg)
		if err != nil || round > 30 {
			t.Fatalf("round %d: %v, settled %v", round, err, settled)
		}
		if round == 0 && (got.Machines != 2 || got.Servers != 3) {
			t.Errorf("the first look: %+v", got)
		}
		for _, f := range got.Findings {
			if want[f.Kind] != f.Subject || f.Settled && !seen[f.Kind] {
				t.Errorf("round %d: %+v", round, f)
			}
			seen[f.Kind] = true
			if f.Settled {
				settled[f.Kind] = true
			}
		}
		s.clock.Advance(time.Minute)
	}
	got, err := s.fleet.Survey(bg)
	if err != nil || len(got.Findings) != 0 || got.Servers != 2 {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}

func TestReconcileSnapshots(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	a, err := s.snapshot(srv.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if _, err := s.cloud.TakeSnapshot(bg, srv.MachineID, "test-snap_0123456789abcdef01234567"); err != nil {
		t.Fatal(err)
	}
	s.settle(15*time.Minute, time.Minute)
	if s.cloud.CountSnapshots() != 1 || s.snapshotRow(a.Snapshot).Status != fleet.SnapshotAvailable {
		t.Errorf("%d snapshots are left", s.cloud.CountSnapshots())
	}
}
