package fleet_test

import (
	"testing"
	"time"

	"berth"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

func TestPower(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	for _, c := range []struct {
		action string
		status fleet.Status
		stage  string
	}{
		{"off", fleet.Off, "off"}, {"on", fleet.Active, "ssh ready"}, {"reboot", fleet.Active, "ssh ready"},
	} {
		before := s.balance().Debited
		a, err := s.power(srv.ID, c.action)
		if err != nil {
			t.Fatalf("%s: %v", c.action, err)
		}
		if a = s.mustEnd(a.ID, fleet.ActionDone); a.Stage != c.stage {
			t.Errorf("%s ends at %q", c.action, a.Stage)
		}
		if got := s.server(srv.ID).Status; got != c.status {
			t.Errorf("after %s the server is %s", c.action, got)
		}
		if paid := s.balance().Debited - before; paid != 5_000 {
			t.Errorf("%s cost %s", c.action, paid)
		}
	}
}

func TestResize(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	s.clock.Advance(30 * time.Minute)
	a, err := s.resize(srv.ID, "medium")
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	got := s.server(srv.ID)
	if got.Size != "medium" || got.Lease.Rate != 45_000 || got.Status != fleet.Active {
		t.Errorf("server: %+v", got)
	}
	if paid := s.balance().Debited; paid != 35_000+5_000+15_000 {
		t.Errorf("paid %s: half an hour of the difference and the fee are 0.02", paid)
	}
	if !got.Lease.PaidUntil.Equal(srv.Lease.PaidUntil) {
		t.Errorf("a resize moved the end to %s", got.Lease.PaidUntil)
	}
}

// TestResizeThatKeepsTheDisk: what only changed processor and memory can go back;
// what grew its disk can't.
func TestResizeThatKeepsTheDisk(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	for _, c := range []struct {
		size string
		keep bool
		disk int
	}{
		{"large", true, 25}, {"small", true, 25}, {"medium", true, 25}, {"small", false, 25}, {"medium", false, 60}, {"large", true, 60}, {"medium", false, 60},
	} {
		a, err := s.resizeTo(srv.ID, c.size, c.keep)
		if err != nil {
			t.Fatalf("to %s: %v", c.size, err)
		}
		s.mustEnd(a.ID, fleet.ActionDone)
		got, machine := s.server(srv.ID), s.machine(srv.ID)
		if got.Size != c.size || got.DiskGB != c.disk || machine.DiskGB != c.disk {
			t.Errorf("to %s: size %s, disk %d GB, at the provider %d GB, want %d", c.size, got.Size, got.DiskGB, machine.DiskGB, c.disk)
		}
	}
	_, err := s.resizeTo(srv.ID, "small", true)
	wantCode(t, err, berth.Conflict)
}

func TestResizeOfAServerThatIsOff(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	off, err := s.power(srv.ID, "off")
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(off.ID, fleet.ActionDone)
	a, err := s.resize(srv.ID, "medium")
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if got := s.server(srv.ID); got.Size != "medium" || got.Status != fleet.Off || s.cloud.Answers(string(srv.ID)) {
		t.Errorf("server: %+v", got)
	}
}

func TestResizeThatFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fleettest.Fault{
		"refused": {Kind: provider.OutOfCapacity}, "broken": {Broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			srv := s.created(s.order())
			before := s.balance()
			s.cloud.Fail(fleettest.Resize, repeat(fault, 100)...)
			a, err := s.resize(srv.ID, "medium")
			if err != nil {
				t.Fatal(err)
			}
			s.mustEnd(a.ID, fleet.ActionFailed)
			s.clock.Advance(time.Minute)
			if !s.cloud.Answers(string(srv.ID)) {
				t.Error("the machine was left off")
			}
			if after := s.balance(); after != before {
				t.Errorf("balance %+v, was %+v", after, before)
			}
			if got := s.server(srv.ID); got.Size != "small" || got.Status != fleet.Active {
				t.Errorf("server: %+v", got)
			}
		})
	}
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	a, err := s.rebuild(srv.ID, "debian-12-x64", "")
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	got := s.server(srv.ID)
	if got.Image != "debian-12-x64" || got.HostKey != srv.HostKey || got.Addr != srv.Addr {
		t.Errorf("server: %+v", got)
	}
}

// TestChangesSurviveCrashes lets the process die before each write of each kind
// of change: it ends well, and is paid for once.
func TestChangesSurviveCrashes(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]func(*sim, berth.ID) (fleet.Action, error){
		"reboot":   func(s *sim, id berth.ID) (fleet.Action, error) { return s.power(id, "reboot") },
		"off":      func(s *sim, id berth.ID) (fleet.Action, error) { return s.power(id, "off") },
		"resize":   func(s *sim, id berth.ID) (fleet.Action, error) { return s.resize(id, "medium") },
		"rebuild":  func(s *sim, id berth.ID) (fleet.Action, error) { return s.rebuild(id, "", "") },
		"snapshot": func(s *sim, id berth.ID) (fleet.Action, error) { return s.snapshot(id) },
	} {
		t.Run(name, func(t *testing.T) {
			died := true
			for n := 0; died; n++ {
				s := newSim(t)
				srv := s.created(s.order())
				a, err := order(s, srv.ID)
				if err != nil {
					t.Fatal(err)
				}
				price := s.balance().Held
				before, process := s.balance().Debited, s.process
				s.dying.left = n
				s.mustEnd(a.ID, fleet.ActionDone)
				died = s.process > process
				if paid := s.balance().Debited - before; paid != price || price == 0 {
					t.Fatalf("dying at write %d: paid %s of %s", n, paid, price)
				}
			}
		})
	}
}

// TestFence lets a slow process come back after another has taken over: what
// it did is not recorded.
func TestFence(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	_, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	slow := s.fleet
	if _, _, err := slow.Step(bg, a.ID); err != nil {
		t.Fatal(err)
	}
	s.restart()
	if again, done, err := s.fleet.Step(bg, a.ID); err != nil || done || again < 30*time.Second {
		t.Errorf("an action that is held: again %s, done %v, %v", again, done, err)
	}
	held := s.action(a.ID)
	s.clock.Advance(2 * time.Minute)
	if _, _, err := s.fleet.Step(bg, a.ID); err != nil {
		t.Fatal(err)
	}
	if got := s.action(a.ID); got.Fence != held.Fence+1 || got.HeldBy == held.HeldBy {
		t.Errorf("taken over: fence %d by %q, was %d by %q", got.Fence, got.HeldBy, held.Fence, held.HeldBy)
	}
	if again, _, err := slow.Step(bg, a.ID); err != nil || again < 30*time.Second {
		t.Errorf("the slow process: again %s, %v", again, err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
}

// TestFenceDuringACall lets another process take an action over while the first
// one waits for the provider's answer: the answer is not recorded, and the
// machine is found by its tag.
func TestFenceDuringACall(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	slow := s.fleet
	s.cloud.During = func(string) {
		s.cloud.During = nil
		s.restart()
		s.clock.Advance(2 * time.Minute)
		if _, _, err := s.fleet.Step(bg, a.ID); err != nil {
			t.Error(err)
		}
	}
	if _, done, err := slow.Step(bg, a.ID); err != nil || done {
		t.Fatalf("done %v, %v", done, err)
	}
	if got := s.server(srv.ID); got.MachineID != "" || s.cloud.Created() != 1 {
		t.Errorf("the slow process recorded machine %q", got.MachineID)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if s.cloud.Created() != 1 {
		t.Errorf("%d machines were made", s.cloud.Created())
	}
}

// TestDestroyDuringACall cancels a create while the provider is making the
// machine and its list lags behind.
func TestDestroyDuringACall(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.cloud.ListLag = 30 * time.Second
	srv, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	var destroy fleet.Action
	s.cloud.During = func(string) {
		s.cloud.During = nil
		if destroy, err = s.destroy(srv.ID, true); err != nil {
			t.Error(err)
		}
	}
	if _, done, err := s.fleet.Step(bg, a.ID); err != nil || !done {
		t.Fatalf("the cancelled create: done %v, %v", done, err)
	}
	s.mustEnd(destroy.ID, fleet.ActionDone)
	if n := s.cloud.Count(string(srv.ID)); n != 0 || s.cloud.Created() != 1 {
		t.Errorf("%d of %d machines are left", n, s.cloud.Created())
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	s.cloud.ListLag = 30 * time.Second
	a, err := s.snapshot(srv.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	sn := s.snapshotRow(a.Snapshot)
	if want := s.clock.Now().Add(72 * time.Hour); sn.Status != fleet.SnapshotAvailable || want.Sub(sn.ExpiresAt) > time.Minute {
		t.Errorf("snapshot: %+v", sn)
	}
	if s.server(srv.ID).Status != fleet.Active {
		t.Error("the server did not go on")
	}
	s.write(func(tx fleet.Tx) error {
		price, err := s.fleet.PlanRetain(bg, tx, sn, fleet.Buyer{Principal: s.owner}, 10)
		if err != nil || price.Total != 80_100 { // 3 GB × 10 days × 0.00267
			t.Errorf("price %s, %v", price.Total, err)
		}
		longer, err := s.fleet.Retain(bg, tx, sn, 10)
		if want := sn.ExpiresAt.Add(240 * time.Hour); !longer.ExpiresAt.Equal(want) {
			t.Errorf("kept until %s, want %s", longer.ExpiresAt, want)
		}
		return err
	})
}

func TestSnapshotThatFails(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	before := s.balance()
	s.cloud.Fail(fleettest.Snapshot, repeat(fleettest.Fault{Broken: true}, 100)...)
	a, err := s.snapshot(srv.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionFailed)
	if s.balance() != before || s.snapshotRow(a.Snapshot).Status != fleet.SnapshotFailed {
		t.Errorf("balance %+v, snapshot %s", s.balance(), s.snapshotRow(a.Snapshot).Status)
	}
}

func TestDeleteSnapshot(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	taken, err := s.snapshot(srv.ID)
	if err != nil {
		t.Fatal(err)
	}
	remove := func() (a fleet.Action, err error) {
		err = s.store.Write(bg, func(tx fleet.Tx) error {
			sn, err := tx.Snapshot(bg, taken.Snapshot)
			if err != nil {
				return err
			}
			if err := s.fleet.PlanDeleteSnapshot(bg, tx, sn); err != nil {
				return err
			}
			a, err = s.fleet.DeleteSnapshot(bg, tx, sn)
			return err
		})
		return a, err
	}
	_, err = remove()
	wantCode(t, err, berth.Conflict) // it is being taken
	s.mustEnd(taken.ID, fleet.ActionDone)

	o := s.order()
	o.Snapshot = taken.Snapshot
	_, restore, err := s.create(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = remove()
	wantCode(t, err, berth.Conflict) // it is being restored
	s.mustEnd(restore.ID, fleet.ActionDone)

	s.cloud.Fail(fleettest.DeleteSnapshot, repeat(fleettest.Fault{Kind: provider.Unavailable}, 5)...)
	a, err := remove()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.snapshotRow(taken.Snapshot).Status; got != fleet.SnapshotDeleted {
		t.Errorf("snapshot is %s", got)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if s.cloud.CountSnapshots() != 0 {
		t.Error("the snapshot is still at the provider")
	}
}

// TestExtend checks that extensions count from the end, and that they are
// refused while the rate changes.
func TestExtend(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	if err := s.extend(srv.ID, 120); err != nil {
		t.Fatal(err)
	}
	got := s.server(srv.ID)
	if want := srv.Lease.PaidUntil.Add(2 * time.Hour); !got.Lease.PaidUntil.Equal(want) || got.Lease.Renewal != 2*time.Hour {
		t.Errorf("lease: %+v, want until %s", got.Lease, want)
	}
	if want := got.Lease.PaidUntil.Add(-time.Hour); !got.DueAt.Equal(want) {
		t.Errorf("due at %s, want %s", got.DueAt, want)
	}
	if _, err := s.resize(srv.ID, "medium"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.extend(srv.ID, 10), berth.Conflict)
}

// TestExtendWhileProvisioning counts time that was bought before delivery from
// the delivery on.
func TestExtendWhileProvisioning(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.extend(srv.ID, 60); err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if got := s.server(srv.ID); !got.Lease.PaidUntil.Equal(got.Delivered.Add(2 * time.Hour)) {
		t.Errorf("delivered %s, paid until %s", got.Delivered, got.Lease.PaidUntil)
	}
}

// TestResizeOfWhatVanishes: a resize whose machine is gone fails, and does not
// try for ever to turn it on again.
func TestResizeOfWhatVanishes(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	a, err := s.resize(srv.ID, "medium")
	if err != nil {
		t.Fatal(err)
	}
	s.cloud.Vanish(string(srv.ID))
	s.mustEnd(a.ID, fleet.ActionFailed)
	if b := s.balance(); b.Held != 0 {
		t.Errorf("held %s", b.Held)
	}
}
