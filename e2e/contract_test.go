package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// publicKey is a key that nobody has the private half of.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJb0mZ3pqjYF0mJ2V0G8dX3qk3v1i3o2n9y0y1x2w3v4"

// TestContract walks every endpoint of the native contract with its parameters,
// and checks statuses, the documented fields and exact prices.
func TestContract(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, st := h.serve()
	w := &walker{t: t, curl: web{"http://" + st.Address, h.account("walker@example.com", "5.00")}, recorder: newRecorder()}
	w.catalog()
	key := w.keys()
	small := w.servers(key, st.Shells)
	snap := w.snapshots(small)
	w.end(small, snap, key)

	// 0.001 the key, 0.02025 and 0.0575 the servers, 0.015 and 0.01 the
	// extensions, 0.01 the snapshot, 0.01 its retention, 0.02025 the restored
	// server, 0.005 each of a reboot and two changes of power.
	if b := w.balance(); b.Balance != "4.841" || b.Held != "0.00" || b.Spent != "0.159" {
		t.Errorf("at the end the balance is %+v", b)
	}
	h.verify()
}

// catalog needs no key.
func (w *walker) catalog() {
	key := w.curl.key
	w.curl.key = ""
	w.step("catalog-sizes", "GET", "/v1/catalog/sizes", nil, 200, "sizes.per_minute", "sizes.hourly", "sizes.create_fee",
		"sizes.vcpus", "sizes.memory_mb", "sizes.disk_gb")
	w.step("catalog-regions", "GET", "/v1/catalog/regions", nil, 200, "regions.slug", "regions.name")
	w.step("catalog-images", "GET", "/v1/catalog/images", nil, 200, "images.slug", "images.name")
	w.step("catalog-snapshot-pricing", "GET", "/v1/catalog/snapshot-pricing", nil, 200, "rate_per_gb_day", "minimum_charge",
		"free_retention_hours", "max_days")
	w.curl.key = key
}

func (w *walker) keys() (id string) {
	out := w.step("key-create", "POST", "/v1/keys", map[string]any{"name": "laptop", "public_key": publicKey + " me@laptop"}, 201,
		"id", "name", "fingerprint")
	w.step("key-list", "GET", "/v1/keys", nil, 200, "keys.id", "keys.name", "keys.fingerprint")
	return out["id"].(string)
}

// servers buys two: one with all defaults, and one with every parameter.
func (w *walker) servers(key string, shells bool) (small string) {
	returned := []string{"id", "status", "paid_until", "minutes_purchased", "total_charged"}
	out := w.step("server-create-defaults", "POST", "/v1/servers", map[string]any{"size": "small", "region": "nyc1", "label": "one"}, 201, returned...)
	small = out["id"].(string)
	w.wait(out)
	w.step("server-extend", "POST", "/v1/servers/"+small+"/extend", map[string]any{"minutes": 60}, 200,
		"id", "paid_until", "minutes_added", "charged")
	w.step("server-extend-minimum", "POST", "/v1/servers/"+small+"/extend", map[string]any{"minutes": 1}, 200)

	out = w.step("server-create", "POST", "/v1/servers", map[string]any{
		"size": "medium", "region": "ams3", "image": "debian-12-x64", "minutes": 10, "label": "two",
		"ssh_key_ids": []string{key}, "user_data": "#!/bin/sh\necho set up > /root/state\n",
	}, 201, returned...)
	medium := out["id"].(string)
	w.wait(out)
	w.step("server-list", "GET", "/v1/servers", nil, 200, "servers.id", "servers.status")
	w.step("server-get", "GET", "/v1/servers/"+medium, nil, 200,
		"id", "ip", "root_password", "remaining_minutes", "remaining_hours", "status", "paid_until")
	if shells {
		until(w.t, "the user data has run", func() bool {
			return w.curl.exec(w.t, medium, "cat /root/state 2>/dev/null; true") == "set up\n"
		})
		if got := w.curl.exec(w.t, medium, "cat /root/.ssh/authorized_keys"); !strings.Contains(got, publicKey) {
			w.t.Errorf("the key is not installed: %s", got)
		}
	}

	w.wait(w.step("server-reboot", "POST", "/v1/servers/"+medium+"/reboot", nil, 200))
	w.wait(w.step("server-power-off", "POST", "/v1/servers/"+medium+"/power", map[string]any{"action": "off"}, 200))
	w.wait(w.step("server-power-on", "POST", "/v1/servers/"+medium+"/power", map[string]any{"action": "on"}, 200))
	w.wait(w.step("server-delete", "DELETE", "/v1/servers/"+medium, nil, 200, "deleted", "snapshot.id", "snapshot.expires_in_hours"))
	return small
}

// snapshots takes one of a running server, keeps it longer and restores it.
func (w *walker) snapshots(server string) (id string) {
	out := w.step("server-snapshot", "POST", "/v1/servers/"+server+"/snapshot", map[string]any{"name": "before"}, 202,
		"id", "status", "expires_in_hours", "message")
	id = out["id"].(string)
	w.wait(out)
	w.step("snapshot-list", "GET", "/v1/snapshots", nil, 200, "snapshots.size_gb", "snapshots.expires_at", "snapshots.remaining_days")
	before := w.step("snapshot-get", "GET", "/v1/snapshots/"+id, nil, 200,
		"server_id", "size_gb", "region", "expires_at", "remaining_days", "created_at")
	out = w.step("snapshot-extend", "POST", "/v1/snapshots/"+id+"/extend", map[string]any{"days": 2}, 200,
		"id", "expires_at", "remaining_days", "days_added", "charged")
	if later(w.t, before["expires_at"], 48) != out["expires_at"] {
		w.t.Errorf("two days after %v is not %v", before["expires_at"], out["expires_at"])
	}
	out = w.step("server-restore", "POST", "/v1/servers", map[string]any{
		"size": "small", "region": "nyc1", "label": "three", "snapshot_id": id,
	}, 201)
	w.wait(out)
	w.wait(w.delete(out["id"].(string)))
	return id
}

// later is a time in an answer with hours added, as answers show times.
func later(t *testing.T, at any, hours int) string {
	t.Helper()
	text, _ := at.(string)
	then, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return then.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339Nano)
}

// delete destroys a server.
func (w *walker) delete(server string) (out map[string]any) {
	w.curl.do(w.t, http.MethodDelete, "/v1/servers/"+server, nil, &out)
	return out
}

func (w *walker) end(server, snap, key string) {
	w.wait(w.delete(server))
	w.wait(w.step("snapshot-delete", "DELETE", "/v1/snapshots/"+snap, nil, 200, "deleted"))
	w.step("key-delete", "DELETE", "/v1/keys/"+key, nil, 200, "deleted")
	w.step("server-list-none", "GET", "/v1/servers", nil, 200)
}
