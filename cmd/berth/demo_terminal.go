package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/schollz/progressbar/v3"
)

// terminal tells the story to people. It implements teller.
type terminal struct {
	w      io.Writer
	live   bool // a terminal: progress is a bar that moves
	colour bool
	width  int

	bar     *progressbar.ProgressBar // of the call under way
	midLine bool                     // the command's last piece ended inside a line
}

// The fewest and the most columns that are used.
const (
	minWidth = 60
	maxWidth = 100
)

const indent = "     "

// The looks, as ANSI codes.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
	amber = "33"
	cyan  = "36"
)

func (t *terminal) paint(code, text string) string {
	if !t.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// print writes lines that fit the width. Failures end the demo by the writer.
func (t *terminal) print(code, prefix, text string) {
	for _, line := range wrap(text, t.width-len([]rune(prefix))) {
		fmt.Fprintln(t.w, prefix+t.paint(code, line))
	}
}

func (t *terminal) begin(s step, number, of int) {
	if number == 1 {
		t.print(bold, "", "Berth: an agent buys a server, works on it, and gives it back. Real machines, play money.")
	}
	fmt.Fprintln(t.w)
	t.print(bold, "", fmt.Sprintf("%2d/%d  %s", number, of, s.title))
	t.print(faint, indent, s.why)
}

func (t *terminal) called(tool string, args map[string]any) {
	text := tool
	for _, name := range slices.Sorted(maps.Keys(args)) {
		text += " " + name + "=" + brief(args[name])
	}
	t.print(cyan, indent+"→ ", cut(text, t.width-len(indent)-2))
}

// brief is an argument on one line.
func brief(v any) string {
	text := strings.Join(strings.Fields(fmt.Sprint(v)), " ")
	if strings.Contains(text, " ") {
		return fmt.Sprintf("%q", cut(text, 60))
	}
	if r := []rune(text); len(r) > 24 { // an id: its ends tell it from others
		return string(r[:8]) + "…" + string(r[len(r)-4:])
	}
	return text
}

// cut shortens a text to a number of characters.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

func (t *terminal) progressed(percent float64, stage string) {
	if !t.live {
		t.print("", indent, fmt.Sprintf("%3.0f %%  %s", percent, stage))
		return
	}
	if t.bar == nil {
		t.bar = newBar(t.w)
	}
	t.bar.Describe(fmt.Sprintf("%s%-10s", indent, stage))
	_ = t.bar.Set(int(math.Min(percent, 100))) // failures end the demo by the writer
}

func newBar(w io.Writer) *progressbar.ProgressBar {
	return progressbar.NewOptions(100, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(40),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: " ", BarEnd: " "}),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
}

// printed shows a command's output as it comes. It is data from the server, and
// a terminal must not obey it.
func (t *terminal) printed(text string) {
	for line := range strings.Lines(text) {
		if !t.midLine {
			fmt.Fprint(t.w, indent+t.paint(faint, "│ "))
		}
		t.midLine = !strings.HasSuffix(line, "\n")
		fmt.Fprint(t.w, strings.Map(harmless, strings.TrimSuffix(line, "\n")))
		if !t.midLine {
			fmt.Fprintln(t.w)
		}
	}
}

func harmless(r rune) rune {
	if unicode.IsPrint(r) || r == '\t' {
		return r
	}
	return unicode.ReplacementChar
}

func (t *terminal) returned() {
	if t.bar != nil || t.midLine {
		fmt.Fprintln(t.w)
	}
	t.bar, t.midLine = nil, false
}

func (t *terminal) say(line string) { t.print("", indent, line) }

func (t *terminal) end(r stepResult) {
	switch {
	case r.skipped != "":
		t.print(amber, indent, "SKIPPED: servers have no shell on this machine, for the reason given above.")
	case r.err != nil:
		t.print(red, indent, "FAILED: "+r.err.Error())
		if hint := hintOf(r.err); hint != "" {
			t.print("", indent, "Hint: "+hint)
		}
	default:
		t.print(green, indent, "done in "+seconds(r.took))
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func (t *terminal) close(s summary) {
	fmt.Fprintln(t.w)
	switch {
	case s.err != nil:
		t.print(red, "", fmt.Sprintf("The demo ended after %s: %v", seconds(s.took), s.err))
		fmt.Fprintln(t.w, "Everything that it started has been stopped and removed.")
		return
	case s.missing != "":
		t.print(amber, "", "Shown without SSH: "+s.missing+".")
	}
	t.print(bold, "", fmt.Sprintf("Done in %s, for %s USD of play money. Nothing is left running.", seconds(s.took), s.spent))
	fmt.Fprint(t.w, next)
}

// next is what a newcomer may do after the demo.
const next = `
Next:
  go run ./cmd/berth serve     serve agents over HTTP and MCP, with a key that is ready to use
  go run ./cmd/berth mcp       speak MCP on standard input and output, for a host that starts programs
  go run ./cmd/berth --help    accounts, credit, the books
`

// wrap breaks a text into lines of at most width characters, between words.
// Text that fits stays as it is, with its spacing.
func wrap(text string, width int) []string {
	if len([]rune(text)) <= width {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
