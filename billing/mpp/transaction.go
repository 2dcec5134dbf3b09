package mpp

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/rlp"

	"berth/billing"
	"berth/billing/evm"
)

// The types of Tempo transactions.
const (
	typeTempo    = 0x76 // what the chain takes
	typeFeePayer = 0x78 // what a fee payer signs, and what clients hand him
)

// The fields of a Tempo transaction, by their place in its RLP list.
const (
	fieldChain = iota
	fieldPriorityFee
	fieldMaxFee
	fieldGas
	fieldCalls
	fieldAccessList
	fieldNonceKey
	fieldNonce
	fieldValidBefore
	fieldValidAfter
	fieldFeeToken
	fieldFeePayer          // nothing, a mark, the sender, or the fee payer's signature
	fieldAuthorizationList // EIP-7702's
	fieldKeyAuthorization  // only where an access key is granted by the transaction
)

const maxTransaction = 8 << 10 // bytes

// Who pays a transaction's gas, by its field 11.
type gasPayer int

const (
	paidBySender gasPayer = iota
	paidByUs              // it waits for the fee payer's signature
	paidByOther           // it has one
)

// emptyString and feePayerMark are the RLP of no bytes and of one zero byte.
var (
	emptyString  = rlp.RawValue{0x80}
	feePayerMark = rlp.RawValue{0x00}
)

// expiringNonce is the nonce key of transactions that are unique by their hash
// and have to be mined within seconds.
var expiringNonce = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))

// transaction is a signed Tempo transaction. It keeps its fields as they came
// and writes them as they came, so that what was signed is what is verified and
// sent, whatever a field holds.
type transaction struct {
	fields      []rlp.RawValue // without the signature
	chain       uint64
	gas         uint64
	maxFee      *big.Int // in 10⁻¹⁸ USD per gas, with the priority fee
	priorityFee *big.Int
	calls       []call
	accesses    int // entries of the access list
	nonceKey    *big.Int
	nonce       uint64
	validBefore uint64 // seconds since 1970; 0 for ever
	validAfter  uint64
	payer       gasPayer
	grant       *grant // nil where it grants no access key
	from        signed
}

// call is one of a transaction's calls.
type call struct {
	To    []byte // 20 bytes; none makes a contract
	Value *big.Int
	Data  []byte
}

// accessTuple is an entry of an access list (EIP-2930).
type accessTuple struct {
	Address evm.Address
	Keys    []evm.Hash
}

// decodeTransaction reads a signed transaction of type 0x76, or of 0x78 with the
// sender in the fee payer's place, and finds out who signed it. Its errors are
// *billing.Refusal.
func decodeTransaction(raw []byte) (*transaction, error) {
	if len(raw) < 2 || len(raw) > maxTransaction {
		return nil, malformed("a transaction of %d bytes is too short or too long", len(raw))
	}
	if raw[0] != typeTempo && raw[0] != typeFeePayer {
		return nil, billing.Refuse(billing.Unsupported, "only Tempo's transactions are taken, of type 0x76 or 0x78")
	}
	values, err := splitList(raw[1:], fieldKeyAuthorization+2)
	if err != nil {
		return nil, err
	}
	if len(values) <= fieldKeyAuthorization {
		return nil, malformed("the transaction has %d fields and no signature", len(values))
	}
	last := len(values) - 1
	t := &transaction{fields: values[:last]}
	if err := t.readFields(raw[0]); err != nil {
		return nil, err
	}
	var envelope []byte
	if err := rlp.DecodeBytes(values[last], &envelope); err != nil {
		return nil, malformed("the transaction's signature is no string of bytes")
	}
	return t, t.recover(raw[0], envelope)
}

// splitList is the items of the RLP list that is all of b.
func splitList(b []byte, limit int) ([]rlp.RawValue, error) {
	content, rest, err := rlp.SplitList(b)
	if err != nil || len(rest) > 0 {
		return nil, malformed("the transaction is no list, or cut off, or too long")
	}
	var items []rlp.RawValue
	for len(content) > 0 {
		_, _, rest, err := rlp.Split(content)
		if err != nil || len(items) == limit {
			return nil, malformed("the transaction has a broken field, or too many")
		}
		items = append(items, content[:len(content)-len(rest)])
		content = rest
	}
	return items, nil
}

func (t *transaction) readFields(kind byte) error {
	var accessList []accessTuple
	t.maxFee, t.priorityFee, t.nonceKey = new(big.Int), new(big.Int), new(big.Int)
	for field, into := range map[int]any{
		fieldChain: &t.chain, fieldPriorityFee: t.priorityFee, fieldMaxFee: t.maxFee, fieldGas: &t.gas,
		fieldCalls: &t.calls, fieldAccessList: &accessList, fieldNonceKey: t.nonceKey, fieldNonce: &t.nonce,
		fieldValidBefore: &t.validBefore, fieldValidAfter: &t.validAfter,
	} {
		if err := rlp.DecodeBytes(t.fields[field], into); err != nil {
			return malformed("the transaction's field %d can't be read", field)
		}
	}
	t.accesses = len(accessList)
	if t.maxFee.BitLen() > 128 || t.priorityFee.BitLen() > 128 || t.nonceKey.BitLen() > 256 {
		return malformed("a number of the transaction is too large")
	}
	if string(t.fields[fieldAuthorizationList]) != "\xc0" {
		return billing.Refuse(billing.Unsupported, "the transaction delegates accounts; a payment doesn't")
	}
	if n := len(t.fields[fieldFeeToken]); n != 1 && n != 21 {
		return malformed("the transaction's fee token is no address")
	}
	if len(t.fields) > fieldKeyAuthorization {
		g, err := decodeGrant(t.fields[fieldKeyAuthorization])
		if err != nil {
			return err
		}
		t.grant = g
	}
	return t.readPayer(kind)
}

// readPayer tells who pays the gas. Where clients ask for a fee payer, they
// write a mark into type 0x76, or their address into type 0x78.
func (t *transaction) readPayer(kind byte) error {
	field := t.fields[fieldFeePayer]
	switch {
	case kind == typeFeePayer && len(field) == 21 && field[0] == 0x80+20,
		kind == typeTempo && string(field) == string(feePayerMark):
		t.payer = paidByUs
		return nil
	case kind == typeTempo && string(field) == string(emptyString):
		t.payer = paidBySender
		return nil
	}
	var signature struct {
		Parity uint8
		R, S   *big.Int
	}
	if kind != typeTempo || rlp.DecodeBytes(field, &signature) != nil || signature.Parity > 1 {
		return malformed("the transaction's fee payer is neither a signature nor a mark")
	}
	t.payer = paidByOther
	return nil
}

func (t *transaction) recover(kind byte, envelope []byte) (err error) {
	if t.from, err = recoverSigner(t.digest(), envelope); err != nil {
		return err
	}
	if named := t.fields[fieldFeePayer]; kind == typeFeePayer && string(named[1:]) != string(t.from.account[:]) {
		return billing.Refuse(billing.Unverified, "the transaction names another sender than the one who signed it")
	}
	if t.grant != nil {
		return t.grant.covers(t)
	}
	return nil
}

// digest is what the sender signs. Where another one pays the gas, the sender
// leaves the fee token to him.
func (t *transaction) digest() evm.Hash {
	if t.payer == paidBySender {
		return evm.Keccak(t.encode(typeTempo, nil, nil, nil))
	}
	return evm.Keccak(t.encode(typeTempo, emptyString, feePayerMark, nil))
}

// raw is the transaction as the chain takes and hashes it, where no signature
// of ours is missing.
func (t *transaction) raw() []byte {
	return t.encode(typeTempo, nil, nil, t.from.envelope)
}

// sponsor is the transaction with our signature for its gas, which is paid in
// the token.
func (t *transaction) sponsor(key *evm.Key, token evm.Address) ([]byte, error) {
	feeToken := rlpBytes(token[:])
	s, err := key.Sign(evm.Keccak(t.encode(typeFeePayer, feeToken, rlpBytes(t.from.account[:]), nil)))
	if err != nil {
		return nil, err
	}
	tuple := encoded([]any{uint64(s.V - 27), s.R.Big(), s.S.Big()})
	return t.encode(typeTempo, feeToken, tuple, t.from.envelope), nil
}

// encode writes the transaction with another fee token and another fee payer's
// field, where they are given, and with a signature, where there is one.
func (t *transaction) encode(kind byte, feeToken, feePayer rlp.RawValue, signature []byte) []byte {
	values := make([]rlp.RawValue, 0, len(t.fields)+1)
	for i, field := range t.fields {
		switch {
		case i == fieldFeeToken && feeToken != nil:
			field = feeToken
		case i == fieldFeePayer && feePayer != nil:
			field = feePayer
		}
		values = append(values, field)
	}
	if signature != nil {
		values = append(values, rlpBytes(signature))
	}
	return append([]byte{kind}, encoded(values)...)
}

func rlpBytes(b []byte) rlp.RawValue { return encoded(b) }

// encoded is the RLP of bytes, numbers and lists of them, of which none can
// fail.
func encoded(v any) rlp.RawValue {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(fmt.Sprintf("mpp: %T has no RLP: %v", v, err))
	}
	return b
}
