package storage

import (
	"reflect"
	"runtime"
)

// transact calls the function of a transaction. It is never inlined, so its
// frame on a stack says that a transaction runs there.
//
//go:noinline
func transact(fn func() error) error {
	return fn()
}

// refuseNesting panics where the calling goroutine is inside a transaction.
// There a second one would wait for the first for ever, or read another state
// than the first; and since a transaction's function gets no context of its own,
// only the stack can tell.
func refuseNesting() {
	entry := reflect.ValueOf(transact).Pointer()
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			// A return address belongs to the call before it.
			if f := runtime.FuncForPC(pc - 1); f != nil && f.Entry() == entry {
				panic("storage: a transaction inside a transaction: use the outer one's Tx or Rx")
			}
		}
		if n < len(pcs) {
			return
		}
	}
}
