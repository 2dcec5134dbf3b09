package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// host is an MCP client that started a program and speaks with it over its
// standard input and output.
type host struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors *tail
}

// spawn starts the program.
func spawn(ctx context.Context, command []string) (*host, error) {
	h := &host{cmd: exec.CommandContext(ctx, command[0], command[1:]...), errors: &tail{}}
	h.cmd.Stderr = h.errors
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.out = bufio.NewReaderSize(out, 64<<10)
	return h, h.cmd.Start()
}

// connect starts the program and shakes hands with it.
func connect(ctx context.Context, command []string) (*host, error) {
	h, err := spawn(ctx, command)
	if err != nil {
		return nil, err
	}
	if err := h.begin(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *host) begin() error {
	if _, err := h.ask(initialize); err != nil {
		return err
	}
	return h.tell(initialized)
}

func (h *host) tell(message string) error {
	_, err := io.WriteString(h.in, message+"\n")
	return err
}

// ask sends a request and returns its response, passing notifications over.
func (h *host) ask(request string) ([]byte, error) {
	if err := h.tell(request); err != nil {
		return nil, err
	}
	for {
		line, err := h.out.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("read a response: %w", err)
		}
		var m struct {
			Method string `json:"method"`
		}
		if len(line) < 512 { // notifications are short
			if err := json.Unmarshal(line, &m); err != nil {
				return nil, fmt.Errorf("not JSON: %.200q", line)
			}
		}
		if m.Method == "" {
			return line, check(line)
		}
	}
}

// buy creates a server and returns its id.
func (h *host) buy() (string, error) {
	answer, err := h.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_server",` +
		`"arguments":{"size":"small","region":"nyc1","minutes":60,"wait_seconds":60}}}`)
	if err != nil {
		return "", err
	}
	var r struct {
		Result struct {
			StructuredContent struct {
				ID string `json:"id"`
			} `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return "", err
	}
	if r.Result.StructuredContent.ID == "" {
		return "", fmt.Errorf("no server could be bought: %.300s", answer)
	}
	return r.Result.StructuredContent.ID, nil
}

// take takes the latency of one call after the other, in microseconds.
func (h *host) take(count int, tool, server string) take {
	request := call(1, tool, server)
	return func(ctx context.Context) ([]float64, error) {
		return calls(ctx, count, 1, func(context.Context, int) error {
			_, err := h.ask(request)
			return err
		})
	}
}

// close ends the input, at which the program ends.
func (h *host) close() error {
	err := h.in.Close()
	_, drained := io.Copy(io.Discard, h.out) // Wait must not come before the end of what it prints
	if err = errors.Join(err, drained, h.cmd.Wait()); err != nil {
		return fmt.Errorf("%s: %w\n%s", h.cmd.Path, err, h.errors.text)
	}
	return nil
}
