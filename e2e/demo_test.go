package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// demoLimit is how long the demo may take.
const demoLimit = time.Minute

// wholeStory is the steps of the demo without flags that matter.
var wholeStory = []string{"prices", "quote", "create", "exec", "page", "extend", "snapshot", "destroy", "restore", "file", "statement", "verify"}

// TestDemo runs the demo as whoever runs the tests.
func TestDemo(t *testing.T) {
	t.Parallel()
	newHouse(t).demo(wholeStory)
}

// TestDemoAsOrdinaryUser runs the demo as a user without any rights.
func TestDemoAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	newHouseOfOrdinaryUser(t).demo(wholeStory)
}

// demo runs the demo and checks that it ends well, in time, and leaves nothing
// in its temporary folder.
func (h *house) demo(story []string, flags ...string) {
	t := h.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*demoLimit)
	defer cancel()
	cmd := h.berth(ctx, append([]string{"demo", "--json"}, flags...)...)
	cmd.Env = append(cmd.Env, "TMPDIR="+h.dir)
	var out, errText bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errText
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errText.String())
	}
	if took := time.Since(start); took > demoLimit {
		t.Errorf("it took %s", took)
	}
	checkStory(t, out.String(), story)
	left, err := os.ReadDir(h.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDemoWallet runs the wallet's story, with a chain that the demo starts.
func TestDemoWallet(t *testing.T) {
	t.Parallel()
	chain := filepath.Join(filepath.Dir(program), "berth-devchain")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", chain, "berth/cmd/berth-devchain")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build berth-devchain: %v\n%s", err, out)
	}
	newHouse(t).demo([]string{"wallet", "ask", "pay", "retry", "key", "destroy", "chain", "verify"}, "--wallet")
}

// checkStory checks the demo's lines: every step went well, or was skipped with
// a reason, and so did the whole.
func checkStory(t *testing.T, text string, story []string) {
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
	for _, step := range story {
		if !steps[step] {
			t.Errorf("the story lacks %q", step)
		}
	}
	if l.Missing != "" {
		t.Logf("missing here: %s", l.Missing)
	}
}
