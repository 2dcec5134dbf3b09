package tools

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"berth"
)

// guard refuses requests that a web page could have sent without its user's
// will: those from a foreign origin, and those that reached a local address
// under a foreign name (DNS rebinding). It reports whether the request may go on.
func (f *Front) guard(w http.ResponseWriter, r *http.Request) bool {
	if !f.hostAllowed(r) {
		f.deny(w, http.StatusForbidden, "this server is not called %.100s: its operator names it by --public-url", r.Host)
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" && !f.originAllowed(origin) {
		f.deny(w, http.StatusForbidden, "requests from this origin are not allowed")
		return false
	}
	return true
}

// hostAllowed reports whether the name that the request addresses is one of ours.
func (f *Front) hostAllowed(r *http.Request) bool {
	name := hostname(r.Host)
	if loopback(name) {
		return true
	}
	if len(f.opts.Hosts) > 0 {
		return slices.ContainsFunc(f.opts.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return !ok || !loopback(hostname(local.String()))
}

// originAllowed reports whether a web page of this origin may call.
func (f *Front) originAllowed(origin string) bool {
	if slices.Contains(f.opts.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && loopback(u.Hostname())
}

// hostname cuts the port from a host, and the brackets from an IPv6 address.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// loopback reports whether a name or address can only mean this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// identify finds out who calls, or answers why that can't be: 401 where a
// credential is wrong, so that the client learns it when it connects.
func (f *Front) identify(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if f.opts.Identify == nil {
		return r, true
	}
	ctx, err := f.opts.Identify(r)
	if err == nil {
		return r.WithContext(ctx), true
	}
	status := http.StatusServiceUnavailable
	switch berth.CodeOf(err) {
	case berth.Unauthenticated:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="berth", error="invalid_token"`)
	case berth.InvalidInput:
		status = http.StatusBadRequest
	default:
		f.opts.Log.Error("MCP caller not identified", "error", err)
		w.Header().Set("Retry-After", "1")
	}
	f.reject(w, status, nil, rejectionOf(err, mcp.INVALID_REQUEST))
	return nil, false
}

// isJSON reports whether the request says that its body is JSON.
func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// accepts reports whether the client takes answers of this media type. A
// client that says nothing takes all.
func accepts(r *http.Request, kind string) bool {
	headers := r.Header.Values("Accept")
	if len(headers) == 0 {
		return true
	}
	family, _, _ := strings.Cut(kind, "/")
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, _, _ := strings.Cut(item, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case kind, family + "/*", "*/*":
			return true
		}
	}
	return false
}
