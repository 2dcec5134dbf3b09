package tools

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serveText runs a whole conversation over a stream that ends after the input.
func serveText(t *testing.T, o Options, input string) []string {
	t.Helper()
	var out bytes.Buffer
	f := newTestFront(t, newFixture(), o)
	if err := f.ServeStream(t.Context(), strings.NewReader(input), &out, nil); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestStreamRefusals(t *testing.T) {
	long := `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 200_000) + `"}`
	tests := []struct{ name, input, want string }{
		{"not JSON", `{"jsonrpc":"2.0",`, `"code":-32700`},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, `"code":-32600`},
		{"broken batch", `[{`, `"code":-32700`},
		{"a number", `7`, `"code":-32600`},
		{"wrong version", `{"jsonrpc":"1.0","id":4,"method":"ping"}`, `"id":4,"error":{"code":-32600`},
		{"no method", `{"jsonrpc":"2.0","id":4}`, `"code":-32600`},
		{"object id", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, `"id":null,"error":{"code":-32600`},
		{"mistyped method", `{"jsonrpc":"2.0","id":4,"method":[]}`, `"code":-32600`},
		{"too long", long, `at most 100000 bytes`},
		{"unknown method", `{"jsonrpc":"2.0","id":"a","method":"no/such"}`, `"id":"a","error":{"code":-32601`},
		{"mistyped params", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"_meta":7}}`, `"id":5,"error":{"code":-32600`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Blank lines are skipped, a refusal does not end the stream, and the
			// last line needs no newline.
			input := "\n \r\n" + tt.input + "\r\n" + `{"jsonrpc":"2.0","id":9,"method":"ping"}`
			got := serveText(t, Options{MaxMessage: 100_000}, input)
			all := strings.Join(got, "\n")
			if len(got) != 2 || !strings.Contains(all, tt.want) || !strings.Contains(all, `"id":9,"result"`) {
				t.Errorf("got %s\nwant %s and the answer to ping", all, tt.want)
			}
		})
	}
}

func TestAnswersAreNeverAnswered(t *testing.T) {
	input := `{"jsonrpc":"2.0","id":"berth-1","result":{}}` + "\n" +
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/unknown"}` + "\n"
	if got := serveText(t, Options{}, input); len(got) != 1 || got[0] != "" {
		t.Errorf("got %q", got)
	}
}

func TestPipelinedCallFollowsInitialize(t *testing.T) {
	const input = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}
`
	for range 50 {
		got := serveText(t, Options{}, input)
		if len(got) != 2 || !strings.Contains(got[0], `"id":1`) || !strings.Contains(got[1], "hi") {
			t.Fatalf("got %q", got)
		}
	}
}

func TestClosedHostCancelsAfterLinger(t *testing.T) {
	fx := newFixture()
	w := newStreamWire(t, newTestFront(t, fx, Options{Linger: time.Millisecond}), nil)
	call(w, true, 1, "wait", nil)
	receive(t, fx.waits)
	w.in.Close()
	if err := receive(t, fx.ends); !errors.Is(err, errHostGone) {
		t.Errorf("the call ended by %v", err)
	}
	if err := receive(t, w.done); err != nil {
		t.Errorf("ServeStream = %v", err)
	}
}

func TestClosedHostLetsCallsFinish(t *testing.T) {
	fx := newFixture()
	w := newStreamWire(t, newTestFront(t, fx, Options{Linger: deadline}), nil)
	pending := call(w, true, 1, "wait", nil)
	receive(t, fx.waits)
	w.in.Close()
	close(fx.open)
	if o := await(t, pending); o.text() != "waited" {
		t.Errorf("the call = %s", o.text())
	}
	if err := receive(t, w.done); err != nil {
		t.Errorf("ServeStream = %v", err)
	}
}

func TestStreamEndsWithItsContext(t *testing.T) {
	fx := newFixture()
	f := newTestFront(t, fx, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	in, host := io.Pipe()
	defer host.Close()
	done := make(chan error, 1)
	go func() { done <- f.ServeStream(ctx, in, io.Discard, nil) }()
	if _, err := io.WriteString(host, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	receive(t, fx.waits)
	cancel()
	receive(t, fx.ends)
	if err := receive(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("ServeStream = %v", err)
	}
}

func TestCallsAreBounded(t *testing.T) {
	fx := newFixture()
	w := newStreamWire(t, newTestFront(t, fx, Options{MaxCalls: 1}), nil)
	var pending []<-chan outcome
	for id := 1; id <= maxWaiting; id++ {
		pending = append(pending, call(w, true, id, "wait", nil))
	}
	receive(t, fx.waits)
	if o := await(t, call(w, true, 100, "echo", nil)); !strings.Contains(o.text(), "wait for one to end") {
		t.Errorf("the call beyond the bound = %s", o.text())
	}
	if len(fx.waits) > 0 {
		t.Error("two calls ran at once")
	}
	// A call that waits for its turn can be cancelled as well.
	w.post("", []byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`))
	receive(t, fx.ends)
	close(fx.open)
	for _, c := range pending[1:] {
		await(t, c)
	}
}

// TestClientThatAnswersNoPing waits for it once, and not again.
func TestClientThatAnswersNoPing(t *testing.T) {
	f := newTestFront(t, newFixture(), Options{})
	w := newStreamWire(t, f, nil)
	var pings atomic.Int64
	w.answer = func(json.RawMessage) { pings.Add(1) }
	initialize(t, w, nil)
	for id := 1; id <= 5; id++ {
		if o := await(t, call(w, false, id, "count", map[string]any{"n": 2})); len(o.progress) != 2 {
			t.Errorf("call %d = %v %s", id, o.progress, o.text())
		}
	}
	if n := pings.Load(); n != 1 {
		t.Errorf("%d pings, want 1", n)
	}
}

// FuzzStream feeds any bytes to a stream: every line that is sent back is a
// message, and the stream ends when its input does.
func FuzzStream(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n"))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"count","arguments":{"n":2},"_meta":{"progressToken":1}}}`))
	f.Add([]byte("[]\n{}\nnull\n\x00\xff\n"))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\r\n\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var out bytes.Buffer
		front := newTestFront(t, newFixture(), Options{MaxMessage: 1000, Linger: time.Millisecond})
		if err := front.ServeStream(t.Context(), bytes.NewReader(input), &out, nil); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(&out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if _, err := parse(lines.Bytes()); err != nil {
				t.Fatalf("%s: %v", lines.Bytes(), err)
			}
		}
	})
}

// FuzzReadLine compares the reader of lines with a split of the whole input.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\n\nbb\r\n"), 1)
	f.Add([]byte("no newline"), 3)
	f.Fuzz(func(t *testing.T, input []byte, limit int) {
		limit = 1 + limit&0xfff
		in := bufio.NewReaderSize(bytes.NewReader(input), 16)
		for i, want := range bytes.SplitAfter(input, []byte("\n")) {
			text, tooLong, err := readLine(in, int64(limit))
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if tooLong != (len(want) > limit+1) {
				t.Fatalf("line %d of %d bytes: too long = %v with a limit of %d", i, len(want), tooLong, limit)
			}
			if !tooLong && !bytes.Equal(text, bytes.TrimRight(want, " \t\r\n")) {
				t.Fatalf("line %d = %q, want %q", i, text, want)
			}
		}
	})
}
