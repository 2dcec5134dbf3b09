package providertest_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"berth/provider"
)

// memory is a second cloud, as small as one can be that keeps all of the
// interface's promises. Nothing in it is like DigitalOcean: ids and references
// are words, and work advances each time that somebody looks.
type memory struct {
	mu        sync.Mutex
	serial    int
	machines  map[string]*box
	snapshots map[string]provider.Snapshot // by id
	works     map[provider.Ref]*job
}

// box is a machine.
type box struct {
	provider.Machine
	looks int // until a new machine is on
}

// job is work under way on a machine, and what it does in the end.
type job struct {
	looks int
	on    *box
	do    func()
}

func newMemory() *memory {
	return &memory{machines: map[string]*box{}, snapshots: map[string]provider.Snapshot{}, works: map[provider.Ref]*job{}}
}

func fail(kind provider.Kind, op string) error {
	return &provider.Error{Kind: kind, Op: op, Message: "the cloud in memory says no"}
}

// begin takes the lock for a call; the caller releases it, where there is no
// error.
func (m *memory) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	return nil
}

func (m *memory) Name() string { return "memory" }

func (m *memory) Catalog(ctx context.Context) (provider.Catalog, error) {
	here := []string{"attic", "cellar"}
	return provider.Catalog{
		Regions: []provider.Region{{Slug: "attic", Name: "Attic", Available: true}, {Slug: "cellar", Name: "Cellar", Available: true}},
		Sizes: []provider.Size{
			{Slug: "tiny", VCPUs: 1, MemoryMB: 512, DiskGB: 10, Hourly: 5_000, Regions: here, Available: true},
			{Slug: "huge", VCPUs: 4, MemoryMB: 8192, DiskGB: 80, Hourly: 80_000, Regions: here, Available: true},
		},
		Images: []provider.Image{{Slug: "plain", Name: "Plain"}},
	}, ctx.Err()
}

func (m *memory) size(slug string) (provider.Size, bool) {
	c, _ := m.Catalog(context.Background()) // nothing ends this context
	i := slices.IndexFunc(c.Sizes, func(s provider.Size) bool { return s.Slug == slug })
	if i < 0 {
		return provider.Size{}, false
	}
	return c.Sizes[i], true
}

func (m *memory) Account(ctx context.Context) (provider.Account, error) {
	if err := m.begin(ctx); err != nil {
		return provider.Account{}, err
	}
	defer m.mu.Unlock()
	return provider.Account{Standing: provider.Good, MachineLimit: 100, Machines: len(m.machines)}, nil
}

func (m *memory) Create(ctx context.Context, s provider.Spec) (provider.Machine, error) {
	if err := m.begin(ctx); err != nil {
		return provider.Machine{}, err
	}
	defer m.mu.Unlock()
	size, known := m.size(s.Size)
	valid := s.Tag != "" && len(s.UserData) <= provider.MaxUserData && known && m.hasImage(s.Image) &&
		slices.Contains(size.Regions, s.Region)
	if !valid {
		return provider.Machine{}, fail(provider.Invalid, "create")
	}
	for _, b := range m.machines {
		if b.Tag == s.Tag {
			return b.Machine, nil
		}
	}
	m.serial++
	b := &box{looks: 2, Machine: provider.Machine{
		ID: fmt.Sprintf("box-%d", m.serial), Tag: s.Tag, Tags: append([]string{s.Tag}, s.Tags...), State: provider.Creating,
		SSHPort: 22, Region: s.Region, Size: s.Size, DiskGB: size.DiskGB, Created: time.Now(),
	}}
	m.machines[b.ID] = b
	return b.Machine, nil
}

func (m *memory) hasImage(name string) bool {
	_, saved := m.snapshots[name]
	return saved || name == "plain"
}

// look is a machine as it shows itself now.
func (m *memory) look(b *box) provider.Machine {
	if b.State == provider.Creating {
		if b.looks--; b.looks <= 0 {
			number, _ := strconv.Atoi(strings.TrimPrefix(b.ID, "box-")) // Create made it so
			b.State, b.Addr = provider.On, netip.AddrFrom4([4]byte{192, 0, 2, byte(number)})
		}
	}
	return b.Machine
}

func (m *memory) Machine(ctx context.Context, id string) (provider.Machine, error) {
	if err := m.begin(ctx); err != nil {
		return provider.Machine{}, err
	}
	defer m.mu.Unlock()
	if b := m.machines[id]; b != nil {
		return m.look(b), nil
	}
	return provider.Machine{}, fail(provider.NotFound, "machine")
}

func (m *memory) Machines(ctx context.Context, tag string) (list []provider.Machine, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, b := range m.machines {
		if slices.Contains(b.Tags, tag) {
			list = append(list, m.look(b))
		}
	}
	return list, nil
}

func (m *memory) Delete(ctx context.Context, id string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	delete(m.machines, id)
	return nil
}

// start begins work on a machine that is idle. want says whether there is
// anything to do, or why not; do is done in the end.
func (m *memory) start(ctx context.Context, id string, want func(*box) (bool, error), do func(*box)) (provider.Ref, error) {
	if err := m.begin(ctx); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	b := m.machines[id]
	switch {
	case b == nil:
		return "", fail(provider.NotFound, "start")
	case b.Busy:
		return "", fail(provider.Conflict, "start")
	}
	if needed, err := want(b); err != nil || !needed {
		return "", err
	}
	m.serial++
	ref := provider.Ref(fmt.Sprintf("job-%d", m.serial))
	b.Busy = true
	m.works[ref] = &job{looks: 2, on: b, do: func() { do(b) }}
	return ref, nil
}

func (m *memory) SetPower(ctx context.Context, id string, on bool) (provider.Ref, error) {
	state := provider.Off
	if on {
		state = provider.On
	}
	return m.start(ctx, id, func(b *box) (bool, error) { return b.State != state, nil }, func(b *box) { b.State = state })
}

func (m *memory) Restart(ctx context.Context, id string) (provider.Ref, error) {
	return m.start(ctx, id, func(b *box) (bool, error) {
		if b.State != provider.On {
			return false, fail(provider.Invalid, "restart")
		}
		return true, nil
	}, func(*box) {})
}

func (m *memory) SetSize(ctx context.Context, id, slug string, disk bool) (provider.Ref, error) {
	size, known := m.size(slug)
	return m.start(ctx, id, func(b *box) (bool, error) {
		if b.Size == slug {
			return false, nil
		}
		if b.State != provider.Off || !known || size.DiskGB < b.DiskGB {
			return false, fail(provider.Invalid, "resize")
		}
		return true, nil
	}, func(b *box) {
		b.Size = slug
		if disk {
			b.DiskGB = size.DiskGB
		}
	})
}

func (m *memory) SetImage(ctx context.Context, id, name string) (provider.Ref, error) {
	return m.start(ctx, id, func(*box) (bool, error) {
		if !m.hasImage(name) {
			return false, fail(provider.Invalid, "rebuild")
		}
		return true, nil
	}, func(*box) {})
}

func (m *memory) TakeSnapshot(ctx context.Context, id, name string) (provider.Ref, error) {
	return m.start(ctx, id, func(*box) (bool, error) {
		_, found := m.named(name)
		return !found, nil
	}, func(b *box) {
		m.serial++
		saved := fmt.Sprintf("disk-%d", m.serial)
		m.snapshots[saved] = provider.Snapshot{
			ID: saved, Name: name, Bytes: 1 << 30, MinDiskGB: b.DiskGB, Regions: []string{b.Region}, Created: time.Now(),
		}
	})
}

func (m *memory) Check(ctx context.Context, ref provider.Ref) (provider.Progress, error) {
	if err := m.begin(ctx); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	if ref == "" {
		return provider.Done, nil
	}
	j := m.works[ref]
	if j == nil {
		return "", fail(provider.NotFound, "check")
	}
	if j.looks--; j.looks > 0 {
		return provider.Running, nil
	}
	if j.on.Busy && j.looks == 0 {
		j.do()
		j.on.Busy = false
	}
	return provider.Done, nil
}

// named is the snapshot with a name. The caller holds the lock.
func (m *memory) named(name string) (provider.Snapshot, bool) {
	for _, s := range m.snapshots {
		if s.Name == name {
			return s, true
		}
	}
	return provider.Snapshot{}, false
}

func (m *memory) Snapshot(ctx context.Context, name string) (provider.Snapshot, error) {
	if err := m.begin(ctx); err != nil {
		return provider.Snapshot{}, err
	}
	defer m.mu.Unlock()
	if s, found := m.named(name); found {
		return s, nil
	}
	return provider.Snapshot{}, fail(provider.NotFound, "snapshot")
}

func (m *memory) Snapshots(ctx context.Context, prefix string) (list []provider.Snapshot, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, s := range m.snapshots {
		if strings.HasPrefix(s.Name, prefix) {
			list = append(list, s)
		}
	}
	return list, nil
}

func (m *memory) DeleteSnapshot(ctx context.Context, id string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	delete(m.snapshots, id)
	return nil
}
