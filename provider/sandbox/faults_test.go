package sandbox

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/digitalocean/godo"
)

// faulty is a rig with a script of what goes wrong.
func faulty(t *testing.T) (*rig, *Faults) {
	t.Helper()
	f := &Faults{}
	r := newRig(t, func(o *Options) { o.Faults = f })
	t.Cleanup(func() {
		if n := f.Left(); n != 0 {
			t.Errorf("%d scripted faults did not happen", n)
		}
	})
	return r, f
}

func TestRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		fault   Refuse
		status  int
		message string
	}{
		"capacity":     {OutOfCapacity(), 422, msgSizeInRegion},
		"limit":        {OverLimit(), 422, msgDropletLimit},
		"burst":        {TooManyRequests(1500 * time.Millisecond), 429, "Too many requests"},
		"server error": {ServerError("droplets_create"), 503, "Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := faulty(t)
			f.Next(2, c.fault)
			for range 2 {
				_, res, err := r.client.Droplets.Create(t.Context(), request("x"))
				refused(t, err, c.status, c.message)
				if after := res.Header.Get("retry-after"); (c.status == 429) != (after == "2") {
					t.Errorf("retry-after %q", after)
				}
			}
			if r.Live() != 0 {
				t.Errorf("%d droplets came of refused creates", r.Live())
			}
			r.create("x") // the third goes well
		})
	}
}

func TestRefuseActionsAndDeletes(t *testing.T) {
	r, f := faulty(t)
	d := r.create("x")
	f.Next(1, PendingEvent())
	f.Next(1, ServerError("droplets_destroy"))
	_, err := r.client.Droplets.Delete(t.Context(), d.ID)
	refused(t, err, http.StatusServiceUnavailable, "Server Error")
	_, _, err = r.client.DropletActions.PowerOff(t.Context(), d.ID)
	refused(t, err, http.StatusUnprocessableEntity, msgPending)
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Errorf("the second delete: %v", err)
	}
}

// TestLose holds that a create takes place although its answer is lost, in
// each of the ways in which it can be.
func TestLose(t *testing.T) {
	for name, c := range map[string]struct {
		fault Fault
		check func(error) bool
	}{
		"server error": {Lose{Op: "droplets_create", Status: 502}, func(err error) bool {
			var e *godo.ErrorResponse
			return errors.As(err, &e) && e.Response.StatusCode == 502
		}},
		"dropped connection": {Lose{Op: "droplets_create"}, func(err error) bool {
			var e *godo.ErrorResponse
			return err != nil && !errors.As(err, &e)
		}},
		"gave up": {Hang{Op: "droplets_create"}, func(err error) bool { return errors.Is(err, context.Canceled) }},
		"slow":    {Hang{Op: "droplets_create", For: time.Millisecond}, func(err error) bool { return err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := faulty(t)
			f.Next(1, c.fault)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "gave up" {
				go func() { // as soon as the answer hangs
					for f.Left() > 0 && ctx.Err() == nil {
						<-time.After(time.Millisecond)
					}
					cancel()
				}()
			}
			_, _, err := r.client.Droplets.Create(ctx, request("x"))
			if !c.check(err) {
				t.Errorf("create: %v", err)
			}
			r.settle()
			all, _, err := r.client.Droplets.ListByName(t.Context(), "x", nil)
			if err != nil || len(all) != 1 || all[0].Status != statusActive {
				t.Errorf("the droplet that was created: %v, %v", all, err)
			}
		})
	}
}

func TestListLag(t *testing.T) {
	r, f := faulty(t)
	f.Next(1, ListLag{Lists: 2})
	d := r.create("x") // visible by its id at once
	for n, want := range []int{0, 0, 1} {
		all, _, err := r.client.Droplets.List(t.Context(), nil)
		if err != nil || len(all) != want {
			t.Errorf("list %d has %d droplets, want %d; %v", n, len(all), want, err)
		}
	}
	r.create("y")
	if all, _, err := r.client.Droplets.List(t.Context(), nil); err != nil || len(all) != 2 || all[0].ID != d.ID {
		t.Errorf("list %v, %v", all, err)
	}
}

func TestEarlyNotFound(t *testing.T) {
	r, f := faulty(t)
	f.Next(1, EarlyNotFound{Gets: 1})
	d, _, err := r.client.Droplets.Create(t.Context(), request("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	_, _, err = r.client.Droplets.Get(t.Context(), d.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	r.get(d.ID)
}

func TestNoAddress(t *testing.T) {
	r, f := faulty(t)
	f.Next(1, NoAddress{Reads: 1})
	d := r.create("x")
	if d.Status != statusActive || len(d.Networks.V4) != 0 {
		t.Errorf("the droplet is %s with addresses %v", d.Status, d.Networks.V4)
	}
	if d = r.get(d.ID); len(d.Networks.V4) != 2 {
		t.Errorf("afterwards its addresses are %v", d.Networks.V4)
	}
}

func TestVanish(t *testing.T) {
	r, f := faulty(t)
	f.Next(1, Vanish{})
	d, _, err := r.client.Droplets.Create(t.Context(), request("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	_, _, err = r.client.Droplets.Get(t.Context(), d.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	if r.Live() != 0 || r.machines.machine(d.ID).on {
		t.Error("something is left of the droplet")
	}
}

func TestFailAction(t *testing.T) {
	r, f := faulty(t)
	d := r.create("x")
	f.Next(1, FailAction{Type: "power_off"})
	a, _, err := r.client.DropletActions.PowerOff(t.Context(), d.ID)
	r.did(actionErrored, a, err)
	if got := r.get(d.ID); got.Status != statusActive || got.Locked {
		t.Errorf("the droplet is %s, locked %v", got.Status, got.Locked)
	}
	r.completed(r.client.DropletActions.PowerOff(t.Context(), d.ID))
}

func TestSnapshotLag(t *testing.T) {
	r, f := faulty(t)
	f.Next(1, SnapshotLag{Reads: 2})
	d := r.create("x")
	r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "late"))
	for n, want := range []int{0, 0, 1} {
		all, _, err := r.client.Snapshots.ListDroplet(t.Context(), nil)
		if err != nil || len(all) != want {
			t.Errorf("list %d has %d snapshots, want %d; %v", n, len(all), want, err)
		}
	}
}

func TestNoFaults(t *testing.T) {
	var f *Faults
	if f.hidesInList(1) || f.failsAction("create") || f.vanishes() || f.before("x") != nil {
		t.Error("a nil script makes things go wrong")
	}
}
