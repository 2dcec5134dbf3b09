// Command bench measures Berth and prints each figure beside a named baseline
// that was measured in the same run, as a ratio. Rounds of both take turns, so
// that a busy machine slows them alike: ratios can be compared between machines
// and days, absolute figures can't.
//
// Run it in the module by "go run ./bench". It builds what it measures, works
// in a temporary directory and leaves nothing behind.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"berth/provider/sandbox/droplet"
)

// figures are all that can be measured, in this order: memory comes before a
// second Berth runs, which would share pages with the first.
var figures = []figure{
	{"ledger", measureLedger},
	{"memory", measureMemory},
	{"http", measureHTTP},
	{"mcp", measureMCP},
	{"start", measureStart},
	{"droplets", measureDroplets},
	{"requests", measureRequests},
}

func main() {
	droplet.Main() // droplets start this program again, as their first process
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "measure only these, separated by commas: "+strings.Join(names(), ", "))
	quick := flags.Bool("quick", false, "fewer rounds: a first look")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	l, err := newLab(*quick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	began := time.Now()
	var list []result
	for _, f := range chosen {
		fmt.Fprintf(progress, "%s …\n", f.name)
		results, err := f.measure(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		for _, r := range results {
			r.Figure = f.name
			list = append(list, r)
		}
	}
	if *asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	fmt.Fprintf(out, "%s, %d processors, %s/%s, load %s, %d s. Only ratios can be compared between runs.\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, load(), int(time.Since(began).Seconds()))
	return printTable(out, list)
}

func names() []string {
	list := make([]string, len(figures))
	for i, f := range figures {
		list[i] = f.name
	}
	return list
}

// choose finds the named figures; no names are all of them.
func choose(only string) ([]figure, error) {
	if only == "" {
		return figures, nil
	}
	var chosen []figure
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(figures, func(f figure) bool { return f.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no figure %q; there are %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, figures[i])
	}
	return chosen, nil
}

// load is how many processes want a processor, on average over a minute: above
// the number of processors, others slow the measurement.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
