package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"berth"
	"berth/ops"
	"berth/tools"
)

// The local socket speaks HTTP: the operator's commands use the API as it is,
// and a host's pipe is a connection that is upgraded to a stream of MCP.
const (
	pipePath    = "/local/mcp"
	statusPath  = "/local/status"
	stopPath    = "/local/stop"
	pipeUpgrade = "berth-mcp"

	buildHeader    = "Berth-Build"
	budgetHeader   = "Berth-Budget"
	toolsetsHeader = "Berth-Toolsets"
	readOnlyHeader = "Berth-Read-Only"
)

// maxSocketPath is what Linux and macOS allow for a socket's path.
const maxSocketPath = 100

// socketPath is where the process that holds a data directory listens. Long
// paths don't fit a socket's address: those get one in the runtime directory.
func socketPath(dir string) string {
	path := filepath.Join(dir, "berth.sock")
	if len(path) <= maxSocketPath {
		return path
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(os.TempDir(), fmt.Sprintf("berth-%d-%s.sock", os.Getuid(), hex.EncodeToString(sum[:8])))
}

// listenLocal opens the socket. The data directory's lock is held, so a socket
// that is there is a dead process's.
func listenLocal(dir string) (net.Listener, error) {
	path := socketPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the local socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// localHandler is what this machine's own processes reach: whoever can open the
// socket is the operator.
func (n *node) localHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pipePath, n.servePipe)
	mux.HandleFunc("GET "+statusPath, n.serveStatus)
	mux.HandleFunc("POST "+stopPath, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		n.quit(errors.New("asked to stop"))
	})
	operator := n.native("", func(*http.Request) []ops.Credential { return []ops.Credential{{Scheme: ops.OperatorScheme}} })
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.hosts.touch()
		n.app.begin(context.Background())
		operator.ServeHTTP(w, r)
	}))
	return mux
}

// status is what `berth status` shows.
type status struct {
	PID      int    `json:"pid"`
	Build    string `json:"build"`
	Version  string `json:"version"`
	Data     string `json:"data"`
	Address  string `json:"address,omitempty"`
	Cloud    string `json:"cloud"`
	Detached bool   `json:"detached"`
	Hosts    int    `json:"hosts"`
	Ready    bool   `json:"ready"`
	Shells   bool   `json:"shells"`            // servers can be logged in to, once Ready
	Missing  string `json:"missing,omitempty"` // why they can't
}

func (n *node) serveStatus(w http.ResponseWriter, _ *http.Request) {
	s := status{
		PID: os.Getpid(), Build: build(), Version: version(), Data: n.dir, Address: n.address, Cloud: "sandbox",
		Detached: n.detached, Hosts: n.hosts.count(), Ready: n.app.ready.Load(),
	}
	if n.app.cloud == nil {
		s.Cloud, s.Shells = "digitalocean", true
	} else {
		r := n.app.cloud.Report()
		s.Shells, s.Missing = r.Shells, r.Reason
	}
	writeJSON(w, n.log, s)
}

// servePipe turns a connection into a host's stream of MCP.
func (n *node) servePipe(w http.ResponseWriter, r *http.Request) {
	if theirs := r.Header.Get(buildHeader); theirs != build() && n.detached && n.hosts.count() == 0 {
		// A newer program has been installed, and nobody is connected: make room.
		w.WriteHeader(http.StatusUpgradeRequired)
		n.quit(errors.New("another build takes over"))
		return
	}
	if err := n.handshake(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sets, err := tools.ParseToolsets(n.app.system.Table(), r.Header.Get(toolsetsHeader))
	if err != nil {
		http.Error(w, said(err), http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection can't be taken over", http.StatusInternalServerError)
		return
	}
	n.hosts.add(conn)
	defer n.hosts.remove(conn)
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+pipeUpgrade+"\r\n"+buildHeader+": "+build()+"\r\n\r\n"); err != nil {
		return
	}
	c := tools.Caller{Creds: []ops.Credential{{Scheme: ops.LocalScheme}}, Realm: "localhost", Toolsets: sets, ReadOnly: r.Header.Get(readOnlyHeader) != ""}
	// The cloud and the jobs start with the first answer, not before it.
	out := &firstWrite{Writer: conn, then: func() { n.app.begin(context.Background()) }}
	if err := n.app.front.ServeStream(n.quitting, readBuffered(buffered.Reader, conn), out, c); err != nil {
		n.log.Debug("a host's stream ended", slog.Any("error", err))
	}
}

// handshake settles what the host brings for the local principal.
func (n *node) handshake(r *http.Request) error {
	text := r.Header.Get(budgetHeader)
	if text == "" {
		return nil
	}
	budget, err := berth.ParseMicros(text)
	if err != nil || budget < 0 {
		return fmt.Errorf("the budget %q is no amount in dollars", text)
	}
	_, err = n.app.system.SettleLocal(r.Context(), budget, true)
	return err
}

// readBuffered reads what the server had read ahead, then the connection.
func readBuffered(b *bufio.Reader, conn net.Conn) io.Reader {
	if b.Buffered() == 0 {
		return conn
	}
	return io.MultiReader(io.LimitReader(b, int64(b.Buffered())), conn)
}

// firstWrite calls then once, shortly after the first write.
type firstWrite struct {
	io.Writer
	then func()
}

// startDelay lets a host that has just connected list the tools before the
// machines boot.
const startDelay = 50 * time.Millisecond

func (f *firstWrite) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	if f.then != nil {
		time.AfterFunc(startDelay, f.then)
		f.then = nil
	}
	return n, err
}
