package rentals_test

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"berth"
	"berth/billing"
)

// offered is an offer as a client reads it.
type offered struct {
	ID, Name, Country, Region, City, Datacenter, Category string
	Model                                                 *string
	VM                                                    *bool `json:"is_vm"`
	Featured                                              bool
	Popularity                                            *int `json:"popularity_rank"`
	Setup                                                 *int `json:"setup_time_minutes"`
	Pricing                                               struct {
		Prices map[string]string
		Tiers  map[string]string `json:"price_tiers"`
	}
	Specs struct {
		CPU struct {
			Model          *string
			Cores          int
			Threads, Score *int
			ScoreType      *string `json:"score_type"`
		}
		RAM struct {
			Capacity float64 `json:"capacity_gb"`
			Type     *string
			Speed    *int `json:"speed_mhz"`
		}
		Disks struct {
			Config []struct {
				Count     int
				Capacity  int `json:"capacity_gb"`
				Type      *string
				Interface *string
			}
			Total   int `json:"total_gb"`
			Summary string
		}
		Network struct {
			Mbps      *int     `json:"bandwidth_mbps"`
			Formatted *string  `json:"bandwidth_formatted"`
			Traffic   *float64 `json:"traffic_tb"`
			Unlimited bool     `json:"traffic_unlimited"`
		}
		Additional struct {
			IPv4 int  `json:"ipv4_count"`
			IPv6 bool `json:"ipv6_enabled"`
		}
	}
}

// cheapest is the price of a day of the duration that is cheapest by the day.
func (o offered) cheapest(t *testing.T) berth.Micros {
	t.Helper()
	least := berth.Micros(math.MaxInt64)
	for _, text := range o.Pricing.Tiers {
		m, err := berth.ParseMicros(text)
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, m)
	}
	return least
}

// informed is a catalog that knows more of one machine than is published.
func informed() *billing.Catalog {
	c := billing.DefaultCatalog()
	l := c.Prices[billing.Rentals]
	i := slices.IndexFunc(l.Sizes, func(s billing.Size) bool { return s.Slug == "gd-2vcpu-8gb" })
	m := &l.Sizes[i].Machine
	m.CPU = billing.CPU{Model: "EPYC", Score: 5000, ScoreType: "passmark"}
	m.MemoryType, m.Unmetered, m.TransferGB, m.Popularity = "DDR5 ECC", true, 0, 1
	return c
}

// TestFilters holds what each of the sixteen filters leaves against what it says
// about everything that there is.
func TestFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sell(informed())
	p := r.Principal()
	var all []offered
	r.must(p, "GET", "/servers/available", nil, http.StatusOK, &all)
	if want := len(r.Catalog.Machines) * len(r.Catalog.Regions); len(all) != want {
		t.Errorf("%d offers, want %d", len(all), want)
	}
	any := func(offered) bool { return true }
	none := func(offered) bool { return false }
	typed := func(o offered) bool { return o.Specs.RAM.Type != nil }
	nvme := func(o offered) bool { return *o.Specs.Disks.Config[0].Type == "NVMe" }
	for query, ok := range map[string]func(offered) bool{
		"country=DE":            func(o offered) bool { return o.Country == "DE" },
		"region=us-east":        func(o offered) bool { return o.Region == "us-east" },
		"region=moon":           none,
		"max_price_per_day=1.5": func(o offered) bool { return o.cheapest(t) <= 1_500_000 },
		"max_price_per_day=0":   none,
		"available_durations=1&available_durations=30":     any,
		"available_durations[]=1&available_durations[]=14": none,
		"available_durations=1,7":                          any,
		"available_durations=[1,2]":                        none,
		"min_cpu_cores=16":                                 func(o offered) bool { return o.Specs.CPU.Cores >= 16 },
		"min_cpu_cores=1.5":                                func(o offered) bool { return o.Specs.CPU.Cores >= 2 },
		"min_cpu_score=5000":                               func(o offered) bool { return o.Specs.CPU.Score != nil },
		"min_cpu_score=5000.5":                             none,
		"cpu_score_type=passmark&min_cpu_score=1":          func(o offered) bool { return o.Specs.CPU.Score != nil },
		"cpu_score_type=geekbench_multi":                   none,
		"min_ram_gb=64":                                    func(o offered) bool { return o.Specs.RAM.Capacity >= 64 },
		"min_ram_gb=0.75":                                  func(o offered) bool { return o.Specs.RAM.Capacity >= 1 },
		"ram_types=ddr4,DDR5%20ECC":                        typed,
		`ram_types=["ddr5 ecc"]`:                           typed,
		"ram_types=DDR3":                                   none,
		"min_total_storage_gb=1000":                        func(o offered) bool { return o.Specs.Disks.Total >= 1000 },
		"disk_types=nvme":                                  nvme,
		"disk_types[0]=NVMe&disk_types[1]=HDD":             nvme,
		"min_bandwidth_mbps=2001":                          func(o offered) bool { return o.Specs.Network.Mbps != nil && *o.Specs.Network.Mbps > 2000 },
		"min_traffic_tb=9":                                 func(o offered) bool { return o.Specs.Network.Unlimited || *o.Specs.Network.Traffic >= 9 },
		"unlimited_traffic_only=true":                      func(o offered) bool { return o.Specs.Network.Unlimited },
		"unlimited_traffic_only=false":                     any,
		"category=storage":                                 func(o offered) bool { return o.Category == "storage" },
		"featured_only=true":                               func(o offered) bool { return o.Featured },
		"country=&category=&ram_types=":                    any,
		"country=us&max_price_per_day=15&min_cpu_cores=4&min_ram_gb=8&disk_types=SSD&category=general&available_durations=7": func(o offered) bool {
			return o.Country == "US" && o.cheapest(t) <= 15*berth.Dollar && o.Specs.CPU.Cores >= 4 && o.Specs.RAM.Capacity >= 8 && !nvme(o) && o.Category == "general"
		},
	} {
		t.Run(query, func(t *testing.T) {
			var got []offered
			r.must(p, "GET", "/servers/available?"+strings.ReplaceAll(query, " ", "%20"), nil, http.StatusOK, &got)
			want := slices.DeleteFunc(slices.Clone(all), func(o offered) bool { return !ok(o) })
			if !slices.EqualFunc(got, want, func(a, b offered) bool { return a.ID == b.ID }) {
				t.Errorf("%d offers, want %d", len(got), len(want))
			}
		})
	}
	for _, query := range []string{
		"country=Germany", "min_cpu_cores=many", "min_cpu_cores=-1", "cpu_score_type=mine", "category=other", "featured_only=perhaps", "max_price_per_day=-1",
		"available_durations=week", "country=US&country=DE", "colour=red", "min_ram_gb=%zz",
	} {
		r.must(p, "GET", "/servers/available?"+query, nil, http.StatusBadRequest, nil)
	}
}

// TestOffersShowWhatIsKnown reads one offer whole: what nobody published is null.
func TestOffersShowWhatIsKnown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sell(informed())
	find := func(name string) (o offered) {
		var all []offered
		r.must(r.Principal(), "GET", "/servers/available", nil, http.StatusOK, &all)
		for _, o := range all {
			if o.Name == name {
				return o
			}
		}
		t.Fatalf("there is no %s", name)
		return o
	}
	o := find("s-1vcpu-1gb-nyc1")
	if len(o.ID) != 24 || o.Country != "US" || o.Region != "us-east" || o.City != "New York" || o.Datacenter != "nyc1" || o.VM == nil || !*o.VM || o.Category != "general" || !o.Featured {
		t.Errorf("got %+v", o)
	}
	if o.Model != nil || o.Popularity != nil || o.Setup != nil || o.Specs.CPU.Threads != nil || o.Specs.CPU.Score != nil || o.Specs.RAM.Type != nil || o.Specs.RAM.Speed != nil {
		t.Errorf("facts that nobody published: %+v", o)
	}
	s := o.Specs
	if s.CPU.Cores != 1 || s.RAM.Capacity != 1 || s.Disks.Total != 25 || len(s.Disks.Config) != 1 || s.Disks.Config[0].Capacity != 25 || s.Disks.Summary != "1x25GB SSD" {
		t.Errorf("specs %+v", s)
	}
	if *s.Network.Mbps != 2000 || *s.Network.Formatted != "2 Gbps" || *s.Network.Traffic != 1 || s.Network.Unlimited || s.Additional.IPv4 != 1 || s.Additional.IPv6 {
		t.Errorf("network %+v", s.Network)
	}
	// 0.00893 and 34 percent make 0.011967 an hour, after rounding up.
	if got := o.Pricing; got.Prices["1"] != "0.287208" || got.Prices["7"] != "1.909934" || got.Tiers["7"] != "0.272848" || len(got.Prices) != 3 || len(got.Tiers) != 3 {
		t.Errorf("pricing %+v", got)
	}
	o = find("gd-2vcpu-8gb-fra1")
	if *o.Model != "EPYC" || *o.Popularity != 1 || *o.Specs.CPU.Score != 5000 || *o.Specs.RAM.Type != "DDR5 ECC" || !o.Specs.Network.Unlimited || o.Specs.Network.Traffic != nil {
		t.Errorf("got %+v", o)
	}
	if o = find("so-8vcpu-64gb-fra1"); o.Specs.Disks.Summary != "1x1.2TB NVMe" {
		t.Errorf("disks %+v", o.Specs.Disks)
	}
}

// TestSoldOut: what the provider does not have is not shown.
func TestSoldOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.Fleet.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []offered
	r.must(r.Principal(), "GET", "/servers/available", nil, http.StatusOK, &all)
	if most := len(r.Catalog.Machines) * len(r.Catalog.Regions); len(all) == 0 || len(all) >= most {
		t.Errorf("%d of %d are to be had", len(all), most)
	}
	p := r.Principal()
	r.must(p, "POST", "/servers/"+all[0].ID+"/rent", in{"rental_days": 1}, http.StatusCreated, nil)
	r.Settle()
}
