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

// suspend turns an hourly server off whose next hour the owner can't pay. It is
// not billed from then on, and ends after the price list's grace unless it is
// paid for again.
func (f *Fleet) suspend(ctx context.Context, tx Tx, s *Server, why *berth.Error) (Action, error) {
	now := f.Now()
	s.Status, s.Lease.GraceUntil = Suspended, now.Add(f.prices(s.Contract).Leases.Grace)
	f.reschedule(s)
	if err := tx.UpdateServer(ctx, *s); err != nil {
		return Action{}, fmt.Errorf("update server: %w", err)
	}
	err := f.emit(ctx, tx, s.Owner, EventServerSuspended, s.ID, data{
		"reason": why.Message, "code": why.Code, "needs": s.Lease.Rate, "until": s.Lease.GraceUntil,
	})
	if err != nil {
		return Action{}, err
	}
	return f.startOn(ctx, tx, ActionSuspend, *s, "")
}

// Hold lets an owner's hourly servers be looked at now: those of a suspended
// account are turned off and not billed, until that is lifted or their grace has
// passed. What was paid ahead in another way stays until its time ends. The caller
// has changed the account.
func (f *Fleet) Hold(ctx context.Context, tx Tx, owner berth.ID) error {
	for after := berth.ID(""); ; {
		page, err := tx.Servers(ctx, owner, ServerFilter{After: after, Limit: 200})
		if err != nil {
			return fmt.Errorf("list servers: %w", err)
		}
		for _, s := range page {
			after = s.ID
			if s.Lease.Period != Hour || s.Status != Active && s.Status != Off {
				continue
			}
			s.DueAt = f.Now()
			if err := tx.UpdateServer(ctx, s); err != nil {
				return fmt.Errorf("update server: %w", err)
			}
		}
		if len(page) < 200 {
			return nil
		}
	}
}

// heldBack tells whether an hourly server has to go off because its owner is
// suspended.
func (f *Fleet) heldBack(ctx context.Context, rx Rx, s Server) (bool, error) {
	if s.Lease.Period != Hour || s.Status != Active && s.Status != Off {
		return false, nil
	}
	owner, err := rx.Principal(ctx, s.Owner)
	if err != nil {
		return false, fmt.Errorf("read the owner of %s: %w", s.ID, err)
	}
	return owner.Suspended, nil
}

// holdBack suspends a server whose owner is suspended, as soon as nothing is under
// way on it.
func (f *Fleet) holdBack(ctx context.Context, tx Tx, s *Server) (Action, error) {
	open, err := openAction(ctx, tx, s.Owner, s.ID)
	if err != nil {
		return Action{}, err
	}
	if open.ID != "" {
		s.DueAt = f.Now().Add(f.Pace.Poll)
		return Action{}, nil
	}
	return f.suspend(ctx, tx, s, berth.Errorf(berth.Suspended, "the account is suspended"))
}

// suspendSaga only turns the machine off: the row says that it is suspended from
// the first. Where that can't be done in time, the sweeper starts it again.
func suspendSaga() saga {
	return saga{
		stages: []stage{
			{name: stageStopping, percent: 20, run: forgetful(ask(stageOff, turn(false), nil)), limit: changeLimit},
			{name: stageOff, percent: 100},
		},
		fail: nothingToUndo,
	}
}

// reviveAll revives suspended servers whose owners can pay for an hour, and
// returns how many it began with. It looks at all of them: those that it can't
// revive must not keep the others waiting.
func (f *Fleet) reviveAll(ctx context.Context) (begun int, problems []error) {
	for after := berth.ID(""); ; {
		var page []Server
		err := f.Store.Read(ctx, func(rx Rx) (err error) {
			page, err = rx.RevivableServers(ctx, f.Now(), after, expireBatch)
			return err
		})
		if err != nil {
			return begun, append(problems, fmt.Errorf("look for what can be revived: %w", err))
		}
		for _, s := range page {
			a, err := f.revive(ctx, s)
			if err != nil {
				f.Log.ErrorContext(ctx, "can't revive a server", slog.String("id", string(s.ID)), slog.Any("error", err))
				problems = append(problems, fmt.Errorf("revive %s: %w", s.ID, err))
			}
			if a.ID != "" {
				f.Announce(a)
				begun++
			}
			after = s.ID
		}
		if len(page) < expireBatch {
			return begun, problems
		}
	}
}

// revive holds the price of an hour and starts to turn a suspended server on.
// What may not be paid, and what has just failed, is left as it is.
func (f *Fleet) revive(ctx context.Context, due Server) (started Action, err error) {
	var able bool
	err = f.Store.Read(ctx, func(rx Rx) (err error) {
		able, err = f.revivable(ctx, rx, due)
		return err
	})
	if err != nil || !able {
		return Action{}, err
	}
	err = f.Store.Write(ctx, func(tx Tx) error {
		started = Action{}
		if err := tx.LockPrincipal(ctx, due.Owner); err != nil {
			return err
		}
		s, err := tx.Server(ctx, due.ID)
		if err != nil {
			return err
		}
		if able, err = f.revivable(ctx, tx, s); err != nil || !able {
			return err
		}
		hold, err := billing.Hold(ctx, tx, s.Owner, billing.Transfer{
			ID: string(berth.NewID(berth.PrefixTransaction, f.Now())), Amount: s.Lease.Rate,
			Reason: billing.ReasonRenewal, Ref: s.ID, Operation: "revive", Memo: "an hour of " + s.Label, At: f.Now(),
		})
		if err != nil {
			return err
		}
		started, err = f.startOn(ctx, tx, ActionRevive, s, hold)
		return err
	})
	return started, err
}

// revivable tells whether a server waits for money, its owner may spend what an
// hour costs, and nothing is under way or has just failed.
func (f *Fleet) revivable(ctx context.Context, rx Rx, s Server) (bool, error) {
	if s.Status != Suspended || !s.Lease.GraceUntil.After(f.Now()) {
		return false, nil
	}
	latest, err := rx.Actions(ctx, ActionFilter{Owner: s.Owner, Subject: s.ID, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("look for actions on %s: %w", s.ID, err)
	}
	if len(latest) > 0 {
		a := latest[0]
		failed := a.Kind == ActionRevive && a.Status == ActionFailed && f.Now().Sub(a.Ended) < f.Pace.RetryMax
		if a.Status == ActionRunning || failed {
			return false, nil
		}
	}
	err = f.affords(ctx, rx, s)
	var refusal *berth.Error
	if errors.As(err, &refusal) && refusal.Code != berth.Internal {
		return false, nil
	}
	return err == nil, err
}

// affords refuses an owner who can't or may not pay the next hour.
func (f *Fleet) affords(ctx context.Context, rx Rx, s Server) error {
	price, err := f.renewalPrice(ctx, rx, s)
	if err != nil {
		return err
	}
	balance, err := rx.LedgerAccount(ctx, billing.CustomerAccount(s.Owner))
	if err != nil {
		return fmt.Errorf("read the balance of %s: %w", s.Owner, err)
	}
	if have := balance.Available(); have < price.Total {
		return berth.Errorf(berth.InsufficientBalance, "the next hour costs %s USD and the balance is %s USD", price.Total, have)
	}
	return nil
}

func reviveSaga() saga {
	return saga{
		stages: []stage{
			{name: stageStarting, percent: 20, run: ask(stageConnecting, turn(true), (*Fleet).revived), limit: changeLimit},
			{name: stageConnecting, percent: 60, run: connect(stageReady, nil), limit: connectLimit},
			{name: stageReady, percent: 100},
		},
		fail: nothingToUndo,
	}
}

// revived begins a new hour. It is delivered with the machine being on: the
// charge is captured, whatever becomes of the look at SSH.
func (f *Fleet) revived(ctx context.Context, tx Tx, w *work) error {
	s, now := &w.Server, f.Now()
	if err := billing.Capture(ctx, tx, w.Action.Charge, now); err != nil {
		return fmt.Errorf("capture %s: %w", w.Action.Charge, err)
	}
	w.Action.Charge = ""
	s.Status, s.Lease.GraceUntil = Active, time.Time{}
	s.Lease.PaidUntil = now.Add(time.Hour)
	s.Lease.Bought += time.Hour
	s.Price += s.Lease.Rate
	f.reschedule(s)
	return f.emit(ctx, tx, s.Owner, EventServerRevived, s.ID, data{"charged": s.Lease.Rate, "paid_until": s.Lease.PaidUntil})
}

// enforceOff starts to turn a suspended server off again that runs all the same:
// its suspension failed, or somebody turned it on elsewhere.
func (f *Fleet) enforceOff(ctx context.Context, s Server) error {
	var started Action
	err := f.correct(ctx, s, func(tx Tx, s *Server) (err error) {
		started, err = f.startOn(ctx, tx, ActionSuspend, *s, "")
		return err
	})
	if err == nil && started.ID != "" {
		f.Announce(started)
	}
	return err
}
