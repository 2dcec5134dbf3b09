package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// exchange is a request and its answer, as kept in testdata/exchanges.
type exchange struct {
	Request  request  `json:"request"`
	Response response `json:"response"`
}

type request struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   any    `json:"body,omitempty"`
}

type response struct {
	Status   int    `json:"status"`
	Type     string `json:"content_type"`
	Location string `json:"location,omitempty"`
	Body     any    `json:"body"`
}

// recorder makes exchanges comparable between runs: ids become their kind and
// the number of their first appearance, and what differs from run to run is
// named instead of shown.
type recorder struct {
	names   map[string]string // of ids
	count   map[string]int    // of ids by their prefix
	varying map[string]string // what is shown of fields that differ from run to run
}

func newRecorder() *recorder {
	return &recorder{names: map[string]string{}, count: map[string]int{}, varying: varying}
}

var (
	idPattern   = regexp.MustCompile(`\b((srv|snap|key|act|acct|txn|quo|pool|inv|offer|pay)_)?[0-9a-f]{24}\b`)
	timePattern = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
)

// varying are the fields whose values differ from run to run or from machine to
// machine, and what is shown instead.
var varying = map[string]string{
	"ip": "<address>", "ssh_port": "<port>", "ssh_command": "<command>", "host_key": "<public key>",
	"root_password": "<password>", "size_gb": "<number>", "provider_id": "<provider's id>",
	"remaining_minutes": "<number>", "remaining_hours": "<number>", "remaining_days": "<number>",
}

// record makes an exchange of a request and its answer.
func (r *recorder) record(t *testing.T, method, path string, body any, res answer) exchange {
	t.Helper()
	var out any
	decode(t, res.body, &out)
	return exchange{
		Request: request{method, r.text(path), r.plain(r.json(t, body))},
		Response: response{
			Status: res.status, Type: res.header.Get("Content-Type"),
			Location: r.text(res.header.Get("Location")), Body: r.plain(out),
		},
	}
}

// json is v as it is on the wire.
func (r *recorder) json(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, text, &out)
	return out
}

// plain replaces what varies in a JSON value. Objects are marshalled with their
// names in order, so that ids are numbered in the same order each time.
func (r *recorder) plain(v any) any {
	switch v := v.(type) {
	case string:
		return r.text(v)
	case []any:
		for i := range v {
			v[i] = r.plain(v[i])
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if shown, ok := r.varying[name]; ok && v[name] != nil {
				v[name] = shown
				continue
			}
			v[name] = r.plain(v[name])
		}
	}
	return v
}

func (r *recorder) text(s string) string {
	s = idPattern.ReplaceAllStringFunc(s, func(id string) string {
		if r.names[id] == "" {
			kind, _, prefixed := strings.Cut(id, "_")
			if !prefixed {
				kind = "hex" // digits without their kind
			}
			r.count[kind]++
			r.names[id] = fmt.Sprintf("%s_%d", kind, r.count[kind])
		}
		return r.names[id]
	})
	return timePattern.ReplaceAllString(s, "<time>")
}

// compare holds an exchange of a contract against its golden file, or rewrites
// that.
func (e exchange) compare(t *testing.T, contract, name string) {
	t.Helper()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "exchanges", contract, name+".json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v; run go test ./e2e -update", err)
		return
	}
	if !bytes.Equal(want, text.Bytes()) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, text.Bytes(), want)
	}
}

// TestExchangesAreComplete checks that the golden files are the documented
// endpoints', no more and no fewer.
func TestExchangesAreComplete(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "exchanges", "native", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var e exchange
		decode(t, text, &e)
		seen[e.Request.Method+" "+generic(e.Request.Path)] = true
	}
	for _, endpoint := range documented {
		if !seen[endpoint] {
			t.Errorf("%s has no golden exchange", endpoint)
		}
		delete(seen, endpoint)
	}
	for endpoint := range seen {
		t.Errorf("the exchange of %s is of no documented endpoint", endpoint)
	}
}

var numbered = regexp.MustCompile(`\b[a-z]+_\d+\b`)

// generic is a path as the document writes it.
func generic(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return numbered.ReplaceAllString(path, ":id")
}

// documented are the endpoints of the native contract.
var documented = []string{
	"GET /v1/catalog/sizes", "GET /v1/catalog/regions", "GET /v1/catalog/images", "GET /v1/catalog/snapshot-pricing",
	"POST /v1/servers", "GET /v1/servers", "GET /v1/servers/:id", "POST /v1/servers/:id/extend",
	"POST /v1/servers/:id/snapshot", "DELETE /v1/servers/:id", "POST /v1/servers/:id/reboot", "POST /v1/servers/:id/power",
	"GET /v1/snapshots", "GET /v1/snapshots/:id", "POST /v1/snapshots/:id/extend", "DELETE /v1/snapshots/:id",
	"POST /v1/keys", "GET /v1/keys", "DELETE /v1/keys/:id",
}

// jsonType is the media type of answers that are no errors.
const jsonType = "application/json"

// walker walks the contract as the owner of a key.
type walker struct {
	t    *testing.T
	curl web
	*recorder
}

// step sends a request, checks the status and that the documented fields are
// there, and compares the whole exchange with its golden file. It returns the
// answer's body.
func (w *walker) step(name, method, path string, body any, status int, fields ...string) map[string]any {
	w.t.Helper()
	res := w.curl.send(w.t, method, path, body)
	if res.status != status || res.header.Get("Content-Type") != jsonType {
		w.t.Fatalf("%s: %s %s: status %d, want %d: %s", name, method, path, res.status, status, res.body)
	}
	var out map[string]any
	decode(w.t, res.body, &out)
	for _, f := range fields {
		if !has(out, f) {
			w.t.Errorf("%s: the documented field %s is missing in %s", name, f, res.body)
		}
	}
	w.record(w.t, method, path, body, res).compare(w.t, "native", name)
	return out
}

// has tells whether a field is there; a dot leads into an object, and into the
// first element of a list.
func has(v any, path string) bool {
	name, rest, deeper := strings.Cut(path, ".")
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	object, _ := v.(map[string]any)
	inner, ok := object[name]
	return ok && (!deeper || has(inner, rest))
}

// wait waits until the action of an answer has completed.
func (w *walker) wait(out map[string]any) {
	w.t.Helper()
	started, _ := out["action"].(map[string]any)
	var a action
	w.curl.do(w.t, http.MethodGet, fmt.Sprintf("/v1/actions/%v?wait_seconds=60", started["id"]), nil, &a)
	if a.Status != "completed" {
		w.t.Fatalf("the action is %+v", a)
	}
}

// balance is what can be spent, is held, and has been spent.
func (w *walker) balance() (b struct{ Balance, Held, Spent string }) {
	w.t.Helper()
	w.curl.do(w.t, http.MethodGet, "/v1/balance", nil, &b)
	return b
}
