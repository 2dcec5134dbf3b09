package sandbox

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// reservedRow is an address that stays with the account and goes from droplet
// to droplet.
type reservedRow struct {
	Addr    netip.Addr `json:"addr"`
	Region  string     `json:"region"`
	Droplet int        `json:"droplet,omitempty"` // that it leads to, or 0
	Created time.Time  `json:"created"`
	Pending int        `json:"pending,omitempty"` // the action under way, or 0
	Kind    string     `json:"kind,omitempty"`    // what the client called it that put it into a project
}

// reservedView is a reserved IP as the API shows it.
type reservedView struct {
	IP      string       `json:"ip"`
	Region  region       `json:"region"`
	Droplet *dropletView `json:"droplet"`
	Locked  bool         `json:"locked"`
	Project string       `json:"project_id"`
}

const maxReserved = 200

func (c *Cloud) reservedView(s *state, ip *reservedRow) reservedView {
	v := reservedView{
		IP: ip.Addr.String(), Region: *c.catalog.region(ip.Region), Locked: ip.Pending != 0,
		Project: s.projectOf(ip.urn()).ID,
	}
	if d := s.holder(ip); d != nil {
		view := c.view(s, d)
		v.Droplet = &view
	}
	return v
}

// urn has the older of the two names that DigitalOcean has for it.
func (ip *reservedRow) urn() string { return urn(kindFloating, ip.Addr.String()) }

// holder is the droplet that an address leads to, or nil.
func (s *state) holder(ip *reservedRow) *dropletRow {
	if d := s.Droplets[ip.Droplet]; d != nil && !d.Gone {
		return d
	}
	return nil
}

// reserved is the reserved IP that the request's path names.
func (s *state) reserved(r *http.Request) (*reservedRow, error) {
	ip := s.ReservedIPs[r.PathValue("ip")]
	if ip == nil {
		return nil, notFound()
	}
	return ip, nil
}

func (c *Cloud) listReserved(r *http.Request) (reply, error) {
	return listing(c, r, "reserved_ips", func(s *state) (shown []reservedView, _ error) {
		for _, ip := range byAge(s.ReservedIPs, func(ip *reservedRow) time.Time { return ip.Created }) {
			shown = append(shown, c.reservedView(s, ip))
		}
		return shown, nil
	})
}

func (c *Cloud) getReserved(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		ip, err := s.reserved(r)
		if err != nil {
			return nil, err
		}
		return object{"reserved_ip": c.reservedView(s, ip)}, nil
	})
}

// reservedRequest asks for an address in a region, or for a droplet.
type reservedRequest struct {
	Region  string `json:"region"`
	Droplet int    `json:"droplet_id"`
	Project string `json:"project_id"`
}

func (c *Cloud) createReserved(r *http.Request) (reply, error) {
	var req reservedRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	body := object{"links": object{}}
	err := c.begin(func(s *state) ([]*actionRow, error) {
		ip, err := c.reserve(s, &req)
		if err != nil {
			return nil, err
		}
		var begun []*actionRow
		if req.Droplet != 0 {
			a := c.lead(s, ip, typeAssign, req.Droplet)
			begun = append(begun, a)
			id := strconv.Itoa(req.Droplet)
			body["links"] = object{
				"droplets": []object{{"id": req.Droplet, "rel": "droplet", "href": href(r, "/v2/droplets/"+id)}},
				"actions":  []object{{"id": a.ID, "rel": a.Type, "href": href(r, "/v2/actions/"+strconv.Itoa(a.ID))}},
			}
		}
		body["reserved_ip"] = c.reservedView(s, ip)
		return begun, nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusAccepted, body}, nil
}

// reserve adds the address that a request asks for.
func (c *Cloud) reserve(s *state, req *reservedRequest) (*reservedRow, error) {
	if req.Droplet != 0 {
		d := s.Droplets[req.Droplet]
		if d == nil || d.Gone {
			return nil, notFound()
		}
		if err := c.canLead(s, d); err != nil {
			return nil, err
		}
		req.Region = d.Region
	}
	place := c.catalog.region(req.Region)
	if place == nil || !place.Available {
		return nil, unprocessable("region %.40q is not available", req.Region)
	}
	if len(s.ReservedIPs) >= maxReserved {
		return nil, unprocessable("The account has %d reserved IPs, which is the most", maxReserved)
	}
	project, err := s.projectByID(req.Project)
	if err != nil {
		return nil, err
	}
	addr, err := s.nextAddr(c.usable)
	if err != nil {
		return nil, err
	}
	ip := &reservedRow{Addr: addr, Region: place.Slug, Created: c.now()}
	s.ReservedIPs[addr.String()] = ip
	if req.Project != "" {
		s.assign(ip.urn(), project, c.now())
	}
	return ip, nil
}

// canLead tells whether a reserved IP can be led to a droplet.
func (c *Cloud) canLead(s *state, d *dropletRow) error {
	switch {
	case c.busy(d):
		return unprocessable(msgPending)
	case d.Hidden:
		return unprocessable(msgHidden)
	}
	for _, ip := range s.ReservedIPs {
		if ip.Droplet == d.ID {
			return unprocessable("The Droplet has a reserved IP already: %s", ip.Addr)
		}
	}
	return nil
}

// lead begins to lead an address to a droplet, or away from it.
func (c *Cloud) lead(s *state, ip *reservedRow, kind string, droplet int) *actionRow {
	a := s.newErrand(kind, "reserved_ip", ip.Addr.String(), ip.Region, c.now())
	a.Droplet, ip.Pending = droplet, a.ID
	return a
}

func (c *Cloud) deleteReserved(r *http.Request) (reply, error) {
	rep, err := c.writing(http.StatusNoContent, func(s *state) (object, error) {
		ip, err := s.reserved(r)
		if err != nil {
			return nil, err
		}
		return nil, s.dropReserved(ip.Addr.String())
	})
	c.redirect()
	return rep, err
}

func (c *Cloud) actOnReserved(r *http.Request) (reply, error) {
	var req struct {
		Type    string `json:"type"`
		Droplet int    `json:"droplet_id"`
	}
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.errand(http.StatusCreated, func(s *state) (*actionRow, error) {
		ip, err := s.reserved(r)
		switch {
		case err != nil:
			return nil, err
		case ip.Pending != 0:
			return nil, unprocessable(msgReservedPending)
		case req.Type == "unassign" && s.holder(ip) == nil:
			return nil, unprocessable("The reserved IP is not assigned to a Droplet.")
		case req.Type == "unassign":
			return c.lead(s, ip, typeUnassign, ip.Droplet), nil
		case req.Type != "assign":
			return nil, unprocessable("%.40q is no type of action", req.Type)
		}
		d := s.Droplets[req.Droplet]
		switch {
		case d == nil || d.Gone:
			return nil, notFound()
		case d.Region != ip.Region:
			return nil, unprocessable("The reserved IP is in %s, and the Droplet in %s.", ip.Region, d.Region)
		}
		if err := c.canLead(s, d); err != nil {
			return nil, err
		}
		return c.lead(s, ip, typeAssign, d.ID), nil
	})
}

func assignIP(_ *Cloud, s *state, a *actionRow) error {
	ip := s.ReservedIPs[a.Of]
	d := s.Droplets[a.Droplet]
	if ip == nil || d == nil || d.Gone {
		return fmt.Errorf("reserved IP %s or droplet %d is gone", a.Of, a.Droplet)
	}
	ip.Droplet = d.ID
	return nil
}

func unassignIP(_ *Cloud, s *state, a *actionRow) error {
	ip := s.ReservedIPs[a.Of]
	if ip == nil {
		return fmt.Errorf("reserved IP %s is gone", a.Of)
	}
	ip.Droplet = 0
	return nil
}

func (c *Cloud) listReservedActions(r *http.Request) (reply, error) {
	if err := c.read(func(s *state) error { _, err := s.reserved(r); return err }); err != nil {
		return reply{}, err
	}
	return c.actionsWhere(r, about("reserved_ip", r.PathValue("ip")))
}

func (c *Cloud) getReservedAction(r *http.Request) (reply, error) {
	return c.actionWhere(r, about("reserved_ip", r.PathValue("ip")))
}
