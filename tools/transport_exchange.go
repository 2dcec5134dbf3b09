package tools

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// outboxSize is how many notifications of one call wait for its client. A
// call that is faster waits in turn, so none is lost.
const outboxSize = 64

// errCancelled is the cause of a call's end when its client cancelled it.
var errCancelled = errors.New("cancelled by the client")

// exchange is one request on its way to a response. To the MCP server it is a
// session of its own, so that whatever a call sends to "the client" goes to the
// stream of this request and to no other.
type exchange struct {
	*client
	front   *Front
	conn    *connection // nil in the modern era over HTTP
	msg     message
	ctx     context.Context
	cancel  context.CancelCauseFunc
	emit    func(line []byte) error // writes one message to the request's own stream
	listens bool                    // a subscription: stays open until its client goes
	code    int                     // the code of the error it was answered with, once run has returned

	mu      sync.Mutex
	notes   chan mcp.JSONRPCNotification // made with the first notification
	slots   chan struct{}                // one taken per notification in notes; nil for subscriptions
	stop    chan struct{}                // closed when the call has returned
	drained chan struct{}                // closed when the last notification was written
	closed  bool
	filter  mcp.SubscriptionFilter
	refusal *mcp.JSONRPCErrorDetails

	// What was delivered; only forward touches it until drained is closed.
	progress float64
	begun    bool      // a progress was sent
	sent     time.Time // when the last notification was sent
}

// newExchange prepares a request, which ends early when ctx is done. The caller
// runs it once and calls end when its response is written.
func (f *Front) newExchange(ctx context.Context, c *client, m message, emit func([]byte) error) (*exchange, error) {
	x := &exchange{client: c, front: f, msg: m, emit: emit, listens: m.listens()}
	if m.modern() {
		// A modern request says everything about its client itself.
		x.client = &client{id: f.unique()}
	}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	if err := f.admit(x); err != nil {
		x.cancel(err)
		return nil, err
	}
	return x, nil
}

// run hands the request to the MCP server and returns the encoded response,
// after all its notifications were written. It returns nil when the client
// cancelled the request and so expects no response.
func (x *exchange) run() []byte {
	if x.listens {
		if err := x.front.server.RegisterSession(x.ctx, x); err != nil {
			return encodeRejection(x.msg.id, fmt.Errorf("subscribe: %w", err))
		}
	}
	reply := x.handle()
	if x.listens {
		x.front.server.UnregisterSession(x.ctx, x.SessionID())
	}
	x.drain()
	x.settle()
	if errors.Is(context.Cause(x.ctx), errCancelled) {
		return nil
	}
	return x.encode(reply)
}

// end closes the books on a request whose response is written.
func (x *exchange) end() {
	x.cancel(nil)
	x.front.release(x)
}

// handle calls the MCP server. A panic in a tool is an internal error of this
// one call.
func (x *exchange) handle() (reply mcp.JSONRPCMessage) {
	defer func() {
		if p := recover(); p != nil {
			x.front.opts.Log.Error("panic in an MCP call", "method", x.msg.method, "panic", p, "stack", string(debug.Stack()))
			reply = mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(mcp.INTERNAL_ERROR, "internal error", nil)}
		}
	}()
	ctx := context.WithValue(x.ctx, exchangeKey{}, x)
	return x.front.server.HandleMessage(x.front.server.WithContext(ctx, x), x.msg.raw)
}

// encode renders the response with the id exactly as the client wrote it.
func (x *exchange) encode(reply mcp.JSONRPCMessage) []byte {
	switch r := reply.(type) {
	case mcp.JSONRPCError:
		x.mu.Lock()
		if x.refusal != nil {
			r.Error = *x.refusal
		}
		x.mu.Unlock()
		x.code = r.Error.Code
		return encodeError(x.msg.id, r.Error)
	case mcp.JSONRPCResponse:
		r.ID = requestID(x.msg.id)
		reply = r
	}
	line, err := encode(reply)
	if err != nil {
		x.front.opts.Log.Error("MCP response can't be encoded", "method", x.msg.method, "error", err)
		return encodeRejection(x.msg.id, err)
	}
	return line
}

// NotificationChannel returns the channel for exactly one notification. It
// waits while the client is behind, which slows the call down instead of losing
// its progress. After the call has returned it is nil, and nothing is sent.
//
// Subscriptions don't wait: what is announced to all must not hang on one client.
func (x *exchange) NotificationChannel() chan<- mcp.JSONRPCNotification {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	if x.notes == nil {
		x.open()
	}
	x.mu.Unlock()
	if x.slots == nil {
		return x.notes
	}
	select {
	case x.slots <- struct{}{}:
		return x.notes
	case <-x.stop:
		return nil
	case <-x.ctx.Done():
		return nil
	}
}

// open makes the channels and starts the writer of notifications. It runs under x.mu.
func (x *exchange) open() {
	size := outboxSize
	if x.listens {
		size = feedSize
	} else {
		x.slots = make(chan struct{}, outboxSize)
	}
	x.notes = make(chan mcp.JSONRPCNotification, size)
	x.stop = make(chan struct{})
	x.drained = make(chan struct{})
	go x.forward()
}

// forward writes notifications as they come, and those that are left once the
// call has returned.
func (x *exchange) forward() {
	defer close(x.drained)
	for {
		select {
		case note := <-x.notes:
			x.deliver(note)
		case <-x.stop:
			for {
				select {
				case note := <-x.notes:
					x.deliver(note)
				default:
					return
				}
			}
		}
	}
}

// deliver writes one notification to the stream of the request.
func (x *exchange) deliver(note mcp.JSONRPCNotification) {
	if x.slots != nil {
		<-x.slots
	}
	if x.listens {
		note = tagged(note, x.msg.id)
	}
	if !x.advances(note) {
		return
	}
	line, err := encode(note)
	if err != nil {
		x.front.opts.Log.Error("MCP notification can't be encoded", "method", note.Method, "error", err)
		return
	}
	if err := x.emit(line); err != nil {
		x.front.opts.Log.Debug("MCP notification not delivered", "method", note.Method, "error", err)
	}
	x.sent = time.Now()
}

// advances reports whether a notification may be sent: each progress must be
// greater than the one before.
func (x *exchange) advances(note mcp.JSONRPCNotification) bool {
	if note.Method != string(mcp.MethodNotificationProgress) {
		return true
	}
	now, ok := number(note.Params.AdditionalFields["progress"])
	if !ok || x.begun && now <= x.progress {
		x.front.opts.Log.Debug("progress that does not increase", "method", x.msg.method, "progress", now, "last", x.progress)
		return false
	}
	x.begun, x.progress = true, now
	return true
}

// number reads a numeric value of any of the types that tools use for progress.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case float32:
		return float64(n), true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case int32:
		return float64(n), true
	default:
		return 0, false
	}
}

// drain ends the notifications of the call and waits until all are written.
func (x *exchange) drain() {
	x.mu.Lock()
	x.closed = true
	open := x.notes != nil
	x.mu.Unlock()
	if open {
		close(x.stop)
		<-x.drained
	}
}

// settle gives the client time to handle what drain has written. Where all
// messages share one stream, some clients, the official TypeScript SDK among
// them, handle a response at once and notifications a moment later, and so drop
// progress that reached them in one piece with its response. In the legacy era a
// ping is answered after what came before it; otherwise there is only a pause.
func (x *exchange) settle() {
	if x.sent.IsZero() || x.conn == nil || !x.conn.shared || x.ctx.Err() != nil {
		return
	}
	if !x.msg.modern() && x.Initialized() && x.conn.ping(x.ctx, x.emit) {
		return
	}
	if pause := x.front.opts.Settle - time.Since(x.sent); pause > 0 {
		select {
		case <-time.After(pause):
		case <-x.ctx.Done():
		}
	}
}

// tagged adds the id of the subscription to a notification, whose _meta is
// shared with the copies that other clients get and so is not changed itself.
func tagged(note mcp.JSONRPCNotification, id json.RawMessage) mcp.JSONRPCNotification {
	meta := make(map[string]any, len(note.Params.Meta)+1)
	maps.Copy(meta, note.Params.Meta)
	meta[mcp.MetaKeySubscriptionID] = id
	note.Params.Meta = meta
	return note
}

// SetSubscriptionFilter records which kinds of notifications a subscription is for.
func (x *exchange) SetSubscriptionFilter(filter mcp.SubscriptionFilter) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.filter = filter
}

// SubscriptionFilter returns the kinds of notifications a subscription is for.
// Other requests are not filtered.
func (x *exchange) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.filter, x.listens
}

type exchangeKey struct{}

// Refuse makes the call that ctx belongs to end in this JSON-RPC error, which
// a handler can't otherwise choose. The handler returns the error it gets.
func Refuse(ctx context.Context, code int, text string, data any) error {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		details := mcp.NewJSONRPCErrorDetails(code, text, data)
		x.mu.Lock()
		x.refusal = &details
		x.mu.Unlock()
	}
	return rejectf(code, "%s", text)
}

// newID returns 128 random bits for the id of a session or connection.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

var (
	_ server.ClientSession                       = (*exchange)(nil)
	_ server.SessionWithLogging                  = (*exchange)(nil)
	_ server.SessionWithClientInfo               = (*exchange)(nil)
	_ server.SessionWithProtocolVersion          = (*exchange)(nil)
	_ server.SessionWithResourceSubscriptionsErr = (*exchange)(nil)
	_ server.SessionWithSubscriptionFilter       = (*exchange)(nil)
)
