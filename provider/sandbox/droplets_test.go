package sandbox

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"
)

func TestCreateIsAsynchronous(t *testing.T) {
	r := newRig(t)
	release := r.machines.hold()
	defer release()
	d, res, err := r.client.Droplets.Create(t.Context(), request("web-1", func(req *godo.DropletCreateRequest) {
		req.Tags = []string{"srv_1", "berth", "srv_1"}
		req.UserData = "#!/bin/sh\ntrue\n"
	}))
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusAccepted || len(res.Links.Actions) != 1 || res.Links.Actions[0].Rel != "create" {
		t.Errorf("answered %d with links %+v", res.StatusCode, res.Links)
	}
	if d.Status != statusNew || !d.Locked || len(d.Networks.V4) != 0 {
		t.Errorf("a droplet that is being made: status %s, locked %v, addresses %v", d.Status, d.Locked, d.Networks.V4)
	}
	if !slices.Equal(d.Tags, []string{"srv_1", "berth"}) {
		t.Errorf("tags %v", d.Tags)
	}
	_, err = r.client.Droplets.Delete(t.Context(), d.ID)
	refused(t, err, http.StatusUnprocessableEntity, msgPending)
	_, _, err = r.client.DropletActions.PowerOff(t.Context(), d.ID)
	refused(t, err, http.StatusUnprocessableEntity, msgPending)

	release()
	r.settle()
	d = r.get(d.ID)
	public, err := d.PublicIPv4()
	if err != nil || !strings.HasPrefix(public, "127.77.") {
		t.Errorf("public address %q, %v", public, err)
	}
	if private, err := d.PrivateIPv4(); err != nil || !strings.HasPrefix(private, "10.104.") {
		t.Errorf("private address %q, %v", private, err)
	}
	if d.Status != statusActive || d.Locked || d.SizeSlug != "s-1vcpu-1gb" || d.Image.Slug != "debian-12-x64" || d.Region.Slug != "nyc3" {
		t.Errorf("droplet %+v", d)
	}
	a, _, err := r.client.Actions.Get(t.Context(), res.Links.Actions[0].ID)
	if err != nil || a.Status != actionCompleted || a.ResourceID != d.ID {
		t.Errorf("the create action is %+v, %v", a, err)
	}
	m := r.machines.machine(d.ID)
	if !m.on || m.firstBoots != 1 || string(m.spec.UserData) != "#!/bin/sh\ntrue\n" || m.spec.MemoryMB != 1024 || m.spec.Addr.String() != public {
		t.Errorf("machine %+v", m)
	}
}

func TestCreateSeveral(t *testing.T) {
	r := newRig(t)
	names := make([]string, maxNames)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i)
	}
	req := &godo.DropletMultiCreateRequest{
		Names: names, Region: "ams3", Size: "s-1vcpu-1gb", SSHKeys: []godo.DropletCreateSSHKey{},
		Image: godo.DropletCreateImage{ID: 155133621}, Tags: []string{"many"},
	}
	all, res, err := r.client.Droplets.CreateMultiple(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != maxNames || len(res.Links.Actions) != maxNames {
		t.Errorf("%d droplets, %d actions", len(all), len(res.Links.Actions))
	}
	r.settle()
	addrs := map[string]bool{}
	for _, d := range all {
		d := r.get(d.ID)
		addr, err := d.PublicIPv4()
		if err != nil || addrs[addr] || d.Status != statusActive {
			t.Errorf("droplet %s: %s at %q, %v", d.Name, d.Status, addr, err)
		}
		addrs[addr] = true
	}
	if _, err := r.client.Droplets.DeleteByTag(t.Context(), "many"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	if r.Live() != 0 {
		t.Errorf("%d droplets live after all were deleted", r.Live())
	}
}

func TestCreateRefuses(t *testing.T) {
	r := newRig(t, func(o *Options) { o.DropletLimit = 1 })
	no, noon, afternoon := false, 12, 13
	backups := func(p *godo.DropletBackupPolicyRequest) func(*godo.DropletCreateRequest) {
		return func(q *godo.DropletCreateRequest) { q.Backups, q.BackupPolicy = true, p }
	}
	for name, c := range map[string]struct {
		change  func(*godo.DropletCreateRequest)
		status  int
		message string
	}{
		"no name":         {func(q *godo.DropletCreateRequest) { q.Name = "" }, 422, "Name can't be blank"},
		"name's letters":  {func(q *godo.DropletCreateRequest) { q.Name = "a_b" }, 422, "Name " + msgHostname},
		"name's end":      {func(q *godo.DropletCreateRequest) { q.Name = "a-" }, 422, "Name " + msgHostname},
		"name's length":   {func(q *godo.DropletCreateRequest) { q.Name = strings.Repeat("a", 256) }, 422, "Name is too long (maximum is 255 characters)"},
		"size":            {func(q *godo.DropletCreateRequest) { q.Size = "huge" }, 422, msgSize},
		"image":           {func(q *godo.DropletCreateRequest) { q.Image.Slug = "beos" }, 422, msgImage},
		"image by number": {func(q *godo.DropletCreateRequest) { q.Image = godo.DropletCreateImage{ID: 7} }, 422, msgImage},
		"region":          {func(q *godo.DropletCreateRequest) { q.Region = "mars1" }, 422, msgRegion},
		"closed region":   {func(q *godo.DropletCreateRequest) { q.Region = "sfo1" }, 422, msgRegionClosed},
		"size elsewhere":  {func(q *godo.DropletCreateRequest) { q.Size = "gpu-h100x1-80gb" }, 422, msgSizeInRegion},
		"user data":       {func(q *godo.DropletCreateRequest) { q.UserData = strings.Repeat("x", maxUserData+1) }, 422, "User data is too long (maximum is 65536 bytes)"},
		"key": {func(q *godo.DropletCreateRequest) {
			q.SSHKeys = []godo.DropletCreateSSHKey{{ID: 9}, {Fingerprint: "aa:bb"}}
		}, 422, "9, aa:bb are invalid key identifiers for Droplet creation."},
		"tag":           {func(q *godo.DropletCreateRequest) { q.Tags = []string{"a b"} }, 422, `Tag "a b" may only have letters, numbers, colons, dashes and underscores, at most 255`},
		"backups' plan": {backups(&godo.DropletBackupPolicyRequest{Plan: "hourly"}), 422, "backup_policy: plan must be daily or weekly"},
		"backups' hour": {backups(&godo.DropletBackupPolicyRequest{Plan: "daily", Hour: &afternoon}), 422, "backup_policy: hour must be one of 0, 4, 8, 12, 16, 20"},
		"backups' day":  {backups(&godo.DropletBackupPolicyRequest{Plan: "weekly", Weekday: "MONDAY", Hour: &noon}), 422, "backup_policy: weekday must be one of SUN, MON, TUE, WED, THU, FRI, SAT"},
		"no backups": {func(q *godo.DropletCreateRequest) {
			q.BackupPolicy = &godo.DropletBackupPolicyRequest{Plan: "daily"}
		}, 422, "backup_policy needs backups"},
		"volume":     {func(q *godo.DropletCreateRequest) { q.Volumes = []godo.DropletCreateVolume{{ID: "v"}} }, 422, `volume "v" does not exist`},
		"VPC":        {func(q *godo.DropletCreateRequest) { q.VPCUUID = "v" }, 422, "Failed to resolve VPC"},
		"no network": {func(q *godo.DropletCreateRequest) { q.PublicNetworking, q.IPv6 = &no, true }, 422, msgHidden},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.client.Droplets.Create(t.Context(), request("x", c.change))
			refused(t, err, c.status, c.message)
		})
	}
	if r.Live() != 0 {
		t.Fatalf("%d droplets came of refused requests", r.Live())
	}
	r.create("only")
	_, _, err := r.client.Droplets.Create(t.Context(), request("second"))
	refused(t, err, http.StatusUnprocessableEntity, msgDropletLimit)
}

// TestNullKeys holds that null is no keys: DigitalOcean's own MCP server sends it.
func TestNullKeys(t *testing.T) {
	r := newRig(t)
	d := r.create("x", func(q *godo.DropletCreateRequest) { q.SSHKeys = nil })
	if got := r.machines.machine(d.ID).spec.AuthorizedKeys; len(got) != 0 {
		t.Errorf("the machine got keys %q", got)
	}
}

func TestListFilters(t *testing.T) {
	r := newRig(t)
	for i, name := range []string{"a", "b", "B", "gpu"} {
		r.create(name, func(req *godo.DropletCreateRequest) {
			req.Tags = []string{"all", fmt.Sprint("n", i)}
			if name == "gpu" {
				req.Region, req.Size = "tor1", "gpu-l40sx1-48gb"
			}
		})
	}
	list := func(all []godo.Droplet, _ *godo.Response, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		names := ""
		for _, d := range all {
			names += d.Name + " "
		}
		return names
	}
	ctx, page := t.Context(), &godo.ListOptions{}
	for what, c := range map[string]struct{ got, want string }{
		"everything": {list(r.client.Droplets.List(ctx, page)), "a b B "},
		"GPUs":       {list(r.client.Droplets.ListWithGPUs(ctx, page)), "gpu "},
		"tag":        {list(r.client.Droplets.ListByTag(ctx, "all", page)), "a b B gpu "},
		"one tag":    {list(r.client.Droplets.ListByTag(ctx, "n1", page)), "b "},
		"no tag":     {list(r.client.Droplets.ListByTag(ctx, "none", page)), ""},
		"name":       {list(r.client.Droplets.ListByName(ctx, "b", page)), "b B "},
		"page":       {list(r.client.Droplets.ListByTag(ctx, "all", &godo.ListOptions{Page: 2, PerPage: 3})), "gpu "},
		"past":       {list(r.client.Droplets.ListByTag(ctx, "all", &godo.ListOptions{Page: 9, PerPage: 3})), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", what, c.got, c.want)
		}
	}
}

func TestPages(t *testing.T) {
	r := newRig(t)
	var sizes []string
	opt := &godo.ListOptions{Page: 1, PerPage: 4}
	for range len(plans) {
		page, res, err := r.client.Sizes.List(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		if res.Meta.Total != len(plans)+len(gpuPlans) {
			t.Errorf("total %d", res.Meta.Total)
		}
		for _, s := range page {
			sizes = append(sizes, s.Slug)
		}
		if res.Links.IsLastPage() {
			break
		}
		n, err := res.Links.CurrentPage()
		if err != nil {
			t.Fatal(err)
		}
		opt.Page = n + 1
	}
	if len(sizes) != len(plans)+len(gpuPlans) || len(distinct(sizes)) != len(sizes) {
		t.Errorf("the pages have %v", sizes)
	}
}

func TestDelete(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err := r.client.Droplets.Get(t.Context(), d.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	_, err = r.client.Droplets.Delete(t.Context(), d.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	r.settle()
	if m := r.machines.machine(d.ID); m.on || m.spec.ID != "" {
		t.Errorf("the machine is still there: %+v", m)
	}
	if r.Live() != 0 {
		t.Errorf("%d droplets live", r.Live())
	}
}

func TestDeleteThatTakesTime(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Latency = func(kind string) time.Duration {
			if kind == typeDestroy {
				return time.Hour // Close ends the wait
			}
			return 0
		}
	})
	d := r.create("x")
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.get(d.ID); !got.Locked || got.Status != statusActive {
		t.Errorf("a droplet that is being deleted is %s, locked %v", got.Status, got.Locked)
	}
}

// TestAddresses holds that no two droplets share an address, however they come
// and go, and that a freed one rests.
func TestAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := state{Droplets: map[int]*dropletRow{}}
		var freed string
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if n := len(s.Droplets); n > 0 && rapid.Bool().Draw(t, "delete") {
				for id, d := range s.Droplets {
					freed = d.Addr.String()
					delete(s.Droplets, id)
					break
				}
				continue
			}
			elsewhere := netip.MustParseAddr("127.77.0.7") // another cloud's
			a, err := s.nextAddr(func(a netip.Addr) bool { return a != elsewhere })
			if err != nil {
				t.Fatal(err)
			}
			if a == elsewhere {
				t.Fatalf("address %s can't be used", a)
			}
			if b := a.As4(); b[0] != 127 || b[1] != 77 || b[3] < 2 || b[3] == 255 {
				t.Fatalf("address %s is none for a droplet", a)
			}
			if a.String() == freed {
				t.Fatalf("address %s is given out again at once", a)
			}
			for _, d := range s.Droplets {
				if d.Addr == a {
					t.Fatalf("address %s has two droplets", a)
				}
			}
			id := s.nextID()
			s.Droplets[id] = &dropletRow{ID: id, Addr: a}
		}
	})
}
