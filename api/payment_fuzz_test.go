package api

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"berth/ops"
)

// FuzzWallets: whatever stands in the headers becomes credentials of the kinds
// that the headers are for, no more of them than there are parts, none longer
// than its header, and base64 of any alphabet is what was encoded.
func FuzzWallets(f *testing.F) {
	f.Add("Payment eyJhIjoxfQ", "eyJ4NDAyVmVyc2lvbiI6Mn0=", "", "")
	f.Add("Bearer berth_1, Payment e30, payment e30", "", "e30=", "e30")
	f.Add("Payment", " \t", "=", "\xff-_+/")
	f.Fuzz(func(t *testing.T, authorization, v2, v1, signIn string) {
		r := &http.Request{Header: http.Header{
			"Authorization": {authorization}, "Payment-Signature": {v2}, "X-Payment": {v1}, "Sign-In-With-X": {signIn},
		}}
		count := map[ops.Scheme]int{}
		for _, c := range wallets(r) {
			count[c.Scheme]++
			if n := max(len(authorization), len(v2), len(v1), len(signIn)); len(c.Token) > n {
				t.Errorf("%d bytes of %d", len(c.Token), n)
			}
		}
		parts := strings.Count(authorization, ",") + 1
		if count[ops.MPPScheme] > parts || count[ops.X402Scheme] != 1 || count[ops.X402V1Scheme] != 1 || count[ops.SIWXScheme] != 1 {
			t.Errorf("credentials: %v", count)
		}
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if text := e.EncodeToString([]byte(v2)); decoded(text) != v2 {
				t.Errorf("%q is decoded as %q, not %q", text, decoded(text), v2)
			}
		}
	})
}
