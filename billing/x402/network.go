package x402

import (
	"fmt"
	"strconv"
	"strings"

	"berth/billing/evm"
)

// network is a chain, as each version of the protocol names it.
type network struct {
	id            uint64
	caip2         string
	legacy        string // version 1; empty where it has no name there
	usdc          string
	name, version string // USDC's EIP-712 domain
}

// networks are those whose USDC is known, by circlefin/stablecoin-evm and the
// chains' own answers.
var networks = []network{
	{84532, "eip155:84532", "base-sepolia", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"},
	{8453, "eip155:8453", "base", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"},
}

func parseNetwork(o Options) (network, error) {
	digits, ok := strings.CutPrefix(o.Network, "eip155:")
	id, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || id == 0 || strconv.FormatUint(id, 10) != digits {
		return network{}, fmt.Errorf("%.40q is no EVM network in CAIP-2, such as eip155:84532", o.Network)
	}
	n := network{id: id, caip2: o.Network}
	for _, known := range networks {
		if known.id == id {
			n = known
		}
	}
	if o.LegacyName != "" {
		n.legacy = o.LegacyName
	}
	return n, nil
}

// domain is the token's EIP-712 name and version, as far as they are known.
func (n network) domain(o Options, asset evm.Address) (name, version string) {
	name, version = o.Domain, o.DomainVersion
	if known, err := evm.ParseAddress(n.usdc); err == nil && known == asset {
		if name == "" {
			name = n.name
		}
		if version == "" {
			version = n.version
		}
	}
	return name, version
}
