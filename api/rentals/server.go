package rentals

import (
	"fmt"
	"strconv"

	"berth"
	"berth/api"
	"berth/ops"
)

// Server is a server with where it is and what it has. What nobody published is
// null.
type Server struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Country    *string `json:"country"`
	Region     *string `json:"region"`
	City       *string `json:"city"`
	Datacenter *string `json:"datacenter"`
	Model      *string `json:"model"`
	VM         bool    `json:"is_vm"`
	Specs      *specs  `json:"specs"`
}

// offer is a server that can be rented.
type offer struct {
	Server
	Category   string  `json:"category" enum:"compute,memory,storage,general,gpu"`
	Featured   bool    `json:"featured"`
	Popularity *int    `json:"popularity_rank"`
	Setup      *int    `json:"setup_time_minutes" doc:"Null: nobody measured it."`
	Pricing    pricing `json:"pricing"`
}

// pricing is what a server costs in USD, by the number of days.
type pricing struct {
	Prices map[string]berth.Micros `json:"prices" doc:"For all days together."`
	Tiers  map[string]berth.Micros `json:"price_tiers" doc:"For each day."`
}

type specs struct {
	CPU        cpu        `json:"cpu"`
	RAM        ram        `json:"ram"`
	Disks      disks      `json:"disks"`
	Network    network    `json:"network"`
	Additional additional `json:"additional"`
}

type cpu struct {
	Model     *string `json:"model"`
	Cores     int     `json:"cores" doc:"Virtual ones."`
	Threads   *int    `json:"threads"`
	Score     *int    `json:"score"`
	ScoreType *string `json:"score_type" enum:"passmark,geekbench_single,geekbench_multi"`
}

type ram struct {
	Capacity float64 `json:"capacity_gb"`
	Type     *string `json:"type"`
	Speed    *int    `json:"speed_mhz"`
}

type disks struct {
	Config  []disk `json:"config"`
	Total   int    `json:"total_gb"`
	Summary string `json:"summary"`
}

type disk struct {
	Count     int     `json:"count"`
	Capacity  int     `json:"capacity_gb"`
	Type      *string `json:"type"`
	Interface *string `json:"interface"`
}

type network struct {
	Mbps      *int     `json:"bandwidth_mbps"`
	Formatted *string  `json:"bandwidth_formatted"`
	TrafficTB *float64 `json:"traffic_tb" doc:"A month."`
	Unlimited bool     `json:"traffic_unlimited"`
}

// additional is what every server of Berth's has.
type additional struct {
	IPv4 int  `json:"ipv4_count"`
	IPv6 bool `json:"ipv6_enabled"`
}

func viewOffer(o ops.OfferView) offer {
	v := offer{
		Server: place(o, o.Specs.DiskGB), Category: o.Category, Featured: o.Featured, Popularity: o.Popularity,
		Pricing: pricing{map[string]berth.Micros{}, map[string]berth.Micros{}},
	}
	v.ID, v.Name = digits(o.ID), o.Size+"-"+o.Region.Slug
	for _, r := range o.Rentals {
		days := strconv.Itoa(r.Days)
		v.Pricing.Prices[days], v.Pricing.Tiers[days] = o.CreateFee+r.Price, r.PerDay
	}
	return v
}

// place is where an offer's servers are and what they have, with that much disk.
func place(o ops.OfferView, diskGB int) Server {
	at := o.Region
	return Server{
		Country: &at.Country, Region: &at.Area, City: &at.City, Datacenter: &at.Slug, Model: o.Specs.CPUModel, VM: true,
		Specs: viewSpecs(o.Specs, diskGB),
	}
}

func viewSpecs(s ops.OfferSpecs, diskGB int) *specs {
	v := specs{
		CPU:   cpu{Model: s.CPUModel, Cores: s.VCPUs, Score: s.CPUScore, ScoreType: s.CPUScoreType},
		RAM:   ram{Capacity: float64(s.MemoryMB) / mbPerGB, Type: s.MemoryType},
		Disks: disks{Config: []disk{{Count: 1, Capacity: diskGB, Type: s.DiskType}}, Total: diskGB, Summary: "1x" + scaled(diskGB, "GB", "TB")},

		Network:    network{Mbps: s.NetworkMbps, Unlimited: s.Unmetered},
		Additional: additional{IPv4: 1},
	}
	if s.DiskType != nil {
		v.Disks.Summary += " " + *s.DiskType
	}
	if s.TransferGB != nil {
		tb := float64(*s.TransferGB) / gbPerTB
		v.Network.TrafficTB = &tb
	}
	if s.NetworkMbps != nil {
		text := scaled(*s.NetworkMbps, " Mbps", " Gbps")
		v.Network.Formatted = &text
	}
	return &v
}

// scaled is a number with its unit, from a thousand on with the next larger one.
func scaled(n int, unit, thousands string) string {
	if n < 1000 {
		return fmt.Sprint(n, unit)
	}
	return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) + thousands
}

// machines are the offers of rented servers that a request has looked up, by size
// and region.
type machines map[[2]string]ops.OfferView

// server is a rented server. Where nothing like it is sold any more, nothing but
// its name is known.
func (m machines) server(x *api.Exchange, v ops.ServerView) (Server, error) {
	key := [2]string{v.Size, v.Region}
	o, looked := m[key]
	if !looked {
		found, err := api.Run[ops.OffersOut](x, "list_offers", map[string]any{"size": v.Size, "region": v.Region, "limit": 1})
		if code := berth.CodeOf(err); err != nil && code != berth.UnknownSize && code != berth.UnknownRegion {
			return Server{}, err
		}
		if len(found.Offers) > 0 {
			o = found.Offers[0]
		}
		m[key] = o
	}
	s := Server{VM: true}
	if o.ID != "" {
		s = place(o, v.DiskGB)
	}
	s.ID, s.Name = digits(v.ID), v.Label
	return s, nil
}
