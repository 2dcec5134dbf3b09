package digitalocean

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"berth/provider"
	"berth/provider/sandbox"
)

// wantKind fails unless an error has a kind.
func wantKind(t *testing.T, what string, err error, want provider.Kind) {
	t.Helper()
	if got := provider.KindOf(err); got != want {
		t.Fatalf("%s: %v of kind %q, want %q", what, err, got, want)
	}
}

// Whatever becomes of the answer to a create, one droplet is made, it is
// found, and one request is sent.
func TestCreateWithoutAnswer(t *testing.T) {
	for name, script := range map[string]func(*sandbox.Faults){
		"500 after the effect": func(f *sandbox.Faults) { f.Next(1, sandbox.Lose{Op: "droplets_create", Status: 500}) },
		"502 after the effect": func(f *sandbox.Faults) { f.Next(1, sandbox.Lose{Op: "droplets_create", Status: 502}) },
		"504 after the effect": func(f *sandbox.Faults) { f.Next(1, sandbox.Lose{Op: "droplets_create", Status: 504}) },
		"dropped connection":   func(f *sandbox.Faults) { f.Next(1, sandbox.Lose{Op: "droplets_create"}) },
		"no answer":            func(f *sandbox.Faults) { f.Next(1, sandbox.Hang{Op: "droplets_create"}) },
		"and the list lags": func(f *sandbox.Faults) {
			f.Next(1, sandbox.Lose{Op: "droplets_create", Status: 500})
			f.Next(1, sandbox.ListLag{Lists: 3})
		},
		"and the list fails": func(f *sandbox.Faults) {
			f.Next(1, sandbox.Lose{Op: "droplets_create", Status: 500})
			f.Next(4, sandbox.Lose{Op: "droplets_list", Status: 500})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				// The first list, before the create, is to work.
				if _, err := r.Machines(t.Context(), "fleet"); err != nil {
					t.Fatal(err)
				}
				a, leave, err := r.creates.enter(t.Context(), "srv_1")
				if err != nil {
					t.Fatal(err)
				}
				script(r.faults)
				m, err := r.create(t.Context(), spec("srv_1"), a)
				leave()
				if err != nil || m.Tag != "srv_1" {
					t.Fatalf("create = %+v, %v", m, err)
				}
				if n := r.wire.count("POST", "/v2/droplets"); n != 1 || r.cloud.Live() != 1 {
					t.Errorf("%d requests made %d droplets", n, r.cloud.Live())
				}
			})
		})
	}
}

// While the lists lag, a create that got no answer is not sent again; when
// they have had their time and show nothing, it is.
func TestCreateInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.faults.Next(1, sandbox.Lose{Op: "droplets_create", Status: 500})
		r.faults.Next(1, sandbox.ListLag{Lists: 12})
		began := time.Now()
		for range 2 {
			_, err := r.Create(t.Context(), spec("srv_1"))
			wantKind(t, "Create", err, provider.Ambiguous)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("looking took %v", took)
		}
		m, err := r.Create(t.Context(), spec("srv_1"))
		if err != nil || m.Tag != "srv_1" {
			t.Fatalf("Create = %+v, %v", m, err)
		}
		if n := r.wire.count("POST", "/v2/droplets"); n != 1 || r.cloud.Live() != 1 {
			t.Errorf("%d requests made %d droplets", n, r.cloud.Live())
		}
	})
}

func TestCreateThatHadNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.faults.Next(1, sandbox.ServerError("droplets_create"))
		_, err := r.Create(t.Context(), spec("srv_1"))
		wantKind(t, "Create", err, provider.Ambiguous)
		_, err = r.Create(t.Context(), spec("srv_1"))
		wantKind(t, "Create soon after", err, provider.Ambiguous)

		time.Sleep(settleTime)
		if _, err := r.Create(t.Context(), spec("srv_1")); err != nil {
			t.Fatal(err)
		}
		if n := r.wire.count("POST", "/v2/droplets"); n != 2 || r.cloud.Live() != 1 {
			t.Errorf("%d requests made %d droplets", n, r.cloud.Live())
		}
	})
}

// A caller who gives up in the middle of a create is told that it is in doubt.
func TestCreateAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.faults.Next(1, sandbox.Hang{Op: "droplets_create"})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := r.Create(ctx, spec("srv_1"))
		wantKind(t, "Create", err, provider.Ambiguous)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the cause is lost: %v", err)
		}
		if _, err = r.Create(t.Context(), spec("srv_1")); err != nil || r.cloud.Live() != 1 {
			t.Errorf("Create again: %v, %d droplets", err, r.cloud.Live())
		}
	})
}

// A droplet that was made and is in no list and under no id yet is not made
// again, one that was deleted on purpose is.
func TestCreateAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.faults.Next(1, sandbox.ListLag{Lists: 4})
		r.faults.Next(1, sandbox.EarlyNotFound{Gets: 1})
		first, err := r.Create(t.Context(), spec("srv_1"))
		if err != nil {
			t.Fatal(err)
		}
		second, err := r.Create(t.Context(), spec("srv_1"))
		if err != nil || second.ID != first.ID || r.cloud.Live() != 1 {
			t.Fatalf("Create again = %+v, %v, with %d droplets; want %s", second, err, r.cloud.Live(), first.ID)
		}

		synctest.Wait()
		if err := r.Delete(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		third, err := r.Create(t.Context(), spec("srv_1"))
		if err != nil || third.ID == first.ID {
			t.Errorf("Create after Delete = %+v, %v", third, err)
		}
	})
}

// What another process has made is found by its tag.
func TestCreateAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		first, err := r.Create(t.Context(), spec("srv_1"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := New(Options{Token: r.cloud.Token(), HTTP: &http.Client{Transport: r.wire}})
		if err != nil {
			t.Fatal(err)
		}
		second, err := again.Create(t.Context(), spec("srv_1"))
		if err != nil || second.ID != first.ID || r.cloud.Live() != 1 {
			t.Errorf("Create = %+v, %v, with %d droplets", second, err, r.cloud.Live())
		}
	})
}

// While a droplet may exist, no failure to look for it says that it does not.
func TestCreateInDoubtWhileListsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if _, err := r.Create(t.Context(), spec("srv_1")); err != nil {
			t.Fatal(err)
		}
		all := 5 * tries // the first look and the four after it
		r.faults.Next(all, sandbox.ServerError("droplets_list"))
		r.faults.Next(tries, sandbox.ServerError("droplets_get"))
		_, err := r.Create(t.Context(), spec("srv_1"))
		wantKind(t, "Create", err, provider.Ambiguous)
		if n := r.faults.Left(); n != 0 {
			t.Errorf("%d faults did not happen", n)
		}
	})
}

// A droplet that disappears after it was accepted is in doubt at first, and
// then made again.
func TestCreateOfWhatVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.faults.Next(1, sandbox.Vanish{})
		if _, err := r.Create(t.Context(), spec("srv_1")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err := r.Create(t.Context(), spec("srv_1"))
		wantKind(t, "Create soon after", err, provider.Ambiguous)
		time.Sleep(settleTime)
		if _, err := r.Create(t.Context(), spec("srv_1")); err != nil || r.cloud.Live() != 1 {
			t.Errorf("Create: %v, %d droplets", err, r.cloud.Live())
		}
	})
}

func TestCreateRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		fault sandbox.Refuse
		want  provider.Kind
	}{
		"size sold out":     {sandbox.OutOfCapacity(), provider.OutOfCapacity},
		"droplet limit":     {sandbox.OverLimit(), provider.Limit},
		"too many requests": {withOp(sandbox.TooManyRequests(40*time.Second), "droplets_create"), provider.RateLimited}, // later than the caller can wait
		"locked account":    {sandbox.Refuse{Op: "droplets_create", Status: 403, Message: "Your account is locked"}, provider.Auth},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.faults.Next(1, tt.fault)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				began := time.Now()
				_, err := r.Create(ctx, spec("srv_1"))
				wantKind(t, "Create", err, tt.want)
				if took := time.Since(began); took > 0 {
					t.Errorf("it took %v to be refused", took)
				}
				e, _ := errors.AsType[*provider.Error](err)
				if tt.want == provider.OutOfCapacity && (len(e.Available) == 0 || slices.Contains(e.Available, "nyc3")) {
					t.Errorf("available elsewhere: %q", e.Available)
				}
				if tt.want == provider.RateLimited && e.RetryAfter != 40*time.Second {
					t.Errorf("retry after %v", e.RetryAfter)
				}
				if n := r.wire.count("POST", "/v2/droplets"); n != 1 || r.cloud.Live() != 0 {
					t.Errorf("%d requests made %d droplets", n, r.cloud.Live())
				}
				// What was refused outright is not in doubt: the next try is sent.
				if _, err := r.Create(t.Context(), spec("srv_1")); err != nil {
					t.Errorf("Create again: %v", err)
				}
			})
		})
	}
}

func withOp(r sandbox.Refuse, op string) sandbox.Refuse {
	r.Op = op
	return r
}

// Reading and deleting are repeated, with pauses and within bounds.
func TestRepetition(t *testing.T) {
	for name, tt := range map[string]struct {
		script func(*sandbox.Faults)
		want   provider.Kind
		most   time.Duration
	}{
		"answers on the last try": {func(f *sandbox.Faults) { f.Next(tries-1, sandbox.ServerError("droplets_list")) }, "", 5 * time.Second},
		"never answers":           {func(f *sandbox.Faults) { f.Next(tries, sandbox.ServerError("droplets_list")) }, provider.Unavailable, 5 * time.Second},
		"drops connections":       {func(f *sandbox.Faults) { f.Next(2, sandbox.Lose{Op: "droplets_list"}) }, "", 5 * time.Second},
		"a short limit":           {func(f *sandbox.Faults) { f.Next(1, sandbox.TooManyRequests(3*time.Second)) }, "", 4 * time.Second},
		"a long limit":            {func(f *sandbox.Faults) { f.Next(1, sandbox.TooManyRequests(time.Minute)) }, "", time.Minute},
		"limits without end":      {func(f *sandbox.Faults) { f.Next(tries, sandbox.TooManyRequests(time.Minute)) }, provider.RateLimited, 3 * time.Minute},
		"hangs once":              {func(f *sandbox.Faults) { f.Next(1, sandbox.Hang{Op: "droplets_list"}) }, "", requestTime + time.Second},
		"unauthorised":            {func(f *sandbox.Faults) { f.Next(1, sandbox.Refuse{Status: 401}) }, provider.Auth, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				tt.script(r.faults)
				began := time.Now()
				_, err := r.Machines(t.Context(), "fleet")
				wantKind(t, "Machines", err, tt.want)
				if took := time.Since(began); took > tt.most {
					t.Errorf("it took %v, at most %v were expected", took, tt.most)
				}
				if n := r.faults.Left(); n > 0 {
					t.Errorf("%d faults did not happen", n)
				}
			})
		})
	}
}

func TestDeleteIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		m := r.on(t, "srv_1")
		r.faults.Next(2, sandbox.Lose{Op: "droplets_destroy", Status: 500})
		if err := r.Delete(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.cloud.Live() != 0 {
			t.Error("the droplet is still there")
		}

		m = r.on(t, "srv_2")
		r.faults.Next(tries, sandbox.Lose{Op: "droplets_destroy"})
		err := r.Delete(t.Context(), m.ID)
		if kind := provider.KindOf(err); err != nil && kind != provider.Ambiguous {
			t.Errorf("Delete without any answer: %v of kind %q", err, kind)
		}
	})
}

// Actions are sent once, and their errors tell what to do.
func TestActionErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		fault sandbox.Fault
		want  provider.Kind
	}{
		"other work under way": {sandbox.PendingEvent(), provider.Conflict},
		"500 after the effect": {sandbox.Lose{Op: "dropletActions_post", Status: 500}, provider.Ambiguous},
		"dropped connection":   {sandbox.Lose{Op: "dropletActions_post"}, provider.Ambiguous},
		"try again":            {sandbox.Refuse{Op: "dropletActions_post", Status: 422, Message: "Something went wrong, please try again"}, provider.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				m := r.on(t, "srv_1")
				r.faults.Next(1, tt.fault)
				_, err := r.SetPower(t.Context(), m.ID, false)
				wantKind(t, "SetPower", err, tt.want)
				if n := r.wire.count("POST", "/v2/droplets/"+m.ID+"/actions"); n != 1 {
					t.Errorf("%d requests were sent", n)
				}
				synctest.Wait()
				ref, err := r.SetPower(t.Context(), m.ID, false)
				if err != nil || (ref == "") != (tt.want == provider.Ambiguous) {
					t.Errorf("SetPower again = %q, %v", ref, err)
				}
			})
		})
	}
}

// A machine that is about to leave a state does not count as being in it.
func TestPowerDuringOtherWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.cloud.Latency = func(string) time.Duration { return time.Minute } })
		m := r.on(t, "srv_1")
		if _, err := r.SetPower(t.Context(), m.ID, false); err != nil {
			t.Fatal(err)
		}
		_, err := r.SetPower(t.Context(), m.ID, true)
		wantKind(t, "SetPower on while shutting down", err, provider.Conflict)
	})
}

func TestActionThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		m := r.on(t, "srv_1")
		r.faults.Next(1, sandbox.FailAction{Type: "snapshot"})
		ref, err := r.TakeSnapshot(t.Context(), m.ID, "disk")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if progress, err := r.Check(t.Context(), ref); err != nil || progress != provider.Failed {
			t.Errorf("Check = %q, %v; want failed", progress, err)
		}
	})
}

// A snapshot that is asked for twice is taken once.
func TestSnapshotOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.cloud.Latency = func(string) time.Duration { return time.Minute } })
		m := r.on(t, "srv_1")
		r.faults.Next(1, sandbox.Lose{Op: "dropletActions_post", Status: 500})
		_, err := r.TakeSnapshot(t.Context(), m.ID, "disk")
		wantKind(t, "TakeSnapshot without an answer", err, provider.Ambiguous)
		_, err = r.TakeSnapshot(t.Context(), m.ID, "disk")
		wantKind(t, "TakeSnapshot while one is under way", err, provider.Conflict)
		time.Sleep(2 * time.Minute)
		ref, err := r.TakeSnapshot(t.Context(), m.ID, "disk")
		if err != nil || ref != "" {
			t.Errorf("TakeSnapshot of what is done = %q, %v", ref, err)
		}
		if all, err := r.Snapshots(t.Context(), "disk"); err != nil || len(all) != 1 {
			t.Errorf("Snapshots = %v, %v", all, err)
		}
	})
}

// A system that does not obey has its power cut after a minute.
func TestShutdownIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		m := r.on(t, "srv_1")
		r.faults.Next(1, sandbox.FailAction{Type: "shutdown"})
		ref, err := r.SetPower(t.Context(), m.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		actions := "/v2/droplets/" + m.ID + "/actions"
		began, progress := time.Now(), provider.Running
		for progress == provider.Running {
			time.Sleep(time.Second)
			if progress, err = r.Check(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			if n := r.wire.count("POST", actions); n > 1 && time.Since(began) < shutdownTime-time.Second {
				t.Fatalf("the power was cut after %v", time.Since(began))
			}
			if time.Since(began) > 2*shutdownTime {
				t.Fatal("the machine is still on")
			}
		}
		if m, err = r.Machine(t.Context(), m.ID); err != nil || m.State != provider.Off || progress != provider.Done {
			t.Errorf("Machine = %+v, %v after %q", m, err, progress)
		}
		kinds := r.wire.bodies("POST", actions)
		if len(kinds) != 2 || kinds[0]["type"] != "shutdown" || kinds[1]["type"] != "power_off" {
			t.Errorf("actions = %v", kinds)
		}
	})
}

// A droplet that is active and has no address is not on yet.
func TestActiveWithoutAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.faults.Next(1, sandbox.NoAddress{Reads: 2})
		made, err := r.Create(t.Context(), spec("srv_1"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i, want := range []provider.State{provider.Creating, provider.Creating, provider.On} {
			m, err := r.Machine(t.Context(), made.ID)
			if err != nil || m.State != want || m.Addr.IsValid() != (want == provider.On) {
				t.Errorf("look %d: %+v, %v; want %s", i, m, err, want)
			}
		}
	})
}

// The catalog outlives a cloud that does not answer, for an hour.
func TestCatalogIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 3 {
			if _, err := r.Catalog(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.wire.count("GET", "/v2/sizes"); n != 1 {
			t.Errorf("the sizes were read %d times", n)
		}
		time.Sleep(catalogAge)
		r.faults.Next(tries, sandbox.Refuse{Op: "regions_list", Status: http.StatusServiceUnavailable})
		if c, err := r.Catalog(t.Context()); err != nil || len(c.Sizes) == 0 {
			t.Errorf("Catalog while the cloud does not answer: %d sizes, %v", len(c.Sizes), err)
		}
		time.Sleep(staleAge)
		r.faults.Next(tries, sandbox.Refuse{Op: "regions_list", Status: http.StatusServiceUnavailable})
		_, err := r.Catalog(t.Context())
		wantKind(t, "Catalog an hour later", err, provider.Unavailable)
		if _, err := r.Catalog(t.Context()); err != nil {
			t.Errorf("Catalog when the cloud answers again: %v", err)
		}
	})
}
