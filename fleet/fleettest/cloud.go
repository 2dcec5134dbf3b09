// Package fleettest is a cloud for tests of the fleet: machines in memory, time
// by a clock that the test moves, and faults that the test orders.
package fleettest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/provider"
)

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock is a clock that shows now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// The methods of a Cloud that faults can be ordered for.
const (
	Create         = "create"
	List           = "list" // Machines
	Get            = "get"  // Machine
	Delete         = "delete"
	Power          = "power"
	Restart        = "restart"
	Resize         = "resize"
	Rebuild        = "rebuild"
	Snapshot       = "snapshot"
	Check          = "check"
	FindSnapshot   = "find snapshot"
	DeleteSnapshot = "delete snapshot"
	Catalog        = "catalog"
	Account        = "account"
)

// reads are the methods that change nothing.
var reads = map[string]bool{List: true, Get: true, Check: true, FindSnapshot: true, Catalog: true, Account: true}

// Fault makes one call go wrong.
type Fault struct {
	Kind   provider.Kind // of the error that the call returns; empty: none
	Effect bool          // the call does its work all the same
	Broken bool          // the work that the call starts will be reported as failed
}

// Cloud is a provider in memory.
type Cloud struct {
	Clock    *Clock
	BootTime time.Duration // from a create or start until a machine is on
	WorkTime time.Duration // until work is done
	ListLag  time.Duration // until a new machine or snapshot is listed
	NoAddr   time.Duration // how long a machine that is on has no address

	// During, where set, is called in the midst of every call that changes
	// something, before it has its effect.
	During func(method string)

	Standing provider.Account // what Account answers
	Stock    provider.Catalog // what Catalog answers

	mu        sync.Mutex
	machines  map[string]*machine
	snapshots map[string]*snapshot
	works     map[provider.Ref]*work
	faults    map[string][]Fault
	calls     map[string]int
	serial    int
	created   int
	asked     []provider.Spec
}

type machine struct {
	provider.Machine
	onAt      time.Time
	busyUntil time.Time
}

type snapshot struct {
	provider.Snapshot
	listedAt time.Time
}

type work struct {
	doneAt time.Time
	broken bool
}

// NewCloud is an empty cloud.
func NewCloud(clock *Clock) *Cloud {
	return &Cloud{
		Clock: clock, BootTime: 5 * time.Second, WorkTime: 4 * time.Second,
		Standing: provider.Account{Standing: provider.Good}, Stock: stock(),
		machines: map[string]*machine{}, snapshots: map[string]*snapshot{},
		works: map[provider.Ref]*work{}, faults: map[string][]Fault{}, calls: map[string]int{},
	}
}

// Fail orders faults for the next calls of a method, one call each.
func (c *Cloud) Fail(method string, faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[method] = append(c.faults[method], faults...)
}

// Heal takes back all faults that have not happened.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.faults)
}

// Vanish removes a machine as if the cloud had lost it.
func (c *Cloud) Vanish(tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.machines, func(_ string, m *machine) bool { return m.Tag == tag })
}

// Count is how many machines bear a tag, whether they are listed or not.
func (c *Cloud) Count(tag string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, m := range c.machines {
		if slices.Contains(m.Tags, tag) {
			n++
		}
	}
	return n
}

// CountSnapshots is how many snapshots there are.
func (c *Cloud) CountSnapshots() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.snapshots)
}

// Calls is how often a method was called.
func (c *Cloud) Calls(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[method]
}

// Asked are all creates that were asked for, refused ones too.
func (c *Cloud) Asked() []provider.Spec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// Created is how many machines were ever made.
func (c *Cloud) Created() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.created
}

// Answers tells whether the machine of a server would answer SSH.
func (c *Cloud) Answers(tag string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if m.Tag == tag {
			return c.state(m).State == provider.On
		}
	}
	return false
}

// TurnOff turns a machine off from within.
func (c *Cloud) TurnOff(tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if m.Tag == tag {
			m.State = provider.Off
		}
	}
}

// state is a machine as the cloud shows it now.
func (c *Cloud) state(m *machine) provider.Machine {
	now := c.Clock.Now()
	out := m.Machine
	if out.State == provider.On && now.Before(m.onAt) {
		out.State = provider.Creating
	}
	if now.Before(m.onAt.Add(c.NoAddr)) {
		out.Addr = netip.Addr{}
	}
	out.Busy = now.Before(m.busyUntil)
	return out
}

func fail(kind provider.Kind, method string) error {
	return &provider.Error{Kind: kind, Op: method, Message: "ordered by the test"}
}

// fault is the next fault of a method.
func (c *Cloud) fault(method string) Fault {
	queue := c.faults[method]
	if len(queue) == 0 {
		return Fault{}
	}
	c.faults[method] = queue[1:]
	return queue[0]
}

// call runs one method with its fault, under the lock.
func call[T any](c *Cloud, ctx context.Context, method string, do func(Fault) (T, error)) (T, error) {
	if c.During != nil && !reads[method] {
		c.During(method)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	c.calls[method]++
	fault := c.fault(method)
	if fault.Kind != "" && !fault.Effect {
		return zero, fail(fault.Kind, method)
	}
	out, err := do(fault)
	if fault.Kind != "" {
		return zero, fail(fault.Kind, method)
	}
	return out, err
}

// start makes a piece of work that keeps a machine busy.
func (c *Cloud) start(m *machine, f Fault) provider.Ref {
	c.serial++
	ref := provider.Ref(fmt.Sprintf("work-%d", c.serial))
	m.busyUntil = c.Clock.Now().Add(c.WorkTime)
	c.works[ref] = &work{doneAt: m.busyUntil, broken: f.Broken}
	return ref
}

// change starts work on a machine that is not busy.
func (c *Cloud) change(ctx context.Context, method, id string, do func(*machine) bool) (provider.Ref, error) {
	return call(c, ctx, method, func(f Fault) (provider.Ref, error) {
		m, ok := c.machines[id]
		if !ok {
			return "", fail(provider.NotFound, method)
		}
		if c.state(m).Busy {
			return "", fail(provider.Conflict, method)
		}
		if !f.Broken && !do(m) {
			return "", nil
		}
		return c.start(m, f), nil
	})
}

// Name implements provider.Provider.
func (c *Cloud) Name() string { return "test" }

// Catalog implements provider.Provider.
func (c *Cloud) Catalog(context.Context) (provider.Catalog, error) {
	return call(c, context.Background(), Catalog, func(Fault) (provider.Catalog, error) { return c.Stock, nil })
}

// stock is everything but the largest size in ams3, at the price list's costs.
func stock() provider.Catalog {
	regions := []string{"nyc1", "sfo3", "ams3"}
	out := provider.Catalog{}
	for _, slug := range regions {
		out.Regions = append(out.Regions, provider.Region{Slug: slug, Name: slug, Available: true})
	}
	for _, s := range []provider.Size{
		{Slug: "s-1vcpu-1gb", DiskGB: 25, Hourly: 8_930, Regions: regions},
		{Slug: "s-2vcpu-2gb", DiskGB: 60, Hourly: 26_790, Regions: regions},
		{Slug: "s-4vcpu-8gb", DiskGB: 160, Hourly: 71_430, Regions: regions[:2]},
	} {
		s.Available = true
		out.Sizes = append(out.Sizes, s)
	}
	return out
}

var disks = map[string]int{"s-1vcpu-1gb": 25, "s-2vcpu-2gb": 60, "s-4vcpu-8gb": 160}

// Account implements provider.Provider.
func (c *Cloud) Account(context.Context) (provider.Account, error) {
	return call(c, context.Background(), Account, func(Fault) (provider.Account, error) { return c.Standing, nil })
}

// Create implements provider.Provider. Like a real cloud's adapter it can only
// find an earlier machine that is listed.
func (c *Cloud) Create(ctx context.Context, spec provider.Spec) (provider.Machine, error) {
	c.mu.Lock()
	c.asked = append(c.asked, spec)
	c.mu.Unlock()
	return call(c, ctx, Create, func(Fault) (provider.Machine, error) {
		if found := c.listed(spec.Tag); len(found) > 0 {
			return found[0], nil
		}
		c.serial++
		c.created++
		now := c.Clock.Now()
		m := &machine{Machine: provider.Machine{
			ID: fmt.Sprintf("m-%d", c.serial), Tag: spec.Tag, Tags: append([]string{spec.Tag}, spec.Tags...),
			State: provider.On, Addr: netip.AddrFrom4([4]byte{203, 0, 113, byte(c.serial)}), SSHPort: 22,
			Region: spec.Region, Size: spec.Size, DiskGB: disks[spec.Size], Created: now,
		}, onAt: now.Add(c.BootTime)}
		c.machines[m.ID] = m
		return c.state(m), nil
	})
}

func (c *Cloud) listed(tag string) []provider.Machine {
	var out []provider.Machine
	for _, m := range c.machines {
		if slices.Contains(m.Tags, tag) && !c.Clock.Now().Before(m.Created.Add(c.ListLag)) {
			out = append(out, c.state(m))
		}
	}
	slices.SortFunc(out, func(a, b provider.Machine) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Machine implements provider.Provider.
func (c *Cloud) Machine(ctx context.Context, id string) (provider.Machine, error) {
	return call(c, ctx, Get, func(Fault) (provider.Machine, error) {
		if m, ok := c.machines[id]; ok {
			return c.state(m), nil
		}
		return provider.Machine{}, fail(provider.NotFound, Get)
	})
}

// Machines implements provider.Provider.
func (c *Cloud) Machines(ctx context.Context, tag string) ([]provider.Machine, error) {
	return call(c, ctx, List, func(Fault) ([]provider.Machine, error) { return c.listed(tag), nil })
}

// Delete implements provider.Provider.
func (c *Cloud) Delete(ctx context.Context, id string) error {
	_, err := call(c, ctx, Delete, func(f Fault) (struct{}, error) {
		if !f.Broken {
			delete(c.machines, id)
		}
		return struct{}{}, nil
	})
	return err
}

// SetPower implements provider.Provider.
func (c *Cloud) SetPower(ctx context.Context, id string, on bool) (provider.Ref, error) {
	wanted := provider.Off
	if on {
		wanted = provider.On
	}
	return c.change(ctx, Power, id, func(m *machine) bool {
		if m.State == wanted {
			return false
		}
		m.State, m.onAt = wanted, c.Clock.Now()
		return true
	})
}

// Restart implements provider.Provider.
func (c *Cloud) Restart(ctx context.Context, id string) (provider.Ref, error) {
	return c.change(ctx, Restart, id, func(m *machine) bool {
		m.onAt = c.Clock.Now().Add(c.BootTime)
		return true
	})
}

// SetSize implements provider.Provider. It refuses a machine that is on, and a
// size with a smaller disk.
func (c *Cloud) SetSize(ctx context.Context, id, size string, disk bool) (provider.Ref, error) {
	c.mu.Lock()
	m, ok := c.machines[id]
	wrong := ok && (m.State == provider.On || disks[size] < m.DiskGB)
	c.mu.Unlock()
	if wrong {
		return "", fail(provider.Invalid, Resize)
	}
	return c.change(ctx, Resize, id, func(m *machine) bool {
		if m.Size == size {
			return false
		}
		m.Size = size
		if disk {
			m.DiskGB = disks[size]
		}
		return true
	})
}

// SetImage implements provider.Provider.
func (c *Cloud) SetImage(ctx context.Context, id, _ string) (provider.Ref, error) {
	return c.change(ctx, Rebuild, id, func(m *machine) bool {
		m.State, m.onAt = provider.On, c.Clock.Now().Add(c.BootTime)
		return true
	})
}

// TakeSnapshot implements provider.Provider.
func (c *Cloud) TakeSnapshot(ctx context.Context, id, name string) (provider.Ref, error) {
	return c.change(ctx, Snapshot, id, func(m *machine) bool {
		c.serial++
		done := c.Clock.Now().Add(c.WorkTime)
		made := provider.Snapshot{
			ID: fmt.Sprintf("s-%d", c.serial), Name: name, Bytes: 3_000_000_000,
			MinDiskGB: m.DiskGB, Regions: []string{m.Region}, Created: done,
		}
		c.snapshots[made.ID] = &snapshot{made, done.Add(c.ListLag)}
		return true
	})
}

// Check implements provider.Provider.
func (c *Cloud) Check(ctx context.Context, ref provider.Ref) (provider.Progress, error) {
	return call(c, ctx, Check, func(Fault) (provider.Progress, error) {
		w, ok := c.works[ref]
		switch {
		case !ok:
			return "", fail(provider.NotFound, Check)
		case c.Clock.Now().Before(w.doneAt):
			return provider.Running, nil
		case w.broken:
			return provider.Failed, nil
		}
		return provider.Done, nil
	})
}

// Snapshot implements provider.Provider.
func (c *Cloud) Snapshot(ctx context.Context, name string) (provider.Snapshot, error) {
	return call(c, ctx, FindSnapshot, func(Fault) (provider.Snapshot, error) {
		for _, s := range c.finished() {
			if s.Name == name {
				return s, nil
			}
		}
		return provider.Snapshot{}, fail(provider.NotFound, FindSnapshot)
	})
}

// Snapshots implements provider.Provider.
func (c *Cloud) Snapshots(ctx context.Context, prefix string) ([]provider.Snapshot, error) {
	return call(c, ctx, FindSnapshot, func(Fault) ([]provider.Snapshot, error) {
		return slices.DeleteFunc(c.finished(), func(s provider.Snapshot) bool {
			return !strings.HasPrefix(s.Name, prefix)
		}), nil
	})
}

func (c *Cloud) finished() []provider.Snapshot {
	var out []provider.Snapshot
	for _, s := range c.snapshots {
		if !c.Clock.Now().Before(s.listedAt) {
			out = append(out, s.Snapshot)
		}
	}
	slices.SortFunc(out, func(a, b provider.Snapshot) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// DeleteSnapshot implements provider.Provider.
func (c *Cloud) DeleteSnapshot(ctx context.Context, id string) error {
	_, err := call(c, ctx, DeleteSnapshot, func(Fault) (struct{}, error) {
		delete(c.snapshots, id)
		return struct{}{}, nil
	})
	return err
}
