package droplet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// toolsCopy is the copy of this binary in the state folder, of which every droplet gets a hard link. No droplet's id
// begins with a dot.
const toolsCopy = ".tools"

// Host runs the droplets of one state folder. All methods are safe for concurrent use; those that change one droplet
// wait for each other.
type Host struct {
	dir     string
	log     *slog.Logger
	onHalt  func(id string, reboot bool)
	sshPort func() int
	prepare func() (*spawner, error) // once, when something is to be started
	running sync.WaitGroup           // one for each machine and for the watch over disks

	mu       sync.Mutex
	spawner  *spawner // nil until something is started
	machines map[string]*machine
	busy     map[string]chan struct{} // droplets on which something is done; closed when it is done
	closed   bool

	life context.Context // ends with Close
	end  context.CancelFunc
}

// Open prepares a host. It is cheap: nothing is started, and nothing is left behind without a Start.
func Open(o Options) (*Host, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("state folder of droplets: %w", err)
	}
	h := &Host{
		dir: dir, log: o.Log, onHalt: o.OnHalt, sshPort: sync.OnceValue(probeSSHPort),
		machines: map[string]*machine{}, busy: map[string]chan struct{}{},
	}
	h.life, h.end = context.WithCancel(context.Background())
	if h.log == nil {
		h.log = slog.Default()
	}
	h.prepare = sync.OnceValues(h.newSpawner)
	return h, nil
}

func (h *Host) newSpawner() (*spawner, error) {
	ids, err := detectIDs()
	if err != nil {
		return nil, err
	}
	s, err := newSpawner(ids, filepath.Join(h.dir, toolsCopy))
	if err != nil {
		return nil, err
	}
	if err := s.tryIDs(h.life, h.dir); err != nil {
		h.log.Warn("droplets have no user but root", "error", err)
		s.ids = single()
	}
	h.mu.Lock()
	h.spawner = s
	h.mu.Unlock()
	h.running.Go(h.watchDisks)
	return s, nil
}

// SSHPort is the port that SSH is served at on every droplet address: 22 where this process can bind it, else 2222.
// It is decided once.
func (h *Host) SSHPort() int { return h.sshPort() }

// begin reserves a droplet until the returned function is called.
func (h *Host) begin(ctx context.Context, id string) (end func(), err error) {
	if !validID.MatchString(id) {
		return nil, fmt.Errorf("droplet id %q: want 1 to 64 letters, digits, '.', '_', '-'", id)
	}
	for {
		h.mu.Lock()
		other, taken := h.busy[id]
		if !taken {
			defer h.mu.Unlock()
			done := make(chan struct{})
			h.busy[id] = done
			return func() {
				h.mu.Lock()
				delete(h.busy, id)
				h.mu.Unlock()
				close(done)
			}, nil
		}
		h.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *Host) machine(id string) *machine {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.machines[id]
}

// disk returns a droplet's disk for work on it.
func (h *Host) disk(id string) (disk, error) {
	s, err := h.prepare()
	return disk{filepath.Join(h.dir, id), s}, err
}

// Start boots a droplet and returns when its SSH server accepts connections at Addr:SSHPort. Host keys, users, keys,
// passwords and files of the user data are in place by then; its commands and scripts go on in the background, logged
// in the droplet's /var/log/cloud-init-output.log. A droplet that is running gives [ErrRunning].
func (h *Host) Start(ctx context.Context, s Spec) error {
	s, err := s.normalise()
	if err != nil {
		return err
	}
	end, err := h.begin(ctx, s.ID)
	if err != nil {
		return err
	}
	defer end()
	if err := h.admit(s.ID); err != nil {
		return err
	}
	defer h.running.Done()
	if err := h.start(ctx, s); err != nil {
		return fmt.Errorf("start droplet %s: %w", s.ID, err)
	}
	return nil
}

// admit refuses a start that comes too late or twice. Otherwise Close waits for it.
func (h *Host) admit(id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	if h.machines[id] != nil {
		return fmt.Errorf("start droplet %s: %w", id, ErrRunning)
	}
	h.running.Add(1)
	return nil
}

func (h *Host) start(ctx context.Context, s Spec) error {
	d, err := h.disk(s.ID)
	if err != nil {
		return err
	}
	isNew, err := d.create(filepath.Join(h.dir, toolsCopy))
	if err == nil {
		err = d.setLimit(int64(s.DiskGB) << 30)
	}
	if err != nil {
		return err
	}
	used, err := newMeter(ctx, d, isNew, s.DiskGB)
	if err != nil {
		return err
	}
	m, err := boot(ctx, s, d, h.SSHPort(), h.log.With("droplet", s.ID))
	if err != nil {
		return err
	}
	m.meter = used
	h.mu.Lock()
	defer h.mu.Unlock()
	h.machines[s.ID] = m
	if h.closed {
		m.stopping.Store(true)
		m.kill()
	}
	h.running.Go(func() { h.follow(m) })
	return nil
}

// follow stays with a machine until it has ended.
func (h *Host) follow(m *machine) {
	reboot := m.watch()
	h.mu.Lock()
	delete(h.machines, m.spec.ID)
	h.mu.Unlock()
	close(m.ended)
	if m.stopping.Load() {
		return
	}
	m.log.Info("droplet halted", "reboot", reboot)
	if h.onHalt != nil {
		h.onHalt(m.spec.ID, reboot)
	}
}

// Stop halts a droplet: with SIGTERM to all its processes and a few seconds for them, or at once if force is set. When
// ctx ends first it is killed. Stopping one that is not running is no error. OnHalt is not called.
func (h *Host) Stop(ctx context.Context, id string, force bool) error {
	end, err := h.begin(ctx, id)
	if err != nil {
		return err
	}
	defer end()
	if m := h.machine(id); m != nil {
		m.stop(ctx, force)
	}
	return nil
}

// exists says whether a droplet was ever started or loaded.
func (h *Host) exists(id string) bool {
	_, err := os.Stat(filepath.Join(h.dir, id, rootDir))
	return !errors.Is(err, fs.ErrNotExist)
}

// Running says whether the droplet is on.
func (h *Host) Running(id string) bool { return h.machine(id) != nil }

// Save writes a snapshot of the droplet's files to the named file, which appears whole or not at all, and returns its
// size in bytes. The droplet may be running.
func (h *Host) Save(ctx context.Context, id, file string) (stored int64, err error) {
	err = h.onDisk(ctx, id, true, func(d disk) error {
		stored, err = d.save(ctx, file)
		return err
	})
	return stored, err
}

// Load replaces the droplet's files by those of a snapshot that Save wrote. They change all at once or, after an error,
// not at all. A running droplet gives [ErrRunning]; one that was never started is created.
func (h *Host) Load(ctx context.Context, id, file string) error {
	return h.onDisk(ctx, id, false, func(d disk) error {
		if _, err := d.create(filepath.Join(h.dir, toolsCopy)); err != nil {
			return err
		}
		return d.load(ctx, file)
	})
}

// Reset empties the droplet's disk. A running droplet gives [ErrRunning].
func (h *Host) Reset(ctx context.Context, id string) error {
	if !h.exists(id) {
		return nil
	}
	return h.onDisk(ctx, id, false, func(d disk) error { return d.empty(ctx) })
}

// onDisk works on a droplet's files, while it is stopped unless live is set.
func (h *Host) onDisk(ctx context.Context, id string, live bool, work func(disk) error) error {
	end, err := h.begin(ctx, id)
	if err != nil {
		return err
	}
	defer end()
	if !live && h.Running(id) {
		return fmt.Errorf("droplet %s: %w", id, ErrRunning)
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return ErrClosed
	}
	h.running.Add(1)
	h.mu.Unlock()
	defer h.running.Done()
	d, err := h.disk(id)
	if err == nil {
		err = work(d)
	}
	if err != nil {
		return fmt.Errorf("droplet %s: %w", id, err)
	}
	return nil
}

// Remove stops the droplet and deletes all that is kept of it. Removing one that does not exist is no error.
func (h *Host) Remove(ctx context.Context, id string) error {
	if !h.exists(id) {
		return nil
	}
	return h.onDisk(ctx, id, true, func(d disk) error {
		if m := h.machine(id); m != nil {
			m.stop(ctx, true)
		}
		return d.remove(ctx)
	})
}

// Close stops all droplets and leaves their files. Nothing of the host is running afterwards.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.end()
	for _, m := range h.machines {
		h.running.Go(func() { m.stop(context.Background(), false) })
	}
	h.mu.Unlock()
	h.running.Wait()
	if h.spawner == nil {
		return nil
	}
	return h.spawner.close()
}
