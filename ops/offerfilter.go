package ops

import (
	"slices"
	"strings"

	"berth"
	"berth/billing"
)

// ListOffersIn filters and pages through offers. All filters have to be
// satisfied; one that is left out always is.
type ListOffersIn struct {
	Region        string   `json:"region,omitempty" maxLength:"64" doc:"A region's slug."`
	Country       string   `json:"country,omitempty" maxLength:"2" pattern:"^[A-Za-z]{2}$" patternDescription:"two letters" doc:"ISO code, such as US."`
	Area          string   `json:"area,omitempty" maxLength:"64" doc:"Such as us-east, eu-central."`
	Size          string   `json:"size,omitempty" maxLength:"64"`
	Category      string   `json:"category,omitempty" enum:"compute,memory,storage,general,gpu"`
	MinVCPUs      int      `json:"min_vcpus,omitempty" minimum:"0" maximum:"10000"`
	MinCPUScore   int      `json:"min_cpu_score,omitempty" minimum:"0" maximum:"100000000"`
	CPUScoreType  string   `json:"cpu_score_type,omitempty" enum:"passmark,geekbench_single,geekbench_multi" doc:"The benchmark that scores are of."`
	MinMemoryMB   int      `json:"min_memory_mb,omitempty" minimum:"0" maximum:"100000000"`
	MemoryTypes   []string `json:"memory_types,omitempty" maxItems:"20" doc:"Any of these."`
	MinDiskGB     int      `json:"min_disk_gb,omitempty" minimum:"0" maximum:"1000000"`
	DiskTypes     []string `json:"disk_types,omitempty" maxItems:"20" doc:"Any of these: NVMe, SSD, HDD."`
	MinNetwork    int      `json:"min_network_mbps,omitempty" minimum:"0" maximum:"100000000"`
	MinTransferGB int      `json:"min_transfer_gb,omitempty" minimum:"0" maximum:"1000000000" doc:"A month, included in the price."`
	UnmeteredOnly bool     `json:"unmetered_only,omitempty" doc:"Only where transfer has no bound."`
	GPU           string   `json:"gpu,omitempty" maxLength:"64" doc:"Such as h100-sxm5-80gb."`
	MinGPUs       int      `json:"min_gpus,omitempty" minimum:"0" maximum:"1000"`
	MaxPerDay     string   `json:"max_per_day,omitempty" maxLength:"20" doc:"USD, of the duration that is cheapest by the day."`
	Durations     []int    `json:"durations,omitempty" maxItems:"20" doc:"Days: all of these are offered."`
	FeaturedOnly  bool     `json:"featured_only,omitempty"`
	AvailableOnly bool     `json:"available_only,omitempty" doc:"Only what is known to be to be had now."`
	OfferID       string   `json:"offer_id,omitempty" maxLength:"64"`
	After         string   `json:"after,omitempty" maxLength:"64" pattern:"^(offer_[0-9a-f]{24})?$" patternDescription:"the next of the page before" doc:"The next of the page before, with the same filters."`
	Limit         int      `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// offerFilter is the filters as they are compared.
type offerFilter struct {
	ListOffersIn
	maxPerDay berth.Micros // zero: any
}

// filter reads the filters. A size or a region that the list does not know is an
// error, which lists what it has; so is a malformed amount.
func (in ListOffersIn) filter(l *billing.PriceList) (f offerFilter, err error) {
	f.ListOffersIn = in
	if in.Region != "" {
		if _, err := l.Region(in.Region); err != nil {
			return f, err
		}
	}
	if in.Size != "" {
		if _, err := l.NewSize(in.Size); err != nil {
			return f, err
		}
	}
	f.maxPerDay, err = positiveAmount("max_per_day", in.MaxPerDay)
	return f, err
}

// size tells whether a size can satisfy the filters, in whatever region.
func (f offerFilter) size(z billing.Size, hourly berth.Micros, rentals []billing.RentalPrice) bool {
	if f.Size != "" && f.Size != z.Slug || f.Category != "" && f.Category != z.Machine.Category || f.FeaturedOnly && !z.Machine.Featured {
		return false
	}
	return f.resources(z.Machine) && f.network(z.Machine) && f.prices(hourly, rentals)
}

// resources compares what a machine computes with. What is unknown is at its
// zero, so it satisfies nothing that is asked for.
func (f offerFilter) resources(m billing.Machine) bool {
	switch {
	case m.VCPUs < f.MinVCPUs, m.CPU.Score < f.MinCPUScore, f.CPUScoreType != "" && m.CPU.ScoreType != f.CPUScoreType:
		return false
	case m.MemoryMB < f.MinMemoryMB, !among(f.MemoryTypes, m.MemoryType):
		return false
	case m.DiskGB < f.MinDiskGB, !among(f.DiskTypes, m.DiskType):
		return false
	}
	return m.GPU.Count >= f.MinGPUs && (f.GPU == "" || strings.EqualFold(f.GPU, m.GPU.Name))
}

// network compares a machine's network and transfer. What has no bound is as
// much as anybody wants.
func (f offerFilter) network(m billing.Machine) bool {
	enough := m.Unmetered || m.TransferGB >= f.MinTransferGB
	return enough && m.NetworkMbps >= f.MinNetwork && (m.Unmetered || !f.UnmeteredOnly)
}

// prices compares the durations and the price of a day, which is of the hours
// where nothing is rented by the day.
func (f offerFilter) prices(hourly berth.Micros, rentals []billing.RentalPrice) bool {
	for _, days := range f.Durations {
		if !slices.ContainsFunc(rentals, func(r billing.RentalPrice) bool { return r.Days == days }) {
			return false
		}
	}
	cheapest := hourly * 24
	for _, r := range rentals {
		cheapest = min(cheapest, r.PerDay)
	}
	return f.maxPerDay == 0 || cheapest <= f.maxPerDay
}

// offer tells whether an offer whose size satisfies the filters does so itself.
func (f offerFilter) offer(v OfferView) bool {
	switch {
	case f.OfferID != "" && f.OfferID != string(v.ID), f.Region != "" && f.Region != v.Region.Slug, f.Area != "" && f.Area != v.Region.Area:
		return false
	case f.AvailableOnly && (v.Available == nil || !*v.Available):
		return false
	}
	return f.Country == "" || strings.EqualFold(f.Country, v.Region.Country)
}

// among tells whether a fact is one of those that are wanted, if any are.
func among(wanted []string, fact string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, fact) })
}
