package storage

import (
	"runtime"
	"slices"
)

// transact calls the function of a transaction. It is never inlined, so its
// frame on a stack says that a transaction runs there.
//
//go:noinline
func (d *DB) transact(fn func() error) error {
	d.running.Add(1)
	defer d.running.Add(-1)
	return fn()
}

// inTransaction is where every function returns to that transact calls. It has
// one call, so there is one such place.
var inTransaction = func() (pc uintptr) {
	_ = new(DB).transact(func() error {
		var pcs [1]uintptr
		runtime.Callers(2, pcs[:]) // past Callers and this function
		pc = pcs[0]
		return nil
	})
	return pc
}()

// refuseNesting panics where the calling goroutine is inside a transaction.
// There a second one would wait for the first for ever, or read another state
// than the first; and since a transaction's function gets no context of its own,
// only the stack can tell. It is looked at where any transaction runs at all:
// that takes as long as a small query.
func (d *DB) refuseNesting() {
	if d.running.Load() == 0 {
		return
	}
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if slices.Contains(pcs[:n], inTransaction) {
			panic("storage: a transaction inside a transaction: use the outer one's Tx or Rx")
		}
		if n < len(pcs) {
			return
		}
	}
}
