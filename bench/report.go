package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// report is all that a run measured, and on what. Where the load is above the
// number of processors, others slowed what was measured.
type report struct {
	Go         string   `json:"go"`
	Processors int      `json:"processors"`
	System     string   `json:"system"`
	Seconds    int      `json:"seconds"`     // how long the run took
	LoadBefore string   `json:"load_before"` // processes that want a processor, on average over a minute
	LoadAfter  string   `json:"load_after"`
	Results    []result `json:"results"`
}

// print writes the report for people.
func (r report) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s, %d processors, %s, load average %s before and %s after, %d s. Only ratios can be compared between runs.\n\n",
		r.Go, r.Processors, r.System, r.LoadBefore, r.LoadAfter, r.Seconds)
	if err != nil {
		return err
	}
	return printTable(w, r.Results)
}

// load is how many processes want a processor, on average over a minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
