// Command echo is an MCP server with one tool, which returns what it was given,
// behind the same transports as Berth's: what a call costs where the tool does
// nothing, to compare Berth with.
//
// "serve SOCKET" serves streamable HTTP, and byte streams on a unix socket,
// until it is ended; it tells its address on a line that begins with URL.
// "pipe SOCKET" connects standard input and output with that socket, as
// "berth mcp" does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"berth/tools"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: echo serve|pipe SOCKET")
	}
	switch args[0] {
	case "serve":
		return serve(args[1])
	case "pipe":
		return pipe(args[1])
	}
	return fmt.Errorf("there is no command %q", args[0])
}

func serve(socket string) error {
	srv := server.NewMCPServer("echo", "1", server.WithToolCapabilities(false), server.WithRecovery())
	srv.AddTool(mcp.NewTool("echo", mcp.WithString("server_id", mcp.Required())), echo)
	front := tools.NewFront(srv, tools.Options{Log: slog.New(slog.DiscardHandler)})
	local, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, local.Close())
	}
	fmt.Printf("URL http://%s/mcp\n", public.Addr())
	failed := make(chan error, 2)
	go func() { failed <- serveStreams(front, local) }()
	go func() {
		s := &http.Server{
			Handler:           front.HTTPHandler(),
			ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		}
		failed <- s.Serve(public)
	}()
	return <-failed
}

func echo(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	text, err := req.RequireString("server_id")
	if err != nil {
		return nil, err
	}
	return mcp.NewToolResultText(text), nil
}

func serveStreams(front *tools.Front, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := front.ServeStream(context.Background(), conn, conn, nil); err != nil {
				fmt.Fprintln(os.Stderr, "echo: a stream ended:", err)
			}
		}()
	}
}

func pipe(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, os.Stdin)
		sent <- errors.Join(err, conn.(*net.UnixConn).CloseWrite())
	}()
	if _, err := io.Copy(os.Stdout, conn); err != nil {
		return err
	}
	return <-sent
}
