package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"text/tabwriter"
)

// output is how a command shows what it found.
type output struct {
	JSON bool `help:"Print JSON."`
}

// show prints v as JSON, or by the function for people.
func (o output) show(v any, people func(io.Writer)) error {
	if o.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	people(w)
	return w.Flush()
}

// ask sends a request to the process that holds the data directory, starting
// one if there is none.
func (w where) ask(ctx context.Context, method, path string, in, out any) error {
	dir, err := w.folder()
	if err != nil {
		return err
	}
	c, err := newLocalClient(ctx, dir, true)
	if err != nil {
		return err
	}
	return c.do(ctx, method, path, in, out)
}
