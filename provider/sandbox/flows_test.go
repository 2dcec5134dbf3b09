package sandbox

import (
	"net/http"
	"testing"

	"github.com/digitalocean/godo"
)

// TestFirewallRulesComeAndGo follows two firewalls' rules as clients change them.
func TestFirewallRulesComeAndGo(t *testing.T) {
	r := newRig(t)
	ssh := godo.InboundRule{Protocol: "tcp", PortRange: "22", Sources: &godo.Sources{Addresses: []string{"0.0.0.0/0", "::/0"}}}
	web := godo.InboundRule{Protocol: "tcp", PortRange: "80", Sources: &godo.Sources{Addresses: []string{"10.0.0.0/8"}}}
	out := godo.OutboundRule{Protocol: "udp", PortRange: "53", Destinations: &godo.Destinations{Addresses: []string{"0.0.0.0/0"}}}
	var made []*godo.Firewall
	for _, name := range []string{"one", "two"} {
		f, _, err := r.client.Firewalls.Create(t.Context(), &godo.FirewallRequest{Name: name, InboundRules: []godo.InboundRule{ssh}})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, f)
	}
	rules := func() *godo.Firewall {
		f, _, err := r.client.Firewalls.Get(t.Context(), made[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	change := &godo.FirewallRulesRequest{InboundRules: []godo.InboundRule{web}, OutboundRules: []godo.OutboundRule{out}}
	if _, err := r.client.Firewalls.AddRules(t.Context(), made[0].ID, change); err != nil {
		t.Fatal(err)
	}
	if f := rules(); len(f.InboundRules) != 2 || len(f.OutboundRules) != 1 {
		t.Errorf("with more rules: %+v", f)
	}
	if _, err := r.client.Firewalls.RemoveRules(t.Context(), made[0].ID, change); err != nil {
		t.Fatal(err)
	}
	if f := rules(); len(f.InboundRules) != 1 || f.InboundRules[0].PortRange != "22" || len(f.OutboundRules) != 0 {
		t.Errorf("without them: %+v", f)
	}
	all, _, err := r.client.Firewalls.List(t.Context(), nil)
	if err != nil || len(all) != 2 {
		t.Errorf("firewalls %v, %v", all, err)
	}
}

// TestTagsOnEverything puts a tag on each kind of resource that can bear one.
func TestTagsOnEverything(t *testing.T) {
	r := newRig(t)
	d, v := r.create("x"), r.volume("data")
	snap, _, err := r.client.Storage.CreateSnapshot(t.Context(), &godo.SnapshotCreateRequest{VolumeID: v.ID, Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "shot"))
	image := godo.Stringify(r.get(d.ID).SnapshotIDs[0])
	if _, _, err := r.client.Tags.Create(t.Context(), &godo.TagCreateRequest{Name: "all"}); err != nil {
		t.Fatal(err)
	}
	bearers := []godo.Resource{
		{ID: godo.Stringify(d.ID), Type: godo.DropletResourceType},
		{ID: image, Type: godo.ImageResourceType},
		{ID: v.ID, Type: godo.VolumeResourceType},
		{ID: snap.ID, Type: godo.VolumeSnapshotResourceType},
	}
	if _, err := r.client.Tags.TagResources(t.Context(), "all", &godo.TagResourcesRequest{Resources: bearers}); err != nil {
		t.Fatal(err)
	}
	tag, _, err := r.client.Tags.Get(t.Context(), "all")
	if err != nil || tag.Resources.Count != 4 || tag.Resources.Images.Count != 1 || tag.Resources.VolumeSnapshots.Count != 1 {
		t.Errorf("tag %+v, %v", tag, err)
	}
	tagged, _, err := r.client.Images.ListByTag(t.Context(), "all", nil)
	if err != nil || len(tagged) != 1 {
		t.Errorf("images by tag %v, %v", tagged, err)
	}
	if _, err := r.client.Tags.Delete(t.Context(), "all"); err != nil {
		t.Fatal(err)
	}
	if got := r.get(d.ID); len(got.Tags) != 0 {
		t.Errorf("a deleted tag is on the droplet: %v", got.Tags)
	}
}

// TestReservedInProject reserves an address for a project, and for one that is
// not there.
func TestReservedInProject(t *testing.T) {
	r := newRig(t)
	p, _, err := r.client.Projects.Create(t.Context(), &godo.CreateProjectRequest{Name: "p", Purpose: "x", Environment: "Staging"})
	if err != nil {
		t.Fatal(err)
	}
	ip, _, err := r.client.ReservedIPs.Create(t.Context(), &godo.ReservedIPCreateRequest{Region: "nyc3", ProjectID: p.ID})
	if err != nil || ip.ProjectID != p.ID {
		t.Errorf("reserved %+v, %v", ip, err)
	}
	_, _, err = r.client.ReservedIPs.Create(t.Context(), &godo.ReservedIPCreateRequest{Region: "nyc3", ProjectID: "none"})
	refused(t, err, http.StatusUnprocessableEntity, `project_id "none" names no project`)
}

// TestPurgesAreBounded deletes more droplets with their belongings than are
// remembered.
func TestPurgesAreBounded(t *testing.T) {
	r := newRig(t)
	err := r.write(func(s *state) error {
		for i := range maxPurges {
			s.Purges[i+1] = &purgeRow{Begun: testTime.Add(ticks(i))}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d := r.create("x")
	path := "/v2/droplets/" + godo.Stringify(d.ID) + associatedPath
	if status, _ := r.call("DELETE", path+"/selective", "{}"); status != http.StatusAccepted {
		t.Errorf("delete: %d", status)
	}
	r.settle()
	if r.state.Purges[1] != nil || len(r.state.Purges) != maxPurges || r.state.Purges[d.ID] == nil {
		t.Errorf("%d purges are remembered", len(r.state.Purges))
	}
}
