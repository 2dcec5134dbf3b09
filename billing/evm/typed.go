package evm

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common/math"
)

// Word is an argument's or a field's 32 bytes, as the ABI and EIP-712 encode
// values of fixed size.
type Word = [32]byte

// Uint is a number's word. It must be of 0 to 256 bits.
func Uint(n *big.Int) Word { return Word(math.U256Bytes(new(big.Int).Set(n))) }

// Uint64 is a small number's word.
func Uint64(n uint64) Word { return Uint(new(big.Int).SetUint64(n)) }

// AddressWord is an address's word.
func AddressWord(a Address) (w Word) {
	copy(w[12:], a[:])
	return w
}

// Text is a string's word in EIP-712: its hash.
func Text(s string) Word { return Word(Keccak([]byte(s))) }

// Struct is the hash of an EIP-712 struct: its type's hash and its fields'
// words.
func Struct(typeHash Hash, fields ...Word) Hash {
	b := make([]byte, 0, 32*(1+len(fields)))
	b = append(b, typeHash[:]...)
	for _, f := range fields {
		b = append(b, f[:]...)
	}
	return Keccak(b)
}

// Domain is the EIP-712 domain of a contract that verifies signatures.
type Domain struct {
	Name, Version string
	ChainID       uint64
	Contract      Address
}

var domainType = Keccak([]byte("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"))

// Separator is the domain's hash, which contracts show as DOMAIN_SEPARATOR().
func (d Domain) Separator() Hash {
	return Struct(domainType, Text(d.Name), Text(d.Version), Uint64(d.ChainID), AddressWord(d.Contract))
}

// TypedDigest is what wallets sign of a struct in a domain (EIP-712).
func TypedDigest(separator, structHash Hash) Hash {
	return Keccak([]byte{0x19, 0x01}, separator[:], structHash[:])
}

// Authorization is a payment by EIP-3009: whoever submits it, it moves Value of
// the token from From to To, once.
type Authorization struct {
	From, To    Address
	Value       *big.Int
	ValidAfter  *big.Int // seconds since 1970; a block's time has to be greater
	ValidBefore *big.Int // a block's time has to be less
	Nonce       Hash     // any number that From never used before
}

// TransferWithAuthorizationType is the type hash of EIP-3009.
var TransferWithAuthorizationType = Keccak([]byte("TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"))

// words are the authorization's fields, in the order of its type and its calls.
func (a Authorization) words() []Word {
	return []Word{AddressWord(a.From), AddressWord(a.To), Uint(a.Value), Uint(a.ValidAfter), Uint(a.ValidBefore), Word(a.Nonce)}
}

// Digest is what the payer signs.
func (a Authorization) Digest(separator Hash) Hash {
	return TypedDigest(separator, Struct(TransferWithAuthorizationType, a.words()...))
}
