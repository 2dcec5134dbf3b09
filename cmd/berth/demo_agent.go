package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"berth"
)

// agent is an MCP client over streamable HTTP, such as an agent host has one.
// It makes one call at a time.
type agent struct {
	client *client.Client
	wire   *http.Transport
	server mcp.Implementation
	tools  int
	calls  int // numbers the progress tokens

	mu    sync.Mutex
	token string       // of the call under way
	heard func(notice) // takes its notices; never called without mu
}

// notice is one progress notification.
type notice struct {
	percent float64 // of the whole; below zero for a piece of a command's output
	message string
}

// newAgent connects with an API key and counts the tools on offer.
func newAgent(ctx context.Context, url, key string, log *slog.Logger) (*agent, error) {
	a := &agent{wire: &http.Transport{}} // this machine's own address: no proxy
	http, err := transport.NewStreamableHTTP(url,
		transport.WithHTTPBasicClient(&http.Client{Transport: a.wire}),
		transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + key}),
		transport.WithHTTPLogger(log))
	if err != nil {
		return nil, fmt.Errorf("make an MCP client: %w", err)
	}
	a.client = client.NewClient(http)
	a.client.OnNotification(a.listen)
	if err := a.connect(ctx); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *agent) connect(ctx context.Context) error {
	if err := a.client.Start(ctx); err != nil {
		return fmt.Errorf("start the MCP client: %w", err)
	}
	hello := mcp.InitializeRequest{}
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "berth-demo", Version: version()}
	welcome, err := a.client.Initialize(ctx, hello)
	if err != nil {
		return fmt.Errorf("connect over MCP: %w", err)
	}
	a.server = welcome.ServerInfo
	list, err := a.client.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return fmt.Errorf("list the tools: %w", err)
	}
	a.tools = len(list.Tools)
	return nil
}

func (a *agent) close() {
	a.client.Close() // over HTTP it has nothing to report
	a.wire.CloseIdleConnections()
}

// listen passes on the notices of the call under way.
func (a *agent) listen(n mcp.JSONRPCNotification) {
	if n.Method != string(mcp.MethodNotificationProgress) {
		return
	}
	f := n.Params.AdditionalFields
	heard := notice{percent: -1}
	heard.message, _ = f["message"].(string)
	progress, _ := f["progress"].(float64)
	if total, ok := f["total"].(float64); ok && total > 0 {
		heard.percent = 100 * progress / total
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.heard != nil && fmt.Sprint(f["progressToken"]) == a.token {
		a.heard(heard)
	}
}

// call calls a tool and decodes its answer into out. heard takes the progress
// while it runs. A refusal is a *berth.Error.
func (a *agent) call(ctx context.Context, tool string, args map[string]any, out any, heard func(notice)) error {
	a.calls++
	a.follow("demo-"+strconv.Itoa(a.calls), heard)
	defer a.follow("", nil)
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, args
	req.Params.Meta = &mcp.Meta{ProgressToken: a.token}
	res, err := a.client.CallTool(ctx, req)
	if err != nil {
		return fmt.Errorf("call %s: %w", tool, err)
	}
	text := ""
	if len(res.Content) > 0 {
		text = mcp.GetTextFromContent(res.Content[0])
	}
	if res.IsError {
		return toolRefusal(tool, text)
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", tool, err)
	}
	return nil
}

func (a *agent) follow(token string, heard func(notice)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token, a.heard = token, heard
}

// toolRefusal is the error that a tool answered with.
func toolRefusal(tool, text string) error {
	var body struct {
		Error struct {
			Code    berth.Code
			Message string
			Hint    string
		}
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil || body.Error.Message == "" {
		return fmt.Errorf("%s failed: %s", tool, text)
	}
	return &berth.Error{Code: body.Error.Code, Message: tool + ": " + body.Error.Message, Hint: body.Error.Hint}
}
