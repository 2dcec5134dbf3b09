package fleet

import (
	"context"
	"fmt"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/provider"
)

// resizeInput is what a resize keeps in its action.
type resizeInput struct {
	Size  string       `json:"size"`
	Was   Status       `json:"was"` // the server's state before
	Price berth.Micros `json:"price"`
}

// PlanResize tells whether a server can move to another size, and what the
// rest of its lease costs more there. A disk never shrinks.
func (f *Fleet) PlanResize(ctx context.Context, rx Rx, s Server, owner account.Principal, size string) (billing.Price, error) {
	from, err := f.prices().Size(s.Size)
	if err != nil {
		return billing.Price{}, err
	}
	to, err := f.prices().Size(size)
	if err != nil {
		return billing.Price{}, err
	}
	if err := f.checkState(s, Active, Off); err != nil {
		return billing.Price{}, err
	}
	if to.Slug == from.Slug {
		return billing.Price{}, berth.Errorf(berth.Conflict, "the server has size %s already", size).
			Hinted("Choose another size.")
	}
	if to.Machine.DiskGB < from.Machine.DiskGB {
		return billing.Price{}, berth.Errorf(berth.Conflict, "size %s has a disk of %d GB, and the server's of %d GB can't shrink",
			to.Slug, to.Machine.DiskGB, from.Machine.DiskGB).Hinted("%s", f.largeEnough(from.Machine.DiskGB))
	}
	region, err := f.Catalog.Region(s.Region)
	if err != nil {
		return billing.Price{}, err
	}
	if err := f.checkCapacity(to, region, owner.Tariff); err != nil {
		return billing.Price{}, err
	}
	if err := checkFree(ctx, rx, s); err != nil {
		return billing.Price{}, err
	}
	return f.prices().ResizePrice(owner.Tariff, s.Size, size, s.Lease.PaidUntil.Sub(f.Now()))
}

// Resize starts moving a server to another size. It is off meanwhile. Call
// Announce after the commit.
func (f *Fleet) Resize(ctx context.Context, tx Tx, s Server, size string, price billing.Price, charge string) (Action, error) {
	a := f.newAction(ActionResize, s.Owner)
	a.Server, a.Charge = s.ID, charge
	a.Input = mustJSON(resizeInput{Size: size, Was: s.Status, Price: price.Total})
	return a, f.start(ctx, tx, a)
}

const (
	stageResizing  = "resizing"
	stageRestoring = "restoring" // the power state from before a resize that failed
	stageResized   = "resized"
)

func resizeSaga() saga {
	return saga{
		stages: []stage{
			{name: stageStopping, percent: 10, run: forgetful(ask(stageResizing, turn(false), nil)), limit: changeLimit},
			{name: stageResizing, percent: 30, run: (*Fleet).setSize, limit: changeLimit},
			{name: stageStarting, percent: 70, run: ask(stageConnecting, turn(true), nil), limit: changeLimit},
			{name: stageConnecting, percent: 85, run: connect(stageReady, nil), limit: connectLimit},
			{name: stageReady, percent: 100},
			{name: stageResized, percent: 100}, // of a server that was off, and stays it
			{name: stageRestoring, run: unlessGone(stageFailed, ask(stageFailed, turn(true), nil))},
			{name: stageFailed},
		},
		fail: (*Fleet).failResize,
	}
}

// setSize changes the size of the machine, and once that is done the server's:
// what happens after it, the machine has the new size.
func (f *Fleet) setSize(ctx context.Context, w work) (outcome, error) {
	in, err := input[resizeInput](w.Action)
	if err != nil {
		return outcome{}, err
	}
	size, err := f.prices().Size(in.Size)
	if err != nil {
		return outcome{}, err
	}
	next := stageStarting
	if in.Was == Off {
		next = stageResized
	}
	request := func(ctx context.Context, p provider.Provider, w work) (provider.Ref, error) {
		return p.SetSize(ctx, w.Server.MachineID, size.Machine.Slug)
	}
	return ask(next, request, grow(size, in.Price))(f, ctx, w)
}

// grow is the change that notes the new size. It is delivered with that: the
// charge is captured, whatever becomes of the start.
func grow(size billing.Size, price berth.Micros) change {
	return func(f *Fleet, ctx context.Context, tx Tx, w *work) error {
		owner, err := tx.Principal(ctx, w.Server.Owner)
		if err != nil {
			return fmt.Errorf("read the owner of %s: %w", w.Server.ID, err)
		}
		s := &w.Server
		s.Size, s.Lease.Rate = size.Slug, size.Rate(owner.Tariff)
		s.Price += price
		if err := billing.Capture(ctx, tx, w.Action.Charge, f.Now()); err != nil {
			return fmt.Errorf("capture %s: %w", w.Action.Charge, err)
		}
		w.Action.Charge = ""
		return f.emit(ctx, tx, s.Owner, "server.resized", s.ID, data{"size": s.Size})
	}
}

// failResize turns a server on again that was on before.
func (f *Fleet) failResize(_ context.Context, _ Tx, w *work) (string, error) {
	in, err := input[resizeInput](w.Action)
	if err != nil || in.Was == Off {
		return "", err
	}
	return stageRestoring, nil
}

// unlessGone is a step that goes on to the stage next where the server has no
// machine any more: nothing is left to put right, and the sweeper ends it.
func unlessGone(next string, put step) step {
	return func(f *Fleet, ctx context.Context, w work) (outcome, error) {
		out, err := put(f, ctx, w)
		if provider.KindOf(err) == provider.NotFound {
			return outcome{to: next}, nil
		}
		return out, err
	}
}
