package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"berth/api"
	"berth/ops"
	"berth/tools"
)

// drain is how long calls and steps under way may take at the end.
const drain = 15 * time.Second

// serveCommand is `berth serve`.
type serveCommand struct {
	settings
	Detached bool `hidden:"" help:"Started by another command: end when nothing lives and nobody is connected."`
}

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	n, err := newNode(ctx, c.settings, environment(), dir, c.logger(os.Stderr))
	if errors.Is(err, errHeld) && c.Detached {
		return exitCode(heldStatus)
	}
	if err != nil {
		return err
	}
	n.detached = c.Detached
	if err := n.listen(c.settings); err != nil {
		return errors.Join(err, n.close())
	}
	if !c.Detached {
		if err := n.app.checkProvider(ctx); err != nil {
			return errors.Join(err, n.close())
		}
		n.app.begin(ctx)
		n.announce(ctx, os.Stdout)
	}
	return n.run(ctx)
}

// node is one process that holds a data directory: its lock, the app, and the
// servers in front of it.
type node struct {
	app       *app
	log       *slog.Logger
	dir       string
	lock      *flock.Flock
	detached  bool
	hosts     *hosts
	local     *http.Server
	public    *http.Server
	address   string // of the public server
	publicURL string // as agents reach it; empty: as each request names it
	contact   string // how the operator is reached; empty where that is not known
	contracts []api.Contract
	failed    chan error
	quit      context.CancelCauseFunc
	quitting  context.Context
}

// errHeld tells that another process holds the data directory.
var errHeld = errors.New("another berth holds this data directory (one that berth mcp started stays in the background); see it by berth status, end it by berth stop")

func lockPath(dir string) string { return filepath.Join(dir, "berth.lock") }

// newNode takes the data directory's lock and puts the app together.
func newNode(ctx context.Context, s settings, env secretsFromEnvironment, dir string, log *slog.Logger) (*node, error) {
	public, err := s.publicURL()
	if err != nil {
		return nil, err
	}
	if mode, others := openTo(dir); others {
		log.Warn("others on this machine can look into the data directory; close it by chmod 700", slog.String("data", dir), slog.String("mode", mode.String()))
	}
	lock := flock.New(lockPath(dir))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if !held {
		return nil, errHeld
	}
	a, err := newApp(ctx, s, env, dir, log)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	n := &node{app: a, log: log, publicURL: public, contact: s.Contact, contracts: contracts(time.Now()), dir: dir, lock: lock, hosts: newHosts(time.Now), failed: make(chan error, 2)}
	n.quitting, n.quit = context.WithCancelCause(context.Background())
	return n, nil
}

// listen opens the local socket and the public address, and begins to serve.
func (n *node) listen(s settings) error {
	local, err := listenLocal(n.dir)
	if err != nil {
		return err
	}
	n.local = &http.Server{Handler: n.localHandler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quietLog(n.log)}
	n.serve(n.local, local)
	public, err := net.Listen("tcp", s.Listen)
	switch {
	case err != nil && n.detached:
		// Hosts speak over the socket: the web address is a convenience, and
		// another Berth may have it.
		n.log.Warn("no web address", slog.Any("error", err))
		return nil
	case err != nil:
		return fmt.Errorf("listen on %s: %w; choose another address with --listen", s.Listen, err)
	}
	n.address = dialable(public.Addr())
	n.public = &http.Server{
		Handler: api.Behind(api.Limit(n.publicHandler(), s.RateLimit, time.Now, n.log, n.contracts), s.TrustedProxies), ErrorLog: quietLog(n.log),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	n.serve(n.public, public)
	return nil
}

func quietLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }

func (n *node) serve(s *http.Server, l net.Listener) {
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- err
		}
	}()
}

// publicHandler is what agents reach over the network.
func (n *node) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/mcp", n.app.front.HTTPHandler())
	mux.Handle("/sse", n.app.front.SSEHandler())
	mux.Handle("/sse/", n.app.front.SSEHandler())
	mux.Handle("/", n.native(n.publicURL, credentials))
	return mux
}

func (n *node) native(publicURL string, creds func(*http.Request) []ops.Credential) *api.API {
	return api.New(api.Options{
		System: n.app.system, Credentials: creds, Ready: n.app.checkReady, PublicURL: publicURL,
		Contracts: n.contracts, Contact: n.contact, Version: version(), Now: time.Now, Log: n.log,
	})
}

// credentials are what a request over the network brings: an API key, as bearer
// or beside another scheme's authorisation.
func credentials(r *http.Request) []ops.Credential {
	var list []ops.Credential
	for _, line := range r.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(line, " ")
		if strings.EqualFold(scheme, "Payment") {
			continue // a wallet's: the front reads it
		}
		// Local schemes come over the local socket alone: here they are words
		// like any other, and Dispatch refuses all but bearer.
		c := ops.Credential{Scheme: ops.Scheme("http:" + strings.ToLower(scheme)), Token: strings.TrimSpace(token)}
		if strings.EqualFold(scheme, "Bearer") {
			c.Scheme = ops.BearerScheme
		}
		list = append(list, c)
	}
	if token := r.Header.Get("Berth-Key"); token != "" {
		list = append(list, ops.Credential{Scheme: ops.BearerScheme, Token: token})
	}
	return list
}

// hostname is the name by which a client speaks to this server.
func hostname(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return r.Host
}

// identify puts who sends an MCP request over HTTP into its context. A wrong key
// is refused here already, so that a host learns it when it connects, and a
// wrong wish as well.
func (a *app) identify(r *http.Request) (context.Context, error) {
	wishes, c := r.URL.Query(), tools.Caller{Creds: credentials(r), Realm: hostname(r)}
	c.ReadOnly = wished(wishes, "read_only") || wished(wishes, "read-only")
	var err error
	named := cmp.Or(wishes.Get("toolsets"), wishes.Get("toolset"))
	if c.Toolsets, err = tools.ParseToolsets(a.system.Table(), named); err != nil {
		return nil, err
	}
	if err := a.system.CheckCredentials(r.Context(), c.Creds); err != nil {
		return nil, err
	}
	return tools.WithCaller(r.Context(), c), nil
}

// wished tells whether a query asks for something: by its name alone, or with
// any value but a denial.
func wished(q url.Values, name string) bool {
	switch v := q.Get(name); v {
	case "false", "0", "no":
		return false
	default:
		return q.Has(name)
	}
}

// dialable is an address that can be called on this machine: one that stands for
// all of its addresses is none.
func dialable(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(int(at.Port())))
}

// announce tells a newcomer what to do next.
func (n *node) announce(ctx context.Context, w io.Writer) {
	base := n.publicURL
	if base == "" {
		base = "http://" + n.address
	}
	fmt.Fprintf(w, "Berth serves at %s\n\n", base)
	fmt.Fprintf(w, "  MCP        %s/mcp  (streamable HTTP)   %s/sse  (SSE)\n", base, base)
	fmt.Fprintf(w, "  HTTP API   %s/v1   documented at %s/docs\n", base, base)
	fmt.Fprintf(w, "  Data       %s\n", n.dir)
	for _, r := range n.app.rails.checked {
		fmt.Fprintf(w, "  Wallets    pay over %s%s\n", r.Name(), n.app.rails.remark())
	}
	if n.app.cloud == nil {
		fmt.Fprintf(w, "  Cloud      DigitalOcean\n\nMake an account with credit:\n\n  berth account create --data %s --email you@example.com --credit 25.00\n", n.dir)
		return
	}
	fmt.Fprintf(w, "  Cloud      in a box, with play money (set DIGITALOCEAN_TOKEN for the real one)\n")
	key, err := n.app.playKey(ctx)
	if err != nil {
		n.log.Error("no key with play money", slog.Any("error", err))
		return
	}
	fmt.Fprintf(w, "\nA key with play money:\n\n  export BERTH_KEY=%s\n\nTry it:\n\n", key)
	fmt.Fprintf(w, "  curl -s '%s/v1/servers?wait_seconds=60' -H \"Authorization: Bearer $BERTH_KEY\" -H 'Idempotency-Key: first' -d '{\"size\":\"small\",\"region\":\"nyc1\",\"minutes\":60}'\n\n", base)
}

// run serves until ctx ends, somebody asks the node to quit, or a detached one
// has nothing left to do; then it drains and closes.
func (n *node) run(ctx context.Context) error {
	var err error
	idle := n.idle(ctx)
	select {
	case <-ctx.Done():
	case <-n.quitting.Done():
	case <-idle:
		n.log.Info("nothing lives and nobody is connected: ending")
	case err = <-n.failed:
	}
	return errors.Join(err, n.close())
}

// close drains and ends everything, and gives the data directory free.
func (n *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	n.quit(nil)
	var errs []error
	stopped := make(chan struct{})
	go func() { // streams end only when the front does, so both drain at once
		defer close(stopped)
		for _, s := range []*http.Server{n.public, n.local} {
			if s != nil {
				errs = append(errs, s.Shutdown(ctx))
			}
		}
	}()
	err := n.app.front.Shutdown(ctx)
	n.hosts.closeAll()
	<-stopped
	errs = append(errs, err, n.app.close(ctx), n.lock.Unlock())
	return errors.Join(errs...)
}
