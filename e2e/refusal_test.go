package e2e

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

// refusal is a request that the contract refuses.
type refusal struct {
	name   string
	method string
	path   string
	body   any
	status int
	code   string
}

// in is a JSON object.
type in = map[string]any

// TestRefusals sends everything that the contract says is refused, and checks
// that the answer says why and what to do, and that nothing is charged or made.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, st := h.serve()
	base := "http://" + st.Address
	owner := &walker{t: t, curl: web{base, h.account("owner@example.com", "5.00")}, recorder: newRecorder()}
	other := &walker{t: t, curl: web{base, h.account("other@example.com", "5.00")}, recorder: newRecorder()}
	poor := &walker{t: t, curl: web{base, h.account("poor@example.com", "0.02")}, recorder: newRecorder()}
	small, medium := owner.buy("small"), owner.buy("medium")
	large := owner.snapshot(medium.ID)
	foreign := other.buy("small")
	foreignSnap, foreignKey := other.snapshot(foreign.ID), other.key(publicKey)
	owner.key(publicKey)

	owner.refused(badCreates(large, foreignSnap, foreignKey))
	owner.refused(badServerCalls("/v1/servers/"+small.ID, "/v1/servers/"+foreign.ID))
	owner.refused(badSnapshotCalls("/v1/snapshots/"+large, "/v1/snapshots/"+foreignSnap))
	owner.refused(badKeyCalls(foreignKey))
	poor.refused([]refusal{
		{"a server beyond the balance", "POST", "/v1/servers", in{"size": "small", "region": "nyc1"}, 402, "insufficient_balance"},
		{"a much longer lease", "POST", "/v1/servers", in{"size": "large", "region": "nyc1", "minutes": 527040}, 402, "insufficient_balance"},
	})

	h.run("account", "update", "owner@example.com", "--servers", "2")
	owner.refused([]refusal{
		{"a server beyond the limit", "POST", "/v1/servers", in{"size": "small", "region": "nyc1"}, 403, "limit_reached"},
	})
	owner.wait(owner.delete(small.ID))
	gone := "/v1/servers/" + small.ID
	owner.refused([]refusal{
		{"extending what is destroyed", "POST", gone + "/extend", in{"minutes": 1}, 409, "conflict"},
		{"rebooting what is destroyed", "POST", gone + "/reboot", nil, 409, "conflict"},
		{"a snapshot of what is destroyed", "POST", gone + "/snapshot", nil, 409, "conflict"},
		{"destroying it again", "DELETE", gone, nil, 409, "conflict"},
	})
	strangers(t, base, "/v1/servers/"+medium.ID)
	h.verify()
}

// buy buys a server for ten minutes and waits until it is active.
func (w *walker) buy(size string) (s server) {
	w.t.Helper()
	w.curl.do(w.t, "POST", "/v1/servers?wait_seconds=60", in{"size": size, "region": "nyc1", "minutes": 10}, &s)
	if s.Status != "active" {
		w.t.Fatalf("the server is %s", s.Status)
	}
	return s
}

// snapshot takes a snapshot and waits until it is there.
func (w *walker) snapshot(server string) (id string) {
	w.t.Helper()
	var out map[string]any
	w.curl.do(w.t, "POST", "/v1/servers/"+server+"/snapshot", nil, &out)
	w.wait(out)
	return out["id"].(string)
}

// key registers a public key.
func (w *walker) key(public string) (id string) {
	w.t.Helper()
	var out map[string]any
	w.curl.do(w.t, "POST", "/v1/keys", in{"name": "k", "public_key": public}, &out)
	return out["id"].(string)
}

// refused sends each request and checks the refusal, and that the balance, the
// servers, the snapshots and the keys are as before.
func (w *walker) refused(list []refusal) {
	w.t.Helper()
	before := w.state()
	for _, r := range list {
		w.t.Run(r.name, func(t *testing.T) {
			res := w.curl.send(t, r.method, r.path, r.body)
			if got := problem(t, res); res.status != r.status || got != r.code {
				t.Errorf("%s %s: status %d, want %d %s: %s", r.method, r.path, res.status, r.status, r.code, res.body)
			}
			if after := w.state(); after != before {
				t.Errorf("it changed something: before\n%s\nafter\n%s", before, after)
				before = after // the next ones may still be right
			}
		})
	}
}

// problem checks that an answer is a problem document with its words, and
// returns its code.
func problem(t *testing.T, res answer) string {
	t.Helper()
	var p struct{ Code, Detail, Hint string }
	decode(t, res.body, &p)
	if p.Detail == "" || p.Hint == "" || res.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a poor problem document of type %s: %s", res.header.Get("Content-Type"), res.body)
	}
	return p.Code
}

// state is all that a refused request must leave alone. What only time changes
// is left out.
func (w *walker) state() string {
	w.t.Helper()
	var all strings.Builder
	for _, path := range []string{"/v1/balance", "/v1/servers?all=true", "/v1/snapshots?all=true", "/v1/keys", "/v1/actions", "/v1/transactions"} {
		var out any
		w.curl.do(w.t, "GET", path, nil, &out)
		text, err := json.MarshalIndent(w.plain(out), "", " ")
		if err != nil {
			w.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// badCreates are orders of servers that are refused.
func badCreates(large, foreignSnap, foreignKey string) (list []refusal) {
	good := in{"size": "small", "region": "nyc1", "minutes": 1}
	add := func(name string, status int, code string, change in) {
		body := maps.Clone(good)
		for field, v := range change {
			body[field] = v
			if v == nil {
				delete(body, field)
			}
		}
		list = append(list, refusal{name, "POST", "/v1/servers", body, status, code})
	}
	noise := make([]byte, 65_000) // within the limit, and too random to be compressed to what is left of it
	for i := range noise {
		noise[i] = byte(33 + rand.N(90))
	}
	add("no size", 400, "invalid_input", in{"size": nil})
	add("no region", 400, "invalid_input", in{"region": nil})
	add("an unknown size", 400, "unknown_size", in{"size": "gigantic"})
	add("an unknown region", 400, "unknown_region", in{"region": "mars1"})
	add("an unknown image", 400, "unknown_image", in{"image": "beos-5"})
	add("a size that is a number", 400, "invalid_input", in{"size": 7})
	add("no minutes at all", 400, "invalid_input", in{"minutes": 0})
	add("minutes below zero", 400, "invalid_input", in{"minutes": -5})
	add("half a minute", 400, "invalid_input", in{"minutes": 0.5})
	add("minutes in words", 400, "invalid_input", in{"minutes": "soon"})
	add("more than a year", 400, "invalid_input", in{"minutes": 527041})
	add("an unknown key", 404, "not_found", in{"ssh_key_ids": []string{"key_0193f2a4c1d05e6f7a8b9c0d"}})
	add("another's key", 404, "not_found", in{"ssh_key_ids": []string{foreignKey}})
	add("too many keys", 400, "invalid_input", in{"ssh_key_ids": make([]string, 21)})
	add("a snapshot too large for the size", 400, "snapshot_too_large", in{"snapshot_id": large})
	add("a snapshot of another region", 400, "invalid_input", in{"snapshot_id": large, "size": "medium", "region": "ams3"})
	add("an unknown snapshot", 404, "not_found", in{"snapshot_id": "snap_0193f2a4c1d05e6f7a8b9c0d"})
	add("another's snapshot", 404, "not_found", in{"snapshot_id": foreignSnap})
	add("more user data than 64 KB", 400, "invalid_input", in{"user_data": "#!/bin/sh\n" + strings.Repeat("#", 65536)})
	add("user data that does not fit", 400, "invalid_input", in{"user_data": "#!/bin/sh\n: '" + string(noise) + "'\n"})
	add("a label out of bounds", 400, "invalid_input", in{"label": "no spaces please"})
	add("an unknown field", 400, "invalid_input", in{"colour": "red"})
	return list
}

// badServerCalls are calls on a server that are refused.
func badServerCalls(own, foreign string) []refusal {
	unknown := "/v1/servers/srv_0193f2a4c1d05e6f7a8b9c0d"
	return []refusal{
		{"an extension by nothing", "POST", own + "/extend", nil, 400, "invalid_input"},
		{"an extension by zero minutes", "POST", own + "/extend", in{"minutes": 0}, 400, "invalid_input"},
		{"an extension backwards", "POST", own + "/extend", in{"minutes": -60}, 400, "invalid_input"},
		{"an extension by days", "POST", own + "/extend", in{"days": 1}, 400, "invalid_input"},
		{"an extension beyond a year", "POST", own + "/extend", in{"minutes": 527040}, 400, "invalid_input"},
		{"extending another's", "POST", foreign + "/extend", in{"minutes": 1}, 404, "not_found"},
		{"power without an action", "POST", own + "/power", nil, 400, "invalid_input"},
		{"power of an unknown kind", "POST", own + "/power", in{"action": "explode"}, 400, "invalid_input"},
		{"turning on what is on", "POST", own + "/power", in{"action": "on"}, 409, "conflict"},
		{"turning another's off", "POST", foreign + "/power", in{"action": "off"}, 404, "not_found"},
		{"rebooting another's", "POST", foreign + "/reboot", nil, 404, "not_found"},
		{"a snapshot's name that is too long", "POST", own + "/snapshot", in{"name": strings.Repeat("n", 65)}, 400, "invalid_input"},
		{"a snapshot of another's", "POST", foreign + "/snapshot", nil, 404, "not_found"},
		{"looking at another's", "GET", foreign, nil, 404, "not_found"},
		{"looking at an unknown one", "GET", unknown, nil, 404, "not_found"},
		{"destroying another's", "DELETE", foreign, nil, 404, "not_found"},
		{"destroying an unknown one", "DELETE", unknown, nil, 404, "not_found"},
	}
}

// badSnapshotCalls are calls on a snapshot that are refused.
func badSnapshotCalls(own, foreign string) []refusal {
	return []refusal{
		{"no days", "POST", own + "/extend", nil, 400, "invalid_input"},
		{"zero days", "POST", own + "/extend", in{"days": 0}, 400, "invalid_input"},
		{"days below zero", "POST", own + "/extend", in{"days": -1}, 400, "invalid_input"},
		{"more days than 365", "POST", own + "/extend", in{"days": 366}, 400, "invalid_input"},
		{"half a day", "POST", own + "/extend", in{"days": 1.5}, 400, "invalid_input"},
		{"a snapshot by minutes", "POST", own + "/extend", in{"minutes": 1}, 400, "invalid_input"},
		{"extending another's snapshot", "POST", foreign + "/extend", in{"days": 1}, 404, "not_found"},
		{"looking at another's snapshot", "GET", foreign, nil, 404, "not_found"},
		{"deleting another's snapshot", "DELETE", foreign, nil, 404, "not_found"},
	}
}

// badKeyCalls are calls about SSH keys that are refused.
func badKeyCalls(foreign string) []refusal {
	return []refusal{
		{"a key without a name", "POST", "/v1/keys", in{"public_key": publicKey}, 400, "invalid_input"},
		{"a key without a key", "POST", "/v1/keys", in{"name": "k"}, 400, "invalid_input"},
		{"a key that is none", "POST", "/v1/keys", in{"name": "k", "public_key": "ssh-ed25519 nonsense"}, 400, "invalid_input"},
		{"a private key", "POST", "/v1/keys", in{"name": "k", "public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, 400, "invalid_input"},
		{"a key twice", "POST", "/v1/keys", in{"name": "k", "public_key": publicKey}, 409, "conflict"},
		{"deleting another's key", "DELETE", "/v1/keys/" + foreign, nil, 404, "not_found"},
	}
}

// strangers calls without a key, and with a wrong one.
func strangers(t *testing.T, base, server string) {
	t.Helper()
	create := in{"size": "small", "region": "nyc1"}
	wrong := "berth_0193f2a4c1d05e6f7a8b9c0d_" + strings.Repeat("A", 43)
	for _, tt := range []struct {
		name string
		key  string
		refusal
	}{
		{"none, buying", "", refusal{"", "POST", "/v1/servers", create, 402, "payment_required"}},
		{"none, probing", "", refusal{"", "POST", "/v1/servers", nil, 402, "payment_required"}},
		{"none, nonsense", "", refusal{"", "POST", "/v1/servers", in{"size": 7}, 400, "invalid_input"}},
		{"none, listing", "", refusal{"", "GET", "/v1/servers", nil, 402, "payment_required"}},
		{"none, another's server", "", refusal{"", "GET", server, nil, 402, "payment_required"}},
		{"none, no server", "", refusal{"", "DELETE", "/v1/servers/srv_0193f2a4c1d05e6f7a8b9c0d", nil, 402, "payment_required"}},
		{"a wrong one", wrong, refusal{"", "POST", "/v1/servers", create, 401, "unauthenticated"}},
		{"no key at all", "hello", refusal{"", "GET", "/v1/servers", nil, 401, "unauthenticated"}},
	} {
		t.Run("with the key "+tt.name, func(t *testing.T) {
			res := web{base, tt.key}.send(t, tt.method, tt.path, tt.body)
			if got := problem(t, res); res.status != tt.status || got != tt.code {
				t.Errorf("%s %s: status %d, want %d %s: %s", tt.method, tt.path, res.status, tt.status, tt.code, res.body)
			}
		})
	}
}
