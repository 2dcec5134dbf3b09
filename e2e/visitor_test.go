package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// visitor is a client of one of the foreign contracts. It records each exchange
// under its name in testdata/exchanges/<contract>.
type visitor struct {
	*recorder
	t        *testing.T
	contract string
	web      web
}

// newVisitor is a client of a contract at a URL, with a token as bearer (empty:
// none), that shows varying fields of its own beside those of all.
func newVisitor(t *testing.T, contract, base, token string, fields map[string]string) *visitor {
	r := newRecorder()
	r.varying = maps.Clone(varying)
	maps.Copy(r.varying, fields)
	return &visitor{recorder: r, t: t, contract: contract, web: web{base, token}}
}

// as is another client of the same contract, whose ids are numbered along.
func (v *visitor) as(token string) *visitor {
	other := *v
	other.web.key = token
	return &other
}

// do sends a request and returns its answer's body, which has to come with that
// status. headers are names and values in turn.
func (v *visitor) do(method, path string, body any, status int, headers ...string) map[string]any {
	v.t.Helper()
	out, _ := v.exchange(method, path, body, status, headers...)
	return out
}

// step is do that keeps the exchange as a golden file.
func (v *visitor) step(name, method, path string, body any, status int, headers ...string) map[string]any {
	v.t.Helper()
	out, res := v.exchange(method, path, body, status, headers...)
	v.record(v.t, method, path, body, res).compare(v.t, v.contract, name)
	return out
}

func (v *visitor) exchange(method, path string, body any, status int, headers ...string) (map[string]any, answer) {
	v.t.Helper()
	res := v.web.send(v.t, method, path, body, headers...)
	if res.status != status || res.header.Get("Content-Type") != jsonType {
		v.t.Fatalf("%s %s: status %d %s, want %d: %s", method, path, res.status, res.header.Get("Content-Type"), status, res.body)
	}
	var out map[string]any
	decode(v.t, res.body, &out)
	return out, res
}

// needs checks that documented fields are there; see has.
func (v *visitor) needs(out map[string]any, fields ...string) {
	v.t.Helper()
	for _, f := range fields {
		if !has(out, f) {
			v.t.Errorf("the documented field %s is missing in %v", f, out)
		}
	}
}

var aName = regexp.MustCompile(`\b([a-z]+_\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\b`)

// complete checks that a contract's golden files are of all of these endpoints
// ("GET /servers/:id") and have all of these statuses.
func complete(t *testing.T, contract string, endpoints []string, statuses ...int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "exchanges", contract, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	seen, answered := map[string]bool{}, map[int]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var e exchange
		decode(t, text, &e)
		place, _, _ := strings.Cut(e.Request.Path, "?")
		seen[e.Request.Method+" "+aName.ReplaceAllString(place, ":id")] = true
		answered[e.Response.Status] = true
	}
	for _, endpoint := range endpoints {
		if !seen[endpoint] {
			t.Errorf("%s of %s has no golden exchange", endpoint, contract)
		}
	}
	for _, status := range statuses {
		if !answered[status] {
			t.Errorf("no golden exchange of %s has status %d", contract, status)
		}
	}
}
