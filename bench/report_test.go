package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(figures) {
		t.Fatalf("%d lines for %d figures", len(lines), len(figures))
	}
	for i, f := range figures {
		if words := strings.Fields(lines[i]); words[0] != f.name || len(words) < 2 {
			t.Errorf("line %q does not tell of %s", lines[i], f.name)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown figure": {"-only", "nothing"},
		"an unknown flag":   {"-fast"},
		"an argument":       {"http"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestReport(t *testing.T) {
	met := true
	r := report{Go: "go1", Processors: 2, LoadBefore: "1.00", LoadAfter: "3.00", Results: []result{{
		Figure: "http", What: "a call", Unit: "ms", comparison: comparison{1, 2, 0.5, 0.5, 0.5}, Against: "nothing", Aim: "≤ 1×", Met: &met,
	}}}
	var table bytes.Buffer
	if err := r.print(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"load average 1.00 before and 3.00 after", "a call", "≤ 1×"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, table.String())
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"load_before":"1.00"`, `"figure":"http"`, `"value":1`, `"ratio":0.5`, `"met":true`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
}
