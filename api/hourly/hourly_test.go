package hourly_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"berth"
	"berth/fleet"
	"berth/ops"
	"berth/ops/opstest"
)

// TestStory goes through the document from registering to an empty account.
func TestStory(t *testing.T) {
	r := newRig(t)
	who := object{"email": "agent@example.com", "password": "correct horse"}
	out := r.must(http.StatusCreated, "POST", "/auth/register", "", who)
	token, _ := out["accessToken"].(string)
	if user := r.part(out, "user"); user["email"] != "agent@example.com" || user["balance"] != "10.00" || user["id"] == "" {
		t.Errorf("registered %v", user)
	}
	r.refused(http.StatusConflict, berth.Conflict, "POST", "/auth/register", "", who)
	r.refused(http.StatusUnauthorized, berth.Unauthenticated, "POST", "/auth/login", "", with(who, "password", "wrong"))
	if again := r.must(http.StatusOK, "POST", "/auth/login", "", who); again["accessToken"] == "" {
		t.Errorf("logged in: %v", again)
	}
	p := opstest.Principal{Token: token, Creds: []ops.Credential{{Scheme: ops.BearerScheme, Token: token}}}
	if got := r.must(http.StatusOK, "GET", "/billing", token, nil); got["balance"] != "10.00" || got["hourlySpend"] != "0" {
		t.Errorf("billing: %v", got)
	}

	key := r.SSHKey(p)
	sv := r.part(r.must(http.StatusAccepted, "POST", "/servers", token, micro), "server")
	id := sv["id"].(string)
	if sv["status"] != "PROVISIONING" || sv["ipv4"] != nil || sv["label"] != "my-bot" || sv["region"] != "ams" || sv["plan"] != "vc2-1c-1gb" || sv["hourlyPrice"] != "0.0149" || sv["createdAt"] == "" {
		t.Errorf("deployed %v", sv)
	}
	r.Settle()
	sv = r.part(r.must(http.StatusOK, "GET", "/servers/"+id, token, nil), "server")
	if sv["status"] != "ACTIVE" || sv["ipv4"] == nil || sv["rootPassword"] == "" || sv["rootPassword"] == nil {
		t.Errorf("ready: %v", sv)
	}
	native := r.Must(p.Creds, "get_server", opstest.Args{"server_id": id}).Out.(ops.ServerView)
	if !slices.Equal(native.SSHKeyIDs, []berth.ID{key}) || native.Lease != "hourly" {
		t.Errorf("natively: keys %v, lease %s", native.SSHKeyIDs, native.Lease)
	}
	if listed := r.list("/servers", "servers", p); len(listed) != 1 || listed[0]["rootPassword"] != nil {
		t.Errorf("listed: %v", listed)
	}
	if got := r.must(http.StatusOK, "GET", "/billing", token, nil); got["hourlySpend"] != "0.0149" {
		t.Errorf("billing: %v", got)
	}
	if out := r.must(http.StatusAccepted, "DELETE", "/servers/"+id, token, nil); out["ok"] != true {
		t.Errorf("deleted: %v", out)
	}
	r.refused(http.StatusConflict, berth.Conflict, "DELETE", "/servers/"+id, token, nil)
	r.Settle()
	if got := r.status(p, id); got != "DESTROYED" {
		t.Errorf("it is %v in the end", got)
	}
	if me := r.part(r.must(http.StatusOK, "GET", "/auth/me", token, nil), "user"); me["balance"] != "9.9841" { // a key and an hour
		t.Errorf("in the end: %v", me)
	}
	if n := len(r.list("/servers", "servers", p)) + len(r.list("/backups", "backups", p)); n != 0 {
		t.Errorf("%d things are left", n)
	}
	r.Verify()
}

// TestStatuses shows a server in each of its states, and lists all but destroyed
// ones.
func TestStatuses(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	id := r.deploy(p)
	for status, want := range map[fleet.Status]string{
		fleet.Provisioning: "PROVISIONING", fleet.Active: "ACTIVE", fleet.Off: "SUSPENDED", fleet.Suspended: "SUSPENDED",
		fleet.Destroying: "DESTROYING", fleet.Destroyed: "DESTROYED", fleet.Failed: "ERROR",
	} {
		r.put(id, func(s *fleet.Server) { s.Status = status })
		if got := r.status(p, id); got != want {
			t.Errorf("%s is %v, want %s", status, got, want)
		}
		listed := r.list("/servers", "servers", p)
		if shown := len(listed) == 1 && listed[0]["status"] == want; shown != (status != fleet.Destroyed) {
			t.Errorf("listed when %s: %v", status, listed)
		}
	}
}

// TestFailed is rid of a server that never came up, which costs nothing.
func TestFailed(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	id := r.deploy(p)
	r.put(id, func(s *fleet.Server) { s.Status, s.Reason = fleet.Failed, "no machine came up" })
	sv := r.part(r.must(http.StatusOK, "GET", "/servers/"+id, p.Token, nil), "server")
	if sv["status"] != "ERROR" || sv["error"] != "no machine came up" || sv["ipv4"] != nil {
		t.Errorf("failed: %v", sv)
	}
	r.must(http.StatusAccepted, "DELETE", "/servers/"+id, p.Token, nil)
	r.Settle()
	if listed := r.list("/servers", "servers", p); len(listed) != 0 {
		t.Errorf("listed: %v", listed)
	}
}

// TestPages lists more servers than one page has.
func TestPages(t *testing.T) {
	const many = 21
	r := newRig(t)
	p := r.Principal()
	for i := range many {
		r.must(http.StatusAccepted, "POST", "/servers/bulk", p.Token, object{"label": fmt.Sprint("f", i), "count": 10, "planId": "vc2-1c-1gb", "regionId": "ams"})
	}
	seen := map[any]bool{}
	for _, s := range r.list("/servers", "servers", p) {
		seen[s["label"]] = true
	}
	if len(seen) != 10*many || !seen["f0-1"] || !seen["f20-10"] {
		t.Errorf("%d different servers are listed", len(seen))
	}
}

// TestIdempotency sends one deploy twice under a key.
func TestIdempotency(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	_, first := r.send("POST", "/servers", p.Token, micro, "Idempotency-Key", "k")
	_, again := r.send("POST", "/servers", p.Token, micro, "Idempotency-Key", "k")
	if a, b := r.part(first, "server")["id"], r.part(again, "server")["id"]; a != b {
		t.Errorf("%v and %v are two servers", a, b)
	}
	res, out := r.send("POST", "/servers", p.Token, with(micro, "label", "other"), "Idempotency-Key", "k")
	if res.Status != http.StatusConflict || out["code"] != string(berth.IdempotencyConflict) {
		t.Errorf("another body: %d %v", res.Status, out)
	}
}
