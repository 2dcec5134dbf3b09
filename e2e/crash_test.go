package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// purchase is what the tests about crashes buy, under one idempotency key.
var (
	purchase    = map[string]any{"size": "small", "region": "sfo3", "minutes": 60, "label": "phoenix"}
	purchaseKey = []string{"Idempotency-Key", "crash-test"}
)

// TestKillDuringCreate kills the process that holds the state, as kill -9 does,
// at each stage of a create. After a restart on the same directory the create
// completes by itself, there is one droplet, it is paid for once, and the
// client's retry gets that server.
func TestKillDuringCreate(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"paid", "requested", "booting", "address"} {
		t.Run(stage, func(t *testing.T) {
			h := newHouse(t)
			p, st := h.serve()
			curl := web{"http://" + st.Address, h.account("dev@example.com", "1.00")}
			if !killAt(t, curl, p, stage) {
				t.Fatalf("the create ended before the kill at %q", stage)
			}

			_, st = h.serve()
			curl.base = "http://" + st.Address
			var list struct{ Servers []server }
			curl.do(t, http.MethodGet, "/v1/servers", nil, &list)
			if len(list.Servers) != 1 {
				t.Fatalf("after the restart there are the servers %v, not one", list.Servers)
			}
			id := list.Servers[0].ID
			curl.follow(t, id) // nobody asks for it: it completes by itself
			var sv server
			curl.do(t, http.MethodPost, "/v1/servers?wait_seconds=60", purchase, &sv, purchaseKey...)
			if sv.ID != id || sv.Status != "active" || sv.Charged != "0.035" {
				t.Errorf("the retry got %+v, not the active %s for 0.035", sv, id)
			}
			if st.Shells {
				if got := strings.TrimSpace(curl.exec(t, id, "echo alive > /root/note && cat /root/note && hostname")); got != "alive\nphoenix" {
					t.Errorf("the server says %q", got)
				}
			}
			wantOneCharge(t, h.statement("dev@example.com"), sv, "create_server")
			h.verify()
			h.stop()
			if got := h.droplets(id); len(got) != 1 {
				t.Errorf("droplets of %s: %v, want one", id, got)
			}
		})
	}
}

// killAt orders a server, follows its stages as a stream of events, and kills
// the process at one of them. It tells whether the create still ran.
func killAt(t *testing.T, curl web, p *process, stage string) bool {
	t.Helper()
	headers := append([]string{"Accept", "text/event-stream"}, purchaseKey...)
	res := curl.open(t, http.MethodPost, "/v1/servers", purchase, headers...)
	defer res.Body.Close()
	running := false
	events(res.Body, func(e event) bool {
		var at struct{ Stage string }
		if e.name == "progress" && json.Unmarshal([]byte(e.data), &at) == nil && at.Stage == stage {
			p.kill()
			running = true
			return true // what the process has sent may tell that it was too late
		}
		if e.name == "result" {
			running = false
		}
		return true
	})
	return running
}

// TestKillWhileIdle kills the process while a server lives. The server dies with
// it, and comes back with its files.
func TestKillWhileIdle(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, st := h.serve()
	needShells(t, st)
	curl := web{"http://" + st.Address, h.account("dev@example.com", "1.00")}
	var sv server
	curl.do(t, http.MethodPost, "/v1/servers?wait_seconds=60", purchase, &sv)
	const script = "mkdir -p /srv/app && echo 42 > /srv/app/answer && sync"
	curl.exec(t, sv.ID, script)

	p.kill()
	door := net.JoinHostPort(sv.IP, strconv.Itoa(sv.SSHPort))
	until(t, "the killed process's server is gone", func() bool {
		conn, err := net.DialTimeout("tcp", door, time.Second)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})

	_, st = h.serve()
	curl.base = "http://" + st.Address
	var back server
	curl.do(t, http.MethodGet, "/v1/servers/"+sv.ID, nil, &back)
	if back.Status != "active" || back.IP != sv.IP || back.PaidUntil != sv.PaidUntil {
		t.Errorf("it came back as %+v; before it was %+v", back, sv)
	}
	if got := strings.TrimSpace(curl.exec(t, sv.ID, "cat /srv/app/answer")); got != "42" {
		t.Errorf("its file says %q", got)
	}
	wantOneCharge(t, h.statement("dev@example.com"), sv, "create_server")
	h.verify()
}

// TestDrain ends the process with SIGTERM while a command runs. The command's
// end is waited for, and nothing is left behind.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, st := h.serve()
	needShells(t, st)
	curl := web{"http://" + st.Address, h.account("dev@example.com", "1.00")}
	var sv server
	curl.do(t, http.MethodPost, "/v1/servers?wait_seconds=60", purchase, &sv)

	// The command waits for its input's end in a loop, so that it ends only
	// after the process was told to.
	const loop = `echo begun; n=0; while [ ! -e /root/go ] && [ $n -lt 20 ]; do sleep 0.1; n=$((n+1)); done; echo ended`
	res := curl.open(t, http.MethodPost, "/v1/servers/"+sv.ID+"/exec", map[string]any{"command": loop}, "Accept", "text/event-stream")
	defer res.Body.Close()
	var heard []string
	events(res.Body, func(e event) bool {
		heard = append(heard, e.name+" "+e.data)
		if len(heard) == 1 {
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Errorf("signal: %v", err)
			}
		}
		return true
	})
	if n := len(heard); n < 3 || !strings.Contains(heard[n-1], `"exit_code":0`) {
		t.Errorf("the command under way was not waited for; heard %q", heard)
	}
	if code := p.exited(t); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if _, err := net.Dial("unix", filepath.Join(h.dir, "berth.sock")); err == nil {
		t.Error("the local socket still answers")
	}
	lock := flock.New(filepath.Join(h.dir, "berth.lock"))
	free, err := lock.TryLock()
	if err != nil || !free {
		t.Errorf("the data directory is still locked: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	if _, up := h.status(); up {
		t.Error("something still runs on the data directory")
	}
}
