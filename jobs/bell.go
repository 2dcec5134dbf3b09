package jobs

import (
	"iter"
	"sync"

	"berth"
)

// bell collects rings without blocking who rings.
type bell struct {
	mu     sync.Mutex
	ids    map[berth.ID]struct{}
	wake   chan struct{} // holds one signal at most
	closed bool
}

func newBell() *bell {
	return &bell{ids: map[berth.ID]struct{}{}, wake: make(chan struct{}, 1)}
}

func (b *bell) ring(ids ...berth.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(ids) == 0 {
		return
	}
	for _, id := range ids {
		b.ids[id] = struct{}{}
	}
	b.signal()
}

func (b *bell) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bell) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.signal()
}

// rings yields what was rung for, in batches, until the bell is closed.
func (b *bell) rings() iter.Seq[[]berth.ID] {
	return func(yield func([]berth.ID) bool) {
		for range b.wake {
			b.mu.Lock()
			closed := b.closed
			batch := make([]berth.ID, 0, len(b.ids))
			for id := range b.ids {
				batch = append(batch, id)
			}
			clear(b.ids)
			b.mu.Unlock()
			if closed || (len(batch) > 0 && !yield(batch)) {
				return
			}
		}
	}
}
