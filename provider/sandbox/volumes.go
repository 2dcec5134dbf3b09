package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// volumeRow is a block storage volume. It is in the API only: nothing appears
// in the droplet that it is attached to.
type volumeRow struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Region      string    `json:"region"`
	Gigabytes   int       `json:"gigabytes"`
	FSType      string    `json:"fs_type,omitempty"`
	FSLabel     string    `json:"fs_label,omitempty"`
	Droplet     int       `json:"droplet,omitempty"` // that it is attached to, or 0
	Tags        []string  `json:"tags,omitempty"`
	Created     time.Time `json:"created"`
	Pending     int       `json:"pending,omitempty"` // the action under way, or 0
}

// volumeView is a volume as the API shows it.
type volumeView struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Region      region   `json:"region"`
	Gigabytes   int      `json:"size_gigabytes"`
	FSType      string   `json:"filesystem_type"`
	FSLabel     string   `json:"filesystem_label"`
	Droplets    []int    `json:"droplet_ids"`
	Tags        []string `json:"tags"`
	Created     string   `json:"created_at"`
}

func (c *Cloud) volumeView(s *state, v *volumeRow) volumeView {
	view := volumeView{
		ID: v.ID, Name: v.Name, Description: v.Description, Region: *c.catalog.region(v.Region), Gigabytes: v.Gigabytes,
		FSType: v.FSType, FSLabel: v.FSLabel, Droplets: []int{}, Tags: orEmpty(v.Tags), Created: timestamp(v.Created),
	}
	if s.attached(v) {
		view.Droplets = append(view.Droplets, v.Droplet)
	}
	return view
}

const (
	maxVolumes         = 1000
	maxVolumeSize      = 16384 // GB
	volumesPerDroplet  = 15
	maxVolumeSnapshots = 1000
)

var volumePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// attached tells whether a volume is attached to a droplet that exists.
func (s *state) attached(v *volumeRow) bool {
	d := s.Droplets[v.Droplet]
	return d != nil && !d.Gone
}

// volumesOf are the ids of the volumes that a droplet has.
func (s *state) volumesOf(droplet int) []string {
	ids := []string{}
	for id, v := range s.Volumes {
		if v.Droplet == droplet {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// volume is the volume that the request's path names.
func (s *state) volume(r *http.Request) (*volumeRow, error) {
	v := s.Volumes[r.PathValue("volume")]
	if v == nil {
		return nil, notFound()
	}
	return v, nil
}

// volumeNamed is the volume of that name in a region, or nil.
func (s *state) volumeNamed(name, region string) *volumeRow {
	for _, v := range s.Volumes {
		if v.Name == name && v.Region == region {
			return v
		}
	}
	return nil
}

func (c *Cloud) listVolumes(r *http.Request) (reply, error) {
	name, place := r.URL.Query().Get("name"), r.URL.Query().Get("region")
	return listing(c, r, "volumes", func(s *state) (shown []volumeView, _ error) {
		for _, v := range byAge(s.Volumes, func(v *volumeRow) time.Time { return v.Created }) {
			if (name == "" || v.Name == name) && (place == "" || v.Region == place) {
				shown = append(shown, c.volumeView(s, v))
			}
		}
		return shown, nil
	})
}

func (c *Cloud) getVolume(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		v, err := s.volume(r)
		if err != nil {
			return nil, err
		}
		return object{"volume": c.volumeView(s, v)}, nil
	})
}

// volumeRequest asks for a volume.
type volumeRequest struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Region      string   `json:"region"`
	Gigabytes   int      `json:"size_gigabytes"`
	FSType      string   `json:"filesystem_type"`
	FSLabel     string   `json:"filesystem_label"`
	Snapshot    string   `json:"snapshot_id"`
	Tags        []string `json:"tags"`
}

func (c *Cloud) createVolume(r *http.Request) (reply, error) {
	var req volumeRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.writing(http.StatusCreated, func(s *state) (object, error) {
		if err := req.fill(s); err != nil {
			return nil, err
		}
		if err := c.admitVolume(s, &req); err != nil {
			return nil, err
		}
		if err := s.addTags(req.Tags, c.now()); err != nil {
			return nil, err
		}
		v := &volumeRow{
			ID: newUUID(), Name: req.Name, Description: req.Description, Region: req.Region, Gigabytes: req.Gigabytes,
			FSType: req.FSType, FSLabel: req.FSLabel, Tags: distinct(req.Tags), Created: c.now(),
		}
		s.Volumes[v.ID] = v
		return object{"volume": c.volumeView(s, v)}, nil
	})
}

// fill takes from a snapshot what the request leaves open.
func (req *volumeRequest) fill(s *state) error {
	if req.Snapshot == "" {
		return nil
	}
	snap := s.VolumeSnapshots[req.Snapshot]
	if snap == nil {
		return unprocessable("snapshot_id %.40q names no volume's snapshot", req.Snapshot)
	}
	req.Region = cmp.Or(req.Region, snap.Region)
	req.Gigabytes = cmp.Or(req.Gigabytes, snap.Gigabytes)
	switch {
	case req.Region != snap.Region:
		return unprocessable("The snapshot is in %s", snap.Region)
	case req.Gigabytes < snap.Gigabytes:
		return unprocessable("size_gigabytes must be at least the snapshot's, %d", snap.Gigabytes)
	}
	return nil
}

func (c *Cloud) admitVolume(s *state, req *volumeRequest) error {
	place := c.catalog.region(req.Region)
	labels := map[string]int{"": 0, "ext4": 16, "xfs": 12} // the longest label, by the type of file system
	longest, known := labels[req.FSType]
	switch {
	case !volumePattern.MatchString(req.Name):
		return unprocessable("name must have 1 to 64 lower-case letters, digits and dashes, the first of them a letter")
	case place == nil || !place.Available:
		return unprocessable("region %.40q is not available", req.Region)
	case req.Gigabytes < 1 || req.Gigabytes > maxVolumeSize:
		return unprocessable("size_gigabytes must be between 1 and %d", maxVolumeSize)
	case len(req.Description) > maxName:
		return unprocessable("description must have at most %d characters", maxName)
	case !known:
		return unprocessable("filesystem_type must be ext4 or xfs")
	case len(req.FSLabel) > longest:
		return unprocessable("filesystem_label must have at most %d characters", longest)
	case len(req.Tags) > maxDropletTags:
		return unprocessable("Tags must be at most %d", maxDropletTags)
	case s.volumeNamed(req.Name, req.Region) != nil:
		return conflict("a volume with this name exists in the region already")
	case len(s.Volumes) >= maxVolumes:
		return unprocessable("The account has %d volumes, which is the most", maxVolumes)
	}
	return nil
}

func (c *Cloud) deleteVolume(r *http.Request) (reply, error) {
	return c.writing(http.StatusNoContent, func(s *state) (object, error) {
		v, err := s.volume(r)
		if err != nil {
			return nil, err
		}
		return nil, s.dropVolume(v)
	})
}

func (c *Cloud) deleteVolumeByName(r *http.Request) (reply, error) {
	name, place := r.URL.Query().Get("name"), r.URL.Query().Get("region")
	return c.writing(http.StatusNoContent, func(s *state) (object, error) {
		v := s.volumeNamed(name, place)
		if v == nil {
			return nil, notFound()
		}
		return nil, s.dropVolume(v)
	})
}

// dropVolume deletes a volume. Its snapshots stay.
func (s *state) dropVolume(v *volumeRow) error {
	switch {
	case v.Pending != 0:
		return unprocessable(msgVolumePending)
	case s.attached(v):
		return conflict("the volume is attached to a droplet: detach it first")
	}
	delete(s.Volumes, v.ID)
	s.unassign(urn("volume", v.ID))
	return nil
}

// volumeID names a volume in a request for a droplet. The description has ids,
// DigitalOcean's clients send objects.
type volumeID string

// UnmarshalJSON reads an id, or an object with an id.
func (v *volumeID) UnmarshalJSON(b []byte) error {
	var id string
	var named struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(b, &id) == nil {
		*v = volumeID(id)
		return nil
	}
	if json.Unmarshal(b, &named) != nil || named.ID == "" {
		return unprocessable("expected a volume's id, not %.80s", b)
	}
	*v = volumeID(named.ID)
	return nil
}

// checkVolumes tells whether new droplets in a region can have volumes.
func (s *state) checkVolumes(ids []volumeID, region string, droplets int) error {
	switch {
	case len(ids) == 0:
		return nil
	case droplets > 1:
		return unprocessable("Volumes can be attached to one Droplet only.")
	case len(ids) > volumesPerDroplet:
		return unprocessable("A Droplet can have %d volumes at most.", volumesPerDroplet)
	}
	for _, id := range ids {
		v := s.Volumes[string(id)]
		switch {
		case v == nil:
			return unprocessable("volume %.40q does not exist", string(id))
		case v.Region != region:
			return unprocessable("The volume %s is in %s, and the Droplet in %s.", v.Name, v.Region, region)
		case v.Pending != 0:
			return unprocessable(msgVolumePending)
		case s.attached(v):
			return unprocessable("The volume %s is attached to another Droplet.", v.Name)
		}
	}
	return nil
}

// attachAll gives volumes, which were checked, to the droplet that is begun.
func (s *state) attachAll(ids []volumeID, begun []*actionRow) {
	for _, id := range ids {
		for _, a := range begun {
			s.Volumes[string(id)].Droplet = a.Droplet
		}
	}
}
