package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// agent is an MCP client of another's making, connected to Berth.
type agent struct {
	t      *testing.T
	client *client.Client
	tools  []string

	mu    sync.Mutex
	seen  []notice
	news  chan struct{} // has something when a notice came
	calls int
}

// notice is one progress message, in the order of arrival.
type notice struct {
	token    string
	progress float64
	message  string
}

// host starts `berth mcp` as an agent host does and connects to it, until the
// test ends.
func (h *house) host(t *testing.T) (*agent, *process) {
	t.Helper()
	p := h.command("mcp")
	fromHost, toHost := io.Pipe()
	stdin, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout = toHost
	p.begin(t)
	go func() {
		<-p.done
		toHost.Close() // what reads gets an end of file
	}()
	return newAgent(t, transport.NewIO(fromHost, stdin, io.NopCloser(strings.NewReader("")))), p
}

// overHTTP connects by streamable HTTP.
func overHTTP(t *testing.T, c web) *agent {
	t.Helper()
	tr, err := transport.NewStreamableHTTP(c.base+"/mcp",
		transport.WithHTTPBasicClient(&http.Client{Transport: &http.Transport{}}),
		transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + c.key}))
	if err != nil {
		t.Fatal(err)
	}
	return newAgent(t, tr)
}

// overSSE connects by the older transport with server-sent events.
func overSSE(t *testing.T, c web) *agent {
	t.Helper()
	tr, err := transport.NewSSE(c.base+"/sse",
		transport.WithHTTPClient(&http.Client{Transport: &http.Transport{}}),
		transport.WithHeaders(map[string]string{"Authorization": "Bearer " + c.key}))
	if err != nil {
		t.Fatal(err)
	}
	return newAgent(t, tr)
}

func newAgent(t *testing.T, tr transport.Interface) *agent {
	t.Helper()
	a := &agent{t: t, client: client.NewClient(tr), news: make(chan struct{}, 1)}
	a.client.OnNotification(a.hear)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		a.client.Close() // a killed host's connection has been closed already
		cancel()
	})
	if err := a.client.Start(ctx); err != nil {
		t.Fatalf("start the client: %v", err)
	}
	hello := mcp.InitializeRequest{}
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "e2e", Version: "1"}
	if _, err := a.client.Initialize(ctx, hello); err != nil {
		t.Fatalf("initialize: %v", err)
	}
	list, err := a.client.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		t.Fatalf("list the tools: %v", err)
	}
	for _, tool := range list.Tools {
		a.tools = append(a.tools, tool.Name)
	}
	return a
}

// hear notes a progress message.
func (a *agent) hear(n mcp.JSONRPCNotification) {
	if n.Method != string(mcp.MethodNotificationProgress) {
		return
	}
	f := n.Params.AdditionalFields
	heard := notice{token: fmt.Sprint(f["progressToken"])}
	heard.progress, _ = f["progress"].(float64)
	heard.message, _ = f["message"].(string)
	a.mu.Lock()
	a.seen = append(a.seen, heard)
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// notices are those that came for a token so far.
func (a *agent) notices(token string) (list []notice) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.seen {
		if n.token == token {
			list = append(list, n)
		}
	}
	return list
}

// call calls a tool that must succeed, with a progress token, decodes its answer
// and returns the token.
func (a *agent) call(tool string, args map[string]any, into any) (token string) {
	a.t.Helper()
	a.calls++
	token = fmt.Sprintf("call-%d", a.calls)
	text, err := a.try(context.Background(), token, tool, args)
	if err != nil {
		a.t.Fatal(err)
	}
	if into != nil {
		decode(a.t, []byte(text), into)
	}
	return token
}

func (a *agent) try(ctx context.Context, token, tool string, args map[string]any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, args
	req.Params.Meta = &mcp.Meta{ProgressToken: token}
	res, err := a.client.CallTool(ctx, req)
	if err != nil {
		return "", fmt.Errorf("call %s: %w", tool, err)
	}
	if len(res.Content) == 0 {
		return "", fmt.Errorf("%s answered nothing", tool)
	}
	text := mcp.GetTextFromContent(res.Content[0])
	if res.IsError {
		return "", fmt.Errorf("%s: %s", tool, text)
	}
	return text, nil
}

// wantProgress checks that at least so many messages came for a call, each with
// more progress than the one before. Clients hand notifications on in their own
// time, so the last may come just after the result.
func (a *agent) wantProgress(token string, least int) []notice {
	a.t.Helper()
	until(a.t, fmt.Sprintf("%d progress messages came for %s", least, token), func() bool {
		return len(a.notices(token)) >= least
	})
	list := a.notices(token)
	for i := 1; i < len(list); i++ {
		if list[i].progress <= list[i-1].progress {
			a.t.Errorf("progress does not grow: %v", list)
		}
	}
	return list
}
