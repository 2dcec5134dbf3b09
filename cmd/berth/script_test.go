package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the program as its users do, each script with a data
// directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			dir := filepath.Join(e.WorkDir, "data")
			e.Setenv("BERTH_DATA", dir)
			e.Setenv("BERTH_LISTEN", "127.0.0.1:0")
			e.Defer(func() { stopAt(t, dir) }) // also where the script fails on its way
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"occupy": occupy, "started": started, "buy": buy,
		},
	})
}

// scriptTimeout bounds what the commands below wait for.
const scriptTimeout = 30 * time.Second

func stopAt(t *testing.T, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	c, err := newLocalClient(ctx, dir, false)
	if err != nil {
		return // nothing runs
	}
	defer c.http.CloseIdleConnections()
	if err := c.do(ctx, http.MethodPost, stopPath, nil, nil); err != nil {
		t.Errorf("stop what the script left: %v", err)
	}
	if err := untilGone(ctx, dir); err != nil {
		t.Error(err)
	}
}

// occupy listens on an address until the script ends, and names it in $ADDRESS.
func occupy(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ts.Check(l.Close()) })
	ts.Setenv("ADDRESS", l.Addr().String())
}

// started waits until a process serves the data directory.
func started(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := dialLocal(ctx, ts.Getenv("BERTH_DATA")); err == nil {
			ts.Check(conn.Close())
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("nothing serves the data directory")
		case <-tick.C:
		}
	}
}

// buy creates a server as the operator, and names it in $SERVER.
func buy(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	c, err := newLocalClient(ctx, ts.Getenv("BERTH_DATA"), false)
	ts.Check(err)
	defer c.http.CloseIdleConnections()
	in := map[string]any{"size": "small", "region": "nyc1", "minutes": 60, "label": "scripted"}
	res, err := c.send(ctx, http.MethodPost, "/v1/servers?wait_seconds=25", in)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	var out struct{ ID, Status string }
	ts.Check(json.Unmarshal(body, &out))
	if out.Status != "active" {
		ts.Fatalf("the server is not active: %s", body)
	}
	ts.Setenv("SERVER", out.ID)
}
