package sandbox

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
)

const associatedPath = "/destroy_with_associated_resources"

// call sends a request to the API and returns the answer's status and body.
func (r *rig) call(method, path, body string, header ...string) (int, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	answer := map[string]any{}
	if res.ContentLength != 0 {
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			r.t.Fatal(err)
		}
	}
	return res.StatusCode, answer
}

// furnished is a droplet with one belonging of each kind, and its path.
func (r *rig) furnished() (d *godo.Droplet, path string) {
	r.t.Helper()
	v, _, err := r.client.Storage.CreateVolume(r.t.Context(), &godo.VolumeCreateRequest{Name: "data", Region: "nyc3", SizeGigaBytes: 10})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, _, err := r.client.Storage.CreateSnapshot(r.t.Context(), &godo.SnapshotCreateRequest{VolumeID: v.ID, Name: "kept"}); err != nil {
		r.t.Fatal(err)
	}
	d = r.create("x", func(q *godo.DropletCreateRequest) { q.Volumes = []godo.DropletCreateVolume{{ID: v.ID}} })
	r.completed(r.client.DropletActions.Snapshot(r.t.Context(), d.ID, "shot"))
	if _, _, err := r.client.ReservedIPs.Create(r.t.Context(), &godo.ReservedIPCreateRequest{DropletID: d.ID}); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return d, "/v2/droplets/" + godo.Stringify(d.ID) + associatedPath
}

func (r *rig) left() (n int) {
	r.t.Helper()
	err := r.read(func(s *state) error {
		n = len(s.Droplets) + len(s.Images) + len(s.Volumes) + len(s.VolumeSnapshots) + len(s.ReservedIPs)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestDeleteWithAll(t *testing.T) {
	r := newRig(t)
	d, path := r.furnished()
	all, _, err := r.client.Droplets.ListAssociatedResourcesForDeletion(t.Context(), d.ID)
	if err != nil || len(all.ReservedIPs) != 1 || len(all.Snapshots) != 1 || len(all.Volumes) != 1 || len(all.VolumeSnapshots) != 1 {
		t.Fatalf("associated: %+v, %v", all, err)
	}
	if v := all.Volumes[0]; v.Name != "data" || v.Cost != "1.00" {
		t.Errorf("the volume is shown as %+v", v)
	}
	if status, _ := r.call("GET", path+"/status", ""); status != http.StatusNotFound {
		t.Errorf("the status of nothing: %d", status)
	}
	if status, _ := r.call("DELETE", path+"/dangerous", ""); status != http.StatusUnprocessableEntity || r.left() != 5 {
		t.Errorf("without the header: %d, %d things left", status, r.left())
	}
	if status, _ := r.call("DELETE", path+"/dangerous", "", "X-Dangerous", "true"); status != http.StatusAccepted {
		t.Errorf("delete all: %d", status)
	}
	r.settle()
	status, answer := r.call("GET", path+"/status", "")
	if status != http.StatusOK || answer["completed_at"] == nil || answer["failures"] != 0.0 || r.left() != 0 {
		t.Errorf("status %d: %v; %d things left", status, answer, r.left())
	}
	if files, err := os.ReadDir(r.dir + "/images"); err != nil || len(files) != 0 {
		t.Errorf("files %v are left, %v", files, err)
	}
}

func TestDeleteWithSome(t *testing.T) {
	r := newRig(t)
	d, path := r.furnished()
	if status, _ := r.call("DELETE", path+"/selective", `{"volumes":["strange"]}`); status != http.StatusUnprocessableEntity || r.left() != 5 {
		t.Errorf("with a strange volume: %d, %d things left", status, r.left())
	}
	body, err := json.Marshal(map[string][]string{"volumes": d.VolumeIDs})
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := r.call("DELETE", path+"/selective", string(body)); status != http.StatusAccepted {
		t.Errorf("delete some: %d", status)
	}
	r.settle()
	if r.left() != 3 {
		t.Errorf("%d things left, want the snapshots and the reserved IP", r.left())
	}
}

// TestDeleteWithRetry holds that what failed is said, and can be tried again.
func TestDeleteWithRetry(t *testing.T) {
	f := &Faults{}
	r := newRig(t, func(o *Options) { o.Faults = f })
	_, path := r.furnished()
	f.Next(1, FailAction{Type: typeDestroy})
	r.call("DELETE", path+"/dangerous", "", "X-Dangerous", "true")
	r.settle()
	_, answer := r.call("GET", path+"/status", "")
	if answer["failures"] != 5.0 || answer["completed_at"] != nil {
		t.Errorf("after a failure: %v", answer)
	}
	release := r.machines.hold()
	if status, _ := r.call("POST", path+"/retry", ""); status != http.StatusAccepted {
		t.Errorf("retry: %d", status)
	}
	if status, _ := r.call("POST", path+"/retry", ""); status != http.StatusConflict {
		t.Errorf("retry while it is under way: %d", status)
	}
	release()
	r.settle()
	if _, answer = r.call("GET", path+"/status", ""); answer["failures"] != 0.0 || r.left() != 0 {
		t.Errorf("after the retry: %v; %d things left", answer, r.left())
	}
}
