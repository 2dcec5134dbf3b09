package tools

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mcpclient "github.com/mark3labs/mcp-go/client"
	clienttransport "github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// TestClientsOfMCPGo connects mcp-go's own clients, whose negotiation chooses
// the era unless they are told to stay in the legacy one.
func TestClientsOfMCPGo(t *testing.T) {
	tests := []struct {
		name string
		open func(t *testing.T, f *Front) clienttransport.Interface
	}{
		{"stdio", func(t *testing.T, f *Front) clienttransport.Interface {
			inR, inW := io.Pipe()
			outR, outW := io.Pipe()
			served := make(chan error, 1)
			go func() {
				served <- f.ServeStream(context.Background(), inR, outW, nil)
				outW.Close()
			}()
			t.Cleanup(func() {
				inW.Close()
				if err := receive(t, served); err != nil {
					t.Errorf("ServeStream = %v", err)
				}
			})
			return clienttransport.NewIO(outR, inW, io.NopCloser(eof{}))
		}},
		{"http", func(t *testing.T, f *Front) clienttransport.Interface {
			c, err := clienttransport.NewStreamableHTTP(serve(t, f) + "/mcp")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}},
		{"sse", func(t *testing.T, f *Front) clienttransport.Interface {
			c, err := clienttransport.NewSSE(serve(t, f) + "/sse")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}},
	}
	for _, tt := range tests {
		for _, era := range []string{"legacy", "negotiated"} {
			t.Run(tt.name+"/"+era, func(t *testing.T) {
				f := newTestFront(t, newFixture(), Options{})
				var options []mcpclient.ClientOption
				if era == "legacy" {
					options = append(options, mcpclient.WithLegacyProtocolOnly())
				}
				useClient(t, mcpclient.NewClient(tt.open(t, f), options...))
			})
		}
	}
}

// useClient lists the tools and makes calls that report progress, in turn and
// at once, and checks that all of it arrives.
func useClient(t *testing.T, c *mcpclient.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	var mu sync.Mutex
	seen := map[string]int{}
	changed := make(chan struct{}, 1)
	c.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method != string(mcp.MethodNotificationProgress) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		seen[fmt.Sprint(n.Params.AdditionalFields["progressToken"])]++
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	init := mcp.InitializeRequest{}
	init.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	init.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "1"}
	if _, err := c.Initialize(ctx, init); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil || len(list.Tools) < 5 {
		t.Fatalf("tools = %v, %v", list, err)
	}
	count := func(token string) {
		r := mcp.CallToolRequest{}
		r.Params.Name, r.Params.Arguments = "count", map[string]any{"n": 10}
		r.Params.Meta = &mcp.Meta{ProgressToken: token}
		if _, err := c.CallTool(ctx, r); err != nil {
			t.Errorf("call %s: %v", token, err)
		}
	}
	var wg sync.WaitGroup
	for i := range 10 {
		count(fmt.Sprint("in turn ", i))
		wg.Go(func() { count(fmt.Sprint("at once ", i)) })
	}
	wg.Wait()
	complete := func() bool { // the client tells of notifications in its own time
		mu.Lock()
		defer mu.Unlock()
		for _, n := range seen {
			if n != 10 {
				return false
			}
		}
		return len(seen) == 20
	}
	for !complete() {
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("progress seen: %v", seen)
		}
	}
}

// eof is the empty error output of a server.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// BenchmarkEcho compares the transports with what they are made of: mcp-go's
// HandleMessage alone, and an HTTP server that answers with a constant.
func BenchmarkEcho(b *testing.B) {
	fx := newFixture()
	const legacy = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}`
	modern := strings.Replace(legacy, `"params":{`, `"params":{`+modernMeta+`,`, 1)
	f := NewFront(fx.server, Options{})
	b.Run("HandleMessage/legacy", func(b *testing.B) { benchmarkCore(b, fx, legacy) })
	b.Run("HandleMessage/modern", func(b *testing.B) { benchmarkCore(b, fx, modern) })
	b.Run("stream/legacy", func(b *testing.B) { benchmarkStream(b, f, legacy) })
	b.Run("stream/modern", func(b *testing.B) { benchmarkStream(b, f, modern) })
	b.Run("http/constant", func(b *testing.B) {
		benchmarkHTTP(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				b.Error(err)
			}
			_ = writeJSON(w, http.StatusOK, []byte(legacy))
		}), legacy, http.Header{})
	})
	b.Run("http/legacy", func(b *testing.B) {
		h, err := f.sessions.add(f.newConnection(false))
		if err != nil {
			b.Fatal(err)
		}
		benchmarkHTTP(b, f.HTTPHandler(), legacy, http.Header{mcp.HeaderSessionID: {h.SessionID()}})
	})
	b.Run("http/modern", func(b *testing.B) {
		benchmarkHTTP(b, f.HTTPHandler(), modern, http.Header{
			mcp.HeaderProtocolVersion: {mcp.ProtocolVersion20260728}, mcp.HeaderMethod: {"tools/call"}, mcp.HeaderName: {"echo"},
		})
	})
}

// median runs a benchmark and reports the median of its rounds in microseconds.
func median(b *testing.B, round func() error) {
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := round(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-µs")
}

func benchmarkCore(b *testing.B, fx *fixture, text string) {
	median(b, func() error {
		_, err := encode(fx.server.HandleMessage(b.Context(), []byte(text)))
		return err
	})
}

func benchmarkStream(b *testing.B, f *Front, text string) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- f.ServeStream(context.Background(), inR, outW, nil) }()
	buf := make([]byte, 4096)
	median(b, func() error {
		if _, err := io.WriteString(inW, text+"\n"); err != nil {
			return err
		}
		_, err := outR.Read(buf)
		return err
	})
	inW.Close()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func benchmarkHTTP(b *testing.B, h http.Handler, text string, header http.Header) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	header.Set("Content-Type", "application/json")
	header.Set("Accept", "application/json, text/event-stream")
	median(b, func() error {
		r, err := http.NewRequest(http.MethodPost, srv.URL, strings.NewReader(text))
		if err != nil {
			return err
		}
		r.Header = header
		res, err := srv.Client().Do(r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", res.Status)
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	})
}
