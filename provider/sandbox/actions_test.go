package sandbox

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/digitalocean/godo"
)

func TestPower(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	actions := r.client.DropletActions
	for _, step := range []struct {
		do   func() (*godo.Action, *godo.Response, error)
		want string
	}{
		{func() (*godo.Action, *godo.Response, error) { return actions.PowerOn(t.Context(), d.ID) }, statusActive},
		{func() (*godo.Action, *godo.Response, error) { return actions.Reboot(t.Context(), d.ID) }, statusActive},
		{func() (*godo.Action, *godo.Response, error) { return actions.PowerCycle(t.Context(), d.ID) }, statusActive},
		{func() (*godo.Action, *godo.Response, error) { return actions.Shutdown(t.Context(), d.ID) }, statusOff},
		{func() (*godo.Action, *godo.Response, error) { return actions.PowerOff(t.Context(), d.ID) }, statusOff},
		{func() (*godo.Action, *godo.Response, error) { return actions.PowerOn(t.Context(), d.ID) }, statusActive},
		{func() (*godo.Action, *godo.Response, error) { return actions.PowerOff(t.Context(), d.ID) }, statusOff},
	} {
		a := r.completed(step.do())
		if got := r.get(d.ID); got.Status != step.want || got.Locked || r.machines.machine(d.ID).on != (step.want == statusActive) {
			t.Errorf("after %s the droplet is %s, locked %v, and its machine on: %v", a.Type, got.Status, got.Locked, r.machines.machine(d.ID).on)
		}
	}
	for _, do := range []func() (*godo.Action, *godo.Response, error){
		func() (*godo.Action, *godo.Response, error) { return actions.Reboot(t.Context(), d.ID) },
		func() (*godo.Action, *godo.Response, error) { return actions.PowerCycle(t.Context(), d.ID) },
	} {
		_, _, err := do()
		refused(t, err, http.StatusUnprocessableEntity, msgDropletOff)
	}
	if n := r.machines.machine(d.ID).firstBoots; n != 1 {
		t.Errorf("first-boot data ran %d times", n)
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	r.machines.put(d.ID, "precious")

	release := r.machines.hold()
	defer release()
	a, _, err := r.client.DropletActions.Snapshot(t.Context(), d.ID, "keep")
	if err != nil {
		t.Fatal(err)
	}
	if all, _, err := r.client.Snapshots.ListDroplet(t.Context(), nil); err != nil || len(all) != 0 {
		t.Errorf("a snapshot is visible while in progress: %v, %v", all, err)
	}
	release()
	r.did(actionCompleted, a, nil)

	all, _, err := r.client.Snapshots.ListDroplet(t.Context(), nil)
	if err != nil || len(all) != 1 {
		t.Fatalf("snapshots %v, %v", all, err)
	}
	snap := all[0]
	if snap.Name != "keep" || snap.MinDiskSize != 25 || snap.SizeGigaBytes != 0.01 || len(snap.Regions) != 1 || snap.Regions[0] != "nyc3" {
		t.Errorf("snapshot %+v", snap)
	}
	images, _, err := r.client.Droplets.Snapshots(t.Context(), d.ID, nil)
	if err != nil || len(images) != 1 || images[0].Type != "snapshot" || images[0].Public {
		t.Fatalf("the droplet's snapshots: %+v, %v", images, err)
	}
	if got := r.get(d.ID).SnapshotIDs; len(got) != 1 || got[0] != images[0].ID {
		t.Errorf("snapshot_ids %v", got)
	}

	r.machines.put(d.ID, "lost")
	r.completed(r.client.DropletActions.Restore(t.Context(), d.ID, images[0].ID))
	if m := r.machines.machine(d.ID); m.disk != "precious" || !m.on || m.firstBoots != 1 {
		t.Errorf("after restore the machine is %+v", m)
	}

	from := func(req *godo.DropletCreateRequest) { req.Image = godo.DropletCreateImage{ID: images[0].ID} }
	copied := r.create("copy", from)
	if m := r.machines.machine(copied.ID); m.disk != "precious" || m.firstBoots != 1 {
		t.Errorf("a droplet made from the snapshot is %+v", m)
	}
	_, _, err = r.client.Droplets.Create(t.Context(), request("small", from, func(req *godo.DropletCreateRequest) {
		req.Size = "s-1vcpu-512mb-10gb"
	}))
	refused(t, err, http.StatusUnprocessableEntity, "The image needs a disk of 25 GB, and the size has 10 GB.")
	_, _, err = r.client.Droplets.Create(t.Context(), request("far", from, func(req *godo.DropletCreateRequest) { req.Region = "ams3" }))
	refused(t, err, http.StatusUnprocessableEntity, msgImageInRegion)

	if _, err := r.client.Snapshots.Delete(t.Context(), snap.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.client.Snapshots.Get(t.Context(), snap.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	if _, err := os.Stat(r.imageFile(images[0].ID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the snapshot's file: %v", err)
	}
	if got := r.get(copied.ID).Image.ID; got != images[0].ID {
		t.Errorf("the copy's image became %d", got)
	}
}

// TestSnapshotIsAsOldAsItsAction holds what Terraform relies on to find a
// snapshot: it was created when its action was started.
func TestSnapshotIsAsOldAsItsAction(t *testing.T) {
	at := &clock{t: testTime}
	r := newRig(t, func(o *Options) { o.Now = at.now })
	d := r.create("x")
	release := r.machines.hold()
	a, _, err := r.client.DropletActions.Snapshot(t.Context(), d.ID, "slow")
	if err != nil {
		t.Fatal(err)
	}
	at.advance(time.Minute)
	release()
	r.did(actionCompleted, a, nil)
	all, _, err := r.client.Droplets.Snapshots(t.Context(), d.ID, nil)
	if err != nil || len(all) != 1 || all[0].Created != a.StartedAt.UTC().Format(time.RFC3339) {
		t.Errorf("snapshots %v of an action started at %v, %v", all, a.StartedAt, err)
	}
}

func TestSnapshotOfSmallerDisk(t *testing.T) {
	r := newRig(t)
	big := r.create("big", func(req *godo.DropletCreateRequest) { req.Size = "s-1vcpu-2gb" })
	small := r.create("small")
	r.completed(r.client.DropletActions.Snapshot(t.Context(), big.ID, "big"))
	image := r.get(big.ID).SnapshotIDs[0]
	_, _, err := r.client.DropletActions.Restore(t.Context(), small.ID, image)
	refused(t, err, http.StatusUnprocessableEntity, "The image needs a disk of 50 GB, and the droplet has 25 GB.")
	_, _, err = r.client.DropletActions.RebuildByImageID(t.Context(), small.ID, image)
	refused(t, err, http.StatusUnprocessableEntity, "The image needs a disk of 50 GB, and the droplet has 25 GB.")
}

func TestResize(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	resize := func(size string, disk bool) (*godo.Action, *godo.Response, error) {
		return r.client.DropletActions.Resize(t.Context(), d.ID, size, disk)
	}
	_, _, err := resize("s-2vcpu-2gb", true)
	refused(t, err, http.StatusUnprocessableEntity, msgDropletOn)
	r.completed(r.client.DropletActions.PowerOff(t.Context(), d.ID))

	r.completed(resize("s-2vcpu-2gb", false))
	if got := r.get(d.ID); got.SizeSlug != "s-2vcpu-2gb" || got.Memory != 2048 || got.Vcpus != 2 || got.Disk != 25 {
		t.Errorf("resized without its disk: %s, %d MB, %d GB", got.SizeSlug, got.Memory, got.Disk)
	}
	r.completed(resize("s-1vcpu-1gb", false)) // such a resize can be undone
	r.completed(resize("s-2vcpu-2gb", true))
	if got := r.get(d.ID); got.Disk != 60 || got.Size.Slug != "s-2vcpu-2gb" {
		t.Errorf("resized with its disk: %s, %d GB", got.Size.Slug, got.Disk)
	}
	for size, message := range map[string]string{
		"s-1vcpu-1gb":     "Size " + msgShrink,
		"s-2vcpu-2gb":     "Size is already s-2vcpu-2gb",
		"gpu-l40sx1-48gb": msgSizeInRegion,
		"huge":            "You specified an invalid size.",
	} {
		_, _, err := resize(size, true)
		refused(t, err, http.StatusUnprocessableEntity, message)
	}
	r.completed(r.client.DropletActions.PowerOn(t.Context(), d.ID))
	if m := r.machines.machine(d.ID); m.spec.MemoryMB != 2048 || m.spec.VCPUs != 2 || m.spec.DiskGB != 60 {
		t.Errorf("the machine started with %+v", m.spec)
	}
}

func TestRebuildRunsFirstBootAgain(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	r.machines.put(d.ID, "old")
	r.completed(r.client.DropletActions.RebuildByImageSlug(t.Context(), d.ID, "ubuntu-24-04-x64"))
	m := r.machines.machine(d.ID)
	if m.disk != "" || m.firstBoots != 2 || !m.on {
		t.Errorf("the machine is %+v", m)
	}
	if got := r.get(d.ID); got.Image.Slug != "ubuntu-24-04-x64" || got.Status != statusActive {
		t.Errorf("the droplet has image %s and is %s", got.Image.Slug, got.Status)
	}
	r.completed(r.client.DropletActions.Reboot(t.Context(), d.ID))
	if n := r.machines.machine(d.ID).firstBoots; n != 2 {
		t.Errorf("first-boot data ran %d times after a reboot", n)
	}
}

func TestRename(t *testing.T) {
	r := newRig(t)
	d := r.create("old")
	r.completed(r.client.DropletActions.Rename(t.Context(), d.ID, "new.example.com"))
	if got := r.get(d.ID).Name; got != "new.example.com" {
		t.Errorf("name %q", got)
	}
	_, _, err := r.client.DropletActions.Rename(t.Context(), d.ID, "not valid")
	refused(t, err, http.StatusUnprocessableEntity, "Name "+msgHostname)
}

func TestActionsThatAreRefused(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	post := func(body map[string]string) error {
		req, err := r.client.NewRequest(t.Context(), "POST", "v2/droplets/"+r.machines.machine(d.ID).spec.ID+"/actions", body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.client.Do(t.Context(), req, nil)
		return err
	}
	for kind, want := range map[string]int{
		"create": 422, "destroy": 422, "backup": 422, "dance": 422, "": 422,
		"enable_private_networking": 422, "change_backup_policy": 422, "disable_backups": 422, "change_kernel": 422,
		"restore": 422, "rebuild": 422, "resize": 422, "rename": 422,
	} {
		var e *godo.ErrorResponse
		if err := post(map[string]string{"type": kind}); !errors.As(err, &e) || e.Response.StatusCode != want {
			t.Errorf("%q: %v, want %d", kind, err, want)
		}
	}
	if got := r.get(d.ID); got.Locked || got.Status != statusActive {
		t.Errorf("refused actions left the droplet %s, locked %v", got.Status, got.Locked)
	}
	_, _, err := r.client.DropletActions.PowerOff(t.Context(), 999)
	refused(t, err, http.StatusNotFound, msgNotFound)
}

func TestActionsByTag(t *testing.T) {
	r := newRig(t)
	tag := func(req *godo.DropletCreateRequest) { req.Tags = []string{"all"} }
	a, b, c := r.create("a", tag), r.create("b", tag), r.create("c")
	done, _, err := r.client.DropletActions.PowerOffByTag(t.Context(), "all")
	if err != nil || len(done) != 2 {
		t.Fatalf("actions %v, %v", done, err)
	}
	r.settle()
	if x, y, z := r.get(a.ID).Status, r.get(b.ID).Status, r.get(c.ID).Status; x != statusOff || y != statusOff || z != statusActive {
		t.Errorf("the droplets are %s, %s and %s", x, y, z)
	}
}

func TestListActions(t *testing.T) {
	r := newRig(t)
	d, other := r.create("x"), r.create("y")
	r.completed(r.client.DropletActions.PowerOff(t.Context(), d.ID))
	all, _, err := r.client.Droplets.Actions(t.Context(), d.ID, nil)
	if err != nil || len(all) != 2 || all[0].Type != "power_off" || all[1].Type != "create" {
		t.Errorf("the droplet's actions: %v, %v", all, err)
	}
	every, _, err := r.client.Actions.List(t.Context(), nil)
	if err != nil || len(every) != 3 {
		t.Errorf("all actions: %v, %v", every, err)
	}
	if got, _, err := r.client.DropletActions.Get(t.Context(), d.ID, all[0].ID); err != nil || got.ID != all[0].ID {
		t.Errorf("one action: %v, %v", got, err)
	}
	_, _, err = r.client.DropletActions.Get(t.Context(), other.ID, all[0].ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
}

func TestActionsAreForgotten(t *testing.T) {
	s := state{Actions: map[int]*actionRow{}}
	d := &dropletRow{ID: 1}
	first := s.newAction(typeReboot, d, testTime)
	for range 2 * maxActions {
		s.newAction(typeReboot, d, testTime).Status = actionCompleted
	}
	if len(s.Actions) > maxActions || s.Actions[first.ID] == nil {
		t.Errorf("%d actions are kept, the one in progress: %v", len(s.Actions), s.Actions[first.ID])
	}
}

func TestMachineThatFails(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	r.completed(r.client.DropletActions.PowerOff(t.Context(), d.ID))
	r.machines.broken = errors.New("no processes left")
	a, _, err := r.client.DropletActions.PowerOn(t.Context(), d.ID)
	r.did(actionErrored, a, err)
	if got := r.get(d.ID); got.Status != statusOff || got.Locked {
		t.Errorf("the droplet is %s, locked %v", got.Status, got.Locked)
	}
	r.machines.broken = nil
	r.completed(r.client.DropletActions.PowerOn(t.Context(), d.ID))
}

func TestHalted(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	machine := r.machines.machine(d.ID).spec.ID

	r.machines.crash() // the machine went off by itself
	r.Halted(machine, true)
	if got := r.get(d.ID); got.Status != statusActive || got.Locked || !r.machines.machine(d.ID).on {
		t.Errorf("after a reboot from within: %s, locked %v", got.Status, got.Locked)
	}
	r.machines.crash()
	r.Halted(machine, false)
	if got := r.get(d.ID).Status; got != statusOff {
		t.Errorf("after a poweroff from within: %s", got)
	}
	r.Halted("no number", false)
	r.Halted("12345", true)
}
