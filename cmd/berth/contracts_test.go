package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"berth/api"
	"berth/billing"
	"berth/ops"
	"berth/ops/opstest"
)

// documentation serves Berth as `berth serve` does, as far as it documents itself.
func documentation(t *testing.T) *httptest.Server {
	w := opstest.New(t)
	front := api.New(api.Options{
		System: w.System, Credentials: func(*http.Request) []ops.Credential { return nil }, Contracts: contracts(w.Clock.Now()),
		Contact: "ops@example.com", Version: "test", Now: w.Clock.Now, Log: slog.New(slog.DiscardHandler),
	})
	s := httptest.NewServer(front)
	t.Cleanup(s.Close)
	return s
}

func read(t *testing.T, url, kind string) string {
	t.Helper()
	res, err := http.Get(url) //nolint:noctx // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), kind) {
		t.Fatalf("%s: %d %s %v: %.300s", url, res.StatusCode, res.Header.Get("Content-Type"), err, text)
	}
	return string(text)
}

// TestContractDocuments: every contract has its page, an OpenAPI document that is
// valid and names all its routes, and a part of llms.txt.
func TestContractDocuments(t *testing.T) {
	s := documentation(t)
	all := read(t, s.URL+"/llms.txt", "text/plain")
	list := read(t, s.URL+"/docs", "text/html")
	var named []billing.Contract
	for _, c := range contracts(opstest.Epoch) {
		named = append(named, c.Name)
		at := s.URL + "/docs/" + string(c.Name)
		guide := read(t, at+"/llms.txt", "text/plain")
		if len(guide) < 500 || !strings.Contains(all, strings.TrimSpace(guide)) {
			t.Errorf("the guide of %s is no part of llms.txt: %.80q", c.Name, guide)
		}
		if strings.Contains(guide, "127.0.0.1:8080") {
			t.Errorf("the guide of %s names another server than this one", c.Name)
		}
		if !strings.Contains(list, `href="/docs/`+string(c.Name)+`"`) {
			t.Errorf("/docs does not list %s", c.Name)
		}
		page := read(t, at, "text/html")
		text := read(t, at+"/openapi.json", "application/json")
		doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
		if err == nil {
			err = doc.Validate(t.Context())
		}
		if err != nil {
			t.Errorf("the document of %s: %v", c.Name, err)
			continue
		}
		for _, route := range c.Routes {
			path := strings.TrimSuffix(c.Base+strings.TrimSuffix(route.Path, "{$}"), "/")
			if item := doc.Paths.Find(path); item == nil || item.GetOperation(route.Method) == nil {
				t.Errorf("%s %s is not in the document of %s", route.Method, path, c.Name)
			}
			if !strings.Contains(page, "<code>"+path+"</code>") {
				t.Errorf("%s %s is not on the page of %s", route.Method, path, c.Name)
			}
		}
	}
	if want := billing.Contracts[1:]; !slices.Equal(named, want) {
		t.Errorf("served are %v, want %v", named, want)
	}
}

// TestNativeDocuments: the native contract has its pages under the same names.
func TestNativeDocuments(t *testing.T) {
	s := documentation(t)
	for _, name := range []string{"prepaid", "native"} {
		read(t, s.URL+"/docs/"+name, "text/html")
		read(t, s.URL+"/docs/"+name+"/llms.txt", "text/plain")
		var doc struct{ Paths map[string]any }
		if err := json.Unmarshal([]byte(read(t, s.URL+"/docs/"+name+"/openapi.json", "application/json")), &doc); err != nil || doc.Paths["/v1/servers"] == nil {
			t.Errorf("the document of %s: %v", name, err)
		}
	}
	if page := read(t, s.URL+"/docs/custom-requests", "text/html"); !strings.Contains(page, "ops@example.com") {
		t.Errorf("the page for custom requests names nobody: %s", page)
	}
	if res, err := http.Get(s.URL + "/docs/barter"); err != nil || res.StatusCode != http.StatusNotFound { //nolint:noctx // as above
		t.Errorf("a contract that there is not: %v %v", res, err)
	} else {
		res.Body.Close()
	}
}
