package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLostRun: a run whose runner is gone, as after a restart of the server,
// is neither running nor ended in any known way.
func TestLostRun(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	run, err := p.Start(t.Context(), s.Target, Command{Line: "echo half; sleep 300"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run is up", func() bool { return sleepers(t, "BERTH_RUN="+run.Handle) == 1 })
	killMarked(t, "HOME="+s.home)
	status, err := p.ReadRun(t.Context(), s.Target, run.Handle, 0, 0, 0)
	if err != nil || status.Running || !status.Lost || status.ExitCode != -1 || status.Stdout.Text != "half\n" {
		t.Errorf("%+v, %v", status, err)
	}
}

// TestKeptRuns: a new run takes the place of the oldest ended one, and never
// that of one which goes on.
func TestKeptRuns(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	alive, err := p.Start(t.Context(), s.Target, Command{Line: "sleep 300"})
	if err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(s.home, ".berth", "runs")
	old := time.Now().Add(-time.Hour)
	for i := range keptRuns + 10 {
		dir := filepath.Join(runs, fmt.Sprintf("%032x", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, old, old.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(runs, alive.Handle), old, old.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	run, err := p.Start(t.Context(), s.Target, Command{Line: "true"})
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(runs)
	if err != nil || len(left) != keptRuns+1 {
		t.Errorf("%d runs are left, %v", len(left), err)
	}
	for _, handle := range []string{alive.Handle, run.Handle, fmt.Sprintf("%032x", keptRuns+9)} {
		if _, err := os.Stat(filepath.Join(runs, handle)); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(runs); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("runs are open to others: %v, %v", info.Mode(), err)
	}
}

// TestSlices: page after page, slices add up to the text, whatever their size.
func TestSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.String().Draw(t, "whole")
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		var got string
		for next := int64(0); next < int64(len(whole)); {
			end := min(int(next)+limit, len(whole))
			slice := newSlice([]byte(whole[next:end]), next, int64(len(whole)), false)
			if limit >= 4 && slice.Offset != next || slice.Next <= next {
				t.Fatalf("at %d: %+v", next, slice)
			}
			got, next = got+slice.Text, slice.Next
		}
		if limit >= 4 && got != whole {
			t.Fatalf("got %q, want %q", got, whole)
		}
	})
}

func TestSignalOf(t *testing.T) {
	for code, want := range map[int]string{0: "", 1: "", 127: "", 128: "", 130: "INT", 137: "KILL", 143: "TERM", 144: "", 255: ""} {
		if got := signalOf(code); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}
