package fleet

import (
	"context"
	"fmt"

	"berth"
	"berth/billing"
	"berth/provider"
)

// rebuildInput is what a rebuild keeps in its action.
type rebuildInput struct {
	Image    string   `json:"image"`    // the catalog's slug
	Provider string   `json:"provider"` // the image or snapshot at the provider
	Snapshot berth.ID `json:"snapshot,omitempty"`
}

// PlanRebuild tells whether a server's disk can be replaced by an image (empty:
// the one it has) or a snapshot, and what that costs. A machine keeps its
// first-boot data: userData, where not nil, must be what it was created with.
func (f *Fleet) PlanRebuild(ctx context.Context, rx Rx, s Server, by Buyer, image string, snapshot berth.ID, userData *string) (billing.Price, error) {
	if err := f.checkState(s, Active); err != nil {
		return billing.Price{}, err
	}
	if _, err := f.rebuildSource(ctx, rx, s, image, snapshot); err != nil {
		return billing.Price{}, err
	}
	if userData != nil {
		secrets, err := f.Secrets(s)
		if err != nil {
			return billing.Price{}, err
		}
		if secrets.UserData != *userData {
			return billing.Price{}, invalid("user_data", "a server keeps the first-boot data that it was created with").
				Hinted("Leave user_data out, or create another server with it.")
		}
	}
	return f.prices(by.Contract).FeePrice(by.Tariff, billing.FeeRebuild), checkFree(ctx, rx, s)
}

// rebuildSource is what the disk is to be made of.
func (f *Fleet) rebuildSource(ctx context.Context, rx Rx, s Server, image string, snapshot berth.ID) (rebuildInput, error) {
	list := f.prices(s.Contract)
	size, err := list.Size(s.Size)
	if err != nil {
		return rebuildInput{}, err
	}
	if size.Machine.DiskGB = s.disk(size); snapshot != "" {
		sn, err := f.checkRestorable(ctx, rx, list, s.Owner, snapshot, s.Region, size)
		return rebuildInput{Image: sn.Image, Provider: sn.ProviderID, Snapshot: sn.ID}, err
	}
	if image == "" {
		image = list.ImageName(s.Image)
	}
	catalogued, err := list.Image(image)
	return rebuildInput{Image: catalogued.Slug, Provider: catalogued.Provider}, err
}

// Rebuild starts replacing a server's disk. Its address and host key stay. Call
// Announce after the commit.
func (f *Fleet) Rebuild(ctx context.Context, tx Tx, s Server, image string, snapshot berth.ID, charge string) (Action, error) {
	in, err := f.rebuildSource(ctx, tx, s, image, snapshot)
	if err != nil {
		return Action{}, err
	}
	a := f.newAction(ActionRebuild, s.Owner)
	a.Server, a.Snapshot, a.Charge, a.Input = s.ID, in.Snapshot, charge, mustJSON(in)
	return a, f.start(ctx, tx, a)
}

const stageInstalling = "installing"

func rebuildSaga() saga {
	return saga{
		stages: []stage{
			{name: stageInstalling, percent: 20, run: (*Fleet).install, limit: bootLimit},
			{name: stageStarting, percent: 60, run: ask(stageConnecting, turn(true), nil), limit: changeLimit},
			{name: stageConnecting, percent: 75, run: forgetful(connect(stageReady, nil)), limit: connectLimit},
			{name: stageReady, percent: 100},
		},
		fail: nothingToUndo,
	}
}

// install replaces the machine's disk.
func (f *Fleet) install(ctx context.Context, w work) (outcome, error) {
	in, err := input[rebuildInput](w.Action)
	if err != nil {
		return outcome{}, err
	}
	f.Prober.Forget(w.Server.ID)
	request := func(ctx context.Context, p provider.Provider, w work) (provider.Ref, error) {
		return p.SetImage(ctx, w.Server.MachineID, in.Provider)
	}
	return ask(stageStarting, request, func(f *Fleet, ctx context.Context, tx Tx, w *work) error {
		secrets, err := f.Secrets(w.Server)
		if err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		w.Server.Image, w.Server.Snapshot = in.Image, in.Snapshot
		w.Server.CustomBoot = secrets.UserData != "" || in.Snapshot != ""
		return f.emit(ctx, tx, w.Server.Owner, EventServerRebuilt, w.Server.ID, data{"image": in.Image, "snapshot_id": in.Snapshot})
	})(f, ctx, w)
}
