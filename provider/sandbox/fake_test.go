package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"berth/provider/sandbox/droplet"
)

// fakeMachines are machines in memory. A machine's disk is a string; where its
// first-boot data has not run for the instance, starting it runs, which counts.
// Like real ones, they all stop and keep their disks when their host goes.
type fakeMachines struct {
	mu     sync.Mutex
	all    map[string]*fakeMachine
	gate   chan struct{} // what changes a machine waits here while it is not nil
	broken error         // what Start answers, if not nil
	closed bool
	blind  bool // no shells
}

type fakeMachine struct {
	spec       droplet.Spec
	on         bool
	disk       string
	booted     string // the instance whose first-boot data ran
	firstBoots int
}

func newFake() *fakeMachines { return &fakeMachines{all: map[string]*fakeMachine{}} }

// hold lets nothing happen to machines until release is called.
func (m *fakeMachines) hold() (release func()) {
	gate := make(chan struct{})
	m.mu.Lock()
	m.gate = gate
	m.mu.Unlock()
	return sync.OnceFunc(func() {
		m.mu.Lock()
		m.gate = nil
		m.mu.Unlock()
		close(gate)
	})
}

// enter waits at the gate and then returns with the machine, locked.
func (m *fakeMachines) enter(ctx context.Context, id string) (*fakeMachine, error) {
	m.mu.Lock()
	if gate := m.gate; gate != nil {
		m.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		m.mu.Lock()
	}
	if m.closed {
		m.mu.Unlock()
		return nil, droplet.ErrClosed
	}
	if m.all[id] == nil {
		m.all[id] = &fakeMachine{}
	}
	return m.all[id], nil
}

// machine is a copy of a machine as it is now.
func (m *fakeMachines) machine(id int) fakeMachine {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.all[fmt.Sprint(id)]; f != nil {
		return *f
	}
	return fakeMachine{}
}

// put writes to a machine's disk.
func (m *fakeMachines) put(id int, disk string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[fmt.Sprint(id)].disk = disk
}

// crash is what the end of the process does to machines. They can be used again.
func (m *fakeMachines) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
	for _, f := range m.all {
		f.on = false
	}
}

func (m *fakeMachines) Check(context.Context) droplet.Report {
	return droplet.Report{Shells: !m.blind, SSHPort: 22, Step: "clone", Reason: "user namespaces are off"}
}

func (m *fakeMachines) SSHPort() int { return 22 }

func (m *fakeMachines) Start(ctx context.Context, spec droplet.Spec) error {
	f, err := m.enter(ctx, spec.ID)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	switch {
	case m.broken != nil:
		return m.broken
	case f.on:
		return droplet.ErrRunning
	}
	f.spec, f.on = spec, true
	if f.booted != spec.Instance {
		f.booted = spec.Instance
		f.firstBoots++
	}
	return nil
}

func (m *fakeMachines) Stop(ctx context.Context, id string, _ bool) error {
	f, err := m.enter(ctx, id)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	f.on = false
	return nil
}

func (m *fakeMachines) Running(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[id] != nil && m.all[id].on
}

func (m *fakeMachines) Save(ctx context.Context, id, file string) (int64, error) {
	f, err := m.enter(ctx, id)
	if err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	return int64(len(f.disk)), os.WriteFile(file, []byte(f.disk), 0o600)
}

func (m *fakeMachines) Load(ctx context.Context, id, file string) error {
	f, err := m.enter(ctx, id)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	if f.on {
		return droplet.ErrRunning
	}
	disk, err := os.ReadFile(file)
	f.disk = string(disk)
	return err
}

func (m *fakeMachines) Reset(ctx context.Context, id string) error {
	f, err := m.enter(ctx, id)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	if f.on {
		return droplet.ErrRunning
	}
	f.disk = ""
	return nil
}

func (m *fakeMachines) Remove(ctx context.Context, id string) error {
	if _, err := m.enter(ctx, id); err != nil {
		return err
	}
	defer m.mu.Unlock()
	delete(m.all, id)
	return nil
}

func (m *fakeMachines) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errors.New("closed twice")
	}
	m.closed = true
	for _, f := range m.all {
		f.on = false
	}
	return nil
}
