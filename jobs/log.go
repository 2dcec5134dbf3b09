package jobs

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// quiet is a logger without River's chatter: it reports each start and stop of
// its parts, and at the end that its transactions were cut off, as they should.
func (q *Queue) quiet() *slog.Logger { return slog.New(muffled{q.o.Log.Handler(), &q.ending}) }

type muffled struct {
	slog.Handler
	silent *atomic.Bool
}

// Enabled implements slog.Handler.
func (h muffled) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && !h.silent.Load() && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h muffled) WithAttrs(a []slog.Attr) slog.Handler {
	return muffled{h.Handler.WithAttrs(a), h.silent}
}

// WithGroup implements slog.Handler.
func (h muffled) WithGroup(g string) slog.Handler { return muffled{h.Handler.WithGroup(g), h.silent} }
