package berth

import (
	"fmt"
	"strings"
)

// Wallet is who signs on an EVM chain.
type Wallet struct {
	Address string // 0x and 40 lower-case hex digits
	// Chain is 0 for a wallet with a key, who is the same on every chain, and
	// the chain's number for a contract.
	Chain uint64
}

// ParseWallet reads an EVM address in any spelling of its letters' case.
func ParseWallet(address string) (Wallet, error) {
	a := strings.ToLower(address)
	hex, ok := strings.CutPrefix(a, "0x")
	if !ok || len(hex) != 40 || strings.Trim(hex, "0123456789abcdef") != "" {
		return Wallet{}, fmt.Errorf("%.60q is no wallet address: 0x and 40 hex digits", address)
	}
	return Wallet{Address: a}, nil
}

// String is the address, with the chain where that matters.
func (w Wallet) String() string {
	if w.Chain == 0 {
		return w.Address
	}
	return fmt.Sprintf("%s on chain %d", w.Address, w.Chain)
}
