package ops_test

import (
	"testing"

	"berth"
	"berth/ops/opstest"
)

// TestRevokeByTheKeyItself: who has a leaked key at hand need not look for its id.
func TestRevokeByTheKeyItself(t *testing.T) {
	w := opstest.New(t)
	w.Local(0) // as whom the operator acts
	p, other := w.Principal(), w.Principal()
	if _, err := w.Do(p.Creds, "drop_api_key", opstest.Args{"api_key_id": other.Token}); berth.CodeOf(err) != berth.NotFound {
		t.Errorf("another's key: %v", err)
	}
	w.Must(p.Creds, "drop_api_key", opstest.Args{"api_key_id": p.Token})
	w.Must(opstest.Operator, "revoke_api_key", opstest.Args{"api_key_id": other.Token})
	for _, creds := range []opstest.Principal{p, other} {
		if _, err := w.Do(creds.Creds, "get_balance", nil); berth.CodeOf(err) != berth.Unauthenticated {
			t.Errorf("it is taken still: %v", err)
		}
	}
}
