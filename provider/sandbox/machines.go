package sandbox

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"berth/provider/sandbox/droplet"
)

// Machines are what droplets run on. *droplet.Host is the real thing. Every
// method may be called concurrently; Start on what runs, Stop on what does
// not, and Remove of what never was are no errors.
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

// shellless stands in where this machine can't run droplets. They change
// their state as asked and nothing runs in them; their snapshots are empty.
type shellless struct{ host Machines }

func (m shellless) Check(ctx context.Context) droplet.Report    { return m.host.Check(ctx) }
func (m shellless) SSHPort() int                                { return m.host.SSHPort() }
func (shellless) Start(context.Context, droplet.Spec) error     { return nil }
func (shellless) Stop(context.Context, string, bool) error      { return nil }
func (shellless) Running(string) bool                           { return false }
func (shellless) Load(context.Context, string, string) error    { return nil }
func (shellless) Reset(context.Context, string) error           { return nil }
func (m shellless) Remove(ctx context.Context, id string) error { return m.host.Remove(ctx, id) }
func (m shellless) Close() error                                { return m.host.Close() }

func (shellless) Save(_ context.Context, _, file string) (int64, error) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return 0, fmt.Errorf("write an empty snapshot: %w", err)
	}
	return 0, nil
}
