package provider

import "context"

// Priority says for whom a call is made. Clouds bound how many requests an
// account may send; where requests have to wait, a provider sends those of a
// higher priority first, and lets none wait for ever.
type Priority int

// The priorities, the highest first.
const (
	Customer   Priority = iota // somebody waits for the change that is asked for
	Watch                      // looks at work under way
	Upkeep                     // sweeps, catalogs, the account's standing
	Priorities                 // how many there are
)

type priorityKey struct{}

// WithPriority gives all calls with the context a priority. Without one, a
// call that changes something is for a Customer, one that reads a machine, a
// snapshot or work is a Watch, and any other is Upkeep.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// DefaultPriority gives all calls with the context a priority, unless it has
// one.
func DefaultPriority(ctx context.Context, p Priority) context.Context {
	if _, ok := ctx.Value(priorityKey{}).(Priority); ok {
		return ctx
	}
	return WithPriority(ctx, p)
}

// PriorityOf is the context's priority, or Watch where it has none.
func PriorityOf(ctx context.Context) Priority {
	if p, ok := ctx.Value(priorityKey{}).(Priority); ok && p >= Customer && p < Priorities {
		return p
	}
	return Watch
}
