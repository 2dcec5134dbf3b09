package remote

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of background runs.
const (
	keptRuns      = 32 // ended runs that a server keeps; older ones go when the next one starts
	maxGrace      = time.Minute
	maxRunTimeout = 365 * 24 * time.Hour
	handleBytes   = 16
)

var (
	//go:embed scripts/start.sh
	startScript string
	//go:embed scripts/run.sh
	runScript string
	//go:embed scripts/stop.sh
	stopScript string
	//go:embed scripts/read.sh
	readScript string
)

// Run is a command in the background of a server. It lives there, in
// ~/.berth/runs/<handle>, and needs neither a connection nor us.
type Run struct {
	Handle string // 32 hex digits
	PID    int    // leader of the command's process group
}

// RunStatus is a run at one moment.
type RunStatus struct {
	Running  bool
	ExitCode int    // once ended; 128+n where signal n ended it, as shells say; -1 if Lost
	Signal   string // the signal that such an exit code stands for, such as "TERM"
	TimedOut bool   // the command's timeout ended it
	Lost     bool   // it is over, and nobody saw how: the server was restarted
	Stdout   Slice
	Stderr   Slice
}

// Slice is a piece of a run's output. To go on reading, pass Next.
type Slice struct {
	Text   string // valid UTF-8, never cut within a rune while more may come
	Offset int64  // bytes before it
	Next   int64  // Offset and the bytes that Text stands for
	Total  int64  // bytes so far
}

// Start runs a command detached from the connection. A timeout ends it on the
// server (TERM, 5 seconds later KILL); zero means none. When the connection
// ends in the middle, the error is ConnectionLost and the run may have been
// started: its handle is returned all the same.
//
// The outputs are files in the run's folder on the server's disk, and nothing
// but that disk bounds them. The newest 32 runs are kept.
func (p *Pool) Start(ctx context.Context, t Target, command Command) (Run, error) {
	arguments, err := command.arguments("")
	if err != nil {
		return Run{}, err
	}
	if command.Timeout > maxRunTimeout {
		return Run{}, fail(Invalid, nil, "the timeout is more than a year")
	}
	run := Run{Handle: randomHex(handleBytes)}
	seconds := int64((command.Timeout + time.Second - 1) / time.Second)
	arguments = append([]string{
		run.Handle, strconv.FormatInt(seconds, 10), strconv.Itoa(keptRuns), runScript, stopScript, execScript,
	}, arguments...)
	ctx, cancel := context.WithTimeout(ctx, scriptPatience)
	defer cancel()
	answer, err := p.call(ctx, t, 64, command.Stdin, startScript, arguments...)
	if err != nil {
		return run, err
	}
	run.PID, err = strconv.Atoi(strings.TrimSpace(string(answer)))
	if err != nil {
		return run, fail(Failed, err, "the server gave no pid")
	}
	return run, nil
}

// ReadRun tells how a run is doing, with at most limit bytes (as for Exec) of
// each output from the given offsets on; a negative offset counts from the end.
func (p *Pool) ReadRun(ctx context.Context, t Target, handle string, stdout, stderr int64, limit int) (RunStatus, error) {
	if err := checkHandle(handle); err != nil {
		return RunStatus{}, err
	}
	limit = clampLimit(limit)
	ctx, cancel := context.WithTimeout(ctx, scriptPatience)
	defer cancel()
	answer, err := p.call(ctx, t, 2*limit+256, nil, readScript, handle,
		strconv.FormatInt(stdout, 10), strconv.FormatInt(stderr, 10), strconv.Itoa(limit))
	if err != nil {
		return RunStatus{}, err
	}
	header, body, _ := bytes.Cut(answer, []byte("\n"))
	if string(header) == "gone" {
		return RunStatus{}, noRun(handle)
	}
	return parseRun(string(header), body)
}

// StopRun ends a run: TERM to everything that belongs to it, and KILL after
// grace (whole seconds, at most a minute) to what is left. To stop an ended
// run ends what it left behind.
func (p *Pool) StopRun(ctx context.Context, t Target, handle string, grace time.Duration) error {
	if err := checkHandle(handle); err != nil {
		return err
	}
	grace = min(max(grace, 0), maxGrace)
	ctx, cancel := context.WithTimeout(ctx, grace+scriptPatience)
	defer cancel()
	seconds := int64((grace + time.Second - 1) / time.Second)
	answer, err := p.call(ctx, t, 64, nil, stopScript, handle, strconv.FormatInt(seconds, 10))
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(answer)) == "gone" {
		return noRun(handle)
	}
	return nil
}

func checkHandle(handle string) error {
	b, err := hex.DecodeString(handle)
	if err != nil || len(b) != handleBytes || handle != hex.EncodeToString(b) {
		return fail(Invalid, nil, "%.40q is no handle of a run: expected %d hex digits", handle, 2*handleBytes)
	}
	return nil
}

func noRun(handle string) error {
	return fail(NotFound, nil, "the server has no run %s", handle)
}

// parseRun reads the answer of read.sh.
func parseRun(header string, body []byte) (RunStatus, error) {
	var state string
	var code int
	var out, err struct{ start, length, size int64 }
	if _, e := fmt.Sscan(header, &state, &code, &out.start, &out.length, &out.size, &err.start, &err.length, &err.size); e != nil {
		return RunStatus{}, fail(Failed, e, "the server's answer about the run makes no sense")
	}
	if out.length < 0 || err.length < 0 || int64(len(body)) != out.length+err.length {
		return RunStatus{}, fail(Failed, nil, "the run's output changed while it was read")
	}
	status := RunStatus{
		Running:  state == "running",
		TimedOut: state == "timeout",
		Lost:     state == "lost",
		ExitCode: code,
		Signal:   signalOf(code),
	}
	if status.Lost {
		status.ExitCode = -1
	}
	status.Stdout = newSlice(body[:out.length], out.start, out.size, status.Running)
	status.Stderr = newSlice(body[out.length:], err.start, err.size, status.Running)
	return status, nil
}

// newSlice leaves an unfinished rune at the end for the next slice, unless
// nothing will ever finish it.
func newSlice(b []byte, start, size int64, running bool) Slice {
	if start > 0 {
		// Only an offset of the caller's own choice begins within a rune.
		skip := runeStart(b)
		b, start = b[skip:], start+int64(skip)
	}
	if n := wholeRunes(b); n > 0 && (running || start+int64(len(b)) < size) {
		b = b[:n]
	}
	return Slice{Text: validText(string(b)), Offset: start, Next: start + int64(len(b)), Total: size}
}

// signalOf names the signal that a shell's exit code stands for.
func signalOf(code int) string {
	names := []string{
		1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE",
		9: "KILL", 10: "USR1", 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM",
	}
	if n := code - 128; n > 0 && n < len(names) {
		return names[n]
	}
	return ""
}
