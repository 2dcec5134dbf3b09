package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"
)

func TestVPCs(t *testing.T) {
	r := newRig(t)
	vpcs := r.client.VPCs
	all, _, err := vpcs.List(t.Context(), &godo.ListOptions{PerPage: 200})
	if err != nil || len(all) != len(openRegions()) {
		t.Fatalf("%d VPCs in a new account, want a default one for each open region; %v", len(all), err)
	}
	for _, v := range all {
		if !v.Default {
			t.Errorf("VPC %+v is no default", v)
		}
	}
	v, res, err := vpcs.Create(t.Context(), &godo.VPCCreateRequest{Name: "net", RegionSlug: "nyc3", IPRange: "10.9.0.0/28", Description: "mine"})
	if err != nil || res.StatusCode != http.StatusCreated || v.IPRange != "10.9.0.0/28" || v.Default || v.URN != "do:vpc:"+v.ID {
		t.Fatalf("VPC %+v, %v", v, err)
	}
	free, _, err := vpcs.Create(t.Context(), &godo.VPCCreateRequest{Name: "any", RegionSlug: "nyc3"})
	if err != nil || netip.MustParsePrefix(free.IPRange).Bits() != vpcBits {
		t.Fatalf("a VPC without a range: %+v, %v", free, err)
	}
	d := r.create("x", func(q *godo.DropletCreateRequest) { q.VPCUUID = v.ID })
	if private, err := d.PrivateIPv4(); err != nil || private != "10.9.0.2" || d.VPCUUID != v.ID {
		t.Errorf("private address %q in VPC %s, %v", private, d.VPCUUID, err)
	}
	if n := d.Networks.V4[1]; n.Netmask != "255.255.255.240" || n.Gateway != "10.9.0.1" {
		t.Errorf("private network %+v", n)
	}
	members, _, err := vpcs.ListMembers(t.Context(), v.ID, nil, nil)
	if err != nil || len(members) != 1 || members[0].URN != d.URN() || members[0].Name != "x" {
		t.Errorf("members %v, %v", members, err)
	}
	if members, _, err = vpcs.ListMembers(t.Context(), v.ID, &godo.VPCListMembersRequest{ResourceType: "load_balancer"}, nil); err != nil || len(members) != 0 {
		t.Errorf("load balancers in the VPC: %v, %v", members, err)
	}
	_, err = vpcs.Delete(t.Context(), v.ID)
	refused(t, err, http.StatusConflict, "Can not delete VPC with members")
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	yes := true
	if got, _, err := vpcs.Update(t.Context(), v.ID, &godo.VPCUpdateRequest{Name: "net2", Default: &yes}); err != nil || got.Name != "net2" || !got.Default || got.Description != "mine" {
		t.Errorf("updated: %+v, %v", got, err)
	}
	_, err = vpcs.Delete(t.Context(), v.ID)
	refused(t, err, http.StatusForbidden, "Can not delete default VPCs")
	if got, _, err := vpcs.Set(t.Context(), free.ID, godo.VPCSetName("any2"), godo.VPCSetDefault()); err != nil || got.Name != "any2" || !got.Default {
		t.Errorf("set: %+v, %v", got, err)
	}
	if _, err := vpcs.Delete(t.Context(), v.ID); err != nil {
		t.Errorf("a VPC that is the default no more: %v", err)
	}
	_, _, err = vpcs.Get(t.Context(), v.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
}

func TestVPCsThatAreRefused(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		req     godo.VPCCreateRequest
		message string
	}{
		"region":  {godo.VPCCreateRequest{Name: "n", RegionSlug: "mars1"}, `Region "mars1" is not available`},
		"name":    {godo.VPCCreateRequest{Name: "a b", RegionSlug: "nyc3"}, "Name must have 1 to 255 letters, numbers, dashes and periods"},
		"taken":   {godo.VPCCreateRequest{Name: "default-nyc3", RegionSlug: "nyc3"}, "A VPC with the name default-nyc3 exists already"},
		"public":  {godo.VPCCreateRequest{Name: "n", RegionSlug: "nyc3", IPRange: "8.8.8.0/24"}, "ip_range must be a private IPv4 network, such as 10.10.10.0/24"},
		"no net":  {godo.VPCCreateRequest{Name: "n", RegionSlug: "nyc3", IPRange: "10.9.0.1/24"}, "ip_range must be a private IPv4 network, such as 10.10.10.0/24"},
		"small":   {godo.VPCCreateRequest{Name: "n", RegionSlug: "nyc3", IPRange: "10.9.0.0/29"}, "ip_range must have a prefix between /16 and /28"},
		"overlap": {godo.VPCCreateRequest{Name: "n", RegionSlug: "nyc3", IPRange: "10.104.1.0/24"}, "This range/size overlaps with another VPC network in your account: 10.104.0.0/20"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.client.VPCs.Create(t.Context(), &c.req)
			refused(t, err, http.StatusUnprocessableEntity, c.message)
		})
	}
	full, _, err := r.client.VPCs.Create(t.Context(), &godo.VPCCreateRequest{Name: "full", RegionSlug: "nyc3", IPRange: "10.9.0.0/28"})
	if err != nil {
		t.Fatal(err)
	}
	in := func(q *godo.DropletCreateRequest) { q.VPCUUID = full.ID }
	for range 13 { // 16 less the network, its gateway and the broadcast address
		r.create("x", in)
	}
	_, _, err = r.client.Droplets.Create(t.Context(), request("x", in))
	refused(t, err, http.StatusUnprocessableEntity, "The VPC full has no free address left")
	_, _, err = r.client.Droplets.Create(t.Context(), request("x", in, func(q *godo.DropletCreateRequest) { q.Region = "ams3" }))
	refused(t, err, http.StatusUnprocessableEntity, "Failed to resolve VPC")
}

// web lets the world in at a port.
func web(port string) []godo.InboundRule {
	return []godo.InboundRule{{Protocol: "tcp", PortRange: port, Sources: &godo.Sources{Addresses: []string{"0.0.0.0/0", "::/0"}}}}
}

func TestFirewalls(t *testing.T) {
	r := newRig(t)
	d := r.create("x", func(q *godo.DropletCreateRequest) { q.Tags = []string{"web"} })
	other := r.create("y")
	fws := r.client.Firewalls
	fw, res, err := fws.Create(t.Context(), &godo.FirewallRequest{
		Name: "front", InboundRules: append(web("80"), godo.InboundRule{Protocol: "icmp", Sources: &godo.Sources{Tags: []string{"web"}}}),
		OutboundRules: []godo.OutboundRule{{Protocol: "udp", PortRange: "all", Destinations: &godo.Destinations{Addresses: []string{"10.0.0.0/8"}}}},
		Tags:          []string{"web"},
	})
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("answered %v, %v", res, err)
	}
	if fw.Status != "succeeded" || fw.InboundRules[1].PortRange != "0" || fw.OutboundRules[0].PortRange != "0" {
		t.Errorf("firewall %+v", fw)
	}
	world := netip.MustParseAddr("203.0.113.7")
	if !r.admits(d.ID, 80, world) || r.admits(d.ID, 443, world) || !r.admits(other.ID, 443, world) {
		t.Error("the firewall is not that of its tag's droplets")
	}
	steps := []func() (*godo.Response, error){
		func() (*godo.Response, error) { return fws.AddDroplets(t.Context(), fw.ID, other.ID) },
		func() (*godo.Response, error) {
			return fws.AddRules(t.Context(), fw.ID, &godo.FirewallRulesRequest{InboundRules: web("8000-9000")})
		},
		func() (*godo.Response, error) { return fws.RemoveTags(t.Context(), fw.ID, "web") },
	}
	for i, step := range steps {
		if res, err := step(); err != nil || res.StatusCode != http.StatusNoContent {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if !r.admits(other.ID, 8080, world) || r.admits(other.ID, 443, world) || !r.admits(d.ID, 443, world) {
		t.Error("the changes of the firewall have no effect")
	}
	if of, _, err := fws.ListByDroplet(t.Context(), other.ID, nil); err != nil || len(of) != 1 || of[0].ID != fw.ID {
		t.Errorf("the droplet's firewalls: %v, %v", of, err)
	}
	if _, err := fws.RemoveRules(t.Context(), fw.ID, &godo.FirewallRulesRequest{InboundRules: web("8000-9000")}); err != nil {
		t.Fatal(err)
	}
	if _, err := fws.AddTags(t.Context(), fw.ID, "web"); err != nil {
		t.Fatal(err)
	}
	if _, err := fws.RemoveDroplets(t.Context(), fw.ID, other.ID); err != nil {
		t.Fatal(err)
	}
	got, _, err := fws.Get(t.Context(), fw.ID)
	if err != nil || len(got.InboundRules) != 2 || len(got.DropletIDs) != 0 || len(got.Tags) != 1 {
		t.Errorf("firewall %+v, %v", got, err)
	}
	got, _, err = fws.Update(t.Context(), fw.ID, &godo.FirewallRequest{Name: "back", InboundRules: web("22"), DropletIDs: []int{d.ID}})
	if err != nil || got.Name != "back" || len(got.Tags) != 0 || len(got.OutboundRules) != 0 {
		t.Errorf("replaced: %+v, %v", got, err)
	}
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	r.settle()
	if all, _, err := fws.List(t.Context(), nil); err != nil || len(all) != 1 || len(all[0].DropletIDs) != 0 {
		t.Errorf("after its droplet's end: %+v, %v", all, err)
	}
	if _, err := fws.Delete(t.Context(), fw.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = fws.Get(t.Context(), fw.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
}

func TestFirewallsThatAreRefused(t *testing.T) {
	r := newRig(t)
	if _, _, err := r.client.Firewalls.Create(t.Context(), &godo.FirewallRequest{Name: "taken", InboundRules: web("1")}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		req    godo.FirewallRequest
		status int
	}{
		"name":      {godo.FirewallRequest{Name: "-", InboundRules: web("22")}, 422},
		"same name": {godo.FirewallRequest{Name: "taken", InboundRules: web("22")}, 409},
		"no rules":  {godo.FirewallRequest{Name: "fw"}, 422},
		"droplet":   {godo.FirewallRequest{Name: "fw", InboundRules: web("22"), DropletIDs: []int{7}}, 422},
		"tag":       {godo.FirewallRequest{Name: "fw", InboundRules: web("22"), Tags: []string{"nope"}}, 422},
		"port":      {godo.FirewallRequest{Name: "fw", InboundRules: web("70000")}, 422},
		"range":     {godo.FirewallRequest{Name: "fw", InboundRules: web("20-10")}, 422},
		"words":     {godo.FirewallRequest{Name: "fw", InboundRules: web("ssh")}, 422},
		"protocol":  {godo.FirewallRequest{Name: "fw", InboundRules: []godo.InboundRule{{Protocol: "gre", Sources: &godo.Sources{Tags: []string{"t"}}}}}, 422},
		"nobody":    {godo.FirewallRequest{Name: "fw", InboundRules: []godo.InboundRule{{Protocol: "icmp", Sources: &godo.Sources{}}}}, 422},
		"address":   {godo.FirewallRequest{Name: "fw", InboundRules: []godo.InboundRule{{Protocol: "icmp", Sources: &godo.Sources{Addresses: []string{"home"}}}}}, 422},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.client.Firewalls.Create(t.Context(), &c.req)
			var e *godo.ErrorResponse
			if !errors.As(err, &e) || e.Response.StatusCode != c.status {
				t.Errorf("%v, want %d", err, c.status)
			}
		})
	}
}

func TestFirewallTakesTime(t *testing.T) {
	at := &clock{t: testTime}
	r := newRig(t, func(o *Options) {
		o.Now = at.now
		o.Latency = func(kind string) time.Duration { return map[string]time.Duration{typeFirewall: time.Minute}[kind] }
	})
	d := r.create("x")
	fw, _, err := r.client.Firewalls.Create(t.Context(), &godo.FirewallRequest{Name: "fw", InboundRules: web("22"), DropletIDs: []int{d.ID}})
	if err != nil || fw.Status != "waiting" || len(fw.PendingChanges) != 1 || fw.PendingChanges[0].DropletID != d.ID {
		t.Errorf("a new firewall: %+v, %v", fw, err)
	}
	at.advance(time.Minute)
	if fw, _, err = r.client.Firewalls.Get(t.Context(), fw.ID); err != nil || fw.Status != "succeeded" || len(fw.PendingChanges) != 0 {
		t.Errorf("a minute later: %+v, %v", fw, err)
	}
}

func ports(first, last int) string { return fmt.Sprintf("%d-%d", first, last) }

// TestRulesLetIn holds a rule against what its words mean.
func TestRulesLetIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.IntRange(1, 65535).Draw(t, "first")
		last := rapid.IntRange(first, 65535).Draw(t, "last")
		port := rapid.IntRange(1, 65535).Draw(t, "port")
		f := &firewallRow{Inbound: []inboundRule{{rule{"tcp", ports(first, last)}, peers{Addresses: []string{"10.0.0.0/8", "192.0.2.1"}}}}}
		if err := f.checkRules(); err != nil {
			t.Fatal(err)
		}
		within := first <= port && port <= last
		for from, known := range map[string]bool{"10.1.2.3": true, "192.0.2.1": true, "192.0.2.2": false, "::1": false} {
			if got := f.lets(port, netip.MustParseAddr(from)); got != (within && known) {
				t.Fatalf("ports %d to %d let %s in at %d: %v", first, last, from, port, got)
			}
		}
	})
}

func TestReservedIPs(t *testing.T) {
	r := newRig(t)
	d, other, far := r.create("x"), r.create("y"), r.create("far", func(q *godo.DropletCreateRequest) { q.Region = "ams3" })
	ips, acts := r.client.ReservedIPs, r.client.ReservedIPActions
	ip, res, err := ips.Create(t.Context(), &godo.ReservedIPCreateRequest{Region: "nyc3"})
	if err != nil || res.StatusCode != http.StatusAccepted || ip.Droplet != nil || ip.Region.Slug != "nyc3" || ip.Locked || ip.ProjectID == "" {
		t.Fatalf("reserved IP %+v, %v", ip, err)
	}
	a := r.completed(acts.Assign(t.Context(), ip.IP, d.ID))
	if a.Type != "assign_ip" || a.ResourceType != "reserved_ip" {
		t.Errorf("action %+v", a)
	}
	if got, _, err := ips.Get(t.Context(), ip.IP); err != nil || got.Droplet == nil || got.Droplet.ID != d.ID {
		t.Errorf("assigned: %+v, %v", got, err)
	}
	r.completed(acts.Assign(t.Context(), ip.IP, other.ID)) // it moves
	for _, c := range []struct {
		droplet, status int
	}{{far.ID, 422}, {other.ID, 422}, {7, 404}} {
		var e *godo.ErrorResponse
		if _, _, err := acts.Assign(t.Context(), ip.IP, c.droplet); !errors.As(err, &e) || e.Response.StatusCode != c.status {
			t.Errorf("to droplet %d: %v, want %d", c.droplet, err, c.status)
		}
	}
	r.completed(acts.Unassign(t.Context(), ip.IP))
	_, _, err = acts.Unassign(t.Context(), ip.IP)
	refused(t, err, http.StatusUnprocessableEntity, "The reserved IP is not assigned to a Droplet.")
	if all, _, err := acts.List(t.Context(), ip.IP, nil); err != nil || len(all) != 3 {
		t.Errorf("its actions: %v, %v", all, err)
	}
	if got, _, err := acts.Get(t.Context(), ip.IP, a.ID); err != nil || got.ID != a.ID {
		t.Errorf("its action: %v, %v", got, err)
	}

	second, res, err := ips.Create(t.Context(), &godo.ReservedIPCreateRequest{DropletID: d.ID})
	if err != nil || !second.Locked || len(res.Links.Actions) != 1 {
		t.Fatalf("for a droplet: %+v, %v", second, err)
	}
	r.settle()
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	r.settle()
	if got, _, err := ips.Get(t.Context(), second.IP); err != nil || got.Droplet != nil {
		t.Errorf("after its droplet's end: %+v, %v", got, err)
	}
	if all, _, err := ips.List(t.Context(), nil); err != nil || len(all) != 2 {
		t.Errorf("all: %v, %v", all, err)
	}
	if _, err := ips.Delete(t.Context(), ip.IP); err != nil {
		t.Fatal(err)
	}
	_, _, err = ips.Get(t.Context(), ip.IP)
	refused(t, err, http.StatusNotFound, msgNotFound)
	_, _, err = ips.Create(t.Context(), &godo.ReservedIPCreateRequest{Region: "mars1"})
	refused(t, err, http.StatusUnprocessableEntity, `region "mars1" is not available`)
}
