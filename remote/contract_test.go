package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// host is a server of any make, for tests that hold for every one.
type host struct {
	Target
	home string // a folder of the test's own, the account's home
}

// contract are the tests that hold for every server.
var contract = []struct {
	name string
	test func(*testing.T, *Pool, host)
}{
	{"exit", testExit},
	{"stdin", testStdin},
	{"environment", testEnvironment},
	{"stream", testStream},
	{"excerpt", testExcerpt},
	{"timeout", testTimeout},
	{"cancel", testCancel},
	{"lingering", testLingering},
	{"run", testRun},
	{"run stopped", testStopRun},
	{"run timed out", testRunTimeout},
	{"files", testFiles},
}

func TestContract(t *testing.T) {
	hosts := map[string]func(*testing.T) host{
		"sh":      func(t *testing.T) host { s := newServer(t); return host{s.Target, s.home} },
		"bash":    bashHost,
		"openssh": opensshHost,
	}
	for name, start := range hosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			p := newPool(t, PoolOptions{})
			for _, c := range contract {
				t.Run(c.name, func(t *testing.T) { c.test(t, p, h) })
			}
		})
	}
}

func mustExec(t *testing.T, p *Pool, h host, command Command) Result {
	t.Helper()
	result, err := p.Exec(t.Context(), h.Target, command, 0, nil)
	if err != nil {
		t.Fatalf("%s: %v", command.Line, err)
	}
	return result
}

func testExit(t *testing.T, p *Pool, h host) {
	for _, c := range []struct {
		line   string
		code   int
		signal string
		stdout string
	}{
		{"true", 0, "", ""},
		{"exit 3", 3, "", ""},
		{"echo out; exit 255", 255, "", "out\n"},
		{"no-such-command-here", 127, "", ""},
		{"kill -TERM $$", -1, "TERM", ""},
		{"echo out; kill -KILL $$", -1, "KILL", "out\n"},
		{"echo 'unbalanced", 2, "", ""},
		{"# only a comment", 0, "", ""},
		{"cat <<E\nhere\nE", 0, "", "here\n"},
		{"(exit 4) || echo $?", 0, "", "4\n"},
	} {
		r := mustExec(t, p, h, Command{Line: c.line})
		if c.line == "echo 'unbalanced" && r.ExitCode == 1 {
			continue // some versions of bash say 1, others 2
		}
		if r.ExitCode != c.code || r.Signal != c.signal || r.Stdout.Text != c.stdout || r.TimedOut || r.Lingering {
			t.Errorf("%s: %+v", c.line, r)
		}
	}
	if err := p.Ready(t.Context(), h.Target); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

func testStdin(t *testing.T, p *Pool, h host) {
	input := bytes.Repeat([]byte("0123456789abcde\n"), MaxStdin/16)
	want := sha256.Sum256(input)
	r := mustExec(t, p, h, Command{Line: "sha256sum", Stdin: input})
	if !strings.HasPrefix(r.Stdout.Text, hex.EncodeToString(want[:])) {
		t.Errorf("sha256sum of 1 MiB of stdin: %+v", r)
	}
	// Without input there is an end of file, and a command that ignores its
	// input doesn't wait for it.
	if r := mustExec(t, p, h, Command{Line: "cat; echo end"}); r.Stdout.Text != "end\n" {
		t.Errorf("no stdin: %+v", r)
	}
	if r := mustExec(t, p, h, Command{Line: "exit 5", Stdin: input}); r.ExitCode != 5 {
		t.Errorf("unread stdin: %+v", r)
	}
}

func testEnvironment(t *testing.T, p *Pool, h host) {
	dir := filepath.Join(h.home, `a dir's "name" $HOME`)
	mustExec(t, p, h, Command{Line: `mkdir -p "$D"`, Env: map[string]string{"D": dir}})
	r := mustExec(t, p, h, Command{
		Line: `pwd; printf '%s|' "$A" "$B" "$C_1"; env | grep -c '^BERTH'`,
		Cwd:  dir,
		Env:  map[string]string{"A": "it's", "B": "$(id) `id` \\ \"x\"\n;", "C_1": ""},
	})
	if want := dir + "\nit's|$(id) `id` \\ \"x\"\n;||0\n"; r.Stdout.Text != want || r.ExitCode != 1 {
		t.Errorf("got %q, exit %d; want %q", r.Stdout.Text, r.ExitCode, want)
	}
	r = mustExec(t, p, h, Command{Line: "echo ran", Cwd: "/no/such/dir"})
	if r.ExitCode == 0 || r.Stdout.Text != "" || !strings.Contains(r.Stderr.Text, "/no/such/dir") {
		t.Errorf("a missing directory: %+v", r)
	}
}

func testStream(t *testing.T, p *Pool, h host) {
	var stdout, stderr bytes.Buffer
	chunks := 0
	r, err := p.Exec(t.Context(), h.Target, Command{
		Line: "i=0; while [ $i -lt 3000 ]; do echo line-€-$i; echo err-$i >&2; i=$((i+1)); done",
	}, 1<<20, func(c Chunk) {
		chunks++
		if wholeRunes(c.Data) != len(c.Data) {
			t.Errorf("a chunk ends within a rune: %q", c.Data)
		}
		if c.Stderr {
			stderr.Write(c.Data)
		} else {
			stdout.Write(c.Data)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if stdout.String() != r.Stdout.Text || stderr.String() != r.Stderr.Text {
		t.Errorf("chunks and result differ")
	}
	if !strings.HasSuffix(stdout.String(), "line-€-2999\n") || !strings.HasSuffix(stderr.String(), "err-2999\n") {
		t.Errorf("the end is missing")
	}
	if chunks > 1000 {
		t.Errorf("%d chunks for %d bytes", chunks, stdout.Len()+stderr.Len())
	}
	// What comes is passed on while the command goes on.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := p.Exec(ctx, h.Target, Command{Line: "echo early; sleep 300"}, 0, func(Chunk) { cancel() }); KindOf(err) != Canceled {
		t.Errorf("canceled at the first chunk: %v", err)
	}
}

func testExcerpt(t *testing.T, p *Pool, h host) {
	r, err := p.Exec(t.Context(), h.Target, Command{Line: "seq 1 200000; seq 1 10 >&2"}, 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := r.Stdout
	if !o.Truncated || o.Total != 1288895 || o.Omitted != o.Total-1000 ||
		!strings.HasPrefix(o.Text, "1\n2\n3\n") || !strings.HasSuffix(o.Text, "\n199999\n200000\n") {
		t.Errorf("stdout: %+v", o)
	}
	if r.Stderr.Truncated || r.Stderr.Total != 21 {
		t.Errorf("stderr: %+v", r.Stderr)
	}
}

func testTimeout(t *testing.T, p *Pool, h host) {
	mark := randomHex(8)
	r := mustExec(t, p, h, Command{
		Line:    "sleep 300 & (sleep 300; sleep 300) & echo begun; wait",
		Env:     map[string]string{"MARK": mark},
		Timeout: 300 * time.Millisecond,
	})
	if !r.TimedOut || r.ExitCode != -1 || r.Signal != "KILL" || r.Stdout.Text != "begun\n" {
		t.Errorf("%+v", r)
	}
	eventually(t, "the group is gone", func() bool { return len(marked(t, "MARK="+mark)) == 0 })
}

func testCancel(t *testing.T, p *Pool, h host) {
	mark := randomHex(8)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, err := p.Exec(ctx, h.Target, Command{
		Line: "trap '' TERM HUP; echo begun; sleep 300; sleep 300", Env: map[string]string{"MARK": mark},
	}, 0, nil)
	if KindOf(err) != Timeout || r.TimedOut || r.Stdout.Text != "begun\n" {
		t.Errorf("%+v, %v", r, err)
	}
	eventually(t, "the group is gone", func() bool { return len(marked(t, "MARK="+mark)) == 0 })
}

func testLingering(t *testing.T, p *Pool, h host) {
	mark := randomHex(8)
	defer killMarked(t, "MARK="+mark)
	r := mustExec(t, p, h, Command{Line: "sleep 300 & echo left; exit 7", Env: map[string]string{"MARK": mark}})
	if !r.Lingering || r.ExitCode != 7 || r.TimedOut || r.Stdout.Text != "left\n" {
		t.Errorf("%+v", r)
	}
	if len(marked(t, "MARK="+mark)) == 0 {
		t.Errorf("the background process was killed")
	}
}

// endedRun waits for the end of a run.
func endedRun(t *testing.T, p *Pool, h host, handle string) (status RunStatus) {
	t.Helper()
	eventually(t, "the run has ended", func() bool {
		var err error
		status, err = p.ReadRun(t.Context(), h.Target, handle, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return !status.Running
	})
	return status
}

func testRun(t *testing.T, p *Pool, h host) {
	gate := filepath.Join(h.home, "gate "+randomHex(4))
	first := newPool(t, PoolOptions{})
	run, err := first.Start(t.Context(), h.Target, Command{
		Line:  `cat; echo "$G" >&2; echo héllo; until [ -e "$G" ]; do sleep 0.02; done; printf end; exit 9`,
		Env:   map[string]string{"G": gate},
		Stdin: []byte("input "),
		Cwd:   h.home,
	})
	if err != nil {
		t.Fatal(err)
	}
	first.Close() // the run needs neither the connection nor its pool

	var status RunStatus
	eventually(t, "output comes", func() bool {
		if status, err = p.ReadRun(t.Context(), h.Target, run.Handle, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		return status.Stdout.Total == 13
	})
	if !status.Running || status.Stdout.Text != "input héllo\n" || status.Stderr.Text != gate+"\n" {
		t.Errorf("running: %+v", status)
	}
	if _, err := p.Upload(t.Context(), h.Target, UploadSpec{Path: gate, Limit: 1}, strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	endedRun(t, p, h, run.Handle)
	next, err := p.ReadRun(t.Context(), h.Target, run.Handle, status.Stdout.Next, -3, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := RunStatus{
		ExitCode: 9,
		Stdout:   Slice{Text: "end", Offset: 13, Next: 16, Total: 16},
		Stderr:   Slice{Text: gate[len(gate)-2:] + "\n", Offset: int64(len(gate)) - 2, Next: int64(len(gate)) + 1, Total: int64(len(gate)) + 1},
	}
	if next != want {
		t.Errorf("got %+v, want %+v", next, want)
	}
	// Two bytes at a time never cut the é, and nothing is lost.
	text, offset := "", int64(0)
	for text != "input héllo\nend" {
		status, err := p.ReadRun(t.Context(), h.Target, run.Handle, offset, 0, 2)
		if err != nil || status.Stdout.Next == offset {
			t.Fatalf("stuck at %d: %+v, %v", offset, status, err)
		}
		text, offset = text+status.Stdout.Text, status.Stdout.Next
	}
	if err := p.StopRun(t.Context(), h.Target, run.Handle, 0); err != nil {
		t.Errorf("to stop an ended run: %v", err)
	}
	for _, handle := range []string{"", "../../etc", strings.ToUpper(run.Handle), run.Handle + "00", "zz"} {
		if _, err := p.ReadRun(t.Context(), h.Target, handle, 0, 0, 0); KindOf(err) != Invalid {
			t.Errorf("handle %q: %v", handle, err)
		}
	}
	unknown := strings.Repeat("0", 32)
	if _, err := p.ReadRun(t.Context(), h.Target, unknown, 0, 0, 0); KindOf(err) != NotFound {
		t.Errorf("unknown handle: %v", err)
	}
	if err := p.StopRun(t.Context(), h.Target, unknown, 0); KindOf(err) != NotFound {
		t.Errorf("stop of an unknown handle: %v", err)
	}
}

// sleepers counts the marked processes that sleep.
func sleepers(t *testing.T, entry string) (n int) {
	for _, pid := range marked(t, entry) {
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && string(comm) == "sleep\n" {
			n++
		}
	}
	return n
}

func testStopRun(t *testing.T, p *Pool, h host) {
	for _, c := range []struct {
		name, line string
		sleeps     int
		grace      time.Duration
		code       int
		signal     string
	}{
		{"TERM is enough", "sleep 300 & sleep 300 & wait", 2, 10 * time.Second, 128 + 15, "TERM"},
		{"the command takes its leave", "trap 'exit 6' TERM; sleep 300 & wait", 1, 10 * time.Second, 6, ""},
		{"KILL is needed", "trap '' TERM; sleep 300; sleep 300", 1, time.Second, 128 + 9, "KILL"},
		{"a daemon leaves the group", "setsid sleep 300 & wait", 1, 10 * time.Second, 128 + 15, "TERM"},
		{"only children are left", "sleep 300 & exit 0", 1, 10 * time.Second, 0, ""},
	} {
		mark := randomHex(8)
		run, err := p.Start(t.Context(), h.Target, Command{Line: c.line, Env: map[string]string{"MARK": mark}})
		if err != nil {
			t.Fatal(err)
		}
		// A process that is only about to become sleep could miss the signal.
		eventually(t, "the run is up", func() bool { return sleepers(t, "MARK="+mark) == c.sleeps })
		if err := p.StopRun(t.Context(), h.Target, run.Handle, c.grace); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if pids := marked(t, "MARK="+mark); len(pids) > 0 {
			t.Errorf("%s: left behind: %v", c.name, pids)
		}
		status, err := p.ReadRun(t.Context(), h.Target, run.Handle, 0, 0, 0)
		if err != nil || status.Running || status.Lost || status.ExitCode != c.code || status.Signal != c.signal {
			t.Errorf("%s: %+v, %v", c.name, status, err)
		}
	}
}

func testRunTimeout(t *testing.T, p *Pool, h host) {
	mark := randomHex(8)
	run, err := p.Start(t.Context(), h.Target, Command{
		Line: "sleep 300 & sleep 300", Env: map[string]string{"MARK": mark}, Timeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	status := endedRun(t, p, h, run.Handle)
	if !status.TimedOut || status.Signal != "TERM" {
		t.Errorf("%+v", status)
	}
	eventually(t, "the group is gone", func() bool { return len(marked(t, "MARK="+mark)) == 0 })
	// A command that is quicker than its timeout leaves no watcher behind.
	run, err = p.Start(t.Context(), h.Target, Command{Line: "exit 2", Timeout: 123456 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if status := endedRun(t, p, h, run.Handle); status.TimedOut || status.ExitCode != 2 {
		t.Errorf("%+v", status)
	}
	if r := mustExec(t, p, h, Command{Line: "ps -eo args | grep '[s]leep 123456'"}); r.Stdout.Text != "" {
		t.Errorf("left behind: %s", r.Stdout.Text)
	}
}

func testFiles(t *testing.T, p *Pool, h host) {
	content := bytes.Repeat([]byte("0123456789"), 300_000)
	digest := sha256.Sum256(content)
	name := filepath.Join(h.home, "deep", "er", `a "file's" name`)
	ctx := t.Context()

	_, err := p.Upload(ctx, h.Target, UploadSpec{Path: name, Limit: 10}, strings.NewReader("x"))
	if KindOf(err) != NotFound {
		t.Errorf("upload into a missing directory: %v", err)
	}
	info, err := p.Upload(ctx, h.Target, UploadSpec{Path: name, Mode: 0o750, MkdirAll: true, Limit: int64(len(content))}, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if info.Path != name || info.Size != int64(len(content)) || info.Mode != 0o750 || info.SHA256 != hex.EncodeToString(digest[:]) {
		t.Errorf("uploaded: %+v", info)
	}
	var got bytes.Buffer
	page, err := p.Download(ctx, h.Target, DownloadSpec{Path: name, Limit: 4 << 20}, &got)
	if err != nil || !bytes.Equal(got.Bytes(), content) || page.SHA256 != info.SHA256 || !page.EOF || page.Mode != 0o750 {
		t.Errorf("downloaded %d bytes: %+v, %v", got.Len(), page, err)
	}
	// Without a mode, the one that is there stays.
	info, err = p.Upload(ctx, h.Target, UploadSpec{Path: name, Limit: 10}, strings.NewReader("new"))
	if err != nil || info.Mode != 0o750 || info.Size != 3 {
		t.Errorf("replaced: %+v, %v", info, err)
	}
	stat, err := p.Stat(ctx, h.Target, filepath.Dir(name)+"/")
	if err != nil || !stat.Mode.IsDir() {
		t.Errorf("stat of a directory: %+v, %v", stat, err)
	}
	if _, err := p.Stat(ctx, h.Target, name+".no"); KindOf(err) != NotFound {
		t.Errorf("stat of nothing: %v", err)
	}
	if r := mustExec(t, p, h, Command{Line: "ls -A", Cwd: filepath.Dir(name)}); r.Stdout.Text != filepath.Base(name)+"\n" {
		t.Errorf("the directory holds %q", r.Stdout.Text)
	}
	if info, err := p.Stat(ctx, h.Target, "/proc/version"); err != nil || info.Mode&fs.ModeType != 0 {
		t.Errorf("/proc/version: %+v, %v", info, err)
	}
	got.Reset()
	if page, err := p.Download(ctx, h.Target, DownloadSpec{Path: "/proc/version", Limit: 4096}, &got); err != nil || got.Len() == 0 || page.Size != int64(got.Len()) {
		t.Errorf("a file that tells no size: %+v, %v", page, err)
	}
	if _, err := p.Upload(ctx, h.Target, UploadSpec{Path: "/proc/berth", Limit: 10}, strings.NewReader("x")); err == nil {
		t.Error("a file was uploaded into /proc")
	}
}
