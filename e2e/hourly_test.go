package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// tenant is a client of the contract of servers by the hour.
type tenant struct {
	*customer
	email string
}

// micro is the document's own example of what to deploy.
var micro = in{"label": "my-bot", "planId": "vc2-1c-1gb", "regionId": "ams"}

// openHourly starts a Berth and registers somebody, who keeps the exchanges.
func openHourly(t *testing.T) (*house, *tenant) {
	h := newHouse(t)
	_, st := h.serve()
	fields := map[string]string{"accessToken": "<token>", "ipv4": "<address>", "rootPassword": "<password>", "sshPort": "<port>"}
	c := newCustomer(t, "hourly", "http://"+st.Address, "", fields)
	who := in{"email": "agent@example.com", "password": "min-8-chars"}
	out := c.step("register", "POST", "/auth/register", who, 201)
	c.needs(out, "accessToken", "user.id", "user.email", "user.balance")
	c.step("register-twice", "POST", "/auth/register", who, 409)
	out = c.step("login", "POST", "/auth/login", who, 200)
	c.needs(out, "accessToken", "user.id", "user.email", "user.balance")
	return h, &tenant{c.as(out["accessToken"].(string)), "agent@example.com"}
}

// TestHourly walks every endpoint of the contract of servers by the hour, and
// everything that it refuses.
func TestHourly(t *testing.T) {
	t.Parallel()
	h, c := openHourly(t)
	c.needs(c.step("me", "GET", "/auth/me", nil, 200), "user.id", "user.email", "user.balance")
	c.needs(c.step("billing", "GET", "/billing", nil, 200), "balance", "hourlySpend")

	server := c.servers()
	copied := c.backups(server)
	c.refusals(h, server)
	c.step("server-delete", "DELETE", "/servers/"+server, nil, 202)
	c.ends(server)
	c.step("server-get-destroyed", "GET", "/servers/"+server, nil, 200)
	c.step("backup-restore-expired", "POST", "/backups/"+copied+"/restore", nil, 409)

	// An hour each of the first server, of a fleet of two, of the restored one, and
	// of one to fill the limit.
	if out := c.do("GET", "/billing", nil, 200); out["balance"] != "9.9255" || out["hourlySpend"] != "0" {
		t.Errorf("at the end: %v", out)
	}
	c.tooMany()
	complete(t, "hourly", hourlyEndpoints, 200, 201, 202, 400, 401, 402, 403, 404, 409, 429)
	h.verify()
}

// hourlyEndpoints are the documented ones.
var hourlyEndpoints = []string{
	"POST /auth/register", "POST /auth/login", "GET /auth/me", "GET /billing", "GET /servers", "GET /servers/:id", "POST /servers",
	"POST /servers/bulk", "DELETE /servers/:id", "GET /backups", "POST /backups", "POST /backups/:id/restore", "DELETE /backups/:id",
}

// becomes waits until a server has a status. It asks natively, where no limit of
// requests is.
func (c *tenant) becomes(id, status string) {
	c.t.Helper()
	c.awaits("/v1/servers/"+id, strings.ToLower(status))
	if got := c.do("GET", "/servers/"+id, nil, 200)["server"].(in)["status"]; got != status {
		c.t.Errorf("%s is %v, want %s", id, got, status)
	}
}

// awaits waits until something has a status natively.
func (c *tenant) awaits(path, status string) {
	c.t.Helper()
	until(c.t, path+" is "+status, func() bool {
		got := c.do("GET", path, nil, 200)["status"]
		if got == "error" {
			c.t.Fatalf("%s has failed", path)
		}
		return got == status
	})
}

// ends waits until a server is destroyed.
func (c *tenant) ends(id string) {
	c.t.Helper()
	c.becomes(id, "DESTROYED")
}

// ids are the ids in a list of an answer.
func ids(out in, name string) (list []string) {
	for _, v := range out[name].([]any) {
		list = append(list, v.(in)["id"].(string))
	}
	return list
}

// servers deploys one and a fleet, and leaves the one.
func (c *tenant) servers() (id string) {
	c.step("server-list-none", "GET", "/servers", nil, 200)
	shape := []string{"id", "label", "status", "region", "plan", "ipv4", "hourlyPrice", "createdAt"}
	out := c.step("server-deploy", "POST", "/servers", micro, 202)
	c.needs(out["server"].(in), shape...)
	id = out["server"].(in)["id"].(string)
	c.becomes(id, "ACTIVE")
	out = c.step("server-get", "GET", "/servers/"+id, nil, 200)
	c.needs(out["server"].(in), append(shape, "rootPassword")...)
	c.step("server-list", "GET", "/servers", nil, 200)

	out = c.step("server-deploy-many", "POST", "/servers/bulk", in{"label": "fleet", "count": 2, "planId": "vc2-1c-1gb", "regionId": "ams"}, 202)
	for _, each := range ids(out, "servers") {
		c.becomes(each, "ACTIVE")
		c.do("DELETE", "/servers/"+each, nil, 202)
	}
	for _, each := range ids(out, "servers") {
		c.ends(each)
	}
	return id
}

// backups takes a backup of a server, restores it, and deletes it.
func (c *tenant) backups(server string) (id string) {
	out := c.step("backup-create", "POST", "/backups", in{"serverId": server}, 202)
	c.needs(out["backup"].(in), "id", "label", "status", "region", "plan", "createdAt", "expiresAt")
	id = out["backup"].(in)["id"].(string)
	c.awaits("/v1/snapshots/"+id, "available")
	c.step("backup-list", "GET", "/backups", nil, 200)
	out = c.step("backup-restore", "POST", "/backups/"+id+"/restore", nil, 202)
	restored := out["server"].(in)["id"].(string)
	c.becomes(restored, "ACTIVE")
	c.do("DELETE", "/servers/"+restored, nil, 202)
	c.ends(restored)
	c.step("backup-delete", "DELETE", "/backups/"+id, nil, 202)
	c.step("backup-list-expired", "GET", "/backups", nil, 200)
	return id
}

// refusals sends what the contract refuses.
func (c *tenant) refusals(h *house, server string) {
	c.step("invalid-all", "POST", "/servers", in{"label": "my bot", "planId": "huge", "regionId": "waw"}, 400)
	c.step("invalid-count", "POST", "/servers/bulk", in{"label": "fleet", "count": 11, "planId": "vc2-1c-1gb", "regionId": "ams"}, 400)
	c.step("invalid-account", "POST", "/auth/register", in{"email": "nobody", "password": "short"}, 400)
	c.step("wrong-password", "POST", "/auth/login", in{"email": c.email, "password": "another one"}, 401)
	forged := c.as(c.web.key[:strings.LastIndex(c.web.key, ".")] + ".c2lnbmF0dXJl")
	forged.step("wrong-token", "GET", "/billing", nil, 401)
	nobody := c.as("")
	nobody.step("no-token", "GET", "/servers/"+server, nil, 402)
	nobody.step("no-token-and-no-body", "POST", "/servers", nil, 402)
	poor := c.as(h.account("poor@example.com", "0.01"))
	poor.step("too-little-money", "POST", "/servers", micro, 402)
	poor.step("not-yours", "GET", "/servers/"+server, nil, 404)
	poor.step("not-yours-to-delete", "DELETE", "/servers/"+server, nil, 404)
	poor.step("not-yours-to-back-up", "POST", "/backups", in{"serverId": server}, 404)
	c.step("backup-not-found", "POST", "/backups/snap_000000000000000000000000/restore", nil, 404)

	h.run("account", "update", "poor@example.com", "--suspended")
	poor.step("suspended", "GET", "/servers", nil, 403)
	h.run("account", "update", c.email, "--servers", "2")
	out := c.do("POST", "/servers", micro, 202)
	c.step("server-limit", "POST", "/servers", micro, 403)
	second := out["server"].(in)["id"].(string)
	c.becomes(second, "ACTIVE")
	c.do("DELETE", "/servers/"+second, nil, 202)
	c.step("destroyed-already", "DELETE", "/servers/"+second, nil, 409)
	c.ends(second)
}

// tooMany logs in until that is refused. At the turn of a minute it takes twice
// as many tries.
func (c *tenant) tooMany() {
	c.t.Helper()
	wrong := in{"email": c.email, "password": "another one"}
	for range 30 {
		res := c.web.send(c.t, "POST", "/auth/login", wrong)
		if res.status != http.StatusTooManyRequests {
			continue
		}
		if res.header.Get("Retry-After") == "" {
			c.t.Error("the refusal does not say when to come again")
		}
		c.record(c.t, "POST", "/auth/login", wrong, res).compare(c.t, c.contract, "too-many-logins")
		return
	}
	c.t.Error("30 logins were tried without a refusal")
}
