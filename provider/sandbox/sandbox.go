// Package sandbox is a cloud in a box: it answers DigitalOcean's API v2 over
// real HTTP, so that any DigitalOcean client talks to it unchanged, and its
// droplets are little Linux environments with a real SSH server.
//
// It works as the real one does: requests are accepted with 202 or 201 and
// carried out afterwards, a droplet goes from "new" to "active", an action from
// "in-progress" to "completed" or "errored", and a droplet with work under way
// is locked. The state is one JSON file that is written before a request is
// answered; work that a crash interrupted is done again from its beginning.
//
// What DigitalOcean has and the sandbox lacks answers 501, never a made-up
// success.
package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"berth"
	"berth/provider/sandbox/droplet"
)

// Options say how a Cloud is to be. Only Dir is required.
type Options struct {
	// Dir holds everything: the state, the token, the images and the droplets.
	// It is made if absent. One process at a time may use it, which is for the
	// caller to see to.
	Dir string

	// Machines are what droplets run on; Close closes them. Nil means real ones,
	// kept in Dir; the program must then have called droplet.Main first.
	Machines Machines

	Log *slog.Logger // nil discards
	Now berth.Clock  // nil is time.Now

	// Token is the bearer token that clients present. If empty, one is made and
	// kept in Dir.
	Token string

	// Latency is how long work of a kind takes before it is carried out: an
	// action's type, such as "create", "power_off" or "destroy". Nil is as fast
	// as it goes.
	Latency func(kind string) time.Duration

	// Limits are the bounds on requests; the zero value is DigitalOcean's.
	Limits Limits

	// DropletLimit is the account's bound on droplets; 0 means 200.
	DropletLimit int

	// Faults go wrong; nil is none, until Control adds some.
	Faults *Faults

	// Control serves /sandbox/faults beside the API, where whoever has the token
	// lists, adds and ends faults.
	Control bool
}

const defaultDropletLimit = 200

// Cloud is an emulated DigitalOcean account. All methods may be called
// concurrently.
type Cloud struct {
	dir     string
	token   string
	log     *slog.Logger
	now     berth.Clock
	latency func(string) time.Duration
	limit   int
	catalog catalog
	rate    *rate
	faults  *Faults
	control bool

	mu       sync.Mutex // guards what follows
	machines Machines   // changes once, in Start, before any work is done on them
	report   droplet.Report
	state    state
	dirty    uint64       // counts the changes to state, a new account's first
	booting  map[int]bool // droplets that Start is bringing back
	started  bool         // work is carried out
	closed   bool

	file     file
	forwards forwards
	ctx      context.Context // ends when the cloud closes
	cancel   context.CancelFunc
	working  sync.WaitGroup // for work that was asked for
	watching sync.WaitGroup // for what has work done in its time
}

// Open loads a cloud's state, or makes a new cloud in an empty directory. The
// API answers from now on; droplets boot and work begins with Start.
func Open(o Options) (*Cloud, error) {
	if err := os.MkdirAll(filepath.Join(o.Dir, "images"), 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: make the data directory: %w", err)
	}
	c := &Cloud{
		dir:      o.Dir,
		log:      o.Log,
		now:      o.Now,
		latency:  o.Latency,
		limit:    o.DropletLimit,
		catalog:  newCatalog(),
		faults:   o.Faults,
		control:  o.Control,
		machines: o.Machines,
		booting:  map[int]bool{},
		dirty:    1,
		file:     file{path: filepath.Join(o.Dir, "state.json")},
	}
	if c.control && c.faults == nil {
		c.faults = &Faults{}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.latency == nil {
		c.latency = func(string) time.Duration { return 0 }
	}
	if c.limit == 0 {
		c.limit = defaultDropletLimit
	}
	c.rate = newRate(o.Limits, c.now)
	var err error
	if c.token, err = loadToken(filepath.Join(o.Dir, "token"), o.Token); err != nil {
		return nil, err
	}
	if c.state, err = loadState(c.file.path); err != nil {
		return nil, err
	}
	if err := c.state.furnish(c.now()); err != nil {
		return nil, err
	}
	if err := errors.Join(c.sweepImages(), c.loadUserData()); err != nil {
		return nil, err
	}
	if c.machines == nil {
		host, err := droplet.Open(droplet.Options{
			Dir:    filepath.Join(o.Dir, "droplets"),
			Log:    c.log,
			OnHalt: c.Halted,
		})
		if err != nil {
			return nil, fmt.Errorf("sandbox: open the droplets: %w", err)
		}
		c.machines = host
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// loadToken is the given token, or the one kept in the file, or a new one that
// it keeps there.
func loadToken(path, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	kept, err := os.ReadFile(path)
	if err == nil && len(kept) > 0 {
		return strings.TrimSpace(string(kept)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("sandbox: read the token: %w", err)
	}
	var secret [32]byte
	rand.Read(secret[:])
	token := "dop_v1_" + hex.EncodeToString(secret[:])
	if err := writeFile(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("sandbox: keep the token: %w", err)
	}
	return token, nil
}

// Start finds out what this machine allows, boots the droplets that were on,
// and resumes the work that was under way. It returns when every droplet has
// been booted; one that fails to boot is left off, and the log says why.
func (c *Cloud) Start(ctx context.Context) error {
	report := c.machines.Check(ctx)
	c.mu.Lock()
	if c.started || c.closed {
		c.mu.Unlock()
		return errors.New("sandbox: started before, or closed")
	}
	c.started, c.report = true, report
	if !report.Shells {
		c.log.Warn("droplets have no shell on this machine: the API works, SSH to droplets does not",
			"failed", report.Step, "reason", report.Reason)
		c.machines = shellless{&Empty{}, c.machines}
	}
	for _, note := range report.Notes {
		c.log.Info("droplets have a limit on this machine", "note", note)
	}
	var boots []droplet.Spec
	for id, d := range c.state.Droplets {
		if d.Pending == 0 && d.Status == statusActive {
			c.booting[id] = true
			boots = append(boots, c.spec(d))
		}
	}
	for _, a := range c.state.Actions {
		if a.Status == actionInProgress {
			a.Takes = c.takes(a.Type)
			c.launch(a.ID)
		}
	}
	c.watching.Go(c.keepBackups)
	c.mu.Unlock()
	err := c.boot(ctx, boots)
	c.redirect()
	return err
}

// boots bounds how many droplets start at the same time.
const boots = 8

func (c *Cloud) boot(ctx context.Context, specs []droplet.Spec) error {
	free := make(chan struct{}, boots)
	var all sync.WaitGroup
	for _, spec := range specs {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			c.booted(spec, c.machines.Start(ctx, spec))
		})
	}
	all.Wait()
	return ctx.Err()
}

// booted records how a droplet's boot at start-up went.
func (c *Cloud) booted(spec droplet.Spec, failed error) {
	id := dropletID(spec.ID)
	err := c.write(func(s *state) error {
		delete(c.booting, id)
		if d := s.Droplets[id]; d != nil && failed != nil && c.ctx.Err() == nil {
			d.Status = statusOff
		}
		return nil
	})
	if failed = errors.Join(failed, err); failed != nil {
		c.log.Error("a droplet did not come back", "droplet", id, "name", spec.Hostname, "error", failed)
	}
}

// Halted takes note that a droplet powered itself off, or brings it up again
// where it asked for a reboot. It is what droplet.Options.OnHalt calls.
func (c *Cloud) Halted(machine string, reboot bool) {
	id := dropletID(machine)
	var spec *droplet.Spec
	err := c.write(func(s *state) error {
		d := s.Droplets[id]
		switch {
		case d == nil, c.closed:
			return nil
		case c.machines.Running(machine):
			return nil // somebody has turned it on since
		case c.busy(d) && !s.leavesPowerAlone(d.Pending):
			return nil // work under way ends with a status of its own
		}
		if !reboot {
			d.Status = statusOff
			return nil
		}
		again := c.spec(d)
		spec, c.booting[id] = &again, true
		return nil
	})
	if err != nil {
		c.log.Error("could not record that a droplet halted", "droplet", id, "error", err)
	}
	if spec != nil {
		c.booted(*spec, c.machines.Start(c.ctx, *spec))
	}
}

// leavesPowerAlone tells whether an action turns its droplet neither on nor off.
func (s *state) leavesPowerAlone(action int) bool {
	a := s.Actions[action]
	return a != nil && (a.Type == typeSnapshot || a.Type == typeBackup || a.Type == typeRename)
}

// Token is the bearer token that clients present.
func (c *Cloud) Token() string { return c.token }

// SSHPort is the port at which droplets answer SSH, each at its own address.
func (c *Cloud) SSHPort() int {
	c.mu.Lock()
	m := c.machines
	c.mu.Unlock()
	return m.SSHPort()
}

// Report is what Start found that this machine allows; before it, the zero
// value.
func (c *Cloud) Report() droplet.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report
}

// Live is how many droplets exist.
func (c *Cloud) Live() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.state.Droplets)
}

// Handler answers the API. Its paths begin with /v2/.
func (c *Cloud) Handler() http.Handler { return c.routes() }

// Close stops the droplets, which stay as they are for the next Start, and
// saves the state. Work under way is left in progress.
func (c *Cloud) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.forwards.close()
	c.watching.Wait()
	c.working.Wait()
	return errors.Join(c.machines.Close(), c.save())
}
