package mpp

import (
	"testing"

	"berth/billing"
	"berth/billing/evm"
)

func TestGrantCovers(t *testing.T) {
	account, key := evm.Address{1}, evm.Address{2}
	for name, c := range map[string]struct {
		grant grant
		from  signed
		want  billing.Problem // empty where it covers
	}{
		"the key":           {grant{chain: 7, key: key, root: signed{account: account}}, signed{account: account, key: key}, ""},
		"on every chain":    {grant{key: key, root: signed{account: account}}, signed{account: account, key: key}, ""},
		"for later":         {grant{key: key, root: signed{account: account}}, signed{account: account}, ""},
		"another chain":     {grant{chain: 8, key: key, root: signed{account: account}}, signed{account: account, key: key}, billing.Mismatched},
		"another key":       {grant{key: evm.Address{3}, root: signed{account: account}}, signed{account: account, key: key}, billing.Unverified},
		"by the key itself": {grant{key: key, root: signed{account: key}}, signed{account: account, key: key}, billing.Unverified},
		"by somebody else":  {grant{key: key, root: signed{account: evm.Address{4}}}, signed{account: account}, billing.Unverified},
	} {
		if err := c.grant.covers(&transaction{chain: 7, from: c.from}); problemOf(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestGrantUnreadable(t *testing.T) {
	terms := []any{uint64(7), uint64(0), evm.Address{2}}
	for name, v := range map[string]any{
		"no list":            []byte{1},
		"no signature":       []any{terms},
		"three parts":        []any{terms, []byte{1}, []byte{2}},
		"terms of bytes":     []any{[]byte{1}, []byte{2}},
		"two terms":          []any{terms[:2], make([]byte, 65)},
		"ten terms":          []any{append(append([]any{}, terms...), []byte{}, []byte{}, []byte{}, []byte{}, []byte{}, []byte{}, []byte{}), make([]byte, 65)},
		"an address of 3":    []any{[]any{uint64(7), uint64(0), []byte{1, 2, 3}}, make([]byte, 65)},
		"a list that signs":  []any{terms, []any{}},
		"an empty signature": []any{terms, []byte{}},
	} {
		if _, err := decodeGrant(encoded(v)); problemOf(err) == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
