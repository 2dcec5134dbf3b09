package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// hostile are strings made of what shells stumble over, and of any byte.
func hostile() *rapid.Generator[string] {
	bytes := rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string { return string(b) })
	words := rapid.SampledFrom([]string{
		"'", `"`, `\`, "$", "`", "$(", ")", "${", "}", "\n", "\r", "\t", " ", "*", "?", "~", "!", "#", "&", "|", ";",
		"<", ">", "-", "--", "=", "''", `'\''`, "%s", "\x81", "\x88", "\xff", "é", "a",
	})
	return rapid.OneOf(bytes, rapid.Map(rapid.SliceOf(words), func(w []string) string { return strings.Join(w, "") }))
}

// TestQuoting: whatever is in a value, a directory or a line, it arrives as it
// is and runs nothing.
func TestQuoting(t *testing.T) {
	for _, shell := range []string{"/bin/sh", "/bin/bash"} {
		t.Run(shell, func(t *testing.T) {
			if shell == "/bin/bash" {
				bashHost(t) // skips where there is none
			}
			s := newServer(t, func(s *server) { s.shell = shell })
			p := newPool(t, PoolOptions{})
			rapid.Check(t, func(t *rapid.T) {
				value, stdin := hostile().Draw(t, "value"), hostile().Draw(t, "stdin")
				dir := "d" + strings.ReplaceAll(hostile().Draw(t, "dir"), "/", "_")
				dir = dir[:min(len(dir), 200)]
				if err := os.MkdirAll(filepath.Join(s.home, dir), 0o700); err != nil {
					t.Fatal(err)
				}
				var got strings.Builder // the text of a result would not show every byte
				r, err := p.Exec(t.Context(), s.Target, Command{
					Line:  `printf '%s|' "$V" "${PWD##*/}"; cat`,
					Cwd:   dir,
					Env:   map[string]string{"V": value},
					Stdin: []byte(stdin),
				}, 0, func(c Chunk) { got.Write(c.Data) })
				if want := value + "|" + dir + "|" + stdin; err != nil || got.String() != want || r.ExitCode != 0 {
					t.Fatalf("got %q, want %q; %+v, %v", got.String(), want, r, err)
				}
				// A line is one, whatever it holds: here all of it is a comment.
				comment := ": # " + strings.ReplaceAll(value, "\n", " ")
				if r, err := p.Exec(t.Context(), s.Target, Command{Line: comment}, 0, nil); err != nil || r.ExitCode != 0 || r.Stdout.Total+r.Stderr.Total > 0 {
					t.Fatalf("%q: %+v, %v", comment, r, err)
				}
			})
		})
	}
}

func TestInvalidCommands(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	for _, c := range []struct {
		name    string
		command Command
		kind    Kind
	}{
		{"empty", Command{Line: " \n"}, Invalid},
		{"NUL in the line", Command{Line: "echo \x00"}, Invalid},
		{"NUL in a value", Command{Line: "true", Env: map[string]string{"A": "\x00"}}, Invalid},
		{"NUL in the directory", Command{Line: "true", Cwd: "/\x00"}, Invalid},
		{"no name", Command{Line: "true", Env: map[string]string{"": "x"}}, Invalid},
		{"digit first", Command{Line: "true", Env: map[string]string{"1A": "x"}}, Invalid},
		{"dash in a name", Command{Line: "true", Env: map[string]string{"A-B": "x"}}, Invalid},
		{"command in a name", Command{Line: "true", Env: map[string]string{"A=1;id;B": "x"}}, Invalid},
		{"letter beyond ASCII", Command{Line: "true", Env: map[string]string{"É": "x"}}, Invalid},
		{"negative timeout", Command{Line: "true", Timeout: -1}, Invalid},
		{"long line", Command{Line: strings.Repeat("x", MaxLine)}, TooLarge},
		{"much stdin", Command{Line: "true", Stdin: make([]byte, MaxStdin+1)}, TooLarge},
	} {
		if _, err := p.Exec(t.Context(), s.Target, c.command, 0, nil); KindOf(err) != c.kind {
			t.Errorf("Exec, %s: %v", c.name, err)
		}
		if _, err := p.Start(t.Context(), s.Target, c.command); KindOf(err) != c.kind {
			t.Errorf("Start, %s: %v", c.name, err)
		}
	}
	if accepted, _, _ := s.counts(); accepted != 0 {
		t.Errorf("%d connections for commands that can't be", accepted)
	}
}

// TestLongLine: the longest line that is accepted does run.
func TestLongLine(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	line := "echo " + strings.Repeat("x", MaxLine-1000)
	r, err := p.Exec(t.Context(), s.Target, Command{Line: line}, MaxLine, nil)
	if err != nil || r.Stdout.Total != MaxLine-999 {
		t.Errorf("%d bytes, %v", r.Stdout.Total, err)
	}
}

// TestKill: the process group is ended by whatever server.
func TestKill(t *testing.T) {
	for name, signals := range map[string]signalling{
		"signals the group": signalsGroup, "signals the shell": signalsShell, "ignores signals": signalsNobody,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(s *server) { s.signals = signals })
			p := newPool(t, PoolOptions{})
			r, err := p.Exec(t.Context(), s.Target, Command{
				Line: "sleep 300 & sleep 300 >/dev/null 2>&1 & sleep 300", Timeout: 100 * time.Millisecond,
			}, 0, nil)
			if err != nil || !r.TimedOut || r.Duration > 3*time.Second {
				t.Errorf("%+v, %v", r, err)
			}
			eventually(t, "the group is gone", func() bool { return len(marked(t, "HOME="+s.home)) == 0 })
		})
	}
}

// TestSlowReceiver: while out takes its time, output waits and is not lost,
// and the timeout still ends the command.
func TestSlowReceiver(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	gone := func() bool { return len(marked(t, "HOME="+s.home)) == 0 }
	waited := false
	r, err := p.Exec(t.Context(), s.Target, Command{Line: "yes", Timeout: 200 * time.Millisecond}, 100, func(Chunk) {
		if !waited {
			waited = true
			eventually(t, "the command was ended behind our back", gone)
		}
	})
	if err != nil || !r.TimedOut || r.Stdout.Total == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLoginNoise: what a login shell says before the command is output, and a
// login shell that runs no commands is no riddle.
func TestLoginNoise(t *testing.T) {
	s := newServer(t, func(s *server) { s.shell = loginShell(t, "echo welcome\nexec /bin/sh \"$@\"") })
	p := newPool(t, PoolOptions{})
	r, err := p.Exec(t.Context(), s.Target, Command{Line: "sleep 300 & echo hi; wait", Timeout: 300 * time.Millisecond}, 0, nil)
	if err != nil || !r.TimedOut || !strings.HasPrefix(r.Stdout.Text, "welcome\n") {
		t.Errorf("%+v, %v", r, err)
	}
	s = newServer(t, func(s *server) { s.shell = loginShell(t, "echo not available\nexit 1") })
	r, err = p.Exec(t.Context(), s.Target, Command{Line: "true"}, 0, nil)
	if err != nil || r.ExitCode != 1 || r.Stdout.Text != "not available\n" {
		t.Errorf("%+v, %v", r, err)
	}
}
