package instances_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/provider"
)

// TestStory goes through an instance's life by the document's own example, less
// the GPU that there is none of.
func TestStory(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	before := r.Balance(p.ID).Available()
	out := r.must(http.StatusCreated, "POST", "/instances", p.Token, r.order(nil))
	id := out["id"].(string)
	if out["type"] != "virtualmachine" || out["name"] != "my-port-forward-instance" || out["status"] != "running" {
		t.Errorf("created %v", out)
	}
	if has := out["resources"].(object); has["vcpu_count"] != json.Number("8") || has["ram_gb"] != json.Number("16") || has["storage_gb"] != json.Number("320") {
		t.Errorf("granted %v", has) // so-2vcpu-16gb has enough storage as well, and costs more
	}
	if spent := before - r.Balance(p.ID).Available(); spent.Decimal().String() != string(out["price_per_hr"].(json.Number)) {
		t.Errorf("an hour of %v cost %s", out["price_per_hr"], spent)
	}
	got := r.must(http.StatusOK, "GET", "/instances/"+id, p.Token, nil)
	if got["ip_address"] == nil || got["image"] != "ubuntu2404" || got["hostnode_id"] != r.node("Amsterdam") || got["created_at"] == nil || len(got["port_forwards"].([]any)) != 2 {
		t.Errorf("running: %v", got)
	}
	native := r.Must(p.Creds, "get_server", opstest.Args{"server_id": id}).Out.(ops.ServerView)
	if native.Lease != "hourly" || native.Contract != billing.Instances || len(native.SSHKeyIDs) != 1 || native.Region != "ams3" || native.Size != "s-8vcpu-16gb" {
		t.Errorf("natively: %+v", native)
	}
	if listed := r.must(http.StatusOK, "GET", "/instances", p.Token, nil)["instances"].([]any); len(listed) != 1 || fmt.Sprint(listed[0]) != fmt.Sprint(got) {
		t.Errorf("listed: %v", listed)
	}
	for _, step := range []struct{ method, path, status string }{
		{"POST", "/stop", "stopped"}, {"POST", "/start", "running"}, {"DELETE", "", "deleting"},
	} {
		out := r.must(http.StatusOK, step.method, "/instances/"+id+step.path, p.Token, nil)
		if out["status"] != step.status || out["id"] != id || out["name"] != "my-port-forward-instance" {
			t.Errorf("%s %s: %v", step.method, step.path, out)
		}
	}
	r.Settle()
	if got := r.must(http.StatusOK, "GET", "/instances/"+id, p.Token, nil); got["status"] != "deleted" || got["ip_address"] != nil {
		t.Errorf("in the end: %v", got)
	}
	if n := len(r.Must(p.Creds, "list_snapshots", nil).Out.(ops.SnapshotsOut).Snapshots); n != 0 {
		t.Errorf("%d snapshots are left", n)
	}
	r.Verify()
}

// TestGranted buys all kinds of resources: the size that is granted has them, no
// cheaper one does, and it is billed at its price, which covers its cost.
func TestGranted(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	r.Must(opstest.Operator, "credit_account", opstest.Args{"account": p.Email, "amount": "10000.00"})
	key, node := string(r.SSHKey(p)), r.node("Amsterdam")
	var kinds []string
	for _, m := range r.Catalog.Machines {
		if m.GPU.Count > 0 && !slices.Contains(kinds, m.GPU.Name) {
			kinds = append(kinds, m.GPU.Name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := billing.Machine{
			VCPUs:    rapid.OneOf(rapid.IntRange(1, 8), rapid.IntRange(1, 200)).Draw(t, "vCPUs"),
			MemoryMB: 1024 * rapid.OneOf(rapid.IntRange(1, 16), rapid.IntRange(1, 2000)).Draw(t, "GB"),
			DiskGB:   rapid.OneOf(rapid.IntRange(1, 400), rapid.IntRange(1, 5000)).Draw(t, "disk"),
		}
		resources := object{"vcpu_count": want.VCPUs, "ram_gb": want.MemoryMB / 1024, "storage_gb": want.DiskGB}
		if rapid.Bool().Draw(t, "with GPUs") {
			want.GPU = billing.GPU{Name: rapid.SampledFrom(kinds).Draw(t, "kind"), Count: rapid.IntRange(1, 9).Draw(t, "GPUs")}
			resources["gpus"] = object{want.GPU.Name: object{"count": want.GPU.Count}}
		}
		least := cheapest(r.prices(), want)
		before := r.Balance(p.ID).Available()
		status, out, _ := r.send("POST", "/instances", p.Token, r.order(object{"ssh_key_id": key, "hostnode_id": node, "resources": resources}))
		if least == nil {
			if status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(out), "no instance has") {
				t.Fatalf("more than there is: %d %v", status, out)
			}
			return
		}
		if status != http.StatusCreated {
			t.Fatalf("%v: %d %v", resources, status, out)
		}
		data := out["data"].(object)
		got := r.Must(p.Creds, "get_server", opstest.Args{"server_id": data["id"]}).Out.(ops.ServerView)
		z, err := r.prices().Size(got.Size)
		if err != nil {
			t.Fatal(err)
		}
		if !has(z.Machine, want) || z.Hourly > least.Hourly {
			t.Errorf("%+v is granted %s at %s; %s costs %s", want, z.Slug, z.Hourly, least.Slug, least.Hourly)
		}
		if cost := z.Machine.HourlyCost; z.Hourly*100 < cost*berth.Micros(100+r.prices().Margin) {
			t.Errorf("%s costs %s and is sold for %s", z.Slug, cost, z.Hourly)
		}
		if spent := before - r.Balance(p.ID).Available(); spent != z.Hourly || string(data["price_per_hr"].(json.Number)) != spent.Decimal().String() {
			t.Errorf("%s spent, at %v", spent, data["price_per_hr"])
		}
		shown := data["resources"].(object)
		if said(shown, "vcpu_count", "ram_gb", "storage_gb") != fmt.Sprintln(z.Machine.VCPUs, z.Machine.MemoryMB/1024, z.Machine.DiskGB) || len(shown["gpus"].(object)) != min(z.Machine.GPU.Count, 1) {
			t.Errorf("%s is shown as %v", z.Slug, shown)
		}
		r.must(http.StatusOK, "DELETE", "/instances/"+data["id"].(string), p.Token, nil)
	})
	r.Settle()
	r.Verify()
}

// has tells whether a machine has what is wanted, and GPUs only if they are.
func has(m, want billing.Machine) bool {
	gpus := m.GPU.Count == 0
	if want.GPU.Count > 0 {
		gpus = m.GPU.Name == want.GPU.Name && m.GPU.Count >= want.GPU.Count
	}
	return gpus && m.VCPUs >= want.VCPUs && m.MemoryMB >= want.MemoryMB && m.DiskGB >= want.DiskGB
}

// cheapest is a cheapest size that has what is wanted; nil for none.
func cheapest(l *billing.PriceList, want billing.Machine) (least *billing.Size) {
	for _, z := range l.Sizes {
		if has(z.Machine, want) && (least == nil || z.Hourly < least.Hourly) {
			least = &z
		}
	}
	return least
}

// said are an object's fields as a line.
func said(o object, names ...string) string {
	values := make([]any, len(names))
	for i, name := range names {
		values[i] = o[name]
	}
	return fmt.Sprintln(values...)
}

// TestHostNodes: host nodes are the regions, with what they have now.
func TestHostNodes(t *testing.T) {
	r := newRig(t)
	list := r.must(http.StatusOK, "GET", "/hostnodes", "", nil)["hostnodes"].([]any)
	if len(list) != len(r.Catalog.Regions) {
		t.Errorf("%d host nodes of %d regions", len(list), len(r.Catalog.Regions))
	}
	first := list[0].(object)
	// The ids never change: clients keep them.
	if first["id"] != "077b5e8b-465b-5e5d-b3ba-0a146cafb0a9" || first["location_id"] != "4d59e400-23bd-517b-9ecc-b96873a67e35" || first["location"].(object)["uuid"] != first["location_id"] {
		t.Errorf("ids: %v", first)
	}
	if pricing := first["pricing"].(object); said(pricing, "per_vcpu_hr", "per_gb_ram_hr", "per_gb_storage_hr") != "0.0075 0.004 0.0001\n" {
		t.Errorf("prices: %v", pricing)
	}
	can := first["available_resources"].(object)
	if said(can, "vcpu_count", "ram_gb", "storage_gb") != "40 256 4800\n" || len(can["gpus"].([]any)) != 5 || can["available_ports"] != nil {
		t.Errorf("resources before the cloud was asked: %v", can)
	}
	for _, v := range can["gpus"].([]any) {
		if g := v.(object); g["v0Name"] == "h100-sxm5-80gb" && said(g, "availableCount", "price_per_hr") != "8 2.7165\n" {
			t.Errorf("GPUs: %v", g)
		}
	}
	r.refresh()
	one := r.must(http.StatusOK, "GET", "/hostnodes/"+strings.ToUpper(first["id"].(string)), "", nil)
	can = one["available_resources"].(object)
	ports := can["available_ports"].([]any)
	if said(can, "vcpu_count", "ram_gb", "storage_gb") != "4 8 160\n" || len(can["gpus"].([]any)) != 0 || len(ports) != 100 || fmt.Sprintln(ports[0], ports[99]) != "20000 20099\n" {
		t.Errorf("what the cloud has: %v", can)
	}
	for name, of := range map[string]object{
		"uptime_percentage": one, "network_speed_gbps": one["location"].(object), "network_speed_upload_gbps": one["location"].(object), "tier": one["location"].(object),
	} {
		if v, ok := of[name]; !ok || v != nil {
			t.Errorf("%s, which nobody knows, is %v", name, v)
		}
	}
	frankfurt := r.must(http.StatusOK, "GET", "/hostnodes/"+r.node("Frankfurt"), "", nil)["available_resources"].(object)
	if said(frankfurt, "vcpu_count") != "0\n" || len(frankfurt["gpus"].([]any)) != 0 {
		t.Errorf("where the cloud has nothing: %v", frankfurt)
	}
	r.refused(http.StatusNotFound, berth.NotFound, "GET", "/hostnodes/hn-uuid-12345", "", nil)
}

// TestCapacity: what is not to be had is replaced by the next size that is, and
// where there is none the refusal names the host nodes that have one.
func TestCapacity(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	two := object{"vcpu_count": 2, "ram_gb": 4, "storage_gb": 80}
	first := r.order(object{"resources": two, "hostnode_id": r.node("San Francisco")})
	_, bought, _ := r.send("POST", "/instances", p.Token, first, "Idempotency-Key", "once")
	r.refresh()
	status, again, h := r.send("POST", "/instances", p.Token, first, "Idempotency-Key", "once")
	if status != http.StatusCreated || fmt.Sprint(again) != fmt.Sprint(bought) || h.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %d %v, at first %v", status, again, bought)
	}
	other := r.order(object{"resources": small, "hostnode_id": r.node("San Francisco")})
	if status, out, _ := r.send("POST", "/instances", p.Token, other, "Idempotency-Key", "once"); status != http.StatusConflict || !strings.Contains(fmt.Sprint(out), string(berth.IdempotencyConflict)) {
		t.Errorf("another request under the same key: %d %v", status, out)
	}
	out := r.must(http.StatusCreated, "POST", "/instances", p.Token, r.order(object{"resources": two, "hostnode_id": r.node("San Francisco")}))
	if out["resources"].(object)["vcpu_count"] != json.Number("4") {
		t.Errorf("instead of what is sold out: %v", out)
	}
	details, _ := r.refused(http.StatusConflict, berth.OutOfCapacity, "POST", "/instances", p.Token, r.order(object{"resources": two}))
	if !strings.Contains(details, r.node("San Francisco")) || strings.Contains(details, r.node("Amsterdam")) {
		t.Errorf("instead of Amsterdam: %s", details)
	}
	h100 := with(two, "gpus", object{"h100-sxm5-80gb": object{"count": 1}})
	if details, _ = r.refused(http.StatusConflict, berth.OutOfCapacity, "POST", "/instances", p.Token, r.order(object{"resources": h100})); !strings.Contains(details, "none at present") {
		t.Errorf("GPUs that nobody has: %s", details)
	}
	r.Cloud.Standing = provider.Account{Standing: provider.Good, MachineLimit: 1, Machines: 1}
	r.Clock.Advance(2 * time.Hour)
	r.refresh()
	if status, out, h := r.send("POST", "/instances", p.Token, r.order(object{"resources": small})); status != http.StatusConflict || h.Get("Retry-After") == "" {
		t.Errorf("where nothing can be made: %d %v", status, out)
	}
}

// with is a JSON object with another field.
func with(o object, name string, value any) object {
	out := object{name: value}
	for k, v := range o {
		if k != name {
			out[k] = v
		}
	}
	return out
}

// TestKeys: a key that comes along is registered once, and installed.
func TestKeys(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	public := opstest.PublicKey() + " me@laptop"
	var used []berth.ID
	for range 2 {
		out := r.must(http.StatusCreated, "POST", "/instances", p.Token, r.order(object{"resources": small, "ssh_key": public}))
		used = append(used, r.Must(p.Creds, "get_server", opstest.Args{"server_id": out["id"]}).Out.(ops.ServerView).SSHKeyIDs...)
	}
	if keys := r.Must(p.Creds, "list_ssh_keys", nil).Out.(ops.KeysOut).Keys; len(keys) != 1 || !slices.Equal(used, []berth.ID{keys[0].ID, keys[0].ID}) {
		t.Errorf("registered %v, installed %v", keys, used)
	}
	out := r.must(http.StatusCreated, "POST", "/instances", p.Token, r.order(object{"resources": small, "ssh_key": nil, "ssh_key_id": string(used[0])}))
	if got := r.Must(p.Creds, "get_server", opstest.Args{"server_id": out["id"]}).Out.(ops.ServerView).SSHKeyIDs; !slices.Equal(got, used[:1]) {
		t.Errorf("installed by id: %v", got)
	}
}

// TestFailure: an instance that can't be made costs nothing, and is listed as what
// it is.
func TestFailure(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	r.Cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
	r.refused(http.StatusServiceUnavailable, berth.Unavailable, "POST", "/instances", p.Token, r.order(object{"resources": small}))
	listed := r.must(http.StatusOK, "GET", "/instances", p.Token, nil)["instances"].([]any)
	if len(listed) != 1 || listed[0].(object)["status"] != "error" || listed[0].(object)["error"] == nil {
		t.Errorf("listed: %v", listed)
	}
	r.must(http.StatusOK, "DELETE", "/instances/"+listed[0].(object)["id"].(string), p.Token, nil)
	r.Settle()
	if listed := r.must(http.StatusOK, "GET", "/instances", p.Token, nil)["instances"].([]any); len(listed) != 0 {
		t.Errorf("listed in the end: %v", listed)
	}
	if a := r.Balance(p.ID); a.Available() != opstest.Credit || a.Held != 0 {
		t.Errorf("the balance is %s, and %s is held", a.Available(), a.Held)
	}
	r.Verify()
}

// TestPorts: ports out of range, and one that leads to two, are refused.
func TestPorts(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	many := make([]object, fleet.MaxForwards+1)
	for i := range many {
		many[i] = object{"internal_port": 80, "external_port": fleet.FirstForward + i}
	}
	for name, ports := range map[string][]object{
		"below the range": {{"internal_port": 80, "external_port": 19999}},
		"above the range": {{"internal_port": 80, "external_port": 20100}},
		"no port":         {{"internal_port": 0, "external_port": 20000}},
		"no such port":    {{"internal_port": 65536, "external_port": 20000}},
		"half a forward":  {{"internal_port": 80}},
		"one to two":      {{"internal_port": 80, "external_port": 20000}, {"internal_port": 22, "external_port": 20000}},
		"too many":        many,
	} {
		t.Run(name, func(t *testing.T) {
			_, pointers := r.refused(http.StatusBadRequest, berth.InvalidInput, "POST", "/instances", p.Token, r.order(object{"port_forwards": ports, "resources": small}))
			if len(pointers) != 1 || !strings.HasPrefix(pointers[0], "/data/attributes/port_forwards") {
				t.Errorf("wrong is %v", pointers)
			}
		})
	}
	two := []object{{"internal_port": 80, "external_port": 20000}, {"internal_port": 80, "external_port": 20099}}
	r.must(http.StatusCreated, "POST", "/instances", p.Token, r.order(object{"port_forwards": two, "resources": small}))
}
