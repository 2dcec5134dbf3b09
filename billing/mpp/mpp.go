// Package mpp is the payment rail of the Machine Payments Protocol on Tempo: the
// HTTP authentication scheme "Payment" (draft-httpauth-payment-00) with method
// tempo and intent charge (draft-tempo-charge-00), and its binding to MCP
// (draft-payment-transport-mcp-00).
//
// A challenge is an HMAC of itself, so none is kept. It is answered by a proof
// (EIP-712, where nothing is to be paid), by a signed transaction that this
// rail brings to the chain, or, where allowed, by the hash of one that its
// payer has sent. Money counts only once the chain shows the token's
// TransferWithMemo with a memo that is bound to the challenge.
package mpp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// Options are what an operator decides.
type Options struct {
	RPC       string            // the node's URL, http or https
	Transport http.RoundTripper // to the node; nil is one of its own
	Chain     uint64            // 4217 for mainnet, 42431 for the Moderato testnet
	Recipient string            // who is paid: an address
	Currency  string            // the TIP-20 token, of 6 decimals: an address
	// Secret makes challenges: at least 32 bytes. Former secrets still verify
	// challenges that were made with them.
	Secret []byte
	Former [][]byte
	TTL    time.Duration // of challenges; zero is five minutes
	// Push also takes hashes of transactions that payers send for themselves.
	Push bool
	// FeePayer pays the gas of payers' transactions: 64 hex digits; empty for
	// nobody. MaxGas and MaxFee bound what one transaction may cost it; zero is
	// two million gas and 0.05 USD. The gas is paid in Currency.
	FeePayer string
	MaxGas   uint64
	MaxFee   berth.Micros
	// Payout is the key of the account that payouts come from, which needs money
	// in Currency: 64 hex digits; empty where nothing is paid out.
	Payout string
	// Confirmations are how many blocks have to lie on a payment's block before
	// it counts. Tempo's blocks are final, so zero is enough there.
	Confirmations uint64
	Poll          time.Duration // between looks at the chain; zero is 300 ms
	Clock         berth.Clock   // nil is time.Now
	Log           *slog.Logger  // nil is slog.Default
}

const (
	minSecret     = 32 // bytes
	defaultTTL    = 5 * time.Minute
	defaultPoll   = 300 * time.Millisecond
	defaultMaxGas = 2_000_000
	defaultMaxFee = berth.Dollar / 20
	decimals      = 6 // of a token whose units are micro-USD
)

// Rail is the rail. It implements billing.Rail and billing.Payer, and may be
// used concurrently.
type Rail struct {
	node          *evm.Client
	chain         uint64
	recipient     evm.Address
	currency      evm.Address
	secrets       [][]byte // the first one makes challenges
	ttl           time.Duration
	push          bool
	sponsor       *evm.Key // nil where payers pay their gas
	payer         *evm.Key // of payouts; nil where there are none
	maxGas        uint64
	maxFee        berth.Micros
	confirmations uint64
	poll          time.Duration
	now           berth.Clock
	log           *slog.Logger
}

var _ billing.Rail = (*Rail)(nil)

// New makes a rail. It asks the node nothing; see Check. Its errors name the
// option that is wrong, and no secret.
func New(o Options) (*Rail, error) {
	r := &Rail{
		chain: o.Chain, push: o.Push, confirmations: o.Confirmations,
		ttl: cmp.Or(o.TTL, defaultTTL), poll: cmp.Or(o.Poll, defaultPoll),
		maxGas: cmp.Or(o.MaxGas, defaultMaxGas), maxFee: cmp.Or(o.MaxFee, defaultMaxFee),
		now: o.Clock, log: o.Log,
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if err := errors.Join(r.setChain(o), r.setSecrets(o), r.setKeys(o)); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Rail) setChain(o Options) (err error) {
	if r.node, err = evm.NewClient(o.RPC, o.Transport); err != nil {
		return fmt.Errorf("RPC: %w", err)
	}
	if o.Chain == 0 || o.Chain > maxInteger {
		return errors.New("chain: its number is missing or too large")
	}
	if r.recipient, err = evm.ParseAddress(o.Recipient); err != nil || r.recipient == (evm.Address{}) {
		return fmt.Errorf("recipient: %.60q is no address that could be paid", o.Recipient)
	}
	if r.currency, err = evm.ParseAddress(o.Currency); err != nil {
		return fmt.Errorf("currency: %w", err)
	}
	return nil
}

func (r *Rail) setSecrets(o Options) error {
	r.secrets = append([][]byte{o.Secret}, o.Former...)
	for _, s := range r.secrets {
		if len(s) < minSecret {
			return fmt.Errorf("secret: every secret needs at least %d bytes", minSecret)
		}
	}
	if r.ttl < 0 || r.poll < 0 || r.maxFee < 0 {
		return errors.New("a time or a fee is negative")
	}
	return nil
}

func (r *Rail) setKeys(o Options) (err error) {
	for _, k := range []struct {
		name, hex string
		into      **evm.Key
	}{{"fee payer", o.FeePayer, &r.sponsor}, {"payout", o.Payout, &r.payer}} {
		if k.hex == "" {
			continue
		}
		if *k.into, err = evm.ParseKey(k.hex); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return nil
}

// Name implements billing.Rail.
func (r *Rail) Name() string { return "mpp" }

// Close lets go of idle connections to the node.
func (r *Rail) Close() { r.node.Close() }

// Check compares the node's chain and the token there with what was set.
func (r *Rail) Check(ctx context.Context) error {
	id, err := r.node.ChainID(ctx)
	if err != nil {
		return fmt.Errorf("ask the node for its chain: %w", err)
	}
	if id != r.chain {
		return fmt.Errorf("the node is of chain %d, and payments are to come over chain %d", id, r.chain)
	}
	code, err := r.node.Code(ctx, r.currency)
	if err != nil {
		return fmt.Errorf("ask for the token: %w", err)
	}
	if len(code) == 0 {
		return fmt.Errorf("there is no token at %s on chain %d", r.currency, r.chain)
	}
	answer, err := r.node.Call(ctx, nil, r.currency, evm.Calldata("decimals()"), evm.Latest)
	if err != nil {
		return fmt.Errorf("ask the token for its decimals: %w", err)
	}
	n, err := evm.Number(answer)
	if err != nil || n.Cmp(big.NewInt(decimals)) != 0 {
		return fmt.Errorf("the token at %s has other than %d decimals", r.currency, decimals)
	}
	return nil
}

// network is the chain by CAIP-2.
func network(chain uint64) string { return fmt.Sprintf("eip155:%d", chain) }
