package mpp

import (
	"bytes"
	"context"

	"berth/billing"
	"berth/billing/evm"
)

// The EIP-712 types of proofs.
var (
	proofDomainType = evm.Keccak([]byte("EIP712Domain(string name,string version,uint256 chainId)"))
	proofType       = evm.Keccak([]byte("Proof(address account,string challengeId,string realm)"))
	draftProofType  = evm.Keccak([]byte("Proof(string challengeId)"))
)

func proofDomain(version string, chain uint64) evm.Hash {
	return evm.Struct(proofDomainType, evm.Text("MPP"), evm.Text(version), evm.Uint64(chain))
}

// proofDigest is what an account signs to prove itself: version 3 of the
// domain, which clients have.
func proofDigest(chain uint64, account evm.Address, challengeID, realm string) evm.Hash {
	return evm.TypedDigest(proofDomain("3", chain),
		evm.Struct(proofType, evm.AddressWord(account), evm.Text(challengeID), evm.Text(realm)))
}

// draftDigest is what draft-tempo-charge-00 says instead. It names no account,
// so only an account's own key may sign it.
func draftDigest(chain uint64, challengeID string) evm.Hash {
	return evm.TypedDigest(proofDomain("1", chain), evm.Struct(draftProofType, evm.Text(challengeID)))
}

// readProof finds out whether the source made the proof: by its own key, or by
// an access key that the chain knows as the source's.
func (r *Rail) readProof(ctx context.Context, c *credential) error {
	envelope := c.body
	if len(envelope) > evm.SignatureLength {
		envelope = bytes.TrimSuffix(envelope, magic)
	}
	who, err := recoverSigner(proofDigest(c.chain, c.source, c.challenge.ID, c.challenge.Realm), envelope)
	if err == nil && who.account == c.source && who.key == (evm.Address{}) {
		return nil
	}
	if draft, _, err := recoverKey(draftDigest(c.chain, c.challenge.ID), envelope); err == nil && draft == c.source {
		return nil
	}
	switch {
	case err != nil:
		return err
	case who.key == (evm.Address{}):
		// Some wallets send an access key's bare signature. The digest names the
		// account that it is for.
		return r.checkGranted(ctx, c.source, who.account, false)
	case who.account != c.source:
		return billing.Refuse(billing.Unverified, "the proof is made for another account than the source")
	default:
		return r.checkGranted(ctx, c.source, who.key, false)
	}
}
