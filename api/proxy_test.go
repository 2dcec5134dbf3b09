package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestBehind(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for name, tt := range map[string]struct {
		from string
		says []string
		want string
	}{
		"a client":              {"192.0.2.1:1234", nil, "192.0.2.1"},
		"a client that lies":    {"192.0.2.1:1234", []string{"198.51.100.7"}, "192.0.2.1"},
		"one proxy":             {"10.0.0.1:1234", []string{"198.51.100.7"}, "198.51.100.7"},
		"two proxies":           {"10.0.0.1:1234", []string{"198.51.100.7, 10.2.3.4"}, "198.51.100.7"},
		"two headers":           {"10.0.0.1:1234", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		"a lie before the last": {"10.0.0.1:1234", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		"nothing said":          {"10.0.0.1:1234", nil, "10.0.0.1"},
		"nonsense":              {"10.0.0.1:1234", []string{"unknown"}, "10.0.0.1"},
		"nonsense before":       {"10.0.0.1:1234", []string{"unknown, 10.9.9.9"}, "10.9.9.9"},
		"an IPv6 proxy":         {"[::1]:1234", []string{"2001:db8::7"}, "2001:db8::"},
		"a mapped address":      {"10.0.0.1:1234", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
	} {
		t.Run(name, func(t *testing.T) {
			var got netip.Addr
			h := Behind(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = clientOf(r) }), proxies)
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = tt.from
			for _, v := range tt.says {
				r.Header.Add("X-Forwarded-For", v)
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got.String() != tt.want {
				t.Errorf("the client is %s, want %s", got, tt.want)
			}
		})
	}
}
