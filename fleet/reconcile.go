package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"berth"
	"berth/billing"
	"berth/provider"
)

// suspects are things that looked wrong when the sweeper last came by. Only what
// looks wrong every time for a while is acted on. They live in memory: after a
// restart the while begins anew.
type suspects struct {
	mu    sync.Mutex
	since map[string]suspect
	round int
}

type suspect struct {
	first time.Time
	times int
	round int // when it was last seen
}

// sightings is how often something must have looked wrong, however long ago
// the first time was.
const sightings = 3

// begin starts a round of the sweeper, and forgets what was not seen in the
// one before.
func (s *suspects) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, one := range s.since {
		if one.round < s.round {
			delete(s.since, key)
		}
	}
	s.round++
}

// confirmed notes that something looks wrong, and tells whether it has for long.
func (s *suspects) confirmed(key string, now time.Time, grace time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = map[string]suspect{}
	}
	one, known := s.since[key]
	if !known {
		one.first = now
	}
	one.times++
	one.round = s.round
	s.since[key] = one
	return one.times >= sightings && now.Sub(one.first) >= grace
}

// Reconcile compares the provider with the rows. A machine of this deployment
// that no live row accounts for is destroyed, a snapshot likewise; a server
// whose machine has vanished is ended, and its unused time refunded; power
// states are written back. It acts only on what it saw in several rounds over
// the grace period, so call it every minute or so. A failed look is never taken
// for "gone".
func (f *Fleet) Reconcile(ctx context.Context) error {
	_, err := f.Survey(ctx)
	return err
}

// Survey does the same, and tells what it looked at, what it found and what it
// did about it. The report holds what is known where there is an error as well.
func (f *Fleet) Survey(ctx context.Context) (Survey, error) {
	ctx = provider.DefaultPriority(ctx, provider.Upkeep)
	f.suspects.begin()
	r := round{Fleet: f}
	refreshed := f.Refresh(ctx)
	listed, err := f.Provider.Machines(ctx, f.Deployment)
	if err != nil {
		return r.Survey, errors.Join(refreshed, fmt.Errorf("list machines: %w", err))
	}
	r.Machines = len(listed)
	problems := []error{refreshed}
	for _, m := range listed {
		if err := r.sweepMachine(ctx, m); err != nil {
			problems = append(problems, fmt.Errorf("sweep machine %s: %w", m.ID, err))
		}
	}
	problems = append(problems, r.sweepServers(ctx, listed), r.sweepSnapshots(ctx))
	return r.Survey, errors.Join(problems...)
}

// sweepMachine destroys a machine that no live row accounts for.
func (f *round) sweepMachine(ctx context.Context, m provider.Machine) error {
	id, err := berth.ParseID(berth.PrefixServer, m.Tag)
	if err != nil {
		f.Log.WarnContext(ctx, "a machine bears the deployment's tag and no server's", slog.String("machine", m.ID))
		return nil
	}
	var s Server
	orphan := false
	err = f.Store.Read(ctx, func(rx Rx) error {
		s, err = rx.Server(ctx, id)
		if isNotFound(err) {
			orphan = true
			return nil
		}
		if err != nil {
			return err
		}
		open, err := openAction(ctx, rx, s.Owner, s.ID)
		orphan = open.ID == "" && (!s.Status.Live() || s.MachineID != m.ID)
		return err
	})
	if err != nil || !orphan || !f.confirmed(OrphanedMachine, m.ID) {
		return err
	}
	f.Log.WarnContext(ctx, "destroying an orphaned machine", slog.String("machine", m.ID), slog.String("server", m.Tag))
	if err := f.Provider.Delete(ctx, m.ID); err != nil {
		return err
	}
	if s.ID == "" {
		return nil
	}
	return f.Store.Write(ctx, func(tx Tx) error {
		if err := tx.LockPrincipal(ctx, s.Owner); err != nil {
			return err
		}
		return f.emit(ctx, tx, s.Owner, EventServerOrphanDestroyed, s.ID, data{"machine": m.ID})
	})
}

// sweepServers compares all live servers at rest with the listed machines.
func (f *round) sweepServers(ctx context.Context, listed []provider.Machine) error {
	byID := make(map[string]provider.Machine, len(listed))
	for _, m := range listed {
		byID[m.ID] = m
	}
	settled, err := f.settledServers(ctx)
	if err != nil {
		return err
	}
	f.Servers = len(settled)
	if wrongAccount(settled, byID) {
		return fmt.Errorf("the provider shows none of %d servers' machines: is its token another account's? nothing is taken for gone", len(settled))
	}
	var problems []error
	for _, s := range settled {
		m, ok := byID[s.MachineID]
		if ok {
			err = f.writeBackPower(ctx, s, m)
		} else {
			err = f.sweepVanished(ctx, s)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("sweep server %s: %w", s.ID, err))
		}
	}
	return errors.Join(problems...)
}

// wrongAccount tells whether so much is missing at once that it is likelier
// that Berth looks in the wrong place.
func wrongAccount(servers []Server, byID map[string]provider.Machine) bool {
	const several = 3
	for _, s := range servers {
		if _, ok := byID[s.MachineID]; ok {
			return false
		}
	}
	return len(servers) >= several
}

// settledServers are all live servers on which nothing is under way.
func (f *Fleet) settledServers(ctx context.Context) (settled []Server, err error) {
	const batch = 200
	for after := berth.ID(""); ; {
		var page []Server
		err := f.Store.Read(ctx, func(rx Rx) (err error) {
			if page, err = rx.LiveServers(ctx, after, batch); err != nil {
				return err
			}
			for _, s := range page {
				open, err := openAction(ctx, rx, s.Owner, s.ID)
				if err != nil {
					return err
				}
				if open.ID == "" && s.MachineID != "" {
					settled = append(settled, s)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list live servers: %w", err)
		}
		if len(page) < batch {
			return settled, nil
		}
		after = page[len(page)-1].ID
	}
}

// writeBackPower notes that a server was turned on or off from elsewhere, such
// as by a command on it.
func (f *round) writeBackPower(ctx context.Context, s Server, m provider.Machine) error {
	if s.Status == Suspended && m.State == provider.On && !m.Busy {
		if !f.confirmed(TurnedOnOrOff, string(s.ID)) {
			return nil
		}
		return f.enforceOff(ctx, s)
	}
	is := map[provider.State]Status{provider.On: Active, provider.Off: Off}[m.State]
	differs := is != "" && is != s.Status && (s.Status == Active || s.Status == Off)
	if !differs || m.Busy || !f.confirmed(TurnedOnOrOff, string(s.ID)) {
		return nil
	}
	return f.correct(ctx, s, func(tx Tx, s *Server) error {
		s.Status = is
		return f.emit(ctx, tx, s.Owner, EventKind("server."+string(is)), s.ID, nil)
	})
}

// sweepVanished ends a server whose machine the provider has denied for long.
func (f *round) sweepVanished(ctx context.Context, s Server) error {
	_, err := f.Provider.Machine(ctx, s.MachineID)
	if provider.KindOf(err) != provider.NotFound {
		return err // it is there after all, or nobody knows
	}
	if !f.confirmed(VanishedMachine, string(s.ID)) {
		return nil
	}
	f.Log.WarnContext(ctx, "a server's machine has vanished", slog.String("server", string(s.ID)), slog.String("machine", s.MachineID))
	f.Prober.Forget(s.ID)
	return f.correct(ctx, s, func(tx Tx, s *Server) error {
		amount, err := f.refundUnused(ctx, tx, *s)
		if err != nil {
			return err
		}
		if err := f.settle(ctx, tx, s); err != nil {
			return err
		}
		s.Status, s.Reason, s.Ended = Failed, vanishedReason, f.Now()
		return f.emit(ctx, tx, s.Owner, EventServerFailed, s.ID, data{"reason": vanishedReason, "refunded": amount})
	})
}

const vanishedReason = "its machine disappeared at the provider; the unused time was refunded"

// correct changes a server's row, unless something happened to it since it was
// read.
func (f *Fleet) correct(ctx context.Context, as Server, alter func(Tx, *Server) error) error {
	return f.Store.Write(ctx, func(tx Tx) error {
		if err := tx.LockPrincipal(ctx, as.Owner); err != nil {
			return err
		}
		s, err := tx.Server(ctx, as.ID)
		if err != nil {
			return err
		}
		open, err := openAction(ctx, tx, s.Owner, s.ID)
		if err != nil || open.ID != "" || s.Status != as.Status || s.MachineID != as.MachineID {
			return err
		}
		if err := alter(tx, &s); err != nil {
			return err
		}
		return tx.UpdateServer(ctx, s)
	})
}

// refundUnused gives back what the rest of a lease was worth, and never more
// than what was paid for the server.
func (f *Fleet) refundUnused(ctx context.Context, tx Tx, s Server) (berth.Micros, error) {
	left := s.Lease.PaidUntil.Sub(f.Now())
	if left <= 0 || s.Lease.Period == Deposit { // a deposit is settled
		return 0, nil
	}
	paid, err := paidFor(ctx, tx, s)
	if err != nil {
		return 0, err
	}
	// In seconds, which keeps the product far below an int64's bounds.
	amount := min(s.Lease.Rate*berth.Micros(left/time.Second)/3600, paid)
	_, err = billing.Refund(ctx, tx, s.Owner, billing.Transfer{
		ID: "refund:" + string(s.ID), Amount: amount, Ref: s.ID, Operation: "reconcile",
		Memo: "unused time of " + s.Label, At: f.Now(),
	})
	return amount, err
}

// paidFor is what was paid for a server so far, by its renter and by others who
// share it, less refunds.
func paidFor(ctx context.Context, rx Rx, s Server) (sum berth.Micros, err error) {
	const batch = 1000
	for before := int64(0); ; {
		page, err := rx.Entries(ctx, billing.Filter{Ref: s.ID, Before: before, Limit: batch})
		if err != nil {
			return 0, fmt.Errorf("read what was paid for %s: %w", s.ID, err)
		}
		for _, e := range page {
			moved := e.Kind == billing.Direct || e.Kind == billing.Post
			switch {
			case moved && e.Credit == billing.Revenue:
				sum += e.Amount
			case moved && e.Debit == billing.Refunds:
				sum -= e.Amount
			}
			before = e.Seq
		}
		if len(page) < batch {
			return max(sum, 0), nil
		}
	}
}

// sweepSnapshots deletes snapshots of this deployment that no row accounts for.
func (f *round) sweepSnapshots(ctx context.Context) error {
	prefix := f.providerName(berth.PrefixSnapshot + "_")
	listed, err := f.Provider.Snapshots(ctx, prefix)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	f.Snapshots = len(listed)
	var problems []error
	for _, kept := range listed {
		id := berth.ID(kept.Name[len(prefix)-len(berth.PrefixSnapshot)-1:])
		orphan, err := f.orphanedSnapshot(ctx, id, kept)
		if err == nil && orphan && f.confirmed(OrphanedSnapshot, kept.Name) {
			f.Log.WarnContext(ctx, "deleting an orphaned snapshot", slog.String("snapshot", kept.Name))
			err = f.Provider.DeleteSnapshot(ctx, kept.ID)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("sweep snapshot %s: %w", kept.Name, err))
		}
	}
	return errors.Join(problems...)
}

// orphanedSnapshot tells whether no row accounts for a snapshot.
func (f *Fleet) orphanedSnapshot(ctx context.Context, id berth.ID, kept provider.Snapshot) (orphan bool, err error) {
	err = f.Store.Read(ctx, func(rx Rx) error {
		sn, err := rx.Snapshot(ctx, id)
		if isNotFound(err) {
			orphan = true
			return nil
		}
		if err != nil {
			return err
		}
		open, err := openAction(ctx, rx, sn.Owner, sn.ID)
		orphan = open.ID == "" && (sn.Status != SnapshotAvailable || sn.ProviderID != kept.ID)
		return err
	})
	return orphan, err
}
