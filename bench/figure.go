package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// figure is something to be measured. It gives one result for each way to look
// at it.
type figure struct {
	name    string
	tells   string // in a few words
	measure func(context.Context, *lab) ([]result, error)
}

// result is one measurement beside its baseline.
type result struct {
	Figure string `json:"figure"`
	What   string `json:"what"`
	Unit   string `json:"unit"`
	comparison
	Against string `json:"against"` // what the baseline is
	Aim     string `json:"aim,omitempty"`
	Met     *bool  `json:"met,omitempty"` // absent where there is no aim
}

// aim is a bound that a result should keep.
type aim struct {
	text string
	kept func(comparison) bool
}

func atMost(times float64) *aim {
	return &aim{fmt.Sprintf("≤ %g×", times), func(c comparison) bool { return c.Ratio <= times }}
}

func atLeast(times float64) *aim {
	return &aim{fmt.Sprintf("≥ %g×", times), func(c comparison) bool { return c.Ratio >= times }}
}

// within bounds the value itself, in the result's unit.
func within(most float64, unit string) *aim {
	return &aim{fmt.Sprintf("≤ %g %s", most, unit), func(c comparison) bool { return c.Value <= most }}
}

// newResult judges a comparison by its aim, which may be nil.
func newResult(what, unit string, c comparison, against string, a *aim) result {
	r := result{What: what, Unit: unit, comparison: c, Against: against}
	if a != nil {
		kept := a.kept(c)
		r.Aim, r.Met = a.text, &kept
	}
	return r
}

// printTable writes results for people, as a Markdown table.
func printTable(w io.Writer, list []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	columns := []string{"measured", "value", "baseline", "value", "ratio", "range", "aim", "met"}
	row := func(cells ...string) { fmt.Fprintln(t, "| "+strings.Join(cells, "\t| ")+"\t|") }
	row(columns...)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
	}
	row(rule...)
	for _, r := range list {
		row(r.What, number(r.Value)+" "+r.Unit, r.Against, number(r.Baseline)+" "+r.Unit,
			number(r.Ratio)+"×", number(r.Low)+"–"+number(r.High), or(r.Aim, "none"), verdict(r.Met))
	}
	return t.Flush()
}

// number has three digits that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func verdict(met *bool) string {
	switch {
	case met == nil:
		return ""
	case *met:
		return "yes"
	default:
		return "no"
	}
}
