package fleet

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/billing"
)

// fund finds out until when a deposit lasts.
func (l *Lease) fund() {
	l.Bought = billing.Lasts(l.Rate, l.Deposit)
	if !l.MeteredFrom.IsZero() {
		l.PaidUntil = l.MeteredFrom.Add(l.Bought)
	}
}

// begin starts to meter the deposit's rest at the present rate.
func (l *Lease) begin(now time.Time) {
	l.MeteredFrom = now
	l.fund()
}

// meter posts what was used of a deposit since metering began, less what was
// posted of that already, so that rounding never accumulates. It posts at most
// what the deposit lasts for. Where nothing is metered it does nothing. The
// caller writes the server.
func (f *Fleet) meter(ctx context.Context, tx Tx, s *Server) error {
	l := &s.Lease
	if l.MeteredFrom.IsZero() {
		return nil
	}
	elapsed := min(f.Now().Sub(l.MeteredFrom), billing.Lasts(l.Rate, l.Deposit))
	used := billing.Metered(l.Rate, elapsed)
	if used <= l.Metered {
		return nil
	}
	_, err := billing.Meter(ctx, tx, s.ID, billing.Transfer{
		ID:     fmt.Sprintf("meter:%s:%d:%d", s.ID, l.MeteredFrom.UnixMicro(), used),
		Amount: used - l.Metered, Operation: "meter", Memo: "used by " + s.Label, At: f.Now(),
	})
	if err != nil {
		return fmt.Errorf("meter %s: %w", s.ID, err)
	}
	l.Metered = used
	return nil
}

// halt meters a deposit up to now and stops: its rest stays in the escrow. The
// caller writes the server.
func (f *Fleet) halt(ctx context.Context, tx Tx, s *Server) error {
	if err := f.meter(ctx, tx, s); err != nil {
		return err
	}
	l := &s.Lease
	l.Deposit, l.Metered, l.MeteredFrom = l.Deposit-l.Metered, 0, time.Time{}
	return nil
}

// giveBack returns a part of what is left of a deposit to the owner. The id
// names the occasion. The caller writes the server.
func (f *Fleet) giveBack(ctx context.Context, tx Tx, s *Server, id string, amount berth.Micros) error {
	_, err := billing.Return(ctx, tx, s.Owner, s.ID, billing.Transfer{
		ID: "return:" + id, Amount: amount, Operation: "deposit", Memo: "unused deposit of " + s.Label, At: f.Now(),
	})
	if err != nil {
		return fmt.Errorf("return the deposit of %s: %w", s.ID, err)
	}
	s.Lease.Deposit -= amount
	return nil
}

// settle ends a deposit, where there is one: what was used is posted, and the
// rest returns to the owner. It is for servers that certainly end. The caller
// writes the server.
func (f *Fleet) settle(ctx context.Context, tx Tx, s *Server) error {
	if s.Lease.Period != Deposit {
		return nil
	}
	if err := f.halt(ctx, tx, s); err != nil {
		return err
	}
	rest := s.Lease.Deposit
	if err := f.giveBack(ctx, tx, s, string(s.ID), rest); err != nil {
		return err
	}
	return f.emit(ctx, tx, s.Owner, EventLeaseSettled, s.ID, data{"returned": rest})
}

// settled is the change that makes another one and ends the server's deposit.
func settled(other change) change {
	return func(f *Fleet, ctx context.Context, tx Tx, w *work) error {
		if err := other(f, ctx, tx, w); err != nil {
			return err
		}
		return f.settle(ctx, tx, &w.Server)
	}
}

// regrade lets a deposit be metered at another rate. What it holds beyond what
// the time until then costs at that rate returns to the owner: a smaller size
// does not buy more time. The caller writes the server.
func (f *Fleet) regrade(ctx context.Context, tx Tx, w *work, rate berth.Micros, until time.Time) error {
	s := &w.Server
	if err := f.halt(ctx, tx, s); err != nil {
		return err
	}
	now := f.Now()
	s.Lease.Rate = rate
	surplus := s.Lease.Deposit - billing.Covering(rate, until.Sub(now))
	if err := f.giveBack(ctx, tx, s, string(w.Action.ID), max(surplus, 0)); err != nil {
		return err
	}
	s.Lease.begin(now)
	f.reschedule(s)
	return nil
}

// Left is what is left of a deposit at a time, used but not yet posted seconds
// deducted.
func (l Lease) Left(now time.Time) berth.Micros {
	if l.MeteredFrom.IsZero() {
		return l.Deposit - l.Metered
	}
	return max(0, l.Deposit-max(l.Metered, billing.Metered(l.Rate, now.Sub(l.MeteredFrom))))
}
