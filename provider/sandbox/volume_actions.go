package sandbox

import (
	"fmt"
	"net/http"
)

// volumeActionRequest asks for an action on a volume, which the path names, or
// else the request's name and region.
type volumeActionRequest struct {
	Type      string   `json:"type"`
	Name      string   `json:"volume_name"`
	Region    string   `json:"region"`
	Droplet   int      `json:"droplet_id"`
	Gigabytes int      `json:"size_gigabytes"`
	Tags      []string `json:"tags"`
}

func (c *Cloud) actOnVolume(r *http.Request) (reply, error) {
	return c.volumeAction(r, func(s *state, _ *volumeActionRequest) *volumeRow { return s.Volumes[r.PathValue("volume")] })
}

func (c *Cloud) actOnVolumeByName(r *http.Request) (reply, error) {
	return c.volumeAction(r, func(s *state, req *volumeActionRequest) *volumeRow { return s.volumeNamed(req.Name, req.Region) })
}

func (c *Cloud) volumeAction(r *http.Request, find func(*state, *volumeActionRequest) *volumeRow) (reply, error) {
	var req volumeActionRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.errand(http.StatusAccepted, func(s *state) (*actionRow, error) {
		v := find(s, &req)
		if v == nil {
			return nil, notFound()
		}
		if v.Pending != 0 {
			return nil, unprocessable(msgVolumePending)
		}
		switch req.Type {
		case "attach":
			return c.beginAttach(s, v, &req)
		case "detach":
			return c.beginDetach(s, v, &req)
		case "resize":
			return c.beginGrow(s, v, &req)
		}
		return nil, unprocessable("%.40q is no type of action", req.Type)
	})
}

// lock begins an errand on a volume and, if there is one, on a droplet. Both
// take no other work meanwhile.
func (c *Cloud) lock(s *state, kind string, v *volumeRow, d *dropletRow) *actionRow {
	a := s.newErrand(kind, "volume", v.ID, v.Region, c.now())
	v.Pending = a.ID
	if d != nil {
		a.Droplet, d.Pending = d.ID, a.ID
	}
	return a
}

func (c *Cloud) beginAttach(s *state, v *volumeRow, req *volumeActionRequest) (*actionRow, error) {
	d := s.Droplets[req.Droplet]
	switch {
	case d == nil || d.Gone:
		return nil, notFound()
	case c.busy(d):
		return nil, unprocessable(msgPending)
	case s.attached(v):
		return nil, unprocessable("The volume is attached to a Droplet already.")
	case v.Region != d.Region:
		return nil, unprocessable("The volume is in %s, and the Droplet in %s.", v.Region, d.Region)
	case len(s.volumesOf(d.ID)) >= volumesPerDroplet:
		return nil, unprocessable("A Droplet can have %d volumes at most.", volumesPerDroplet)
	}
	if err := s.addTags(req.Tags, c.now()); err != nil {
		return nil, err
	}
	v.Tags = distinct(append(v.Tags, req.Tags...))
	return c.lock(s, typeAttach, v, d), nil
}

func (c *Cloud) beginDetach(s *state, v *volumeRow, req *volumeActionRequest) (*actionRow, error) {
	d := s.Droplets[v.Droplet]
	switch {
	case !s.attached(v) || req.Droplet != 0 && req.Droplet != v.Droplet:
		return nil, unprocessable("The volume is not attached to this Droplet.")
	case c.busy(d):
		return nil, unprocessable(msgPending)
	}
	return c.lock(s, typeDetach, v, d), nil
}

func (c *Cloud) beginGrow(s *state, v *volumeRow, req *volumeActionRequest) (*actionRow, error) {
	if req.Gigabytes <= v.Gigabytes || req.Gigabytes > maxVolumeSize {
		return nil, unprocessable("size_gigabytes must be more than %d and at most %d", v.Gigabytes, maxVolumeSize)
	}
	a := c.lock(s, typeGrow, v, nil)
	a.Amount = req.Gigabytes
	return a, nil
}

// target is the volume that an action is about. It can't be deleted meanwhile.
func (s *state) target(a *actionRow) (*volumeRow, error) {
	if v := s.Volumes[a.Of]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("volume %s is gone", a.Of)
}

func attach(_ *Cloud, s *state, a *actionRow) error {
	v, err := s.target(a)
	if err == nil {
		v.Droplet = a.Droplet
	}
	return err
}

func detach(_ *Cloud, s *state, a *actionRow) error {
	v, err := s.target(a)
	if err == nil {
		v.Droplet = 0
	}
	return err
}

func grow(_ *Cloud, s *state, a *actionRow) error {
	v, err := s.target(a)
	if err == nil {
		v.Gigabytes = a.Amount
	}
	return err
}

func (c *Cloud) listVolumeActions(r *http.Request) (reply, error) {
	if err := c.read(func(s *state) error { _, err := s.volume(r); return err }); err != nil {
		return reply{}, err
	}
	return c.actionsWhere(r, about("volume", r.PathValue("volume")))
}

func (c *Cloud) getVolumeAction(r *http.Request) (reply, error) {
	return c.actionWhere(r, about("volume", r.PathValue("volume")))
}
