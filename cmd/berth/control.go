package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"berth/fleet"
	"berth/ops"
)

type reconcileCommand struct {
	where
	output
}

// Run compares the provider with the books; problems make it end with status 2.
func (c *reconcileCommand) Run(ctx context.Context) error {
	var out ops.ReconcileOut
	if err := c.ask(ctx, http.MethodPost, "/v1/operator/reconcile", nil, &out); err != nil {
		return err
	}
	err := c.show(out, func(w io.Writer) { printReconciliation(w, out) })
	if err == nil && len(out.Problems) > 0 {
		return exitCode(2)
	}
	return err
}

// settledBy is what is done about each kind of finding, once it has lasted.
var settledBy = map[fleet.FindingKind]string{
	fleet.OrphanedMachine:  "destroyed",
	fleet.OrphanedSnapshot: "deleted",
	fleet.VanishedMachine:  "ended, its unused time refunded",
	fleet.TurnedOnOrOff:    "its status corrected",
}

func printReconciliation(w io.Writer, v ops.ReconcileOut) {
	fmt.Fprintf(w, "Compared %d machines and %d snapshots at the provider with %d live servers.\n", v.Machines, v.Snapshots, v.Servers)
	for _, f := range v.Findings {
		done := "watched: it is acted on if it lasts"
		if f.Settled {
			done = settledBy[f.Kind]
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", strings.ReplaceAll(string(f.Kind), "_", " "), f.Subject, done)
	}
	for _, p := range v.Problems {
		fmt.Fprintln(w, "PROBLEM:", p)
	}
	if len(v.Findings) == 0 && len(v.Problems) == 0 {
		fmt.Fprintln(w, "Nothing differs.")
	}
}

type statusCommand struct {
	where
	output
}

// Run shows what holds the data directory.
func (c *statusCommand) Run(ctx context.Context) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	return c.show(s, func(w io.Writer) {
		fmt.Fprintf(w, "Process\t%d\nVersion\t%s\nData\t%s\nCloud\t%s\nHosts\t%d\n", s.PID, s.Version, s.Data, s.Cloud, s.Hosts)
		if s.Missing != "" {
			fmt.Fprintf(w, "No shells\t%s\n", s.Missing)
		}
		if s.Address != "" {
			fmt.Fprintf(w, "Address\thttp://%s\n", s.Address)
		}
	})
}

func (w where) status(ctx context.Context) (status, error) {
	var s status
	dir, err := w.folder()
	if err != nil {
		return s, err
	}
	client, err := newLocalClient(ctx, dir, false)
	if err != nil {
		return s, err
	}
	return s, client.do(ctx, http.MethodGet, statusPath, nil, &s)
}

type stopCommand struct{ where }

// Run asks the process that holds the data directory to end, and waits for it.
func (c *stopCommand) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	client, err := newLocalClient(ctx, dir, false)
	if err != nil {
		fmt.Println(err)
		return nil
	}
	if err := client.do(ctx, http.MethodPost, stopPath, nil, nil); err != nil {
		return err
	}
	if err := untilGone(ctx, dir); err != nil {
		return err
	}
	fmt.Println("Berth on", dir, "has ended")
	return nil
}
