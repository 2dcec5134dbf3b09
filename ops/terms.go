package ops

import (
	"fmt"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// LeaseIn says how a server is to be paid for.
type LeaseIn struct {
	Lease   string `json:"lease,omitempty" enum:"minutes,hourly,days,deposit" default:"minutes" doc:"hourly: each hour from the balance. days: a rental. deposit: metered by the second; the rest returns."`
	Days    int    `json:"days,omitempty" minimum:"1" maximum:"365" doc:"Of a rental: 1, 7 or 30."`
	Deposit string `json:"deposit,omitempty" maxLength:"20" doc:"USD; default: a day's worth."`
}

// periods are the kinds of leases by their names.
var periods = map[string]fleet.Period{
	"": fleet.Minute, "minutes": fleet.Minute, "hourly": fleet.Hour, "days": fleet.Day, "deposit": fleet.Deposit,
}

// leaseNames are the names of the kinds of leases.
var leaseNames = map[fleet.Period]string{fleet.Minute: "minutes", fleet.Hour: "hourly", fleet.Day: "days", fleet.Deposit: "deposit"}

// fill writes the terms of a lease into an order, and refuses those of other
// kinds of leases. Minutes of one are what is bought unless more are named.
func (in LeaseIn) fill(o *fleet.CreateOrder) error {
	o.Period = periods[in.Lease]
	switch {
	case o.Minutes > 1 && o.Period != fleet.Minute:
		return wrongField("minutes", "only with the lease minutes")
	case in.Days > 0 && o.Period != fleet.Day:
		return wrongField("days", "only with the lease days")
	case in.Days == 0 && o.Period == fleet.Day:
		return wrongField("days", "is required with the lease days")
	case in.Deposit != "" && o.Period != fleet.Deposit:
		return wrongField("deposit", "only with the lease deposit")
	}
	var err error
	o.Days = in.Days
	o.Deposit, err = positiveAmount("deposit", in.Deposit)
	return err
}

// positiveAmount is an amount above zero; zero where none is given.
func positiveAmount(field, text string) (berth.Micros, error) {
	if text == "" {
		return 0, nil
	}
	amount, err := parseAmount(field, text)
	if err == nil && amount == 0 {
		err = wrongField(field, "must be more than nothing")
	}
	return amount, err
}

// orderTerms are what an order's price depends on, and the same in words.
func orderTerms(o fleet.CreateOrder, price billing.Price) (terms map[string]any, memo string) {
	terms = map[string]any{"size": o.Size, "region": o.Region, "snapshot_id": string(o.Snapshot)}
	memo = o.Size + " in " + o.Region
	if o.Count > 0 {
		terms["count"] = o.Count
		memo = fmt.Sprintf("%d × %s", o.Count, memo)
	}
	if o.Period != fleet.Minute {
		terms["lease"] = leaseNames[o.Period]
	}
	switch o.Period {
	case fleet.Hour:
		return terms, memo + " by the hour"
	case fleet.Day:
		terms["days"] = o.Days
		return terms, memo + " for " + plural("day", o.Days)
	case fleet.Deposit:
		terms["deposit"] = fleet.Each(price, max(o.Count, 1)).Deposit.String()
		return terms, memo + ", metered"
	}
	terms["minutes"] = o.Minutes
	return terms, memo + " for " + plural("minute", o.Minutes)
}

// LeaseView is a server's lease as its owner sees it.
type LeaseView struct {
	Lease         string        `json:"lease" enum:"minutes,hourly,days,deposit"`
	GraceUntil    *time.Time    `json:"grace_until,omitempty" doc:"When a suspended server ends unless the balance covers an hour."`
	Deposit       *berth.Micros `json:"deposit,omitempty" doc:"What is left of the deposit now."`
	UsageDays     *int          `json:"usage_days,omitempty" doc:"Of a rental: whole days since delivery."`
	RemainingDays *int          `json:"remaining_days,omitempty" doc:"Of a rental: days left, begun ones included."`
}

func viewLease(v fleet.Server, now time.Time) LeaseView {
	l := v.Lease
	out := LeaseView{Lease: leaseNames[l.Period]}
	switch l.Period {
	case fleet.Hour:
		if !l.GraceUntil.IsZero() && v.Status == fleet.Suspended {
			t := stamp(l.GraceUntil)
			out.GraceUntil = &t
		}
	case fleet.Deposit:
		left := l.Left(now)
		out.Deposit = &left
	case fleet.Day:
		used, left := v.RentalDays(now)
		out.UsageDays, out.RemainingDays = &used, &left
	}
	return out
}

// leaseNote is what the owner of a server should know of its state.
func leaseNote(v fleet.Server) string {
	switch {
	case v.Status == fleet.Off:
		return "A server that is off keeps its disk and address and is billed on; destroy it to end that."
	case v.Status == fleet.Suspended:
		return fmt.Sprintf("Off for want of money and not billed: it comes back when the balance covers an hour, %s USD.", v.Lease.Rate)
	}
	return ""
}
