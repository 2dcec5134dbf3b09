package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// createRequest asks for droplets that differ in their names only.
type createRequest struct {
	Name             string         `json:"name"`
	Names            []string       `json:"names"`
	Region           string         `json:"region"`
	Size             string         `json:"size"`
	Image            reference      `json:"image"`
	SSHKeys          references     `json:"ssh_keys"`
	Backups          bool           `json:"backups"`
	Policy           *policyRequest `json:"backup_policy"`
	IPv6             bool           `json:"ipv6"`
	Monitoring       bool           `json:"monitoring"`
	UserData         string         `json:"user_data"`
	Volumes          []volumeID     `json:"volumes"`
	Tags             []string       `json:"tags"`
	VPC              string         `json:"vpc_uuid"`
	PublicNetworking *bool          `json:"public_networking"`
}

// reference names something by its id, a number, or otherwise by a string.
type reference string

// UnmarshalJSON reads a string or a number.
func (n *reference) UnmarshalJSON(b []byte) error {
	var word string
	var number json.Number
	if json.Unmarshal(b, &word) == nil {
		*n = reference(word)
		return nil
	}
	if json.Unmarshal(b, &number) != nil {
		return unprocessable("expected an id or a name, not %.40s", b)
	}
	*n = reference(number)
	return nil
}

// references are a list. DigitalOcean's own MCP server sends null for an empty
// one.
type references []reference

// UnmarshalJSON reads an array, or null.
func (n *references) UnmarshalJSON(b []byte) error {
	var all []reference
	if err := json.Unmarshal(b, &all); err != nil {
		return unprocessable("expected an array of ids, not %.40s", b)
	}
	*n = all
	return nil
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$`)

const (
	maxNames       = 10       // droplets in one request
	maxUserData    = 64 << 10 // bytes
	maxDropletTags = 100
)

func (c *Cloud) createDroplets(r *http.Request) (reply, error) {
	var req createRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	names, err := req.names()
	if err != nil {
		return reply{}, err
	}
	if err := c.admit(&req); err != nil {
		return reply{}, err
	}
	data, err := c.keepUserData(req.UserData)
	if err != nil {
		return reply{}, err
	}
	var views []dropletView
	var links []object
	err = c.begin(func(s *state) ([]*actionRow, error) {
		blank, err := c.plan(s, &req, len(names))
		if err != nil {
			return nil, err
		}
		blank.Data = data
		begun, err := c.create(s, blank, names)
		s.attachAll(req.Volumes, begun)
		for _, a := range begun {
			views = append(views, c.view(s, s.Droplets[a.Droplet]))
			links = append(links, object{"id": a.ID, "rel": a.Type, "href": href(r, "/v2/actions/"+strconv.Itoa(a.ID))})
		}
		return begun, err
	})
	if err != nil {
		c.dropUserData(data)
		return reply{}, err
	}
	body := object{"links": object{"actions": links}}
	if req.Names == nil {
		body["droplet"] = views[0]
	} else {
		body["droplets"] = views
	}
	return reply{http.StatusAccepted, body}, nil
}

// names are the names asked for, checked.
func (req *createRequest) names() ([]string, error) {
	names := req.Names
	if names == nil {
		names = []string{req.Name}
	}
	if len(names) == 0 || len(names) > maxNames {
		return nil, unprocessable("Names must be between 1 and %d", maxNames)
	}
	for _, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return unprocessable("Name can't be blank")
	case len(name) > maxName:
		return unprocessable("Name is too long (maximum is %d characters)", maxName)
	case !namePattern.MatchString(name):
		return unprocessable("Name %s", msgHostname)
	}
	return nil
}

// plan checks a request and makes the droplet that it asks for, with no name,
// id or address yet.
func (c *Cloud) plan(s *state, req *createRequest, count int) (dropletRow, error) {
	size := c.catalog.size(req.Size)
	if size == nil {
		return dropletRow{}, unprocessable(msgSize)
	}
	image := c.image(s, string(req.Image))
	if image == nil {
		return dropletRow{}, unprocessable(msgImage)
	}
	place := c.catalog.region(cmp.Or(req.Region, size.Regions[0]))
	if err := fits(place, size, image); err != nil {
		return dropletRow{}, err
	}
	if len(s.Droplets)+count > c.limit {
		return dropletRow{}, unprocessable(msgDropletLimit)
	}
	keys, err := s.publicKeys(req.SSHKeys)
	if err != nil {
		return dropletRow{}, err
	}
	var backups *backupPlan
	if req.Backups {
		if backups, err = req.Policy.backupPlan(c.now()); err != nil {
			return dropletRow{}, err
		}
	}
	vpc, err := s.vpcFor(req.VPC, place.Slug)
	if err != nil {
		return dropletRow{}, err
	}
	if err := s.checkVolumes(req.Volumes, place.Slug, count); err != nil {
		return dropletRow{}, err
	}
	if err := s.addTags(req.Tags, c.now()); err != nil {
		return dropletRow{}, err
	}
	d := dropletRow{
		Region: place.Slug, Size: size.Slug, VCPUs: size.VCPUs, Memory: size.Memory, Disk: size.Disk,
		Image: *image, Status: statusNew, UserData: req.UserData, Keys: keys, VPC: vpc.ID,
		Features: []string{"private_networking"}, Tags: distinct(req.Tags), Created: c.now(),
	}
	if req.Monitoring {
		d.Features = append(d.Features, "monitoring")
	}
	if req.IPv6 {
		d.Features = append(d.Features, featureIPv6)
	}
	d.setBackups(backups)
	if d.Hidden = req.PublicNetworking != nil && !*req.PublicNetworking; d.Hidden && req.IPv6 {
		return dropletRow{}, unprocessable(msgHidden)
	}
	return d, nil
}

// admit refuses what the sandbox can't do, and what is out of bounds.
func (c *Cloud) admit(req *createRequest) error {
	switch {
	case len(req.UserData) > maxUserData:
		return unprocessable("User data is too long (maximum is %d bytes)", maxUserData)
	case len(req.Tags) > maxDropletTags:
		return unprocessable("Tags must be at most %d", maxDropletTags)
	case req.Policy != nil && !req.Backups:
		return unprocessable("backup_policy needs backups")
	}
	return nil
}

// fits tells whether a droplet can be had there, of that size, from the image.
func fits(place *region, size *size, image *imageRow) error {
	switch {
	case place == nil:
		return unprocessable(msgRegion)
	case !place.Available:
		return unprocessable(msgRegionClosed)
	case !slices.Contains(size.Regions, place.Slug):
		return unprocessable(msgSizeInRegion)
	case !slices.Contains(image.Regions, place.Slug):
		return unprocessable(msgImageInRegion)
	case size.Disk < image.MinDisk:
		return unprocessable("The image needs a disk of %d GB, and the size has %d GB.", image.MinDisk, size.Disk)
	}
	return nil
}

// publicKeys are the keys that go by these ids or fingerprints.
func (s *state) publicKeys(names references) ([]string, error) {
	var keys, unknown []string
	for _, name := range names {
		if k := s.findKey(string(name)); k != nil {
			keys = append(keys, k.PublicKey)
		} else {
			unknown = append(unknown, string(name))
		}
	}
	if len(unknown) > 0 {
		return nil, unprocessable("%s are invalid key identifiers for Droplet creation.", strings.Join(unknown, ", "))
	}
	return keys, nil
}

// create adds droplets, all or none, and begins to build them.
func (c *Cloud) create(s *state, blank dropletRow, names []string) ([]*actionRow, error) {
	private, err := s.freeAddrs(s.VPCs[blank.VPC], len(names))
	if err != nil {
		return nil, err
	}
	public := make([]netip.Addr, len(names))
	for i := range names {
		if public[i], err = s.nextAddr(c.usable); err != nil {
			return nil, err
		}
	}
	var begun []*actionRow
	for i, name := range names {
		d := blank
		d.ID, d.Name, d.Hostname, d.Addr, d.Private = s.nextID(), name, name, public[i], private[i]
		d.Tags, d.Features = slices.Clone(blank.Tags), slices.Clone(blank.Features)
		s.Droplets[d.ID] = &d
		a := s.newAction(typeCreate, &d, c.now())
		d.Instance = instance(a)
		begun = append(begun, a)
		c.faults.created(d.ID)
	}
	return begun, nil
}

// instance names what an action makes of a droplet, so that carrying the action
// out again, after a crash, runs no first-boot data twice.
func instance(a *actionRow) string {
	return strconv.Itoa(a.Droplet) + "-" + strconv.Itoa(a.ID)
}
