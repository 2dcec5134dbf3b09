package tools

import (
	"encoding/json"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"berth/ops"
)

// FuzzWallets: whatever stands in _meta becomes at most one credential of each
// rail, whose text is JSON that means the same.
func FuzzWallets(f *testing.F) {
	f.Add(`{"org.paymentauth/credential":{"challenge":{},"payload":{}},"x402/payment":{"x402Version":2}}`)
	f.Add(`{"x402/payment":{"x402Version":1},"progressToken":7}`)
	f.Add(`{"x402/payment":null,"org.paymentauth/credential":"\u2028<"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var meta mcp.Meta
		if json.Unmarshal([]byte(text), &meta) != nil {
			return
		}
		seen := map[bool]bool{}
		for _, c := range wallets(&meta) {
			mpp := c.Scheme == ops.MPPScheme
			if seen[mpp] || (!mpp && c.Scheme != ops.X402Scheme && c.Scheme != ops.X402V1Scheme) {
				t.Errorf("credentials of %q: %q", c.Scheme, c.Token)
			}
			seen[mpp] = true
			var got any
			if err := json.Unmarshal([]byte(c.Token), &got); err != nil {
				t.Fatalf("%q: %v", c.Token, err)
			}
			name := mppCredential
			if !mpp {
				name = x402Payment
			}
			again, err := json.Marshal(got)
			want, bad := json.Marshal(meta.AdditionalFields[name])
			if err != nil || bad != nil || string(again) != string(want) {
				t.Errorf("%s became %s", want, again)
			}
		}
	})
}
