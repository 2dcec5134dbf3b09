package sandbox

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/digitalocean/godo"
)

func (r *rig) volume(name string, change ...func(*godo.VolumeCreateRequest)) *godo.Volume {
	r.t.Helper()
	req := &godo.VolumeCreateRequest{Name: name, Region: "nyc3", SizeGigaBytes: 10}
	for _, f := range change {
		f(req)
	}
	v, res, err := r.client.Storage.CreateVolume(r.t.Context(), req)
	if err != nil || res.StatusCode != http.StatusCreated {
		r.t.Fatal(err)
	}
	return v
}

func TestVolumes(t *testing.T) {
	r := newRig(t)
	d, other := r.create("x"), r.create("y")
	store, acts := r.client.Storage, r.client.StorageActions
	v := r.volume("data", func(q *godo.VolumeCreateRequest) {
		q.FilesystemType, q.FilesystemLabel, q.Tags = "ext4", "data", []string{"disk"}
	})
	if v.FilesystemType != "ext4" || v.Region.Slug != "nyc3" || len(v.DropletIDs) != 0 || !slices.Equal(v.Tags, []string{"disk"}) {
		t.Errorf("volume %+v", v)
	}
	release := r.machines.hold() // holds nothing up: no machine is asked
	a := r.completed(acts.Attach(t.Context(), v.ID, d.ID))
	release()
	if a.Type != "attach_volume" || a.ResourceType != "volume" {
		t.Errorf("action %+v", a)
	}
	if got := r.get(d.ID).VolumeIDs; !slices.Equal(got, []string{v.ID}) {
		t.Errorf("the droplet's volumes: %v", got)
	}
	_, _, err := acts.Attach(t.Context(), v.ID, other.ID)
	refused(t, err, http.StatusUnprocessableEntity, "The volume is attached to a Droplet already.")
	_, err = store.DeleteVolume(t.Context(), v.ID)
	refused(t, err, http.StatusConflict, "the volume is attached to a droplet: detach it first")
	r.completed(acts.Resize(t.Context(), v.ID, 20, "nyc3"))
	_, _, err = acts.Resize(t.Context(), v.ID, 5, "nyc3")
	refused(t, err, http.StatusUnprocessableEntity, "size_gigabytes must be more than 20 and at most 16384")
	_, _, err = acts.DetachByDropletID(t.Context(), v.ID, other.ID)
	refused(t, err, http.StatusUnprocessableEntity, "The volume is not attached to this Droplet.")
	r.completed(acts.DetachByDropletID(t.Context(), v.ID, d.ID))
	if got, _, err := store.GetVolume(t.Context(), v.ID); err != nil || len(got.DropletIDs) != 0 || got.SizeGigaBytes != 20 {
		t.Errorf("detached: %+v, %v", got, err)
	}
	if all, _, err := acts.List(t.Context(), v.ID, nil); err != nil || len(all) != 3 {
		t.Errorf("its actions: %v, %v", all, err)
	}
	if got, _, err := acts.Get(t.Context(), v.ID, a.ID); err != nil || got.ID != a.ID {
		t.Errorf("its action: %v, %v", got, err)
	}
	byName, _, err := store.ListVolumes(t.Context(), &godo.ListVolumeParams{Name: "data", Region: "nyc3"})
	if err != nil || len(byName) != 1 {
		t.Errorf("by name and region: %v, %v", byName, err)
	}
	if none, _, err := store.ListVolumes(t.Context(), &godo.ListVolumeParams{Name: "data", Region: "ams3"}); err != nil || len(none) != 0 {
		t.Errorf("in another region: %v, %v", none, err)
	}
	if _, err := store.DeleteVolume(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = store.GetVolume(t.Context(), v.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
}

// TestVolumesByName covers the routes that godo has no methods for.
func TestVolumesByName(t *testing.T) {
	r := newRig(t)
	d, v := r.create("x"), r.volume("data")
	act := func(body map[string]any) (*godo.Action, *godo.Response, error) {
		req, err := r.client.NewRequest(t.Context(), "POST", "v2/volumes/actions", body)
		if err != nil {
			t.Fatal(err)
		}
		var root struct{ Action *godo.Action }
		res, err := r.client.Do(t.Context(), req, &root)
		return root.Action, res, err
	}
	body := map[string]any{"type": "attach", "droplet_id": d.ID, "volume_name": "data", "region": "nyc3"}
	r.completed(act(body))
	if got := r.get(d.ID).VolumeIDs; !slices.Equal(got, []string{v.ID}) {
		t.Errorf("the droplet's volumes: %v", got)
	}
	body["type"] = "detach"
	r.completed(act(body))
	body["type"] = "burn"
	_, _, err := act(body)
	refused(t, err, http.StatusUnprocessableEntity, `"burn" is no type of action`)
	remove := func() error {
		req, err := r.client.NewRequest(t.Context(), "DELETE", "v2/volumes?name=data&region=nyc3", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.client.Do(t.Context(), req, nil)
		return err
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	refused(t, remove(), http.StatusNotFound, msgNotFound)
}

func TestVolumesOfNewDroplets(t *testing.T) {
	r := newRig(t)
	v := r.volume("data")
	d := r.create("x", func(q *godo.DropletCreateRequest) { q.Volumes = []godo.DropletCreateVolume{{ID: v.ID}} })
	if !slices.Equal(d.VolumeIDs, []string{v.ID}) {
		t.Errorf("the droplet's volumes: %v", d.VolumeIDs)
	}
	_, _, err := r.client.Droplets.Create(t.Context(), request("y", func(q *godo.DropletCreateRequest) { q.Volumes = []godo.DropletCreateVolume{{ID: v.ID}} }))
	refused(t, err, http.StatusUnprocessableEntity, "The volume data is attached to another Droplet.")
	far := r.volume("far", func(q *godo.VolumeCreateRequest) { q.Region = "ams3" })
	_, _, err = r.client.Droplets.Create(t.Context(), request("y", func(q *godo.DropletCreateRequest) { q.Volumes = []godo.DropletCreateVolume{{ID: far.ID}} }))
	refused(t, err, http.StatusUnprocessableEntity, "The volume far is in ams3, and the Droplet in nyc3.")
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Storage.DeleteVolume(t.Context(), v.ID); err != nil {
		t.Errorf("a volume whose droplet is gone: %v", err)
	}
}

func TestVolumesThatAreRefused(t *testing.T) {
	r := newRig(t)
	r.volume("taken")
	for name, c := range map[string]struct {
		req    godo.VolumeCreateRequest
		status int
	}{
		"name":     {godo.VolumeCreateRequest{Name: "Data", Region: "nyc3", SizeGigaBytes: 1}, 422},
		"taken":    {godo.VolumeCreateRequest{Name: "taken", Region: "nyc3", SizeGigaBytes: 1}, 409},
		"region":   {godo.VolumeCreateRequest{Name: "a", Region: "sfo1", SizeGigaBytes: 1}, 422},
		"none":     {godo.VolumeCreateRequest{Name: "a", Region: "nyc3"}, 422},
		"huge":     {godo.VolumeCreateRequest{Name: "a", Region: "nyc3", SizeGigaBytes: maxVolumeSize + 1}, 422},
		"type":     {godo.VolumeCreateRequest{Name: "a", Region: "nyc3", SizeGigaBytes: 1, FilesystemType: "ntfs"}, 422},
		"label":    {godo.VolumeCreateRequest{Name: "a", Region: "nyc3", SizeGigaBytes: 1, FilesystemType: "xfs", FilesystemLabel: "thirteen-long"}, 422},
		"snapshot": {godo.VolumeCreateRequest{Name: "a", SnapshotID: "nope"}, 422},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.client.Storage.CreateVolume(t.Context(), &c.req)
			var e *godo.ErrorResponse
			if !errors.As(err, &e) || e.Response.StatusCode != c.status {
				t.Errorf("%v, want %d", err, c.status)
			}
		})
	}
}

func TestVolumeSnapshots(t *testing.T) {
	r := newRig(t)
	v := r.volume("data")
	store := r.client.Storage
	snap, res, err := store.CreateSnapshot(t.Context(), &godo.SnapshotCreateRequest{VolumeID: v.ID, Name: "keep", Tags: []string{"t"}})
	if err != nil || res.StatusCode != http.StatusCreated || snap.ResourceType != "volume" || snap.MinDiskSize != 10 {
		t.Fatalf("snapshot %+v, %v", snap, err)
	}
	if tag, _, err := r.client.Tags.Get(t.Context(), "t"); err != nil || tag.Resources.VolumeSnapshots.Count != 1 {
		t.Errorf("its tag: %+v, %v", tag, err)
	}
	d := r.create("x")
	r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "of a droplet"))
	for kind, list := range map[string]func() ([]godo.Snapshot, *godo.Response, error){
		"volume's": func() ([]godo.Snapshot, *godo.Response, error) { return store.ListSnapshots(t.Context(), v.ID, nil) },
		"volumes'": func() ([]godo.Snapshot, *godo.Response, error) {
			return r.client.Snapshots.ListVolume(t.Context(), nil)
		},
		"droplets'": func() ([]godo.Snapshot, *godo.Response, error) {
			return r.client.Snapshots.ListDroplet(t.Context(), nil)
		},
	} {
		if all, _, err := list(); err != nil || len(all) != 1 || (all[0].ID == snap.ID) != (kind != "droplets'") {
			t.Errorf("the %s snapshots: %v, %v", kind, all, err)
		}
	}
	if all, _, err := r.client.Snapshots.List(t.Context(), nil); err != nil || len(all) != 2 {
		t.Errorf("all snapshots: %v, %v", all, err)
	}
	if got, _, err := store.GetSnapshot(t.Context(), snap.ID); err != nil || got.ID != snap.ID {
		t.Errorf("got %v, %v", got, err)
	}
	copied := r.volume("copy", func(q *godo.VolumeCreateRequest) { q.SnapshotID, q.Region, q.SizeGigaBytes = snap.ID, "", 0 })
	if copied.SizeGigaBytes != 10 || copied.Region.Slug != "nyc3" {
		t.Errorf("a volume made from it: %+v", copied)
	}
	if _, err := store.DeleteSnapshot(t.Context(), snap.ID); err != nil {
		t.Fatal(err)
	}
	for _, get := range []func() error{
		func() error { _, _, err := r.client.Snapshots.Get(t.Context(), snap.ID); return err },
		func() error { _, _, err := store.GetSnapshot(t.Context(), snap.ID); return err },
		func() error { _, err := r.client.Snapshots.Delete(t.Context(), snap.ID); return err },
	} {
		refused(t, get(), http.StatusNotFound, msgNotFound)
	}
}

func TestTagsOnVolumes(t *testing.T) {
	r := newRig(t)
	v := r.volume("data")
	if _, _, err := r.client.Tags.Create(t.Context(), &godo.TagCreateRequest{Name: "t"}); err != nil {
		t.Fatal(err)
	}
	on := []godo.Resource{{ID: v.ID, Type: godo.VolumeResourceType}}
	if _, err := r.client.Tags.TagResources(t.Context(), "t", &godo.TagResourcesRequest{Resources: on}); err != nil {
		t.Fatal(err)
	}
	if tag, _, err := r.client.Tags.Get(t.Context(), "t"); err != nil || tag.Resources.Volumes.Count != 1 || tag.Resources.Count != 1 {
		t.Errorf("tag %+v, %v", tag, err)
	}
	if _, err := r.client.Tags.Delete(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := r.client.Storage.GetVolume(t.Context(), v.ID); err != nil || len(got.Tags) != 0 {
		t.Errorf("the volume's tags: %v, %v", got, err)
	}
}
