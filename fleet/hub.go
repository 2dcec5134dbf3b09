package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"berth"
)

// The bounds of what the hub remembers.
const (
	hubActions = 1024 // actions
	hubStates  = 32   // states of one action, and of a follower's queue
)

// hub tells followers in this process of actions' changes. It remembers the
// recent states of recent actions, so that who follows a little late misses no
// stage.
type hub struct {
	mu      sync.Mutex
	watch   map[berth.ID]map[chan Action]struct{}
	history map[berth.ID][]Action
	order   []berth.ID // of history, oldest first
}

func newHub() *hub {
	return &hub{watch: map[berth.ID]map[chan Action]struct{}{}, history: map[berth.ID][]Action{}}
}

// publish tells of an action's new state.
func (h *hub) publish(a Action) {
	h.mu.Lock()
	defer h.mu.Unlock()
	past, known := h.history[a.ID]
	if !known {
		h.order = append(h.order, a.ID)
		if len(h.order) > hubActions {
			delete(h.history, h.order[0])
			h.order = h.order[1:]
		}
	}
	if len(past) < hubStates {
		h.history[a.ID] = append(past, a)
	}
	for ch := range h.watch[a.ID] {
		select {
		case ch <- a:
		default: // a follower that slow sees the rest when it reads the row again
		}
	}
}

// subscribe returns the states so far and a channel of those to come.
func (h *hub) subscribe(id berth.ID) ([]Action, chan Action) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := make(chan Action, hubStates)
	if h.watch[id] == nil {
		h.watch[id] = map[chan Action]struct{}{}
	}
	h.watch[id][ch] = struct{}{}
	return append([]Action(nil), h.history[id]...), ch
}

func (h *hub) unsubscribe(id berth.ID, ch chan Action) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watch[id], ch)
	if len(h.watch[id]) == 0 {
		delete(h.watch, id)
	}
}

// rereadEvery is how often a follower reads the row, for changes that were made
// by other processes.
const rereadEvery = time.Second

// Follow calls each with an action's state and again on every change, until it
// ends or ctx is done. It returns the last state seen, and ctx's error if that
// came first.
func (f *Fleet) Follow(ctx context.Context, id berth.ID, each func(Action)) (Action, error) {
	past, changes := f.hub.subscribe(id)
	defer f.hub.unsubscribe(id, changes)
	var last Action
	see := func(a Action) {
		if last.ID == "" || newer(a, last) {
			last = a
			each(a)
		}
	}
	for _, a := range past {
		see(a)
	}
	reread := time.NewTicker(rereadEvery)
	defer reread.Stop()
	for {
		a, err := f.action(ctx, id)
		if err != nil {
			return last, err
		}
		see(a)
		for wait := true; wait && last.Status == ActionRunning; {
			select {
			case <-ctx.Done():
				return last, ctx.Err()
			case a := <-changes:
				see(a)
			case <-reread.C:
				wait = false
			}
		}
		if last.Status != ActionRunning {
			return last, nil
		}
	}
}

// newer tells whether a is a later state than last: stages begin one after the
// other, and percent never falls. The store keeps microseconds, so a state that
// it gives back may seem to be a little before one that it was given.
func newer(a, last Action) bool {
	began := last.StageAt.Truncate(time.Microsecond)
	if last.Status != ActionRunning || a.StageAt.Before(began) || a.Percent < last.Percent {
		return false
	}
	return a.Stage != last.Stage || a.Percent != last.Percent || a.Status != last.Status
}

// action reads an action in a transaction of its own.
func (f *Fleet) action(ctx context.Context, id berth.ID) (a Action, err error) {
	err = f.Store.Read(ctx, func(rx Rx) error {
		a, err = rx.Action(ctx, id)
		return err
	})
	if err != nil {
		return Action{}, fmt.Errorf("read action %s: %w", id, err)
	}
	return a, nil
}

// Announce tells followers of actions that began, and rings for them. Call it
// after the commit that wrote them.
func (f *Fleet) Announce(actions ...Action) {
	ids := make([]berth.ID, len(actions))
	for i, a := range actions {
		f.hub.publish(a)
		ids[i] = a.ID
	}
	if f.Ring != nil && len(ids) > 0 {
		f.Ring(ids...)
	}
}

// OpenActions are the ids of all running actions.
func (f *Fleet) OpenActions(ctx context.Context) (ids []berth.ID, err error) {
	const batch = 200
	for after := berth.ID(""); ; {
		var page []Action
		err := f.Store.Read(ctx, func(rx Rx) error {
			page, err = rx.OpenActions(ctx, after, batch)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list open actions: %w", err)
		}
		for _, a := range page {
			ids = append(ids, a.ID)
		}
		if len(page) < batch {
			return ids, nil
		}
		after = page[len(page)-1].ID
	}
}
