// Package x402 takes payments by the x402 protocol, versions 2 and 1, scheme
// "exact" on EVM chains: the payer signs an EIP-3009 authorization, and Berth
// brings it to the chain itself, by a key that pays the gas, or has a
// facilitator do it. It follows coinbase/x402: x402-specification-v2.md,
// schemes/exact/scheme_exact_evm.md, and the extensions payment-identifier and
// sign-in-with-x.
//
// An authorization pays whoever it names, whoever submits it, so the address
// that is paid must belong to one Berth's books alone: what is found there with
// a fresh authorization is credited to its payer.
package x402

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"sync/atomic"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// Name is the rail's.
const Name = "x402"

// Options are a rail's settings. A node of the chain is needed with a
// facilitator too: that it did not answer, or says that it did not settle, is
// not the chain's word, and whoever believes it loses money.
type Options struct {
	RPC         string // URL of a node of the chain; not logged, for it can hold a key
	Network     string // CAIP-2: "eip155:84532"
	LegacyName  string // the network in version 1: "base-sepolia"; known for Base's two
	Asset       string // the token's address; known for USDC on Base's two
	PayTo       string // who is paid
	Settler     string // secret key that pays the gas, and payouts: 64 hex digits
	Facilitator string // URL of one, in place of Settler
	Bearer      string // the facilitator's token, where it wants one

	// Domain is the token's EIP-712 name and version, known for USDC on Base's
	// two; Check reads it from the chain where it is empty.
	Domain, DomainVersion string

	Timeout       time.Duration // how long an offer can be paid; 5 minutes where zero
	Confirmations uint64        // in how many blocks, its own included, a payment is settled; 1 where zero
	MaxFee        *big.Int      // wei per gas that are paid at most; 20 gwei where nil
	MaxGas        uint64        // per transaction; 400,000 where zero
	Clock         berth.Clock
	Log           *slog.Logger
	Transport     http.RoundTripper // of both URLs; one of its own where nil
}

// Rail is the x402 rail. It implements billing.Rail and billing.Payer.
type Rail struct {
	network     network
	asset       evm.Address
	payTo       evm.Address
	settler     *evm.Key // nil with a facilitator
	chain       *evm.Client
	facilitator *facilitator // nil with a settler
	domain      atomic.Pointer[evm.Domain]
	timeout     time.Duration
	depth       uint64
	maxFee      *big.Int
	maxGas      uint64
	clock       berth.Clock
	log         *slog.Logger
}

var (
	_ billing.Rail  = (*Rail)(nil)
	_ billing.Payer = (*Rail)(nil)
)

// New is a rail by its settings. It asks nobody yet: call Check before the
// first offer.
func New(o Options) (*Rail, error) {
	n, err := parseNetwork(o)
	if err != nil {
		return nil, err
	}
	r := &Rail{network: n, timeout: o.Timeout, depth: max(o.Confirmations, 1), maxFee: o.MaxFee, maxGas: o.MaxGas, clock: o.Clock, log: o.Log}
	r.applyDefaults()
	if r.timeout < 10*time.Second || r.timeout > time.Hour {
		return nil, fmt.Errorf("an x402 offer can be paid for 10 seconds to an hour, not %s", r.timeout)
	}
	if err := r.parseAddresses(o); err != nil {
		return nil, err
	}
	if err := r.connect(o); err != nil {
		return nil, err
	}
	if name, version := n.domain(o, r.asset); name != "" && version != "" {
		r.domain.Store(&evm.Domain{Name: name, Version: version, ChainID: n.id, Contract: r.asset})
	}
	return r, nil
}

func (r *Rail) applyDefaults() {
	if r.timeout == 0 {
		r.timeout = 5 * time.Minute
	}
	if r.maxFee == nil {
		r.maxFee = big.NewInt(20_000_000_000)
	}
	if r.maxGas == 0 {
		r.maxGas = 400_000
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
}

func (r *Rail) parseAddresses(o Options) (err error) {
	asset := o.Asset
	if asset == "" {
		asset = r.network.usdc
	}
	if r.asset, err = evm.ParseAddress(asset); err != nil {
		return fmt.Errorf("x402 asset: %w", err)
	}
	if r.payTo, err = evm.ParseAddress(o.PayTo); err != nil {
		return fmt.Errorf("x402 pay to: %w", err)
	}
	if r.payTo == (evm.Address{}) || r.payTo == r.asset {
		return errors.New("x402 pay to: nobody could spend what is paid there")
	}
	return nil
}

func (r *Rail) connect(o Options) (err error) {
	switch {
	case (o.Settler == "") == (o.Facilitator == ""):
		return errors.New("x402 is settled either by a settler's key or by a facilitator")
	case o.RPC == "":
		return errors.New("x402 needs the URL of a node of the chain, to know what became of payments")
	}
	if r.chain, err = evm.NewClient(o.RPC, o.Transport); err != nil {
		return fmt.Errorf("x402 RPC URL: %w", err)
	}
	if o.Facilitator != "" {
		r.facilitator, err = newFacilitator(o)
		return err
	}
	if r.settler, err = evm.ParseKey(o.Settler); err != nil {
		return fmt.Errorf("x402 settler: %w", err)
	}
	return nil
}

// Name is "x402".
func (r *Rail) Name() string { return Name }

// Network is the chain in CAIP-2: "eip155:84532".
func (r *Rail) Network() string { return r.network.caip2 }

// Asset is the token's address, with its checksum.
func (r *Rail) Asset() string { return r.asset.Hex() }

// PayTo is who is paid, with its checksum.
func (r *Rail) PayTo() string { return r.payTo.Hex() }

// Close lets go of idle connections.
func (r *Rail) Close() {
	r.chain.Close()
	if r.facilitator != nil {
		r.facilitator.http.CloseIdleConnections()
	}
}

// Balances are what the books are compared with: the tokens of the address that
// is paid, and those of the settler, who pays payouts. They are the same where
// both are one address.
func (r *Rail) Balances(ctx context.Context) (paid, settler berth.Micros, err error) {
	if paid, err = r.balance(ctx, r.payTo); err != nil || r.settler == nil {
		return paid, 0, err
	}
	settler, err = r.balance(ctx, r.settler.Address())
	return paid, settler, err
}

// balance is an account's tokens. More than an int64 holds is an error.
func (r *Rail) balance(ctx context.Context, a evm.Address) (berth.Micros, error) {
	answer, err := r.chain.Call(ctx, nil, r.asset, evm.BalanceOf(a), evm.Latest)
	if err != nil {
		return 0, err
	}
	n, err := evm.Number(answer)
	if err != nil {
		return 0, err
	}
	if !n.IsInt64() {
		return 0, fmt.Errorf("%s has more tokens than money is counted here", a)
	}
	return berth.Micros(n.Int64()), nil
}
