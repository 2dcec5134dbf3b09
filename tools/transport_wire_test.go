package tools

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// arrival is any JSON-RPC message a server sends.
type arrival struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Token    json.RawMessage `json:"progressToken"`
		Progress float64         `json:"progress"`
		Meta     map[string]any  `json:"_meta"`
	} `json:"params"`
	Result json.RawMessage          `json:"result"`
	Error  *mcp.JSONRPCErrorDetails `json:"error"`
}

// outcome is what one call brought, in the order of its arrival.
type outcome struct {
	progress []float64
	reply    arrival
}

// text returns the text of a tool's result, or of the error.
func (o outcome) text() string {
	if o.reply.Error != nil {
		return fmt.Sprintf("error %d: %s", o.reply.Error.Code, o.reply.Error.Message)
	}
	var r struct{ Content []struct{ Text string } }
	if err := json.Unmarshal(o.reply.Result, &r); err != nil || len(r.Content) == 0 {
		return string(o.reply.Result)
	}
	return r.Content[0].Text
}

// ledger sorts the frames of one stream to the calls that are open on it. It
// reports every frame that belongs to none: those are misrouted or late.
type ledger struct {
	t      *testing.T
	mu     sync.Mutex
	open   map[string]*outcome
	done   map[string]chan outcome
	others chan arrival // notifications and requests that belong to no call
	answer func(id json.RawMessage)
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, open: map[string]*outcome{}, done: map[string]chan outcome{}, others: make(chan arrival, 100)}
}

func (l *ledger) expect(id string) <-chan outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[id] = &outcome{}
	l.done[id] = make(chan outcome, 1)
	return l.done[id]
}

func (l *ledger) take(text []byte) {
	var f arrival
	if err := json.Unmarshal(text, &f); err != nil {
		l.t.Errorf("not a JSON-RPC message: %q: %v", text, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case f.Method == "notifications/progress":
		o, ok := l.open[string(f.Params.Token)]
		if !ok {
			l.t.Errorf("progress %v for call %s is late or misrouted", f.Params.Progress, f.Params.Token)
			return
		}
		o.progress = append(o.progress, f.Params.Progress)
	case f.Method == "ping":
		go l.answer(f.ID)
	case f.Method != "":
		l.others <- f
	default:
		o, ok := l.open[string(f.ID)]
		if !ok {
			l.t.Errorf("response to %s, which is not open: %s", f.ID, text)
			return
		}
		delete(l.open, string(f.ID))
		o.reply = f
		l.done[string(f.ID)] <- *o
	}
}

// pong answers a ping.
func pong(id json.RawMessage) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{}}`, id)
}

// wire is one client of one transport, at the level of messages.
type wire interface {
	// post sends a message and returns where the outcome of its request comes.
	post(id string, text []byte) <-chan outcome
}

// await waits for the outcome of a request.
func await(t *testing.T, c <-chan outcome) outcome {
	t.Helper()
	select {
	case o := <-c:
		return o
	case <-time.After(deadline):
		t.Fatal("no response in time")
		return outcome{}
	}
}

// call makes a tool call, with a progress token equal to its id.
func call(w wire, modern bool, id int, tool string, args map[string]any) <-chan outcome {
	meta := map[string]any{"progressToken": id}
	return request(w, modern, id, "tools/call", map[string]any{"name": tool, "arguments": args, "_meta": meta})
}

// request sends any request of an era.
func request(w wire, modern bool, id int, method string, params map[string]any) <-chan outcome {
	if params == nil {
		params = map[string]any{}
	}
	if modern {
		meta, ok := params["_meta"].(map[string]any)
		if !ok {
			meta = map[string]any{}
			params["_meta"] = meta
		}
		meta[mcp.MetaKeyProtocolVersion] = mcp.ProtocolVersion20260728
		meta[mcp.MetaKeyClientCapabilities] = map[string]any{}
	}
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err != nil {
		panic(err)
	}
	return w.post(strconv.Itoa(id), text)
}

// initialize makes the handshake of the legacy era.
func initialize(t *testing.T, w wire, capabilities map[string]any) {
	t.Helper()
	o := await(t, request(w, false, 0, "initialize", map[string]any{
		"protocolVersion": mcp.LATEST_LEGACY_PROTOCOL_VERSION,
		"clientInfo":      map[string]any{"name": "test", "version": "1"}, "capabilities": capabilities,
	}))
	if o.reply.Error != nil {
		t.Fatalf("initialize: %s", o.text())
	}
	w.post("", []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
}

// streamWire is a client of a byte stream.
type streamWire struct {
	*ledger
	in   *io.PipeWriter
	mu   sync.Mutex
	done chan error // the result of ServeStream
}

func newStreamWire(t *testing.T, f *Front, caller any) *streamWire {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	w := &streamWire{ledger: newLedger(t), in: inW, done: make(chan error, 1)}
	w.answer = func(id json.RawMessage) { w.post("", pong(id)) }
	go func() {
		w.done <- f.ServeStream(context.Background(), inR, outW, caller)
		outW.Close()
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(outR)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			w.take(lines.Bytes())
		}
	}()
	t.Cleanup(func() { inW.Close(); <-read })
	return w
}

func (w *streamWire) post(id string, text []byte) <-chan outcome {
	c := w.expect(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.in.Write(append(text, '\n')); err != nil {
		w.t.Errorf("write: %v", err)
	}
	return c
}

// sseWire is a client of HTTP+SSE.
type sseWire struct {
	*ledger
	target string
	header http.Header
}

func newSSEWire(t *testing.T, base string, header http.Header) *sseWire {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	w := &sseWire{ledger: newLedger(t), header: header}
	w.answer = func(id json.RawMessage) { w.post("", pong(id)) }
	endpoint := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		events(res.Body, func(name string, data []byte) {
			if name == "endpoint" {
				endpoint <- string(data)
				return
			}
			w.take(data)
		})
	}()
	t.Cleanup(func() { cancel(); <-read; res.Body.Close(); http.DefaultClient.CloseIdleConnections() })
	select {
	case path := <-endpoint:
		u, err := url.Parse(base + "/sse")
		if err != nil {
			t.Fatal(err)
		}
		if u, err = u.Parse(path); err != nil {
			t.Fatal(err)
		}
		w.target = u.String()
	case <-time.After(deadline):
		t.Fatal("no endpoint event")
	}
	return w
}

func (w *sseWire) post(id string, text []byte) <-chan outcome {
	c := w.expect(id)
	r, err := http.NewRequest(http.MethodPost, w.target, bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	r.Header = w.header.Clone()
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Errorf("post: %v", err)
		return c
	}
	res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		w.t.Errorf("post: %s", res.Status)
	}
	return c
}

// httpWire is a client of streamable HTTP; each POST has a ledger of its own.
type httpWire struct {
	t      *testing.T
	base   string
	modern bool
	header http.Header

	posts   sync.WaitGroup
	mu      sync.Mutex
	session string
}

func newHTTPWire(t *testing.T, base string, modern bool) *httpWire {
	w := &httpWire{t: t, base: base, modern: modern, header: http.Header{}}
	t.Cleanup(func() { w.posts.Wait(); http.DefaultClient.CloseIdleConnections() })
	return w
}

// newRequest returns a POST with the headers of its era.
func (w *httpWire) newRequest(ctx context.Context, text []byte) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base+"/mcp", bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	r.Header = w.header.Clone()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session != "" {
		r.Header.Set(mcp.HeaderSessionID, w.session)
	}
	if w.modern {
		var m struct {
			Method string
			Params struct{ Name, URI string }
		}
		if err := json.Unmarshal(text, &m); err != nil {
			panic(err)
		}
		r.Header.Set(mcp.HeaderProtocolVersion, mcp.ProtocolVersion20260728)
		r.Header.Set(mcp.HeaderMethod, m.Method)
		if m.Params.Name != "" {
			r.Header.Set(mcp.HeaderName, m.Params.Name)
		}
	}
	return r
}

func (w *httpWire) post(id string, text []byte) <-chan outcome {
	l := newLedger(w.t)
	c := l.expect(id)
	do := func() {
		res, err := http.DefaultClient.Do(w.newRequest(context.Background(), text))
		if err != nil {
			w.t.Errorf("post: %v", err)
			return
		}
		defer res.Body.Close()
		if s := res.Header.Get(mcp.HeaderSessionID); s != "" {
			w.mu.Lock()
			w.session = s
			w.mu.Unlock()
		}
		readReply(res, l)
	}
	if id == "" { // no response comes, so the next message must wait here
		do()
	} else {
		w.posts.Go(do)
	}
	return c
}

// readReply takes all messages of a response, whichever form it has.
func readReply(res *http.Response, l *ledger) {
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		events(res.Body, func(_ string, data []byte) { l.take(data) })
		return
	}
	body, err := io.ReadAll(res.Body)
	if err == nil && len(body) > 0 {
		l.take(body)
	}
}

// events parses server-sent events until the stream ends.
func events(r io.Reader, take func(name string, data []byte)) {
	name := ""
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		switch key, value, _ := strings.Cut(lines.Text(), ": "); key {
		case "event":
			name = value
		case "data":
			take(name, []byte(value))
		}
	}
}
