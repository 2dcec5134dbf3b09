package sandbox

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

// What a droplet would leave behind when it is deleted alone, and deleting some
// or all of that with it.

// belonging is something that can be deleted with a droplet.
type belonging struct {
	ID    string     `json:"id"`
	Name  string     `json:"name"`
	Ended *time.Time `json:"ended,omitempty"` // when it was deleted
	Error string     `json:"error,omitempty"` // why it could not be
}

// belongings are all that can be deleted with a droplet, by kind. The kinds are
// named as the API does.
type belongings struct {
	ReservedIPs     []belonging `json:"reserved_ips,omitempty"`
	Snapshots       []belonging `json:"snapshots,omitempty"`
	Volumes         []belonging `json:"volumes,omitempty"`
	VolumeSnapshots []belonging `json:"volume_snapshots,omitempty"`
}

// purgeRow is the deletion of a droplet together with what belongs to it.
type purgeRow struct {
	Droplet belonging  `json:"droplet"`
	With    belongings `json:"with"`
	Begun   time.Time  `json:"begun"`
	Action  int        `json:"action"`
}

// maxPurges bounds how many of these are remembered: the oldest make room.
const maxPurges = 200

func (b *belongings) kinds() []*[]belonging {
	return []*[]belonging{&b.ReservedIPs, &b.Snapshots, &b.Volumes, &b.VolumeSnapshots}
}

// show is the answer's object that has the four kinds; of reserved IPs there is
// an older name, too.
func (b *belongings) show(view func(belonging) object) object {
	all := func(of []belonging) []object {
		shown := []object{}
		for _, one := range of {
			shown = append(shown, view(one))
		}
		return shown
	}
	return object{
		"reserved_ips": all(b.ReservedIPs), "floating_ips": all(b.ReservedIPs), "snapshots": all(b.Snapshots),
		"volumes": all(b.Volumes), "volume_snapshots": all(b.VolumeSnapshots),
	}
}

// belongings are what a droplet would leave behind.
func (s *state) belongings(d *dropletRow) belongings {
	var b belongings
	for addr, ip := range s.ReservedIPs {
		if ip.Droplet == d.ID {
			b.ReservedIPs = append(b.ReservedIPs, belonging{ID: addr, Name: addr})
		}
	}
	for _, id := range s.snapshotsOf(d.ID) {
		b.Snapshots = append(b.Snapshots, belonging{ID: strconv.Itoa(id), Name: s.Images[id].Name})
	}
	for _, id := range s.volumesOf(d.ID) {
		b.Volumes = append(b.Volumes, belonging{ID: id, Name: s.Volumes[id].Name})
		for _, snap := range byAge(s.VolumeSnapshots, volumeSnapshotAge) {
			if snap.Volume == id {
				b.VolumeSnapshots = append(b.VolumeSnapshots, belonging{ID: snap.ID, Name: snap.Name})
			}
		}
	}
	return b
}

// DigitalOcean's prices a month and GB, in US dollars.
const (
	snapshotPrice = 0.06
	volumePrice   = 0.10
)

// cost is what something costs a month, as DigitalOcean lists it.
func (s *state) cost(id string) string {
	dollars := 0.0
	if number, err := strconv.Atoi(id); err == nil && s.Images[number] != nil {
		dollars = s.Images[number].gigabytes() * snapshotPrice
	}
	if v := s.Volumes[id]; v != nil {
		dollars = float64(v.Gigabytes) * volumePrice
	}
	return strconv.FormatFloat(dollars, 'f', 2, 64)
}

func (c *Cloud) listAssociated(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		b := s.belongings(d)
		return b.show(func(one belonging) object {
			return object{"id": one.ID, "name": one.Name, "cost": s.cost(one.ID)}
		}), nil
	})
}

// deleteWithAll deletes a droplet and all that belongs to it.
func (c *Cloud) deleteWithAll(r *http.Request) (reply, error) {
	if r.Header.Get("X-Dangerous") != "true" {
		return reply{}, unprocessable("The header X-Dangerous must be true to delete all that belongs to a Droplet.")
	}
	return c.beginPurge(r, func(s *state, d *dropletRow) (belongings, error) { return s.belongings(d), nil })
}

// deleteWithSome deletes a droplet and what the request names of its belongings.
func (c *Cloud) deleteWithSome(r *http.Request) (reply, error) {
	var req struct {
		FloatingIPs     []string `json:"floating_ips"`
		ReservedIPs     []string `json:"reserved_ips"`
		Snapshots       []string `json:"snapshots"`
		Volumes         []string `json:"volumes"`
		VolumeSnapshots []string `json:"volume_snapshots"`
	}
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	wanted := [][]string{append(req.ReservedIPs, req.FloatingIPs...), req.Snapshots, req.Volumes, req.VolumeSnapshots}
	return c.beginPurge(r, func(s *state, d *dropletRow) (belongings, error) {
		b := s.belongings(d)
		for i, kind := range b.kinds() {
			for _, id := range wanted[i] {
				if !slices.ContainsFunc(*kind, func(one belonging) bool { return one.ID == id }) {
					return b, unprocessable("%.80q does not belong to the Droplet", id)
				}
			}
			*kind = slices.DeleteFunc(*kind, func(one belonging) bool { return !slices.Contains(wanted[i], one.ID) })
		}
		return b, nil
	})
}

func (c *Cloud) beginPurge(r *http.Request, with func(*state, *dropletRow) (belongings, error)) (reply, error) {
	err := c.begin(func(s *state) ([]*actionRow, error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		b, err := with(s, d)
		if err != nil {
			return nil, err
		}
		begun, err := c.destroy(s, d)
		if err != nil {
			return nil, err
		}
		s.forgetPurges()
		s.Purges[d.ID] = &purgeRow{
			Droplet: belonging{ID: d.machine(), Name: d.Name}, With: b, Begun: c.now(), Action: begun[0].ID,
		}
		return begun, nil
	})
	return reply{status: http.StatusAccepted}, err
}

func (s *state) forgetPurges() {
	for len(s.Purges) >= maxPurges {
		oldest := 0
		for id, p := range s.Purges {
			if oldest == 0 || p.Begun.Before(s.Purges[oldest].Begun) {
				oldest = id
			}
		}
		delete(s.Purges, oldest)
	}
}

// purge deletes what is to go with a droplet that is gone now. What can't be
// deleted says why.
func (c *Cloud) purge(s *state, droplet int) {
	p := s.Purges[droplet]
	if p == nil {
		return
	}
	now := c.now()
	drops := []func(id string) error{
		s.dropReserved,
		func(id string) error { return c.dropSnapshot(s, id) },
		func(id string) error { return s.dropVolumeByID(id) },
		func(id string) error { delete(s.VolumeSnapshots, id); return nil },
	}
	p.Droplet.Ended = &now
	for i, kind := range p.With.kinds() {
		for n := range *kind {
			one := &(*kind)[n]
			if one.Ended != nil {
				continue
			}
			if err := drops[i](one.ID); err != nil {
				one.Error = asRefusal(err).message
				continue
			}
			one.Ended, one.Error = &now, ""
		}
	}
}

// dropReserved gives a reserved IP back. One that is gone already is as wanted.
func (s *state) dropReserved(addr string) error {
	ip := s.ReservedIPs[addr]
	switch {
	case ip == nil:
		return nil
	case ip.Pending != 0:
		return unprocessable(msgReservedPending)
	}
	delete(s.ReservedIPs, addr)
	s.unassign(ip.urn())
	return nil
}

// dropVolumeByID deletes a volume; one that is gone already is as wanted.
func (s *state) dropVolumeByID(id string) error {
	if v := s.Volumes[id]; v != nil {
		return s.dropVolume(v)
	}
	return nil
}

// dropSnapshot deletes a droplet's snapshot with its file. A crash in the middle
// has the deletion carried out again.
func (c *Cloud) dropSnapshot(s *state, id string) error {
	number, err := strconv.Atoi(id)
	if err != nil || s.Images[number] == nil {
		return nil
	}
	delete(s.Images, number)
	if err := os.Remove(c.imageFile(number)); err != nil {
		c.log.Warn("could not remove a snapshot's file", "image", number, "error", err)
	}
	return nil
}

// getPurge shows how far deleting a droplet with its belongings has come.
func (c *Cloud) getPurge(r *http.Request) (reply, error) {
	id, err := pathID(r, "droplet")
	if err != nil {
		return reply{}, err
	}
	return c.reading(func(s *state) (object, error) {
		p := s.Purges[id]
		if p == nil {
			return nil, notFound()
		}
		over := s.purgeOver(p)
		view := func(one belonging) object {
			v := object{"id": one.ID, "name": one.Name}
			if one.Ended != nil {
				v["destroyed_at"] = timestamp(*one.Ended)
			}
			if over && one.Ended == nil {
				v["error_message"] = cmp.Or(one.Error, "The Droplet was not deleted.")
			}
			return v
		}
		shown := object{"droplet": view(p.Droplet), "resources": p.With.show(view)}
		if p.Droplet.Ended != nil {
			shown["completed_at"] = timestamp(*p.Droplet.Ended)
		}
		shown["failures"] = 0
		if over {
			shown["failures"] = p.undone()
		}
		return shown, nil
	})
}

// purgeOver tells whether a purge has ended, well or not.
func (s *state) purgeOver(p *purgeRow) bool {
	a := s.Actions[p.Action]
	return a == nil || a.Status != actionInProgress
}

// undone counts what is still there.
func (p *purgeRow) undone() (n int) {
	for _, kind := range append(p.With.kinds(), &[]belonging{p.Droplet}) {
		for _, one := range *kind {
			if one.Ended == nil {
				n++
			}
		}
	}
	return n
}

// retryPurge tries again what could not be deleted.
func (c *Cloud) retryPurge(r *http.Request) (reply, error) {
	id, err := pathID(r, "droplet")
	if err != nil {
		return reply{}, err
	}
	err = c.begin(func(s *state) ([]*actionRow, error) {
		p, d := s.Purges[id], s.Droplets[id]
		switch {
		case p == nil:
			return nil, notFound()
		case !s.purgeOver(p):
			return nil, conflict("The Droplet is being deleted.")
		case d == nil:
			c.purge(s, id)
			return nil, nil
		}
		begun, err := c.destroy(s, d)
		if err != nil {
			return nil, fmt.Errorf("try again: %w", err)
		}
		p.Action = begun[0].ID
		return begun, nil
	})
	c.redirect()
	return reply{status: http.StatusAccepted}, err
}
