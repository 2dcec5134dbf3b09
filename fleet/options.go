package fleet

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/billing"
	"berth/provider"
)

// Options are what a Fleet needs. Store, Provider, Catalog, Vault, Prober,
// Deployment and Process must be set.
type Options struct {
	Store    Store
	Provider provider.Provider
	Catalog  *billing.Catalog
	Vault    Sealer
	Prober   Prober
	// Ring asks for Step to be called soon for each of the actions. The fleet
	// calls it after a commit, never inside a transaction. Nil rings nowhere.
	Ring func(actions ...berth.ID)
	Now  berth.Clock  // nil: time.Now
	Log  *slog.Logger // nil: discard
	// Deployment is the provider tag of all machines of this database, and the
	// beginning of its snapshots' names: 1 to 32 of [a-z0-9-].
	Deployment string
	Pace       Pace // the zero Pace: CloudPace
	// Process names this process as the holder of actions. Among processes
	// that share a store it must be unique. Where a lock allows only one, let
	// it be the same at every start: then what a crash left is taken up at
	// once, instead of when its hold has run out.
	Process string
}

// Sealer encrypts what is secret at rest.
type Sealer interface {
	Seal(plain []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
}

// Prober finds out whether servers answer.
type Prober interface {
	// Ready connects to the server over SSH with its pinned host key and runs
	// a command that does nothing: nil when that went well. It may wait for a
	// server that does not answer yet until ctx ends, and so notice soon when
	// it does; or return at once, and be called again after a pause.
	Ready(ctx context.Context, s Server, signer ssh.Signer) error
	// Forget drops the connections to a server that restarts or ends.
	Forget(server berth.ID)
}

// Pace is how fast the fleet looks, tries again, and gives up.
type Pace struct {
	Poll     time.Duration // how often the provider is asked for all machines while something young waits
	PollEach time.Duration // and no more often than this for each machine on the list
	Probe    time.Duration // how long one step may wait for a server to answer SSH; below half a minute
	Retry    time.Duration // the first pause after an error; it doubles each time
	RetryMax time.Duration // the longest pause after an error

	Request    time.Duration // how long asking for something may fail before it is given up
	Change     time.Duration // how long the provider may take for a change or a boot
	Restore    time.Duration // how long a machine made from a snapshot may take to become active
	Connect    time.Duration // how long an active machine may take to answer SSH
	CustomBoot time.Duration // the same, where the caller's own data may have closed port 22
	Copy       time.Duration // how long a snapshot may take

	Settle        time.Duration // how long the provider's list may lag behind what was done
	Grace         time.Duration // how long a machine must be missing, or an orphan, to be taken for it
	SnapshotTries int           // tries of the snapshot before a destroy that a caller asked for
	LastSnapshot  time.Duration // how long the final snapshot of an ended lease is tried
}

// CloudPace suits real clouds.
func CloudPace() Pace {
	return Pace{
		Poll: 3 * time.Second, PollEach: 15 * time.Millisecond, Probe: 10 * time.Second,
		Retry: 2 * time.Second, RetryMax: 5 * time.Minute,
		Request: 10 * time.Minute, Change: 20 * time.Minute, Restore: 90 * time.Minute,
		Connect: 10 * time.Minute, CustomBoot: 3 * time.Minute, Copy: 3 * time.Hour,
		Settle: time.Minute, Grace: 10 * time.Minute,
		SnapshotTries: 5, LastSnapshot: 24 * time.Hour,
	}
}

// SandboxPace suits a provider on the same machine, whose list never lags.
func SandboxPace() Pace {
	return Pace{
		Poll: 100 * time.Millisecond, PollEach: time.Millisecond, Probe: 5 * time.Second,
		Retry: 100 * time.Millisecond, RetryMax: 5 * time.Second,
		Request: time.Minute, Change: 2 * time.Minute, Restore: 2 * time.Minute,
		Connect: 90 * time.Second, CustomBoot: 10 * time.Second, Copy: 5 * time.Minute,
		Settle: 500 * time.Millisecond, Grace: 30 * time.Second,
		SnapshotTries: 5, LastSnapshot: 10 * time.Minute,
	}
}
