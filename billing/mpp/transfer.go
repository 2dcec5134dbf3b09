package mpp

import (
	"bytes"
	"math/big"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// transfer is the one thing that a payment does: TIP-20's transferWithMemo.
type transfer struct {
	token  evm.Address
	from   evm.Address
	to     evm.Address
	amount berth.Micros
	memo   evm.Word
}

const transferMethod = "transferWithMemo(address,uint256,bytes32)"

// transferTopic is the event's first topic. The token also emits a plain
// Transfer for the same money, which must not be counted again.
var transferTopic = evm.Keccak([]byte("TransferWithMemo(address,address,uint256,bytes32)"))

// calldata is the call that moves the money.
func (t transfer) calldata() []byte {
	return evm.Calldata(transferMethod, evm.AddressWord(t.to), evm.Uint64(uint64(t.amount)), t.memo)
}

// shows tells whether a receipt has the transfer. However often it has it, it
// is one payment.
func (t transfer) shows(receipt *evm.Receipt) bool {
	for _, l := range receipt.Logs {
		if t.isLog(l) && !l.Removed && (l.TxHash == receipt.TxHash || l.TxHash == (evm.Hash{})) {
			return true
		}
	}
	return false
}

func (t transfer) isLog(l evm.Log) bool {
	amount := evm.Uint64(uint64(t.amount))
	return l.Address == t.token && len(l.Topics) == 4 && l.Topics[0] == transferTopic &&
		l.Topics[1] == evm.Hash(evm.AddressWord(t.from)) && l.Topics[2] == evm.Hash(evm.AddressWord(t.to)) &&
		l.Topics[3] == evm.Hash(t.memo) && bytes.Equal(l.Data, amount[:])
}

// Parts of an attribution memo: a tag and a version, ten bytes of the realm's
// hash, ten that the client chose, and seven of the challenge's hash.
var memoTag = []byte{0xef, 0x1e, 0xd7, 0x12, 0x01}

const (
	memoClient    = 15 // where the client's bytes begin
	memoChallenge = 25
)

// isBound tells whether a memo is for the challenge and the realm.
func isBound(memo evm.Word, challengeID, realm string) bool {
	server, nonce := evm.Keccak([]byte(realm)), evm.Keccak([]byte(challengeID))
	return bytes.Equal(memo[:len(memoTag)], memoTag) &&
		bytes.Equal(memo[len(memoTag):memoClient], server[:memoClient-len(memoTag)]) &&
		bytes.Equal(memo[memoChallenge:], nonce[:len(memo)-memoChallenge])
}

// payment is the transfer that a transaction makes for a challenge, if it makes
// that and nothing else.
func (t *transaction) payment(c *challenge, ch charge) (transfer, error) {
	none := transfer{}
	if len(t.calls) != 1 {
		return none, billing.Refuse(billing.Mismatched, "the transaction makes %d calls; a payment makes one", len(t.calls))
	}
	call := t.calls[0]
	want := transfer{token: ch.currency, from: t.from.account, to: ch.recipient, amount: ch.amount}
	pattern := want.calldata()
	memo := len(pattern) - len(want.memo)
	switch {
	case !bytes.Equal(call.To, ch.currency[:]):
		return none, billing.Refuse(billing.Mismatched, "the transaction calls something else than the token %s", ch.currency)
	case call.Value.Sign() != 0:
		return none, billing.Refuse(billing.Mismatched, "the transaction sends something besides the token")
	case len(call.Data) != len(pattern) || !bytes.Equal(call.Data[:4], pattern[:4]):
		return none, billing.Refuse(billing.Mismatched, "the transaction makes another call than %s", transferMethod)
	case !bytes.Equal(call.Data[4:36], pattern[4:36]):
		return none, billing.Refuse(billing.Mismatched, "the transaction pays somebody else than %s", ch.recipient)
	case !bytes.Equal(call.Data[36:memo], pattern[36:memo]):
		return none, billing.Refuse(billing.Mismatched, "the transaction pays another amount than %d units", int64(ch.amount))
	}
	copy(want.memo[:], call.Data[memo:])
	if !isBound(want.memo, c.ID, c.Realm) {
		return none, billing.Refuse(billing.Mismatched, "the transfer's memo is not for this challenge")
	}
	return want, nil
}

// checkFee tells whether we would pay the gas of a transaction.
func (r *Rail) checkFee(t *transaction) error {
	fee := new(big.Int).Mul(t.maxFee, new(big.Int).SetUint64(t.gas))
	limit := new(big.Int).Mul(big.NewInt(int64(r.maxFee)), attodollarsPerMicro)
	switch {
	case t.nonceKey.Cmp(expiringNonce) != 0:
		return billing.Refuse(billing.Unsupported, "where the gas is paid for, the nonce has to expire")
	case t.accesses > 0:
		return billing.Refuse(billing.Unsupported, "where the gas is paid for, a payment has no access list")
	case t.gas == 0 || t.gas > r.maxGas:
		return billing.Refuse(billing.Unsupported, "%d gas is not paid for; at most %d is", t.gas, r.maxGas)
	case t.maxFee.Sign() == 0 || t.priorityFee.Cmp(t.maxFee) > 0 || fee.Cmp(limit) > 0:
		return billing.Refuse(billing.Unsupported, "fees of at most %s USD are paid for", r.maxFee)
	}
	return nil
}

// attodollarsPerMicro: gas is priced in 10⁻¹⁸ USD.
var attodollarsPerMicro = big.NewInt(1_000_000_000_000)
