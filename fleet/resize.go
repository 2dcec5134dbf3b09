package fleet

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/provider"
)

// resizeInput is what a resize keeps in its action.
type resizeInput struct {
	Size  string       `json:"size"`
	Was   Status       `json:"was"`   // the server's state before
	Price berth.Micros `json:"price"` // without the deposit
	// KeepDisk says that only processor and memory change.
	KeepDisk bool `json:"keep_disk,omitempty"`
	// Of a lease with a deposit: what was added to that, and how long it lasted
	// before.
	Deposit berth.Micros `json:"deposit,omitempty"`
	Until   time.Time    `json:"until,omitzero"`
}

// PlanResize tells whether a server can move to another size, and what the
// rest of its lease costs more there. With keepDisk its disk stays as it is, so
// that it can go back; else the disk grows to the size's. A disk never shrinks.
func (f *Fleet) PlanResize(ctx context.Context, rx Rx, s Server, by Buyer, size string, keepDisk bool) (billing.Price, error) {
	list := f.prices(s.Contract)
	from, err := list.Size(s.Size)
	if err != nil {
		return billing.Price{}, err
	}
	to, err := list.Size(size)
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
	if disk := s.disk(from); to.Machine.DiskGB < disk {
		return billing.Price{}, diskTooLarge(list, to, disk, keepDisk)
	}
	region, err := f.Catalog.Region(s.Region)
	if err != nil {
		return billing.Price{}, err
	}
	if err := f.checkCapacity(list, to, region, by.Tariff); err != nil {
		return billing.Price{}, err
	}
	if err := checkFree(ctx, rx, s); err != nil {
		return billing.Price{}, err
	}
	left := s.Lease.PaidUntil.Sub(f.Now())
	if s.Lease.Period == Deposit {
		return list.ResizeDepositPrice(by.Tariff, s.Lease.Rate, size, left)
	}
	return list.ResizePrice(by.Tariff, s.Size, size, left)
}

// disk is how large the server's disk is in GB, where it has the size from.
func (s Server) disk(from billing.Size) int { return cmp.Or(s.DiskGB, from.Machine.DiskGB) }

// diskTooLarge is the refusal of a size whose disk is smaller than the server's.
func diskTooLarge(list *billing.PriceList, to billing.Size, disk int, keepDisk bool) error {
	hint := largeEnough(list, disk)
	if !keepDisk {
		hint += " To be able to go back to a smaller size, grow with keep_disk."
	}
	return berth.Errorf(berth.Conflict, "size %s has a disk of %d GB, and the server's of %d GB can't shrink",
		to.Slug, to.Machine.DiskGB, disk).Hinted("%s", hint)
}

// DepositDelta is by how much a move to another size changes a server's deposit:
// what the price adds to it, or below zero what returns of it once the size has
// changed, as far as is known now. Other kinds of leases have none.
func (f *Fleet) DepositDelta(s Server, by Buyer, size string, price billing.Price) (berth.Micros, error) {
	if s.Lease.Period != Deposit || price.Deposit > 0 {
		return price.Deposit, nil
	}
	to, err := f.prices(s.Contract).Size(size)
	if err != nil {
		return 0, err
	}
	now := f.Now()
	needed := billing.Covering(to.Rate(by.Tariff), s.Lease.PaidUntil.Sub(now))
	return -max(s.Lease.Left(now)-needed, 0), nil
}

// Resize starts moving a server to another size. It is off meanwhile. The caller
// has put the price's deposit into the server's escrow. Call Announce after the
// commit.
func (f *Fleet) Resize(ctx context.Context, tx Tx, s Server, size string, keepDisk bool, price billing.Price, charge string) (Action, error) {
	a := f.newAction(ActionResize, s.Owner)
	a.Server, a.Charge = s.ID, charge
	in := resizeInput{Size: size, Was: s.Status, Price: price.Total - price.Deposit, KeepDisk: keepDisk}
	if s.Lease.Period == Deposit {
		in.Deposit, in.Until = price.Deposit, s.Lease.PaidUntil
		s.Lease.Deposit += price.Deposit
		s.Lease.fund()
		f.reschedule(&s)
		if err := tx.UpdateServer(ctx, s); err != nil {
			return Action{}, fmt.Errorf("update server: %w", err)
		}
	}
	a.Input = mustJSON(in)
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
	size, err := f.prices(w.Server.Contract).Size(in.Size)
	if err != nil {
		return outcome{}, err
	}
	next := stageStarting
	if in.Was == Off {
		next = stageResized
	}
	request := func(ctx context.Context, p provider.Provider, w work) (provider.Ref, error) {
		return p.SetSize(ctx, w.Server.MachineID, size.Machine.Slug, !in.KeepDisk)
	}
	return ask(next, request, grow(size, in))(f, ctx, w)
}

// grow is the change that notes the new size. It is delivered with that: the
// charge is captured, whatever becomes of the start.
func grow(size billing.Size, in resizeInput) change {
	return func(f *Fleet, ctx context.Context, tx Tx, w *work) error {
		owner, err := tx.Principal(ctx, w.Server.Owner)
		if err != nil {
			return fmt.Errorf("read the owner of %s: %w", w.Server.ID, err)
		}
		s := &w.Server
		from, err := f.prices(s.Contract).Size(s.Size)
		if err != nil {
			return err
		}
		s.DiskGB = s.disk(from)
		if err := f.changeRate(ctx, tx, w, size.Rate(owner.Tariff), owner, in); err != nil {
			return err
		}
		if s.Size = size.Slug; !in.KeepDisk {
			s.DiskGB = size.Machine.DiskGB
		}
		s.Price += in.Price
		if err := billing.Capture(ctx, tx, w.Action.Charge, f.Now()); err != nil {
			return fmt.Errorf("capture %s: %w", w.Action.Charge, err)
		}
		w.Action.Charge = ""
		return f.emit(ctx, tx, s.Owner, EventServerResized, s.ID, data{"size": s.Size, "disk_gb": s.DiskGB})
	}
}

// changeRate lets a lease go on at another size's hourly rate.
func (f *Fleet) changeRate(ctx context.Context, tx Tx, w *work, rate berth.Micros, owner account.Principal, in resizeInput) error {
	l := &w.Server.Lease
	switch l.Period {
	case Deposit:
		return f.regrade(ctx, tx, w, rate, in.Until)
	case Day: // what is left was bought with a discount; the difference is not
		from, err := f.prices(w.Server.Contract).Size(w.Server.Size)
		if err != nil {
			return err
		}
		l.Rate = max(l.Rate+rate-from.Rate(owner.Tariff), 0)
	default:
		l.Rate = rate
	}
	return nil
}

// failResize turns a server on again that was on before. What was added to its
// deposit for the new size returns where it does not have that.
func (f *Fleet) failResize(ctx context.Context, tx Tx, w *work) (string, error) {
	in, err := input[resizeInput](w.Action)
	if err != nil {
		return "", err
	}
	if s := &w.Server; in.Deposit > 0 && s.Size != in.Size {
		if err := f.meter(ctx, tx, s); err != nil {
			return "", err
		}
		back := min(in.Deposit, s.Lease.Deposit-s.Lease.Metered)
		if err := f.giveBack(ctx, tx, s, string(w.Action.ID), back); err != nil {
			return "", err
		}
		s.Lease.fund()
		f.reschedule(s)
	}
	if in.Was == Off {
		return "", nil
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
