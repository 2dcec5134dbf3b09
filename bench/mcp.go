package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
)

// measureMCP calls get_server. The baseline is a tool that returns its input,
// behind the same transports, in a process of its own.
func measureMCP(ctx context.Context, l *lab) (_ []result, err error) {
	s, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	berth, err := l.program(ctx, "cmd/berth")
	if err != nil {
		return nil, err
	}
	echo, err := l.program(ctx, "bench/echo")
	if err != nil {
		return nil, err
	}
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "echo.sock")
	p, err := start(ctx, echo, "serve", socket)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()

	overHTTP, err := measureSessions(ctx, l, s, p)
	if err != nil {
		return nil, fmt.Errorf("streamable HTTP: %w", err)
	}
	overPipes, err := measurePipes(ctx, l, []string{berth, "mcp", "--data", s.dir}, []string{echo, "pipe", socket})
	if err != nil {
		return nil, fmt.Errorf("stdio: %w", err)
	}
	return append(overHTTP, overPipes...), nil
}

// call is a tools/call that names a server.
func call(id int, tool, server string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"server_id":%q}}}`, id, tool, server)
}

const (
	initialize  = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	listTools   = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
)

// check tells whether a response is a success. It is timed with the call, so it
// only looks for the words.
func check(text []byte) error {
	if !bytes.Contains(text, []byte(`"result":`)) || bytes.Contains(text, []byte(`"isError":true`)) {
		return fmt.Errorf("a call failed: %.300s", text)
	}
	return nil
}

func measureSessions(ctx context.Context, l *lab, s *shop, p *process) ([]result, error) {
	client := newClient(2)
	defer client.CloseIdleConnections()
	ours := &session{client: client, url: s.url + "/mcp", key: s.key}
	theirs := &session{client: client, url: p.url}
	for _, c := range []*session{ours, theirs} {
		if err := c.begin(ctx); err != nil {
			return nil, err
		}
	}
	seen, err := interleave(ctx, l.pick(11, 3),
		ours.take(l.pick(500, 200), "get_server", s.server), theirs.take(l.pick(500, 200), "echo", s.server))
	if err != nil {
		return nil, err
	}
	return []result{
		newResult("get_server over MCP, streamable HTTP, p50", "µs", compare(seen[0], seen[1], median), "echo tool", atMost(1.5)),
		newResult("get_server over MCP, streamable HTTP, p99", "µs", compare(seen[0], seen[1], p99), "echo tool", nil),
	}, nil
}

// session is a client of streamable HTTP.
type session struct {
	client   *http.Client
	url, key string
	id       string
}

func (c *session) begin(ctx context.Context) error {
	if _, err := c.post(ctx, initialize); err != nil {
		return err
	}
	_, err := c.post(ctx, initialized)
	return err
}

// post sends a message and returns the response in the answer's body, if any.
func (c *session) post(ctx context.Context, message string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(message))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.id != "" {
		req.Header.Set("Mcp-Session-Id", c.id)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s answered %s: %.200s", c.url, res.Status, body)
	}
	if id := res.Header.Get("Mcp-Session-Id"); id != "" {
		c.id = id
	}
	if _, data, ok := bytes.Cut(body, []byte("data: ")); ok { // as an event
		body, _, _ = bytes.Cut(data, []byte("\n"))
	}
	return body, nil
}

func (c *session) take(count int, tool, server string) take {
	return func(ctx context.Context) ([]float64, error) {
		return calls(ctx, count, 1, func(ctx context.Context, _ int) error {
			answer, err := c.post(ctx, call(1, tool, server))
			if err != nil {
				return err
			}
			return check(answer)
		})
	}
}

// measurePipes connects as hosts do, to a program that passes bytes on to the
// process that serves.
func measurePipes(ctx context.Context, l *lab, ours, theirs []string) (_ []result, err error) {
	berth, err := connect(ctx, ours)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, berth.close()) }()
	echo, err := connect(ctx, theirs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, echo.close()) }()
	server, err := berth.buy() // what the account of measureSessions bought is not the local one's
	if err != nil {
		return nil, err
	}
	count := l.pick(1000, 300)
	seen, err := interleave(ctx, l.pick(11, 3), berth.take(count, "get_server", server), echo.take(count, "echo", server))
	if err != nil {
		return nil, err
	}
	return []result{
		newResult("get_server over MCP, stdio, p50", "µs", compare(seen[0], seen[1], median), "echo tool", atMost(1.5)),
		newResult("get_server over MCP, stdio, p99", "µs", compare(seen[0], seen[1], p99), "echo tool", nil),
	}, nil
}
