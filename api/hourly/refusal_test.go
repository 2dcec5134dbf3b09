package hourly_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/api/hourly"
	"berth/fleet"
	"berth/ops/opstest"
)

// TestErrors words each error that there is.
func TestErrors(t *testing.T) {
	statuses := map[berth.Code]int{
		berth.InvalidInput: 400, berth.Unauthenticated: 401, berth.PaymentRequired: 402, berth.PaymentRejected: 402,
		berth.PaymentPending: 202, berth.InsufficientBalance: 402, berth.BudgetExceeded: 403, berth.Forbidden: 403,
		berth.Suspended: 403, berth.NotFound: 404, berth.MethodNotAllowed: 405, berth.Conflict: 409,
		berth.IdempotencyConflict: 409, berth.QuoteExpired: 409, berth.QuoteMismatch: 409, berth.LimitReached: 403,
		berth.UnknownRegion: 400, berth.UnknownSize: 400, berth.UnknownImage: 400, berth.SnapshotTooLarge: 400,
		berth.OutOfCapacity: 400, berth.TooLarge: 413, berth.RateLimited: 429, berth.Unreachable: 502,
		berth.RemoteFailed: 422, berth.Unavailable: 503, berth.Internal: 500,
	}
	refuse := hourly.Contract().Refuse
	for _, code := range berth.Codes {
		e := berth.Errorf(code, "what is wrong").Hinted("what to do")
		e.Payment = &berth.Demand{Challenges: []berth.Challenge{{Rail: "x402", Header: "secret"}}}
		h := http.Header{}
		status, body := refuse(h, e)
		text := fmt.Sprintf("%+v", body)
		if want, ok := statuses[code]; !ok || status != want {
			t.Errorf("%s has the status %d, want %d", code, status, want)
		}
		if !strings.Contains(text, string(code)) || strings.Contains(text, "secret") || len(h) > 0 {
			t.Errorf("%s: %s %v", code, text, h)
		}
		if detailed := strings.Contains(text, "Message:"); detailed != (status == http.StatusBadRequest) {
			t.Errorf("%s: %s", code, text)
		}
	}
}

// TestInvalid sends bodies that are wrong, with and without a token: all of what
// is wrong is named.
func TestInvalid(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	fleetOf := with(micro, "count", 2)
	for _, tt := range []struct {
		name, path string
		body       any
		fields     []string
	}{
		{"no e-mail address", "/auth/register", object{"password": "correct horse"}, []string{"email"}},
		{"two things at once", "/auth/register", object{"email": "x", "password": "short"}, []string{"email", "password"}},
		{"no address at all", "/auth/register", object{"email": "nobody", "password": "correct horse"}, []string{"email"}},
		{"more than an address", "/auth/register", object{"email": "A Body <a@example.com>", "password": "correct horse"}, []string{"email"}},
		{"nothing", "/auth/login", object{}, []string{"email", "password"}},
		{"no JSON", "/servers", "label=my-bot", []string{"body"}},
		{"a list", "/servers", "[]", []string{"body"}},
		{"no label", "/servers", with(micro, "label", nil), []string{"label"}},
		{"a label with spaces", "/servers", with(micro, "label", "my bot"), []string{"label"}},
		{"a label that is too long", "/servers", with(micro, "label", strings.Repeat("a", 65)), []string{"label"}},
		{"an unknown plan", "/servers", with(micro, "planId", "small"), []string{"planId"}},
		{"a region that is not to be had", "/servers", with(micro, "regionId", "waw"), []string{"regionId"}},
		{"Berth's own name of a region", "/servers", with(micro, "regionId", "ams3"), []string{"regionId"}},
		{"all wrong", "/servers", object{"label": "my bot", "planId": "huge", "regionId": "mars"}, []string{"label", "planId", "regionId"}},
		{"an unknown field", "/servers", with(micro, "image", "debian"), []string{"image"}},
		{"no count", "/servers/bulk", micro, []string{"count"}},
		{"none at all", "/servers/bulk", with(fleetOf, "count", 0), []string{"count"}},
		{"too many", "/servers/bulk", with(fleetOf, "count", 11), []string{"count"}},
		{"a label too long for its ends", "/servers/bulk", with(fleetOf, "label", strings.Repeat("a", 64)), []string{"label"}},
		{"a region of a fleet", "/servers/bulk", with(fleetOf, "regionId", "waw"), []string{"regionId"}},
		{"no server", "/backups", object{"server": "srv_1"}, []string{"server", "serverId"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, token := range []string{p.Token, ""} {
				out := r.refused(http.StatusBadRequest, berth.InvalidInput, "POST", tt.path, token, tt.body)
				var fields []string
				details, _ := out["details"].([]any)
				for _, d := range details {
					field, _ := d.(object)["field"].(string)
					fields = append(fields, field)
					if d.(object)["message"] == "" || field == "regionId" && !strings.Contains(fmt.Sprint(d), "ams, fra, lon") {
						t.Errorf("a poor detail: %v", d)
					}
				}
				slices.Sort(fields)
				if !slices.Equal(fields, tt.fields) {
					t.Errorf("wrong are %v, want %v: %v", fields, tt.fields, out)
				}
			}
		})
	}
}

// TestCapacity names where a plan is to be had that is not to be had everywhere.
func TestCapacity(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	if err := r.Fleet.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := r.refused(http.StatusBadRequest, berth.OutOfCapacity, "POST", "/servers", p.Token, with(micro, "regionId", "fra"))
	if text := fmt.Sprint(out["details"]); !strings.Contains(text, "regionId") || !strings.Contains(text, "vc2-1c-1gb in ams, sjc") {
		t.Errorf("details: %v", out["details"])
	}
	r.Cloud.Standing.MachineLimit, r.Cloud.Standing.Machines = 1, 1
	r.Clock.Advance(2 * time.Hour)
	if err := r.Fleet.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, out := r.send("POST", "/servers", p.Token, micro)
	if res.Status != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("where nothing is to be had: %d %v", res.Status, out)
	}
}

// TestStrangers tries every endpoint without a token, with a wrong one, and with
// another account's things.
func TestStrangers(t *testing.T) {
	r := newRig(t)
	p, other := r.Principal(), r.Principal()
	server := r.deploy(p)
	backup := r.backup(p, server)
	bodies := map[string]object{
		"POST /servers": micro, "POST /servers/bulk": with(micro, "count", 1), "POST /backups": {"serverId": server},
	}
	before := r.State()
	for _, route := range hourly.Contract().Routes {
		if route.Open {
			continue
		}
		id := server
		if strings.HasPrefix(route.Path, "/backups") {
			id = backup
		}
		path := strings.Replace(route.Path, "{id}", id, 1)
		body := bodies[route.Method+" "+route.Path]
		about := path != route.Path || route.Method+" "+route.Path == "POST /backups"
		t.Run(route.Method+" "+route.Path, func(t *testing.T) {
			for _, probe := range []any{body, nil, object{}} {
				res, out := r.send(route.Method, path, "", probe)
				if res.Status != http.StatusPaymentRequired || res.Header.Get("WWW-Authenticate") != "" || res.Header.Get("PAYMENT-REQUIRED") != "" || out["accepts"] != nil || out["payment"] != nil {
					t.Errorf("with %v and no token: %d %v %v", probe, res.Status, res.Header, out)
				}
			}
			nowhere := strings.Replace(route.Path, "{id}", "nothing", 1)
			r.refused(http.StatusPaymentRequired, berth.PaymentRequired, route.Method, nowhere, "", body)
			r.refused(http.StatusUnauthorized, berth.Unauthenticated, route.Method, path, "wrong", body)
			if about {
				r.refused(http.StatusNotFound, berth.NotFound, route.Method, path, other.Token, body)
				r.refused(http.StatusNotFound, berth.NotFound, route.Method, strings.Replace(route.Path, "{id}", "nothing", 1), p.Token, nothing(body))
			}
		})
	}
	if n := len(r.list("/servers", "servers", other)) + len(r.list("/backups", "backups", other)); n != 0 {
		t.Errorf("another account sees %d things", n)
	}
	if after := r.State(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("something has changed: %v, before %v", after, before)
	}
}

// nothing is a body about a server that is not there.
func nothing(body object) object {
	if body["serverId"] != nil {
		return with(body, "serverId", string(opstest.Unknown(berth.PrefixServer)))
	}
	return body
}

// TestOtherContract hides what was bought natively.
func TestOtherContract(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	native, snap := r.Server(p), r.Snapshot(p)
	r.refused(http.StatusNotFound, berth.NotFound, "GET", "/servers/"+string(native), p.Token, nil)
	r.refused(http.StatusNotFound, berth.NotFound, "DELETE", "/servers/"+string(native), p.Token, nil)
	r.refused(http.StatusNotFound, berth.NotFound, "POST", "/backups", p.Token, object{"serverId": string(native)})
	r.refused(http.StatusNotFound, berth.NotFound, "DELETE", "/backups/"+string(snap), p.Token, nil)
	if n := len(r.list("/servers", "servers", p)) + len(r.list("/backups", "backups", p)); n != 0 {
		t.Errorf("%d things are listed", n)
	}
}

// TestMoney refuses what the balance does not cover, and a fleet as a whole.
func TestMoney(t *testing.T) {
	r := newRig(t)
	p := r.poor(2*hour + hour/2)
	r.refused(http.StatusPaymentRequired, berth.InsufficientBalance, "POST", "/servers/bulk", p.Token, with(micro, "count", 3))
	if listed := r.list("/servers", "servers", p); len(listed) != 0 {
		t.Errorf("deployed %v", listed)
	}
	out := r.must(http.StatusAccepted, "POST", "/servers/bulk", p.Token, with(micro, "count", 2))
	for i, s := range out["servers"].([]any) {
		if s.(object)["label"] != fmt.Sprint("my-bot-", i+1) || s.(object)["status"] != "PROVISIONING" {
			t.Errorf("server %d: %v", i, s)
		}
	}
	r.refused(http.StatusPaymentRequired, berth.InsufficientBalance, "POST", "/servers", p.Token, micro)
	r.Settle()
	r.Verify()
}

// TestLimit allows ten servers, without those that failed or go.
func TestLimit(t *testing.T) {
	r := newRig(t)
	p := r.Principal(func(p *account.Principal, _ *account.APIKey) { p.ServerLimit = 0 })
	r.must(http.StatusAccepted, "POST", "/servers/bulk", p.Token, with(micro, "count", 9))
	r.refused(http.StatusForbidden, berth.LimitReached, "POST", "/servers/bulk", p.Token, with(micro, "count", 2))
	id := r.part(r.must(http.StatusAccepted, "POST", "/servers", p.Token, micro), "server")["id"].(string)
	r.Settle()
	out := r.refused(http.StatusForbidden, berth.LimitReached, "POST", "/servers", p.Token, micro)
	if text := out["error"].(string); !strings.Contains(text, "limit") || !strings.Contains(text, "/docs/custom-requests") {
		t.Errorf("the refusal says %s", text)
	}
	r.put(id, func(s *fleet.Server) { s.Status = fleet.Failed })
	id = r.part(r.must(http.StatusAccepted, "POST", "/servers", p.Token, micro), "server")["id"].(string)
	r.must(http.StatusAccepted, "DELETE", "/servers/"+id, p.Token, nil)
	r.must(http.StatusAccepted, "POST", "/servers", p.Token, micro)
}

// TestSuspended refuses an account that the operator suspended.
func TestSuspended(t *testing.T) {
	r := newRig(t)
	p := r.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true })
	r.refused(http.StatusForbidden, berth.Suspended, "GET", "/servers", p.Token, nil)
	r.refused(http.StatusForbidden, berth.Suspended, "POST", "/servers", p.Token, micro)
}

// TestRates takes 100 requests of an account in a minute, however many calls of
// operations each makes, and 10 of an address on /auth.
func TestRates(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	id := r.backup(p, r.deploy(p))
	r.Clock.Advance(time.Minute)
	r.must(http.StatusAccepted, "DELETE", "/backups/"+id, p.Token, nil)
	for range 99 {
		r.refused(http.StatusConflict, berth.Conflict, "DELETE", "/backups/"+id, p.Token, nil)
	}
	limited(t, r, "GET", "/billing", p.Token, nil)
	r.must(http.StatusOK, "GET", "/billing", r.Principal().Token, nil)
	r.Clock.Advance(time.Minute)
	r.must(http.StatusOK, "GET", "/billing", p.Token, nil)

	for range 5 {
		r.must(http.StatusOK, "GET", "/auth/me", p.Token, nil)
		r.refused(http.StatusUnauthorized, berth.Unauthenticated, "POST", "/auth/login", "", object{"email": "x@example.com", "password": "wrong"})
	}
	limited(t, r, "GET", "/auth/me", p.Token, nil)
	limited(t, r, "POST", "/auth/login", "", object{"email": "x@example.com", "password": "wrong"})
	limited(t, r, "POST", "/auth/register", "", object{"email": "x@example.com", "password": "correct horse"})
	r.must(http.StatusOK, "GET", "/billing", p.Token, nil)
}

// limited sends a request that is one too many.
func limited(t *testing.T, r *rig, method, path, token string, body any) {
	t.Helper()
	res, out := r.send(method, path, token, body)
	if res.Status != http.StatusTooManyRequests || out["code"] != string(berth.RateLimited) || res.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s: %d %v", method, path, res.Status, out)
	}
}

// TestRoles shares a server and its backup with members of a pool, who may do here
// what their role lets them do anywhere.
func TestRoles(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	server := r.deploy(p)
	backup := r.backup(p, server)
	user, admin, owner := r.Principal(), r.Principal(), r.Principal()
	pool := r.Pool(owner)
	r.put(server, func(s *fleet.Server) { s.Pool = pool })
	r.Join(owner, pool, user, "user")
	r.Join(owner, pool, admin, "admin")
	for _, tt := range []struct {
		name, method, path   string
		body                 any
		user, admin, inOwner int
	}{
		{"look", "GET", "/servers/" + server, nil, 200, 200, 200},
		{"back up", "POST", "/backups", object{"serverId": server}, 403, 202, 202},
		{"restore another's backup", "POST", "/backups/" + backup + "/restore", nil, 404, 404, 404},
		{"delete another's backup", "DELETE", "/backups/" + backup, nil, 403, 403, 403},
		{"destroy", "DELETE", "/servers/" + server, nil, 403, 403, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, as := range []struct {
				who    opstest.Principal
				status int
			}{{user, tt.user}, {admin, tt.admin}, {owner, tt.inOwner}} {
				res, out := r.send(tt.method, tt.path, as.who.Token, tt.body)
				r.Settle()
				if res.Status != as.status {
					t.Errorf("%s: %d, want %d: %v", as.who.Email, res.Status, as.status, out)
				}
			}
		})
	}
	for _, member := range []opstest.Principal{user, admin, owner} {
		if n := len(r.list("/servers", "servers", member)); n != 0 {
			t.Errorf("%d servers are listed to a member", n)
		}
	}
	if sv := r.part(r.must(200, "GET", "/servers/"+server, user.Token, nil), "server"); sv["rootPassword"] != nil {
		t.Error("a user sees the password")
	}
	if sv := r.part(r.must(200, "GET", "/servers/"+server, admin.Token, nil), "server"); sv["rootPassword"] == nil {
		t.Error("an admin does not see the password")
	}
}
