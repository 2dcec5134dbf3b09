package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"berth"
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

// said is an error in the words for people: what is wrong and what to do.
func said(err error) string {
	var e *berth.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// exists refuses a directory that no Berth has used: a mistyped one must not
// become another Berth with books of its own.
func (w where) exists(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "master.key")); err == nil || os.Getenv("BERTH_MASTER_KEY") != "" {
		return nil
	}
	return fmt.Errorf("there is no Berth in %s; name its directory by --data, or make one by berth serve or berth account create", dir)
}

// ask sends a request to the process that holds the data directory, starting
// one if a Berth is there and none runs.
func (w where) ask(ctx context.Context, method, path string, in, out any) error {
	dir, err := w.folder()
	if err != nil {
		return err
	}
	if err := w.exists(dir); err != nil {
		return err
	}
	return w.askFirst(ctx, method, path, in, out)
}

// askFirst does the same in a directory that may have no Berth yet: it makes
// one.
func (w where) askFirst(ctx context.Context, method, path string, in, out any) error {
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
