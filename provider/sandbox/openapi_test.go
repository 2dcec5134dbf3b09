package sandbox

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// descriptionPath is DigitalOcean's OpenAPI description.
const descriptionPath = "testdata/digitalocean-openapi.min.json"

// corrections are where the description says what the real API does not do.
var corrections = []struct {
	why   string
	apply func(*openapi3.T)
}{
	{"next_backup_window is null for a droplet without backups", func(doc *openapi3.T) {
		droplet := doc.Components.Schemas["droplet"].Value
		droplet.Properties["next_backup_window"] = openapi3.NewSchemaRef("", openapi3.NewObjectSchema().WithNullable())
	}},
	{"a reserved IP goes by the URN that its client used, and today's use do:reservedip:", func(doc *openapi3.T) {
		urn := doc.Components.Schemas["urn"].Value
		urn.Pattern = strings.Replace(urn.Pattern, "floatingip|", "floatingip|reservedip|", 1)
	}},
}

var description = sync.OnceValues(func() (routers.Router, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromFile(filepath.FromSlash(descriptionPath))
	if err != nil {
		return nil, err
	}
	for _, c := range corrections {
		c.apply(doc)
	}
	doc.Servers = nil // tests listen at other addresses
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
})

// contract holds all that goes through a transport against the description.
func contract(t *testing.T, next http.RoundTripper) http.RoundTripper {
	router, err := description()
	if err != nil {
		t.Fatal("the OpenAPI description: ", err)
	}
	return &checked{t.Errorf, router, next}
}

type checked struct {
	report func(format string, args ...any)
	router routers.Router
	next   http.RoundTripper
}

func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return res, nil // not DigitalOcean's: there is nothing to hold it against
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 res.StatusCode,
		Header:                 res.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		c.report("%s %s answered %d against the description: %v", r.Method, r.URL, res.StatusCode, err)
	}
	return res, nil
}

// TestRoutesAreDigitalOceans holds the table of routes against the description.
func TestRoutesAreDigitalOceans(t *testing.T) {
	router, err := description()
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range routeTable() {
		if rt.op == "" {
			continue
		}
		method, path, _ := strings.Cut(rt.pattern, " ")
		req := httptest.NewRequest(method, placeholder.ReplaceAllString(path, "1"), nil)
		route, _, err := router.FindRoute(req)
		if err != nil {
			t.Errorf("%s: %v", rt.pattern, err)
		} else if got := route.Operation.OperationID; got != rt.op {
			t.Errorf("%s is operation %q, not %q", rt.pattern, got, rt.op)
		}
	}
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// TestContractIsHeld holds that the check finds what it is there for.
func TestContractIsHeld(t *testing.T) {
	router, err := description()
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{`{"regions":[],"meta":{"total":0}}`: 0, `{"regions":[{}],"meta":{"total":1}}`: 1, `{}`: 1} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if _, err := io.WriteString(w, body); err != nil {
				t.Error(err)
			}
		}))
		defer server.Close()
		reports := 0
		transport := &checked{func(string, ...any) { reports++ }, router, &http.Transport{DisableKeepAlives: true}}
		res, err := (&http.Client{Transport: transport}).Get(server.URL + "/v2/regions")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if reports != want {
			t.Errorf("%s was reported %d times, want %d", body, reports, want)
		}
	}
}
