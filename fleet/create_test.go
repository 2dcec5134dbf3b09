package fleet_test

import (
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	srv, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	if held := s.balance().Held; held != 35_000 {
		t.Errorf("held %s, want 0.035", held)
	}
	var stages []string
	for {
		now := s.action(a.ID)
		if len(stages) == 0 || stages[len(stages)-1] != now.Stage {
			stages = append(stages, now.Stage)
		}
		if now.Status != fleet.ActionRunning {
			break
		}
		s.step(a.ID)
	}
	if got := strings.Join(stages, ", "); got != "paid, requested, booting, address, ssh ready" {
		t.Errorf("stages: %s", got)
	}
	got := s.server(srv.ID)
	if got.Status != fleet.Active || !got.Addr.IsValid() || got.Delivered.IsZero() {
		t.Errorf("server: %+v", got)
	}
	if want := got.Delivered.Add(time.Hour); !got.Lease.PaidUntil.Equal(want) {
		t.Errorf("paid until %s, want %s: the time starts at delivery", got.Lease.PaidUntil, want)
	}
	if b := s.balance(); b.Held != 0 || b.Debited != 35_000 {
		t.Errorf("balance: %+v", b)
	}
	secrets, err := s.fleet.Secrets(got)
	if err != nil || len(secrets.RootPassword) < 20 || !strings.Contains(secrets.HostKeyPEM, "OPENSSH PRIVATE KEY") {
		t.Errorf("secrets: %v", err)
	}
}

func TestCreateAtCost(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.owner = s.principal(account.Cost)
	srv := s.created(s.order())
	if srv.Price != 8_930 || srv.Lease.Rate != 8_930 {
		t.Errorf("an hour of small at cost: price %s, rate %s, want 0.00893", srv.Price, srv.Lease.Rate)
	}
}

// TestCreateSurvivesCrashes lets the process die before each of its writes in
// turn, the ones between a request and its recording included.
func TestCreateSurvivesCrashes(t *testing.T) {
	t.Parallel()
	for lag := range 2 {
		died := true
		for n := 0; died; n++ {
			s := newSim(t)
			s.cloud.ListLag = time.Duration(lag) * 30 * time.Second
			_, a, err := s.create(s.order())
			if err != nil {
				t.Fatal(err)
			}
			s.dying.left = n
			before := s.process
			s.mustEnd(a.ID, fleet.ActionDone)
			died = s.process > before
			if s.cloud.Created() != 1 {
				t.Fatalf("dying at write %d: %d machines were made", n, s.cloud.Created())
			}
			if n > 50 {
				t.Fatal("a create takes more than 50 writes")
			}
		}
	}
}

func TestCreateFaults(t *testing.T) {
	t.Parallel()
	temporary := fleettest.Fault{Kind: provider.Unavailable}
	for name, c := range map[string]struct {
		set    func(*sim)
		status fleet.ActionStatus
		reason string
		made   int
	}{
		"ambiguous, and it happened": {func(s *sim) {
			s.cloud.ListLag = 20 * time.Second
			s.cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Ambiguous, Effect: true})
		}, fleet.ActionDone, "", 1},
		"ambiguous, and it did not": {func(s *sim) {
			s.cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Ambiguous})
		}, fleet.ActionDone, "", 1},
		"some temporary errors": {func(s *sim) {
			s.cloud.Fail(fleettest.Create, temporary, temporary, fleettest.Fault{Kind: provider.RateLimited})
			s.cloud.Fail(fleettest.List, temporary, temporary)
		}, fleet.ActionDone, "", 1},
		"out of capacity": {func(s *sim) {
			s.cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.OutOfCapacity})
		}, fleet.ActionFailed, "out of capacity", 0},
		"refused": {func(s *sim) {
			s.cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
		}, fleet.ActionFailed, "refused", 0},
		"the account is locked": {func(s *sim) {
			s.cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Auth})
		}, fleet.ActionFailed, "credentials", 0},
		"never an answer": {func(s *sim) {
			s.cloud.Fail(fleettest.Create, repeat(temporary, 1000)...)
		}, fleet.ActionFailed, "in time", 0},
		"active without an address for a while": {func(s *sim) {
			s.cloud.NoAddr = time.Minute
		}, fleet.ActionDone, "", 1},
		"never an address": {func(s *sim) {
			s.cloud.NoAddr = 1000 * time.Hour
		}, fleet.ActionFailed, `"booting" took longer`, 1},
		"never on": {func(s *sim) {
			s.cloud.BootTime = 1000 * time.Hour
		}, fleet.ActionFailed, `"requested" took longer`, 1},
		"early list lag": {func(s *sim) {
			s.cloud.ListLag = 50 * time.Second
		}, fleet.ActionDone, "", 1},
		"the list never shows it": {func(s *sim) {
			s.cloud.ListLag = 1000 * time.Hour
		}, fleet.ActionDone, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			c.set(s)
			srv, a, err := s.create(s.order())
			if err != nil {
				t.Fatal(err)
			}
			a = s.mustEnd(a.ID, c.status)
			if !strings.Contains(a.Reason, c.reason) {
				t.Errorf("reason %q does not say %q", a.Reason, c.reason)
			}
			if got := s.cloud.Created(); got != c.made {
				t.Errorf("%d machines were made, want %d", got, c.made)
			}
			want := 1
			if c.status == fleet.ActionFailed {
				want = 0
				if got := s.server(srv.ID); got.Status != fleet.Failed || got.Reason == "" || got.Ended.IsZero() {
					t.Errorf("server: %+v", got)
				}
				if b := s.balance(); b.Available() != 100*berth.Dollar {
					t.Errorf("balance after a failure: %+v", b)
				}
			}
			if got := s.cloud.Count(string(srv.ID)); got != want {
				t.Errorf("%d machines are left, want %d", got, want)
			}
		})
	}
}

func TestCreateWithoutSSH(t *testing.T) {
	t.Parallel()
	t.Run("it fails where Berth alone configured the machine", func(t *testing.T) {
		s := newSim(t)
		srv, a, err := s.create(s.order())
		if err != nil {
			t.Fatal(err)
		}
		s.prober.Silence(srv.ID, true)
		s.mustEnd(a.ID, fleet.ActionFailed)
		if n := s.cloud.Count(string(srv.ID)); n != 0 {
			t.Errorf("%d machines are left", n)
		}
	})
	t.Run("it is delivered where the caller's own data may have closed the port", func(t *testing.T) {
		s := newSim(t)
		o := s.order()
		o.UserData = "#!/bin/sh\nufw deny 22\n"
		srv, a, err := s.create(o)
		if err != nil {
			t.Fatal(err)
		}
		s.prober.Silence(srv.ID, true)
		s.mustEnd(a.ID, fleet.ActionDone)
		if got := s.server(srv.ID); got.Status != fleet.Active || s.balance().Held != 0 {
			t.Errorf("server is %s, %s held", got.Status, s.balance().Held)
		}
	})
}

func TestMachineVanishesWhileBooting(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.cloud.BootTime = time.Hour
	srv, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	for s.action(a.ID).Stage != "requested" {
		s.step(a.ID)
	}
	s.cloud.Vanish(string(srv.ID))
	if a = s.mustEnd(a.ID, fleet.ActionFailed); !strings.Contains(a.Reason, "disappeared") {
		t.Errorf("reason: %q", a.Reason)
	}
	if got := s.clock.Now().Sub(epoch); got > 10*time.Minute {
		t.Errorf("it took %s to notice", got)
	}
}

func repeat(f fleettest.Fault, n int) []fleettest.Fault {
	out := make([]fleettest.Fault, n)
	for i := range out {
		out[i] = f
	}
	return out
}
