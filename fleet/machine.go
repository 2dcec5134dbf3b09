package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/billing"
	"berth/provider"
)

// roster is the provider's list of the deployment's machines, shared by all
// waiting actions: one call per interval, however many wait.
type roster struct {
	turn  chan struct{} // held while the list is read or looked at
	read  time.Time     // when the list was asked for
	byTag map[string]provider.Machine
}

func newRoster() *roster { return &roster{turn: make(chan struct{}, 1)} }

// machines is the provider's list, at most one poll interval old.
func (f *Fleet) machines(ctx context.Context) (map[string]provider.Machine, error) {
	r := f.roster
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-r.turn }()
	now := f.Now()
	if r.byTag != nil && now.Sub(r.read) < f.Pace.Poll && !now.Before(r.read) {
		return r.byTag, nil
	}
	list, err := f.Provider.Machines(ctx, f.Deployment)
	if err != nil {
		return nil, err
	}
	byTag := make(map[string]provider.Machine, len(list))
	for _, m := range list {
		byTag[m.Tag] = m
	}
	r.read, r.byTag = now, byTag
	return byTag, nil
}

// errAbsent is the error of a look at a machine that the provider does not show.
var errAbsent = errors.New("the provider does not show the machine")

// machine is the work's machine as the provider lists it. A machine that is
// not listed is asked for by its id only after the time that lists may lag,
// and taken for gone only after that was denied several times.
func (f *Fleet) machine(ctx context.Context, w work) (m provider.Machine, seen bool, err error) {
	listed, err := f.machines(ctx)
	if err != nil {
		return provider.Machine{}, false, err
	}
	if m, ok := listed[string(w.Server.ID)]; ok && m.ID == w.Server.MachineID {
		return m, true, nil
	}
	if f.Now().Sub(w.Action.StageAt) < f.Pace.Settle {
		return provider.Machine{}, false, nil
	}
	m, err = f.Provider.Machine(ctx, w.Server.MachineID)
	switch {
	case err == nil:
		return m, true, nil
	case provider.KindOf(err) != provider.NotFound:
		return provider.Machine{}, false, err
	case w.Action.Attempt >= tries && f.Now().Sub(w.Action.StageAt) >= 2*f.Pace.Settle:
		return provider.Machine{}, false, failf("the machine disappeared at the provider")
	}
	return provider.Machine{}, false, errAbsent
}

// connect is a step that waits until the server answers SSH. Where the caller's
// own data may have closed port 22 it waits a bounded time only.
func connect(next string, done change) step {
	return func(f *Fleet, ctx context.Context, w work) (outcome, error) {
		err := f.probe(ctx, w.Server)
		patient := !w.Server.CustomBoot || f.Now().Sub(w.Action.StageAt) < f.Pace.CustomBoot
		if err != nil && patient {
			f.Log.DebugContext(ctx, "server does not answer yet", slog.String("server", string(w.Server.ID)), slog.Any("error", err))
			return outcome{wait: f.Pace.Poll}, nil
		}
		return outcome{to: next, apply: done}, nil
	}
}

// probe asks whether a server answers SSH to its owner's managed key.
func (f *Fleet) probe(ctx context.Context, s Server) error {
	var signer ssh.Signer
	err := f.Store.Read(ctx, func(rx Rx) (err error) {
		signer, err = f.Signer(ctx, rx, s.Owner)
		return err
	})
	if err != nil {
		return err
	}
	return f.Prober.Ready(ctx, s, signer)
}

// capacity is what the provider can deliver, as last read.
type capacity struct {
	now atomic.Pointer[provider.Catalog]
}

// Refresh reads what the provider can deliver now, against which orders are
// checked. Until it has succeeded once, only Berth's own catalog is known.
func (f *Fleet) Refresh(ctx context.Context) error {
	c, err := f.Provider.Catalog(ctx)
	if err != nil {
		return fmt.Errorf("read the provider's catalog: %w", err)
	}
	f.capacity.now.Store(&c)
	return nil
}

// checkCapacity refuses a size that is not to be had in a region.
func (f *Fleet) checkCapacity(size billing.Size, region billing.Region) error {
	c := f.capacity.now.Load()
	if c == nil {
		return nil
	}
	open := map[string]bool{} // regions where the size can be had
	for _, s := range c.Sizes {
		if s.Slug == size.Machine.Slug && s.Available {
			for _, r := range s.Regions {
				open[r] = true
			}
		}
	}
	for _, r := range c.Regions {
		open[r.Slug] = open[r.Slug] && r.Available
	}
	if open[region.Provider] {
		return nil
	}
	var instead []string
	for _, r := range f.Catalog.Regions {
		if open[r.Provider] {
			instead = append(instead, r.Slug)
		}
	}
	return outOfCapacity(size.Slug, region.Slug, instead)
}

func outOfCapacity(size, region string, instead []string) *berth.Error {
	e := berth.Errorf(berth.OutOfCapacity, "size %s is not to be had in %s now", size, region)
	if len(instead) == 0 {
		return e.Hinted("No region has it at present. Choose another size, or try again later.")
	}
	return e.Hinted("Choose one of these regions: %s; or another size.", strings.Join(instead, ", "))
}

// explain is a provider's error in words for the owner of what failed. It shows
// the provider's own words only where the request was at fault.
func (f *Fleet) explain(err error) string {
	var e *provider.Error
	if !errors.As(err, &e) {
		return "it did not work out in time; try again later, or tell the operator"
	}
	switch e.Kind {
	case provider.OutOfCapacity:
		return "the provider is out of capacity for this size and region; " + f.offered(e.Available)
	case provider.Limit:
		return "the provider's limit for this deployment is reached; try again later, or tell the operator"
	case provider.Auth:
		return "the provider refuses the operator's credentials; tell the operator"
	case provider.NotFound:
		return "the provider does not know the machine or snapshot any more"
	case provider.Invalid:
		return "the provider refused it: " + e.Message
	}
	return "the provider did not carry it out in time; try again later"
}

// offered names the catalog's regions among the provider's.
func (f *Fleet) offered(slugs []string) string {
	var names []string
	for _, r := range f.Catalog.Regions {
		for _, slug := range slugs {
			if r.Provider == slug {
				names = append(names, r.Slug)
			}
		}
	}
	if len(names) == 0 {
		return "try another size or region"
	}
	return "it can be had in " + strings.Join(names, ", ")
}
