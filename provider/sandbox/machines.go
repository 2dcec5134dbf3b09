package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"berth/provider/sandbox/droplet"
)

// Machines are what droplets run on. *droplet.Host is the real thing, and
// *Empty the one for where nobody logs in. Every method may be called
// concurrently, and Running never waits for other work. Stop of what does not
// run and Remove of what never was are no errors; Start, Load and Reset may
// answer droplet.ErrRunning to what runs.
type Machines interface {
	Check(ctx context.Context) droplet.Report
	SSHPort() int
	Start(ctx context.Context, spec droplet.Spec) error
	Stop(ctx context.Context, id string, force bool) error
	Running(id string) bool
	Save(ctx context.Context, id, file string) (stored int64, err error)
	Load(ctx context.Context, id, file string) error
	Reset(ctx context.Context, id string) error
	Remove(ctx context.Context, id string) error
	Close() error
}

var _ Machines = (*droplet.Host)(nil)

// dropletID is the droplet that a machine's id names, or 0.
func dropletID(machine string) int {
	id, err := strconv.Atoi(machine)
	if err != nil {
		return 0
	}
	return id
}

// Empty are machines with nothing in them: they go on and off as asked, nobody
// can log in, and their snapshots are empty. They serve tests and simulations.
// The zero value is ready for use.
type Empty struct {
	on sync.Map // by the machine's id
}

var _ Machines = (*Empty)(nil)

// Check reports that there are no shells.
func (*Empty) Check(context.Context) droplet.Report {
	return droplet.Report{Mode: "none", SSHPort: 22, Step: "configuration", Reason: "machines with nothing in them were asked for"}
}

// SSHPort is 22, where nobody answers.
func (*Empty) SSHPort() int { return 22 }

// Start marks a machine as on.
func (m *Empty) Start(_ context.Context, spec droplet.Spec) error {
	m.on.Store(spec.ID, true)
	return nil
}

// Stop marks a machine as off.
func (m *Empty) Stop(_ context.Context, id string, _ bool) error {
	m.on.Delete(id)
	return nil
}

// Running tells whether a machine is on.
func (m *Empty) Running(id string) bool {
	_, on := m.on.Load(id)
	return on
}

// Save writes an empty file.
func (*Empty) Save(_ context.Context, _, file string) (int64, error) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return 0, fmt.Errorf("write an empty snapshot: %w", err)
	}
	return 0, nil
}

// Load does nothing.
func (*Empty) Load(context.Context, string, string) error { return nil }

// Reset does nothing.
func (*Empty) Reset(context.Context, string) error { return nil }

// Remove forgets a machine.
func (m *Empty) Remove(_ context.Context, id string) error {
	m.on.Delete(id)
	return nil
}

// Close turns all machines off.
func (m *Empty) Close() error {
	m.on.Clear()
	return nil
}

// shellless stands in for machines that can't run here. What is kept of
// machines that could run once is still removed with their droplets.
type shellless struct {
	*Empty
	host Machines
}

func (m shellless) SSHPort() int { return m.host.SSHPort() }

func (m shellless) Remove(ctx context.Context, id string) error {
	return errors.Join(m.Empty.Remove(ctx, id), m.host.Remove(ctx, id))
}

func (m shellless) Close() error { return m.host.Close() }
