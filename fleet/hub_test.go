package fleet_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"berth/fleet"
	"berth/fleet/fleettest"
)

// TestFollow sees every stage, whether it began before the first step, late, or
// after the end.
func TestFollow(t *testing.T) {
	t.Parallel()
	all := []string{"paid", "requested", "booting", "address", "ssh ready"}
	for _, stepsBefore := range []int{0, 2, 100} {
		s := newSim(t)
		_, a, err := s.create(s.order())
		if err != nil {
			t.Fatal(err)
		}
		s.fleet.Announce(a)
		if len(s.rung) != 1 || s.rung[0] != a.ID {
			t.Errorf("rang for %v", s.rung)
		}
		done := false
		for n := 0; n < stepsBefore && !done; n++ {
			done = s.step(a.ID)
		}
		var stages []string
		last, err := s.fleet.Follow(bg, a.ID, func(now fleet.Action) {
			stages = append(stages, now.Stage)
			for now.Status == fleet.ActionRunning && !done && s.action(a.ID).Stage == now.Stage {
				done = s.step(a.ID)
			}
		})
		if err != nil || last.Status != fleet.ActionDone {
			t.Fatalf("after %d steps: %s, %v", stepsBefore, last.Status, err)
		}
		if !slices.Equal(stages, all) {
			t.Errorf("after %d steps: %v", stepsBefore, stages)
		}
	}
}

// TestFollowAnotherProcess sees the end of an action that another process
// carries out, by reading the row.
func TestFollowAnotherProcess(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	_, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	follower := s.fleet
	s.restart()
	ended := make(chan fleet.Action)
	first := make(chan struct{}, 1)
	go func() {
		last, _ := follower.Follow(bg, a.ID, func(fleet.Action) {
			select {
			case first <- struct{}{}:
			default:
			}
		})
		ended <- last
	}()
	<-first
	s.mustEnd(a.ID, fleet.ActionDone)
	if last := <-ended; last.Status != fleet.ActionDone {
		t.Errorf("it ended %s", last.Status)
	}
}

func TestFollowIsBounded(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	_, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bg)
	last, err := s.fleet.Follow(ctx, a.ID, func(fleet.Action) { cancel() })
	if !errors.Is(err, context.Canceled) || last.Stage != "paid" {
		t.Errorf("at %q: %v", last.Stage, err)
	}
	if _, err := s.fleet.Follow(bg, "act_0123456789abcdef01234567", func(fleet.Action) {}); err == nil {
		t.Error("an unknown action has no error")
	}
}

// TestOnePollForAll lets many servers wait: the provider is asked once an
// interval.
func TestOnePollForAll(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.owner.ServerLimit = 100
	s.write(func(tx fleet.Tx) error { return tx.UpdatePrincipal(bg, s.owner) })
	s.cloud.BootTime = 10 * s.pace.Poll
	for range 20 {
		if _, _, err := s.create(s.order()); err != nil {
			t.Fatal(err)
		}
	}
	open, err := s.fleet.OpenActions(bg)
	if err != nil || len(open) != 20 {
		t.Fatalf("%d open actions, %v", len(open), err)
	}
	for range 10 {
		for _, id := range open {
			if _, _, err := s.fleet.Step(bg, id); err != nil {
				t.Fatal(err)
			}
		}
		s.clock.Advance(s.pace.Poll)
	}
	if n := s.cloud.Calls(fleettest.List); n > 10 {
		t.Errorf("20 waiting servers made %d list calls in 10 intervals", n)
	}
}
