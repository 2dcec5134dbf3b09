package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// vpcRow is a private network in a region. Droplets are shown with an address
// in theirs; the sandbox carries no traffic between them.
type vpcRow struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Region      string       `json:"region"`
	Range       netip.Prefix `json:"range"`
	Default     bool         `json:"default,omitempty"` // of its region
	Created     time.Time    `json:"created"`
}

// vpcView is a VPC as the API shows it.
type vpcView struct {
	ID          string `json:"id"`
	URN         string `json:"urn"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Region      string `json:"region"`
	Range       string `json:"ip_range"`
	Default     bool   `json:"default"`
	Created     string `json:"created_at"`
}

func (v *vpcRow) view() vpcView {
	return vpcView{
		ID: v.ID, URN: urn("vpc", v.ID), Name: v.Name, Description: v.Description, Region: v.Region,
		Range: v.Range.String(), Default: v.Default, Created: timestamp(v.Created),
	}
}

const (
	maxVPCs  = 1000
	vpcBits  = 20 // of a network for which no range is asked
	minRange = 16
	maxRange = 28
)

var vpcPattern = regexp.MustCompile(`^[a-zA-Z0-9\-.]+$`)

// addVPC keeps a new VPC.
func (s *state) addVPC(v *vpcRow) {
	v.ID = newUUID()
	s.VPCs[v.ID] = v
}

// defaultRange is the range of the default VPC of a region, by its number.
func defaultRange(region int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + 2*region), 0, 0}), vpcBits)
}

// defaultVPC is the VPC for droplets in a region that name none, or nil.
func (s *state) defaultVPC(region string) *vpcRow {
	for _, v := range s.VPCs {
		if v.Default && v.Region == region {
			return v
		}
	}
	return nil
}

// vpc is the VPC that the request's path names.
func (s *state) vpc(r *http.Request) (*vpcRow, error) {
	v := s.VPCs[r.PathValue("vpc")]
	if v == nil {
		return nil, notFound()
	}
	return v, nil
}

// vpcFor is the VPC that a request for droplets in a region names, or the
// region's default.
func (s *state) vpcFor(id, region string) (*vpcRow, error) {
	v := s.defaultVPC(region)
	if id != "" {
		v = s.VPCs[id]
	}
	if v == nil || v.Region != region {
		return nil, unprocessable("Failed to resolve VPC")
	}
	return v, nil
}

// freeAddrs are the lowest free addresses of a VPC that are not the network's,
// its gateway's or the broadcast address.
func (s *state) freeAddrs(v *vpcRow, count int) ([]netip.Addr, error) {
	taken := map[netip.Addr]bool{}
	for _, d := range s.Droplets {
		if d.VPC == v.ID {
			taken[d.Private] = true
		}
	}
	var free []netip.Addr
	for a := v.gateway().Next(); v.Range.Contains(a.Next()); a = a.Next() {
		if len(free) == count {
			return free, nil
		}
		if !taken[a] {
			free = append(free, a)
		}
	}
	if len(free) < count {
		return nil, unprocessable("The VPC %s has no free address left", v.Name)
	}
	return free, nil
}

func (v *vpcRow) gateway() netip.Addr { return v.Range.Addr().Next() }

// private is a droplet's network in its VPC, as the API shows it.
func (v *vpcRow) private(d *dropletRow) network {
	return network{d.Private.String(), netmask(v.Range), v.gateway().String(), "private"}
}

func netmask(p netip.Prefix) string {
	bits := ^uint32(0) << (32 - p.Bits())
	return netip.AddrFrom4([4]byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)}).String()
}

// members are the ids of the droplets in a VPC, by age.
func (s *state) members(v *vpcRow) []int {
	var ids []int
	for _, id := range slices.Sorted(maps.Keys(s.Droplets)) {
		if d := s.Droplets[id]; d.VPC == v.ID && !d.Gone {
			ids = append(ids, id)
		}
	}
	return ids
}

// byAge are a map's rows, the oldest first, and by id where they are of an age.
func byAge[T any](rows map[string]*T, created func(*T) time.Time) []*T {
	ids := slices.SortedFunc(maps.Keys(rows), func(a, b string) int {
		return cmp.Or(created(rows[a]).Compare(created(rows[b])), cmp.Compare(a, b))
	})
	all := make([]*T, len(ids))
	for i, id := range ids {
		all[i] = rows[id]
	}
	return all
}

func (c *Cloud) listVPCs(r *http.Request) (reply, error) {
	return listing(c, r, "vpcs", func(s *state) (shown []vpcView, _ error) {
		for _, v := range byAge(s.VPCs, func(v *vpcRow) time.Time { return v.Created }) {
			shown = append(shown, v.view())
		}
		return shown, nil
	})
}

func (c *Cloud) getVPC(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		v, err := s.vpc(r)
		if err != nil {
			return nil, err
		}
		return object{"vpc": v.view()}, nil
	})
}

// vpcRequest asks for a VPC, or for changes in one.
type vpcRequest struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Region      string  `json:"region"`
	Range       string  `json:"ip_range"`
	Default     bool    `json:"default"`
}

func (c *Cloud) createVPC(r *http.Request) (reply, error) {
	var req vpcRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	if req.Name == nil {
		return reply{}, unprocessable("Name can't be blank")
	}
	if place := c.catalog.region(req.Region); place == nil || !place.Available {
		return reply{}, unprocessable("Region %.40q is not available", req.Region)
	}
	return c.writing(http.StatusCreated, func(s *state) (object, error) {
		v := &vpcRow{Region: req.Region, Created: c.now()}
		ip, err := s.rangeFor(req.Range)
		if err != nil {
			return nil, err
		}
		v.Range = ip
		if len(s.VPCs) >= maxVPCs {
			return nil, unprocessable("The account has %d VPCs, which is the most", maxVPCs)
		}
		if err := req.change(s, v); err != nil {
			return nil, err
		}
		s.addVPC(v)
		return object{"vpc": v.view()}, nil
	})
}

// change takes over a request's name and description, or nothing.
func (req *vpcRequest) change(s *state, v *vpcRow) error {
	name, description := v.Name, v.Description
	if req.Name != nil {
		name = *req.Name
	}
	if req.Description != nil {
		description = *req.Description
	}
	switch {
	case len(name) > maxName || !vpcPattern.MatchString(name):
		return unprocessable("Name must have 1 to 255 letters, numbers, dashes and periods")
	case len(description) > maxName:
		return unprocessable("Description is too long (maximum is %d characters)", maxName)
	}
	for _, other := range s.VPCs {
		if other.ID != v.ID && other.Name == name {
			return unprocessable("A VPC with the name %s exists already", name)
		}
	}
	v.Name, v.Description = name, description
	return nil
}

// rangeFor is the range asked for, if no other VPC has it, or else a free one.
func (s *state) rangeFor(asked string) (netip.Prefix, error) {
	if asked == "" {
		return s.freeRange()
	}
	p, err := netip.ParsePrefix(asked)
	switch {
	case err != nil || !p.Addr().Is4() || p != p.Masked() || !p.Addr().IsPrivate():
		return p, unprocessable("ip_range must be a private IPv4 network, such as 10.10.10.0/24")
	case p.Bits() < minRange || p.Bits() > maxRange:
		return p, unprocessable("ip_range must have a prefix between /%d and /%d", minRange, maxRange)
	}
	if v := s.overlapping(p); v != nil {
		return p, unprocessable("This range/size overlaps with another VPC network in your account: %s", v.Range)
	}
	return p, nil
}

func (s *state) freeRange() (netip.Prefix, error) {
	for n := range 256 * 16 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 4), byte(n << 4), 0}), vpcBits)
		if s.overlapping(p) == nil {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no range of 10.0.0.0/8 is free")
}

func (s *state) overlapping(p netip.Prefix) *vpcRow {
	for _, v := range s.VPCs {
		if v.Range.Overlaps(p) {
			return v
		}
	}
	return nil
}

// updateVPC serves PUT and PATCH: neither takes away what it does not name.
func (c *Cloud) updateVPC(r *http.Request) (reply, error) {
	var req vpcRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.writing(http.StatusOK, func(s *state) (object, error) {
		v, err := s.vpc(r)
		if err != nil {
			return nil, err
		}
		if err := req.change(s, v); err != nil {
			return nil, err
		}
		if req.Default && !v.Default {
			s.defaultVPC(v.Region).Default = false
			v.Default = true
		}
		return object{"vpc": v.view()}, nil
	})
}

func (c *Cloud) deleteVPC(r *http.Request) (reply, error) {
	return c.writing(http.StatusNoContent, func(s *state) (object, error) {
		v, err := s.vpc(r)
		switch {
		case err != nil:
			return nil, err
		case v.Default:
			return nil, forbidden("Can not delete default VPCs")
		case len(s.members(v)) > 0:
			return nil, conflict("Can not delete VPC with members")
		}
		delete(s.VPCs, v.ID)
		return nil, nil
	})
}

// memberView is what is in a VPC.
type memberView struct {
	URN     string `json:"urn"`
	Name    string `json:"name"`
	Created string `json:"created_at"`
}

func (c *Cloud) listVPCMembers(r *http.Request) (reply, error) {
	kind := r.URL.Query().Get("resource_type")
	return listing(c, r, "members", func(s *state) (shown []memberView, _ error) {
		v, err := s.vpc(r)
		if err != nil {
			return nil, err
		}
		for _, id := range s.members(v) {
			if kind == "" || kind == "droplet" {
				d := s.Droplets[id]
				shown = append(shown, memberView{urn("droplet", strconv.Itoa(id)), d.Name, timestamp(d.Created)})
			}
		}
		return shown, nil
	})
}
