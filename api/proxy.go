package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Behind takes the client's address from X-Forwarded-For where the connection
// comes from a trusted proxy: the last address in it that is no such proxy's.
// What others say of addresses is passed over. Rate limits tell clients apart by
// it.
func Behind(next http.Handler, proxies []netip.Prefix) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := peerOf(r)
		if !trusted(client) {
			next.ServeHTTP(w, r)
			return
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break // whatever stands before it can't be believed either
			}
			if client = a.Unmap(); !trusted(client) {
				break
			}
		}
		told := *r
		told.RemoteAddr = net.JoinHostPort(client.String(), "0")
		next.ServeHTTP(w, &told)
	})
}
