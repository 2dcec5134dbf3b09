package fleet

import (
	"context"
	"errors"
	"time"

	"berth/provider"
)

// roster is the provider's list of the deployment's machines, shared by all
// waiting actions: one call at a time and per interval, however many wait.
type roster struct {
	turn chan struct{} // held while the list is read or looked at
	listing
	err error // why it could not be read at last
}

// listing is the provider's list as it was at a time.
type listing struct {
	byTag    map[string]provider.Machine
	asked    time.Time // when it was asked for: what was made later may be missing
	answered time.Time // when the answer, or the failure, came
}

func newRoster() *roster { return &roster{turn: make(chan struct{}, 1)} }

// pollPause is how old a list may be for an action: young ones are about to
// change and look often, older ones less and less.
func (f *Fleet) pollPause(a Action) time.Duration {
	const longest = 30 * time.Second
	return max(f.Pace.Poll, min(f.Now().Sub(a.StageAt)/20, longest))
}

// errLater is the error of a step that can't look at the moment: it is no
// failure, and tried again after a pause.
var errLater = errors.New("the list of machines is still being read")

// machines is the provider's list, at most so old. Who waits for something
// young asks for a fresh list, and all others get that one too. A longer list
// costs the provider more and is read less often, and a failure is shared like
// a list: where the provider does not answer, a crowd is no help.
func (f *Fleet) machines(ctx context.Context, age time.Duration) (listing, error) {
	r := f.roster
	select {
	case r.turn <- struct{}{}:
	case <-time.After(f.Pace.Poll):
		return listing{}, errLater // it waits for its own turn at the provider
	case <-ctx.Done():
		return listing{}, ctx.Err()
	}
	defer func() { <-r.turn }()
	age = max(age, time.Duration(len(r.byTag))*f.Pace.PollEach)
	if r.err != nil {
		age = f.Pace.Poll
	}
	now := f.Now()
	if known := r.byTag != nil || r.err != nil; known && now.Sub(r.answered) < age && !now.Before(r.answered) {
		return r.listing, r.err
	}
	list, err := f.Provider.Machines(provider.DefaultPriority(ctx, provider.Watch), f.Deployment)
	if ctx.Err() != nil && err != nil {
		return listing{}, err // says nothing about the next caller's chances
	}
	r.err, r.answered = err, f.Now()
	if err != nil {
		return listing{}, err
	}
	r.asked, r.byTag = now, make(map[string]provider.Machine, len(list))
	for _, m := range list {
		r.byTag[m.Tag] = m
	}
	return r.listing, nil
}
