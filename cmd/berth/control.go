package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

type reconcileCommand struct{ where }

// Run compares the provider with the books.
func (c *reconcileCommand) Run(ctx context.Context) error {
	if err := c.ask(ctx, http.MethodPost, "/v1/operator/reconcile", nil, nil); err != nil {
		return err
	}
	fmt.Println("The provider's machines and the books have been compared; see the log for what was found.")
	return nil
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
