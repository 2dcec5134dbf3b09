package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// state is all that a cloud remembers.
type state struct {
	Version  int                 `json:"version"`
	Account  string              `json:"account"`   // the account's uuid
	LastID   int                 `json:"last_id"`   // the last id given out, of any kind
	LastAddr int                 `json:"last_addr"` // the last address given out, see nextAddr
	Droplets map[int]*dropletRow `json:"droplets"`
	Actions  map[int]*actionRow  `json:"actions"`
	Images   map[int]*imageRow   `json:"images"` // the account's own: snapshots
	Keys     map[int]*keyRow     `json:"keys"`
	Tags     map[string]*tagRow  `json:"tags"`

	// These go by UUIDs, and reserved IPs by their addresses.
	VPCs            map[string]*vpcRow            `json:"vpcs"`
	Firewalls       map[string]*firewallRow       `json:"firewalls"`
	ReservedIPs     map[string]*reservedRow       `json:"reserved_ips"`
	Volumes         map[string]*volumeRow         `json:"volumes"`
	VolumeSnapshots map[string]*volumeSnapshotRow `json:"volume_snapshots"`
	Projects        map[string]*projectRow        `json:"projects"`

	Purges map[int]*purgeRow `json:"purges"` // by the droplet's id
}

const (
	stateVersion = 1
	firstID      = 100_000_000 // real ids have nine digits as well
)

// nextID gives out an id. Ids are unique across all kinds.
func (s *state) nextID() int {
	s.LastID++
	return s.LastID
}

// loadState reads the state from a file, or makes that of a new account.
func loadState(path string) (state, error) {
	s := state{
		Version:  stateVersion,
		Account:  newUUID(),
		LastID:   firstID,
		LastAddr: rand.N(addresses), // apart from other clouds on this machine
		Droplets: map[int]*dropletRow{},
		Actions:  map[int]*actionRow{},
		Images:   map[int]*imageRow{},
		Keys:     map[int]*keyRow{},
		Tags:     map[string]*tagRow{},

		VPCs:            map[string]*vpcRow{},
		Firewalls:       map[string]*firewallRow{},
		ReservedIPs:     map[string]*reservedRow{},
		Volumes:         map[string]*volumeRow{},
		VolumeSnapshots: map[string]*volumeSnapshotRow{},
		Projects:        map[string]*projectRow{},

		Purges: map[int]*purgeRow{},
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("sandbox: read the state: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("sandbox: the state in %s is damaged: %w", path, err)
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("sandbox: the state in %s has version %d; this program knows %d", path, s.Version, stateVersion)
	}
	return s, nil
}

// furnish gives an account what every account has: a default project, and in
// each region a default VPC in which droplets are that name none. Droplets of a
// time before there were VPCs get a place in one, too.
func (s *state) furnish(now time.Time) error {
	if len(s.Projects) == 0 {
		s.addProject(&projectRow{
			Name: "sandbox", Purpose: "Try things out", Environment: "Development", Default: true, Created: now, Updated: now,
		})
	}
	for i, place := range places {
		if !place.closed && s.defaultVPC(place.slug) == nil {
			s.addVPC(&vpcRow{
				Name: "default-" + place.slug, Region: place.slug, Range: defaultRange(i), Default: true, Created: now,
			})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Droplets)) {
		d := s.Droplets[id]
		if d.VPC != "" {
			continue
		}
		v := s.defaultVPC(d.Region)
		free, err := s.freeAddrs(v, 1)
		if err != nil {
			return fmt.Errorf("sandbox: a VPC for droplet %d: %w", id, err)
		}
		d.VPC, d.Private = v.ID, free[0]
	}
	return nil
}

// read runs f with the state, which f may not change nor keep parts of.
func (c *Cloud) read(f func(s *state) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(&c.state)
}

// write runs f with the state and returns when what f changed is on disk. An f
// that returns an error must have changed nothing.
func (c *Cloud) write(f func(s *state) error) error {
	c.mu.Lock()
	if err := f(&c.state); err != nil {
		c.mu.Unlock()
		return err
	}
	c.dirty++
	c.mu.Unlock()
	return c.save()
}

// reading answers with what f shows of the state.
func (c *Cloud) reading(f func(s *state) (object, error)) (reply, error) {
	var body object
	err := c.read(func(s *state) (err error) {
		body, err = f(s)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, body}, nil
}

// writing answers, when it is on disk, with what f shows of what it changed.
func (c *Cloud) writing(status int, f func(s *state) (object, error)) (reply, error) {
	var body object
	err := c.write(func(s *state) (err error) {
		body, err = f(s)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status, body}, nil
}

// listing answers with the asked-for page of what f shows of the state.
func listing[T any](c *Cloud, r *http.Request, name string, f func(s *state) ([]T, error)) (reply, error) {
	var shown []T
	err := c.read(func(s *state) (err error) {
		shown, err = f(s)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return list(r, name, shown)
}

// save writes the state as it is now. Whoever waits for the file while another
// writes finds its own change written by the next one who gets in, so that many
// changes at once cost few writes.
func (c *Cloud) save() error {
	c.mu.Lock()
	wanted := c.dirty
	c.mu.Unlock()

	c.file.mu.Lock()
	defer c.file.mu.Unlock()
	if c.file.saved >= wanted {
		return nil
	}
	c.mu.Lock()
	data, err := json.Marshal(&c.state)
	seen := c.dirty
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("sandbox: encode the state: %w", err)
	}
	if err := writeFile(c.file.path, data); err != nil {
		return fmt.Errorf("sandbox: save the state: %w", err)
	}
	c.file.saved = seen
	return nil
}

// file is the state on disk.
type file struct {
	path  string
	mu    sync.Mutex
	saved uint64 // the value of Cloud.dirty that the file holds
}

// writeFile replaces a file at once: after a crash there is the old content or
// the new. Only the owner may read it. The caller sees to it that nobody else
// writes the same file.
func writeFile(path string, data []byte) error {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir last through a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
