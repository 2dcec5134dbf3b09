package ops

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"berth"
	"berth/account"
	"berth/billing"
)

// OffersOut is what list_offers answers.
type OffersOut struct {
	Offers   []OfferView `json:"offers" doc:"The cheapest first."`
	Currency string      `json:"currency" example:"USD"`
	Next     string      `json:"next,omitempty" doc:"Pass as after for the next page."`
}

// Page is what is listed, and where the next page begins.
func (o OffersOut) Page() ([]OfferView, string) { return o.Offers, o.Next }

// OfferView is a size in a region with what it has and costs under the caller's
// tariff. What nobody published is null.
type OfferView struct {
	ID         berth.ID              `json:"id" example:"offer_5f0c7d1e2a3b4c5d6e7f8091" doc:"The same for the same machine and region, always."`
	Region     OfferRegion           `json:"region"`
	Size       string                `json:"size" example:"small"`
	Name       string                `json:"name,omitempty"`
	Category   string                `json:"category" enum:"compute,memory,storage,general,gpu"`
	Featured   bool                  `json:"featured"`
	Popularity *int                  `json:"popularity" doc:"Rank; 1 is the most bought."`
	Specs      OfferSpecs            `json:"specs"`
	CreateFee  berth.Micros          `json:"create_fee"`
	Hourly     berth.Micros          `json:"hourly"`
	Rentals    []billing.RentalPrice `json:"rentals" doc:"Prices for the durations on offer, without the create fee."`
	Available  *bool                 `json:"available" doc:"Null until the provider was asked."`
}

// OfferRegion is where an offer is.
type OfferRegion struct {
	Slug        string `json:"slug" example:"nyc1"`
	Name        string `json:"name" example:"New York 1"`
	City        string `json:"city" example:"New York"`
	State       string `json:"state,omitempty" example:"New York"`
	Country     string `json:"country" example:"US"`
	CountryName string `json:"country_name" example:"United States"`
	Area        string `json:"area" example:"us-east"`
}

// OfferSpecs are what an offer's machine has.
type OfferSpecs struct {
	VCPUs        int       `json:"vcpus"`
	CPUModel     *string   `json:"cpu_model"`
	CPUScore     *int      `json:"cpu_score"`
	CPUScoreType *string   `json:"cpu_score_type"`
	MemoryMB     int       `json:"memory_mb"`
	MemoryType   *string   `json:"memory_type"`
	DiskGB       int       `json:"disk_gb"`
	DiskType     *string   `json:"disk_type" example:"NVMe"`
	TransferGB   *int      `json:"transfer_gb" doc:"Out, a month, included."`
	Unmetered    bool      `json:"unmetered" doc:"Transfer has no bound."`
	NetworkMbps  *int      `json:"network_mbps" doc:"At most."`
	GPU          *OfferGPU `json:"gpu,omitempty" doc:"Left out where there is none."`
}

// OfferGPU is what GPUs an offer's machine has.
type OfferGPU struct {
	Name     string `json:"name" example:"h100-sxm5-80gb"`
	Count    int    `json:"count"`
	MemoryGB int    `json:"memory_gb" doc:"Of each."`
}

func (s *System) addOffers() {
	Add(s.table, Op[ListOffersIn, OffersOut]{
		Name: "list_offers",
		Doc: Doc{
			Title: "Find a server to buy", Toolset: "more", Tag: "Catalog",
			Text:    "Every size in every region, also those that list_sizes and list_regions leave out, GPUs among them: specs, prices, availability; the cheapest that satisfies all filters first. Buy one with create_server's offer_id. What is unknown satisfies no filter. Free.",
			Example: `{"min_vcpus":2,"min_memory_mb":4096,"area":"us-east"}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/offers", Status: 200}},
		Read:   s.listOffers,
	})
}

// offerID is an offer's id: the same in all contracts, whatever they call the
// region and the size. Its digits are the first twelve bytes of the SHA-256 of
// the catalog's "region/machine".
func offerID(region, machine string) berth.ID {
	sum := sha256.Sum256([]byte(region + "/" + machine))
	return berth.ID(berth.PrefixOffer + "_" + hex.EncodeToString(sum[:12]))
}

func (s *System) listOffers(_ context.Context, _ Rx, r *Request, in ListOffersIn) (OffersOut, error) {
	out := OffersOut{Offers: []OfferView{}, Currency: "USD"}
	all, err := s.offers(s.prices(r), r.Principal.Tariff, in)
	if err != nil {
		return out, err
	}
	if in.After != "" {
		i := slices.IndexFunc(all, func(o OfferView) bool { return string(o.ID) == in.After })
		if i < 0 {
			return out, wrongField("after", "no offer of this list")
		}
		all = all[i+1:]
	}
	out.Offers = append(out.Offers, all[:min(len(all), in.Limit)]...)
	if len(all) > in.Limit {
		out.Next = string(out.Offers[in.Limit-1].ID)
	}
	return out, nil
}

// offers are a price list's offers that satisfy all filters, the cheapest first,
// in each size the regions as they are listed.
func (s *System) offers(l *billing.PriceList, t account.Tariff, in ListOffersIn) (list []OfferView, err error) {
	f, err := in.filter(l)
	if err != nil {
		return nil, err
	}
	sizes := l.NewSizes()
	slices.SortStableFunc(sizes, func(a, b billing.Size) int {
		return cmp.Or(cmp.Compare(a.Rate(t), b.Rate(t)), cmp.Compare(a.Machine.VCPUs, b.Machine.VCPUs), cmp.Compare(a.Machine.MemoryMB, b.Machine.MemoryMB))
	})
	stock := s.fleet.Stock(t)
	for _, z := range sizes {
		rentals, err := l.RentalPrices(t, z.Slug)
		if err != nil {
			return nil, err
		}
		if !f.size(z, z.Rate(t), rentals) {
			continue
		}
		for _, sold := range l.Regions {
			v := viewOffer(sold, z, rentals, t)
			if has, known := stock.Has(z, sold.Region); known {
				v.Available = &has
			}
			if f.offer(v) {
				list = append(list, v)
			}
		}
	}
	return list, nil
}

func viewOffer(sold billing.SoldRegion, z billing.Size, rentals []billing.RentalPrice, t account.Tariff) OfferView {
	r, m := sold.Region, z.Machine
	v := OfferView{
		ID: offerID(r.Slug, m.Slug), Size: z.Slug, Name: z.Name, Category: m.Category, Featured: m.Featured, Popularity: known(m.Popularity),
		Region: OfferRegion{
			Slug: sold.Slug, Name: r.Name, City: r.City, State: r.State, Country: r.Country, CountryName: r.CountryName, Area: r.Area,
		},
		Specs: OfferSpecs{
			VCPUs: m.VCPUs, CPUModel: known(m.CPU.Model), CPUScore: known(m.CPU.Score), CPUScoreType: known(m.CPU.ScoreType),
			MemoryMB: m.MemoryMB, MemoryType: known(m.MemoryType), DiskGB: m.DiskGB, DiskType: known(m.DiskType),
			TransferGB: known(m.TransferGB), Unmetered: m.Unmetered, NetworkMbps: known(m.NetworkMbps),
		},
		CreateFee: z.Fee(t), Hourly: z.Rate(t), Rentals: rentals,
	}
	if g := m.GPU; g.Count > 0 {
		v.Specs.GPU = &OfferGPU{Name: g.Name, Count: g.Count, MemoryGB: g.MemoryGB}
	}
	return v
}

// known is a fact of the catalog, where zero stands for what is not known.
func known[T comparable](v T) *T {
	var unknown T
	if v == unknown {
		return nil
	}
	return &v
}

// check refuses an order that does not say what to buy: a size in a region, or an
// offer.
func (in CreateServerIn) check() error {
	switch {
	case in.OfferID != "" && (in.Size != "" || in.Region != ""):
		return wrongField("offer_id", "says size and region already: leave those out")
	case in.OfferID == "" && in.Size == "":
		return wrongField("size", "is required, with region, unless offer_id is given")
	case in.OfferID == "" && in.Region == "":
		return wrongField("region", "is required, with size, unless offer_id is given")
	}
	return nil
}

// chosen is the order with its size and region, which an offer can name instead.
func (s *System) chosen(r *Request, in CreateServerIn) (CreateServerIn, error) {
	if err := in.check(); err != nil || in.OfferID == "" {
		return in, err
	}
	l := s.prices(r)
	for _, z := range l.NewSizes() {
		for _, sold := range l.Regions {
			if string(offerID(sold.RegionSlug, z.MachineSlug)) == in.OfferID {
				in.Size, in.Region = z.Slug, sold.Slug
				return in, nil
			}
		}
	}
	return in, berth.Errorf(berth.NotFound, "there is no offer %s", in.OfferID).Hinted("list_offers shows those there are")
}
