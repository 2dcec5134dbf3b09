package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// customer is a client of one of the foreign contracts. It records each exchange
// under its name in testdata/exchanges/<contract>.
type customer struct {
	*recorder
	t        *testing.T
	contract string
	web      web
}

// newCustomer is a client of a contract at a URL, with a token as bearer (empty:
// none), that shows varying fields of its own beside those of all.
func newCustomer(t *testing.T, contract, base, token string, fields map[string]string) *customer {
	r := newRecorder()
	r.varying = maps.Clone(varying)
	maps.Copy(r.varying, fields)
	return &customer{recorder: r, t: t, contract: contract, web: web{base, token}}
}

// as is another client of the same contract, whose ids are numbered along.
func (c *customer) as(token string) *customer {
	other := *c
	other.web.key = token
	return &other
}

// do sends a request and returns its answer's body, which has to come with that
// status. headers are names and values in turn.
func (c *customer) do(method, path string, body any, status int, headers ...string) map[string]any {
	c.t.Helper()
	out, _ := c.exchange(method, path, body, status, headers...)
	return out
}

// step is do that keeps the exchange as a golden file.
func (c *customer) step(name, method, path string, body any, status int, headers ...string) map[string]any {
	c.t.Helper()
	out, res := c.exchange(method, path, body, status, headers...)
	c.record(c.t, method, path, body, res).compare(c.t, c.contract, name)
	return out
}

func (c *customer) exchange(method, path string, body any, status int, headers ...string) (map[string]any, answer) {
	c.t.Helper()
	res := c.web.send(c.t, method, path, body, headers...)
	if res.status != status || res.header.Get("Content-Type") != jsonType {
		c.t.Fatalf("%s %s: status %d %s, want %d: %s", method, path, res.status, res.header.Get("Content-Type"), status, res.body)
	}
	var out map[string]any
	decode(c.t, res.body, &out)
	return out, res
}

// needs checks that documented fields are there; see has.
func (c *customer) needs(out map[string]any, fields ...string) {
	c.t.Helper()
	for _, f := range fields {
		if !has(out, f) {
			c.t.Errorf("the documented field %s is missing in %v", f, out)
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
