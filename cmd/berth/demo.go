package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"berth/provider/sandbox/droplet"
)

// demoCommand is `berth demo`.
type demoCommand struct {
	JSON     bool   `help:"Print JSON lines for machines, one for each step."`
	Wallet   bool   `help:"The story of an agent that pays from a wallet, on a development chain."`
	Devchain string `help:"URL of a berth-devchain that runs. Default: one is started." placeholder:"URL"`
	Verbose  bool   `short:"v" help:"Print the log to standard error."`
}

// demoTimeout bounds the demo: it takes some seconds, and must not hang.
const demoTimeout = 3 * time.Minute

// interruptedStatus is the exit status of a demo that was asked to stop.
const interruptedStatus = 130

// Run tells the story, and leaves nothing behind.
func (c *demoCommand) Run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	// Neither a second interrupt nor a reader that goes away, such as head, may
	// end the program before it has cleaned up, which takes a bounded time.
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(deaf)
	err := c.tell(ctx, os.Stdout)
	switch {
	case err != nil && ctx.Err() != nil:
		return exitCode(interruptedStatus)
	case err != nil:
		return exitCode(1) // the story has told why
	}
	return nil
}

// tell tells the whole story on w.
func (c *demoCommand) tell(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoTimeout, fmt.Errorf("the demo took longer than %s", demoTimeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	log := slog.New(slog.DiscardHandler)
	if c.Verbose {
		log = settings{LogLevel: "info"}.logger(os.Stderr)
	}
	s := &story{teller: c.teller(&outlet{w, stop})}
	start := time.Now()
	err := c.live(ctx, s, log)
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), unlessOf(ctx, err))
	}
	end := summary{took: time.Since(start), spent: s.spent, err: err}
	if s.agent != nil && !s.report.Shells {
		end.missing = noShells(s.report)
	}
	s.teller.close(end)
	return err
}

// unlessOf drops an error that only says that the context ended.
func unlessOf(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (c *demoCommand) teller(w io.Writer) teller {
	if c.JSON {
		return newJSONLines(w)
	}
	t := &terminal{w: w, width: maxWidth}
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		t.live = os.Getenv("TERM") != "dumb"
		t.colour = t.live && os.Getenv("NO_COLOR") == ""
		if width, _, err := term.GetSize(fd); err == nil && width > 0 {
			t.width = min(max(width, minWidth), maxWidth)
		}
	}
	return t
}

// outlet stops the demo when nobody takes what it says.
type outlet struct {
	io.Writer
	stop context.CancelCauseFunc
}

func (o *outlet) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil {
		o.stop(fmt.Errorf("nobody listens: %w", err))
	}
	return n, err
}

// live has a chain for as long as the story takes, where that is about a wallet.
func (c *demoCommand) live(ctx context.Context, s *story, log *slog.Logger) (err error) {
	if !c.Wallet {
		return s.live(ctx, chapters(), "", log)
	}
	url := c.Devchain
	if url == "" {
		d, err := startDevchain(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.close()) }()
		url = d.url
	}
	s.wallet = &purse{url: url}
	return s.live(ctx, walletChapters(), url, log)
}

// live holds a node in a temporary directory for as long as the story takes.
// The environment's settings don't count: a demo must never spend real money.
func (s *story) live(ctx context.Context, steps []step, devchain string, log *slog.Logger) (err error) {
	dir, err := os.MkdirTemp("", "berth-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, erase(dir)) }()
	at := settings{Listen: "127.0.0.1:0", Budget: "0", Devchain: devchain, where: where{Data: dir}}
	if s.node, err = newNode(ctx, at, secretsFromEnvironment{}, dir, log); err != nil {
		return err
	}
	defer func() {
		if s.agent != nil {
			s.agent.close()
		}
		err = errors.Join(err, s.node.close())
	}()
	if err := s.node.listen(at); err != nil {
		return err
	}
	return s.tell(ctx, steps)
}

// eraseTimeout bounds the removal of servers that an interruption left.
const eraseTimeout = 20 * time.Second

// erase removes the demo's directory. The files of servers belong to their own
// users, who may be nobody to this one: then the servers' host removes them.
func erase(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	droplets := filepath.Join(dir, "sandbox", "droplets")
	host, err := droplet.Open(droplet.Options{Dir: droplets, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), eraseTimeout)
	defer cancel()
	left, err := os.ReadDir(droplets)
	errs := []error{err}
	for _, d := range left {
		if d.IsDir() {
			errs = append(errs, host.Remove(ctx, d.Name()))
		}
	}
	errs = append(errs, host.Close(), os.RemoveAll(dir))
	return errors.Join(errs...)
}
