package fleet

import (
	"fmt"
	"slices"

	"berth"
	"berth/billing"
)

// MaxCount is how many servers one order can be for.
const MaxCount = 10

// count is how many servers are ordered.
func (o CreateOrder) count() int { return max(o.Count, 1) }

// Nth is the order of one of the servers, counted from 1: they differ by their
// labels' ends.
func (o CreateOrder) Nth(n int) CreateOrder {
	if o.Label != "" && o.Count > 0 {
		o.Label = fmt.Sprintf("%s-%d", o.Label, n)
	}
	o.Count = 0
	return o
}

// checkNames refuses a label that one of the servers could not bear, and a count
// out of bounds.
func (f *Fleet) checkNames(o CreateOrder) error {
	if o.Count < 0 || o.Count > MaxCount {
		return invalid("count", "must be from 1 to %d", MaxCount)
	}
	if o.Label == "" {
		return nil
	}
	return f.Catalog.Limits.CheckLabel(o.Nth(o.count()).Label) // the longest
}

// checkRoom refuses more servers at once than the provider's account has room
// for, as far as is known. What is under way already may fill it first: a server
// that then finds no room fails by itself, and costs nothing.
func (f *Fleet) checkRoom(n int) error {
	c := &f.capacity
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.account.MachineLimit - c.account.Machines
	if c.account.MachineLimit == 0 || n <= room {
		return nil
	}
	e := berth.Errorf(berth.OutOfCapacity, "this deployment has room for %d more servers, not for %d", room, n).
		Hinted("Order fewer, or try again later.")
	e.RetryAfter = refusalAge
	return e
}

// times is the price of n of the same.
func times(p billing.Price, n int) billing.Price {
	p.Lines = slices.Clone(p.Lines)
	for i, l := range p.Lines {
		p.Lines[i].Amount = l.Amount * berth.Micros(n)
		if n > 1 {
			p.Lines[i].Item = fmt.Sprintf("%d × %s", n, l.Item)
		}
	}
	p.Total *= berth.Micros(n)
	p.Deposit *= berth.Micros(n)
	return p
}

// Each is what one of n servers costs that were priced together.
func Each(p billing.Price, n int) billing.Price {
	return billing.Price{Total: p.Total / berth.Micros(n), Deposit: p.Deposit / berth.Micros(n)}
}
