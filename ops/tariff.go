package ops

import (
	"cmp"
	"context"

	"berth"
	"berth/account"
	"berth/billing"
)

// list is the price list of the contract that the call comes through.
func (t task) list() *billing.PriceList {
	return t.catalog.Prices[cmp.Or(t.call.Contract, billing.Native)]
}

// admit refuses more calls in a minute than the contract allows an account, or
// an address where nobody is known.
func (t task) admit(ctx context.Context) error {
	most := t.list().PerMinute
	if most == 0 || t.call.Counted {
		return nil
	}
	who := cmp.Or(string(t.caller), t.call.Origin.Address)
	return t.Admit(ctx, string(t.call.Contract)+" "+who, most)
}

// readPrice is what it costs to be told something: nothing, but for contracts
// that take a fee for each call.
func (t task) readPrice() billing.Price {
	if t.op.read == nil || t.op.Access != Identified {
		return billing.Price{}
	}
	return t.list().FeePrice(t.req.Principal.Tariff, billing.FeeRead)
}

// flatFee is what a call costs whatever it is about, where a wallet pays for each
// call: the fee is known without its object. Elsewhere a proof of identity comes
// first, and costs nothing.
func (t task) flatFee() berth.Micros {
	if !t.list().PayPerCall || t.op.Fee == "" {
		return 0
	}
	return t.list().FeePrice(account.Retail, t.op.Fee).Total
}
