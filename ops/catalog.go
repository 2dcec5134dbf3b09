package ops

import (
	"context"
	"math/big"

	"berth"
	"berth/account"
	"berth/billing"
)

// None is the input of an operation that takes none.
type None struct{}

// RegionsOut is what list_regions answers.
type RegionsOut struct {
	Regions []RegionView `json:"regions"`
}

// RegionView is a region as callers see it.
type RegionView struct {
	Slug string `json:"slug" example:"nyc1"`
	Name string `json:"name" example:"New York 1"`
}

// SizesOut is what list_sizes answers.
type SizesOut struct {
	Sizes    []SizeView `json:"sizes"`
	Currency string     `json:"currency" example:"USD"`
}

// SizeView is a size with its prices under the caller's tariff.
type SizeView struct {
	Slug      string       `json:"slug" example:"small"`
	VCPUs     int          `json:"vcpus"`
	MemoryMB  int          `json:"memory_mb"`
	DiskGB    int          `json:"disk_gb"`
	CreateFee berth.Micros `json:"create_fee"`
	Hourly    berth.Micros `json:"hourly"`
	PerMinute string       `json:"per_minute" example:"0.00025" doc:"Exact, or cut to ten decimals; a purchase rounds up once, at its total."`
}

// ImagesOut is what list_images answers.
type ImagesOut struct {
	Images []ImageView `json:"images"`
}

// ImageView is an image as callers see it.
type ImageView struct {
	Slug    string `json:"slug" example:"ubuntu-24-04-x64"`
	Name    string `json:"name" example:"Ubuntu 24.04 LTS"`
	Default bool   `json:"default"`
}

// SnapshotPricingOut is what get_snapshot_pricing answers.
type SnapshotPricingOut struct {
	PerGBDay  berth.Micros `json:"rate_per_gb_day"`
	Minimum   berth.Micros `json:"minimum_charge"`
	FreeHours int          `json:"free_retention_hours"`
	MaxDays   int          `json:"max_days"`
	Currency  string       `json:"currency" example:"USD"`
}

func (s *System) addCatalog() {
	Add(s.table, Op[None, RegionsOut]{
		Name: "list_regions",
		Doc: Doc{
			Title: "List regions", Text: "Regions where servers can be had. Free.", Toolset: "default", Tag: "Catalog",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/catalog/regions", Status: 200}},
		Read:   s.listRegions,
	})
	Add(s.table, Op[None, SizesOut]{
		Name: "list_sizes",
		Doc: Doc{
			Title: "List sizes and prices", Text: "Server sizes with specs, create fee and prices in USD. Free.", Toolset: "default", Tag: "Catalog",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/catalog/sizes", Status: 200}},
		Read:   s.listSizes,
	})
	Add(s.table, Op[None, ImagesOut]{
		Name: "list_images",
		Doc: Doc{
			Title: "List images", Text: "Operating systems a server can start from. Free.", Toolset: "default", Tag: "Catalog",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/catalog/images", Status: 200}},
		Read:   s.listImages,
	})
	Add(s.table, Op[None, SnapshotPricingOut]{
		Name: "get_snapshot_pricing",
		Doc: Doc{
			Title: "Snapshot prices", Text: "What keeping a snapshot beyond its free time costs. Free.", Toolset: "more", Tag: "Catalog",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/catalog/snapshot-pricing", Status: 200}},
		Read:   s.snapshotPricing,
	})
}

func (s *System) listRegions(context.Context, Rx, *Request, None) (RegionsOut, error) {
	var out RegionsOut
	for _, r := range s.catalog.Regions {
		out.Regions = append(out.Regions, RegionView{Slug: r.Slug, Name: r.Name})
	}
	return out, nil
}

func (s *System) listSizes(_ context.Context, _ Rx, r *Request, _ None) (SizesOut, error) {
	out := SizesOut{Currency: "USD"}
	for _, z := range s.catalog.Prices[billing.Native].Sizes {
		v := SizeView{
			Slug: z.Slug, VCPUs: z.Machine.VCPUs, MemoryMB: z.Machine.MemoryMB, DiskGB: z.Machine.DiskGB,
			CreateFee: z.CreateFee, Hourly: z.Rate(r.Principal.Tariff),
		}
		if r.Principal.Tariff == account.Cost {
			v.CreateFee = 0
		}
		v.PerMinute = perMinute(v.Hourly)
		out.Sizes = append(out.Sizes, v)
	}
	return out, nil
}

// perMinute is an hourly rate by the minute, exact where ten decimals suffice.
func perMinute(hourly berth.Micros) string {
	rate := big.NewRat(int64(hourly), int64(berth.Dollar)*60)
	if digits, exact := rate.FloatPrec(); exact {
		return rate.FloatString(digits)
	}
	return rate.FloatString(10)
}

func (s *System) listImages(context.Context, Rx, *Request, None) (ImagesOut, error) {
	var out ImagesOut
	for _, i := range s.catalog.Images {
		out.Images = append(out.Images, ImageView{Slug: i.Slug, Name: i.Name, Default: i.Slug == s.catalog.DefaultImage})
	}
	return out, nil
}

func (s *System) snapshotPricing(_ context.Context, _ Rx, r *Request, _ None) (SnapshotPricingOut, error) {
	l := s.catalog.Prices[billing.Native]
	out := SnapshotPricingOut{
		PerGBDay: l.SnapshotGBDay, Minimum: l.Fees[billing.FeeMinimum],
		FreeHours: int(l.FreeRetention.Hours()), MaxDays: s.catalog.Limits.RetentionDays, Currency: "USD",
	}
	if r.Principal.Tariff == account.Cost {
		out.PerGBDay, out.Minimum = s.catalog.SnapshotGBDayCost, 0
	}
	return out, nil
}

// choices are the catalog's closed lists, for the schemas.
func choices(c *billing.Catalog) Choices {
	out := Choices{}
	for _, r := range c.Regions {
		out["region"] = append(out["region"], r.Slug)
	}
	for _, i := range c.Images {
		out["image"] = append(out["image"], i.Slug)
	}
	for _, z := range c.Prices[billing.Native].Sizes {
		out["size"] = append(out["size"], z.Slug)
	}
	return out
}
