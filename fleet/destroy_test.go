package fleet_test

import (
	"testing"
	"time"

	"berth"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

func TestDestroyKeepsASnapshot(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	a, err := s.destroy(srv.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.server(srv.ID).Status; got != fleet.Destroying {
		t.Errorf("server is %s", got)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if got := s.server(srv.ID); got.Status != fleet.Destroyed || got.Ended.IsZero() {
		t.Errorf("server: %+v", got)
	}
	sn := s.snapshotRow(a.Snapshot)
	if sn.Status != fleet.SnapshotAvailable || sn.Bytes != 3_000_000_000 || sn.MinDiskGB != 25 {
		t.Errorf("snapshot: %+v", sn)
	}
	if s.cloud.CountSnapshots() != 1 {
		t.Errorf("%d snapshots at the provider", s.cloud.CountSnapshots())
	}
	o := s.order()
	o.Snapshot = sn.ID
	if restored := s.created(o); !restored.CustomBoot || restored.Snapshot != sn.ID || restored.Image != srv.Image {
		t.Errorf("restored: %+v", restored)
	}
}

func TestDestroyWithoutSnapshot(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	a, err := s.destroy(srv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if a.Snapshot != "" || s.cloud.CountSnapshots() != 0 {
		t.Errorf("a snapshot was taken: %s", a.Snapshot)
	}
}

// TestDestroyOfWhatFailed: a server that never came up is gone from its owner's
// list when it is destroyed, for nothing but the call's fee.
func TestDestroyOfWhatFailed(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	s.prober.Silence(srv.ID, true)
	for s.server(srv.ID).Status != fleet.Failed {
		s.step(a.ID)
	}
	_, err = s.destroy(srv.ID, true)
	wantCode(t, err, berth.Conflict) // its machine is being removed
	s.mustEnd(a.ID, fleet.ActionFailed)

	before := s.balance()
	a, err = s.destroy(srv.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	if a = s.mustEnd(a.ID, fleet.ActionDone); a.Snapshot != "" {
		t.Errorf("a snapshot was taken: %s", a.Snapshot)
	}
	if got := s.server(srv.ID); got.Status != fleet.Destroyed {
		t.Errorf("server is %s", got.Status)
	}
	if after := s.balance(); after != before {
		t.Errorf("balance %+v, was %+v", after, before)
	}
	_, err = s.destroy(srv.ID, true)
	wantCode(t, err, berth.Conflict)
}

// TestDestroySurvivesCrashes lets the process die before each write in turn.
func TestDestroySurvivesCrashes(t *testing.T) {
	t.Parallel()
	died := true
	for n := 0; died; n++ {
		s := newSim(t)
		srv := s.created(s.order())
		a, err := s.destroy(srv.ID, true)
		if err != nil {
			t.Fatal(err)
		}
		s.dying.left = n
		before := s.process
		s.mustEnd(a.ID, fleet.ActionDone)
		died = s.process > before
		if got := s.cloud.CountSnapshots(); got != 1 {
			t.Fatalf("dying at write %d: %d snapshots", n, got)
		}
	}
}

// TestDestroyWhileCreating cancels a create at each of its stages, also while
// its request is on the way: no machine and no charge stay.
func TestDestroyWhileCreating(t *testing.T) {
	t.Parallel()
	for steps := range 6 {
		for _, lag := range []time.Duration{0, 40 * time.Second} {
			s := newSim(t)
			s.cloud.ListLag = lag
			srv, create, err := s.create(s.order())
			if err != nil {
				t.Fatal(err)
			}
			for range steps {
				s.step(create.ID)
			}
			if s.server(srv.ID).Status != fleet.Provisioning {
				continue
			}
			a, err := s.destroy(srv.ID, true)
			if err != nil {
				t.Fatal(err)
			}
			if a.Snapshot != "" {
				t.Errorf("after %d steps: a server that never came up has snapshot %s", steps, a.Snapshot)
			}
			if got := s.action(create.ID); got.Status != fleet.ActionFailed || got.Reason == "" {
				t.Errorf("after %d steps the create is %s", steps, got.Status)
			}
			s.mustEnd(a.ID, fleet.ActionDone)
			if b := s.balance(); b.Available() != 100*berth.Dollar {
				t.Errorf("after %d steps: balance %+v", steps, b)
			}
		}
	}
}

// TestDestroyDuringRequest cancels while the provider is making the machine:
// the answer comes after the cancellation.
func TestDestroyDuringRequest(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv, create, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	// The request has its effect; the process dies before it can record it.
	s.dying.left = 1
	s.step(create.ID)
	if s.cloud.Count(string(srv.ID)) != 1 {
		t.Fatal("the machine was not made")
	}
	a, err := s.destroy(srv.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if n := s.cloud.Count(string(srv.ID)); n != 0 {
		t.Errorf("%d machines are left", n)
	}
}

func TestDestroyNeverGivesUp(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv := s.created(s.order())
	s.cloud.Fail(fleettest.Delete, repeat(fleettest.Fault{Kind: provider.Unavailable}, 30)...)
	s.cloud.Fail(fleettest.Delete, repeat(fleettest.Fault{Kind: provider.Auth}, 30)...)
	s.cloud.Fail(fleettest.Delete, fleettest.Fault{Broken: true}) // says yes and does not do it
	a, err := s.destroy(srv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	if s.events()["action.delayed"] < 3 {
		t.Errorf("events: %v", s.events())
	}
}

func TestDestroyWhenTheSnapshotFails(t *testing.T) {
	t.Parallel()
	broken := repeat(fleettest.Fault{Broken: true}, 10_000)
	t.Run("for a caller the server is kept", func(t *testing.T) {
		s := newSim(t)
		srv := s.created(s.order())
		s.cloud.Fail(fleettest.Snapshot, broken...)
		a, err := s.destroy(srv.ID, true)
		if err != nil {
			t.Fatal(err)
		}
		s.mustEnd(a.ID, fleet.ActionFailed)
		got := s.server(srv.ID)
		if got.Status != fleet.Active || got.DueAt.IsZero() || s.cloud.Count(string(srv.ID)) != 1 {
			t.Errorf("server: %+v", got)
		}
		if sn := s.snapshotRow(a.Snapshot); sn.Status != fleet.SnapshotFailed {
			t.Errorf("snapshot is %s", sn.Status)
		}
	})
	t.Run("some failures are survived", func(t *testing.T) {
		s := newSim(t)
		srv := s.created(s.order())
		s.cloud.Fail(fleettest.Snapshot, broken[:3]...)
		a, err := s.destroy(srv.ID, true)
		if err != nil {
			t.Fatal(err)
		}
		s.mustEnd(a.ID, fleet.ActionDone)
		if sn := s.snapshotRow(a.Snapshot); sn.Status != fleet.SnapshotAvailable {
			t.Errorf("snapshot is %s", sn.Status)
		}
	})
	t.Run("at the end of a lease it is tried for a day", func(t *testing.T) {
		s := newSim(t)
		srv := s.created(s.order())
		s.cloud.Fail(fleettest.Snapshot, broken...)
		s.clock.Advance(time.Hour)
		if _, err := s.fleet.Expire(bg); err != nil {
			t.Fatal(err)
		}
		started := s.clock.Now()
		s.mustEnd(s.rung[len(s.rung)-1], fleet.ActionDone)
		if tried := s.clock.Now().Sub(started); tried < s.pace.LastSnapshot {
			t.Errorf("it was tried for %s only", tried)
		}
		if got := s.server(srv.ID); got.Status != fleet.Destroyed || s.events()["server.lost_snapshot"] != 1 {
			t.Errorf("server is %s, events %v", got.Status, s.events())
		}
	})
	t.Run("of a machine that is gone there is none", func(t *testing.T) {
		s := newSim(t)
		srv := s.created(s.order())
		s.cloud.Vanish(string(srv.ID))
		a, err := s.destroy(srv.ID, true)
		if err != nil {
			t.Fatal(err)
		}
		s.mustEnd(a.ID, fleet.ActionDone)
		if sn := s.snapshotRow(a.Snapshot); sn.Status != fleet.SnapshotFailed {
			t.Errorf("snapshot is %s", sn.Status)
		}
	})
}

// TestDestroyDuringASnapshot: the end of a server waits for the snapshot that its
// owner has begun, and nothing is billed meanwhile. What fails of it is no matter.
func TestDestroyDuringASnapshot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ keep, broken bool }{
		"and without another": {false, false}, "and with another": {true, false}, "that fails": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			srv := s.created(s.deposit())
			if tt.broken {
				s.cloud.Fail(fleettest.Snapshot, fleettest.Fault{Kind: provider.Invalid})
			}
			first, err := s.snapshot(srv.ID)
			if err != nil {
				t.Fatal(err)
			}
			a, err := s.destroy(srv.ID, tt.keep)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.destroy(srv.ID, tt.keep); berth.CodeOf(err) != berth.Conflict {
				t.Errorf("destroyed again: %v", err)
			}
			s.step(a.ID)
			if got := s.action(a.ID); got.Status != fleet.ActionRunning || s.cloud.Calls(fleettest.Delete) > 0 {
				t.Errorf("while the snapshot is taken the destroy is %s at %q", got.Status, got.Stage)
			}
			wanted := fleet.ActionDone
			if tt.broken {
				wanted = fleet.ActionFailed
			}
			s.mustEnd(first.ID, wanted)
			s.mustEnd(a.ID, fleet.ActionDone)
			if got := s.server(srv.ID); got.Status != fleet.Destroyed || s.escrow(srv.ID) != 0 {
				t.Errorf("in the end it is %s, with %s in its escrow", got.Status, s.escrow(srv.ID))
			}
			kept := map[bool]int{true: 2, false: 1}[tt.keep]
			if tt.broken {
				kept--
			}
			if got := s.cloud.CountSnapshots(); got != kept {
				t.Errorf("%d snapshots are kept, want %d", got, kept)
			}
			s.check()
		})
	}
}
