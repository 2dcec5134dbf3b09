package billing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth"
)

// Auditor is a rail whose chain can be compared with the books.
type Auditor interface {
	// Moves are the transfers to whom this rail's payments go, and from who pays
	// out, since a time and perhaps a little longer.
	Moves(ctx context.Context, since time.Time) ([]Move, error)
}

// Move is one transfer on a chain, to Berth or from it.
type Move struct {
	Hash   string // of the transaction
	Wallet string // the other side's address, in lower case
	Out    bool
	Amount berth.Micros
}

// Comparison is how the books and the chain of a rail agree.
type Comparison struct {
	Rail     string       `json:"rail"`
	Payments int          `json:"payments"` // settled ones that were looked at
	In       berth.Micros `json:"in"`       // by the books
	Out      berth.Micros `json:"out"`
	Problems []string     `json:"problems"` // the books say what the chain does not
	Unknown  []string     `json:"unknown"`  // the chain has what no payment is about
}

// Compare looks for each settled payment's transfer on its rail's chain, and for
// transfers that belong to none.
func (c *Cashier) Compare(ctx context.Context, rail string, payments []Payment, since time.Time) (Comparison, error) {
	out := Comparison{Rail: rail, Problems: []string{}, Unknown: []string{}}
	r, err := c.rail(rail)
	if err != nil {
		return out, err
	}
	auditor, ok := r.(Auditor)
	if !ok {
		return out, fmt.Errorf("the chain of %s can't be read", rail)
	}
	moves, err := auditor.Moves(ctx, since)
	if err != nil {
		return out, err
	}
	for _, p := range payments {
		if p.Claim.Rail != rail || p.State != Settled {
			continue
		}
		out.Payments++
		if p.Out {
			out.Out += p.Claim.Amount
		} else {
			out.In += p.Claim.Amount
		}
		i := slices.IndexFunc(moves, func(m Move) bool { return m.is(p) })
		if i < 0 {
			out.Problems = append(out.Problems, fmt.Sprintf("%s: %s USD, transaction %s: the chain has no such transfer", p.ID, p.Claim.Amount, p.Broadcast.Hash))
			continue
		}
		moves = slices.Delete(moves, i, i+1)
	}
	slices.SortFunc(moves, func(a, b Move) int { return cmp.Compare(a.Hash, b.Hash) })
	for _, m := range moves {
		if !m.Out { // what else goes out is the operator's own affair
			out.Unknown = append(out.Unknown, fmt.Sprintf("%s USD from %s in transaction %s", m.Amount, m.Wallet, m.Hash))
		}
	}
	return out, nil
}

// is tells whether a transfer is a payment's.
func (m Move) is(p Payment) bool {
	return strings.EqualFold(m.Hash, p.Broadcast.Hash) && m.Out == p.Out && m.Amount == p.Claim.Amount && strings.EqualFold(m.Wallet, p.Claim.Payer.Address)
}

// Rails are the names of the rails that are open.
func (c *Cashier) Rails() []string {
	names := make([]string, len(c.rails))
	for i, r := range c.rails {
		names[i] = r.Name()
	}
	return names
}
