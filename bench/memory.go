package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settle is how long a process is left alone before its memory is read.
const settle = 5 * time.Second

// measureMemory reads the memory of an idle Berth that has served nobody yet,
// with its cloud and its jobs started. The baseline is an idle HTTP server
// with an empty handler.
func measureMemory(ctx context.Context, l *lab) (_ []result, err error) {
	berth, err := l.program(ctx, "cmd/berth")
	if err != nil {
		return nil, err
	}
	bare, err := l.program(ctx, "bench/bare")
	if err != nil {
		return nil, err
	}
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	ours, err := start(ctx, berth, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	theirs, err := start(ctx, bare, "serve")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, theirs.stop()) }()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(settle):
	}
	var list []result
	for _, kind := range []struct{ what, file, field string }{
		{"resident memory idle", "status", "VmRSS:"},
		{"proportional memory idle", "smaps_rollup", "Pss:"},
	} {
		our, err := memory(ours.cmd.Process.Pid, kind.file, kind.field)
		if err != nil {
			return nil, err
		}
		their, err := memory(theirs.cmd.Process.Pid, kind.file, kind.field)
		if err != nil {
			return nil, err
		}
		list = append(list, newResult(kind.what, "MB", compare(series{{our}}, series{{their}}, median), "idle net/http server", nil))
	}
	return list, nil
}

// memory reads a field of a process's file under /proc, in megabytes.
func memory(pid int, file, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, fmt.Errorf("memory is read from Linux's /proc: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == field {
			kilobytes, err := strconv.ParseFloat(words[1], 64)
			return kilobytes * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("there is no %s in /proc/%d/%s", field, pid, file)
}

// descendants is the proportional memory of this process's children and of
// theirs, in megabytes, less that of the given ones.
func descendants(less []*process) (float64, error) {
	parents, err := parents()
	if err != nil {
		return 0, err
	}
	skip := map[int]bool{}
	for _, p := range less {
		skip[p.cmd.Process.Pid] = true
	}
	total := 0.0
	for pid := range parents {
		up := pid
		for up != os.Getpid() && up != 0 && !skip[up] {
			up = parents[up]
		}
		if pid == os.Getpid() || up != os.Getpid() {
			continue
		}
		pss, err := memory(pid, "smaps_rollup", "Pss:")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended since
		}
		if err != nil {
			return 0, err
		}
		total += pss
	}
	return total, nil
}

// parents maps the ids of all processes to those of their parents.
func parents() (map[int]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := map[int]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended since
		}
		var pid, parent int
		var state string
		before, after, _ := strings.Cut(string(text), " (")
		if _, err := fmt.Sscan(before, &pid); err != nil {
			return nil, err
		}
		if _, err := fmt.Sscan(after[strings.LastIndex(after, ")")+1:], &state, &parent); err != nil {
			return nil, err
		}
		if state != "Z" { // the dead have no memory
			all[pid] = parent
		}
	}
	return all, nil
}
