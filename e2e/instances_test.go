package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lodger is a client of the contract of instances.
type lodger struct{ *customer }

// openInstances starts a Berth with an account that has credit, whose exchanges
// are kept.
func openInstances(t *testing.T) (*house, status, lodger) {
	h := newHouse(t)
	_, st := h.serve()
	fields := map[string]string{"ip_address": "<address>"}
	return h, st, lodger{newCustomer(t, "instances", "http://"+st.Address+"/api/v2", h.account("agent@example.com", "10"), fields)}
}

// request is the document's own example, less the GPU that there is none of.
func (c lodger) request(changes in) in {
	attributes := in{
		"name": "my-port-forward-instance", "type": "virtualmachine", "image": "ubuntu2404", "hostnode_id": withGPUs,
		"resources":     in{"vcpu_count": 2, "ram_gb": 4, "storage_gb": 300},
		"port_forwards": []in{{"internal_port": 22, "external_port": 20000}, {"internal_port": 80, "external_port": 20001}},
		"cloud_init": in{
			"runcmd": []string{"echo 'Hello World'", servePage}, "packages": []string{"curl", "git"}, "package_update": true, "package_upgrade": false,
		},
	}
	for name, v := range changes {
		attributes[name] = v
	}
	return in{"data": in{"type": "virtualmachine", "attributes": attributes}}
}

// servePage is a command that serves a page at port 80, with what all machines
// have.
const servePage = `nohup perl -MIO::Socket::INET -e 'my $l = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die; while (my $c = $l->accept) { while (<$c>) { last if /^\r?$/ } print $c "HTTP/1.0 200 OK\r\n\r\nHello World"; close $c }' >/dev/null 2>&1 &`

// Host nodes of the cloud in a box: one has GPUs and the other has none.
const (
	withGPUs    = "31dce25a-61f4-5753-b17b-20ca7704f7ab"
	withoutGPUs = "077b5e8b-465b-5e5d-b3ba-0a146cafb0a9"
)

// TestInstances walks every endpoint of the contract of instances, and everything
// that it refuses.
func TestInstances(t *testing.T) {
	t.Parallel()
	h, st, c := openInstances(t)
	until(t, "the cloud's catalog was read", func() bool {
		res := web{base: strings.TrimSuffix(c.web.base, "/api/v2")}.get(t, "/v1/offers?available_only=true&limit=1")
		return strings.Contains(string(res.body), "offer_")
	})
	nobody := lodger{c.as("")}
	out := nobody.step("hostnode-list", "GET", "/hostnodes", nil, 200)
	shape := []string{
		"id", "location_id", "engine", "uptime_percentage", "available_resources.gpus.v0Name", "available_resources.gpus.availableCount",
		"available_resources.gpus.price_per_hr", "available_resources.vcpu_count", "available_resources.ram_gb", "available_resources.storage_gb",
		"pricing.per_vcpu_hr", "pricing.per_gb_ram_hr", "pricing.per_gb_storage_hr", "location.uuid", "location.city", "location.stateprovince",
		"location.country", "location.has_network_storage", "location.network_speed_gbps", "location.network_speed_upload_gbps",
		"location.organization", "location.organizationName", "location.tier",
	}
	for _, n := range out["data"].(in)["hostnodes"].([]any) {
		if n.(in)["id"] == withGPUs {
			c.needs(n.(in), shape...)
		}
	}
	out = nobody.step("hostnode-get", "GET", "/hostnodes/"+withGPUs, nil, 200)
	for _, field := range append(shape, "available_resources.available_ports") {
		c.needs(out, "data."+field)
	}
	id := c.lives(st)
	c.refusals(h, id)
	c.step("instance-delete", "DELETE", "/instances/"+id, nil, 200)
	until(t, id+" is deleted", func() bool {
		return c.do("GET", "/instances/"+id, nil, 200)["data"].(in)["status"] == "deleted"
	})
	c.step("instance-get-deleted", "GET", "/instances/"+id, nil, 200)
	c.step("deleted-already", "DELETE", "/instances/"+id, nil, 409)
	tooMany(t)
	complete(t, "instances", instanceEndpoints, 200, 201, 400, 401, 402, 403, 404, 405, 409, 429)
	h.verify()
}

// instanceEndpoints are the documented ones, and those that are added in their
// style.
var instanceEndpoints = []string{
	"GET /hostnodes", "GET /hostnodes/:id", "POST /instances", "GET /instances", "GET /instances/:id",
	"POST /instances/:id/start", "POST /instances/:id/stop", "DELETE /instances/:id",
}

// lives creates an instance, opens its page, stops it and starts it.
func (c lodger) lives(st status) (id string) {
	c.step("instance-list-none", "GET", "/instances", nil, 200)
	out := c.step("instance-create", "POST", "/instances", c.request(in{"ssh_key": publicKey}), 201)
	c.needs(out, "data.type", "data.id", "data.name", "data.status", "data.resources", "data.price_per_hr")
	id = out["data"].(in)["id"].(string)
	out = c.step("instance-get", "GET", "/instances/"+id, nil, 200)
	c.step("instance-list", "GET", "/instances", nil, 200)
	if st.Shells {
		c.shows(fmt.Sprintf("http://%v:20001/", out["data"].(in)["ip_address"]), "Hello World")
	}
	c.step("stop", "POST", "/instances/"+id+"/stop", nil, 200)
	c.step("stopped-already", "POST", "/instances/"+id+"/stop", nil, 409)
	c.step("instance-get-stopped", "GET", "/instances/"+id, nil, 200)
	c.step("start", "POST", "/instances/"+id+"/start", nil, 200)
	return id
}

// shows waits until a page is served.
func (c lodger) shows(url, page string) {
	c.t.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	until(c.t, url+" shows its page", func() bool {
		res, err := client.Get(url)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return err == nil && string(text) == page
	})
}

// refusals sends what the contract refuses.
func (c lodger) refusals(h *house, id string) {
	with := func(changes in) in {
		if changes["ssh_key_id"] == nil && changes["ssh_key"] == nil {
			changes["ssh_key"] = publicKey
		}
		return c.request(changes)
	}
	sized := func(node string, storage, count int, gpu string) in {
		return with(in{"hostnode_id": node, "resources": in{"vcpu_count": 2, "ram_gb": 4, "storage_gb": storage, "gpus": in{gpu: in{"count": count}}}})
	}
	for _, r := range []struct {
		name string
		body in
	}{
		{"both-keys", with(in{"ssh_key": publicKey, "ssh_key_id": "key_000000000000000000000000"})},
		{"no-key", c.request(nil)},
		{"unknown-image", with(in{"image": "plan9"})},
		{"unknown-hostnode", with(in{"hostnode_id": "hn-uuid-12345"})},
		{"unknown-gpu", sized(withGPUs, 300, 1, "geforcertx4090-pcie-24gb")},
		{"too-large", sized(withGPUs, 100_000, 1, "h100-sxm5-80gb")},
		{"bad-name-and-ports", with(in{"name": "my instance", "port_forwards": []in{{"internal_port": 0, "external_port": 80}}})},
		{"port-twice", with(in{"port_forwards": []in{{"internal_port": 22, "external_port": 20000}, {"internal_port": 80, "external_port": 20000}}})},
	} {
		c.step(r.name, "POST", "/instances", r.body, 400)
	}
	c.step("too-little-money", "POST", "/instances", sized(withGPUs, 300, 8, "h100-sxm5-80gb"), 402)
	c.step("not-to-be-had-there", "POST", "/instances", sized(withoutGPUs, 300, 1, "h100-sxm5-80gb"), 409)
	c.step("unknown-key", "POST", "/instances", with(in{"ssh_key_id": "key_000000000000000000000000"}), 404)
	c.step("not-found", "GET", "/instances/srv_000000000000000000000000", nil, 404)
	c.step("hostnode-not-found", "GET", "/hostnodes/hn-uuid-12345", nil, 404)
	c.step("no-such-method", "PUT", "/instances/"+id, nil, 405)
	c.step("no-such-path", "GET", "/volumes", nil, 404)

	nobody := c.as("")
	nobody.step("no-credential", "GET", "/instances/"+id, nil, 402)
	nobody.step("no-credential-and-no-body", "POST", "/instances", nil, 402)
	c.as("berth_wrong").step("wrong-credential", "GET", "/instances", nil, 401)
	other := lodger{c.as(h.account("other@example.com", "1"))}
	other.step("not-yours", "GET", "/instances/"+id, nil, 404)
	other.step("not-yours-to-stop", "POST", "/instances/"+id+"/stop", nil, 404)
	other.step("not-yours-to-start", "POST", "/instances/"+id+"/start", nil, 404)
	other.step("not-yours-to-delete", "DELETE", "/instances/"+id, nil, 404)
	h.run("account", "update", "agent@example.com", "--servers", "1")
	c.step("instance-limit", "POST", "/instances", with(in{}), 403)
	h.run("account", "update", "other@example.com", "--suspended")
	other.step("suspended", "GET", "/instances", nil, 403)
}

// tooMany asks a Berth that takes a request a second until it refuses.
func tooMany(t *testing.T) {
	t.Helper()
	h := newHouse(t)
	h.env = append(h.env, "BERTH_RATE_LIMIT=1")
	_, st := h.serve()
	c := newCustomer(t, "instances", "http://"+st.Address+"/api/v2", "", nil)
	for range 30 {
		res := c.web.get(t, "/hostnodes")
		if res.status != http.StatusTooManyRequests {
			continue
		}
		if res.header.Get("Retry-After") == "" {
			t.Error("the refusal does not say when to come again")
		}
		c.record(t, "GET", "/hostnodes", nil, res).compare(t, c.contract, "too-many-requests")
		return
	}
	t.Error("30 requests at once were answered")
}
