package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
)

func TestDropletParts(t *testing.T) {
	r := newRig(t)
	d, near := r.create("x"), r.create("near")
	r.create("far", func(q *godo.DropletCreateRequest) { q.Region = "ams3" })
	drops := r.client.Droplets
	if all, _, err := drops.Neighbors(t.Context(), d.ID); err != nil || len(all) != 1 || all[0].ID != near.ID {
		t.Errorf("neighbours %v, %v", all, err)
	}
	if all, _, err := drops.Kernels(t.Context(), d.ID, nil); err != nil || len(all) != 0 {
		t.Errorf("kernels %v, %v", all, err)
	}
	if all, _, err := drops.Backups(t.Context(), d.ID, nil); err != nil || len(all) != 0 {
		t.Errorf("backups %v, %v", all, err)
	}
	if p, _, err := drops.GetBackupPolicy(t.Context(), d.ID); err != nil || p.BackupEnabled || p.DropletID != d.ID {
		t.Errorf("backup policy %+v, %v", p, err)
	}
	if all, _, err := drops.ListBackupPolicies(t.Context(), &godo.ListOptions{PerPage: 2}); err != nil || len(all) != 2 || all[d.ID].BackupEnabled {
		t.Errorf("backup policies %v, %v", all, err)
	}
	for what, get := range map[string]func() error{
		"neighbours": func() error { _, _, err := drops.Neighbors(t.Context(), 7); return err },
		"kernels":    func() error { _, _, err := drops.Kernels(t.Context(), 7, nil); return err },
		"backups":    func() error { _, _, err := drops.Backups(t.Context(), 7, nil); return err },
		"policy":     func() error { _, _, err := drops.GetBackupPolicy(t.Context(), 7); return err },
		"firewalls":  func() error { _, _, err := r.client.Firewalls.ListByDroplet(t.Context(), 7, nil); return err },
	} {
		t.Run(what, func(t *testing.T) { refused(t, get(), http.StatusNotFound, msgNotFound) })
	}
}

func TestIPv6(t *testing.T) {
	r := newRig(t)
	v6 := func(d *godo.Droplet) string {
		addr, err := d.PublicIPv6()
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	with := r.create("with", func(q *godo.DropletCreateRequest) { q.IPv6 = true })
	without := r.create("without")
	if v6(with) == "" || v6(without) != "" {
		t.Errorf("addresses %q with and %q without IPv6", v6(with), v6(without))
	}
	r.completed(r.client.DropletActions.EnableIPv6(t.Context(), without.ID))
	after := r.get(without.ID)
	if addr := v6(after); addr == "" || addr == v6(with) || !slices.Contains(after.Features, "ipv6") {
		t.Errorf("enabled: %q, features %v", addr, after.Features)
	}
	_, _, err := r.client.DropletActions.EnableIPv6(t.Context(), without.ID)
	refused(t, err, http.StatusUnprocessableEntity, "This Droplet already has IPv6 enabled.")
}

func TestImageActions(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "mine"))
	id := r.get(d.ID).SnapshotIDs[0]
	acts := r.client.ImageActions
	to := func(region string) *godo.ActionRequest {
		return &godo.ActionRequest{"type": "transfer", "region": region}
	}
	a := r.completed(acts.Transfer(t.Context(), id, to("ams3")))
	if status, all := r.call("GET", "/v2/images/"+godo.Stringify(id)+"/actions", ""); status != http.StatusOK || len(all["actions"].([]any)) != 1 {
		t.Errorf("the image's actions: %d, %v", status, all)
	}
	if a.ResourceType != "image" || a.ResourceID != id {
		t.Errorf("action %+v", a)
	}
	if got, _, err := acts.Get(t.Context(), id, a.ID); err != nil || got.ID != a.ID {
		t.Errorf("its action: %v, %v", got, err)
	}
	if i, _, err := r.client.Images.GetByID(t.Context(), id); err != nil || !slices.Equal(i.Regions, []string{"nyc3", "ams3"}) {
		t.Errorf("the image is in %v, %v", i, err)
	}
	r.create("there", func(q *godo.DropletCreateRequest) { q.Region, q.Image = "ams3", godo.DropletCreateImage{ID: id} })
	for message, do := range map[string]func() (*godo.Action, *godo.Response, error){
		"The image is available in ams3 already.": func() (*godo.Action, *godo.Response, error) { return acts.Transfer(t.Context(), id, to("ams3")) },
		"Region is not available":                 func() (*godo.Action, *godo.Response, error) { return acts.Transfer(t.Context(), id, to("sfo1")) },
		"Only images of your own can be transferred.": func() (*godo.Action, *godo.Response, error) {
			return acts.Transfer(t.Context(), 155133621, to("ams3"))
		},
		"Only backups can be converted to snapshots.": func() (*godo.Action, *godo.Response, error) { return acts.Convert(t.Context(), id) },
	} {
		_, _, err := do()
		refused(t, err, http.StatusUnprocessableEntity, message)
	}
	_, _, err := acts.Transfer(t.Context(), 7, to("ams3"))
	refused(t, err, http.StatusNotFound, msgNotFound)
}

func TestActionsByTagOfEveryType(t *testing.T) {
	r := newRig(t)
	tag := func(q *godo.DropletCreateRequest) { q.Tags = []string{"all"} }
	a, b := r.create("a", tag), r.create("b", tag)
	acts := r.client.DropletActions
	for _, step := range []struct {
		do     func() ([]godo.Action, *godo.Response, error)
		status string
	}{
		{func() ([]godo.Action, *godo.Response, error) { return acts.PowerCycleByTag(t.Context(), "all") }, statusActive},
		{func() ([]godo.Action, *godo.Response, error) { return acts.ShutdownByTag(t.Context(), "all") }, statusOff},
		{func() ([]godo.Action, *godo.Response, error) { return acts.PowerOnByTag(t.Context(), "all") }, statusActive},
		{func() ([]godo.Action, *godo.Response, error) { return acts.SnapshotByTag(t.Context(), "all", "s") }, statusActive},
		{func() ([]godo.Action, *godo.Response, error) { return acts.EnableIPv6ByTag(t.Context(), "all") }, statusActive},
		{func() ([]godo.Action, *godo.Response, error) { return acts.PowerOffByTag(t.Context(), "all") }, statusOff},
	} {
		done, res, err := step.do()
		if err != nil || len(done) != 2 || res.StatusCode != http.StatusCreated {
			t.Fatalf("actions %v, %v", done, err)
		}
		for _, action := range done {
			r.did(actionCompleted, &action, nil)
		}
		if x, y := r.get(a.ID).Status, r.get(b.ID).Status; x != step.status || y != step.status {
			t.Errorf("after %s the droplets are %s and %s", done[0].Type, x, y)
		}
	}
	if all, _, err := r.client.Snapshots.ListDroplet(t.Context(), nil); err != nil || len(all) != 2 {
		t.Errorf("snapshots %v, %v", all, err)
	}
}

// TestMetadata holds what a droplet is told about itself at a boot.
func TestMetadata(t *testing.T) {
	r := newRig(t)
	d := r.create("x", func(q *godo.DropletCreateRequest) { q.Tags = []string{"web"} })
	ip, _, err := r.client.ReservedIPs.Create(t.Context(), &godo.ReservedIPCreateRequest{DropletID: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.completed(r.client.DropletActions.Reboot(t.Context(), d.ID))
	private, err := d.PrivateIPv4()
	if err != nil {
		t.Fatal(err)
	}
	told := r.machines.machine(d.ID).spec.Metadata
	if told.DropletID != int64(d.ID) || told.Region != "nyc3" || !slices.Equal(told.Tags, d.Tags) ||
		told.Private.String() != private+"/20" || told.Reserved.String() != ip.IP {
		t.Errorf("told %+v", told)
	}
	err = r.write(func(s *state) error {
		s.Droplets[d.ID].Tags = slices.Repeat([]string{strings.Repeat("t", 255)}, 70)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.completed(r.client.DropletActions.Reboot(t.Context(), d.ID))
	if told := r.machines.machine(d.ID).spec.Metadata.Tags; len(told) != toldTags {
		t.Errorf("told of %d tags", len(told))
	}
}
