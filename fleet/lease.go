package fleet

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// warnings are how long before its end a lease warns of it, longest first.
var warnings = []time.Duration{24 * time.Hour, time.Hour, 15 * time.Minute, 5 * time.Minute}

// meterEvery is how often what a server used of its deposit is posted, beside
// whenever somebody must know.
const meterEvery = time.Hour

// end is when a lease ends unless something more is paid.
func (l Lease) end() time.Time {
	if !l.GraceUntil.IsZero() {
		return l.GraceUntil
	}
	return l.PaidUntil
}

// nextDue is when a lease next wants attention after now: a warning, or its
// end. Warnings that would lie before now do not fit and are left out. A lease
// with a deposit is also metered in between.
func nextDue(l Lease, now time.Time) time.Time {
	due := l.end()
	for _, before := range warnings {
		if at := l.end().Add(-before); at.After(now) {
			due = at
			break
		}
	}
	if metered := now.Add(meterEvery); !l.MeteredFrom.IsZero() && metered.Before(due) {
		return metered
	}
	return due
}

// dueWarning is the warning that is due now: the last one that was reached,
// unless that was before the lease was last attended to.
func dueWarning(l Lease, since, now time.Time) (before time.Duration, due bool) {
	for _, w := range warnings {
		if at := l.end().Add(-w); !at.After(now) && !at.Before(since) {
			before, due = w, true
		}
	}
	return before, due
}

// More is what a lease is extended by: minutes where it is prepaid, days where
// it is a rental, an amount where it has a deposit. Exactly one is above zero.
type More struct {
	Minutes int
	Days    int
	Deposit berth.Micros
}

// time is how much time is bought by minutes or days.
func (m More) time() time.Duration {
	return time.Duration(m.Minutes)*time.Minute + time.Duration(m.Days)*24*time.Hour
}

// PlanExtend tells what more of a lease costs. Errors are *berth.Error:
// InvalidInput for more of the wrong kind or beyond the limits, Conflict for a
// server in the wrong state and for an hourly one, which buys its hours itself.
func (f *Fleet) PlanExtend(ctx context.Context, rx Rx, s Server, by Buyer, more More) (billing.Price, error) {
	if s.Lease.Period == Hour {
		return billing.Price{}, berth.Errorf(berth.Conflict, "this server is paid by the hour: each hour is bought from the balance by itself").
			Hinted("Keep enough in the balance; there is nothing to extend.")
	}
	if err := f.checkState(s, Provisioning, Active, Off); err != nil {
		return billing.Price{}, err
	}
	price, err := f.extendPrice(s, by.Tariff, more)
	if err != nil {
		return billing.Price{}, err
	}
	if err := f.checkAhead(s, more); err != nil {
		return billing.Price{}, err
	}
	// The rate changes with the size, so time can't be sold in between.
	open, err := openAction(ctx, rx, s.Owner, s.ID)
	if err == nil && open.Kind == ActionResize {
		err = berth.Errorf(berth.Conflict, "the server is being resized: action %s", open.ID).
			Hinted("Wait until action %s has ended, then extend.", open.ID)
	}
	return price, err
}

// extendPrice is what more of a lease costs, where it is of the right kind.
func (f *Fleet) extendPrice(s Server, t account.Tariff, more More) (billing.Price, error) {
	switch s.Lease.Period {
	case Minute:
		if more.Days != 0 || more.Deposit != 0 {
			return billing.Price{}, invalid("minutes", "this server is prepaid by the minute, and extended by minutes only")
		}
		return f.prices(s.Contract).ExtendPrice(t, s.Size, more.Minutes)
	case Day:
		if more.Minutes != 0 || more.Deposit != 0 {
			return billing.Price{}, invalid("days", "this server is rented by the day, and extended by days only")
		}
		return f.prices(s.Contract).ProlongPrice(t, s.Size, more.Days)
	}
	if more.Minutes != 0 || more.Days != 0 {
		return billing.Price{}, invalid("deposit", "this server lives on a deposit, and is extended by an amount only")
	}
	return f.prices(s.Contract).TopUpPrice(s.Lease.Rate, more.Deposit)
}

// checkAhead bounds how far ahead a server can be paid for: as long as one
// purchase may be.
func (f *Fleet) checkAhead(s Server, more More) error {
	left := s.Lease.PaidUntil.Sub(f.Now())
	if s.Delivered.IsZero() {
		left = s.Lease.Bought
	}
	room := time.Duration(f.Catalog.Limits.Minutes)*time.Minute - left
	switch {
	case s.Lease.Period == Deposit:
		if most := billing.Covering(s.Lease.Rate, room); more.Deposit > most {
			return invalid("deposit", "a server can be paid for at most %d minutes ahead; %s USD more are possible now", f.Catalog.Limits.Minutes, most)
		}
	case more.Days > 0 && more.time() > room:
		return invalid("days", "a server can be paid for at most %d days ahead; %d more are possible now",
			f.Catalog.Limits.Minutes/(24*60), max(room, 0)/(24*time.Hour))
	case more.Minutes > 0 && more.time()/time.Minute > room/time.Minute:
		return invalid("minutes", "a server can be paid for at most %d minutes ahead; %d more are possible now",
			f.Catalog.Limits.Minutes, max(room, 0)/time.Minute)
	}
	return nil
}

// Extend adds to a server's lease what PlanExtend has passed. The caller has
// charged the price for it, a deposit's amount into the server's escrow. A renewal
// of prepaid minutes buys as much as the last purchase.
func (f *Fleet) Extend(ctx context.Context, tx Tx, s Server, by Buyer, more More, price billing.Price) (Server, error) {
	d := data{}
	s.Price += price.Total - price.Deposit
	switch s.Lease.Period {
	case Deposit:
		s.Lease.Deposit += more.Deposit
		s.Lease.fund()
		d["deposit"] = more.Deposit
	case Day:
		if err := f.blendRate(&s, by, more); err != nil {
			return Server{}, err
		}
		f.lengthen(&s, more.time())
		d["days"] = more.Days
	default:
		s.Lease.Renewal = more.time()
		f.lengthen(&s, more.time())
		d["minutes"] = more.Minutes
	}
	f.reschedule(&s)
	if err := tx.UpdateServer(ctx, s); err != nil {
		return Server{}, fmt.Errorf("update server: %w", err)
	}
	d["paid_until"] = s.Lease.PaidUntil
	return s, f.emit(ctx, tx, s.Owner, EventLeaseExtended, s.ID, d)
}

// blendRate makes a rental's rate the worth of an hour of all its time that is
// left, the new days included: a longer duration may cost less per hour.
func (f *Fleet) blendRate(s *Server, by Buyer, more More) error {
	rate, err := f.prices(s.Contract).RentRate(by.Tariff, s.Size, more.Days)
	if err != nil {
		return err
	}
	left := s.Lease.PaidUntil.Sub(f.Now())
	if s.Delivered.IsZero() {
		left = s.Lease.Bought
	}
	old, added := berth.Micros(max(left, 0)/time.Second), berth.Micros(more.time()/time.Second)
	s.Lease.Rate = (s.Lease.Rate*old + rate*added) / (old + added)
	return nil
}

// lengthen adds time to a lease.
func (f *Fleet) lengthen(s *Server, more time.Duration) {
	s.Lease.PaidUntil = s.Lease.PaidUntil.Add(more)
	s.Lease.Bought += more
}

// reschedule finds out when a lease is due next. Before delivery it is not.
func (f *Fleet) reschedule(s *Server) {
	s.DueAt = s.Lease.PaidUntil
	if !s.Delivered.IsZero() {
		s.DueAt = nextDue(s.Lease, f.Now())
	}
}

// SetAutoRenew says whether a lease of prepaid minutes buys more time at its
// end. Other kinds do not have that choice: Conflict.
func (f *Fleet) SetAutoRenew(ctx context.Context, tx Tx, s Server, on bool) (Server, error) {
	if s.Status == Destroying || !s.Status.Live() {
		return Server{}, berth.Errorf(berth.Conflict, "the server is %s", s.Status).Hinted("%s", stateHint(s, nil))
	}
	if s.Lease.Renews == on {
		return s, nil
	}
	if s.Lease.Period != Minute {
		return Server{}, berth.Errorf(berth.Conflict, "only prepaid minutes can be renewed or not; this server is paid by the %s", s.Lease.Period).
			Hinted("%s", renewalHint(s.Lease.Period))
	}
	s.Lease.Renews = on
	if err := tx.UpdateServer(ctx, s); err != nil {
		return Server{}, fmt.Errorf("update server: %w", err)
	}
	return s, f.emit(ctx, tx, s.Owner, EventLeaseAutoRenew, s.ID, data{"on": on})
}

// renewalHint says what there is instead of a choice to renew.
func renewalHint(p Period) string {
	if p == Hour {
		return "It buys each hour by itself while the balance lasts; destroy it to end that."
	}
	return "Extend it, or destroy it when it is no longer needed."
}

// RentalDays are the whole days for which a server has been there at a time, and
// the days that it is still paid for, begun ones included.
func (s Server) RentalDays(now time.Time) (used, left int) {
	const day = 24 * time.Hour
	end := now
	if !s.Ended.IsZero() {
		end = s.Ended
	}
	remaining := s.Lease.PaidUntil.Sub(now)
	switch {
	case !s.Status.Live():
		remaining = 0
	case s.Delivered.IsZero():
		remaining = s.Lease.Bought
	}
	if !s.Delivered.IsZero() {
		used = int(max(0, end.Sub(s.Delivered)) / day)
	}
	return used, int((max(0, remaining) + day - 1) / day)
}
