package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"berth/ops"
	"berth/tools"
)

// mcpCommand is `berth mcp`.
type mcpCommand struct {
	settings
	Toolsets  string `help:"Toolsets to offer, separated by commas: default, more, or all." env:"BERTH_TOOLSETS" placeholder:"LIST"`
	ReadOnly  bool   `name:"read-only" help:"Offer only tools that change nothing." env:"BERTH_READ_ONLY"`
	InProcess bool   `name:"in-process" help:"Hold the state in this process instead of a shared one: for containers." env:"BERTH_IN_PROCESS"`
}

// Run connects standard input and output with Berth.
func (c *mcpCommand) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	if c.InProcess {
		return c.serveHere(ctx, dir)
	}
	conn, err := c.connect(ctx, dir)
	if err != nil {
		return err
	}
	defer conn.Close()
	return c.pipe(ctx, conn)
}

// connect shakes hands with the process that holds the state. One of another
// build that nobody uses makes room, and is replaced.
func (c *mcpCommand) connect(ctx context.Context, dir string) (*pipeConn, error) {
	deadline := time.Now().Add(startTimeout)
	for {
		conn, err := attach(ctx, dir, c.flags())
		if err != nil {
			return nil, err
		}
		pipe, status, err := c.shake(conn)
		switch {
		case err == nil && pipe != nil:
			return pipe, nil
		case status == http.StatusUpgradeRequired && time.Now().Before(deadline):
			if err := untilGone(ctx, dir); err != nil {
				return nil, err
			}
		case err == nil:
			return nil, fmt.Errorf("the running berth refused the connection with status %d", status)
		default:
			return nil, err
		}
	}
}

// flags hand this command's settings to a process that it starts.
func (c *mcpCommand) flags() []string {
	flags := []string{"--listen", c.Listen, "--log-level", c.LogLevel, "--log-format", c.LogFormat, fmt.Sprintf("--rate-limit=%d", c.RateLimit)}
	for name, v := range map[string]string{"--database": c.Database, "--public-url": c.PublicURL, "--catalog": c.Catalog, "--budget": c.Budget} {
		if v != "" {
			flags = append(flags, name, v)
		}
	}
	return flags
}

// pipeConn is a connection after its handshake.
type pipeConn struct {
	*net.UnixConn
	in *bufio.Reader
}

func (c *mcpCommand) shake(conn net.Conn) (*pipeConn, int, error) {
	req, err := http.NewRequest(http.MethodPost, "http://berth"+pipePath, nil)
	if err != nil {
		return nil, 0, err
	}
	h := req.Header
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", pipeUpgrade)
	h.Set(buildHeader, build())
	h.Set(budgetHeader, c.Budget)
	h.Set(toolsetsHeader, c.Toolsets)
	if c.ReadOnly {
		h.Set(readOnlyHeader, "1")
	}
	if err := req.Write(conn); err != nil {
		return nil, 0, errors.Join(err, conn.Close())
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, req) //nolint:bodyclose // the connection goes on as a pipe, or is closed
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("shake hands with the running berth: %w", err), conn.Close())
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		if theirs := res.Header.Get(buildHeader); theirs != build() {
			fmt.Fprintln(os.Stderr, "berth: another build of berth holds the state, and other hosts use it; restart it by berth stop")
		}
		return &pipeConn{conn.(*net.UnixConn), in}, res.StatusCode, nil
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1024)) // the status says enough if this fails
	err = conn.Close()
	if res.StatusCode == http.StatusBadRequest {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return nil, res.StatusCode, err
}

// untilGone waits until the process that held the directory has let go of it.
func untilGone(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, drain+5*time.Second)
	defer cancel()
	lock := flock.New(lockPath(dir))
	free, err := lock.TryLockContext(ctx, 10*time.Millisecond)
	if !free {
		return fmt.Errorf("the berth that holds %s does not end: %w", dir, err)
	}
	return lock.Unlock()
}

// pipe copies bytes both ways until Berth has said all that it has to say.
func (c *mcpCommand) pipe(ctx context.Context, conn *pipeConn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	go func() {
		// The host's end of file ends the stream's input; answers under way
		// still come back.
		if _, err := io.Copy(conn.UnixConn, os.Stdin); err == nil {
			_ = conn.CloseWrite() // the other side may have closed already
		}
	}()
	_, err := io.Copy(os.Stdout, conn.in)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serveHere holds the state in this process and ends with its host.
func (c *mcpCommand) serveHere(ctx context.Context, dir string) error {
	n, err := newNode(ctx, c.settings, environment(), dir, c.logger(os.Stderr))
	if err != nil {
		return err
	}
	caller := tools.Caller{Creds: []ops.Credential{{Scheme: ops.LocalScheme}}, Realm: "localhost", ReadOnly: c.ReadOnly}
	if caller.Toolsets, err = tools.ParseToolsets(n.app.system.Table(), c.Toolsets); err != nil {
		return errors.Join(errors.New(said(err)), n.close())
	}
	out := &firstWrite{Writer: os.Stdout, then: func() { n.app.begin(context.Background()) }}
	err = n.app.front.ServeStream(ctx, os.Stdin, out, caller)
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, n.close())
}
