package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"berth"
	"berth/api"
	"berth/ops"
	"berth/ops/opstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestHome(t *testing.T) {
	r := newRig(t)
	var links map[string]any
	if a := r.send("GET", "/", "", nil); a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("a program gets %s", a.Header.Get("Content-Type"))
	} else {
		a.into(t, &links)
	}
	for _, name := range []string{"openapi", "llms", "docs"} {
		url, _ := links[name].(string)
		if !strings.HasPrefix(url, r.server.URL+"/") {
			t.Errorf("%s is at %q", name, url)
			continue
		}
		r.get(strings.TrimPrefix(url, r.server.URL))
	}
	if links["mcp"] != r.server.URL+"/mcp" || links["version"] != "test" {
		t.Errorf("links = %v", links)
	}
	for _, path := range []string{"/", "/docs"} {
		a := r.send("GET", path, "", nil, "Accept", "text/html,application/xhtml+xml")
		text := string(a.body)
		if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !strings.HasPrefix(text, "<!doctype html>") {
			t.Errorf("GET %s: %d %v", path, a.StatusCode, a.Header)
		}
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(text, "<script") {
			t.Errorf("GET %s may run scripts: %s", path, csp)
		}
		if strings.Contains(text, "<no value>") || strings.Contains(text, "ZgotmplZ") {
			t.Errorf("GET %s: the template is broken", path)
		}
	}
	if home := string(r.send("GET", "/", "", nil, "Accept", "text/html").body); !strings.Contains(home, "0.015 USD") {
		t.Error("the home page shows no prices")
	}
}

// TestDocsAreComplete: the reference shows every route that agents may use.
func TestDocsAreComplete(t *testing.T) {
	r := newRig(t)
	docs := string(r.get("/docs"))
	for _, op := range r.System.Table().All() {
		for _, route := range op.Routes {
			if shown := strings.Contains(docs, "<code>"+route.Path+"</code>"); shown != (op.Access != ops.Operator) {
				t.Errorf("%s %s: shown %v", route.Method, route.Path, shown)
			}
		}
	}
	_, article, _ := strings.Cut(docs, "<code>/v1/servers/{server_id}/power</code>")
	article, _, _ = strings.Cut(article, "</article>")
	for _, part := range []string{
		"<code>server_id</code> *", "path, string", "<code>action</code> *", "Answers 200 OK", "<code>charged</code>",
		"404 Not Found", "<code>conflict</code>", "<code>insufficient_balance</code>",
	} {
		if !strings.Contains(article, part) {
			t.Errorf("the reference of power_server lacks %q: %s", part, article)
		}
	}
}

func TestGuide(t *testing.T) {
	r := newRig(t)
	a := r.send("GET", "/llms.txt", "", nil)
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") || !strings.HasPrefix(string(a.body), "# Berth") {
		t.Errorf("%d %v %.80s", a.StatusCode, a.Header, a.body)
	}
	if strings.Contains(berth.LLMs, "http://127.0.0.1:8080") && !strings.Contains(string(a.body), r.server.URL) {
		t.Error("the guide names another address than this server's")
	}
}

func TestHealth(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := r.send("GET", path, "", nil); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	r.ready.Store(false)
	if a := r.send("GET", "/healthz", "", nil); a.StatusCode != 200 {
		t.Errorf("it lives while it starts: %d", a.StatusCode)
	}
	if a := r.send("GET", "/readyz", "", nil); a.StatusCode != 503 || a.problem(t).Code != berth.Unavailable {
		t.Errorf("it is not ready: %d %s", a.StatusCode, a.body)
	}
}

// TestDocument holds the OpenAPI document in a golden file.
func TestDocument(t *testing.T) {
	text, err := json.MarshalIndent(api.Document(opstest.New(t).System.Table(), "test"), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	path := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(want, text) {
		t.Errorf("%s is not what the table says (%v); go test ./api -update rewrites it", path, err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Errorf("the document is not valid: %v", err)
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s: the id %q is missing or taken, or there is no summary", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			if strings.Contains(path, "/operator/") {
				t.Errorf("%s is not for agents", path)
			}
		}
	}
	// Only errors are described once for all: each input and answer stands alone.
	others := bytes.ReplaceAll(text, []byte(`"$ref": "#/components/schemas/Problem"`), nil)
	if bytes.Contains(others, []byte(`"$schema"`)) || bytes.Contains(others, []byte(`"$ref"`)) {
		t.Error("a schema does not stand alone")
	}
	if len(text) > 700_000 {
		t.Errorf("the document has %d bytes", len(text))
	}
}
