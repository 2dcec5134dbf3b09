package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digitalocean/godo"
)

func TestReopen(t *testing.T) {
	dir, machines := t.TempDir(), newFake()
	var on, off *godo.Droplet
	var token string
	t.Run("before", func(t *testing.T) {
		r := openRig(t, dir, machines)
		token = r.Token()
		on = r.create("on", func(req *godo.DropletCreateRequest) { req.Tags, req.UserData = []string{"t"}, "#!/bin/sh\n" })
		off = r.create("off")
		machines.put(on.ID, "kept")
		r.completed(r.client.DropletActions.Snapshot(t.Context(), on.ID, "snap"))
		r.completed(r.client.DropletActions.PowerOff(t.Context(), off.ID))
	})
	machines.crash()
	r := openRig(t, dir, machines)
	if r.Token() != token {
		t.Error("the token changed")
	}
	gotOn, gotOff := r.get(on.ID), r.get(off.ID)
	if gotOn.Status != statusActive || gotOn.Locked || gotOff.Status != statusOff {
		t.Errorf("the droplets came back %s and %s", gotOn.Status, gotOff.Status)
	}
	if m := machines.machine(on.ID); !m.on || m.disk != "kept" || m.firstBoots != 1 || string(m.spec.UserData) != "#!/bin/sh\n" {
		t.Errorf("the machine came back as %+v", m)
	}
	if machines.machine(off.ID).on {
		t.Error("a machine that was off was started")
	}
	before, _ := on.PublicIPv4()
	if after, err := gotOn.PublicIPv4(); err != nil || after != before {
		t.Errorf("the address changed from %s to %s, %v", before, after, err)
	}
	r.completed(r.client.DropletActions.Restore(t.Context(), off.ID, gotOn.SnapshotIDs[0]))
	if m := machines.machine(off.ID); m.disk != "kept" {
		t.Errorf("restored from a snapshot of before: %+v", m)
	}
	if next := r.create("next"); next.ID <= off.ID {
		t.Errorf("id %d is given out again", next.ID)
	}
}

// TestCrash ends the process, as it were, while work of each kind is under way:
// another cloud opens what is on disk at that moment, and has to finish it.
func TestCrash(t *testing.T) {
	type id = int
	works := map[string]struct {
		begin func(*testing.T, *rig, id) (*godo.Action, *godo.Response, error)
		check func(*testing.T, *rig, id)
	}{
		"power off": {
			func(t *testing.T, r *rig, d id) (*godo.Action, *godo.Response, error) {
				return r.client.DropletActions.PowerOff(t.Context(), d)
			},
			func(t *testing.T, r *rig, d id) { expect(t, r, d, statusOff, "data", 1) },
		},
		"reboot": {
			func(t *testing.T, r *rig, d id) (*godo.Action, *godo.Response, error) {
				return r.client.DropletActions.Reboot(t.Context(), d)
			},
			func(t *testing.T, r *rig, d id) { expect(t, r, d, statusActive, "data", 1) },
		},
		"rebuild": {
			func(t *testing.T, r *rig, d id) (*godo.Action, *godo.Response, error) {
				return r.client.DropletActions.RebuildByImageSlug(t.Context(), d, "debian-12-x64")
			},
			func(t *testing.T, r *rig, d id) { expect(t, r, d, statusActive, "", 2) },
		},
		"snapshot": {
			func(t *testing.T, r *rig, d id) (*godo.Action, *godo.Response, error) {
				return r.client.DropletActions.Snapshot(t.Context(), d, "snap")
			},
			func(t *testing.T, r *rig, d id) {
				snaps, _, err := r.client.Snapshots.ListDroplet(t.Context(), nil)
				if err != nil || len(snaps) != 1 || snaps[0].Name != "snap" {
					t.Errorf("snapshots %v, %v", snaps, err)
				}
			},
		},
	}
	for name, w := range works {
		t.Run(name, func(t *testing.T) {
			first := newRig(t)
			d := first.create("x")
			first.machines.put(d.ID, "data")
			release := first.machines.hold()
			defer release()
			a, _, err := w.begin(t, first, d.ID)
			if err != nil {
				t.Fatal(err)
			}
			second := afterCrash(t, first)
			if got := second.did(actionCompleted, a, nil); got.ResourceID != d.ID {
				t.Errorf("action %+v", got)
			}
			if second.get(d.ID).Locked {
				t.Error("the droplet is locked for ever")
			}
			w.check(t, second, d.ID)
		})
	}
}

func TestCrashDuringCreateAndDelete(t *testing.T) {
	first := newRig(t)
	doomed := first.create("doomed")
	release := first.machines.hold()
	defer release()
	d, _, err := first.client.Droplets.Create(t.Context(), request("x", func(req *godo.DropletCreateRequest) {
		req.UserData, req.Tags = "#!/bin/sh\n", []string{"srv_1"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.client.Droplets.Delete(t.Context(), doomed.ID); err != nil {
		t.Fatal(err)
	}
	second := afterCrash(t, first)
	second.settle()
	all, _, err := second.client.Droplets.ListByTag(t.Context(), "srv_1", nil)
	if err != nil || len(all) != 1 || all[0].ID != d.ID || all[0].Status != statusActive {
		t.Errorf("after the crash: %v, %v", all, err)
	}
	if m := second.machines.machine(d.ID); !m.on || m.firstBoots != 1 {
		t.Errorf("the machine is %+v", m)
	}
	if second.Live() != 1 || second.machines.machine(doomed.ID).on {
		t.Errorf("%d droplets live; one was being deleted", second.Live())
	}
}

// afterCrash opens what a cloud has on disk at this moment, and the disks of
// its machines.
func afterCrash(t *testing.T, r *rig) *rig {
	t.Helper()
	dir, machines := t.TempDir(), newFake()
	if err := os.CopyFS(dir, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	r.machines.mu.Lock()
	for id, m := range r.machines.all {
		disk := *m
		disk.on = false
		machines.all[id] = &disk
	}
	r.machines.mu.Unlock()
	return openRig(t, dir, machines)
}

// expect demands a droplet's status, disk and count of first boots.
func expect(t *testing.T, r *rig, id int, status, disk string, firstBoots int) {
	t.Helper()
	m := r.machines.machine(id)
	if got := r.get(id).Status; got != status || m.on != (status == statusActive) || m.disk != disk || m.firstBoots != firstBoots {
		t.Errorf("the droplet is %s, its machine %+v; want %s, disk %q, %d first boots", got, m, status, disk, firstBoots)
	}
}

// TestReopenResources holds that what has no machine survives a restart too, and
// that an errand that a crash interrupted is finished.
func TestReopenResources(t *testing.T) {
	first := newRig(t, func(o *Options) {
		o.Latency = func(kind string) time.Duration {
			return map[string]time.Duration{typeAttach: time.Hour}[kind] // Close ends the wait
		}
	})
	d := first.create("x", func(q *godo.DropletCreateRequest) { q.Tags = []string{"t"} })
	v := first.volume("data")
	ctx := t.Context()
	fw, _, err := first.client.Firewalls.Create(ctx, &godo.FirewallRequest{Name: "fw", InboundRules: web("22"), Tags: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := first.client.Projects.Create(ctx, &godo.CreateProjectRequest{Name: "p", Purpose: "q"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := first.client.Projects.AssignResources(ctx, p.ID, d.URN()); err != nil {
		t.Fatal(err)
	}
	attach, _, err := first.client.StorageActions.Attach(ctx, v.ID, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	ip, _, err := first.client.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{Region: "nyc3"})
	if err != nil {
		t.Fatal(err)
	}
	if !first.get(d.ID).Locked {
		t.Error("a droplet that gets a volume is not locked")
	}
	second := afterCrash(t, first)
	second.did(actionCompleted, attach, nil)
	if got := second.get(d.ID); got.Locked || got.VPCUUID != d.VPCUUID || len(got.VolumeIDs) != 1 || got.VolumeIDs[0] != v.ID {
		t.Errorf("the droplet came back as %+v", got)
	}
	if got, _, err := second.client.Firewalls.Get(ctx, fw.ID); err != nil || got.InboundRules[0].Sources.Addresses[0] != "0.0.0.0/0" {
		t.Errorf("the firewall came back as %+v, %v", got, err)
	}
	if got := second.resourcesOf(p.ID); len(got) != 1 || got[0] != d.URN() {
		t.Errorf("the project came back with %v", got)
	}
	if got, _, err := second.client.ReservedIPs.Get(ctx, ip.IP); err != nil || got.IP != ip.IP {
		t.Errorf("the reserved IP came back as %v, %v", got, err)
	}
	vpcs, _, err := second.client.VPCs.List(ctx, &godo.ListOptions{PerPage: 200})
	if err != nil || len(vpcs) != len(openRegions()) {
		t.Errorf("%d VPCs came back, %v", len(vpcs), err)
	}
}

// TestStateOfBefore holds that a state that knows no VPCs and projects gets them.
func TestStateOfBefore(t *testing.T) {
	dir := t.TempDir()
	old := `{"version":1,"account":"a","last_id":100000009,"droplets":{"100000002":{"id":100000002,"name":"x","hostname":"x",
		"region":"nyc3","size":"s-1vcpu-1gb","vcpus":1,"memory":1024,"disk":25,"image":{"id":1,"distribution":"Debian","regions":[]},"status":"off",
		"addr":"127.77.9.9","features":[],"created":"2026-01-02T03:04:05Z","instance":"1"}},"actions":{},"images":{},"keys":{},"tags":{}}`
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	r := openRig(t, dir, newFake())
	d := r.get(100000002)
	if private, err := d.PrivateIPv4(); err != nil || private != "10.104.0.2" || d.VPCUUID == "" {
		t.Errorf("the droplet has private address %q in VPC %q, %v", private, d.VPCUUID, err)
	}
	if _, _, err := r.client.Projects.GetDefault(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStraysAreSwept(t *testing.T) {
	dir, machines := t.TempDir(), newFake()
	stray := filepath.Join(dir, "images", "7.snapshot")
	var kept string
	t.Run("before", func(t *testing.T) {
		r := openRig(t, dir, machines)
		d := r.create("x")
		r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "keep"))
		kept = r.imageFile(r.get(d.ID).SnapshotIDs[0])
		if err := os.WriteFile(stray, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	machines.crash()
	openRig(t, dir, machines)
	if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stray file: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the snapshot's file: %v", err)
	}
}

func TestBootThatFails(t *testing.T) {
	dir, machines := t.TempDir(), newFake()
	var d *godo.Droplet
	t.Run("before", func(t *testing.T) { d = openRig(t, dir, machines).create("x") })
	machines.crash()
	machines.broken = errors.New("no processes left")
	r := openRig(t, dir, machines)
	if got := r.get(d.ID); got.Status != statusOff || got.Locked {
		t.Errorf("a droplet that does not boot is %s, locked %v", got.Status, got.Locked)
	}
}

func TestDamagedState(t *testing.T) {
	for content, want := range map[string]string{`{"version":1,`: "damaged", `{"version":99}`: "version 99"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir, Machines: newFake()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("state %s: %v, want an error about %q", content, err, want)
		}
	}
}

// TestStateThatCannotBeSaved holds that a change is not confirmed that is not
// on disk, and that the cloud goes on when the disk does.
func TestStateThatCannotBeSaved(t *testing.T) {
	r := newRig(t)
	good := r.file.path
	r.file.path = filepath.Join(r.dir, "no", "such", "folder", "state.json")
	_, _, err := r.client.Tags.Create(t.Context(), &godo.TagCreateRequest{Name: "lost"})
	refused(t, err, 500, "Server Error")
	r.file.path = good
	if _, _, err := r.client.Tags.Create(t.Context(), &godo.TagCreateRequest{Name: "kept"}); err != nil {
		t.Error(err)
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Open(Options{
			Dir: t.TempDir(), Machines: newFake(),
			Latency: func(kind string) time.Duration { return map[string]time.Duration{"create": time.Minute}[kind] },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		d := &dropletRow{Region: "nyc3", Size: "s-1vcpu-1gb", Image: c.catalog.distributions[0], Status: statusNew, VPC: c.state.defaultVPC("nyc3").ID}
		err = c.begin(func(s *state) ([]*actionRow, error) { return c.create(s, *d, []string{"x"}) })
		if err != nil {
			t.Fatal(err)
		}
		c.working.Wait()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("creating took %v, want a minute", took)
		}
	})
}
