//go:build !linux

package droplet

import (
	"context"
	"fmt"
	"runtime"
)

// Main returns at once: only Linux processes become droplets.
func Main() {}

// Host refuses everything on this system.
type Host struct{}

// Open returns a Host that has no droplets.
func Open(Options) (*Host, error) { return &Host{}, nil }

func unavailable() error {
	return fmt.Errorf("%w: %s has no Linux namespaces", ErrUnavailable, runtime.GOOS)
}

// Check reports that shells are unavailable.
func (h *Host) Check(context.Context) Report {
	return Report{Mode: "none", SSHPort: 2222, Step: "system", Reason: unavailable().Error()}
}

// SSHPort returns the port that is reported, although nothing listens.
func (h *Host) SSHPort() int { return 2222 }

// Start refuses.
func (h *Host) Start(context.Context, Spec) error { return unavailable() }

// Stop has nothing to stop.
func (h *Host) Stop(context.Context, string, bool) error { return nil }

// Running returns false.
func (h *Host) Running(string) bool { return false }

// Save refuses.
func (h *Host) Save(context.Context, string, string) (int64, error) { return 0, unavailable() }

// Load refuses.
func (h *Host) Load(context.Context, string, string) error { return unavailable() }

// Reset has nothing to empty.
func (h *Host) Reset(context.Context, string) error { return nil }

// Remove has nothing to delete.
func (h *Host) Remove(context.Context, string) error { return nil }

// Close has nothing to stop.
func (h *Host) Close() error { return nil }
