package x402

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"berth"
	"berth/billing/evm"
)

// Check asks the chain and the facilitator whether they are what the settings
// say: the chain's id, the token's decimals and EIP-712 domain, which it reads
// where the settings lack it. Call it at start; it may be called again.
func (r *Rail) Check(ctx context.Context) error {
	if r.facilitator != nil {
		if err := r.facilitator.supports(ctx, r.network); err != nil {
			return fmt.Errorf("x402 facilitator: %w", err)
		}
	}
	id, err := r.chain.ChainID(ctx)
	if err != nil {
		return fmt.Errorf("x402 chain: %w", err)
	}
	if id != r.network.id {
		return fmt.Errorf("the x402 node is of chain %d, and the network is %s", id, r.network.caip2)
	}
	if err := r.checkToken(ctx); err != nil {
		return fmt.Errorf("x402 token %s: %w", r.asset, err)
	}
	return r.checkSettler(ctx)
}

func (r *Rail) checkToken(ctx context.Context) error {
	code, err := r.chain.Code(ctx, r.asset)
	switch {
	case err != nil:
		return err
	case len(code) == 0:
		return errors.New("there is no contract at its address")
	}
	answer, err := r.ask(ctx, "decimals()")
	if err != nil {
		return err
	}
	if n, err := evm.Number(answer); err != nil || n.Cmp(six) != 0 {
		return errors.New("it does not have 6 decimals, by which amounts are counted")
	}
	domain := r.domain.Load()
	if domain == nil {
		if domain, err = r.readDomain(ctx); err != nil {
			return err
		}
	}
	if answer, err = r.ask(ctx, "DOMAIN_SEPARATOR()"); err != nil {
		return err
	}
	if want := domain.Separator(); len(answer) != 32 || evm.Hash(answer) != want {
		return fmt.Errorf("its EIP-712 domain is not name %q, version %q: every signature would be refused", domain.Name, domain.Version)
	}
	r.domain.Store(domain)
	return nil
}

func (r *Rail) readDomain(ctx context.Context) (*evm.Domain, error) {
	var texts [2]string
	for i, method := range []string{"name()", "version()"} {
		answer, err := r.ask(ctx, method)
		if err != nil {
			return nil, err
		}
		if texts[i], err = evm.String(answer); err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
	}
	return &evm.Domain{Name: texts[0], Version: texts[1], ChainID: r.network.id, Contract: r.asset}, nil
}

// ask calls a method of the token that takes nothing.
func (r *Rail) ask(ctx context.Context, method string) ([]byte, error) {
	answer, err := r.chain.Call(ctx, nil, r.asset, evm.Calldata(method), evm.Latest)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", method, err)
	}
	return answer, nil
}

// checkSettler warns of a settler without ether: payments can be offered and
// verified, and none could be settled.
func (r *Rail) checkSettler(ctx context.Context) error {
	if r.settler == nil {
		return nil
	}
	wei, err := r.chain.Balance(ctx, r.settler.Address())
	if err != nil {
		return fmt.Errorf("x402 settler: %w", err)
	}
	if wei.Sign() == 0 {
		r.log.WarnContext(ctx, "the x402 settler has no ether for gas", "settler", r.settler)
	}
	return nil
}

var six = big.NewInt(6)

// tokenDomain is the token's domain, once it is known.
func (r *Rail) tokenDomain() (*evm.Domain, error) {
	if d := r.domain.Load(); d != nil {
		return d, nil
	}
	return nil, berth.Errorf(berth.Unavailable, "the x402 rail has not reached its chain yet")
}
