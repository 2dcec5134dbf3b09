package ops_test

import (
	"testing"

	"berth"
	"berth/account"
	"berth/ops"
	"berth/ops/opstest"
)

// TestSuspendedSeesWhatAnyoneSees: a suspension takes what an account may do,
// and not what nobody need be known for.
func TestSuspendedSeesWhatAnyoneSees(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true })
	local, owner := w.Local(berth.Dollar), w.Principal()
	w.Must(opstest.Operator, "update_account", opstest.Args{"account": "local", "suspended": true})
	for _, creds := range [][]ops.Credential{p.Creds, local.Creds} {
		for _, op := range w.System.Table().All() {
			if op.Doc.Toolset == "" {
				continue
			}
			_, err := w.Do(creds, op.Name, w.Example(owner, op))
			code := berth.Code("")
			if err != nil {
				code = berth.CodeOf(err)
			}
			if want := map[bool]berth.Code{false: berth.Suspended}[op.Access == ops.Anyone]; code != want {
				t.Errorf("%s over %s: %v, want %q", op.Name, creds[0].Scheme, err, want)
			}
		}
	}
	res := w.Must(p.Creds, "quote", opstest.Args{"size": "small", "region": "nyc1"})
	if out := res.Out.(ops.QuoteOut); out.Balance != nil {
		t.Error("a suspended account's quote shows its balance")
	}
}

// TestCheckCredentials tells right from wrong without a call.
func TestCheckCredentials(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	suspended := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true })
	wrong := ops.Credential{Scheme: ops.BearerScheme, Token: "berth_wrong"}
	wallet := ops.Credential{Scheme: ops.MPPScheme, Token: "not read"}
	tests := map[string]struct {
		creds []ops.Credential
		ok    bool
	}{
		"none":       {nil, true},
		"a key":      {p.Creds, true},
		"suspended":  {suspended.Creds, true},
		"a wallet":   {[]ops.Credential{wallet}, true},
		"wrong":      {[]ops.Credential{wrong}, false},
		"one of two": {[]ops.Credential{wallet, p.Creds[0], wrong}, false},
	}
	for name, tt := range tests {
		err := w.System.CheckCredentials(t.Context(), tt.creds)
		if (err == nil) != tt.ok || err != nil && berth.CodeOf(err) != berth.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}
