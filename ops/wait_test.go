package ops_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"berth"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/provider"
)

// stages is a sink that keeps what it is told.
type stages struct {
	names    []string
	percents []int
}

func (s *stages) Progress(stage string, percent int, _ string) {
	s.names, s.percents = append(s.names, stage), append(s.percents, percent)
}

func (s *stages) Output(bool, []byte) {}

func TestWaitTellsEveryStage(t *testing.T) {
	w := opstest.New(t)
	w.Drive()
	p := w.Principal()
	res := w.Must(p.Creds, "create_server", smallForAnHour)
	var seen stages
	if err := w.System.Wait(t.Context(), res, opstest.Deadline, &seen); err != nil {
		t.Fatal(err)
	}
	if len(seen.names) < 5 {
		t.Errorf("stages = %v", seen.names)
	}
	for i := 1; i < len(seen.percents); i++ {
		if seen.percents[i] <= seen.percents[i-1] || seen.names[i] == seen.names[i-1] {
			t.Errorf("progress fell or stood: %v %v", seen.percents, seen.names)
		}
	}
	out := res.Out.(ops.CreateServerOut)
	if out.Status != fleet.Active || out.IP == nil || out.Action.Status != fleet.ActionDone || seen.percents[len(seen.percents)-1] != 100 {
		t.Errorf("after the end: %+v, %v", out, seen.percents)
	}
}

func TestWaitTellsOfFailure(t *testing.T) {
	w := opstest.New(t)
	w.Clock.Advance(123 * time.Nanosecond) // finer than what the store keeps
	p := w.Principal()
	w.Cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
	res := w.Must(p.Creds, "create_server", smallForAnHour)
	w.Settle()
	e := wantError(t, w.System.Wait(t.Context(), res, opstest.Deadline, nil), berth.Unavailable)
	if e.Hint == "" {
		t.Error("no hint")
	}
	// To look at an action that failed is no failure.
	look := w.Must(p.Creds, "get_action", opstest.Args{"action_id": string(res.Action)})
	if err := w.System.Wait(t.Context(), look, opstest.Deadline, nil); err != nil {
		t.Errorf("get_action: %v", err)
	}
	if out := look.Out.(ops.ActionView); out.Status != fleet.ActionFailed || out.Error == "" {
		t.Errorf("get_action = %+v", out)
	}
}

func TestWaitGivesUpQuietly(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	res := w.Must(p.Creds, "create_server", smallForAnHour)
	for name, d := range map[string]time.Duration{"not at all": 0, "too short": time.Millisecond} {
		var seen stages
		if err := w.System.Wait(t.Context(), res, d, &seen); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out := res.Out.(ops.CreateServerOut); out.Action.Status != fleet.ActionRunning || out.Status != fleet.Provisioning {
			t.Errorf("%s: %+v", name, out)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.System.Wait(ctx, res, opstest.Deadline, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone: %v", err)
	}
}

// TestGetActionWaits: with time to wait, get_action answers when the work ends.
func TestGetActionWaits(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	res := w.Must(p.Creds, "create_server", smallForAnHour)
	look := w.Must(p.Creds, "get_action", opstest.Args{"action_id": string(res.Action)})
	if look.Out.(ops.ActionView).Status != fleet.ActionRunning {
		t.Fatalf("get_action = %+v", look.Out)
	}
	done := make(chan error, 1)
	go func() { done <- w.System.Wait(context.Background(), look, opstest.Deadline, nil) }()
	w.Settle()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if out := look.Out.(ops.ActionView); out.Status != fleet.ActionDone || out.Percent != 100 || out.EndedAt == nil {
		t.Errorf("get_action = %+v", out)
	}
}

// TestReplayIsBroughtUpToDate: the stored answer says how things stood, and
// waiting how they stand.
func TestReplayIsBroughtUpToDate(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	if _, err := keyed(w, p.Creds, "k", "create_server", smallForAnHour); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	res, err := keyed(w, p.Creds, "k", "create_server", smallForAnHour)
	if err != nil || res.Out.(ops.CreateServerOut).Status != fleet.Provisioning {
		t.Fatalf("%+v, %v", res, err)
	}
	if err := w.System.Wait(t.Context(), res, opstest.Deadline, nil); err != nil {
		t.Fatal(err)
	}
	if out := res.Out.(ops.CreateServerOut); out.Status != fleet.Active {
		t.Errorf("after waiting: %+v", out)
	}
}
