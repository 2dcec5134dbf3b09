package fleet

import (
	"time"

	"berth/billing"
)

// createPrice is what an order costs, by the kind of its lease.
func (f *Fleet) createPrice(o CreateOrder) (billing.Price, error) {
	if o.AutoRenew && o.Period != "" && o.Period != Minute {
		return billing.Price{}, invalid("auto_renew", "only prepaid minutes can be renewed")
	}
	l, tariff := f.prices(o.Contract), o.Owner.Tariff
	switch o.Period {
	case "", Minute:
		return l.CreatePrice(tariff, o.Size, o.Minutes)
	case Hour:
		return l.HourPrice(tariff, o.Size)
	case Day:
		return l.RentPrice(tariff, o.Size, o.Days)
	case Deposit:
		return l.DepositPrice(tariff, o.Size, o.Deposit)
	}
	return billing.Price{}, invalid("lease", "there is no lease by the %.20q", o.Period)
}

// lease is the lease of an order with that price. Its time begins at delivery.
func (f *Fleet) lease(o CreateOrder, size billing.Size, price billing.Price) (Lease, error) {
	l := Lease{Rate: size.Rate(o.Owner.Tariff), Period: o.Period}
	var err error
	switch o.Period {
	case Hour:
		l.Bought, l.Renewal, l.Renews = time.Hour, time.Hour, true
	case Day:
		l.Bought = time.Duration(o.Days) * 24 * time.Hour
		l.Rate, err = f.prices(o.Contract).RentRate(o.Owner.Tariff, o.Size, o.Days)
	case Deposit:
		l.Refundable, l.Deposit = true, price.Deposit
		l.fund()
	default:
		l.Period, l.Renews = Minute, o.AutoRenew
		l.Bought = time.Duration(o.Minutes) * time.Minute
		l.Renewal = l.Bought
	}
	l.PaidUntil = f.Now().Add(l.Bought)
	return l, err
}
