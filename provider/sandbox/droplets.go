package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"berth/provider/sandbox/droplet"
)

// dropletRow is a droplet.
type dropletRow struct {
	ID       int        `json:"id"`
	Name     string     `json:"name"`
	Hostname string     `json:"hostname"` // the name it was made with
	Region   string     `json:"region"`
	Size     string     `json:"size"`
	VCPUs    int        `json:"vcpus"`
	Memory   int        `json:"memory"` // MB
	Disk     int        `json:"disk"`   // GB; a resize may leave it as it was
	Image    imageRow   `json:"image"`  // as it was when the disk was made from it
	Status   string     `json:"status"`
	Addr     netip.Addr `json:"addr"`
	VPC      string     `json:"vpc,omitempty"`
	Private  netip.Addr `json:"private"`             // in the VPC
	UserData string     `json:"-"`                   // from the file that Data names
	Data     string     `json:"data,omitempty"`      // see keepUserData
	Inline   string     `json:"user_data,omitempty"` // of older states: the data itself
	Keys     []string   `json:"keys,omitempty"`      // public keys for root
	Features []string   `json:"features"`
	Tags     []string   `json:"tags,omitempty"`
	Created  time.Time  `json:"created"`
	Pending  int        `json:"pending,omitempty"` // the action under way, or 0
	Instance string     `json:"instance"`          // changes when first-boot data is to run again
	Gone     bool       `json:"gone,omitempty"`    // deleted; only its machine is yet to go

	Hidden bool        `json:"hidden,omitempty"` // without a public network
	Backup *backupPlan `json:"backup,omitempty"` // nil without backups
}

// The statuses of a droplet.
const (
	statusNew    = "new"
	statusActive = "active"
	statusOff    = "off"
)

// dropletView is a droplet as the API shows it.
type dropletView struct {
	ID               int         `json:"id"`
	Name             string      `json:"name"`
	Memory           int         `json:"memory"`
	VCPUs            int         `json:"vcpus"`
	Disk             int         `json:"disk"`
	DiskInfo         []disk      `json:"disk_info"`
	Locked           bool        `json:"locked"`
	Status           string      `json:"status"`
	Kernel           *struct{}   `json:"kernel"` // always null: droplets boot no kernel of their own
	Created          string      `json:"created_at"`
	Features         []string    `json:"features"`
	BackupIDs        []int       `json:"backup_ids"`
	NextBackupWindow *windowView `json:"next_backup_window"` // null without backups
	SnapshotIDs      []int       `json:"snapshot_ids"`
	Image            imageView   `json:"image"`
	VolumeIDs        []string    `json:"volume_ids"`
	Size             size        `json:"size"`
	SizeSlug         string      `json:"size_slug"`
	Networks         networks    `json:"networks"`
	Region           region      `json:"region"`
	Tags             []string    `json:"tags"`
	VPC              string      `json:"vpc_uuid,omitempty"`
	GPU              *gpu        `json:"gpu_info,omitempty"`
}

type networks struct {
	V4 []network   `json:"v4"`
	V6 []networkV6 `json:"v6"`
}

type network struct {
	Address string `json:"ip_address"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
	Type    string `json:"type"`
}

type networkV6 struct {
	Address string `json:"ip_address"`
	Netmask int    `json:"netmask"`
	Gateway string `json:"gateway"`
	Type    string `json:"type"`
}

// featureIPv6 marks a droplet that is shown with an IPv6 address.
const featureIPv6 = "ipv6"

func (d *dropletRow) hasIPv6() bool { return slices.Contains(d.Features, featureIPv6) }

// ipv6 is the IPv6 network that a droplet is shown with. Its address is one of
// those that are kept for documentation, so that it can't be anybody's.
func (d *dropletRow) ipv6() networkV6 {
	a := d.Addr.As4()
	prefix := fmt.Sprintf("2001:db8:%x:%x::", a[2], a[3])
	return networkV6{prefix + "1001", 64, prefix + "1", "public"}
}

// view is a droplet as the API shows it now.
func (c *Cloud) view(s *state, d *dropletRow) dropletView {
	size := c.catalog.size(d.Size)
	v := dropletView{
		ID: d.ID, Name: d.Name, Memory: d.Memory, VCPUs: d.VCPUs, Disk: d.Disk, DiskInfo: localDisk(d.Disk),
		Locked: c.busy(d), Status: d.Status, Created: timestamp(d.Created), Features: orEmpty(d.Features),
		BackupIDs: s.backupsOf(d.ID), NextBackupWindow: d.window(), SnapshotIDs: s.snapshotsOf(d.ID), Image: d.Image.view(), VolumeIDs: s.volumesOf(d.ID),
		Size: *size, SizeSlug: d.Size, Networks: networks{V4: []network{}, V6: []networkV6{}},
		Region: *c.catalog.region(d.Region), Tags: orEmpty(d.Tags), VPC: d.VPC, GPU: size.GPU,
	}
	if d.Status == statusNew || c.faults.hidesAddress(d.ID) {
		return v
	}
	if !d.Hidden {
		v.Networks.V4 = append(v.Networks.V4, network{d.Addr.String(), "255.255.0.0", "127.77.0.1", "public"})
	}
	if vpc := s.VPCs[d.VPC]; vpc != nil {
		v.Networks.V4 = append(v.Networks.V4, vpc.private(d))
	}
	if d.hasIPv6() {
		v.Networks.V6 = []networkV6{d.ipv6()}
	}
	return v
}

// busy tells whether work is under way that excludes other work.
func (c *Cloud) busy(d *dropletRow) bool { return d.Pending != 0 || c.booting[d.ID] }

// specNow is spec for who has not locked the state.
func (c *Cloud) specNow(d *dropletRow) droplet.Spec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spec(d)
}

// toldTags is of how many tags a droplet learns, which have 255 bytes at most: a
// machine takes 16 KiB of them.
const toldTags = 64

// metadata is what a droplet can learn about itself. The caller holds c.mu.
func (c *Cloud) metadata(d *dropletRow) droplet.Metadata {
	told := d.Tags[:min(len(d.Tags), toldTags)]
	m := droplet.Metadata{DropletID: int64(d.ID), Region: d.Region, Tags: slices.Clone(told)}
	if vpc := c.state.VPCs[d.VPC]; vpc != nil {
		m.Private = netip.PrefixFrom(d.Private, vpc.Range.Bits())
	}
	for _, ip := range c.state.ReservedIPs {
		if ip.Droplet == d.ID {
			m.Reserved = ip.Addr
		}
	}
	return m
}

// spec is what a droplet's machine starts with. The caller holds c.mu.
func (c *Cloud) spec(d *dropletRow) droplet.Spec {
	id := d.ID
	return droplet.Spec{
		ID: d.machine(), Instance: d.Instance, Hostname: d.Hostname[:min(len(d.Hostname), maxHostname)], Addr: d.Addr,
		UserData: []byte(d.UserData), AuthorizedKeys: slices.Clone(d.Keys),
		VCPUs: d.VCPUs, MemoryMB: d.Memory, DiskGB: d.Disk, Image: d.Image.release(),
		Metadata: c.metadata(d),
		Admit:    func(port int, from netip.Addr) bool { return c.admits(id, port, from) },
	}
}

// release is what a distribution's image calls itself; a snapshot keeps what is
// on its disk.
func (i imageRow) release() droplet.Image {
	if i.Slug == "" {
		return droplet.Image{}
	}
	return droplet.Image{Distribution: i.Distribution, Name: i.Name}
}

// maxHostname is how long a Linux host name can be; longer names are cut.
const maxHostname = 64

// machine is the id of a droplet's machine.
func (d *dropletRow) machine() string { return strconv.Itoa(d.ID) }

// addresses is how many there are for droplets: 127.77.0.0/16 without those
// that end in 0, 1 or 255, of which some mean a network or its gateway.
const addresses = 256 * 253

// nextAddr is a free address. It goes round, so that an address rests as long
// as possible before another droplet, with another host key, gets it. Other
// clouds on this machine share the addresses: usable tells whether one can be
// had now.
func (s *state) nextAddr(usable func(netip.Addr) bool) (netip.Addr, error) {
	taken := map[netip.Addr]bool{}
	for _, d := range s.Droplets {
		taken[d.Addr] = true
	}
	for _, ip := range s.ReservedIPs {
		taken[ip.Addr] = true
	}
	for range addresses {
		s.LastAddr = (s.LastAddr + 1) % addresses
		a := netip.AddrFrom4([4]byte{127, 77, byte(s.LastAddr / 253), byte(s.LastAddr%253 + 2)})
		if !taken[a] && usable(a) {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all %d addresses are taken", addresses)
}

// usable tells whether a droplet's SSH could be served at an address. Where this
// machine has no such addresses at all, none is refused: there are no shells.
// The caller holds c.mu.
func (c *Cloud) usable(a netip.Addr) bool {
	l, err := net.Listen("tcp4", netip.AddrPortFrom(a, uint16(c.machines.SSHPort())).String())
	if err != nil {
		return !errors.Is(err, syscall.EADDRINUSE)
	}
	l.Close()
	return true
}

// droplet is the droplet that the request's path names.
func (s *state) droplet(r *http.Request) (*dropletRow, error) {
	id, err := pathID(r, "droplet")
	if err != nil {
		return nil, err
	}
	d := s.Droplets[id]
	if d == nil || d.Gone {
		return nil, notFound()
	}
	return d, nil
}

// tagged are the droplets that bear a tag, by age.
func (s *state) tagged(tag string) []*dropletRow {
	var all []*dropletRow
	for _, id := range slices.Sorted(maps.Keys(s.Droplets)) {
		if d := s.Droplets[id]; !d.Gone && slices.Contains(d.Tags, tag) {
			all = append(all, d)
		}
	}
	return all
}

// listDroplets shows what all given filters let through. Without a tag or a
// name the list is of droplets without GPUs, unless GPUs are asked for.
func (c *Cloud) listDroplets(r *http.Request) (reply, error) {
	q := r.URL.Query()
	tag, name, kind := q.Get("tag_name"), q.Get("name"), q.Get("type")
	if kind == "" && tag == "" && name == "" {
		kind = "droplets"
	}
	var shown []dropletView
	err := c.read(func(s *state) error {
		for _, id := range slices.Sorted(maps.Keys(s.Droplets)) {
			d := s.Droplets[id]
			gpus := c.catalog.size(d.Size).GPU != nil
			switch {
			case d.Gone || c.faults.hidesInList(id):
			case tag != "" && !slices.Contains(d.Tags, tag):
			case name != "" && !strings.EqualFold(d.Name, name):
			case kind == "gpus" && !gpus || kind == "droplets" && gpus:
			default:
				shown = append(shown, c.view(s, d))
			}
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return list(r, "droplets", shown)
}

func (c *Cloud) getDroplet(r *http.Request) (reply, error) {
	var view dropletView
	err := c.read(func(s *state) error {
		d, err := s.droplet(r)
		if err != nil {
			return err
		}
		if c.faults.hidesFromGet(d.ID) {
			return notFound()
		}
		view = c.view(s, d)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(object{"droplet": view})
}

func (c *Cloud) deleteDroplet(r *http.Request) (reply, error) {
	err := c.begin(func(s *state) ([]*actionRow, error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		return c.destroy(s, d)
	})
	if err != nil {
		return reply{}, err
	}
	return noContent()
}

func (c *Cloud) deleteDropletsByTag(r *http.Request) (reply, error) {
	tag := r.URL.Query().Get("tag_name")
	if tag == "" {
		return reply{}, unprocessable("tag_name is required")
	}
	err := c.begin(func(s *state) ([]*actionRow, error) { return c.destroy(s, s.tagged(tag)...) })
	if err != nil {
		return reply{}, err
	}
	return noContent()
}

// destroy begins to delete droplets: all of them, or none where one is busy.
func (c *Cloud) destroy(s *state, all ...*dropletRow) ([]*actionRow, error) {
	if slices.ContainsFunc(all, c.busy) {
		return nil, unprocessable(msgPending)
	}
	var begun []*actionRow
	for _, d := range all {
		begun = append(begun, s.newAction(typeDestroy, d, c.now()))
	}
	return begun, nil
}
