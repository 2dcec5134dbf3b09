package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"berth/provider/sandbox"
)

// sandboxCommand is `berth sandbox`.
type sandboxCommand struct {
	where
	Listen  string `help:"Address to serve the API on." default:"127.0.0.1:8081" placeholder:"ADDR"`
	Token   string `help:"Bearer token that clients present. Default: one is made and kept." env:"BERTH_SANDBOX_TOKEN" placeholder:"TOKEN"`
	Control bool   `help:"Serve /sandbox/faults too, where faults are set."`
	JSON    bool   `name:"json" help:"Print the URL and the token as one line of JSON."`
}

// Run serves the cloud in a box until the context ends.
func (c *sandboxCommand) Run(ctx context.Context) error { return c.serve(ctx, os.Stdout) }

// serve does it, and tells on out where.
func (c *sandboxCommand) serve(ctx context.Context, out io.Writer) (err error) {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	unlock, err := hold(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	log := settings{LogLevel: "info"}.logger(os.Stderr)
	box, err := sandbox.Open(sandbox.Options{Dir: dir, Log: log, Token: c.Token, Control: c.Control})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	if err := c.announce(out, l.Addr(), box); err != nil {
		return errors.Join(err, l.Close())
	}
	return serveBox(ctx, box, l, log)
}

var errSandboxHeld = errors.New("another berth sandbox holds this data directory; choose another with --data")

// hold keeps other processes from a data directory until it is let go.
func hold(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "sandbox.lock")) // not that of berth serve, which keeps its own sandbox apart
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if !held {
		return nil, errSandboxHeld
	}
	return lock.Unlock, nil
}

// announce tells where the API is and how to use it.
func (c *sandboxCommand) announce(out io.Writer, addr net.Addr, box *sandbox.Cloud) error {
	url := "http://" + addr.String()
	if c.JSON {
		return json.NewEncoder(out).Encode(map[string]any{"url": url, "token": box.Token(), "ssh_port": box.SSHPort()})
	}
	_, err := fmt.Fprintf(out, "URL    %s\nTOKEN  %s\nSSH    port %d of each droplet's address\n\nTry:   doctl --api-url %s -t %s account get\n",
		url, box.Token(), box.SSHPort(), url, box.Token())
	return err
}

// serveBox answers at l, and runs the droplets, until the context ends.
func serveBox(ctx context.Context, box *sandbox.Cloud, l net.Listener, log *slog.Logger) error {
	srv := &http.Server{Handler: box.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quietLog(log)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	err := box.Start(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-served:
		}
	}
	end, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return errors.Join(err, srv.Shutdown(end))
}
