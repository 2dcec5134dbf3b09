package fleet_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/account"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

// TestAnything throws orders, steps, crashes, faults and time at a deployment.
// After each of them the ledger adds up, servers and charges agree and no server
// has two machines. In the end, with the faults gone, everything comes to rest.
func TestAnything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		s := simOn(rt, openStore(t, temp(rt, dir)))
		s.cloud.ListLag = rapid.SampledFrom([]time.Duration{0, 10 * time.Second, 45 * time.Second}).Draw(rt, "lag")
		m := &machineModel{sim: s}
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) { s.check() },
			"create":  m.create,
			"change":  m.change,
			"destroy": m.destroy,
			"step":    m.step,
			"crash":   m.crash,
			"fault":   m.fault,
			"vanish":  m.vanish,
			"wait":    m.wait,
			"money":   m.money,
			"scan":    m.scan,
		})
		m.rest()
	})
}

// machineModel draws what happens to a deployment.
type machineModel struct {
	*sim
	actions   []berth.ID
	snapshots []berth.ID
}

// try takes an order that may be refused, but only with a typed error.
func (m *machineModel) try(rt *rapid.T, a fleet.Action, err error) {
	switch {
	case err == nil:
		m.actions = append(m.actions, a.ID)
		if a.Snapshot != "" {
			m.snapshots = append(m.snapshots, a.Snapshot)
		}
	case berth.CodeOf(err) == berth.Internal:
		rt.Fatalf("an order met %v", err)
	}
}

func (m *machineModel) create(rt *rapid.T) {
	o := m.order()
	o.Size = rapid.SampledFrom([]string{"small", "medium", "large"}).Draw(rt, "size")
	o.Minutes = rapid.SampledFrom([]int{1, 10, 90, 3000}).Draw(rt, "minutes")
	o.Period = rapid.SampledFrom([]fleet.Period{fleet.Minute, fleet.Hour, fleet.Day, fleet.Deposit}).Draw(rt, "period")
	o.AutoRenew = o.Period == fleet.Minute && rapid.Bool().Draw(rt, "renew")
	o.Days = rapid.SampledFrom([]int{1, 7}).Draw(rt, "days")
	o.Deposit = berth.Micros(rapid.IntRange(10_000, 500_000).Draw(rt, "deposit"))
	o.Owner.Tariff = rapid.SampledFrom([]account.Tariff{account.Retail, account.Cost}).Draw(rt, "tariff")
	if len(m.snapshots) > 0 && rapid.Bool().Draw(rt, "restore") {
		o.Snapshot = rapid.SampledFrom(m.snapshots).Draw(rt, "snapshot")
	}
	_, a, err := m.sim.create(o)
	m.try(rt, a, err)
}

// someServer skips what needs a server where there is none.
func (m *machineModel) someServer(rt *rapid.T) berth.ID {
	if len(m.servers) == 0 {
		rt.Skip("no server")
	}
	return rapid.SampledFrom(m.servers).Draw(rt, "server")
}

func (m *machineModel) change(rt *rapid.T) {
	id := m.someServer(rt)
	var a fleet.Action
	var err error
	switch what := rapid.SampledFrom([]string{"on", "off", "reboot", "resize", "rebuild", "snapshot", "extend", "more days", "more deposit"}).Draw(rt, "change"); what {
	case "resize":
		a, err = m.resizeTo(id, rapid.SampledFrom([]string{"small", "medium", "large"}).Draw(rt, "size"), rapid.Bool().Draw(rt, "keep the disk"))
	case "rebuild":
		a, err = m.rebuild(id, "debian-12-x64", "")
	case "snapshot":
		a, err = m.snapshot(id)
	case "more days":
		if err = m.more(id, fleet.More{Days: 7}); err == nil {
			return
		}
	case "more deposit":
		if err = m.more(id, fleet.More{Deposit: berth.Micros(rapid.IntRange(1, 500_000).Draw(rt, "amount"))}); err == nil {
			return
		}
	case "extend":
		if err = m.extend(id, rapid.IntRange(1, 500).Draw(rt, "minutes")); err == nil {
			return
		}
	default:
		a, err = m.power(id, what)
	}
	m.try(rt, a, err)
}

func (m *machineModel) destroy(rt *rapid.T) {
	a, err := m.sim.destroy(m.someServer(rt), rapid.Bool().Draw(rt, "keep"))
	m.try(rt, a, err)
}

func (m *machineModel) step(rt *rapid.T) {
	if len(m.actions) == 0 {
		rt.Skip("no action")
	}
	id := rapid.SampledFrom(m.actions).Draw(rt, "action")
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		if m.sim.step(id) {
			return
		}
	}
}

func (m *machineModel) crash(rt *rapid.T) { m.dying.left = rapid.IntRange(0, 4).Draw(rt, "writes") }

func (m *machineModel) fault(rt *rapid.T) {
	method := rapid.SampledFrom([]string{
		fleettest.Create, fleettest.List, fleettest.Get, fleettest.Delete, fleettest.Power, fleettest.Restart,
		fleettest.Resize, fleettest.Rebuild, fleettest.Snapshot, fleettest.Check, fleettest.FindSnapshot, fleettest.DeleteSnapshot,
	}).Draw(rt, "method")
	kind := rapid.SampledFrom([]provider.Kind{
		"", provider.Ambiguous, provider.Unavailable, provider.RateLimited, provider.OutOfCapacity, provider.Conflict,
	}).Draw(rt, "kind")
	// Only an ambiguous error may have had its effect.
	effect := kind == provider.Ambiguous && rapid.Bool().Draw(rt, "effect")
	broken := kind == "" && method != fleettest.Create
	m.cloud.Fail(method, repeat(fleettest.Fault{Kind: kind, Effect: effect, Broken: broken}, rapid.IntRange(1, 5).Draw(rt, "times"))...)
}

func (m *machineModel) vanish(rt *rapid.T) { m.cloud.Vanish(string(m.someServer(rt))) }

func (m *machineModel) wait(rt *rapid.T) {
	m.clock.Advance(time.Duration(rapid.IntRange(1, 7200).Draw(rt, "seconds")) * time.Second)
}

// money takes most of the owner's balance, or gives some.
func (m *machineModel) money(rt *rapid.T) {
	if have := m.balance().Available(); have > 10_000 && rapid.Bool().Draw(rt, "spend") {
		m.leave(berth.Micros(rapid.IntRange(1, 10_000).Draw(rt, "left")))
		return
	}
	m.credit(berth.Micros(rapid.IntRange(1, 1_000_000).Draw(rt, "credit")))
}

// scan expires and reconciles, as the jobs do; faults and a dying process may
// get in the way.
func (m *machineModel) scan(*rapid.T) {
	before := len(m.rung)
	_, expireErr := m.fleet.Expire(bg)
	reconcileErr := m.fleet.Reconcile(bg)
	m.actions = append(m.actions, m.rung[before:]...)
	if m.dying.left == 0 && (expireErr != nil || reconcileErr != nil) {
		m.restart()
	}
}

// rest takes the faults away and lets everything end: then no action is open, no
// money is held, and the cloud has exactly the machines of the live servers.
func (m *machineModel) rest() {
	m.dying.left = -1
	m.cloud.Heal()
	for range 2000 {
		open, err := m.fleet.OpenActions(bg)
		if err != nil {
			m.t.Fatalf("open actions: %v", err)
		}
		if len(open) == 0 {
			break
		}
		m.sim.end(open[0])
	}
	if held := m.balance().Held; held != 0 {
		m.t.Fatalf("%s is held at rest", held)
	}
	for range 15 {
		if err := m.fleet.Reconcile(bg); err != nil && m.live() < 3 {
			m.t.Fatalf("reconcile: %v", err)
		}
		m.clock.Advance(time.Minute)
	}
	for _, id := range m.servers {
		if srv, n := m.server(id), m.cloud.Count(string(id)); !srv.Status.Live() && n != 0 {
			m.t.Fatalf("server %s is %s and has %d machines", id, srv.Status, n)
		}
	}
	m.check()
}

// live is how many servers live.
func (m *machineModel) live() (n int) {
	for _, id := range m.servers {
		if m.server(id).Status.Live() {
			n++
		}
	}
	return n
}
