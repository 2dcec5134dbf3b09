package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// attach connects to the process that holds the data directory, and starts a
// detached one if there is none.
func attach(ctx context.Context, dir string, flags []string) (net.Conn, error) {
	if conn, err := dialLocal(ctx, dir); err == nil {
		return conn, nil
	}
	return start(ctx, dir, flags)
}

func dialLocal(ctx context.Context, dir string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socketPath(dir))
}

// startTimeout is how long a process may take until it answers on its socket.
const startTimeout = 20 * time.Second

// lookAgain is the pause between two looks for a socket that is to appear. A
// look takes microseconds, and a host waits for this: longer pauses would show.
const lookAgain = time.Millisecond

// maxWords bounds how much of the log is read for a process's last words.
const maxWords = 4096

// lastWords is why the process in the background ended: the last line that it
// wrote, or how it ended where there is none.
func lastWords(dir string, end error) string {
	f, err := os.Open(logPath(dir))
	if err != nil {
		return end.Error()
	}
	defer f.Close() // only read
	if info, err := f.Stat(); err == nil && info.Size() > maxWords {
		if _, err := f.Seek(-maxWords, io.SeekEnd); err != nil {
			return end.Error()
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxWords))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := strings.TrimPrefix(lines[len(lines)-1], "berth: ")
	if err != nil || last == "" {
		return end.Error()
	}
	return last
}

// start starts a detached process and connects as soon as its socket is there.
// One that finds the directory held has lost a race, or the holder is ending:
// either somebody's socket appears, or the directory becomes free.
func start(ctx context.Context, dir string, flags []string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	child, err := spawn(dir, flags)
	if err != nil {
		return nil, err
	}
	for {
		conn, err := dialLocal(ctx, dir)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("berth did not start: %w; see %s", err, logPath(dir))
		case end := <-child:
			if !lostRace(end) {
				return nil, fmt.Errorf("berth did not start: %s; see %s", lastWords(dir, end), logPath(dir))
			}
			if child, err = spawn(dir, flags); err != nil {
				return nil, err
			}
		case <-time.After(lookAgain):
		}
	}
}

// heldStatus is the exit status of a process that found the directory held.
const heldStatus = 75

func lostRace(err error) bool {
	var e *exec.ExitError
	return errors.As(err, &e) && e.ExitCode() == heldStatus
}

func logPath(dir string) string { return filepath.Join(dir, "berth.log") }

// maxLog bounds the detached process's log; the one before it is kept once.
const maxLog = 10 << 20

func openLog(dir string) (*os.File, error) {
	path := logPath(dir)
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put the old log aside: %w", err)
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// spawn starts a detached process, in a session of its own: it must outlive the
// host that made this one.
func spawn(dir string, flags []string) (<-chan error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := openLog(dir)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, append([]string{"serve", "--detached", "--data", dir}, flags...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start berth: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return done, nil
}

// localClient speaks HTTP with the process that holds the data directory.
type localClient struct {
	http *http.Client
}

// newLocalClient attaches to the process, starting one if start is set.
func newLocalClient(ctx context.Context, dir string, start bool) (*localClient, error) {
	conn, err := dialLocal(ctx, dir)
	if err != nil && !start {
		return nil, fmt.Errorf("nothing runs on %s", dir)
	}
	if err != nil {
		if conn, err = attach(ctx, dir, nil); err != nil {
			return nil, err
		}
	}
	conn.Close() // it was there to see that somebody answers
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialLocal(ctx, dir) }}
	return &localClient{http: &http.Client{Transport: transport}}, nil
}

// do sends a request and decodes the answer into out, unless that is nil. A
// problem document is returned as an error with its words.
func (c *localClient) do(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

func (c *localClient) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		r, w := io.Pipe()
		go func() { w.CloseWithError(json.NewEncoder(w).Encode(in)) }()
		body = r
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://berth"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running berth: %w", err)
	}
	if res.StatusCode < 400 {
		return res, nil
	}
	defer res.Body.Close()
	var p struct{ Detail, Hint string }
	if err := json.NewDecoder(bufio.NewReader(res.Body)).Decode(&p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("the running berth answered %s", res.Status)
	}
	if p.Hint != "" {
		p.Detail += " (" + p.Hint + ")"
	}
	return nil, errors.New(p.Detail)
}

func writeJSON(w http.ResponseWriter, log *slog.Logger, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Debug("answer not written", slog.Any("error", err))
	}
}
