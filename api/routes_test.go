package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"berth"
	"berth/ops"
	"berth/ops/opstest"
)

// TestRoutes takes every route of every operation with its documented example.
func TestRoutes(t *testing.T) {
	r := newRig(t)
	r.Local(0)
	for _, op := range r.System.Table().All() {
		for _, route := range op.Routes {
			t.Run(route.Method+" "+route.Path, func(t *testing.T) {
				r.t = t
				p := r.Principal()
				token := p.Token
				if op.Access == ops.Operator {
					token = "operator"
				}
				args := exampleOn(r, p, op, route)
				path, fields := onRoute(op, route, args)
				var body io.Reader
				switch {
				case route.Raw == ops.RawIn:
					body = strings.NewReader("\x00bytes")
				case len(fields) > 0:
					text, err := json.Marshal(fields)
					if err != nil {
						t.Fatal(err)
					}
					body = bytes.NewReader(text)
				}
				var headers []string
				for _, c := range r.Signed(op) {
					headers = append(headers, "Payment-Signature", base64.StdEncoding.EncodeToString([]byte(c.Token)))
				}
				a := r.send(route.Method, path, token, body, headers...)
				if a.StatusCode != route.Status {
					t.Fatalf("%s %s answers %d, want %d: %.500s", route.Method, path, a.StatusCode, route.Status, a.body)
				}
				checkHeaders(t, op, route, a)
			})
		}
	}
	r.t = t
	r.Settle()
	r.Verify()
}

// exampleOn is the operation's example, completed by what the route needs.
func exampleOn(r *rig, p opstest.Principal, op *ops.Operation, route ops.Route) opstest.Args {
	args := r.Example(p, op)
	if path, ok := args["path"].(string); ok {
		r.Hands.Put(berth.ID(args["server_id"].(string)), path, []byte("content"))
		if route.Raw == ops.RawIn {
			delete(args, "content")
		}
	}
	if strings.Contains(route.Path, "{handle}") {
		delete(args, "command")
		args["handle"] = opstest.Handle
	}
	if route.Name == "extend_snapshot" {
		args = opstest.Args{"id": string(r.Snapshot(p)), "days": 10}
	}
	return args
}

func checkHeaders(t *testing.T, op *ops.Operation, route ops.Route, a answer) {
	t.Helper()
	if route.Raw == ops.RawOut {
		if a.Header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("headers = %v", a.Header)
		}
		return
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers = %v", a.Header)
	}
	var receipt ops.Receipt
	if op.Priced {
		if err := json.Unmarshal([]byte(a.Header.Get("Berth-Receipt")), &receipt); err != nil || receipt.Amount <= 0 {
			t.Errorf("receipt = %q: %v", a.Header.Get("Berth-Receipt"), err)
		}
	}
	if op.Name == "create_server" && !strings.HasPrefix(a.Header.Get("Location"), "/v1/servers/srv_") {
		t.Errorf("Location = %q", a.Header.Get("Location"))
	}
	if op.Long && a.Header.Get("Berth-Action") == "" {
		t.Error("no Berth-Action")
	}
}

func TestMethods(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct{ method, path, allow string }{
		{"PUT", "/v1/servers", "GET, POST"},
		{"PUT", "/v1/servers/srv_0193f2a4c1d05e6f7a8b9c0d", "DELETE, GET, PATCH"},
		{"DELETE", "/v1/balance", "GET"},
		{"GET", "/v1/quotes", "POST"},
		{"POST", "/", "GET"},
	} {
		a := r.send(tt.method, tt.path, "", nil)
		if p := a.problem(t); a.StatusCode != http.StatusMethodNotAllowed || p.Status != a.StatusCode || p.Code != berth.MethodNotAllowed || !strings.Contains(p.Hint, tt.allow) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, a.StatusCode, a.body)
		}
		if got := a.Header.Get("Allow"); got != tt.allow {
			t.Errorf("%s %s: Allow = %q, want %q", tt.method, tt.path, got, tt.allow)
		}
	}
	for _, path := range []string{"/v2/servers", "/v1/servers/a/b/c", "/favicon.ico", "/v1"} {
		if a := r.send("GET", path, "", nil); a.StatusCode != http.StatusNotFound || a.problem(t).Hint == "" {
			t.Errorf("GET %s: %d %s", path, a.StatusCode, a.body)
		}
	}
	if a := r.send("HEAD", "/v1/catalog/sizes", "", nil); a.StatusCode != http.StatusOK || len(a.body) > 0 {
		t.Errorf("HEAD: %d %s", a.StatusCode, a.body)
	}
}

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	buy := opstest.Args{"size": "small", "region": "nyc1"}
	first := r.call("POST", "/v1/servers", p.Token, buy, "Idempotency-Key", "k")
	again := r.call("POST", "/v1/servers", p.Token, buy, "Idempotency-Key", "k")
	if first.StatusCode != 201 || again.StatusCode != 201 || !bytes.Equal(first.body, again.body) {
		t.Errorf("%d %s\n%d %s", first.StatusCode, first.body, again.StatusCode, again.body)
	}
	if first.Header.Get("Idempotency-Replayed") != "" || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("replayed: %q, %q", first.Header.Get("Idempotency-Replayed"), again.Header.Get("Idempotency-Replayed"))
	}
	if again.Header.Get("Berth-Receipt") != first.Header.Get("Berth-Receipt") || again.Header.Get("Location") == "" {
		t.Errorf("headers = %v", again.Header)
	}
	inBody := r.call("POST", "/v1/servers", p.Token, opstest.Args{"size": "small", "region": "nyc1", "idempotency_key": "k"})
	if inBody.Header.Get("Idempotency-Replayed") != "true" {
		t.Error("the key in the body is another one than in the header")
	}
	other := r.call("POST", "/v1/servers", p.Token, opstest.Args{"size": "large", "region": "nyc1"}, "Idempotency-Key", "k")
	if other.StatusCode != http.StatusConflict || other.problem(t).Code != berth.IdempotencyConflict {
		t.Errorf("another input: %d %s", other.StatusCode, other.body)
	}
	two := r.call("POST", "/v1/servers", p.Token, buy, "Idempotency-Key", "a", "Idempotency-Key", "b")
	long := r.call("POST", "/v1/servers", p.Token, buy, "Idempotency-Key", strings.Repeat("k", 256))
	for _, a := range []answer{two, long} {
		if a.StatusCode != http.StatusBadRequest || a.problem(t).Code != berth.InvalidInput {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
}

func TestWait(t *testing.T) {
	r := newRig(t)
	r.Drive()
	p := r.Principal()
	buy := opstest.Args{"size": "small", "region": "nyc1"}
	for name, a := range map[string]answer{
		"Prefer":       r.call("POST", "/v1/servers", p.Token, buy, "Prefer", "respond-async, wait=10"),
		"query":        r.call("POST", "/v1/servers?wait_seconds=10", p.Token, buy),
		"body":         r.call("POST", "/v1/servers", p.Token, opstest.Args{"size": "small", "region": "nyc1", "wait_seconds": 10}),
		"large Prefer": r.call("POST", "/v1/servers", p.Token, buy, "Prefer", "wait=86400"),
	} {
		var out ops.CreateServerOut
		if a.into(t, &out); a.StatusCode != 201 || out.Status != "active" || out.IP == nil {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	at := r.call("POST", "/v1/servers", p.Token, buy)
	action := r.send("GET", "/v1/actions/"+at.Header.Get("Berth-Action"), p.Token, nil, "Prefer", "wait=10")
	var out ops.ActionView
	if action.into(t, &out); out.Status != "completed" {
		t.Errorf("get_action: %s", action.body)
	}
	// What has nothing to wait for passes the preference over.
	if a := r.send("GET", "/v1/servers", p.Token, nil, "Prefer", "wait=10"); a.StatusCode != 200 {
		t.Errorf("a list: %d %s", a.StatusCode, a.body)
	}
	if a := r.call("POST", "/v1/servers", p.Token, opstest.Args{"size": "small", "region": "nyc1", "wait_seconds": 601}); a.StatusCode != 400 {
		t.Errorf("601 seconds: %d %s", a.StatusCode, a.body)
	}
}

func TestBodies(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	server := string(r.Server(p))
	for _, tt := range []struct {
		name, path, body string
		status           int
		code             berth.Code
	}{
		{"no JSON", "/v1/servers", "size=small", 400, berth.InvalidInput},
		{"a list", "/v1/servers", "[]", 400, berth.InvalidInput},
		{"null", "/v1/servers", "null", 400, berth.InvalidInput},
		{"two values", "/v1/servers", "{} {}", 400, berth.InvalidInput},
		{"too large", "/v1/servers", `{"user_data":"` + strings.Repeat("x", 4<<20) + `"}`, 413, berth.TooLarge},
		{"in the query and in the body", "/v1/servers?size=small", `{"size":"large","region":"nyc1"}`, 400, berth.InvalidInput},
		{"a broken query", "/v1/servers?size=%zz", `{"region":"nyc1"}`, 400, berth.InvalidInput},
		{"another server in the body", "/v1/servers/" + server + "/power", `{"server_id":"srv_1","action":"reboot"}`, 400, berth.InvalidInput},
		{"what the route says", "/v1/servers/" + server + "/reboot", `{"action":"off"}`, 400, berth.InvalidInput},
		{"what the route leaves out", "/v1/servers/" + server + "/extend", `{"days":3}`, 400, berth.InvalidInput},
		{"nothing to extend by", "/v1/servers/" + server + "/extend", ``, 400, berth.InvalidInput},
		{"a name twice", "/v1/servers", `{"size":"small","region":"nyc1","size":"large"}`, 400, berth.InvalidInput},
		{"a name twice inside", "/v1/servers/" + server + "/exec", `{"command":"env","env":{"A":"1","A":"2"}}`, 400, berth.InvalidInput},
		{"no command", "/v1/servers/" + server + "/exec", `{"cwd":"/"}`, 400, berth.InvalidInput},
	} {
		before := r.State()
		a := r.send("POST", tt.path, p.Token, strings.NewReader(tt.body))
		if q := a.problem(t); a.StatusCode != tt.status || q.Code != tt.code || q.Detail == "" {
			t.Errorf("%s: %d %s", tt.name, a.StatusCode, a.body)
		}
		if after := r.State(); after.Rows["actions"] != before.Rows["actions"] || after.Rows["transfers"] != before.Rows["transfers"] {
			t.Errorf("%s did something", tt.name)
		}
	}
	form := r.send("POST", "/v1/servers", p.Token, strings.NewReader("size=small"), "Content-Type", "application/x-www-form-urlencoded")
	if !strings.Contains(form.problem(t).Hint, "application/json") {
		t.Errorf("a form: %s", form.body)
	}
}

func TestFiles(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	files := "/v1/servers/" + string(r.Server(p)) + "/files"
	content := bytes.Repeat([]byte{0, 1, 2, 0xff}, 500_000)
	up := r.send("PUT", files+"?path=/a%20b.bin&mode=0755", p.Token, bytes.NewReader(content))
	var out ops.FileOut
	if up.into(t, &out); up.StatusCode != 200 || out.Size != int64(len(content)) || out.Mode != "0755" || out.Path != "/a b.bin" {
		t.Fatalf("PUT: %d %s", up.StatusCode, up.body)
	}
	down := r.send("GET", files+"/raw?path=/a%20b.bin", p.Token, nil)
	if !bytes.Equal(down.body, content) || down.ContentLength != int64(len(content)) || !strings.Contains(down.Header.Get("Content-Disposition"), `"a b.bin"`) {
		t.Errorf("raw: %d, %d bytes, %v", down.StatusCode, len(down.body), down.Header)
	}
	page := r.send("GET", files+"?path=/a%20b.bin&offset=4&length=4", p.Token, nil)
	if page.into(t, &out); out.Encoding != "base64" || out.Content != "AAEC/w==" || out.Offset != 4 || out.Next != 8 {
		t.Errorf("a page: %s", page.body)
	}
	gone := r.send("GET", files+"/raw?path=/gone", p.Token, nil)
	if gone.StatusCode != 404 || gone.problem(t).Code != berth.NotFound {
		t.Errorf("gone: %d %s", gone.StatusCode, gone.body)
	}
	text := r.call("POST", files, p.Token, opstest.Args{"path": "/t", "content": "aGk=", "encoding": "base64"})
	back := r.send("GET", files+"?path=/t", p.Token, nil)
	out = ops.FileOut{}
	if back.into(t, &out); text.StatusCode != 200 || out.Content != "hi" || out.Encoding != "text" || out.Next != 0 {
		t.Errorf("text: %s, %s", text.body, back.body)
	}
	wrong := r.call("POST", files, p.Token, opstest.Args{"path": "/t", "content": "!!", "encoding": "base64"})
	if wrong.StatusCode != 400 || wrong.problem(t).Errors[0].Name != "content" {
		t.Errorf("no base64: %s", wrong.body)
	}
}

// TestProblems checks the parts of a problem document that clients rely on.
func TestProblems(t *testing.T) {
	r := newRig(t)
	if err := r.Fleet.Refresh(t.Context()); err != nil { // learns what is to be had where
		t.Fatal(err)
	}
	p := r.Principal()
	for _, tt := range []struct {
		name, token string
		args        opstest.Args
		status      int
		code        berth.Code
	}{
		{"wrong key", "berth_wrong", opstest.Args{"size": "small", "region": "nyc1"}, 401, berth.Unauthenticated},
		{"no key", "", opstest.Args{"size": "small", "region": "nyc1"}, 402, berth.PaymentRequired},
		{"no key and no body", "", nil, 402, berth.PaymentRequired},
		{"no key and half a body", "", opstest.Args{"size": "small"}, 400, berth.InvalidInput},
		{"too dear", p.Token, opstest.Args{"size": "large", "region": "nyc1", "minutes": 100_000}, 402, berth.InsufficientBalance},
		{"unknown region", p.Token, opstest.Args{"size": "small", "region": "mars"}, 400, berth.UnknownRegion},
		{"not there now", p.Token, opstest.Args{"size": "large", "region": "ams3"}, 409, berth.OutOfCapacity},
	} {
		a := r.call("POST", "/v1/servers", tt.token, tt.args)
		q := a.problem(t)
		if a.StatusCode != tt.status || q.Status != tt.status || q.Code != tt.code || q.Type != "urn:berth:error:"+string(tt.code) ||
			q.Title != http.StatusText(tt.status) || q.Instance != "/v1/servers" || q.Detail == "" || q.Hint == "" {
			t.Errorf("%s: %d %s", tt.name, a.StatusCode, a.body)
		}
		if asks := a.Header.Get("WWW-Authenticate") != ""; asks != (tt.status == 401) {
			t.Errorf("%s: WWW-Authenticate = %q", tt.name, a.Header.Get("WWW-Authenticate"))
		}
		if owes := q.Payment != nil; owes != (tt.status == 402) {
			t.Errorf("%s: payment = %+v", tt.name, q.Payment)
		}
	}
}
