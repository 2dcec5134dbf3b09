package sandbox

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// actionRow is work on a droplet, under way or over.
type actionRow struct {
	ID        int        `json:"id"`
	Type      string     `json:"type"`
	Status    string     `json:"status"`
	Droplet   int        `json:"droplet"`
	Region    string     `json:"region"`
	Started   time.Time  `json:"started"`
	Completed *time.Time `json:"completed,omitempty"`
	Error     string     `json:"error,omitempty"` // the API does not show it; the log does

	Takes time.Duration `json:"-"` // before it is carried out; after a restart another time

	// What an action on something other than a droplet is about. Its droplet, if
	// there is one, is what a volume or an address goes to.
	Resource string `json:"resource,omitempty"` // "image", "volume" or "reserved_ip"
	Of       string `json:"of,omitempty"`       // that resource's id or address

	// What the work needs to know, by its type.
	Name   string    `json:"name,omitempty"`   // rename, snapshot
	Size   string    `json:"size,omitempty"`   // resize
	Disk   bool      `json:"disk,omitempty"`   // resize: the disk as well
	Image  *imageRow `json:"image,omitempty"`  // rebuild, restore
	Result int       `json:"result,omitempty"` // snapshot: the image that it makes
	Amount int       `json:"amount,omitempty"` // a volume's resize: GB

	Plan *backupPlan `json:"plan,omitempty"` // of backups, from now on; or by which one is taken
}

// The statuses of an action.
const (
	actionInProgress = "in-progress"
	actionCompleted  = "completed"
	actionErrored    = "errored"
)

// maxActions bounds how many actions are remembered: the oldest that are over
// make room for new ones.
const maxActions = 2000

// actionView is an action as the API shows it.
type actionView struct {
	ID           int     `json:"id"`
	Status       string  `json:"status"`
	Type         string  `json:"type"`
	Started      string  `json:"started_at"`
	Completed    *string `json:"completed_at"`
	ResourceID   *int    `json:"resource_id"` // null where the resource's id is no number
	ResourceType string  `json:"resource_type"`
	Region       region  `json:"region"`
	RegionSlug   string  `json:"region_slug"`
}

func (c *Cloud) actionView(a *actionRow) actionView {
	v := actionView{
		ID: a.ID, Status: a.Status, Type: a.Type, Started: timestamp(a.Started), ResourceID: a.resourceID(),
		ResourceType: cmp.Or(a.Resource, "droplet"), Region: *c.catalog.region(a.Region), RegionSlug: a.Region,
	}
	if a.Completed != nil {
		at := timestamp(*a.Completed)
		v.Completed = &at
	}
	return v
}

// resourceID is the number of what an action is about, if it has one. That of
// an address is the address.
func (a *actionRow) resourceID() *int {
	id := a.Droplet
	switch a.Resource {
	case "image":
		id, _ = strconv.Atoi(a.Of) // it was made of a number
	case "volume":
		return nil
	case "reserved_ip":
		b := netip.MustParseAddr(a.Of).As4() // it was made of an address
		id = int(binary.BigEndian.Uint32(b[:]))
	}
	return &id
}

// newAction begins an action on a droplet, which is locked until it is over.
func (s *state) newAction(kind string, d *dropletRow, now time.Time) *actionRow {
	a := &actionRow{
		ID: s.nextID(), Type: kind, Status: actionInProgress, Droplet: d.ID, Region: d.Region, Started: now,
	}
	s.Actions[a.ID] = a
	d.Pending = a.ID
	s.forgetActions()
	return a
}

func (s *state) forgetActions() {
	if len(s.Actions) <= maxActions {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.Actions)) {
		if len(s.Actions) <= maxActions*9/10 {
			return
		}
		if s.Actions[id].Status != actionInProgress {
			delete(s.Actions, id)
		}
	}
}

// actionRequest asks for an action of any type.
type actionRequest struct {
	Type  string    `json:"type"`
	Name  string    `json:"name"`
	Size  string    `json:"size"`
	Disk  bool      `json:"disk"`
	Image reference `json:"image"`

	Policy *policyRequest `json:"backup_policy"`
}

func (c *Cloud) act(r *http.Request) (reply, error) {
	var req actionRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	var view actionView
	err := c.begin(func(s *state) ([]*actionRow, error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		begun, err := c.order(s, &req, d)
		if err == nil {
			view = c.actionView(begun[0])
		}
		return begun, err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, object{"action": view}}, nil
}

func (c *Cloud) actByTag(r *http.Request) (reply, error) {
	var req actionRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	tag := r.URL.Query().Get("tag_name")
	if tag == "" {
		return reply{}, unprocessable("tag_name is required")
	}
	views := []actionView{}
	err := c.begin(func(s *state) ([]*actionRow, error) {
		begun, err := c.order(s, &req, s.tagged(tag)...)
		for _, a := range begun {
			views = append(views, c.actionView(a))
		}
		return begun, err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, object{"actions": views}}, nil
}

// order begins an action on droplets: on all, or on none where one can't take
// it.
func (c *Cloud) order(s *state, req *actionRequest, all ...*dropletRow) ([]*actionRow, error) {
	kind, known := kinds()[req.Type]
	if !known || kind.admit == nil { // what can't be admitted has requests of its own, or none
		return nil, unprocessable("%.40q is no type of action", req.Type)
	}
	wanted := make([]actionRow, len(all))
	for i, d := range all {
		if c.busy(d) {
			return nil, unprocessable(msgPending)
		}
		if err := kind.admit(c, s, d, req, &wanted[i]); err != nil {
			return nil, err
		}
	}
	var begun []*actionRow
	for i, d := range all {
		a := s.newAction(req.Type, d, c.now())
		a.Name, a.Size, a.Disk, a.Image, a.Plan = wanted[i].Name, wanted[i].Size, wanted[i].Disk, wanted[i].Image, wanted[i].Plan
		if a.Type == typeSnapshot {
			a.Result = s.nextID()
		}
		begun = append(begun, a)
	}
	return begun, nil
}

// admitAny admits an action that any droplet can take.
func admitAny(*Cloud, *state, *dropletRow, *actionRequest, *actionRow) error { return nil }

// admitOn admits an action that only a droplet that is on can take.
func admitOn(_ *Cloud, _ *state, d *dropletRow, _ *actionRequest, _ *actionRow) error {
	if d.Status != statusActive {
		return unprocessable(msgDropletOff)
	}
	return nil
}

// maxSnapshots bounds the account's snapshots.
const maxSnapshots = 1000

func admitSnapshot(c *Cloud, s *state, d *dropletRow, req *actionRequest, a *actionRow) error {
	a.Name = cmp.Or(req.Name, d.Name+"-"+timestamp(c.now()))
	switch {
	case len(a.Name) > maxName:
		return unprocessable("Name is too long (maximum is %d characters)", maxName)
	case s.snapshots() >= maxSnapshots:
		return unprocessable("The account has %d snapshots, which is the most", maxSnapshots)
	}
	return nil
}

func admitRename(_ *Cloud, _ *state, _ *dropletRow, req *actionRequest, a *actionRow) error {
	a.Name = req.Name
	return checkName(req.Name)
}

func admitResize(c *Cloud, _ *state, d *dropletRow, req *actionRequest, a *actionRow) error {
	size := c.catalog.size(req.Size)
	switch {
	case size == nil:
		return unprocessable("You specified an invalid size.")
	case !slices.Contains(size.Regions, d.Region):
		return unprocessable(msgSizeInRegion)
	case d.Status != statusOff:
		return unprocessable(msgDropletOn)
	case size.Disk < d.Disk:
		return unprocessable("Size %s", msgShrink)
	case size.Slug == d.Size && (!req.Disk || size.Disk == d.Disk):
		return unprocessable("Size is already %s", size.Slug)
	}
	a.Size, a.Disk = size.Slug, req.Disk
	return nil
}

func admitRebuild(c *Cloud, s *state, d *dropletRow, req *actionRequest, a *actionRow) error {
	a.Image = c.image(s, string(req.Image))
	return admitImage(d, a.Image)
}

func admitRestore(c *Cloud, s *state, d *dropletRow, req *actionRequest, a *actionRow) error {
	a.Image = c.image(s, string(req.Image))
	if a.Image != nil && a.Image.public() {
		return unprocessable("A droplet is restored from a backup or a snapshot; use rebuild for a distribution.")
	}
	return admitImage(d, a.Image)
}

// admitImage tells whether a droplet's disk can be made from an image.
func admitImage(d *dropletRow, image *imageRow) error {
	switch {
	case image == nil:
		return unprocessable("You specified an invalid image.")
	case !slices.Contains(image.Regions, d.Region):
		return unprocessable(msgImageInRegion)
	case image.MinDisk > d.Disk:
		return unprocessable("The image needs a disk of %d GB, and the droplet has %d GB.", image.MinDisk, d.Disk)
	}
	return nil
}

// refuseKernel answers as for every droplet of today's images: they boot the
// kernel that is inside them.
func refuseKernel(*Cloud, *state, *dropletRow, *actionRequest, *actionRow) error {
	return unprocessable("This Droplet manages its kernel itself.")
}

// refusePrivate answers as for every droplet that has a VPC, as all have.
func refusePrivate(*Cloud, *state, *dropletRow, *actionRequest, *actionRow) error {
	return unprocessable("This Droplet already has private networking enabled.")
}

func admitIPv6(_ *Cloud, _ *state, d *dropletRow, _ *actionRequest, _ *actionRow) error {
	if d.Hidden {
		return unprocessable(msgHidden)
	}
	if d.hasIPv6() {
		return unprocessable("This Droplet already has IPv6 enabled.")
	}
	return nil
}

func (c *Cloud) listActions(r *http.Request) (reply, error) {
	return c.actionsWhere(r, func(*actionRow) bool { return true })
}

func (c *Cloud) listDropletActions(r *http.Request) (reply, error) {
	err := c.read(func(s *state) error { _, err := s.droplet(r); return err })
	if err != nil {
		return reply{}, err
	}
	id, err := pathID(r, "droplet")
	if err != nil {
		return reply{}, err
	}
	return c.actionsWhere(r, func(a *actionRow) bool { return a.Resource == "" && a.Droplet == id })
}

// actionsWhere lists actions, the newest first.
func (c *Cloud) actionsWhere(r *http.Request, wanted func(*actionRow) bool) (reply, error) {
	return listing(c, r, "actions", func(s *state) (shown []actionView, _ error) {
		for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.Actions))) {
			if a := s.Actions[id]; wanted(a) {
				shown = append(shown, c.actionView(a))
			}
		}
		return shown, nil
	})
}

func (c *Cloud) getAction(r *http.Request) (reply, error) {
	return c.actionWhere(r, func(*actionRow) bool { return true })
}

func (c *Cloud) getDropletAction(r *http.Request) (reply, error) {
	id, err := pathID(r, "droplet")
	if err != nil {
		return reply{}, err
	}
	return c.actionWhere(r, func(a *actionRow) bool { return a.Resource == "" && a.Droplet == id })
}

// actionWhere shows the action that the path names, if it is a wanted one.
func (c *Cloud) actionWhere(r *http.Request, wanted func(*actionRow) bool) (reply, error) {
	id, err := pathID(r, "action")
	if err != nil {
		return reply{}, err
	}
	var view actionView
	err = c.read(func(s *state) error {
		a := s.Actions[id]
		if a == nil || !wanted(a) {
			return notFound()
		}
		view = c.actionView(a)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(object{"action": view})
}
