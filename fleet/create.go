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

// createInput is what a create keeps in its action.
type createInput struct {
	Keys  []string  `json:"keys"`           // authorized_keys lines
	Asked time.Time `json:"asked,omitzero"` // when the machine was asked for; zero while it certainly was not
	Doubt bool      `json:"doubt,omitzero"` // an earlier request may have had an effect that was never seen
}

// Create carries out an order that PlanCreate has passed in the same
// transaction: it writes the server and the action that will make it. charge
// is the pending transfer that delivery captures; empty where it is free. The
// caller puts the price's deposit into the server's escrow.
// Call Announce after the commit.
func (f *Fleet) Create(ctx context.Context, tx Tx, o CreateOrder, price billing.Price, charge string) (Server, Action, error) {
	p, err := f.resolve(ctx, tx, o)
	if err != nil {
		return Server{}, Action{}, err
	}
	managed, err := f.managedKey(ctx, tx, o.Owner.ID)
	if err != nil {
		return Server{}, Action{}, err
	}
	s, err := f.newServer(o, p, price)
	if err != nil {
		return Server{}, Action{}, err
	}
	s.Price, s.Charge = price.Total-price.Deposit, charge
	if err := tx.InsertServer(ctx, s); err != nil {
		return Server{}, Action{}, fmt.Errorf("insert server: %w", err)
	}
	err = f.emit(ctx, tx, s.Owner, EventServerCreated, s.ID, data{"label": s.Label, "size": s.Size, "region": s.Region})
	if err != nil {
		return Server{}, Action{}, err
	}
	a := f.newAction(ActionCreate, s.Owner)
	a.Server, a.Snapshot, a.Charge = s.ID, s.Snapshot, charge
	a.Input = mustJSON(createInput{Keys: keyLines(managed, p.keys)})
	return s, a, f.start(ctx, tx, a)
}

// newServer is the row of a server that was ordered.
func (f *Fleet) newServer(o CreateOrder, p parts, price billing.Price) (Server, error) {
	now := f.Now()
	secrets, hostKey, err := f.newSecrets(p.userData)
	if err != nil {
		return Server{}, err
	}
	lease, err := f.lease(o, p.size, price)
	if err != nil {
		return Server{}, err
	}
	s := Server{
		ID: berth.NewID(berth.PrefixServer, now), Owner: o.Owner.ID, Contract: o.Contract, Label: o.Label, Status: Provisioning,
		Pool: cmp.Or(o.Pool, account.DefaultPool(o.Owner.ID)), DiskGB: p.size.Machine.DiskGB,
		Region: p.region.Slug, Size: p.size.Slug, Image: p.image, Snapshot: o.Snapshot, Keys: keyIDs(p.keys), Forwards: o.Forwards,
		Lease:   lease,
		HostKey: hostKey, Secrets: secrets, CustomBoot: p.userData != "" || o.Snapshot != "", Created: now,
	}
	if s.Label == "" {
		s.Label = "server-" + s.ID.Hex()[18:]
	}
	s.DueAt = s.Lease.PaidUntil
	return s, nil
}

// The stages of a create.
const (
	stagePaid      = "paid"
	stageRequested = "requested"
	stageBooting   = "booting"
	stageAddress   = "address"
	stageReady     = "ssh ready"
	stageCleanup   = "cleaning up"
	stageVerify    = "verifying"
	stageFailed    = "failed"
)

func createSaga() saga {
	return saga{
		stages: []stage{
			{name: stagePaid, percent: 5, run: (*Fleet).request, limit: requestLimit, note: noteRequest},
			{name: stageRequested, percent: 20, run: (*Fleet).awaitOn, limit: bootLimit},
			{name: stageBooting, percent: 40, run: (*Fleet).awaitAddress, limit: changeLimit},
			{name: stageAddress, percent: 65, run: connect(stageReady, (*Fleet).deliver), limit: connectLimit},
			{name: stageReady, percent: 100},
			{name: stageCleanup, run: remove(stageVerify)},
			{name: stageVerify, run: confirmGone(stageCleanup, stageFailed, nil)},
			{name: stageFailed},
		},
		fail: (*Fleet).failCreate,
	}
}

// noteRequest notes that the machine is about to be asked for. It does nothing
// where that was noted before: the machine may exist then.
func noteRequest(a *Action, now time.Time) bool {
	in, err := input[createInput](*a)
	if err != nil || !in.Asked.IsZero() {
		return false
	}
	in.Asked = now
	a.Input = mustJSON(in)
	return true
}

// forgetRequest is the change that notes that no machine came of asking:
// certainly, or as far as can be seen.
func forgetRequest(certainly bool) change {
	return func(_ *Fleet, _ context.Context, _ Tx, w *work) error {
		in, err := input[createInput](w.Action)
		if err != nil {
			return err
		}
		in.Asked = time.Time{}
		in.Doubt = in.Doubt || !certainly
		w.Action.Input = mustJSON(in)
		return nil
	}
}

// request asks the provider for the machine, once. Where it was asked before
// with an unknown result, it looks for what came of it instead.
func (f *Fleet) request(ctx context.Context, w work) (outcome, error) {
	if !w.noted {
		return f.findRequested(ctx, w)
	}
	spec, err := f.spec(ctx, w)
	if err != nil {
		return outcome{apply: forgetRequest(true)}, err
	}
	m, err := f.Provider.Create(ctx, spec)
	switch provider.KindOf(err) {
	case "", provider.Ambiguous:
		if err == nil {
			f.capacity.taken()
			return outcome{to: stageRequested, apply: adopt(m)}, nil
		}
		return outcome{}, err
	}
	f.capacity.refused(spec, err, f.Now())
	return outcome{apply: forgetRequest(true)}, err // certainly nothing was made
}

// findRequested looks by tag for the machine that an earlier request may have
// made. The list may lag, so only when one that was asked for after a while
// does not show it, it is asked for anew.
func (f *Fleet) findRequested(ctx context.Context, w work) (outcome, error) {
	in, err := input[createInput](w.Action)
	if err != nil {
		return outcome{}, err
	}
	listed, err := f.machines(ctx, f.pollPause(w.Action))
	if err != nil {
		return outcome{}, err
	}
	if m, ok := listed.byTag[string(w.Server.ID)]; ok {
		return outcome{to: stageRequested, apply: adopt(m)}, nil
	}
	if listed.asked.Sub(in.Asked) < f.Pace.Settle {
		return outcome{wait: f.pollPause(w.Action)}, nil
	}
	return outcome{apply: forgetRequest(false)}, nil
}

// adopt is the change that notes which machine is the server's.
func adopt(m provider.Machine) change {
	return func(_ *Fleet, _ context.Context, _ Tx, w *work) error {
		w.Server.MachineID = m.ID
		return nil
	}
}

// spec is what the provider is asked for.
func (f *Fleet) spec(ctx context.Context, w work) (provider.Spec, error) {
	s := w.Server
	size, err := f.prices(s.Contract).Size(s.Size)
	if err != nil {
		return provider.Spec{}, err
	}
	region, err := f.Catalog.Region(s.Region)
	if err != nil {
		return provider.Spec{}, err
	}
	image := w.Snapshot.ProviderID
	if s.Snapshot == "" {
		catalogued, err := f.Catalog.Image(s.Image)
		if err != nil {
			return provider.Spec{}, err
		}
		image = catalogued.Provider
	}
	in, err := input[createInput](w.Action)
	if err != nil {
		return provider.Spec{}, err
	}
	secrets, err := f.Secrets(s)
	if err != nil {
		return provider.Spec{}, err
	}
	boot, err := provider.Boot{
		Hostname: hostname(s), HostKeyPEM: []byte(secrets.HostKeyPEM), RootPassword: secrets.RootPassword,
		AuthorizedKeys: in.Keys, UserData: []byte(secrets.UserData), Forwards: s.Forwards,
	}.Encode()
	if err != nil {
		return provider.Spec{}, err
	}
	return provider.Spec{
		Tag: string(s.ID), Tags: []string{f.Deployment}, Region: region.Provider,
		Size: size.Machine.Slug, Image: image, UserData: boot, First: !in.Doubt,
	}, nil
}

// awaitOn waits until the machine is on. Where the cloud gives it an address
// before, it may answer before the cloud's list says that it is on.
func (f *Fleet) awaitOn(ctx context.Context, w work) (outcome, error) {
	m, seen, err := f.machine(ctx, w)
	switch {
	case err != nil || !seen:
		return outcome{wait: f.pollPause(w.Action)}, err
	case m.State == provider.On:
		return outcome{to: stageBooting}, nil
	case m.State != provider.Creating || !m.Addr.IsValid():
		return outcome{wait: f.pollPause(w.Action)}, nil
	}
	s := w.Server
	s.Addr, s.SSHPort = m.Addr, m.SSHPort
	if f.probe(ctx, s, f.pollPause(w.Action)) == nil {
		return outcome{to: stageBooting}, nil
	}
	return outcome{wait: f.probePause(w.Action)}, nil
}

// awaitAddress waits until the machine has an address: some clouds call a
// machine active before it has one.
func (f *Fleet) awaitAddress(ctx context.Context, w work) (outcome, error) {
	m, seen, err := f.machine(ctx, w)
	if err != nil || !seen || !m.Addr.IsValid() {
		return outcome{wait: f.pollPause(w.Action)}, err
	}
	return outcome{to: stageAddress, apply: func(_ *Fleet, _ context.Context, _ Tx, w *work) error {
		w.Server.Addr, w.Server.SSHPort = m.Addr, m.SSHPort
		return nil
	}}, nil
}

// deliver hands the server over: the time that was bought begins now.
func (f *Fleet) deliver(ctx context.Context, tx Tx, w *work) error {
	s, now := &w.Server, f.Now()
	s.Status, s.Delivered = Active, now
	s.Lease.PaidUntil = now.Add(s.Lease.Bought)
	if s.Lease.Period == Deposit {
		s.Lease.begin(now)
	}
	f.reschedule(s)
	return f.emit(ctx, tx, s.Owner, EventServerReady, s.ID, data{"ip": s.Addr, "paid_until": s.Lease.PaidUntil})
}

// failCreate ends a server that never came up. Its machine, if there is one, is
// removed by the stages that follow.
func (f *Fleet) failCreate(ctx context.Context, tx Tx, w *work) (string, error) {
	in, err := input[createInput](w.Action)
	if err != nil {
		return "", err
	}
	cleanup := stageCleanup
	if w.Server.MachineID == "" && in.Asked.IsZero() {
		cleanup = "" // certainly there is none
	}
	s := &w.Server
	s.Status, s.Reason, s.Ended = Failed, w.Action.Reason, f.Now()
	if err := f.settle(ctx, tx, s); err != nil {
		return "", err
	}
	return cleanup, f.emit(ctx, tx, s.Owner, EventServerFailed, s.ID, data{"reason": s.Reason})
}

// bootLimit is how long a machine may take to become active.
func bootLimit(p Pace, w work) time.Duration {
	if w.Server.Snapshot != "" {
		return p.Restore
	}
	return p.Change
}
