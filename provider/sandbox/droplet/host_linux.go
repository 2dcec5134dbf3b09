package droplet

import "context"

// Main turns this process into a droplet's PID 1, a disk helper or a tool inside a droplet when it was started as one
// (by argv[0]), and never returns then; else it returns at once. Every binary that opens a Host (programs first thing
// in main, tests in TestMain) calls it.
func Main() {}

// Host runs the droplets of one state folder. All methods are safe for concurrent use; those that change one droplet
// wait for each other.
type Host struct{}

// Open prepares a host. It is cheap: nothing is started, and nothing is left behind without a Start.
func Open(o Options) (*Host, error) { return &Host{}, nil }

// Check starts a throw-away droplet and reports what this kernel allows.
func (h *Host) Check(ctx context.Context) Report {
	return Report{Mode: "none", SSHPort: 2222, Reason: ErrUnavailable.Error()}
}

// SSHPort is the port that SSH is served at on every droplet address: 22 where this process can bind it, else 2222.
// It is decided once.
func (h *Host) SSHPort() int { return 2222 }

// Start boots a droplet and returns when its SSH server accepts connections at Addr:SSHPort. Host keys, users, keys,
// passwords and files of the user data are in place by then; its commands and scripts go on in the background, logged
// in the droplet's /var/log/cloud-init-output.log. A droplet that is running gives [ErrRunning].
func (h *Host) Start(ctx context.Context, s Spec) error { return ErrUnavailable }

// Stop halts a droplet: with SIGTERM to all its processes and a few seconds for them, or at once if force is set. When
// ctx ends first it is killed. Stopping one that is not running is no error. OnHalt is not called.
func (h *Host) Stop(ctx context.Context, id string, force bool) error { return nil }

// Running says whether the droplet is on.
func (h *Host) Running(id string) bool { return false }

// Save writes a snapshot of the droplet's files to the named file, which appears whole or not at all, and returns its
// size in bytes. The droplet may be running.
func (h *Host) Save(ctx context.Context, id, file string) (stored int64, err error) {
	return 0, ErrUnavailable
}

// Load replaces the droplet's files by those of a snapshot that Save wrote. They change all at once or, after an error,
// not at all. A running droplet gives [ErrRunning].
func (h *Host) Load(ctx context.Context, id, file string) error { return ErrUnavailable }

// Reset empties the droplet's disk. A running droplet gives [ErrRunning].
func (h *Host) Reset(ctx context.Context, id string) error { return ErrUnavailable }

// Remove stops the droplet and deletes all that is kept of it. Removing one that does not exist is no error.
func (h *Host) Remove(ctx context.Context, id string) error { return nil }

// Close stops all droplets and leaves their files. Nothing of the host is running afterwards.
func (h *Host) Close() error { return nil }
