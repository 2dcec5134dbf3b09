package mpp_test

import (
	"strings"
	"testing"

	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
)

func TestCheck(t *testing.T) {
	if r := newRig(t); r.chain.Calls("eth_chainId") > 0 {
		t.Error("a rail that was only made has asked the node")
	}
	for name, c := range map[string]struct {
		edit   func(*mpp.Options)
		script func(*mpptest.Chain)
		words  string // empty where all is well
	}{
		"all is well":   {},
		"another chain": {edit: func(o *mpp.Options) { o.Chain = 4217 }, words: "chain 42431"},
		"no token":      {edit: func(o *mpp.Options) { o.Currency = mpptest.Recipient }, words: "no token"},
		"18 decimals": {script: func(c *mpptest.Chain) {
			c.Script("eth_call", mpptest.Fault{Result: "0x" + strings.Repeat("0", 62) + "12"})
		}, words: "6 decimals"},
		"no answer": {script: func(c *mpptest.Chain) { c.Script("eth_getCode", mpptest.Fault{Drop: true}) }, words: "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			var edits []func(*mpp.Options)
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			r := newRig(t, edits...)
			if c.script != nil {
				c.script(r.chain)
			}
			err := r.rail.Check(t.Context())
			if (err == nil) != (c.words == "") || (err != nil && !strings.Contains(err.Error(), c.words)) {
				t.Errorf("error %v", err)
			}
		})
	}
}
