package fleet

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"berth/provider"
)

// errAbsent is the error of a look at a machine that the provider does not show.
var errAbsent = errors.New("the provider does not show the machine")

// machine is the work's machine as the provider lists it. A machine that is
// not listed is asked for by its id only after the time that lists may lag,
// and taken for gone only after that was denied several times.
func (f *Fleet) machine(ctx context.Context, w work) (m provider.Machine, seen bool, err error) {
	listed, err := f.machines(ctx, f.pollPause(w.Action))
	if err != nil {
		return provider.Machine{}, false, err
	}
	if m, ok := listed.byTag[string(w.Server.ID)]; ok && m.ID == w.Server.MachineID {
		return m, true, nil
	}
	if listed.asked.Sub(w.Action.StageAt) < f.Pace.Settle {
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
		err := f.probe(ctx, w.Server, f.Pace.Probe)
		patient := !w.Server.CustomBoot || f.Now().Sub(w.Action.StageAt) < f.Pace.CustomBoot
		if err != nil && patient {
			f.Log.DebugContext(ctx, "server does not answer yet", slog.String("server", string(w.Server.ID)), slog.Any("error", err))
			return outcome{wait: f.probePause(w.Action)}, nil
		}
		return outcome{to: next, apply: done}, nil
	}
}

// probePause is the pause between two probes: short at first, when the server
// is likeliest to begin to answer.
func (f *Fleet) probePause(a Action) time.Duration {
	const shortest = 100 * time.Millisecond
	return min(max(f.Now().Sub(a.StageAt)/100, shortest), f.Pace.Poll)
}

// probe asks whether a server answers SSH to its owner's managed key, and waits
// until it does for a time.
func (f *Fleet) probe(ctx context.Context, s Server, most time.Duration) error {
	var signer ssh.Signer
	err := f.Store.Read(ctx, func(rx Rx) (err error) {
		signer, err = f.Signer(ctx, rx, s.Owner)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return f.Prober.Ready(ctx, s, signer)
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
