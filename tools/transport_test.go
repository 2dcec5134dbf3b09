package tools

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline bounds every wait of a test.
const deadline = 20 * time.Second

// fixture is an MCP server whose tools do what the transports must cope with.
type fixture struct {
	server *server.MCPServer
	waits  chan struct{} // one value per call of wait that has started
	ends   chan error    // the context's cause when a call of wait ended
	open   chan struct{} // lets calls of wait end
}

func newFixture() *fixture {
	fx := &fixture{
		server: server.NewMCPServer("fixture", "1", server.WithToolCapabilities(true), server.WithResourceCapabilities(true, true), server.WithElicitation()),
		waits:  make(chan struct{}, 100),
		ends:   make(chan error, 100),
		open:   make(chan struct{}),
	}
	fx.server.AddTool(mcp.NewTool("echo", mcp.WithString("text")), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(r.GetString("text", "")), nil
	})
	fx.server.AddTool(mcp.NewTool("count", mcp.WithNumber("n")), fx.count)
	fx.server.AddTool(mcp.NewTool("wait"), fx.wait)
	fx.server.AddTool(mcp.NewTool("whoami"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(fmt.Sprint(CallerFrom(ctx))), nil
	})
	fx.server.AddTool(mcp.NewTool("refuse"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, Refuse(ctx, mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, "elicitation is needed", map[string]any{"requiredCapabilities": "elicitation"})
	})
	fx.server.AddTool(mcp.NewTool("panic"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic("a defect")
	})
	fx.server.AddTool(mcp.NewTool("grow"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		fx.server.AddTool(mcp.NewTool("grown"), fx.wait)
		return mcp.NewToolResultText("grown"), nil
	})
	fx.server.AddTool(mcp.NewTool("ask"), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if answer := server.ElicitationResponse(r.Params.InputResponses, "ok"); answer != nil {
			return mcp.NewToolResultText(string(answer.Action)), nil
		}
		return server.NewInputRequestBuilder("state").Elicit("ok", mcp.ElicitationParams{
			Message: "Really?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
		}).ToolResult(), nil
	})
	return fx
}

// count sends n progress notifications as fast as it can.
func (fx *fixture) count(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	n := r.GetInt("n", 0)
	for i := range n {
		err := fx.server.SendNotificationToClient(ctx, "notifications/progress", map[string]any{
			"progressToken": r.Params.Meta.ProgressToken, "progress": i + 1, "total": n,
		})
		if err != nil {
			return nil, fmt.Errorf("progress %d: %w", i+1, err)
		}
	}
	return mcp.NewToolResultText("counted"), nil
}

// wait returns when the test opens the gate or the call is cancelled.
func (fx *fixture) wait(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	fx.waits <- struct{}{}
	select {
	case <-fx.open:
		fx.ends <- nil
	case <-ctx.Done():
		fx.ends <- context.Cause(ctx)
	}
	return mcp.NewToolResultText("waited"), nil
}

// newTestFront returns a front over the fixture, shut down with the test.
func newTestFront(t *testing.T, fx *fixture, o Options) *Front {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Settle == 0 {
		o.Settle = -1 // the clients here need no pause
	}
	f := NewFront(fx.server, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := f.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return f
}

// serve mounts a front as a process would.
func serve(t *testing.T, f *Front) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/mcp", f.HTTPHandler())
	mux.Handle("/sse", f.SSEHandler())
	mux.Handle("/sse/", f.SSEHandler())
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// transport is one way to connect a client, in one era.
type transport struct {
	name   string
	modern bool
	open   func(t *testing.T, f *Front) wire
}

// transports are all ways to connect.
func transports() []transport {
	stream := func(t *testing.T, f *Front) wire { return newStreamWire(t, f, "local") }
	sse := func(t *testing.T, f *Front) wire { return newSSEWire(t, serve(t, f), http.Header{}) }
	return []transport{
		{"stdio/legacy", false, stream},
		{"stdio/modern", true, stream},
		{"sse/legacy", false, sse},
		{"sse/modern", true, sse},
		{"http/legacy", false, func(t *testing.T, f *Front) wire { return newHTTPWire(t, serve(t, f), false) }},
		{"http/modern", true, func(t *testing.T, f *Front) wire { return newHTTPWire(t, serve(t, f), true) }},
	}
}

// eachTransport runs a test over every transport, with an initialised client.
func eachTransport(t *testing.T, test func(t *testing.T, fx *fixture, f *Front, w wire, modern bool)) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			fx := newFixture()
			f := newTestFront(t, fx, Options{})
			w := tr.open(t, f)
			if !tr.modern {
				initialize(t, w, map[string]any{"elicitation": map[string]any{}})
			}
			test(t, fx, f, w, tr.modern)
		})
	}
}

func TestProgressPrecedesItsResponse(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ *fixture, _ *Front, w wire, modern bool) {
		check := func(o outcome, n int) {
			t.Helper()
			if o.text() != "counted" {
				t.Errorf("result = %s", o.text())
			}
			if len(o.progress) != n {
				t.Errorf("%d of %d notifications arrived before the response", len(o.progress), n)
			}
			for i, p := range o.progress {
				if p != float64(i+1) {
					t.Errorf("progress %d = %v, out of order", i, p)
				}
			}
		}
		for id := 1; id <= 80; id++ {
			check(await(t, call(w, modern, id, "count", map[string]any{"n": 3})), 3)
		}
		var wg sync.WaitGroup
		for client := range 8 {
			wg.Go(func() {
				for i := range 10 {
					check(await(t, call(w, modern, 1000+client*100+i, "count", map[string]any{"n": 50})), 50)
				}
			})
		}
		wg.Wait()
	})
}

func TestBurstLargerThanEveryBuffer(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ *fixture, _ *Front, w wire, modern bool) {
		const n = 20 * outboxSize
		if o := await(t, call(w, modern, 1, "count", map[string]any{"n": n})); len(o.progress) != n {
			t.Errorf("%d of %d notifications arrived: %s", len(o.progress), n, o.text())
		}
	})
}

func TestCallsRunConcurrently(t *testing.T) {
	eachTransport(t, func(t *testing.T, fx *fixture, _ *Front, w wire, modern bool) {
		const n = 8
		var pending []<-chan outcome
		for id := 1; id <= n; id++ {
			pending = append(pending, call(w, modern, id, "wait", nil))
		}
		for range n {
			receive(t, fx.waits)
		}
		if o := await(t, call(w, modern, 100, "echo", map[string]any{"text": "<&>"})); o.text() != "<&>" {
			t.Errorf("echo beside waiting calls = %s", o.text())
		}
		close(fx.open)
		for _, c := range pending {
			if o := await(t, c); o.text() != "waited" {
				t.Errorf("wait = %s", o.text())
			}
		}
	})
}

func TestHandlerErrors(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ *fixture, _ *Front, w wire, modern bool) {
		tests := []struct{ tool, want string }{
			{"refuse", "error -32021: elicitation is needed"},
			{"panic", "error -32603: internal error"},
		}
		for i, tt := range tests {
			if o := await(t, call(w, modern, i+1, tt.tool, nil)); o.text() != tt.want {
				t.Errorf("%s = %s, want %s", tt.tool, o.text(), tt.want)
			}
		}
	})
}

func TestDiscoverIsModern(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ *fixture, _ *Front, w wire, modern bool) {
		o := await(t, request(w, modern, 1, "server/discover", nil))
		if modern && !strings.Contains(string(o.reply.Result), mcp.ProtocolVersion20260728) {
			t.Errorf("discover = %s", o.text())
		}
		if !modern && o.reply.Error == nil {
			t.Errorf("discover in the legacy era = %s, want an error", o.text())
		}
	})
}

func TestNumericIDsAreKeptExactly(t *testing.T) {
	f := newTestFront(t, newFixture(), Options{})
	w := newStreamWire(t, f, nil)
	const id = "9007199254740993" // not representable as a float64
	o := await(t, w.post(id, []byte(`{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`)))
	if o.reply.Error != nil {
		t.Errorf("ping = %s", o.text())
	}
}

func TestShutdownWaitsForCalls(t *testing.T) {
	eachTransport(t, func(t *testing.T, fx *fixture, f *Front, w wire, modern bool) {
		pending := call(w, modern, 1, "wait", nil)
		receive(t, fx.waits)
		down := make(chan error, 1)
		go func() { down <- f.Shutdown(context.Background()) }()
		for { // until the shutdown has begun
			f.mu.Lock()
			closing := f.closing
			f.mu.Unlock()
			if closing {
				break
			}
		}
		if o := await(t, call(w, modern, 2, "echo", nil)); o.reply.Error == nil || !strings.Contains(o.text(), errClosing.Error()) {
			t.Errorf("a call during the shutdown = %s", o.text())
		}
		close(fx.open)
		if o := await(t, pending); o.text() != "waited" {
			t.Errorf("the call under way = %s", o.text())
		}
		if err := receive(t, down); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
}

func TestShutdownCancelsWhatOutlastsIt(t *testing.T) {
	fx := newFixture()
	f := newTestFront(t, fx, Options{})
	w := newStreamWire(t, f, nil)
	pending := call(w, true, 1, "wait", nil)
	receive(t, fx.waits)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Shutdown(ctx); err != context.Canceled {
		t.Errorf("shutdown = %v", err)
	}
	if err := receive(t, fx.ends); err != errClosing {
		t.Errorf("the call ended by %v", err)
	}
	await(t, pending)
}

// receive takes a value from a channel, within the deadline.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(deadline):
		t.Fatal("nothing came in time")
		panic("unreachable")
	}
}
