package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// house is a data directory and whatever runs on it.
type house struct {
	t   *testing.T
	dir string
	env []string
	by  []string // the command that becomes another user, if need be
}

// newHouse makes a data directory. At the end of the test what runs on it is
// stopped and the directory is removed.
func newHouse(t *testing.T) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth-e2e-") // short: a socket's path has to fit its address
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, dir: dir, env: cleanEnvironment(dir)}
	t.Cleanup(h.demolish)
	return h
}

// throwAway is the user id of a user that nothing belongs to.
const throwAway = 54321

// newHouseOfOrdinaryUser makes a data directory that belongs to a user without
// any rights, who runs everything on it.
func newHouseOfOrdinaryUser(t *testing.T) *house {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; the other tests run as an ordinary one already")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv (of util-linux) is needed to become another user")
	}
	h := newHouse(t)
	if err := os.Chown(h.dir, throwAway, throwAway); err != nil {
		t.Fatal(err)
	}
	id := strconv.Itoa(throwAway)
	h.by = []string{setpriv, "--reuid=" + id, "--regid=" + id, "--clear-groups"}
	h.env = append(h.env, "HOME="+h.dir)
	return h
}

// berth is a command of the program, run by the house's user.
func (h *house) berth(ctx context.Context, args ...string) *exec.Cmd {
	line := append(slices.Clone(h.by), append([]string{program}, args...)...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = h.env, h.dir, time.Second
	return cmd
}

// cleanEnvironment is this process's without the settings of a Berth that its
// user may have.
func cleanEnvironment(dir string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "BERTH_") || strings.HasPrefix(v, "DIGITALOCEAN_")
	})
	return append(env, "BERTH_DATA="+dir, "BERTH_LISTEN=127.0.0.1:0")
}

// demolish stops what runs and removes the directory. Where servers' files
// belong to users of their own, only Berth can remove them: by destroying them.
func (h *house) demolish() {
	if h.t.Failed() {
		h.showLog()
	}
	h.stop()
	if os.RemoveAll(h.dir) == nil {
		return
	}
	for _, s := range h.servers() {
		h.run("servers", "destroy", s.ID)
	}
	h.stop()
	if err := os.RemoveAll(h.dir); err != nil {
		h.t.Errorf("remove the data directory: %v", err)
	}
}

// showLog shows what a detached process said.
func (h *house) showLog() {
	text, err := os.ReadFile(filepath.Join(h.dir, "berth.log"))
	if err == nil && len(text) > 0 {
		h.t.Logf("berth.log:\n%s", text)
	}
}

// stop ends what runs, first by asking.
func (h *house) stop() {
	s, up := h.status()
	if !up {
		return
	}
	if _, errText, code := h.try("stop"); code != 0 {
		h.t.Errorf("berth stop: %s", errText)
		_ = syscall.Kill(s.PID, syscall.SIGKILL) // it may have ended meanwhile
	}
}

// try runs a command and returns what it printed and its exit status.
func (h *house) try(args ...string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := h.berth(ctx, args...)
	var out, errText bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errText
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Errorf("run berth %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errText.String(), cmd.ProcessState.ExitCode()
}

// run runs a command that must succeed and returns what it printed.
func (h *house) run(args ...string) string {
	h.t.Helper()
	out, errText, code := h.try(args...)
	if code != 0 {
		h.t.Fatalf("berth %s: exit status %d\n%s%s", strings.Join(args, " "), code, out, errText)
	}
	return out
}

// ask runs a command with --json and decodes what it prints.
func (h *house) ask(into any, args ...string) {
	h.t.Helper()
	decode(h.t, []byte(h.run(append(args, "--json")...)), into)
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("decode: %v\n%s", err, text)
	}
}

// status is what `berth status --json` prints.
type status struct {
	PID      int    `json:"pid"`
	Address  string `json:"address"`
	Hosts    int    `json:"hosts"`
	Ready    bool   `json:"ready"`
	Detached bool   `json:"detached"`
	Shells   bool   `json:"shells"`
	Missing  string `json:"missing"`
}

// status tells what runs on the data directory, if anything does.
func (h *house) status() (s status, up bool) {
	out, _, code := h.try("status", "--json")
	return s, code == 0 && json.Unmarshal([]byte(out), &s) == nil
}

// ready waits until what runs on the data directory can serve.
func (h *house) ready() (s status) {
	h.t.Helper()
	until(h.t, "berth is ready", func() bool {
		var up bool
		s, up = h.status()
		return up && s.Ready
	})
	return s
}

// until polls until it holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for pause := 2 * time.Millisecond; !holds(); pause = min(2*pause, 100*time.Millisecond) {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s in vain until %s", patience, what)
		case <-time.After(pause):
		}
	}
}

// process is a program that a test started.
type process struct {
	*exec.Cmd
	said *said         // on both outputs
	done chan struct{} // closed when it has ended
}

// command prepares a long command.
func (h *house) command(args ...string) *process {
	p := &process{Cmd: h.berth(context.Background(), args...), said: &said{}, done: make(chan struct{})}
	p.Stdout, p.Stderr = p.said, p.said
	return p
}

// begin starts a process. It is killed at the end of the test if it still runs.
func (p *process) begin(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.Wait() // the exit status is read where it matters
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(p.Args, " "), p.said)
		}
	})
}

// start starts a long command.
func (h *house) start(args ...string) *process {
	h.t.Helper()
	p := h.command(args...)
	p.begin(h.t)
	return p
}

// said is what a process has said so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// String is all of it.
func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// interrupt asks the process to end, and waits until it has.
func (p *process) interrupt() {
	_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(patience):
		p.kill()
	}
}

// kill kills the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.Process.Kill() // it may have ended
	<-p.done
}

// exited waits for the end and returns the exit status.
func (p *process) exited(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("berth has not ended after %s", patience)
		return -1
	}
}

// serve starts `berth serve` and waits until it is ready.
func (h *house) serve() (*process, status) {
	h.t.Helper()
	p := h.start("serve")
	s := h.ready()
	if s.PID != p.Process.Pid {
		h.t.Fatalf("process %d holds the data directory, not %d", s.PID, p.Process.Pid)
	}
	return p, s
}

// needShells skips what logs in to servers where that can't be done.
func needShells(t *testing.T, s status) {
	t.Helper()
	if !s.Shells {
		t.Skip("servers have no shell here: " + s.Missing)
	}
}
