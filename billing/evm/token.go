package evm

import (
	"errors"
	"math/big"
	"unicode/utf8"
)

// The events of tokens, by their first topic.
var (
	TransferTopic              = Keccak([]byte("Transfer(address,address,uint256)"))
	AuthorizationUsedTopic     = Keccak([]byte("AuthorizationUsed(address,bytes32)"))
	AuthorizationCanceledTopic = Keccak([]byte("AuthorizationCanceled(address,bytes32)"))
)

// Calldata is a call of a contract's method, which is given by its signature
// such as "transfer(address,uint256)", with arguments of fixed size.
func Calldata(method string, args ...Word) []byte {
	selector := Keccak([]byte(method))
	b := make([]byte, 0, 4+32*len(args))
	b = append(b, selector[:4]...)
	for _, a := range args {
		b = append(b, a[:]...)
	}
	return b
}

// withBytes is a call whose last argument is bytes: its offset in place of it,
// and behind the others its length and itself, filled up to whole words.
func withBytes(method string, args []Word, last []byte) []byte {
	head := append(append([]Word{}, args...), Uint64(uint64(32*(len(args)+1))), Uint64(uint64(len(last))))
	b := append(Calldata(method, head...), last...)
	return append(b, make([]byte, (32-len(last)%32)%32)...)
}

// BalanceOf asks an ERC-20 token for an account's balance.
func BalanceOf(a Address) []byte { return Calldata("balanceOf(address)", AddressWord(a)) }

// Transfer moves the sender's tokens.
func Transfer(to Address, value *big.Int) []byte {
	return Calldata("transfer(address,uint256)", AddressWord(to), Uint(value))
}

// AuthorizationState asks an EIP-3009 token whether a nonce was used or
// canceled.
func AuthorizationState(from Address, nonce Hash) []byte {
	return Calldata("authorizationState(address,bytes32)", AddressWord(from), Word(nonce))
}

// Settle is the call that carries an authorization out. A key's signature goes
// to the overload with v, r and s, which every EIP-3009 token has; any other,
// which a contract has to judge, to the one with bytes.
func (a Authorization) Settle(signature []byte) []byte {
	const fields = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,"
	if s, err := ParseSignature(signature); err == nil {
		return Calldata(fields+"uint8,bytes32,bytes32)", append(a.words(), Uint64(uint64(s.V)), Word(s.R), Word(s.S))...)
	}
	return withBytes(fields+"bytes)", a.words(), signature)
}

// isValidSignature's answer where a wallet's contract approves (ERC-1271).
var approval = [4]byte{0x16, 0x26, 0xba, 0x7e}

// IsValidSignature asks a wallet's contract whether it made a signature.
func IsValidSignature(digest Hash, signature []byte) []byte {
	return withBytes("isValidSignature(bytes32,bytes)", []Word{Word(digest)}, signature)
}

// Approves tells whether the answer to IsValidSignature is a yes.
func Approves(answer []byte) bool {
	return len(answer) >= 32 && [4]byte(answer[:4]) == approval
}

// Bool reads a call's answer of one boolean.
func Bool(answer []byte) (bool, error) {
	n, err := Number(answer)
	if err != nil || n.BitLen() > 1 {
		return false, errors.New("the contract's answer is no boolean")
	}
	return n.Sign() != 0, nil
}

// Number reads a call's answer of one number.
func Number(answer []byte) (*big.Int, error) {
	if len(answer) != 32 {
		return nil, errors.New("the contract's answer is no number: is there a token at this address?")
	}
	return new(big.Int).SetBytes(answer), nil
}

// String reads a call's answer of one string, of at most 256 bytes.
func String(answer []byte) (string, error) {
	bad := errors.New("the contract's answer is no short string")
	if len(answer) < 64 {
		return "", bad
	}
	offset, length := new(big.Int).SetBytes(answer[:32]), new(big.Int).SetBytes(answer[32:64])
	if offset.Cmp(big.NewInt(32)) != 0 || length.Cmp(big.NewInt(256)) > 0 || len(answer)-64 < int(length.Int64()) {
		return "", bad
	}
	text := string(answer[64 : 64+length.Int64()])
	if !utf8.ValidString(text) {
		return "", bad
	}
	return text, nil
}
