package fleet

import (
	"context"

	"berth"
	"berth/billing"
	"berth/provider"
)

// The things that Power does.
const (
	PowerOn  = "on"
	PowerOff = "off"
	Reboot   = "reboot"
)

// PlanPower tells whether a server can be turned "on" or "off" or be made to
// "reboot", and what that costs.
func (f *Fleet) PlanPower(ctx context.Context, rx Rx, s Server, by Buyer, action string) (billing.Price, error) {
	wanted, fee := Active, billing.FeePower
	switch action {
	case PowerOn:
		wanted = Off
	case PowerOff:
	case Reboot:
		fee = billing.FeeReboot
	default:
		return billing.Price{}, invalid("action", "%.20q is none of on, off, reboot", action)
	}
	if action != Reboot && (s.Status == Active || s.Status == Off) && s.Status != wanted {
		return billing.Price{}, berth.Errorf(berth.Conflict, "the server is %s already", action).
			Hinted("There is nothing to do.")
	}
	if err := f.checkState(s, wanted); err != nil {
		return billing.Price{}, err
	}
	return f.prices(by.Contract).FeePrice(by.Tariff, fee), checkFree(ctx, rx, s)
}

// Power starts turning a server "on" or "off" or a "reboot". Call Announce
// after the commit.
func (f *Fleet) Power(ctx context.Context, tx Tx, s Server, action, charge string) (Action, error) {
	kind, ok := map[string]ActionKind{PowerOn: ActionPowerOn, PowerOff: ActionPowerOff, Reboot: ActionReboot}[action]
	if !ok {
		return Action{}, invalid("action", "%.20q is none of on, off, reboot", action)
	}
	return f.startOn(ctx, tx, kind, s, charge)
}

// startOn starts an action on a server that needs nothing beyond its kind.
func (f *Fleet) startOn(ctx context.Context, tx Tx, kind ActionKind, s Server, charge string) (Action, error) {
	a := f.newAction(kind, s.Owner)
	a.Server, a.Charge = s.ID, charge
	return a, f.start(ctx, tx, a)
}

// The stages of changes to a server's power.
const (
	stageStarting   = "starting"
	stageStopping   = "stopping"
	stageRestarting = "restarting"
	stageConnecting = "connecting"
	stageOff        = "off"
)

func powerOnSaga() saga {
	return saga{
		stages: []stage{
			{name: stageStarting, percent: 20, run: ask(stageConnecting, turn(true), became(Active)), limit: changeLimit},
			{name: stageConnecting, percent: 60, run: connect(stageReady, nil), limit: connectLimit},
			{name: stageReady, percent: 100},
		},
		fail: nothingToUndo,
	}
}

func powerOffSaga() saga {
	return saga{
		stages: []stage{
			{name: stageStopping, percent: 20, run: ask(stageOff, turn(false), became(Off)), limit: changeLimit},
			{name: stageOff, percent: 100},
		},
		fail: nothingToUndo,
	}
}

func rebootSaga() saga {
	return saga{
		stages: []stage{
			{name: stageRestarting, percent: 20, run: ask(stageConnecting, restart, nil), limit: changeLimit},
			{name: stageConnecting, percent: 60, run: forgetful(connect(stageReady, nil)), limit: connectLimit},
			{name: stageReady, percent: 100},
		},
		fail: nothingToUndo,
	}
}

// nothingToUndo is for actions that leave a server as it is when they fail.
func nothingToUndo(*Fleet, context.Context, Tx, *work) (string, error) { return "", nil }

// turn asks the provider for a power state.
func turn(on bool) func(context.Context, provider.Provider, work) (provider.Ref, error) {
	return func(ctx context.Context, p provider.Provider, w work) (provider.Ref, error) {
		return p.SetPower(ctx, w.Server.MachineID, on)
	}
}

func restart(ctx context.Context, p provider.Provider, w work) (provider.Ref, error) {
	return p.Restart(ctx, w.Server.MachineID)
}

// became is the change that writes back a power state.
func became(status Status) change {
	return func(f *Fleet, ctx context.Context, tx Tx, w *work) error {
		if w.Server.Status == status {
			return nil
		}
		w.Server.Status = status
		return f.emit(ctx, tx, w.Server.Owner, EventKind("server."+string(status)), w.Server.ID, nil)
	}
}

// forgetful drops the connections from before a restart, so that the server
// itself answers and not a connection that is about to break.
func forgetful(next step) step {
	return func(f *Fleet, ctx context.Context, w work) (outcome, error) {
		f.Prober.Forget(w.Server.ID)
		return next(f, ctx, w)
	}
}
