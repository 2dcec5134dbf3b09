package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"berth"
	"berth/billing"
)

// expireBatch bounds how many servers, and how many snapshots, one call of
// Expire attends to.
const expireBatch = 100

// Expire attends to servers and snapshots whose lease or retention wants it
// now: warnings, metering, renewals, ends; and to suspended servers that can be
// paid for again. It returns how many it attended to; a full
// batch of either kind means that there may be more. One that fails is logged
// and does not keep the others waiting.
func (f *Fleet) Expire(ctx context.Context) (int, error) {
	var servers []Server
	var snapshots []Snapshot
	err := f.Store.Read(ctx, func(rx Rx) (err error) {
		if servers, err = rx.DueServers(ctx, f.Now(), expireBatch); err != nil {
			return err
		}
		snapshots, err = rx.DueSnapshots(ctx, f.Now(), expireBatch)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("look for what is due: %w", err)
	}
	attended := 0
	var problems []error
	attend := func(id berth.ID, one func() (Action, error)) {
		a, err := one()
		if err != nil {
			f.Log.ErrorContext(ctx, "can't attend to what is due", slog.String("id", string(id)), slog.Any("error", err))
			problems = append(problems, fmt.Errorf("attend to %s: %w", id, err))
			return
		}
		attended++
		if a.ID != "" {
			f.Announce(a)
		}
	}
	for _, s := range servers {
		attend(s.ID, func() (Action, error) { return f.attendServer(ctx, s) })
	}
	for _, sn := range snapshots {
		attend(sn.ID, func() (Action, error) { return f.attendSnapshot(ctx, sn) })
	}
	revived, failed := f.reviveAll(ctx)
	return attended + revived, errors.Join(append(problems, failed...)...)
}

// attendServer does what a lease wants now, and returns the action that it
// started, if any. The row is read again: another process may have been faster.
func (f *Fleet) attendServer(ctx context.Context, due Server) (started Action, err error) {
	err = f.Store.Write(ctx, func(tx Tx) error {
		started = Action{}
		if err := tx.LockPrincipal(ctx, due.Owner); err != nil {
			return err
		}
		s, err := tx.Server(ctx, due.ID)
		now := f.Now()
		if err != nil || !s.Status.Live() || s.Delivered.IsZero() || s.DueAt.After(now) {
			return err
		}
		held, err := f.heldBack(ctx, tx, s)
		if err != nil {
			return err
		}
		switch {
		case s.Status == Destroying:
			s.DueAt = time.Time{} // its action sees to it
		case held:
			started, err = f.holdBack(ctx, tx, &s)
		case s.Lease.end().After(now):
			err = f.warn(ctx, tx, &s)
		default:
			started, err = f.endOfLease(ctx, tx, &s)
		}
		if err != nil || started.ID != "" {
			return err
		}
		return tx.UpdateServer(ctx, s)
	})
	return started, err
}

// warn tells that a lease is about to end, and meters it where it is metered. An
// hourly one warns only where the next hour can't be paid.
func (f *Fleet) warn(ctx context.Context, tx Tx, s *Server) error {
	now := f.Now()
	if err := f.meter(ctx, tx, s); err != nil {
		return err
	}
	before, due := dueWarning(s.Lease, s.DueAt, now)
	s.DueAt = nextDue(s.Lease, now)
	if !due {
		return nil
	}
	d := data{"minutes": int(before / time.Minute), "paid_until": s.Lease.PaidUntil, "auto_renew": s.Lease.Renews}
	if s.Lease.Period == Hour {
		err := f.affords(ctx, tx, *s)
		var refusal *berth.Error
		if err == nil || !errors.As(err, &refusal) {
			return err
		}
		d["code"], d["reason"] = refusal.Code, refusal.Message
	}
	if s.Status == Suspended {
		d["ends_at"] = s.Lease.GraceUntil
	}
	return f.emit(ctx, tx, s.Owner, EventLeaseWarning, s.ID, d)
}

// endOfLease renews a lease that has run out, or starts to destroy its server.
// An action under way on the server is waited for; only hours are bought
// meanwhile, as long as the rate is the same.
func (f *Fleet) endOfLease(ctx context.Context, tx Tx, s *Server) (Action, error) {
	open, err := openAction(ctx, tx, s.Owner, s.ID)
	if err != nil {
		return Action{}, err
	}
	renews := s.Lease.Renews && s.Status != Suspended
	var refusal *berth.Error
	if renews && (open.ID == "" || s.Lease.Period == Hour && open.Kind != ActionResize) {
		if refusal, err = f.renew(ctx, tx, s); err != nil || refusal == nil {
			return Action{}, err
		}
	}
	if open.ID != "" {
		s.DueAt = f.Now().Add(f.Pace.Poll)
		return Action{}, f.meter(ctx, tx, s)
	}
	if refusal != nil {
		d := data{"code": refusal.Code, "reason": refusal.Message}
		if err := f.emit(ctx, tx, s.Owner, EventLeaseRenewalFailed, s.ID, d); err != nil {
			return Action{}, err
		}
	}
	if renews && s.Lease.Period == Hour {
		return f.suspend(ctx, tx, s, refusal)
	}
	if err := f.emit(ctx, tx, s.Owner, EventLeaseEnded, s.ID, data{"paid_until": s.Lease.PaidUntil}); err != nil {
		return Action{}, err
	}
	_, a, err := f.destroy(ctx, tx, *s, true, destroyInput{Was: s.Status, LeaseEnd: true})
	return a, err
}

// renew buys as much time as the last purchase did, or an hour of an hourly
// lease, from the owner's balance. A refusal says why that can't be. The transfer's id comes from the end that it
// pushes on, so that it happens once.
func (f *Fleet) renew(ctx context.Context, tx Tx, s *Server) (refusal *berth.Error, err error) {
	owner, err := tx.Principal(ctx, s.Owner)
	if err != nil {
		return nil, fmt.Errorf("read the owner of %s: %w", s.ID, err)
	}
	price, err := f.renewalPrice(ctx, tx, *s)
	if err == nil {
		_, err = billing.Charge(ctx, tx, owner.ID, billing.Transfer{
			ID: fmt.Sprintf("renew:%s:%d", s.ID, s.Lease.PaidUntil.UnixMilli()), Amount: price.Total,
			Reason: billing.ReasonRenewal, Ref: s.ID, Operation: "auto_renew",
			Memo: fmt.Sprintf("%d minutes of %s", int(s.Lease.Renewal/time.Minute), s.Label), At: f.Now(),
		})
	}
	if errors.As(err, &refusal) && refusal.Code != berth.Internal {
		return refusal, nil
	}
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", s.ID, err)
	}
	f.lengthen(s, s.Lease.Renewal)
	f.reschedule(s)
	s.Price += price.Total
	return nil, f.emit(ctx, tx, s.Owner, EventLeaseRenewed, s.ID, data{"charged": price.Total, "paid_until": s.Lease.PaidUntil})
}

// renewalPrice is what a renewal costs, if the owner may spend that.
func (f *Fleet) renewalPrice(ctx context.Context, rx Rx, s Server) (billing.Price, error) {
	owner, err := rx.Principal(ctx, s.Owner)
	if err != nil {
		return billing.Price{}, err
	}
	if owner.Suspended {
		return billing.Price{}, berth.Errorf(berth.Suspended, "the account is suspended")
	}
	price := billing.Price{Total: s.Lease.Rate} // of an hour, fixed when the server was bought
	if s.Lease.Period != Hour {
		if price, err = f.prices(s.Contract).ExtendPrice(owner.Tariff, s.Size, int(s.Lease.Renewal/time.Minute)); err != nil {
			return billing.Price{}, err
		}
	}
	spent, err := rx.Spent(ctx, owner.ID, "")
	if err != nil {
		return billing.Price{}, fmt.Errorf("read what was spent: %w", err)
	}
	return price, billing.CheckBudget(owner.Budget, spent, price.Total, "the account")
}

// attendSnapshot ends a snapshot whose retention has run out, unless an action
// is using it, and returns the action that removes it.
func (f *Fleet) attendSnapshot(ctx context.Context, due Snapshot) (started Action, err error) {
	err = f.Store.Write(ctx, func(tx Tx) error {
		started = Action{}
		if err := tx.LockPrincipal(ctx, due.Owner); err != nil {
			return err
		}
		sn, err := tx.Snapshot(ctx, due.ID)
		if err != nil || sn.ExpiresAt.After(f.Now()) || (sn.Status != SnapshotAvailable && sn.Status != SnapshotFailed) {
			return err
		}
		open, err := openAction(ctx, tx, sn.Owner, sn.ID)
		if err != nil || open.ID != "" {
			return err
		}
		as := SnapshotExpired
		if sn.Status == SnapshotFailed {
			as = SnapshotDeleted
		}
		started, err = f.dropSnapshot(ctx, tx, sn, as)
		return err
	})
	return started, err
}
