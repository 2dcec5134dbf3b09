package mpp

import (
	"bytes"
	"context"
	"math/big"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// keychain is the precompiled contract that knows accounts' access keys.
var keychain = evm.Address{0: 0xaa, 1: 0xaa, 2: 0xaa, 3: 0xaa}

// keyStatus is what getKey answers: five words.
const (
	keyStatusLength = 5 * 32
	wordKey         = 1 * 32
	wordExpiry      = 2 * 32
	wordRevoked     = 4 * 32
)

// checkGranted asks the chain whether an account granted an access key that is
// neither revoked nor expired. A key that the chain never heard of passes only
// where the transaction itself grants it.
func (r *Rail) checkGranted(ctx context.Context, account, key evm.Address, granting bool) error {
	call := evm.Calldata("getKey(address,address)", evm.AddressWord(account), evm.AddressWord(key))
	b, err := r.node.Call(ctx, nil, keychain, call, evm.Latest)
	if err != nil {
		return berth.Errorf(berth.Unavailable, "nobody can say at the moment whether this key may sign for the account").Because(err)
	}
	if len(b) < keyStatusLength {
		return berth.Errorf(berth.Unavailable, "the chain knows no access keys at the moment")
	}
	known := bytes.Equal(b[wordKey+12:wordKey+32], key[:])
	expiry := new(big.Int).SetBytes(b[wordExpiry : wordExpiry+32])
	revoked := new(big.Int).SetBytes(b[wordRevoked:keyStatusLength]).Sign() != 0
	switch {
	case revoked:
		return billing.Refuse(billing.Unverified, "this access key was revoked")
	case !known && granting:
		return nil
	case !known:
		return billing.Refuse(billing.Unverified, "the signature is not by the account, nor by an access key of it")
	case expiry.Cmp(big.NewInt(r.now().Unix())) <= 0:
		return billing.Refuse(billing.Unverified, "this access key has expired")
	}
	return nil
}
