package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"
)

// Bounds of what Exec and ReadRun keep of each output, in bytes.
const (
	DefaultLimit = 32 << 10
	MaxLimit     = 1 << 20
)

// Result is how a command ended.
type Result struct {
	ExitCode       int    // -1 when a signal or the timeout ended it
	Signal         string // such as "KILL"; else empty
	Stdout, Stderr Output
	TimedOut       bool
	// Lingering tells that the command has ended, and a process that it left
	// in the background still held its output open.
	Lingering bool
	Duration  time.Duration // from the server's consent to the end
}

var errTimedOut = errors.New("the command's timeout has passed")

// Exec runs a command to its end. Of each output the result keeps limit bytes
// (0 means DefaultLimit, more than MaxLimit is MaxLimit); out, unless nil, gets
// all of it as it comes, one call at a time, and none after Exec has returned.
// While out takes its time, the command's output waits.
//
// The timeout is at most MaxTimeout, by default DefaultTimeout. When it passes,
// or when ctx ends, the command's process group is killed, which takes up to a
// few seconds more. A timeout is a result, not an error; with any error the
// result still holds what came until then.
func (p *Pool) Exec(ctx context.Context, t Target, command Command, limit int, out func(Chunk)) (Result, error) {
	token := randomHex(8)
	arguments, err := command.arguments(token)
	if err != nil {
		return Result{}, err
	}
	line, err := script(execScript, arguments...)
	if err != nil {
		return Result{}, err
	}
	s, err := p.open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer s.close()

	gathered := newStream(clampLimit(limit), out)
	stdout := newPreamble(token, gathered.writer(false))
	r, err := s.start(ctx, line, command.Stdin, stdout, gathered.writer(true))
	if err != nil {
		gathered.close()
		return Result{}, err
	}
	begin := time.Now()
	timed, cancel := context.WithTimeoutCause(ctx, execTimeout(command.Timeout), errTimedOut)
	defer cancel()
	ended, lingering := r.wait(timed)
	killed := !ended && r.kill(stdout.pid)

	result := Result{Lingering: lingering, Duration: time.Since(begin)}
	result.Stdout, result.Stderr = gathered.close()
	switch {
	case ended && r.status.known:
		result.ExitCode, result.Signal = r.status.code, r.status.signal
		return result, nil
	case ended:
		result.ExitCode = -1
		return result, fail(ConnectionLost, nil, "the connection ended before the command did, which may still be running")
	}
	result.ExitCode, result.Signal = -1, "KILL"
	result.TimedOut = errors.Is(context.Cause(timed), errTimedOut)
	switch {
	case !killed:
		return result, fail(ConnectionLost, context.Cause(timed), "the command was to be ended, and the server did not confirm it")
	case !result.TimedOut:
		return result, stopped(ctx, "the command")
	}
	return result, nil
}

// Ready tells whether the server lets us in and runs a command: one attempt,
// within twice the pool's DialTimeout. The error's kind tells a server that is
// still booting (Unreachable, Auth, ConnectionLost, Timeout) from a wrong one
// (HostKeyMismatch).
func (p *Pool) Ready(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, 2*p.options.DialTimeout)
	defer cancel()
	_, err := p.call(ctx, t, 0, nil, "exit 0")
	return err
}

func execTimeout(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return DefaultTimeout
	}
	return min(timeout, MaxTimeout)
}

func clampLimit(limit int) int {
	if limit <= 0 {
		return DefaultLimit
	}
	return min(limit, MaxLimit)
}

// randomHex is n random bytes in hexadecimal digits.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
