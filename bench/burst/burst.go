// Package burst measures what it costs the provider when many servers are
// created at once, and how soon Berth knows that each answers: the whole fleet
// on DigitalOcean's adapter, in front of an emulator with DigitalOcean's real
// limits on requests and real durations, on a simulated clock. Minutes pass in
// seconds, and the figures are the same on any machine.
package burst

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider/digitalocean"
	"berth/provider/sandbox"
	"berth/remote"
	"berth/storage"
)

// Figures are what a burst came to.
type Figures struct {
	Servers   int           `json:"servers"`
	Requests  int           `json:"requests"`   // all, from an empty process to the last server that answers
	Creates   int           `json:"creates"`    // of them: POST /v2/droplets
	Lists     int           `json:"lists"`      // of them: pages of the list of droplets
	PerServer float64       `json:"per_server"` // Requests per server
	Refused   int           `json:"refused"`    // answered 429
	Reboots   float64       `json:"reboots"`    // requests per server to reboot them all at once
	Destroys  float64       `json:"destroys"`   // requests per server to destroy them all at once
	Whole     time.Duration `json:"whole"`      // until the last server was delivered
	Notice50  time.Duration `json:"notice_p50"` // from a server's first answer on SSH to its delivery
	Notice99  time.Duration `json:"notice_p99"`
}

// deployment is a fleet with all that it stands on.
type deployment struct {
	fleet *fleet.Fleet
	store fleet.Store
	cloud *cloud
	owner account.Principal
	open  sync.WaitGroup // actions under way
}

// Run creates so many servers at once, at some limits on requests, and waits for
// them. It must be called in a testing/synctest bubble.
func Run(t *testing.T, servers int, limits sandbox.Limits) Figures {
	d := deploy(t, servers, limits)
	began := time.Now()
	if err := d.fleet.Refresh(t.Context()); err != nil {
		t.Fatalf("read what the provider has: %v", err)
	}
	var orders sync.WaitGroup
	for range servers {
		orders.Go(func() {
			if err := d.create(t.Context()); err != nil {
				t.Errorf("create: %v", err)
			}
		})
	}
	orders.Wait()
	d.open.Wait()
	f := d.figures(t, servers)
	f.Whole = time.Since(began)
	f.Reboots = d.rebootAll(t, servers)
	f.Destroys = d.destroyAll(t, servers)
	return f
}

// rebootAll reboots all servers at once and waits until they answer again. It
// returns the requests that each took.
func (d *deployment) rebootAll(t *testing.T, servers int) float64 {
	return d.onAll(t, servers, func(tx fleet.Tx, s fleet.Server) (fleet.Action, error) {
		return d.fleet.Power(t.Context(), tx, s, fleet.Reboot, "")
	})
}

// destroyAll ends all servers at once and waits until they are gone. It returns
// the requests that each took.
func (d *deployment) destroyAll(t *testing.T, servers int) float64 {
	each := d.onAll(t, servers, func(tx fleet.Tx, s fleet.Server) (fleet.Action, error) {
		_, a, err := d.fleet.Destroy(t.Context(), tx, s, false)
		return a, err
	})
	if left := d.cloud.Live(); left > 0 {
		t.Errorf("%d droplets are left", left)
	}
	return each
}

// onAll starts an action on all servers at once and waits until they have
// ended. It returns the requests that each took.
func (d *deployment) onAll(t *testing.T, servers int, begin func(fleet.Tx, fleet.Server) (fleet.Action, error)) float64 {
	before := d.cloud.wire.figures()
	var begun []fleet.Action
	err := d.store.Write(t.Context(), func(tx fleet.Tx) error {
		if err := tx.LockPrincipal(t.Context(), d.owner.ID); err != nil {
			return err
		}
		live, err := d.live(t.Context(), tx)
		if err != nil {
			return err
		}
		begun = begun[:0]
		for _, s := range live {
			a, err := begin(tx, s)
			if err != nil {
				return err
			}
			begun = append(begun, a)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("begin on all servers: %v", err)
	}
	d.fleet.Announce(begun...)
	d.open.Wait()
	d.allDone(t, begun)
	after := d.cloud.wire.figures()
	if after.Refused > before.Refused {
		t.Errorf("%d requests were refused", after.Refused-before.Refused)
	}
	return float64(after.Requests-before.Requests) / float64(servers)
}

// allDone fails where an action did not end well.
func (d *deployment) allDone(t *testing.T, actions []fleet.Action) {
	err := d.store.Read(t.Context(), func(rx fleet.Rx) error {
		for _, begun := range actions {
			a, err := rx.Action(t.Context(), begun.ID)
			if err != nil {
				return err
			}
			if a.Status != fleet.ActionDone {
				t.Errorf("%s of %s has %s in %q: %s", a.Kind, a.Server, a.Status, a.Stage, a.Reason)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// live are all servers that are there.
func (d *deployment) live(ctx context.Context, rx fleet.Rx) (all []fleet.Server, err error) {
	for after := berth.ID(""); ; {
		page, err := rx.LiveServers(ctx, after, 200)
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
		after = page[len(page)-1].ID
	}
}

// deploy puts a fleet together as the program does, but for its fronts.
func deploy(t *testing.T, servers int, limits sandbox.Limits) *deployment {
	warnings := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := storage.Open(t.Context(), storage.Options{Path: filepath.Join(t.TempDir(), "berth.db"), Log: warnings})
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{store: db.Fleet(), cloud: openCloud(t, limits, servers)}
	p, err := digitalocean.New(digitalocean.Options{
		Token: d.cloud.Token(), HTTP: &http.Client{Transport: d.cloud.wire}, AccountKey: accountKey, Log: warnings,
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(remote.PoolOptions{Dial: d.cloud.dial, Log: warnings})
	d.fleet = fleet.New(fleet.Options{
		Store: d.store, Provider: p, Catalog: billing.DefaultCatalog(), Vault: fleettest.Vault{},
		Prober: prober{pool}, Ring: func(ids ...berth.ID) { d.ring(t, ids) }, Log: warnings,
		Deployment: "burst", Pace: fleet.CloudPace(), Process: "burst",
	})
	t.Cleanup(func() {
		pool.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.register(t.Context(), servers); err != nil {
		t.Fatal(err)
	}
	return d
}

// register adds the principal who orders, with money enough.
func (d *deployment) register(ctx context.Context, servers int) error {
	now := time.Now()
	d.owner = account.Principal{
		ID: berth.NewID(berth.PrefixAccount, now), Kind: account.Email, Email: "burst@example.com",
		Tariff: account.Retail, ServerLimit: servers, Created: now,
	}
	return d.store.Write(ctx, func(tx fleet.Tx) error {
		if err := account.Join(ctx, tx, d.owner); err != nil {
			return err
		}
		_, err := billing.Grant(ctx, tx, d.owner.ID, billing.Transfer{
			ID: "grant:burst", Amount: berth.Micros(servers) * berth.Dollar, At: now,
		})
		return err
	})
}

// create orders one server, as an operation does.
func (d *deployment) create(ctx context.Context) error {
	o := fleet.CreateOrder{Owner: d.owner, Size: "small", Region: "nyc1", Minutes: 60}
	charge := string(berth.NewID(berth.PrefixTransaction, time.Now()))
	var begun fleet.Action
	err := d.store.Write(ctx, func(tx fleet.Tx) error {
		if err := tx.LockPrincipal(ctx, d.owner.ID); err != nil {
			return err
		}
		price, err := d.fleet.PlanCreate(ctx, tx, o)
		if err != nil {
			return err
		}
		var s fleet.Server
		if s, begun, err = d.fleet.Create(ctx, tx, o, price, charge); err != nil {
			return err
		}
		_, err = billing.Hold(ctx, tx, d.owner.ID, billing.Transfer{
			ID: charge, Amount: price.Total, Reason: billing.ReasonPurchase, Ref: s.ID, At: time.Now(),
		})
		return err
	})
	if err == nil {
		d.fleet.Announce(begun)
	}
	return err
}

// ring advances actions until they end, as the jobs do.
func (d *deployment) ring(t *testing.T, ids []berth.ID) {
	for _, id := range ids {
		d.open.Go(func() {
			for {
				again, done, err := d.fleet.Step(t.Context(), id)
				if err != nil {
					t.Errorf("step: %v", err)
					return
				}
				if done {
					return
				}
				time.Sleep(again)
			}
		})
	}
}

// figures looks at what has become of all servers.
func (d *deployment) figures(t *testing.T, servers int) Figures {
	notices, err := d.notices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(notices) != servers {
		t.Fatalf("%d of %d servers were delivered", len(notices), servers)
	}
	slices.Sort(notices)
	f := d.cloud.wire.figures()
	f.Servers, f.PerServer = servers, float64(f.Requests)/float64(servers)
	f.Notice50, f.Notice99 = notices[len(notices)/2], notices[(len(notices)*99-1)/100]
	return f
}

// notices are the times between each delivered server's first answer and its
// delivery.
func (d *deployment) notices(ctx context.Context) (all []time.Duration, err error) {
	err = d.store.Read(ctx, func(rx fleet.Rx) error {
		live, err := d.live(ctx, rx)
		if err != nil {
			return err
		}
		for _, s := range live {
			if s.Delivered.IsZero() {
				return fmt.Errorf("server %s is %s: %s", s.ID, s.Status, cmp.Or(s.Reason, "no reason"))
			}
			all = append(all, s.Delivered.Sub(d.cloud.answers(s.Addr)))
		}
		return nil
	})
	return all, err
}
