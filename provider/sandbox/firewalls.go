package sandbox

import (
	"net/http"
	"regexp"
	"slices"
	"time"
)

// firewallRow is a firewall: what may come in to the droplets that it names, and
// to those that bear one of its tags.
type firewallRow struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Inbound  []inboundRule  `json:"inbound,omitempty"`
	Outbound []outboundRule `json:"outbound,omitempty"`
	Droplets []int          `json:"droplets,omitempty"`
	Tags     []string       `json:"tags,omitempty"`
	Created  time.Time      `json:"created"`
	Applied  time.Time      `json:"applied"` // when the last change takes effect
}

// firewallView is a firewall as the API shows it.
type firewallView struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Status   string         `json:"status"`
	Inbound  []inboundRule  `json:"inbound_rules"`
	Outbound []outboundRule `json:"outbound_rules"`
	Droplets []int          `json:"droplet_ids"`
	Tags     []string       `json:"tags"`
	Created  string         `json:"created_at"`
	Pending  []object       `json:"pending_changes"`
}

const (
	maxFirewalls         = 1000
	dropletsPerFirewall  = 100
	tagsPerFirewall      = 5
	rulesPerFirewall     = 50
	typeFirewall         = "firewall" // the kind of work that Options.Latency is asked about
	firewallWaiting      = "waiting"
	firewallSucceeded    = "succeeded"
	msgFirewallNoRules   = "must have at least one rule"
	msgFirewallDuplicate = "duplicate name"
)

var firewallPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]+$`)

func (c *Cloud) firewallView(s *state, f *firewallRow) firewallView {
	v := firewallView{
		ID: f.ID, Name: f.Name, Status: firewallSucceeded, Inbound: append([]inboundRule{}, f.Inbound...),
		Outbound: append([]outboundRule{}, f.Outbound...), Droplets: append([]int{}, f.Droplets...),
		Tags: orEmpty(f.Tags), Created: timestamp(f.Created), Pending: []object{},
	}
	if c.now().Before(f.Applied) {
		v.Status = firewallWaiting
		for _, id := range f.Droplets {
			v.Pending = append(v.Pending, object{"droplet_id": id, "removing": false, "status": firewallWaiting})
		}
	}
	return v
}

// covers tells whether a firewall is about a droplet.
func (f *firewallRow) covers(d *dropletRow) bool {
	return slices.Contains(f.Droplets, d.ID) || slices.ContainsFunc(f.Tags, func(t string) bool { return slices.Contains(d.Tags, t) })
}

func firewallAge(f *firewallRow) time.Time { return f.Created }

// firewallsOf are the firewalls that are about a droplet, by age.
func (s *state) firewallsOf(d *dropletRow) []*firewallRow {
	return slices.DeleteFunc(byAge(s.Firewalls, firewallAge), func(f *firewallRow) bool { return !f.covers(d) })
}

// firewall is the firewall that the request's path names.
func (s *state) firewall(r *http.Request) (*firewallRow, error) {
	f := s.Firewalls[r.PathValue("firewall")]
	if f == nil {
		return nil, notFound()
	}
	return f, nil
}

func (c *Cloud) listFirewalls(r *http.Request) (reply, error) {
	return listing(c, r, "firewalls", func(s *state) (shown []firewallView, _ error) {
		for _, f := range byAge(s.Firewalls, firewallAge) {
			shown = append(shown, c.firewallView(s, f))
		}
		return shown, nil
	})
}

func (c *Cloud) listDropletFirewalls(r *http.Request) (reply, error) {
	return listing(c, r, "firewalls", func(s *state) (shown []firewallView, _ error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		for _, f := range s.firewallsOf(d) {
			shown = append(shown, c.firewallView(s, f))
		}
		return shown, nil
	})
}

func (c *Cloud) getFirewall(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		f, err := s.firewall(r)
		if err != nil {
			return nil, err
		}
		return object{"firewall": c.firewallView(s, f)}, nil
	})
}

// firewallRequest asks for a firewall, or for a whole new content of one, or
// names what is to be added to one or taken out.
type firewallRequest struct {
	Name     string         `json:"name"`
	Inbound  []inboundRule  `json:"inbound_rules"`
	Outbound []outboundRule `json:"outbound_rules"`
	Droplets []int          `json:"droplet_ids"`
	Tags     []string       `json:"tags"`
}

func (c *Cloud) createFirewall(r *http.Request) (reply, error) {
	var req firewallRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.writing(http.StatusAccepted, func(s *state) (object, error) {
		if len(s.Firewalls) >= maxFirewalls {
			return nil, unprocessable("The account has %d firewalls, which is the most", maxFirewalls)
		}
		f := &firewallRow{ID: newUUID(), Created: c.now()}
		if err := c.replace(s, f, req.row(f)); err != nil {
			return nil, err
		}
		s.Firewalls[f.ID] = f
		return object{"firewall": c.firewallView(s, f)}, nil
	})
}

// row is a firewall with a request's content.
func (req *firewallRequest) row(f *firewallRow) firewallRow {
	return firewallRow{
		ID: f.ID, Created: f.Created, Name: req.Name, Inbound: req.Inbound, Outbound: req.Outbound,
		Droplets: distinct(req.Droplets), Tags: distinct(req.Tags),
	}
}

func (c *Cloud) updateFirewall(r *http.Request) (reply, error) {
	var req firewallRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.writing(http.StatusOK, func(s *state) (object, error) {
		f, err := s.firewall(r)
		if err != nil {
			return nil, err
		}
		if err := c.replace(s, f, req.row(f)); err != nil {
			return nil, err
		}
		return object{"firewall": c.firewallView(s, f)}, nil
	})
}

// replace gives a firewall a new content, if it is a valid one. It counts at
// once; that it is applied is shown after the time that this is to take.
func (c *Cloud) replace(s *state, f *firewallRow, fresh firewallRow) error {
	if err := fresh.check(s); err != nil {
		return err
	}
	fresh.Applied = c.now().Add(c.takes(typeFirewall))
	*f = fresh
	return nil
}

func (f *firewallRow) check(s *state) error {
	switch {
	case len(f.Name) > maxName || !firewallPattern.MatchString(f.Name):
		return unprocessable("name must have 2 to 255 letters, numbers, dashes and periods, the first a letter or number")
	case len(f.Inbound)+len(f.Outbound) == 0:
		return unprocessable(msgFirewallNoRules)
	case len(f.Inbound)+len(f.Outbound) > rulesPerFirewall:
		return unprocessable("a firewall can have %d rules at most", rulesPerFirewall)
	case len(f.Droplets) > dropletsPerFirewall:
		return unprocessable("a firewall can have %d droplets at most; use tags", dropletsPerFirewall)
	case len(f.Tags) > tagsPerFirewall:
		return unprocessable("a firewall can have %d tags at most", tagsPerFirewall)
	}
	for _, other := range s.Firewalls {
		if other.ID != f.ID && other.Name == f.Name {
			return conflict(msgFirewallDuplicate)
		}
	}
	for _, id := range f.Droplets {
		if d := s.Droplets[id]; d == nil || d.Gone {
			return unprocessable("droplet %d does not exist", id)
		}
	}
	for _, t := range f.Tags {
		if s.Tags[t] == nil {
			return unprocessable("tag %.80q does not exist", t)
		}
	}
	return f.checkRules()
}

func (c *Cloud) deleteFirewall(r *http.Request) (reply, error) {
	return c.writing(http.StatusNoContent, func(s *state) (object, error) {
		f, err := s.firewall(r)
		if err != nil {
			return nil, err
		}
		delete(s.Firewalls, f.ID)
		return nil, nil
	})
}

// amend serves what changes a part of a firewall.
func (c *Cloud) amend(r *http.Request, change func(*firewallRow, *firewallRequest)) (reply, error) {
	var req firewallRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.writing(http.StatusNoContent, func(s *state) (object, error) {
		f, err := s.firewall(r)
		if err != nil {
			return nil, err
		}
		fresh := *f
		fresh.Inbound, fresh.Outbound = slices.Clone(f.Inbound), slices.Clone(f.Outbound)
		fresh.Droplets, fresh.Tags = slices.Clone(f.Droplets), slices.Clone(f.Tags)
		change(&fresh, &req)
		return nil, c.replace(s, f, fresh)
	})
}

func (c *Cloud) addFirewallDroplets(r *http.Request) (reply, error) {
	return c.amend(r, func(f *firewallRow, req *firewallRequest) { f.Droplets = distinct(append(f.Droplets, req.Droplets...)) })
}

func (c *Cloud) removeFirewallDroplets(r *http.Request) (reply, error) {
	return c.amend(r, func(f *firewallRow, req *firewallRequest) {
		f.Droplets = slices.DeleteFunc(f.Droplets, func(id int) bool { return slices.Contains(req.Droplets, id) })
	})
}

func (c *Cloud) addFirewallTags(r *http.Request) (reply, error) {
	return c.amend(r, func(f *firewallRow, req *firewallRequest) { f.Tags = distinct(append(f.Tags, req.Tags...)) })
}

func (c *Cloud) removeFirewallTags(r *http.Request) (reply, error) {
	return c.amend(r, func(f *firewallRow, req *firewallRequest) {
		f.Tags = slices.DeleteFunc(f.Tags, func(t string) bool { return slices.Contains(req.Tags, t) })
	})
}

func (c *Cloud) addFirewallRules(r *http.Request) (reply, error) {
	return c.amend(r, func(f *firewallRow, req *firewallRequest) {
		f.Inbound, f.Outbound = append(f.Inbound, req.Inbound...), append(f.Outbound, req.Outbound...)
	})
}

func (c *Cloud) removeFirewallRules(r *http.Request) (reply, error) {
	return c.amend(r, func(f *firewallRow, req *firewallRequest) {
		f.Inbound = slices.DeleteFunc(f.Inbound, func(a inboundRule) bool { return slices.ContainsFunc(req.Inbound, a.same) })
		f.Outbound = slices.DeleteFunc(f.Outbound, func(a outboundRule) bool { return slices.ContainsFunc(req.Outbound, a.same) })
	})
}
