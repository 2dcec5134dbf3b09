package hourly_test

import (
	"net/http"
	"testing"
	"time"

	"berth"
	"berth/ops"
	"berth/ops/opstest"
)

// hour is what an hour of the smallest plan costs.
const hour berth.Micros = 14_900

// TestSuspension lets the money run out, revives the server by credit, lets it
// run out again, and restores what is left in the end.
func TestSuspension(t *testing.T) {
	r := newRig(t)
	p := r.poor(2*hour + hour/2)
	id := r.deploy(p)
	r.Clock.Advance(time.Hour)
	r.attend()
	if got := r.status(p, id); got != "ACTIVE" {
		t.Fatalf("in its second hour it is %v", got)
	}
	r.Clock.Advance(time.Hour)
	r.attend()
	if got := r.status(p, id); got != "SUSPENDED" {
		t.Fatalf("without money it is %v", got)
	}
	if got := r.must(http.StatusOK, "GET", "/billing", p.Token, nil); got["hourlySpend"] != "0" || got["balance"] != (hour/2).String() {
		t.Errorf("while suspended: %v", got)
	}
	r.refused(http.StatusConflict, berth.Conflict, "POST", "/backups", p.Token, object{"serverId": id})
	r.credit(p, hour.String())
	r.attend()
	if got := r.status(p, id); got != "ACTIVE" {
		t.Fatalf("with money again it is %v", got)
	}
	r.Clock.Advance(time.Hour)
	r.attend()
	if got := r.status(p, id); got != "SUSPENDED" {
		t.Fatalf("without money again it is %v", got)
	}
	r.Clock.Advance(24 * time.Hour)
	r.attend()
	if got := r.status(p, id); got != "DESTROYED" {
		t.Fatalf("after its grace it is %v", got)
	}
	left := r.list("/backups", "backups", p)
	if len(left) != 1 || left[0]["status"] != "AVAILABLE" || left[0]["plan"] != "vc2-1c-1gb" || left[0]["region"] != "ams" {
		t.Fatalf("what is left: %v", left)
	}
	restore := "/backups/" + left[0]["id"].(string) + "/restore"
	r.refused(http.StatusPaymentRequired, berth.InsufficientBalance, "POST", restore, p.Token, nil)
	r.credit(p, "1.00")
	sv := r.part(r.must(http.StatusAccepted, "POST", restore, p.Token, nil), "server")
	r.Settle()
	if sv["label"] != left[0]["label"] || r.status(p, sv["id"].(string)) != "ACTIVE" {
		t.Errorf("restored %v", sv)
	}
	r.Verify()
}

// TestBackups follows a backup to the end of its retention, and one that is
// deleted before.
func TestBackups(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	server := r.deploy(p)
	before := r.Balance(p.ID).Available()
	fresh := r.part(r.must(http.StatusAccepted, "POST", "/backups", p.Token, object{"serverId": server}), "backup")
	id := fresh["id"].(string)
	if fresh["status"] != "PENDING" || fresh["label"] != "my-bot" || fresh["plan"] != "vc2-1c-1gb" || fresh["region"] != "ams" {
		t.Errorf("begun: %v", fresh)
	}
	r.refused(http.StatusConflict, berth.Conflict, "POST", "/backups/"+id+"/restore", p.Token, nil)
	r.Settle()
	other := r.backup(p, server)
	if got := r.Balance(p.ID).Available(); got != before {
		t.Errorf("the backups cost %s", before-got)
	}
	kept := r.list("/backups", "backups", p)
	if len(kept) != 2 || kept[1]["id"] != id || kept[1]["status"] != "AVAILABLE" {
		t.Fatalf("kept: %v", kept)
	}
	if expires, err := time.Parse(time.RFC3339, kept[0]["expiresAt"].(string)); err != nil || expires.Sub(r.Clock.Now()).Round(time.Hour) != 7*24*time.Hour {
		t.Errorf("expires at %s, %v", expires, err)
	}

	if out := r.must(http.StatusAccepted, "DELETE", "/backups/"+other, p.Token, nil); out["ok"] != true {
		t.Errorf("deleted: %v", out)
	}
	r.Settle()
	r.refused(http.StatusConflict, berth.Conflict, "POST", "/backups/"+other+"/restore", p.Token, nil)
	wantBackups(t, r, p, "EXPIRED", "AVAILABLE")
	r.Clock.Advance(24 * time.Hour)
	wantBackups(t, r, p, "AVAILABLE")
	r.Clock.Advance(6 * 24 * time.Hour)
	r.attend()
	wantBackups(t, r, p, "EXPIRED")
	r.refused(http.StatusConflict, berth.Conflict, "DELETE", "/backups/"+id, p.Token, nil)
	r.Clock.Advance(24 * time.Hour)
	wantBackups(t, r, p)
}

func wantBackups(t *testing.T, r *rig, p opstest.Principal, want ...string) {
	t.Helper()
	got := r.list("/backups", "backups", p)
	if len(got) != len(want) {
		t.Fatalf("backups: %v, want %v", got, want)
	}
	for i, b := range got {
		if b["status"] != want[i] {
			t.Errorf("backup %d is %v, want %s", i, b["status"], want[i])
		}
	}
}

// TestOnlyBackups hides snapshots of another kind, and names of the native API
// that are no labels here.
func TestOnlyBackups(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	server := r.deploy(p)
	snap := string(r.Must(p.Creds, "snapshot", opstest.Args{"server_id": server}).Out.(ops.SnapshotOut).ID)
	r.Settle()
	if got := r.list("/backups", "backups", p); len(got) != 0 {
		t.Errorf("backups: %v", got)
	}
	r.refused(http.StatusNotFound, berth.NotFound, "POST", "/backups/"+snap+"/restore", p.Token, nil)
	r.refused(http.StatusNotFound, berth.NotFound, "DELETE", "/backups/"+snap, p.Token, nil)

	named := string(r.Must(p.Creds, "snapshot", opstest.Args{"server_id": server, "class": "backup", "name": "before the upgrade"}).Out.(ops.SnapshotOut).ID)
	r.Settle()
	sv := r.part(r.must(http.StatusAccepted, "POST", "/backups/"+named+"/restore", p.Token, nil), "server")
	if sv["label"] != "before-the-upgrade" {
		t.Errorf("restored as %v", sv["label"])
	}
}

// TestToken lets an access token expire.
func TestToken(t *testing.T) {
	r := newRig(t)
	who := object{"email": "agent@example.com", "password": "correct horse"}
	token := r.must(http.StatusCreated, "POST", "/auth/register", "", who)["accessToken"].(string)
	r.Clock.Advance(15*time.Minute + time.Second)
	res, out := r.send("GET", "/billing", token, nil)
	if res.Status != http.StatusUnauthorized || out["code"] != string(berth.Unauthenticated) || res.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("after 15 minutes: %d %v", res.Status, out)
	}
	token = r.must(http.StatusOK, "POST", "/auth/login", "", who)["accessToken"].(string)
	r.must(http.StatusOK, "GET", "/billing", token, nil)
}
