package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestThreeFronts buys a server over MCP, extends it over HTTP, and destroys it
// from the command line: one server, one statement, one ledger.
func TestThreeFronts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	host, _ := h.host(t)
	var sv server
	host.call("create_server", map[string]any{"size": "small", "region": "nyc1", "minutes": 60, "label": "shared"}, &sv)
	if sv.Status != "active" {
		t.Fatalf("the server is %s", sv.Status)
	}

	st := h.ready()
	curl := web{"http://" + st.Address, h.key("local")}
	var extended struct {
		PaidUntil string `json:"paid_until"`
		Added     int    `json:"minutes_added"`
		Charged   string `json:"charged"`
	}
	curl.do(t, http.MethodPost, "/v1/servers/"+sv.ID+"/extend", map[string]any{"minutes": 30}, &extended)
	if extended.Added != 30 || extended.PaidUntil <= sv.PaidUntil {
		t.Errorf("extended: %+v, paid until %s before", extended, sv.PaidUntil)
	}
	var seen server
	host.call("get_server", map[string]any{"server_id": sv.ID}, &seen)
	if seen.PaidUntil != extended.PaidUntil {
		t.Errorf("MCP sees it paid until %s, HTTP %s", seen.PaidUntil, extended.PaidUntil)
	}
	if st.Shells {
		host.call("upload_file", map[string]any{"server_id": sv.ID, "path": "/root/note", "content": "over MCP"}, nil)
		if got := curl.exec(t, sv.ID, "cat /root/note"); got != "over MCP" {
			t.Errorf("HTTP reads %q", got)
		}
	}

	if list := h.servers(); len(list) != 1 || list[0].ID != sv.ID {
		t.Errorf("the command line lists %v", list)
	}
	var gone struct {
		Status   string `json:"status"`
		Snapshot struct {
			ID string `json:"id"`
		} `json:"snapshot"`
	}
	h.ask(&gone, "servers", "destroy", sv.ID)
	if gone.Status != "destroyed" || gone.Snapshot.ID == "" {
		t.Errorf("destroyed: %+v", gone)
	}
	if list := h.servers(); len(list) != 0 {
		t.Errorf("after the destroy there are %v", list)
	}

	s := h.statement("local")
	want := "create_server " + sv.Charged + ", extend " + extended.Charged
	if got := strings.Join(s.charges(sv.ID), ", "); got != want || s.Closing.Held != "0.00" {
		t.Errorf("charges %q, held %s; want %q and nothing held", got, s.Closing.Held, want)
	}
	h.verify()
	h.stop()
	if left := h.droplets(sv.ID); len(left) != 0 {
		t.Errorf("droplets %v are left in the cloud", left)
	}
}

// TestTwoHosts connects two agent hosts to one data directory, and kills one in
// the middle of its purchase.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, doomed := h.host(t)
	second, _ := h.host(t)
	if st := h.ready(); st.Hosts != 2 || !st.Detached {
		t.Errorf("status: %+v, want two hosts and a detached process", st)
	}

	var kept server
	first.call("create_server", map[string]any{"size": "small", "region": "ams3", "label": "kept"}, &kept)
	var list struct{ Servers []server }
	second.call("list_servers", map[string]any{}, &list)
	if len(list.Servers) != 1 || list.Servers[0].ID != kept.ID {
		t.Fatalf("the second host sees %v, not %s", list.Servers, kept.ID)
	}

	// Kill the first host's process as soon as it hears of its next purchase.
	lost := make(chan error, 1)
	go func() {
		_, err := first.try(t.Context(), "doomed", "create_server", map[string]any{"size": "small", "region": "nyc1", "label": "orphan"})
		lost <- err
	}()
	until(t, "the purchase has begun", func() bool { return len(first.notices("doomed")) > 0 })
	doomed.kill()
	if err := <-lost; err == nil {
		t.Error("the killed host got an answer: it was killed too late to tell anything")
	}

	until(t, "the second host sees one host less", func() bool { s, _ := h.status(); return s.Hosts == 1 })
	second.call("list_servers", map[string]any{}, &list)
	if len(list.Servers) != 2 || list.Servers[0].ID == kept.ID {
		t.Fatalf("the second host sees %v, not another server before %s", list.Servers, kept.ID)
	}
	orphan := list.Servers[0]
	var done struct {
		Actions []action `json:"actions"`
	}
	curl := web{"http://" + h.ready().Address, h.key("local")}
	orphan = curl.follow(t, orphan.ID)
	curl.do(t, http.MethodGet, "/v1/actions?subject="+orphan.ID, nil, &done)
	if len(done.Actions) != 1 || done.Actions[0].Kind != "create" || done.Actions[0].Status != "completed" {
		t.Errorf("actions on %s: %+v, want one create that completed", orphan.ID, done.Actions)
	}
	orphan.Charged = kept.Charged // the same size for the same time
	wantOneCharge(t, h.statement("local"), orphan, "create_server")
	if h.ready().Shells {
		var out struct{ Stdout struct{ Text string } }
		second.call("ssh_exec", map[string]any{"server_id": orphan.ID, "command": "hostname"}, &out)
		if strings.TrimSpace(out.Stdout.Text) != "orphan" {
			t.Errorf("its hostname is %q", out.Stdout.Text)
		}
	}
	h.verify()
	h.stop()
	if got := h.droplets(orphan.ID); len(got) != 1 {
		t.Errorf("droplets of %s: %v, want one", orphan.ID, got)
	}
}
