package main

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"berth/billing/evm"
)

// chainID is Base Sepolia's, so that wallets sign what they would sign there.
const chainID = 84532

// What accounts begin with, and what the faucet gives, in play dollars.
const (
	accountCount   = 5
	accountDollars = 1_000_000
	faucetDollars  = 1_000
)

const (
	microsPerDollar = 1_000_000
	gasLimit        = 60_000_000
)

// tokenAddress is that of USDC on Base Sepolia.
var tokenAddress = common.HexToAddress("0x036CbD53842c5426634e7929541eC2318f3dCF7e")

var ether = big.NewInt(params.Ether)

//go:embed token/PlayUSDC.hex
var tokenCode string

// accountKey is a development account's key: public, for anybody can make it.
func accountKey(i int) *evm.Key { return publicKey(fmt.Sprintf("berth devchain account %d", i)) }

// faucetKey may mint.
func faucetKey() *evm.Key { return publicKey("berth devchain faucet") }

func publicKey(name string) *evm.Key {
	key, err := evm.ParseKey(evm.Keccak([]byte(name)).Hex())
	if err != nil {
		panic(err) // of constant names
	}
	return key
}

// genesis is the chain's first block: the token, the accounts, and what a test
// adds. It is the same at every start, for a kept chain must begin with it.
func genesis(extra types.GenesisAlloc) *core.Genesis {
	config := *params.AllDevChainProtocolChanges
	config.ChainID = big.NewInt(chainID)
	minter := faucetKey().Address()
	storage := map[common.Hash]common.Hash{slot(0): common.BytesToHash(minter[:])}
	alloc := core.SystemContractAllocs()
	alloc[minter] = types.Account{Balance: new(big.Int).Mul(ether, big.NewInt(1_000_000_000))}
	for i := range accountCount {
		a := accountKey(i).Address()
		alloc[a] = types.Account{Balance: new(big.Int).Mul(ether, big.NewInt(1_000))}
		storage[balanceSlot(a)] = amount(accountDollars)
	}
	storage[slot(4)] = amount(accountCount * accountDollars) // totalSupply
	alloc[tokenAddress] = types.Account{Balance: new(big.Int), Nonce: 1, Code: code(tokenCode), Storage: storage}
	maps.Copy(alloc, extra)
	return &core.Genesis{Config: &config, GasLimit: gasLimit, Alloc: alloc, Difficulty: new(big.Int)}
}

func slot(n uint64) common.Hash { return common.BigToHash(new(big.Int).SetUint64(n)) }

// balanceSlot is where the token keeps an account's balance: Solidity's rule for
// a mapping at slot 1.
func balanceSlot(a common.Address) common.Hash {
	position := slot(1)
	return crypto.Keccak256Hash(common.LeftPadBytes(a[:], 32), position[:])
}

func amount(dollars int64) common.Hash {
	return common.BigToHash(big.NewInt(dollars * microsPerDollar))
}

func code(text string) []byte {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		panic(err) // of an embedded file
	}
	return b
}
