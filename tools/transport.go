// Package tools speaks MCP: it offers operations as tools, resources and
// prompts, over transports of its own in which each request has its own
// notifications.
package tools

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"berth"
)

// The bounds a Front has where Options leave them zero.
const (
	DefaultMaxMessage  = 8 << 20               // bytes of one message
	DefaultMaxCalls    = 64                    // calls running at once on one connection
	DefaultMaxSessions = 1000                  // legacy HTTP sessions, and as many SSE streams
	DefaultSessionTTL  = 30 * time.Minute      // idle time after which a legacy HTTP session ends
	DefaultKeepAlive   = 15 * time.Second      // silence after which a stream carries a comment
	DefaultLinger      = 5 * time.Second       // time for calls to finish after a byte stream ended
	DefaultSettle      = 20 * time.Millisecond // see Options.Settle
)

// maxWaiting bounds the calls of one connection that run or wait to run, as a
// multiple of those that may run. Further calls are refused.
const maxWaiting = 16

// Options adjust a Front. The zero value is a server for this machine only.
type Options struct {
	// Identify returns the context of an HTTP request, with its caller in it.
	// berth.Unauthenticated is answered with 401, berth.InvalidInput with 400, and
	// any other error with 503. Nil leaves every request without a caller.
	Identify func(*http.Request) (context.Context, error)

	// Hosts are the names, without port, that HTTP requests may address.
	// Loopback names always may. With none, any name may be used, except that
	// connections which arrive over loopback need a loopback name.
	Hosts []string

	// Origins are the web origins ("https://example.com") that may call. Loopback
	// origins always may, and so may requests that carry no Origin.
	Origins []string

	Log   *slog.Logger // default: slog.Default()
	Clock berth.Clock  // default: time.Now

	MaxMessage  int64
	MaxCalls    int
	MaxSessions int
	SessionTTL  time.Duration
	KeepAlive   time.Duration
	Linger      time.Duration

	// Settle is the pause between the last notification of a call and its
	// response, on streams that calls share and where the client can't be asked
	// whether it has read them (see exchange.settle). Negative: no pause.
	Settle time.Duration
}

// Front speaks MCP for one server over byte streams, streamable HTTP and
// HTTP+SSE, in both protocol eras. Each request has notifications of its own,
// which reach its own client, in order, before its response.
// It is safe for concurrent use.
type Front struct {
	server *server.MCPServer
	opts   Options

	sessions *sessionStore
	streams  *streamStore
	unique   func() string

	mu      sync.Mutex
	closing bool
	live    map[*exchange]struct{}
	idle    chan struct{} // closed once closing and live is empty
	quit    chan struct{} // closed when standing streams must end
}

// errClosing is what requests are refused with during a shutdown.
var errClosing = errors.New("the server is shutting down; connect again in a moment")

// NewFront returns a front for srv.
func NewFront(srv *server.MCPServer, o Options) *Front {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.MaxMessage = orDefault(o.MaxMessage, DefaultMaxMessage)
	o.MaxCalls = orDefault(o.MaxCalls, DefaultMaxCalls)
	o.MaxSessions = orDefault(o.MaxSessions, DefaultMaxSessions)
	o.SessionTTL = orDefault(o.SessionTTL, DefaultSessionTTL)
	o.KeepAlive = orDefault(o.KeepAlive, DefaultKeepAlive)
	o.Linger = orDefault(o.Linger, DefaultLinger)
	if o.Settle == 0 {
		o.Settle = DefaultSettle
	}
	f := &Front{
		server: srv,
		opts:   o,
		unique: newID,
		live:   make(map[*exchange]struct{}),
		idle:   make(chan struct{}),
		quit:   make(chan struct{}),
	}
	f.sessions = newSessionStore(o.MaxSessions, o.SessionTTL, o.Clock)
	f.streams = newStreamStore(o.MaxSessions)
	return f
}

// orDefault returns v, or d where v is zero or less.
func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Shutdown refuses new calls, waits for those under way, and then ends all
// streams. When ctx is done first, the calls are cancelled and its error returned.
func (f *Front) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	if !f.closing {
		f.closing = true
		f.settle()
	}
	for x := range f.live {
		if x.listens {
			x.cancel(errClosing)
		}
	}
	f.mu.Unlock()

	var err error
	select {
	case <-f.idle:
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for x := range f.live {
		x.cancel(errClosing)
	}
	select {
	case <-f.quit:
	default:
		close(f.quit)
	}
	return err
}

// admit counts x among the calls under way, unless the front is closing.
func (f *Front) admit(x *exchange) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return errClosing
	}
	f.live[x] = struct{}{}
	return nil
}

// release ends what admit began.
func (f *Front) release(x *exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.live, x)
	f.settle()
}

// settle tells Shutdown when the last call has ended. It runs under f.mu.
func (f *Front) settle() {
	if !f.closing || len(f.live) > 0 {
		return
	}
	select {
	case <-f.idle:
	default:
		close(f.idle)
	}
}

type callerKey struct{}

// WithCaller returns a context that says who is calling. The value means
// nothing to the transports; they carry it to the tools.
func WithCaller(ctx context.Context, caller any) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerFrom returns what WithCaller put into ctx, or nil.
func CallerFrom(ctx context.Context) any { return ctx.Value(callerKey{}) }
