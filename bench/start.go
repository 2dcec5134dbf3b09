package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// measureStart starts "berth mcp" where nothing runs, and waits for its first
// list of tools, as a host does. The baselines are the same program printing
// its version, and a Go program that does nothing.
func measureStart(ctx context.Context, l *lab) ([]result, error) {
	berth, err := l.program(ctx, "cmd/berth")
	if err != nil {
		return nil, err
	}
	bare, err := l.program(ctx, "bench/bare")
	if err != nil {
		return nil, err
	}
	used, err := l.folder()
	if err != nil {
		return nil, err
	}
	seen, err := interleave(ctx, l.pick(15, 4),
		func(ctx context.Context) ([]float64, error) { return firstList(ctx, berth, used) },
		func(ctx context.Context) ([]float64, error) {
			fresh, err := l.folder()
			if err != nil {
				return nil, err
			}
			return firstList(ctx, berth, fresh)
		},
		func(ctx context.Context) ([]float64, error) { return once(ctx, berth, "--version") },
		func(ctx context.Context) ([]float64, error) { return once(ctx, bare) },
	)
	if err != nil {
		return nil, err
	}
	const most = 60 // ms
	return []result{
		newResult("berth mcp to its first tools/list, data there", "ms", compare(seen[0], seen[2], median), "berth --version", within(most, "ms")),
		newResult("berth mcp to its first tools/list, data there", "ms", compare(seen[0], seen[3], median), "bare Go program", nil),
		newResult("berth mcp to its first tools/list, no data yet", "ms", compare(seen[1], seen[2], median), "berth --version", within(most, "ms")),
		newResult("berth mcp to its first tools/list, no data yet", "ms", compare(seen[1], seen[3], median), "bare Go program", nil),
	}, nil
}

// firstList is how long a host waits for the tools, in milliseconds. The
// process that was started behind it is stopped again.
func firstList(ctx context.Context, berth, dir string) (_ []float64, err error) {
	began := time.Now()
	h, err := spawn(ctx, []string{berth, "mcp", "--data", dir, "--listen", "127.0.0.1:0"})
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, h.close())
		if out, failed := exec.Command(berth, "stop", "--data", dir).CombinedOutput(); failed != nil {
			err = errors.Join(err, fmt.Errorf("stop: %w: %s", failed, out))
		}
	}()
	if err := h.begin(); err != nil {
		return nil, err
	}
	list, err := h.ask(listTools)
	if err != nil {
		return nil, err
	}
	took := milliseconds(time.Since(began))
	if !strings.Contains(string(list), `"create_server"`) {
		return nil, fmt.Errorf("not a list of Berth's tools: %.200s", list)
	}
	return []float64{took}, nil
}

// once is how long a program takes from its start to its end, in milliseconds.
func once(ctx context.Context, path string, args ...string) ([]float64, error) {
	began := time.Now()
	if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path, err, out)
	}
	return []float64{milliseconds(time.Since(began))}, nil
}
