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

// nextDue is when a lease next wants attention after now: a warning, or its
// end. Warnings that would lie before now do not fit and are left out.
func nextDue(l Lease, now time.Time) time.Time {
	for _, before := range warnings {
		if at := l.PaidUntil.Add(-before); at.After(now) {
			return at
		}
	}
	return l.PaidUntil
}

// dueWarning is the warning that is due now: the last one that was reached.
func dueWarning(l Lease, now time.Time) (before time.Duration, due bool) {
	for _, w := range warnings {
		if !l.PaidUntil.Add(-w).After(now) {
			before, due = w, true
		}
	}
	return before, due
}

// PlanExtend tells what more time costs.
func (f *Fleet) PlanExtend(ctx context.Context, rx Rx, s Server, owner account.Principal, minutes int) (billing.Price, error) {
	if err := f.checkState(s, Provisioning, Active, Off); err != nil {
		return billing.Price{}, err
	}
	if s.Lease.Period != Minute {
		return billing.Price{}, berth.Errorf(berth.Conflict, "this server is paid by the %s, not by prepaid minutes", s.Lease.Period)
	}
	price, err := f.prices().ExtendPrice(owner.Tariff, s.Size, minutes)
	if err != nil {
		return billing.Price{}, err
	}
	if err := f.checkAhead(s, minutes); err != nil {
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

// checkAhead bounds how far ahead a server can be paid for: as long as one
// purchase may be.
func (f *Fleet) checkAhead(s Server, minutes int) error {
	left := s.Lease.PaidUntil.Sub(f.Now())
	if s.Delivered.IsZero() {
		left = s.Lease.Bought
	}
	most := f.Catalog.Limits.Minutes
	if room := most - int(left/time.Minute); minutes > room {
		return invalid("minutes", "a server can be paid for at most %d minutes ahead; %d more are possible now", most, max(room, 0))
	}
	return nil
}

// Extend adds time to a server's lease. The caller has charged for it. A
// renewal buys as much as the last purchase.
func (f *Fleet) Extend(ctx context.Context, tx Tx, s Server, minutes int) (Server, error) {
	more := time.Duration(minutes) * time.Minute
	s.Lease.Renewal = more
	f.lengthen(&s, more)
	if err := tx.UpdateServer(ctx, s); err != nil {
		return Server{}, fmt.Errorf("update server: %w", err)
	}
	return s, f.emit(ctx, tx, s.Owner, "lease.extended", s.ID, data{"minutes": minutes, "paid_until": s.Lease.PaidUntil})
}

// lengthen adds time to a lease and finds out when it is due next.
func (f *Fleet) lengthen(s *Server, more time.Duration) {
	s.Lease.PaidUntil = s.Lease.PaidUntil.Add(more)
	s.Lease.Bought += more
	s.DueAt = s.Lease.PaidUntil
	if !s.Delivered.IsZero() {
		s.DueAt = nextDue(s.Lease, f.Now())
	}
}

// SetAutoRenew says whether a lease buys more time at its end.
func (f *Fleet) SetAutoRenew(ctx context.Context, tx Tx, s Server, on bool) (Server, error) {
	if s.Status == Destroying || !s.Status.Live() {
		return Server{}, berth.Errorf(berth.Conflict, "the server is %s", s.Status).Hinted("%s", stateHint(s, nil))
	}
	if s.Lease.Renews == on {
		return s, nil
	}
	s.Lease.Renews = on
	if err := tx.UpdateServer(ctx, s); err != nil {
		return Server{}, fmt.Errorf("update server: %w", err)
	}
	return s, f.emit(ctx, tx, s.Owner, "lease.auto_renew", s.ID, data{"on": on})
}
