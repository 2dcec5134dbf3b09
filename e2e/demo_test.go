package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// demoLimit is how long the demo may take.
const demoLimit = time.Minute

// TestDemo runs the demo as whoever runs the tests.
func TestDemo(t *testing.T) {
	t.Parallel()
	runDemo(t, nil, t.TempDir())
}

// throwAway is the user id of a user that nothing belongs to.
const throwAway = 54321

// TestDemoAsOrdinaryUser runs the demo as a user without any rights.
func TestDemoAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; TestDemo has run as an ordinary one")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv (of util-linux) is needed to become another user")
	}
	home, err := os.MkdirTemp("", "berth-e2e-home-") // below a folder that others can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chown(home, throwAway, throwAway); err != nil {
		t.Fatal(err)
	}
	id := strconv.Itoa(throwAway)
	runDemo(t, []string{setpriv, "--reuid=" + id, "--regid=" + id, "--clear-groups"}, home)
}

// runDemo runs the demo, by way of another command if there is one, and checks
// that it ends well, in time, and leaves nothing in its temporary folder.
func runDemo(t *testing.T, by []string, home string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*demoLimit)
	defer cancel()
	line := append(by, program, "demo", "--json")
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(cleanEnvironment(filepath.Join(home, "data")), "HOME="+home, "TMPDIR="+home)
	var out, errText bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = "/", &out, &errText, time.Second
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errText.String())
	}
	if took := time.Since(start); took > demoLimit {
		t.Errorf("it took %s", took)
	}
	checkStory(t, out.String())
	left, err := os.ReadDir(home)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// checkStory checks the demo's lines: every step went well, or was skipped with
// a reason, and so did the whole.
func checkStory(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	steps := map[string]bool{}
	var l struct {
		Step, Skipped, Missing string
		OK                     bool
	}
	for i, line := range lines {
		l.Step, l.Skipped, l.Missing = "", "", ""
		if err := json.Unmarshal([]byte(line), &l); err != nil || !l.OK || (l.Step == "") != (i == len(lines)-1) {
			t.Errorf("line %d: %v: %s", i+1, err, line)
		}
		if l.Skipped != "" {
			t.Logf("%s was skipped: %s", l.Step, l.Skipped)
		}
		steps[l.Step] = true
	}
	for _, step := range []string{"prices", "quote", "create", "exec", "page", "extend", "snapshot", "destroy", "restore", "file", "statement", "verify"} {
		if !steps[step] {
			t.Errorf("the story lacks %q", step)
		}
	}
	if l.Missing != "" {
		t.Logf("missing here: %s", l.Missing)
	}
}
