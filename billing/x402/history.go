package x402

import (
	"context"
	"strings"
	"time"

	"berth"
	"berth/billing"
)

var _ billing.Auditor = (*Rail)(nil)

// Moves are the token's transfers to the address that is paid, and those of the
// settler's own.
func (r *Rail) Moves(ctx context.Context, since time.Time) ([]billing.Move, error) {
	in, err := r.chain.Moves(ctx, r.asset, nil, &r.payTo, since)
	if err != nil {
		return nil, err
	}
	list := make([]billing.Move, 0, len(in))
	for _, m := range in {
		list = append(list, billing.Move{Hash: m.Tx.Hex(), Wallet: strings.ToLower(m.From.Hex()), Amount: berth.Micros(m.Value.Int64())})
	}
	if r.settler == nil {
		return list, nil
	}
	own := r.settler.Address()
	out, err := r.chain.Moves(ctx, r.asset, &own, nil, since)
	for _, m := range out {
		list = append(list, billing.Move{Hash: m.Tx.Hex(), Wallet: strings.ToLower(m.To.Hex()), Amount: berth.Micros(m.Value.Int64()), Out: true})
	}
	return list, err
}
