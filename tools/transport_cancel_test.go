package tools

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

func TestCancelledNotificationEndsTheCall(t *testing.T) {
	eachTransport(t, func(t *testing.T, fx *fixture, _ *Front, w wire, modern bool) {
		if _, ok := w.(*httpWire); ok && modern {
			t.Skip("there, closing the stream cancels")
		}
		call(w, modern, 1, "wait", nil)
		receive(t, fx.waits)
		w.post("", []byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`))
		if err := receive(t, fx.ends); !errors.Is(err, errCancelled) && !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended by %v", err)
		}
		if o := await(t, call(w, modern, 2, "echo", map[string]any{"text": "on"})); o.text() != "on" {
			t.Errorf("the call after it = %s", o.text())
		}
	})
}

func TestDroppedResponseStream(t *testing.T) {
	for _, modern := range []bool{true, false} {
		name := map[bool]string{true: "modern is cancelled", false: "legacy goes on"}[modern]
		t.Run(name, func(t *testing.T) {
			fx := newFixture()
			f := newTestFront(t, fx, Options{})
			w := newHTTPWire(t, serve(t, f), modern)
			if !modern {
				initialize(t, w, nil)
			}
			ctx, cancel := context.WithCancel(context.Background())
			text := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait","_meta":{` +
				`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
			if !modern {
				text = []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}`)
			}
			gone := make(chan error, 1)
			go func() {
				_, err := http.DefaultClient.Do(w.newRequest(ctx, text))
				gone <- err
			}()
			receive(t, fx.waits)
			cancel()
			if err := receive(t, gone); err == nil {
				t.Fatal("the request was not dropped")
			}
			if !modern {
				// The server may or may not have noticed; the call must not care.
				if o := await(t, call(w, modern, 2, "echo", nil)); o.reply.Error != nil {
					t.Errorf("the call after it = %s", o.text())
				}
				close(fx.open)
			}
			err := receive(t, fx.ends)
			if modern != (err != nil) {
				t.Errorf("the call ended by %v", err)
			}
		})
	}
}

func TestDeleteEndsTheSessionsCalls(t *testing.T) {
	fx := newFixture()
	w := newHTTPWire(t, serve(t, newTestFront(t, fx, Options{})), false)
	initialize(t, w, nil)
	pending := call(w, false, 1, "wait", nil)
	receive(t, fx.waits)
	r := w.newRequest(t.Context(), nil)
	r.Method = http.MethodDelete
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Errorf("delete = %s", res.Status)
	}
	receive(t, fx.ends)
	await(t, pending)
	res, err = http.DefaultClient.Do(w.newRequest(t.Context(), []byte(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("a request in the ended session = %s", res.Status)
	}
}

func TestListChangedReachesTheConnection(t *testing.T) {
	for _, name := range []string{"stdio", "sse"} {
		t.Run(name, func(t *testing.T) {
			fx := newFixture()
			f := newTestFront(t, fx, Options{})
			var w wire
			var l *ledger
			if name == "stdio" {
				s := newStreamWire(t, f, nil)
				w, l = s, s.ledger
			} else {
				s := newSSEWire(t, serve(t, f), http.Header{})
				w, l = s, s.ledger
			}
			initialize(t, w, nil)
			await(t, call(w, false, 1, "grow", nil))
			if m := receive(t, l.others); m.Method != mcp.MethodNotificationToolsListChanged {
				t.Errorf("got %s", m.Method)
			}
		})
	}
}

// TestListChangedWaitsForTheGetStream changes the list before the client
// listens, and lets a second stream take over from the first.
func TestListChangedWaitsForTheGetStream(t *testing.T) {
	w := newHTTPWire(t, serve(t, newTestFront(t, newFixture(), Options{})), false)
	initialize(t, w, nil)
	await(t, call(w, false, 1, "grow", nil))

	ctx, cancel := context.WithCancel(t.Context())
	listen := func() (notes <-chan arrival, ended <-chan struct{}) {
		r := w.newRequest(ctx, nil)
		r.Method = http.MethodGet
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		l, done := newLedger(t), make(chan struct{})
		go func() {
			defer close(done)
			defer res.Body.Close()
			readReply(res, l)
		}()
		return l.others, done
	}
	expect := func(notes <-chan arrival) {
		t.Helper()
		if m := receive(t, notes); m.Method != mcp.MethodNotificationToolsListChanged {
			t.Errorf("got %s", m.Method)
		}
	}
	first, firstEnded := listen()
	expect(first)
	await(t, call(w, false, 2, "grow", nil))
	expect(first)
	second, secondEnded := listen()
	receive(t, firstEnded)
	await(t, call(w, false, 3, "grow", nil))
	expect(second)
	cancel()
	receive(t, secondEnded)
}

func TestSubscription(t *testing.T) {
	eachTransport(t, func(t *testing.T, fx *fixture, f *Front, w wire, modern bool) {
		if !modern {
			t.Skip("subscriptions/listen is of the modern era")
		}
		l := newLedger(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		const listen = `{"jsonrpc":"2.0","id":"s1","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{` +
			`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
		var ended <-chan struct{}
		switch w := w.(type) {
		case *streamWire:
			l = w.ledger
			w.post(`"s1"`, []byte(listen))
		case *sseWire:
			l = w.ledger
			w.post(`"s1"`, []byte(listen))
		case *httpWire:
			done := make(chan struct{})
			ended = done
			go func() {
				defer close(done)
				res, err := http.DefaultClient.Do(w.newRequest(ctx, []byte(listen)))
				if err != nil {
					t.Errorf("listen: %v", err)
					return
				}
				defer res.Body.Close()
				readReply(res, l)
			}()
		}
		if m := receive(t, l.others); m.Method != mcp.MethodNotificationSubscriptionsAcknowledged {
			t.Errorf("first came %s", m.Method)
		}
		await(t, call(w, modern, 2, "grow", nil))
		m := receive(t, l.others)
		if m.Method != mcp.MethodNotificationToolsListChanged || m.Params.Meta[mcp.MetaKeySubscriptionID] != "s1" {
			t.Errorf("then came %s, _meta %v", m.Method, m.Params.Meta)
		}
		cancel()
		if ended != nil {
			receive(t, ended)
		}
	})
}

func TestElicitation(t *testing.T) {
	eachTransport(t, func(t *testing.T, fx *fixture, _ *Front, w wire, modern bool) {
		if modern {
			o := await(t, call(w, modern, 1, "ask", nil))
			if o.reply.Error == nil && o.text() == "accept" {
				t.Errorf("ask = %s, want input_required", o.text())
			}
			return
		}
		var asked <-chan arrival
		var done <-chan outcome
		switch w := w.(type) {
		case *streamWire:
			asked, done = w.others, call(w, modern, 1, "ask", nil)
		case *sseWire:
			asked, done = w.others, call(w, modern, 1, "ask", nil)
		case *httpWire:
			l := newLedger(t)
			asked, done = l.others, l.expect("1")
			go func() {
				res, err := http.DefaultClient.Do(w.newRequest(context.Background(), []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask"}}`)))
				if err != nil {
					t.Errorf("ask: %v", err)
					return
				}
				defer res.Body.Close()
				readReply(res, l)
			}()
		}
		question := receive(t, asked)
		if question.Method != string(mcp.MethodElicitationCreate) {
			t.Fatalf("got %s", question.Method)
		}
		w.post("", []byte(`{"jsonrpc":"2.0","id":`+string(question.ID)+`,"result":{"action":"accept","content":{}}}`))
		if o := await(t, done); o.text() != "accept" {
			t.Errorf("ask = %s", o.text())
		}
	})
}
