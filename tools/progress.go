package tools

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"berth/ops"
)

// progress passes on what a call has to say to the client that asked for it.
// Its numbers only ever grow, as the protocol demands. It is an ops.Sink.
type progress struct {
	ctx   context.Context
	srv   *server.MCPServer
	token mcp.ProgressToken

	mu   sync.Mutex
	last float64
	held [2][]byte // the beginning of a rune that a piece of output ended in
}

// newProgress is nil where the client did not ask for progress.
func newProgress(ctx context.Context, srv *server.MCPServer, meta *mcp.Meta) ops.Sink {
	if meta == nil || meta.ProgressToken == nil {
		return nil
	}
	return &progress{ctx: ctx, srv: srv, token: meta.ProgressToken}
}

// Progress implements ops.Sink.
func (p *progress) Progress(_ string, percent int, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = max(float64(percent), p.last+0.001)
	p.send(map[string]any{"total": 100, "message": message})
}

// Output implements ops.Sink. A stream has no known end, so its progress counts
// the pieces and has no total.
func (p *progress) Output(stderr bool, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := 0
	if stderr {
		i = 1
	}
	data = append(p.held[i], data...)
	whole := data
	if cut := lastRune(data); cut < len(data) {
		whole = data[:cut]
	}
	p.held[i] = bytes.Clone(data[len(whole):])
	if len(whole) == 0 {
		return
	}
	p.last++
	p.send(map[string]any{"message": string(bytes.ToValidUTF8(whole, []byte("\uFFFD")))})
}

// lastRune is where a rune begins that the data doesn't end, or its length.
func lastRune(data []byte) int {
	for i := len(data) - 1; i >= max(0, len(data)-utf8.UTFMax); i-- {
		if utf8.RuneStart(data[i]) {
			if utf8.FullRune(data[i:]) {
				return len(data)
			}
			return i
		}
	}
	return len(data)
}

func (p *progress) send(params map[string]any) {
	params["progressToken"], params["progress"] = p.token, p.last
	if err := p.srv.SendNotificationToClient(p.ctx, "notifications/progress", params); err != nil {
		slog.DebugContext(p.ctx, "progress not sent", slog.Any("error", err))
	}
}
