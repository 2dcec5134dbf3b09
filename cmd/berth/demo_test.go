package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"berth"
)

// line is what the demo says of a step to machines.
type line struct {
	Step    string
	OK      bool
	MS      int64
	Skipped string
	Error   map[string]string

	Shells       bool
	Missing      string
	Tools        int
	Total        berth.Micros
	Charged      berth.Micros
	Stages       []string
	Commands     []struct{ Stdout string }
	Pieces       int `json:"streamed_pieces"`
	URL          string
	ServedBy     string `json:"served_by"`
	SHA256       string
	Left         *int `json:"machines_left"`
	Spent        berth.Micros
	Holds        bool
	OpenHolds    int `json:"open_holds"`
	Transfers    int
	TotalMS      int64 `json:"total_ms"`
	MinutesAdded int   `json:"minutes_added"`
}

func readLines(t *testing.T, out []byte) []line {
	t.Helper()
	var all []line
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l line
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, out)
		}
		all = append(all, l)
	}
}

// TestDemo tells the whole story for real.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := (&demoCommand{JSON: true}).tell(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	checkStory(t, readLines(t, out.Bytes()))
	checkNothingLeft(t)
}

// checkStory checks what a demo that ended well has told.
func checkStory(t *testing.T, lines []line) {
	t.Helper()
	told := map[string]line{}
	var names, want []string
	for _, l := range lines {
		if !l.OK {
			t.Errorf("%+v is not ok", l)
		}
		told[l.Step] = l
		names = append(names, l.Step)
	}
	for _, s := range chapters() {
		want = append(want, s.name)
	}
	if want = append(want, ""); !slices.Equal(names, want) { // the last line is of no step
		t.Fatalf("steps told: %q, want %q", names, want)
	}
	stages := []string{"paid", "requested", "booting", "address", "ssh ready"}
	if got := told["create"].Stages; !slices.Equal(got, stages) {
		t.Errorf("stages of the create: %q, want %q", got, stages)
	}
	if told["start"].Tools < 20 || told["extend"].MinutesAdded != 60 || told["create"].Charged != told["quote"].Total {
		t.Errorf("start: %+v\nextend: %+v\nquote: %+v\ncreate: %+v", told["start"], told["extend"], told["quote"], told["create"])
	}
	var charged berth.Micros
	for _, l := range lines {
		charged += l.Charged
	}
	if end := told[""]; charged == 0 || told["statement"].Spent != charged || end.Spent != charged || end.TotalMS == 0 {
		t.Errorf("charged: %s, in the statement: %s, at the end: %+v", charged, told["statement"].Spent, end)
	}
	if v := told["verify"]; !v.Holds || v.OpenHolds != 0 || v.Transfers < 6 {
		t.Errorf("verify: %+v", v)
	}
	if left := told["destroy_restored"].Left; left == nil || *left != 0 {
		t.Errorf("machines left: %v", left)
	}
	if told["start"].Shells {
		checkShells(t, told)
		return
	}
	t.Logf("no shells here, so SSH, files and the web page were not tried: %s", told["start"].Missing)
	for _, s := range chapters() {
		if skipped := told[s.name].Skipped; s.shell && (skipped == "" || skipped != told["start"].Missing) {
			t.Errorf("%s: skipped = %q, want the reason %q", s.name, skipped, told["start"].Missing)
		}
	}
	if told[""].Missing == "" {
		t.Error("the end does not say what was missing")
	}
}

// checkShells checks what was done on servers.
func checkShells(t *testing.T, told map[string]line) {
	t.Helper()
	for name, l := range told {
		if l.Skipped != "" {
			t.Errorf("%s was skipped: %s", name, l.Skipped)
		}
	}
	exec := told["exec"]
	if len(exec.Commands) != 2 || !strings.Contains(exec.Commands[0].Stdout, "root\ndemo\n") || strings.Count(exec.Commands[1].Stdout, "working:") != 5 {
		t.Errorf("exec: %+v", exec.Commands)
	}
	// The second command prints over more than a second; each piece is one
	// notification that came before its answer.
	if exec.Pieces < 4 {
		t.Errorf("output came in %d pieces, want it to stream", exec.Pieces)
	}
	if p := told["page"]; p.ServedBy == "" || !strings.HasPrefix(p.URL, "http://127.") {
		t.Errorf("page: %+v", p)
	}
	if len(told["file"].SHA256) != 64 {
		t.Errorf("file: %+v", told["file"])
	}
}

// checkNothingLeft checks that the demo has removed its files and ended its
// processes.
func checkNothingLeft(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("%s is left in the temporary directory", e.Name())
	}
	if runtime.GOOS != "linux" {
		t.Log("this system has no /proc, so processes that are left were not looked for")
		return
	}
	for _, stat := range children(t) {
		t.Errorf("a process is left: %s", stat)
	}
}

// children are this process's child processes, as /proc shows them.
func children(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name is in parentheses and may hold anything; state and parent follow.
		_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, string(text))
		}
	}
	return found
}

// trap is a reader of the demo that does something when a text comes by.
type trap struct {
	bytes.Buffer
	text string
	do   func() error
}

func (w *trap) Write(b []byte) (int, error) {
	if w.do != nil && bytes.Contains(b, []byte(w.text)) {
		if err := w.do(); err != nil {
			return 0, err
		}
	}
	return w.Buffer.Write(b)
}

// TestDemoInterrupted ends the demo in its midst, in several ways.
func TestDemoInterrupted(t *testing.T) {
	gone := errors.New("the reader has gone")
	for _, at := range []string{`"start"`, `"quote"`, `"create"`, `"restore"`} {
		t.Run("signal/"+strings.Trim(at, `"`), func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			ctx, cancel := context.WithCancel(t.Context())
			w := &trap{text: at, do: func() error { cancel(); return nil }}
			err := (&demoCommand{JSON: true}).tell(ctx, w)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("tell = %v, want that it was cancelled", err)
			}
			lines := readLines(t, w.Bytes())
			if last := lines[len(lines)-1]; last.Step != "" || last.OK || last.Error["message"] == "" {
				t.Errorf("the last line is %+v", last)
			}
			checkNothingLeft(t)
		})
	}
	t.Run("reader gone", func(t *testing.T) {
		t.Setenv("TMPDIR", t.TempDir())
		w := &trap{text: `"create"`, do: func() error { return gone }}
		if err := (&demoCommand{JSON: true}).tell(t.Context(), w); !errors.Is(err, gone) {
			t.Errorf("tell = %v, want %v", err, gone)
		}
		checkNothingLeft(t)
	})
}
