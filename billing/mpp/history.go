package mpp

import (
	"context"
	"strings"
	"time"

	"berth"
	"berth/billing"
)

var _ billing.Auditor = (*Rail)(nil)

// Moves are the token's transfers to the address that is paid.
func (r *Rail) Moves(ctx context.Context, since time.Time) ([]billing.Move, error) {
	in, err := r.node.Moves(ctx, r.currency, nil, &r.recipient, since)
	list := make([]billing.Move, 0, len(in))
	for _, m := range in {
		list = append(list, billing.Move{Hash: m.Tx.Hex(), Wallet: strings.ToLower(m.From.Hex()), Amount: berth.Micros(m.Value.Int64())})
	}
	return list, err
}
