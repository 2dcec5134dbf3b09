package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider/digitalocean"
	"berth/remote"
	"berth/storage"
)

// readinessInFlight is how many servers are made at a time: more would measure
// how they share the processors.
const readinessInFlight = 2

// measureReadiness buys servers on real droplets from the whole fleet, and takes
// the time from a droplet's first answer on SSH, seen by a watcher that knocks
// without pause, until the server is delivered. The baseline knocks at the same
// droplet every 100 ms and is content with its host key.
func measureReadiness(ctx context.Context, l *lab) (_ []result, err error) {
	c, err := openCloud(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if !c.shells() {
		return nil, nil
	}
	y, err := openYard(ctx, l, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, y.close()) }()
	count := l.pick(50, 10)
	var mu sync.Mutex
	var ours, theirs []float64
	_, err = calls(ctx, count, readinessInFlight, func(ctx context.Context, _ int) error {
		our, their, err := y.deliver(ctx)
		mu.Lock()
		defer mu.Unlock()
		ours, theirs = append(ours, milliseconds(our)), append(theirs, milliseconds(their))
		return err
	})
	if err != nil {
		return nil, err
	}
	const what, against = "from a real droplet's first answer to Berth's knowing it, ", "bare TCP polling every 100 ms, without a login"
	return []result{
		newResult(what+"p50", "ms", compare(series{ours}, series{theirs}, median), against, nil),
		newResult(what+"p99", "ms", compare(series{ours}, series{theirs}, p99), against, within(300, "ms")),
	}, nil
}

// yard is a fleet on a cloud, put together as the program does but for its
// fronts, with a principal who orders.
type yard struct {
	cloud *cloud
	fleet *fleet.Fleet
	store fleet.Store
	owner account.Principal
	shut  func() error
}

func openYard(ctx context.Context, l *lab, c *cloud) (*yard, error) {
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	db, err := storage.Open(ctx, storage.Options{Path: filepath.Join(dir, "berth.db"), Log: discard})
	if err != nil {
		return nil, err
	}
	p, err := digitalocean.New(digitalocean.Options{Token: c.Token(), URL: c.server.URL, SSHPort: c.SSHPort(), Log: discard})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	pool := remote.NewPool(remote.PoolOptions{Log: discard})
	y := &yard{cloud: c, store: db.Fleet()}
	y.shut = func() error {
		pool.Close()
		return db.Close()
	}
	y.fleet = fleet.New(fleet.Options{
		Store: y.store, Provider: p, Catalog: billing.DefaultCatalog(), Vault: fleettest.Vault{}, Prober: prober{pool},
		Log: discard, Deployment: "bench", Pace: fleet.SandboxPace(), Process: "bench",
	})
	if err := y.register(ctx); err != nil {
		return nil, errors.Join(err, y.close())
	}
	return y, nil
}

func (y *yard) close() error { return y.shut() }

// register adds the principal, with money enough.
func (y *yard) register(ctx context.Context) error {
	now := time.Now()
	y.owner = account.Principal{
		ID: berth.NewID(berth.PrefixAccount, now), Kind: account.Email, Email: "bench@example.com",
		Tariff: account.Retail, ServerLimit: 1000, Created: now,
	}
	return y.store.Write(ctx, func(tx fleet.Tx) error {
		if err := account.Join(ctx, tx, y.owner); err != nil {
			return err
		}
		_, err := billing.Grant(ctx, tx, y.owner.ID, billing.Transfer{ID: "grant:bench", Amount: 1000 * berth.Dollar, At: now})
		return err
	})
}

// deliver buys a server and waits for it. It returns how long after the
// droplet's first answer Berth and the baseline knew of it.
func (y *yard) deliver(ctx context.Context) (ours, theirs time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, a, err := y.order(ctx)
	if err != nil {
		return 0, 0, err
	}
	var first, bare, known time.Time
	errs := make([]error, 2)
	var all sync.WaitGroup
	all.Go(func() { first, bare, errs[0] = y.watch(ctx, string(s.ID)) })
	all.Go(func() { known, errs[1] = y.follow(ctx, a) })
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	err = y.store.Read(ctx, func(rx fleet.Rx) error { s, err = rx.Server(ctx, s.ID); return err })
	if err == nil && s.Delivered.IsZero() {
		err = fmt.Errorf("server %s is %s: %s", s.ID, s.Status, s.Reason)
	}
	return max(known.Sub(first), 0), max(bare.Sub(first), 0), err
}

// order buys a server, as an operation does.
func (y *yard) order(ctx context.Context) (s fleet.Server, a fleet.Action, err error) {
	o := fleet.CreateOrder{Owner: y.owner, Size: "small", Region: "nyc1", Minutes: 60}
	charge := string(berth.NewID(berth.PrefixTransaction, time.Now()))
	err = y.store.Write(ctx, func(tx fleet.Tx) error {
		if err := tx.LockPrincipal(ctx, y.owner.ID); err != nil {
			return err
		}
		price, err := y.fleet.PlanCreate(ctx, tx, o)
		if err != nil {
			return err
		}
		if s, a, err = y.fleet.Create(ctx, tx, o, price, charge); err != nil {
			return err
		}
		_, err = billing.Hold(ctx, tx, y.owner.ID, billing.Transfer{
			ID: charge, Amount: price.Total, Reason: billing.ReasonPurchase, Ref: s.ID, At: time.Now(),
		})
		return err
	})
	return s, a, err
}

// follow advances an action until it ends, and returns when it did.
func (y *yard) follow(ctx context.Context, a fleet.Action) (time.Time, error) {
	for {
		again, done, err := y.fleet.Step(ctx, a.ID)
		if err != nil || done {
			return time.Now(), err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// watch returns when the droplet with a tag first answered on SSH, and when
// polling saw it that began at any moment.
func (y *yard) watch(ctx context.Context, tag string) (first, polled time.Time, err error) {
	addr, err := y.address(ctx, tag)
	if err != nil {
		return first, polled, err
	}
	const every = 100 * time.Millisecond
	errs := make([]error, 2)
	var both sync.WaitGroup
	both.Go(func() { first, errs[0] = knock(ctx, addr, lookAgain, answers) })
	both.Go(func() {
		time.Sleep(rand.N(every))
		polled, errs[1] = knock(ctx, addr, every, showsKey)
	})
	both.Wait()
	return first, polled, errors.Join(errs...)
}

// address is where the droplet with a tag is, as soon as the cloud tells.
func (y *yard) address(ctx context.Context, tag string) (string, error) {
	for {
		list, _, err := y.cloud.client.Droplets.ListByTag(ctx, tag, nil)
		if err != nil {
			return "", err
		}
		if len(list) > 0 {
			if addr, err := list[0].PublicIPv4(); err == nil && addr != "" {
				return net.JoinHostPort(addr, strconv.Itoa(y.cloud.SSHPort())), nil
			}
		}
		if err := pause(ctx); err != nil {
			return "", err
		}
	}
}

// knock connects to an address at intervals until a try succeeds, and returns
// when that was.
func knock(ctx context.Context, addr string, every time.Duration, try func(net.Conn) error) (time.Time, error) {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			err = try(conn)
			seen := time.Now()
			stop()
			conn.Close() // it was opened for its answer only
			if err == nil {
				return seen, nil
			}
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return time.Time{}, errors.Join(ctx.Err(), err)
		}
	}
}

// answers reads the first byte that an SSH server says.
func answers(conn net.Conn) error {
	_, err := conn.Read(make([]byte, 1))
	return err
}

// showsKey goes as far as the server's key.
func showsKey(conn net.Conn) error {
	shown := false
	_, _, _, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{User: "root", HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error {
		shown = true
		return nil
	}})
	if shown {
		return nil // that the login fails is right
	}
	return err
}

// prober probes over a pool, as the program does.
type prober struct{ pool *remote.Pool }

// Ready implements fleet.Prober.
func (p prober) Ready(ctx context.Context, s fleet.Server, signer ssh.Signer) error {
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		return err
	}
	return p.pool.Await(ctx, remote.Target{
		ID: string(s.ID), Addr: netip.AddrPortFrom(s.Addr, uint16(s.SSHPort)), User: "root", HostKey: host, Signer: signer,
	})
}

// Forget implements fleet.Prober.
func (prober) Forget(berth.ID) {}
