package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// connection is one client over time: a byte stream, an SSE stream or a legacy
// HTTP session. It knows the calls under way, so that they can be cancelled,
// and the questions the server has asked the client.
type connection struct {
	*standing
	front  *Front
	shared bool // all messages go over one stream

	mu     sync.Mutex
	calls  map[string]*exchange
	asks   map[string]chan message
	asked  int
	mute   bool  // the client does not answer pings
	closed error // why, once it is closed

	running chan struct{}  // one taken per call that runs
	wg      sync.WaitGroup // calls under way
}

// pingTimeout bounds the wait for a client to answer a ping. One that once
// failed to is not asked again.
const pingTimeout = time.Second

// newConnection returns a connection that no client has initialised yet. shared
// says whether all its messages go over one stream.
func (f *Front) newConnection(shared bool) *connection {
	return &connection{
		shared:   shared,
		standing: newStanding(&client{id: f.unique()}),
		front:    f,
		calls:    make(map[string]*exchange),
		asks:     make(map[string]chan message),
		running:  make(chan struct{}, f.opts.MaxCalls),
	}
}

// begin takes up a request, whose id must not be in use on this connection.
func (c *connection) begin(ctx context.Context, m message, emit func([]byte) error) (*exchange, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return nil, c.closed
	}
	if _, ok := c.calls[string(m.id)]; ok {
		return nil, rejectf(mcp.INVALID_REQUEST, "a request with the id %s is under way", m.id)
	}
	if limit := c.front.opts.MaxCalls * maxWaiting; len(c.calls) >= limit {
		return nil, fmt.Errorf("%d calls are under way on this connection; wait for one to end", limit)
	}
	x, err := c.front.newExchange(ctx, c.client, m, emit)
	if err != nil {
		return nil, err
	}
	x.conn = c
	c.calls[string(m.id)] = x
	c.wg.Add(1)
	return x, nil
}

// run runs a request that begin took up, as soon as fewer than MaxCalls others
// run, and returns its response; nil if it was cancelled. The caller writes the
// response and then calls finish.
func (c *connection) run(x *exchange) []byte {
	// A subscription only waits, so it takes no place from a call.
	if !x.listens {
		select {
		case c.running <- struct{}{}:
			defer func() { <-c.running }()
		case <-x.ctx.Done():
			// The call ends at once; the server still answers it.
		}
	}
	reply := x.run()
	if x.msg.method == string(mcp.MethodInitialize) && !x.msg.modern() && c.Initialized() {
		c.register()
	}
	// The id is free again before the client can know the response.
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, string(x.msg.id))
	return reply
}

// finish ends a request whose response is written.
func (c *connection) finish(x *exchange) {
	x.end()
	c.wg.Done()
}

// register makes the connection known to the server for notifications that
// belong to no request. A second initialize changes nothing.
func (c *connection) register() {
	err := c.front.server.RegisterSession(context.Background(), c)
	if err != nil && !errors.Is(err, server.ErrSessionExists) {
		c.front.opts.Log.Error("MCP session not registered", "error", err)
	}
}

// perform runs a request and sends its response.
func (c *connection) perform(ctx context.Context, m message, send func([]byte) error) {
	x, err := c.begin(ctx, m, send)
	if err != nil {
		c.report(m, send(encodeRejection(m.id, err)))
		return
	}
	c.complete(x)
}

// start is perform in the background. The request has begun when it returns.
func (c *connection) start(ctx context.Context, m message, send func([]byte) error) {
	x, err := c.begin(ctx, m, send)
	if err != nil {
		c.report(m, send(encodeRejection(m.id, err)))
		return
	}
	go c.complete(x)
}

// complete runs a request that has begun and sends its response.
func (c *connection) complete(x *exchange) {
	defer c.finish(x)
	if reply := c.run(x); reply != nil {
		c.report(x.msg, x.emit(reply))
	}
}

// report logs a response that did not reach its client.
func (c *connection) report(m message, err error) {
	if err != nil {
		c.front.opts.Log.Debug("MCP response not delivered", "method", m.method, "error", err)
	}
}

// note takes a message that has no response: a notification, or the client's
// answer to a question.
func (c *connection) note(ctx context.Context, m message) {
	switch {
	case m.isAnswer():
		c.mu.Lock()
		answer := c.asks[string(m.id)]
		delete(c.asks, string(m.id))
		c.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	case m.method == string(mcp.MethodNotificationCancelled):
		c.mu.Lock()
		defer c.mu.Unlock()
		// initialize can't be cancelled.
		if x, ok := c.calls[string(m.cancels)]; ok && x.msg.method != string(mcp.MethodInitialize) {
			x.cancel(errCancelled)
		}
	default:
		c.front.server.HandleMessage(c.front.server.WithContext(ctx, c), m.raw)
	}
}

// close cancels what is under way and lets nothing new begin.
func (c *connection) close(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return
	}
	c.closed = reason
	for _, x := range c.calls {
		x.cancel(reason)
	}
	c.front.server.UnregisterSession(context.Background(), c.SessionID())
}

// unsubscribe ends the subscriptions of the connection, which would last as
// long as their client.
func (c *connection) unsubscribe(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.calls {
		if x.listens {
			x.cancel(reason)
		}
	}
}

// RequestElicitation asks the legacy client's user for input, on the stream of
// the request that needs it, and waits for the answer or the end of the call.
func (x *exchange) RequestElicitation(ctx context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	if x.conn == nil || x.GetClientCapabilities().Elicitation == nil {
		return nil, server.ErrElicitationNotSupported
	}
	raw, err := x.conn.ask(ctx, x.emit, string(mcp.MethodElicitationCreate), request.Params)
	if err != nil {
		return nil, err
	}
	var result mcp.ElicitationResult
	if err := json.Unmarshal(raw, &result); err != nil {
		return nil, fmt.Errorf("read the answer to an elicitation: %w", err)
	}
	return &result, nil
}

// errRefused begins the error of a question that the client answered with one.
var errRefused = errors.New("the client refused")

// ping waits until the client has handled what it was sent, and reports whether
// it said so.
func (c *connection) ping(ctx context.Context, emit func([]byte) error) bool {
	c.mu.Lock()
	mute := c.mute
	c.mu.Unlock()
	if mute {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := c.ask(ctx, emit, string(mcp.MethodPing), nil)
	if err == nil || errors.Is(err, errRefused) {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		c.deafen()
	}
	return false
}

// deafen ends the pings: the client does not answer them, or can't any more.
func (c *connection) deafen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = true
}

// ask sends a request of the server's own over emit and waits for its result.
func (c *connection) ask(ctx context.Context, emit func([]byte) error, method string, params any) (json.RawMessage, error) {
	answer := make(chan message, 1)
	c.mu.Lock()
	c.asked++
	id := json.RawMessage(strconv.Quote("berth-" + strconv.Itoa(c.asked)))
	c.asks[string(id)] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.asks, string(id))
	}()
	line, err := encode(struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Params  any             `json:"params,omitempty"`
	}{mcp.JSONRPC_VERSION, id, method, params})
	if err != nil {
		return nil, err
	}
	if err := emit(line); err != nil {
		return nil, fmt.Errorf("ask the client (%s): %w", method, err)
	}
	select {
	case m := <-answer:
		if m.failure != nil {
			return nil, fmt.Errorf("%w %s: %s", errRefused, method, m.failure)
		}
		return m.result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var _ server.SessionWithElicitation = (*exchange)(nil)
