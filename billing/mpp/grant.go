package mpp

import (
	"github.com/ethereum/go-ethereum/rlp"

	"berth/billing"
	"berth/billing/evm"
)

// grant is a transaction's fourteenth field: an account lets an access key sign
// for it, from this transaction on. Limits and scopes are for the chain.
type grant struct {
	chain  uint64 // 0 for every chain
	kind   uint64 // of the key: 0 secp256k1, 1 P256, 2 WebAuthn
	key    evm.Address
	expiry uint64 // seconds since 1970; 0 for never
	root   signed // who granted it
}

const maxGrantFields = 9

// decodeGrant reads [[chain, type, key, expiry, …], signature].
func decodeGrant(b []byte) (*grant, error) {
	pair, err := splitList(b, 2)
	if err != nil || len(pair) != 2 {
		return nil, malformed("the key authorization is no pair of what is granted and a signature")
	}
	terms, err := splitList(pair[0], maxGrantFields)
	if err != nil || len(terms) < 3 {
		return nil, malformed("the key authorization's terms can't be read")
	}
	g := &grant{}
	for i, into := range []any{&g.chain, &g.kind, &g.key, &g.expiry} {
		if i < len(terms) && rlp.DecodeBytes(terms[i], into) != nil {
			return nil, malformed("the key authorization's term %d can't be read", i)
		}
	}
	var envelope []byte
	if err := rlp.DecodeBytes(pair[1], &envelope); err != nil {
		return nil, malformed("the key authorization's signature is no string of bytes")
	}
	if g.root.account, g.root.envelope, err = recoverKey(evm.Keccak(pair[0]), envelope); err != nil {
		return nil, err
	}
	return g, nil
}

// covers tells whether the account that a transaction is made for granted the
// key that it is signed with.
func (g *grant) covers(t *transaction) error {
	switch {
	case g.chain != 0 && g.chain != t.chain:
		return billing.Refuse(billing.Mismatched, "the key authorization is for another chain")
	case g.root.account != t.from.account:
		return billing.Refuse(billing.Unverified, "the key authorization is not signed by the account's own key")
	case t.from.key != (evm.Address{}) && t.from.key != g.key:
		return billing.Refuse(billing.Unverified, "the key authorization is for another key")
	}
	return nil
}
