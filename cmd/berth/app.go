package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
	"berth/jobs"
	"berth/ops"
	"berth/provider"
	"berth/provider/digitalocean"
	"berth/provider/sandbox"
	"berth/remote"
	"berth/storage"
	"berth/tools"
)

// app is Berth put together: everything that one process holds.
type app struct {
	log     *slog.Logger
	dir     string
	vault   *account.Vault
	db      *storage.DB
	cloud   *cloud // nil with a real provider
	pool    *remote.Pool
	queue   *jobs.Queue
	clouds  *digitalocean.Provider
	system  *ops.System
	front   *tools.Front
	rails   *rails
	ready   atomic.Bool
	starter sync.Once
	started chan error
}

// cloud is the sandbox with the HTTP server that the provider's client talks to.
type cloud struct {
	*sandbox.Cloud
	server *http.Server
	url    string
	serve  chan error
}

// newApp puts Berth together and starts nothing that takes time; begin does.
func newApp(ctx context.Context, s settings, env secretsFromEnvironment, dir string, log *slog.Logger) (*app, error) {
	a := &app{log: log, dir: dir, started: make(chan error, 1)}
	err := a.assemble(ctx, s, env)
	if err != nil {
		return nil, errors.Join(err, a.close(ctx))
	}
	return a, nil
}

func (a *app) assemble(ctx context.Context, s settings, env secretsFromEnvironment) (err error) {
	catalog, err := s.catalog()
	if err != nil {
		return err
	}
	if a.vault, err = openVault(env, a.dir); err != nil {
		return err
	}
	path, err := s.databasePath(a.dir)
	if err != nil {
		return err
	}
	if a.db, err = storage.Open(ctx, storage.Options{Path: path, Log: a.log}); err != nil {
		return err
	}
	doOptions, err := a.providerOptions(env)
	if err != nil {
		return err
	}
	clouds, err := digitalocean.New(doOptions)
	if err != nil {
		return err
	}
	a.clouds = clouds
	deployment, err := a.deployment(ctx, s)
	if err != nil {
		return err
	}
	if a.rails, err = openRails(env, s.Devchain, a.vault, a.log); err != nil {
		return err
	}
	pace := fleet.CloudPace()
	if a.cloud != nil {
		pace = fleet.SandboxPace()
	}
	a.pool = remote.NewPool(remote.PoolOptions{Log: a.log})
	f := fleet.New(fleet.Options{
		Store: a.db.Fleet(), Provider: clouds, Catalog: catalog, Vault: a.vault, Prober: prober{a.pool, a.cloud},
		Ring: func(ids ...berth.ID) { a.queue.Ring(ids...) },
		Now:  time.Now, Log: a.log, Deployment: deployment, Pace: pace,
		Process: "embedded", // one process holds the data directory's lock
	})
	withdrawals, err := s.withdrawals()
	if err != nil {
		return err
	}
	welcome := berth.Micros(0) // never where servers cost money
	if a.cloud != nil {
		welcome = playMoney
	}
	a.system = ops.New(ops.Options{
		Keys: a.vault, Welcome: welcome,
		Withdrawals: withdrawals,
		Store:       a.db.Ops(), Fleet: f, Catalog: catalog, Hands: a.pool, Now: time.Now, Log: a.log,
		Cashier: billing.NewCashier(a.db.Payments(), a.rails.list(), time.Now, a.log),
	})
	a.queue = jobs.New(jobs.Options{Fleet: f, Log: a.log, Prune: a.prune, Payments: a.payments})
	srv, err := tools.NewServer(a.system, version())
	if err != nil {
		return err
	}
	names, origins, err := s.publicNames()
	if err != nil {
		return err
	}
	a.front = tools.NewFront(srv, tools.Options{Identify: a.identify, Log: a.log, Hosts: names, Origins: origins})
	return nil
}

// deployment is the provider tag of all machines of this database. It is taken
// from the local principal, which every database has and which never changes:
// under another tag Berth would miss its own machines.
func (a *app) deployment(ctx context.Context, s settings) (string, error) {
	budget, explicit, err := s.budget()
	if err != nil {
		return "", err
	}
	local, err := ops.SettleLocal(ctx, a.db.Ops(), time.Now(), budget, explicit)
	if err != nil {
		return "", err
	}
	hex := local.ID.Hex()
	return "berth-" + hex[len(hex)/2:], nil
}

func openVault(env secretsFromEnvironment, dir string) (*account.Vault, error) {
	if env.masterKey != "" {
		return account.NewVault(env.masterKey)
	}
	return account.OpenVault(filepath.Join(dir, "master.key"))
}

// providerOptions are how to reach the cloud: DigitalOcean's where there is a
// token, else the one in a box, by the same client over HTTP.
func (a *app) providerOptions(env secretsFromEnvironment) (digitalocean.Options, error) {
	key, err := accountKey(a.vault)
	if err != nil {
		return digitalocean.Options{}, err
	}
	o := digitalocean.Options{Token: env.digitalOceanToken, URL: env.digitalOceanURL, AccountKey: key, Log: a.log, Now: time.Now}
	if env.digitalOceanSSH != "" {
		if o.SSHPort, err = strconv.Atoi(env.digitalOceanSSH); err != nil {
			return o, fmt.Errorf("BERTH_DIGITALOCEAN_SSH_PORT: %w", err)
		}
	}
	if o.Token != "" {
		return o, keepKind(a.dir, digitalOcean)
	}
	if o.URL != "" {
		return o, errors.New("BERTH_DIGITALOCEAN_URL needs DIGITALOCEAN_TOKEN as well")
	}
	if err := keepKind(a.dir, inBox); err != nil {
		return o, err
	}
	if a.cloud, err = openCloud(filepath.Join(a.dir, "sandbox"), a.log); err != nil {
		return o, err
	}
	o.Token, o.URL, o.SSHPort = a.cloud.Token(), a.cloud.url, a.cloud.SSHPort()
	return o, nil
}

// checkProvider refuses to start where the cloud refuses the operator's token. A
// cloud that does not answer now may do so later.
func (a *app) checkProvider(ctx context.Context) error {
	if a.cloud != nil {
		return nil // its own
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := a.clouds.Account(ctx)
	if provider.KindOf(err) == provider.Auth {
		return fmt.Errorf("DigitalOcean refuses DIGITALOCEAN_TOKEN: %w", err)
	}
	if err != nil {
		a.log.Warn("DigitalOcean does not answer now", slog.Any("error", err))
	}
	return nil
}

// accountKey is a key that nobody holds the private half of: it is registered
// at the provider only so that no root password is ever mailed.
func accountKey(v *account.Vault) (string, error) {
	seed, err := v.Derive("provider account key", ed25519.SeedSize)
	if err != nil {
		return "", err
	}
	public, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		return "", err
	}
	return string(ssh.MarshalAuthorizedKey(public)), nil
}

// generous are limits for a client on the same machine.
var generous = sandbox.Limits{Hour: 100_000_000, Minute: 10_000_000, KeyLists: 10_000_000}

func openCloud(dir string, log *slog.Logger) (*cloud, error) {
	c, err := sandbox.Open(sandbox.Options{Dir: dir, Log: log, Limits: generous, DropletLimit: 1000})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	out := &cloud{Cloud: c, url: "http://" + l.Addr().String(), serve: make(chan error, 1)}
	out.server = &http.Server{Handler: c.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { out.serve <- out.server.Serve(l) }()
	return out, nil
}

func (c *cloud) close(ctx context.Context) error {
	err := c.server.Shutdown(ctx)
	<-c.serve
	return errors.Join(err, c.Close())
}

// begin starts the cloud and the jobs, once. It returns at once: the first
// answer must not wait for machines to boot.
func (a *app) begin(ctx context.Context) {
	a.starter.Do(func() {
		go func() {
			err := a.start(ctx)
			if err != nil {
				a.log.Error("could not start", slog.Any("error", err))
			}
			a.ready.Store(err == nil)
			a.started <- err
			close(a.started)
		}()
	})
}

func (a *app) start(ctx context.Context) error {
	if a.cloud != nil {
		if err := a.cloud.Start(ctx); err != nil {
			return fmt.Errorf("start the sandbox: %w", err)
		}
	}
	if err := a.rails.check(ctx); err != nil {
		return err
	}
	return a.queue.Start(ctx)
}

// payments sees to payments whose requests have ended.
func (a *app) payments(ctx context.Context) error {
	if len(a.rails.checked) == 0 {
		return nil
	}
	return errors.Join(a.rails.check(ctx), a.system.FollowPayments(ctx))
}

// checkReady tells whether calls can be served well.
func (a *app) checkReady(ctx context.Context) error {
	if !a.ready.Load() {
		return errors.New("still starting")
	}
	return a.db.Ops().Read(ctx, func(ops.Rx) error { return nil })
}

// playMoney is what each account that registers is given on the sandbox.
const playMoney = 10 * berth.Dollar

// answersKept is how long an idempotency key is remembered.
const answersKept = 30 * 24 * time.Hour

// prune forgets what is past its time.
func (a *app) prune(ctx context.Context) error {
	return a.db.Ops().Write(ctx, func(tx ops.Tx) error {
		now := time.Now()
		if _, err := tx.DeleteAnswers(ctx, now.Add(-answersKept)); err != nil {
			return err
		}
		if _, err := tx.DeleteQuotes(ctx, now.Add(-24*time.Hour)); err != nil {
			return err
		}
		if _, err := tx.DeleteRefused(ctx, now.Add(-24*time.Hour)); err != nil {
			return err
		}
		if _, err := tx.DeleteCounters(ctx, now.Add(-time.Hour)); err != nil {
			return err
		}
		_, err := tx.DeleteProofs(ctx, now)
		return err
	})
}

// close ends everything in the order in which it depends on each other: calls,
// jobs, connections, machines, storage. ctx bounds the waiting for calls and
// steps under way; nothing is lost where it ends first.
func (a *app) close(ctx context.Context) error {
	var errs []error
	if a.front != nil {
		errs = append(errs, a.front.Shutdown(ctx))
	}
	a.starter.Do(func() { close(a.started) }) // never begun: nothing to wait for
	<-a.started
	if a.queue != nil {
		errs = append(errs, a.queue.Stop(ctx))
	}
	if a.pool != nil {
		a.pool.Close()
	}
	if a.cloud != nil {
		errs = append(errs, a.cloud.close(ctx))
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	return errors.Join(errs...)
}

// prober finds out over the pool whether servers answer.
type prober struct {
	pool  *remote.Pool
	cloud *cloud // nil with a real provider
}

// Ready implements fleet.Prober: it waits for a server that is about to start.
//
// Where this machine allows the sandbox no shells, a machine that is on is all
// that can be delivered.
func (p prober) Ready(ctx context.Context, s fleet.Server, signer ssh.Signer) error {
	if p.cloud != nil && !p.cloud.Report().Shells {
		return nil
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		return fmt.Errorf("the host key of %s: %w", s.ID, err)
	}
	return p.pool.Await(ctx, remote.Target{
		ID: string(s.ID), Addr: netip.AddrPortFrom(s.Addr, uint16(s.SSHPort)), User: "root", HostKey: host, Signer: signer,
	})
}

// Forget implements fleet.Prober.
func (p prober) Forget(id berth.ID) { p.pool.Forget(string(id)) }
