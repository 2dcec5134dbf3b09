package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"berth/ops/opstest"
)

// TestPages checks what a browser needs to let a page's wallet pay.
func TestPages(t *testing.T) {
	r := newRig(t)
	for path, methods := range map[string]string{
		"/v1/servers":              "GET, POST",
		"/v1/servers/srv_1":        "DELETE, GET, PATCH",
		"/v1/servers/srv_1/extend": "POST",
		"/openapi.json":            "GET",
	} {
		a := r.call(http.MethodOptions, path, "", nil, "Origin", "https://shop.example", "Access-Control-Request-Method", "POST")
		if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Methods") != methods || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("OPTIONS %s: %d %v", path, a.StatusCode, a.Header)
		}
		taken := strings.Split(a.Header.Get("Access-Control-Allow-Headers"), ", ")
		for _, name := range []string{"Authorization", "Content-Type", "PAYMENT-SIGNATURE", "X-PAYMENT", "SIGN-IN-WITH-X", "Idempotency-Key"} {
			if !slices.Contains(taken, name) {
				t.Errorf("OPTIONS %s: %s is not taken", path, name)
			}
		}
	}
	if a := r.call(http.MethodOptions, "/nothing", "", nil); a.StatusCode != http.StatusNotFound {
		t.Errorf("OPTIONS of nothing: %d", a.StatusCode)
	}
	demand := r.call("POST", "/v1/servers", "", opstest.Args{"size": "small", "region": "nyc1"}, "Origin", "https://shop.example")
	shown := strings.Split(demand.Header.Get("Access-Control-Expose-Headers"), ", ")
	for _, name := range []string{"WWW-Authenticate", "PAYMENT-REQUIRED", "Payment-Receipt", "PAYMENT-RESPONSE"} {
		if demand.StatusCode != http.StatusPaymentRequired || demand.Header.Get("Access-Control-Allow-Origin") != "*" || !slices.Contains(shown, name) {
			t.Errorf("a demand: %d %v", demand.StatusCode, demand.Header)
		}
	}
}

// TestProbes checks that each route that needs to know its caller says so to who
// sends nothing at all, also where its body is a file.
func TestProbes(t *testing.T) {
	r := newRig(t)
	for _, probe := range []struct{ method, path string }{
		{"GET", "/v1/servers"},
		{"POST", "/v1/servers"},
		{"PUT", "/v1/servers/srv_1/files"},
		{"GET", "/v1/servers/srv_1/files/raw"},
		{"DELETE", "/v1/servers/srv_1"},
		{"HEAD", "/v1/servers"},
	} {
		if a := r.send(probe.method, probe.path, "", nil); a.StatusCode != http.StatusPaymentRequired {
			t.Errorf("%s %s: %d %s", probe.method, probe.path, a.StatusCode, a.body)
		}
	}
}
