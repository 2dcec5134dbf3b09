package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"berth/provider/sandbox"
)

// sandboxCommand is `berth sandbox`.
type sandboxCommand struct {
	where
	Listen string `help:"Address to serve the API on." default:"127.0.0.1:8081" placeholder:"ADDR"`
	Token  string `help:"Bearer token that clients present. Default: one is made and kept." env:"BERTH_SANDBOX_TOKEN" placeholder:"TOKEN"`
}

// Run serves the cloud in a box until the context ends.
func (c *sandboxCommand) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	log := settings{LogLevel: "info"}.logger(os.Stderr)
	box, err := sandbox.Open(sandbox.Options{Dir: dir, Log: log, Token: c.Token})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen on %s: %w", c.Listen, err), box.Close())
	}
	srv := &http.Server{Handler: box.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quietLog(log)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	fmt.Printf("URL    http://%s/\nTOKEN  %s\nSSH    port %d of each droplet's address\n", l.Addr(), box.Token(), box.SSHPort())
	if err = box.Start(ctx); err == nil {
		select {
		case <-ctx.Done():
		case err = <-served:
		}
	}
	if ctx.Err() != nil {
		err = nil // asked to end, perhaps while machines were booting
	}
	end, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return errors.Join(err, srv.Shutdown(end), box.Close())
}
