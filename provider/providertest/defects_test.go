package providertest_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"berth/provider"
)

// defect is a provider that breaks one promise, and the case that must find it.
type defect struct {
	found string // the case
	says  string // is in its complaint
	make  func(*memory) provider.Provider
}

// broken is the cloud in memory with some methods replaced.
type broken struct {
	*memory
	catalog  func(provider.Catalog) provider.Catalog
	account  func(provider.Account) provider.Account
	create   func(context.Context, provider.Spec) (provider.Machine, error)
	seen     func(provider.Machine) provider.Machine
	machines func(ctx context.Context, tag string) ([]provider.Machine, error)
	remove   func(ctx context.Context, id string) error
	power    func(ctx context.Context, id string, on bool) (provider.Ref, error)
	restart  func(ctx context.Context, id string) (provider.Ref, error)
	resize   func(ctx context.Context, id, size string, disk bool) (provider.Ref, error)
	rebuild  func(ctx context.Context, id, image string) (provider.Ref, error)
	take     func(ctx context.Context, id, name string) (provider.Ref, error)
	check    func(context.Context, provider.Ref) (provider.Progress, error)
	snapshot func(ctx context.Context, name string) (provider.Snapshot, error)
	list     func(ctx context.Context, prefix string) ([]provider.Snapshot, error)
	erase    func(ctx context.Context, id string) error
}

func (b *broken) Catalog(ctx context.Context) (provider.Catalog, error) {
	c, err := b.memory.Catalog(ctx)
	if b.catalog != nil {
		c = b.catalog(c)
	}
	return c, err
}

func (b *broken) Account(ctx context.Context) (provider.Account, error) {
	a, err := b.memory.Account(ctx)
	if b.account != nil {
		a = b.account(a)
	}
	return a, err
}

func (b *broken) Create(ctx context.Context, s provider.Spec) (provider.Machine, error) {
	if b.create != nil {
		return b.create(ctx, s)
	}
	return b.memory.Create(ctx, s)
}

func (b *broken) Machine(ctx context.Context, id string) (provider.Machine, error) {
	m, err := b.memory.Machine(ctx, id)
	if b.seen != nil && err == nil {
		m = b.seen(m)
	}
	return m, err
}

func (b *broken) Machines(ctx context.Context, tag string) ([]provider.Machine, error) {
	if b.machines != nil {
		return b.machines(ctx, tag)
	}
	return b.memory.Machines(ctx, tag)
}

func (b *broken) Delete(ctx context.Context, id string) error {
	if b.remove != nil {
		return b.remove(ctx, id)
	}
	return b.memory.Delete(ctx, id)
}

func (b *broken) SetPower(ctx context.Context, id string, on bool) (provider.Ref, error) {
	if b.power != nil {
		return b.power(ctx, id, on)
	}
	return b.memory.SetPower(ctx, id, on)
}

func (b *broken) Restart(ctx context.Context, id string) (provider.Ref, error) {
	if b.restart != nil {
		return b.restart(ctx, id)
	}
	return b.memory.Restart(ctx, id)
}

func (b *broken) SetSize(ctx context.Context, id, size string, disk bool) (provider.Ref, error) {
	if b.resize != nil {
		return b.resize(ctx, id, size, disk)
	}
	return b.memory.SetSize(ctx, id, size, disk)
}

func (b *broken) SetImage(ctx context.Context, id, image string) (provider.Ref, error) {
	if b.rebuild != nil {
		return b.rebuild(ctx, id, image)
	}
	return b.memory.SetImage(ctx, id, image)
}

func (b *broken) TakeSnapshot(ctx context.Context, id, name string) (provider.Ref, error) {
	if b.take != nil {
		return b.take(ctx, id, name)
	}
	return b.memory.TakeSnapshot(ctx, id, name)
}

func (b *broken) Check(ctx context.Context, ref provider.Ref) (provider.Progress, error) {
	if b.check != nil {
		return b.check(ctx, ref)
	}
	return b.memory.Check(ctx, ref)
}

func (b *broken) Snapshot(ctx context.Context, name string) (provider.Snapshot, error) {
	if b.snapshot != nil {
		return b.snapshot(ctx, name)
	}
	return b.memory.Snapshot(ctx, name)
}

func (b *broken) Snapshots(ctx context.Context, prefix string) ([]provider.Snapshot, error) {
	if b.list != nil {
		return b.list(ctx, prefix)
	}
	return b.memory.Snapshots(ctx, prefix)
}

func (b *broken) DeleteSnapshot(ctx context.Context, id string) error {
	if b.erase != nil {
		return b.erase(ctx, id)
	}
	return b.memory.DeleteSnapshot(ctx, id)
}

// unwise begins work without looking whether it makes sense.
func unwise(m *memory, do func(*box)) func(context.Context, string) (provider.Ref, error) {
	return func(ctx context.Context, id string) (provider.Ref, error) {
		return m.start(ctx, id, func(*box) (bool, error) { return true, nil }, do)
	}
}

func defects() map[string]defect {
	shows := func(change func(*provider.Machine)) func(*memory) provider.Provider {
		return func(m *memory) provider.Provider {
			return &broken{memory: m, seen: func(seen provider.Machine) provider.Machine { change(&seen); return seen }}
		}
	}
	return map[string]defect{
		"a size without a price": {"Catalog", "size that is not complete", func(m *memory) provider.Provider {
			return &broken{memory: m, catalog: func(c provider.Catalog) provider.Catalog {
				c.Sizes = append(c.Sizes, provider.Size{Slug: "free", VCPUs: 1, MemoryMB: 512, DiskGB: 1})
				return c
			}}
		}},
		"a region twice": {"Catalog", "region without a name, or twice", func(m *memory) provider.Provider {
			return &broken{memory: m, catalog: func(c provider.Catalog) provider.Catalog {
				c.Regions = append(c.Regions, c.Regions[0])
				return c
			}}
		}},
		"an account that counts nothing": {"Account", "the machine counts", func(m *memory) provider.Provider {
			return &broken{memory: m, account: func(a provider.Account) provider.Account { a.Machines = 0; return a }}
		}},
		"an account without a standing": {"Account", "stands", func(m *memory) provider.Provider {
			return &broken{memory: m, account: func(a provider.Account) provider.Account { a.Standing = ""; return a }}
		}},
		"a machine that is on without an address": {"Create", "lacks an address", shows(func(m *provider.Machine) { m.Addr = netip.Addr{} })},
		"a machine without its tag":               {"Create", "with the tag", shows(func(m *provider.Machine) { m.Tag = "" })},
		"a machine without the fleet's tag":       {"Create", "lack \"test_", shows(func(m *provider.Machine) { m.Tags = m.Tags[:1] })},
		"a machine made long ago":                 {"Create", "created", shows(func(m *provider.Machine) { m.Created = time.Time{} })},
		"a machine that is never idle":            {"Create", "is on", shows(func(m *provider.Machine) { m.Busy = true })},
		"a list that takes no tag": {"Create", "in vain until tag", func(m *memory) provider.Provider {
			return &broken{memory: m, machines: func(ctx context.Context, _ string) (list []provider.Machine, err error) {
				if err := m.begin(ctx); err != nil {
					return nil, err
				}
				defer m.mu.Unlock()
				for _, b := range m.machines {
					list = append(list, b.Machine)
				}
				return list, nil
			}}
		}},
		"a create that never looks": {"CreateTwice", "Create again", func(m *memory) provider.Provider {
			serial := 0
			return &broken{memory: m, create: func(ctx context.Context, s provider.Spec) (provider.Machine, error) {
				serial++
				own := s.Tag
				s.Tag = fmt.Sprintf("%s-%d", own, serial)
				s.Tags = append(slices.Clone(s.Tags), own)
				made, err := m.Create(ctx, s)
				made.Tag = own
				return made, err
			}}
		}},
		"creates that look before the others have made anything": {"CreateAtOnce", "one tag gave the machines", func(m *memory) provider.Provider {
			var mu sync.Mutex
			serial := 0
			return &broken{memory: m, create: func(ctx context.Context, s provider.Spec) (provider.Machine, error) {
				mu.Lock()
				serial++
				s.Tag = fmt.Sprintf("%s-%d", s.Tag, serial)
				mu.Unlock()
				return m.Create(ctx, s)
			}}
		}},
		"a create that takes any size": {"CreateRefused", "Create with a wrong size", func(m *memory) provider.Provider {
			return &broken{memory: m, create: func(ctx context.Context, s provider.Spec) (provider.Machine, error) {
				if _, known := m.size(s.Size); !known {
					s.Size = "tiny"
				}
				return m.Create(ctx, s)
			}}
		}},
		"a refusal that says unavailable": {"CreateRefused", "of kind \"unavailable\"", func(m *memory) provider.Provider {
			return &broken{memory: m, create: func(ctx context.Context, s provider.Spec) (provider.Machine, error) {
				made, err := m.Create(ctx, s)
				if err != nil {
					err = fail(provider.Unavailable, "create")
				}
				return made, err
			}}
		}},
		"power that is set again": {"Power", "SetPower on, as it is already", func(m *memory) provider.Provider {
			return &broken{memory: m, power: func(ctx context.Context, id string, on bool) (provider.Ref, error) {
				state := map[bool]provider.State{true: provider.On, false: provider.Off}[on]
				return unwise(m, func(b *box) { b.State = state })(ctx, id)
			}}
		}},
		"power that is never off": {"Power", "is off", func(m *memory) provider.Provider {
			return &broken{memory: m, power: func(ctx context.Context, id string, on bool) (provider.Ref, error) {
				if on {
					return m.SetPower(ctx, id, on)
				}
				return unwise(m, func(*box) {})(ctx, id)
			}}
		}},
		"work without an end": {"Power", "SetPower off is done", func(m *memory) provider.Provider {
			return &broken{memory: m, check: func(_ context.Context, ref provider.Ref) (provider.Progress, error) {
				if ref == "" {
					return provider.Done, nil
				}
				return provider.Running, nil
			}}
		}},
		"work that always fails": {"Restart", "Restart failed", func(m *memory) provider.Provider {
			return &broken{memory: m, check: func(context.Context, provider.Ref) (provider.Progress, error) { return provider.Failed, nil }}
		}},
		"a reference that is too long": {"Restart", "a Ref of", func(m *memory) provider.Provider {
			return &broken{memory: m, restart: func(ctx context.Context, id string) (provider.Ref, error) {
				ref, err := m.Restart(ctx, id)
				return ref + provider.Ref(make([]byte, 200)), err
			}, check: func(ctx context.Context, ref provider.Ref) (provider.Progress, error) {
				return m.Check(ctx, ref[:max(0, len(ref)-200)])
			}}
		}},
		"a restart of what is off": {"Restart", "Restart of a machine that is off", func(m *memory) provider.Provider {
			return &broken{memory: m, restart: unwise(m, func(b *box) { b.State = provider.On })}
		}},
		"a resize of what is on": {"Resize", "SetSize of a machine that is on", func(m *memory) provider.Provider {
			return &broken{memory: m, resize: func(ctx context.Context, id, size string, _ bool) (provider.Ref, error) {
				s, known := m.size(size)
				if !known {
					return "", fail(provider.Invalid, "resize")
				}
				return unwise(m, func(b *box) { b.Size, b.DiskGB = size, s.DiskGB })(ctx, id)
			}}
		}},
		"a resize without the disk": {"Resize", "resized to huge with 10 GB", func(m *memory) provider.Provider {
			return &broken{memory: m, seen: func(seen provider.Machine) provider.Machine { seen.DiskGB = 10; return seen }}
		}},
		"a rebuild that moves": {"Rebuild", "want the same address", func(m *memory) provider.Provider {
			return &broken{memory: m, rebuild: func(ctx context.Context, id, image string) (provider.Ref, error) {
				if !m.hasImage(image) {
					return "", fail(provider.Invalid, "rebuild")
				}
				return unwise(m, func(b *box) { b.Addr = b.Addr.Next() })(ctx, id)
			}}
		}},
		"a rebuild from anything": {"Rebuild", "SetImage of an unknown image", func(m *memory) provider.Provider {
			return &broken{memory: m, rebuild: func(ctx context.Context, id, _ string) (provider.Ref, error) {
				return unwise(m, func(*box) {})(ctx, id)
			}}
		}},
		"a snapshot under any name": {"Snapshot", "Snapshot before it is taken", func(m *memory) provider.Provider {
			return &broken{memory: m, snapshot: func(context.Context, string) (provider.Snapshot, error) { return provider.Snapshot{}, nil }}
		}},
		"snapshots of one name": {"Snapshot", "TakeSnapshot, as it is already", func(m *memory) provider.Provider {
			return &broken{memory: m, take: func(ctx context.Context, id, name string) (provider.Ref, error) {
				return unwise(m, func(b *box) {
					m.serial++
					saved := fmt.Sprintf("disk-%d", m.serial)
					m.snapshots[saved] = provider.Snapshot{ID: saved, Name: name, MinDiskGB: b.DiskGB, Regions: []string{b.Region}}
				})(ctx, id)
			}}
		}},
		"a list of snapshots without a prefix": {"Snapshot", "want the one", func(m *memory) provider.Provider {
			return &broken{memory: m, list: func(ctx context.Context, _ string) ([]provider.Snapshot, error) {
				list, err := m.Snapshots(ctx, "")
				return append(list, provider.Snapshot{ID: "other", Name: "another's"}), err
			}}
		}},
		"a snapshot that stays": {"Snapshot", "the snapshot is gone", func(m *memory) provider.Provider {
			return &broken{memory: m, erase: func(context.Context, string) error { return nil }}
		}},
		"a machine that stays": {"Delete", "the machine is gone", func(m *memory) provider.Provider {
			return &broken{memory: m, remove: func(context.Context, string) error { return nil }}
		}},
		"a delete of what is gone that fails": {"Delete", "Delete of what is gone", func(m *memory) provider.Provider {
			return &broken{memory: m, remove: func(ctx context.Context, id string) error {
				if _, err := m.Machine(ctx, id); err != nil {
					return err
				}
				return m.Delete(ctx, id)
			}}
		}},
		"errors of no kind": {"NotFound", "error 404 of kind", func(m *memory) provider.Provider {
			return &broken{memory: m, snapshot: func(context.Context, string) (provider.Snapshot, error) {
				return provider.Snapshot{}, errors.New("404")
			}}
		}},
		"references that all are done": {"NotFound", "Check of nonsense", func(m *memory) provider.Provider {
			return &broken{memory: m, check: func(context.Context, provider.Ref) (provider.Progress, error) { return provider.Done, nil }}
		}},
		"power for what is not there": {"NotFound", "SetPower 999999999", func(m *memory) provider.Provider {
			return &broken{memory: m, power: func(context.Context, string, bool) (provider.Ref, error) { return "", nil }}
		}},
		"work that goes on after the caller left": {"Cancelled", "Delete with a context that has ended", func(m *memory) provider.Provider {
			return &broken{memory: m, remove: func(_ context.Context, id string) error { return m.Delete(context.Background(), id) }}
		}},
	}
}
