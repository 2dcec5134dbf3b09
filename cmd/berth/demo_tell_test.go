package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth"
	"berth/provider/sandbox/droplet"
)

// episode is a short story: one step that is done, one that can't be done here,
// one that fails, and one that is never reached.
func episode() []step {
	return []step{
		{"good", "Do something", "It shows what a step looks like when it is done.", false, func(_ *story, _ context.Context, c *scene) error {
			c.teller.called("create_server", map[string]any{"size": "small", "label": "a b"})
			c.hear(notice{20, "create srv_1: requested"})
			c.hear(notice{100, "create srv_1: ssh ready"})
			c.hear(notice{-1, "half a li"})
			c.hear(notice{-1, "ne\n\x1b[2Jbell\a\n"})
			c.teller.returned()
			c.say("It is %s.", "done")
			c.facts["answer"] = 42
			return nil
		}},
		{"shell", "Log in", "It needs a shell.", true, func(*story, context.Context, *scene) error {
			return errors.New("must not run")
		}},
		{"bad", "Fail", "It shows what a step looks like when it fails.", false, func(*story, context.Context, *scene) error {
			return berth.Errorf(berth.InsufficientBalance, "too little money").Hinted("add some")
		}},
		{"never", "Never", "It is not reached.", false, func(*story, context.Context, *scene) error {
			return errors.New("must not run")
		}},
	}
}

func tellEpisode(t *testing.T, to teller) {
	t.Helper()
	s := &story{teller: to, report: droplet.Report{Step: "create namespaces", Reason: "they are forbidden"}}
	err := s.tell(t.Context(), episode())
	if berth.CodeOf(err) != berth.InsufficientBalance {
		t.Errorf("tell = %v, want the failed step's error", err)
	}
	to.close(summary{took: time.Second, err: err})
}

func TestTellToMachines(t *testing.T) {
	var out bytes.Buffer
	tellEpisode(t, newJSONLines(&out))
	got := readLines(t, out.Bytes())
	for i := range got {
		got[i].MS = 0
	}
	failure := map[string]string{"code": "insufficient_balance", "message": "too little money", "hint": "add some"}
	want := []line{
		{Step: "good", OK: true, Stages: []string{"requested", "ssh ready"}, Pieces: 2},
		{Step: "shell", OK: true, Skipped: `this machine lets no droplet boot, at the step "create namespaces": they are forbidden`},
		{Step: "bad", Error: failure},
		{Error: failure, TotalMS: 1000},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if !strings.Contains(out.String(), `"answer":42`) {
		t.Errorf("the step's facts are missing in:\n%s", &out)
	}
}

func TestTellToPeople(t *testing.T) {
	var out bytes.Buffer
	tellEpisode(t, &terminal{w: &out, width: minWidth})
	const want = `Berth: an agent buys a server, works on it, and gives it
back. Real machines, play money.

 1/4  Do something
     It shows what a step looks like when it is done.
     → create_server label="a b" size=small
      20 %  requested
     100 %  ssh ready
     │ half a line
     │ �[2Jbell�
     It is done.
     done in 0.00 s

 2/4  Log in
     It needs a shell.
     SKIPPED: servers have no shell on this machine, for the
     reason given above.

 3/4  Fail
     It shows what a step looks like when it fails.
     FAILED: insufficient_balance: too little money
     Hint: add some

The demo ended after 1.00 s: insufficient_balance: too
little money
Everything that it started has been stopped and removed.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestTellWithBarsAndColours(t *testing.T) {
	var out bytes.Buffer
	tellEpisode(t, &terminal{w: &out, width: minWidth, live: true, colour: true})
	for _, want := range []string{"requested   20%  ████████░", "ssh ready  100%  " + strings.Repeat("█", 40), "\x1b[31mFAILED"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, &out)
		}
	}
}

func TestTellTheEnd(t *testing.T) {
	var out bytes.Buffer
	term := &terminal{w: &out, width: maxWidth}
	term.close(summary{took: 2 * time.Second, spent: 95_000, missing: "no namespaces"})
	for _, want := range []string{"Shown without SSH: no namespaces.\n", "Done in 2.00 s, for 0.095 USD of play money.", "berth serve"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

func TestWrapAndCut(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"fits  as it is", 14, "fits  as it is"},
		{"one two three", 7, "one two|three"},
		{"one incomprehensibilities two", 8, "one|incomprehensibilities|two"},
		{"ä ö ü ß", 3, "ä ö|ü ß"},
	} {
		if got := strings.Join(wrap(tt.text, tt.width), "|"); got != tt.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
	for _, tt := range []struct {
		in   any
		want string
	}{
		{60, "60"},
		{"srv_01a2018c41651bb562b437a9", "srv_01a2…37a9"},
		{"echo one\n\ttwo", `"echo one two"`},
		{strings.Repeat("long ", 20), `"` + strings.Repeat("long ", 11) + `long…"`},
	} {
		if got := brief(tt.in); got != tt.want {
			t.Errorf("brief(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}
