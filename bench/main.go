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
	"text/tabwriter"
	"time"

	"berth/provider/sandbox/droplet"
)

// figures are all that can be measured, in this order: memory comes before a
// second Berth runs, which would share pages with the first.
var figures = []figure{
	{"ledger", "writes and checked transfers per second", measureLedger},
	{"memory", "what an idle Berth takes", measureMemory},
	{"http", "get_server over HTTP, with 1 and 32 in flight", measureHTTP},
	{"mcp", "get_server over streamable HTTP and stdio", measureMCP},
	{"start", "berth mcp to its first list of tools", measureStart},
	{"payments", "wallets' credentials, demands and paid purchases", measurePayments},
	{"droplets", "create to SSH, 50 at once, memory, snapshot and restore of 100 MB", measureDroplets},
	{"readiness", "from a real droplet's first answer on SSH to its delivery", measureReadiness},
	{"requests", "requests to the provider for 200 servers at once, on a simulated clock", measureRequests},
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
	listing := flags.Bool("list", false, "print what can be measured, and measure nothing")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected %q: figures are chosen by -only", flags.Arg(0))
	case *listing:
		return printFigures(out)
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
	r := report{Go: runtime.Version(), Processors: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, LoadBefore: load()}
	began := time.Now()
	for _, f := range chosen {
		fmt.Fprintf(progress, "%s …\n", f.name)
		results, err := f.measure(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		for _, one := range results {
			one.Figure = f.name
			r.Results = append(r.Results, one)
		}
	}
	r.Seconds, r.LoadAfter = int(time.Since(began).Seconds()), load()
	if *asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	return r.print(out)
}

// printFigures writes the names of all figures and what they tell.
func printFigures(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range figures {
		fmt.Fprintf(t, "%s\t%s\n", f.name, f.tells)
	}
	return t.Flush()
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
