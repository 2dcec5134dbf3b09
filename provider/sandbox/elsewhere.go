package sandbox

import (
	"net/http"
	"strings"
)

// What the sandbox answers to requests that no route of its own serves.

// lacking are the beginnings of the paths that DigitalOcean answers and the
// sandbox does not; "*" is any one part of a path.
var lacking = []string{
	"1-clicks", "add-ons", "apps", "billing", "byoip_prefixes", "cdn", "certificates", "databases", "dedicated-inferences",
	"domains", "floating_ips", "functions", "gen-ai", "kubernetes", "load_balancers", "monitoring", "nfs",
	"partner_network_connect", "registries", "registry", "reports", "reserved_ipv6", "security", "spaces", "uptime",
	"vector-databases", "vpc_nat_gateways", "vpc_peerings",
	"customers/my/invoices/*/csv", "customers/my/invoices/*/pdf", "droplets/autoscale", "images/*/account_transfer", "vpcs/*/peerings",
}

// lacks tells whether a path is DigitalOcean's and not the sandbox's.
func lacks(path string) bool {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return false
	}
	parts := strings.Split(rest, "/")
	for _, prefix := range lacking {
		if begins(parts, strings.Split(prefix, "/")) {
			return true
		}
	}
	return false
}

func begins(parts, prefix []string) bool {
	if len(parts) < len(prefix) {
		return false
	}
	for i, p := range prefix {
		if p != "*" && p != parts[i] {
			return false
		}
	}
	return true
}

// methods are those that a request's path has, if the request's own is none of
// them; where it is, or the path has none, they are empty.
func methods(mux *http.ServeMux, r *http.Request) string {
	serves := func(method string) bool {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		_, pattern := mux.Handler(probe)
		return pattern != "" && pattern != "/"
	}
	if serves(r.Method) {
		return ""
	}
	var others []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if serves(m) {
			others = append(others, m)
		}
	}
	return strings.Join(others, ", ")
}

// unoffered answers for what DigitalOcean has and the sandbox lacks.
func (c *Cloud) unoffered(r *http.Request) (reply, error) {
	return reply{}, notOffered(r.Method + " " + r.URL.Path)
}

func (c *Cloud) wrongMethod(r *http.Request) (reply, error) {
	return reply{}, &refusal{
		status: http.StatusMethodNotAllowed, id: "method_not_allowed",
		message: r.Method + " is not allowed for " + r.URL.Path + ".",
	}
}
