package sandbox

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// rule is what an inbound and an outbound rule have in common. Ports are one
// port, a range such as "8000-9000", or "0", which is all.
type rule struct {
	Protocol string `json:"protocol"`
	Ports    string `json:"ports"`
}

type inboundRule struct {
	rule
	Sources peers `json:"sources"`
}

// outboundRule is kept and shown only: droplets have no way out.
type outboundRule struct {
	rule
	Destinations peers `json:"destinations"`
}

// peers are whom a rule is about.
type peers struct {
	Addresses     []string `json:"addresses,omitempty"`
	Tags          []string `json:"tags,omitempty"`
	Droplets      []int    `json:"droplet_ids,omitempty"`
	LoadBalancers []string `json:"load_balancer_uids,omitempty"`
	Clusters      []string `json:"kubernetes_ids,omitempty"`
}

const allPorts = "0"

func (a inboundRule) same(b inboundRule) bool {
	return a.rule.same(b.rule) && a.Sources.same(b.Sources)
}

func (a outboundRule) same(b outboundRule) bool {
	return a.rule.same(b.rule) && a.Destinations.same(b.Destinations)
}

func (a rule) same(b rule) bool { return a.Protocol == b.Protocol && a.normal() == b.normal() }

// same compares without regard to what is empty and what is absent.
func (p peers) same(q peers) bool {
	return slices.Equal(p.Addresses, q.Addresses) && slices.Equal(p.Tags, q.Tags) && slices.Equal(p.Droplets, q.Droplets) &&
		slices.Equal(p.LoadBalancers, q.LoadBalancers) && slices.Equal(p.Clusters, q.Clusters)
}

func (p peers) nobody() bool {
	return len(p.Addresses)+len(p.Tags)+len(p.Droplets)+len(p.LoadBalancers)+len(p.Clusters) == 0
}

// normal is how a rule's ports are shown.
func (a rule) normal() string {
	if a.Ports == "" || a.Ports == "all" || a.Protocol == "icmp" {
		return allPorts
	}
	return a.Ports
}

// checkRules refuses a firewall with a rule that means nothing, and brings the
// others into the form in which they are shown.
func (f *firewallRow) checkRules() error {
	f.Inbound, f.Outbound = slices.Clone(f.Inbound), slices.Clone(f.Outbound)
	for i := range f.Inbound {
		if err := f.Inbound[i].settle(f.Inbound[i].Sources); err != nil {
			return err
		}
	}
	for i := range f.Outbound {
		if err := f.Outbound[i].settle(f.Outbound[i].Destinations); err != nil {
			return err
		}
	}
	return nil
}

func (a *rule) settle(with peers) error {
	if !slices.Contains([]string{"tcp", "udp", "icmp"}, a.Protocol) {
		return unprocessable("protocol %.40q is invalid: it must be tcp, udp or icmp", a.Protocol)
	}
	a.Ports = a.normal()
	if _, _, ok := a.span(); !ok {
		return unprocessable("ports %.40q is invalid: it must be a port, a range such as 8000-9000, or all", a.Ports)
	}
	if with.nobody() {
		return unprocessable("a rule must have at least one source or destination")
	}
	for _, text := range with.Addresses {
		if _, ok := parseNetwork(text); !ok {
			return unprocessable("address %.80q is invalid: it must be an IP address or a network in CIDR form", text)
		}
	}
	return nil
}

// span is a rule's first and last port.
func (a rule) span() (first, last int, ok bool) {
	if a.Ports == allPorts {
		return 1, 65535, true
	}
	from, to, ranged := strings.Cut(a.Ports, "-")
	if !ranged {
		to = from
	}
	first, err := strconv.Atoi(from)
	if err != nil {
		return 0, 0, false
	}
	last, err = strconv.Atoi(to)
	return first, last, err == nil && 1 <= first && first <= last && last <= 65535
}

// parseNetwork reads an address or a network.
func parseNetwork(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// lets tells whether a firewall lets a TCP connection in. Those from other
// droplets, load balancers and clusters do not occur.
func (f *firewallRow) lets(port int, from netip.Addr) bool {
	return slices.ContainsFunc(f.Inbound, func(a inboundRule) bool {
		first, last, ok := a.span()
		if !ok || a.Protocol != "tcp" || port < first || port > last {
			return false
		}
		return slices.ContainsFunc(a.Sources.Addresses, func(text string) bool {
			p, ok := parseNetwork(text)
			return ok && p.Contains(from)
		})
	})
}

// admits tells whether a droplet's firewalls let a TCP connection in. A droplet
// that no firewall is about takes everything. SSH counts as port 22 wherever this
// machine serves it.
func (c *Cloud) admits(droplet, port int, from netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.state.Droplets[droplet]
	if d == nil || d.Hidden {
		return false
	}
	if port == c.machines.SSHPort() {
		port = 22
	}
	guards := c.state.firewallsOf(d)
	return len(guards) == 0 || slices.ContainsFunc(guards, func(f *firewallRow) bool { return f.lets(port, from) })
}
