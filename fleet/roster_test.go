package fleet_test

import (
	"testing"
	"time"

	"berth"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

// begin orders servers and takes their actions to where they wait for machines
// that take long to come.
func begin(t *testing.T, s *sim, servers int) (ids []berth.ID) {
	t.Helper()
	s.cloud.BootTime = 10 * time.Minute
	for range servers {
		_, a, err := s.create(s.order())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
		if _, _, err := s.fleet.Step(bg, a.ID); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// wait lets all actions look when they want to, for a time, and counts how
// often the list was read.
func wait(t *testing.T, s *sim, ids []berth.ID, d time.Duration) int {
	t.Helper()
	before := s.cloud.Calls(fleettest.List)
	due := map[berth.ID]time.Time{}
	for end := s.clock.Now().Add(d); s.clock.Now().Before(end); s.clock.Advance(100 * time.Millisecond) {
		for _, id := range ids {
			if s.clock.Now().Before(due[id]) {
				continue
			}
			again, _, err := s.fleet.Step(bg, id)
			if err != nil {
				t.Fatal(err)
			}
			due[id] = s.clock.Now().Add(again)
		}
	}
	return s.cloud.Calls(fleettest.List) - before
}

// TestRosterIsShared: all that wait share one list per interval, which grows
// with their age; something young makes it short for all.
func TestRosterIsShared(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ids := begin(t, s, 8)
	if n := wait(t, s, ids, time.Minute); n < 15 || n > 22 {
		t.Errorf("in the first minute the list was read %d times, want every 3 seconds or a little less", n)
	}
	wait(t, s, ids, 3*time.Minute)
	old := wait(t, s, ids, time.Minute)
	if old < 2 || old > 6 {
		t.Errorf("in the fifth minute the list was read %d times, want every 12 to 15 seconds", old)
	}
	young := wait(t, s, append(ids, begin(t, s, 1)...), time.Minute)
	if young < 15 || young > 22 {
		t.Errorf("with a young one the list was read %d times in a minute", young)
	}
	if n := s.cloud.Calls(fleettest.Get); n > 0 {
		t.Errorf("machines were asked for by themselves %d times", n)
	}
}

// TestRosterOfMany: a long list is read less often.
func TestRosterOfMany(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.pace.PollEach = 2 * time.Second // as if there were many more
	s.restart()
	ids := begin(t, s, 8)
	if n := wait(t, s, ids, time.Minute); n < 3 || n > 5 {
		t.Errorf("the list of 8 was read %d times in a minute, want every 16 seconds", n)
	}
}

// TestRosterSharesFailures: where the provider does not answer, a crowd that
// waits asks no more often than one would.
func TestRosterSharesFailures(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ids := begin(t, s, 8)
	down := make([]fleettest.Fault, 1000)
	for i := range down {
		down[i].Kind = provider.Unavailable
	}
	s.cloud.Fail(fleettest.List, down...)
	if n := wait(t, s, ids, time.Minute); n < 2 || n > 20 {
		t.Errorf("the list was asked for %d times in a minute", n)
	}
	s.cloud.Heal()
	s.clock.Advance(10 * time.Minute)
	for _, id := range ids {
		s.mustEnd(id, fleet.ActionDone)
	}
}

// TestFirstCreateNeedsNoLook: only where an earlier request may have had an
// effect, the provider has to look for the machine before it makes one.
func TestFirstCreateNeedsNoLook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault fleettest.Fault
		first []bool // of the requests that are sent
	}{
		"well":              {fleettest.Fault{}, []bool{true}},
		"certainly refused": {fleettest.Fault{Kind: provider.Unavailable}, []bool{true, true}},
		"in doubt":          {fleettest.Fault{Kind: provider.Ambiguous}, []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			s.cloud.Fail(fleettest.Create, c.fault)
			_, a, err := s.create(s.order())
			if err != nil {
				t.Fatal(err)
			}
			s.mustEnd(a.ID, fleet.ActionDone)
			asked := s.cloud.Asked()
			if len(asked) != len(c.first) {
				t.Fatalf("%d requests, want %d", len(asked), len(c.first))
			}
			for i, spec := range asked {
				if spec.First != c.first[i] {
					t.Errorf("request %d: First is %v", i, spec.First)
				}
			}
		})
	}
}
