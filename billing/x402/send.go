package x402

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// stuckAfter is how long a transaction may wait in the pool before a dearer one
// takes its place.
const stuckAfter = 30 * time.Second

// fees are what a transaction pays per gas, in wei.
type fees struct{ tip, most *big.Int }

// offerFees are the fees for a transaction now: twice the base fee, so that a
// few full blocks don't shut it out, and by a quarter more than those of the
// transaction that it replaces, for pools want a tenth more at least.
func (r *Rail) offerFees(ctx context.Context, replaced *evm.Transaction) (fees, error) {
	head, err := r.head(ctx)
	if err != nil {
		return fees{}, err
	}
	if head.BaseFee.Cmp(r.maxFee) > 0 {
		return fees{}, berth.Errorf(berth.Unavailable, "gas costs %s wei at the moment, and at most %s are paid", head.BaseFee, r.maxFee)
	}
	tip, err := r.chain.PriorityFee(ctx)
	if err != nil {
		tip = big.NewInt(1_000_000) // not every node has the method; Base's blocks take as little
	}
	most := new(big.Int).Add(new(big.Int).Lsh(head.BaseFee, 1), tip)
	if replaced != nil {
		tip, most = larger(tip, raised(replaced.PriorityFee)), larger(most, raised(replaced.MaxFee))
		if most.Cmp(r.maxFee) > 0 {
			return fees{}, berth.Errorf(berth.Unavailable, "a dearer transaction would cost %s wei per gas, and at most %s are paid", most, r.maxFee)
		}
	}
	most = smaller(most, r.maxFee)
	return fees{smaller(tip, most), most}, nil
}

func raised(n *big.Int) *big.Int {
	more := new(big.Int).Add(n, new(big.Int).Rsh(n, 2))
	return more.Add(more, big.NewInt(1))
}

func larger(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

func smaller(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// gas is how much a transfer may take: a quarter more than it would take now,
// within bounds. A *evm.Refused says that it would revert.
func (r *Rail) gas(ctx context.Context, data []byte) (uint64, error) {
	n, err := r.chain.EstimateGas(ctx, r.settler.Address(), r.asset, data)
	if err != nil {
		return 0, err
	}
	if n > r.maxGas {
		return 0, billing.Refuse(billing.Unsupported, "the transfer would take %d gas, and at most %d are paid for", n, r.maxGas)
	}
	return min(n+n/4, r.maxGas), nil
}

// dispatch signs a transaction that carries an order out, has it kept, and
// sends it. Before keep nothing left, and its error says so; after it, whether
// it left is for the chain to say.
func (r *Rail) dispatch(ctx context.Context, o order, replaced *evm.Transaction, floor uint64, keep billing.Keep) (billing.Broadcast, error) {
	data := o.Settle(o.signature)
	gas, err := r.gas(ctx, data)
	if err != nil {
		return billing.Broadcast{}, err
	}
	price, err := r.offerFees(ctx, replaced)
	if err != nil {
		return billing.Broadcast{}, err
	}
	if err := r.affords(ctx, gas, price); err != nil {
		return billing.Broadcast{}, err
	}
	sender := lower(r.settler.Address())
	b, err := keep(ctx, sender, floor, func(nonce uint64) (billing.Broadcast, error) {
		t := evm.Transaction{ChainID: r.network.id, Nonce: nonce, PriorityFee: price.tip, MaxFee: price.most, Gas: gas, To: r.asset, Data: data}
		raw, hash, err := t.Sign(r.settler)
		if err != nil {
			return billing.Broadcast{}, err
		}
		return billing.Broadcast{Hash: hash.Hex(), Sender: sender, Nonce: nonce, Raw: raw, At: r.clock()}, nil
	})
	if err != nil {
		return billing.Broadcast{}, fmt.Errorf("keep a transaction before it leaves: %w", err)
	}
	r.send(ctx, b)
	return b, nil
}

// affords checks that the settler can pay for the gas at all: a node would
// refuse the transaction, and the payment would hang until it runs out.
func (r *Rail) affords(ctx context.Context, gas uint64, price fees) error {
	wei, err := r.chain.Balance(ctx, r.settler.Address())
	if err != nil {
		return err
	}
	if cost := new(big.Int).Mul(new(big.Int).SetUint64(gas), price.most); wei.Cmp(cost) < 0 {
		r.log.ErrorContext(ctx, "the x402 settler lacks ether for gas", "settler", r.settler, "wei", wei, "needed", cost)
		return berth.Errorf(berth.Unavailable, "payments over x402 can't be settled at the moment")
	}
	return nil
}

// send hands a kept transaction to the node. Its failure changes nothing: the
// transaction may have left all the same, and Follow sends it again.
func (r *Rail) send(ctx context.Context, b billing.Broadcast) {
	if err := r.chain.Send(ctx, b.Raw); err != nil {
		r.log.WarnContext(ctx, "a transaction was not taken, or that is not known", "hash", b.Hash, "error", err)
	}
}

// free is the sender's next transaction nonce, by the chain and its pool.
func (r *Rail) free(ctx context.Context) (uint64, error) {
	return r.chain.Nonce(ctx, r.settler.Address(), evm.Pending)
}
