package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestAims(t *testing.T) {
	c := comparison{Value: 50, Baseline: 40, Ratio: 1.25}
	for name, tt := range map[string]struct {
		aim  *aim
		text string
		met  bool
	}{
		"ratio low enough":  {atMost(1.5), "≤ 1.5×", true},
		"ratio too high":    {atMost(1.2), "≤ 1.2×", false},
		"ratio high enough": {atLeast(0.7), "≥ 0.7×", true},
		"ratio too low":     {atLeast(1.3), "≥ 1.3×", false},
		"value low enough":  {within(60, "ms"), "≤ 60 ms", true},
		"value too high":    {within(40, "ms"), "≤ 40 ms", false},
	} {
		r := newResult("w", "ms", c, "b", tt.aim)
		if r.Aim != tt.text || r.Met == nil || *r.Met != tt.met {
			t.Errorf("%s: %q met %v, want %q %v", name, r.Aim, r.Met, tt.text, tt.met)
		}
	}
	if r := newResult("w", "ms", c, "b", nil); r.Aim != "" || r.Met != nil {
		t.Errorf("without an aim: %q, %v", r.Aim, r.Met)
	}
}

func TestTable(t *testing.T) {
	list := []result{
		newResult("first", "µs", comparison{1234.5, 12.34, 100.04, 0.5, 200}, "nothing", atMost(2)),
		newResult("second", "/s", comparison{1, 2, 0.5, 0.5, 0.5}, "something", nil),
	}
	var out bytes.Buffer
	if err := printTable(&out, list); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"| first | 1234 µs | nothing | 12.3 µs | 100× | 0.50–200 | ≤ 2× | no |",
		"| second | 1.00 /s | something | 2.00 /s | 0.50× | 0.50–0.50 | none | |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(figures) {
		t.Errorf("no names choose %d, %v; want all", len(all), err)
	}
	some, err := choose("memory, http")
	if err != nil || len(some) != 2 || some[0].name != "memory" || some[1].name != "http" {
		t.Errorf("two names choose %v, %v", some, err)
	}
	if _, err := choose("memory,speed"); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("an unknown name: error = %v, want one that lists the known", err)
	}
}

func TestFindURL(t *testing.T) {
	for line, want := range map[string]string{
		"Berth serves at http://127.0.0.1:8080": "http://127.0.0.1:8080",
		"URL http://127.0.0.1:1/":               "http://127.0.0.1:1",
		"TOKEN abc":                             "",
		"":                                      "",
	} {
		if got := findURL(line); got != want {
			t.Errorf("findURL(%q) = %q, want %q", line, got, want)
		}
	}
}
