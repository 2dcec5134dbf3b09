// Package droplet runs small real Linux environments, called droplets, that one can log in to by SSH.
//
// A droplet is a process tree in namespaces of its own: the host's /usr read-only, a private writable root folder,
// a private loopback network, its own users and process ids, and the same binary that embeds this package as its
// PID 1 and SSH server. No image, container runtime or privilege is needed: it runs as root (with shifted user ids)
// and as an ordinary user, wherever the kernel allows user namespaces.
//
// A [Host] keeps the droplets of one state folder. They live no longer than the process that opened it: files stay,
// processes do not. On systems other than Linux the package builds, and says that shells are unavailable.
package droplet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
)

var (
	// ErrUnavailable is wrapped by every error that means: this machine cannot run droplets.
	ErrUnavailable = errors.New("droplets cannot run on this machine")
	// ErrRunning is returned where the droplet has to be stopped first.
	ErrRunning = errors.New("the droplet is running")
	// ErrClosed is returned by a host that was closed.
	ErrClosed = errors.New("the droplet host is closed")
)

// Options says where a Host keeps its droplets and whom it tells about them.
type Options struct {
	Dir string       // state folder, created if absent; one sub-folder per droplet
	Log *slog.Logger // nil: slog.Default()
	// OnHalt is called after a droplet halted by itself: poweroff or reboot inside, its PID 1 died, or its disk was
	// full. It runs on a goroutine of its own after the droplet has stopped, and may call Start. Close waits for it.
	OnHalt func(id string, reboot bool)
}

// Spec describes a droplet for one boot.
type Spec struct {
	ID       string // 1 to 64 of a-z A-Z 0-9 . _ -, not beginning with a dot
	Instance string // first-boot data runs once per Instance: a restored or rebuilt droplet gets a new one
	Hostname string
	// Addr is the droplet's own address on the host, by convention in 127.77.0.0/16. No two running droplets share it,
	// neither in this process nor in another: Start returns an error that wraps EADDRINUSE if one does.
	Addr           netip.Addr
	UserData       []byte   // at most 64 KiB; script, cloud-config or MIME multipart, each maybe gzipped
	AuthorizedKeys []string // keys for root given by the API, beside those in UserData; at most 64 KiB in all
	RootPassword   string   // what root's password becomes at this boot; empty leaves it as it is
	VCPUs          int      // bounds processes and, where the kernel allows, processor time; 0 means 1
	MemoryMB       int      // bounds memory where the kernel allows; 0 means 1024
	DiskGB         int      // bounds the droplet's files; 0 means 25
	Image          Image    // what a new instance says it is; the zero value leaves that to the disk
	Metadata       Metadata // what the droplet can ask at 169.254.169.254
	// Admit says whether a TCP connection to a port from an address is let in, as a firewall does. It is asked for each
	// new connection, concurrently; nil lets in all.
	Admit func(port int, from netip.Addr) bool
}

// Image names a distribution as the cloud's list of images does: "Ubuntu" and "24.04 (LTS) x64". It is what os-release
// says; the programs are the host's whatever it is, and os-release says that too.
type Image struct {
	Distribution string
	Name         string
}

// Metadata is what a droplet knows about itself, besides what else is in its [Spec], as of its last boot.
type Metadata struct {
	DropletID int64
	Region    string       // its slug
	Tags      []string     // at most 16 KiB in all
	Private   netip.Prefix // its address in a VPC, with the VPC's bits; the zero value if there is none
	Reserved  netip.Addr   // the reserved IP address that leads to it; the zero value if there is none
}

// Report says what this machine allows droplets to do.
type Report struct {
	Shells  bool     // a throw-away droplet booted
	Mode    string   // "root", "user", "user+newuidmap", or "none"
	SSHPort int      // 22, else 2222
	Step    string   // the step that failed, if one did
	Reason  string   // in plain words, what is missing and how to allow it
	Notes   []string // what works with limits here
}

const (
	maxUserData = 64 << 10
	maxKeys     = 64 << 10
	maxTags     = 16 << 10
)

var validID = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$`)

// normalise fills in defaults, and refuses what no droplet can boot with.
func (s Spec) normalise() (Spec, error) {
	if !validID.MatchString(s.ID) {
		return s, fmt.Errorf("droplet id %q: want 1 to 64 letters, digits, '.', '_', '-'", s.ID)
	}
	if !s.Addr.Is4() {
		return s, fmt.Errorf("droplet %s: address %q is not an IPv4 address", s.ID, s.Addr)
	}
	if len(s.UserData) > maxUserData {
		return s, fmt.Errorf("droplet %s: user data has %d bytes, at most %d are allowed", s.ID, len(s.UserData), maxUserData)
	}
	if n := size(s.AuthorizedKeys); n > maxKeys {
		return s, fmt.Errorf("droplet %s: SSH keys have %d bytes, at most %d are allowed", s.ID, n, maxKeys)
	}
	if n := size(s.Metadata.Tags); n > maxTags {
		return s, fmt.Errorf("droplet %s: tags have %d bytes, at most %d are allowed", s.ID, n, maxTags)
	}
	if s.Hostname == "" {
		s.Hostname = s.ID
	}
	if len(s.Hostname) > 64 {
		return s, fmt.Errorf("droplet %s: host name has %d bytes, at most 64 are allowed", s.ID, len(s.Hostname))
	}
	s.VCPUs, s.MemoryMB, s.DiskGB = orDefault(s.VCPUs, 1), orDefault(s.MemoryMB, 1024), orDefault(s.DiskGB, 25)
	return s, nil
}

// size is that of all texts together.
func size(texts []string) (bytes int) {
	for _, t := range texts {
		bytes += len(t)
	}
	return bytes
}

func orDefault(n, standard int) int {
	if n <= 0 {
		return standard
	}
	return n
}
