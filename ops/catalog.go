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
	Slug       string       `json:"slug" example:"small"`
	Name       string       `json:"name,omitempty"`
	VCPUs      int          `json:"vcpus"`
	MemoryMB   int          `json:"memory_mb"`
	DiskGB     int          `json:"disk_gb"`
	CreateFee  berth.Micros `json:"create_fee"`
	Hourly     berth.Micros `json:"hourly"`
	PerMinute  string       `json:"per_minute" example:"0.00025" doc:"Exact, or cut to ten decimals; a purchase rounds up once, at its total."`
	ResizeOnly bool         `json:"resize_only,omitempty" doc:"A new server can't have it."`
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

// prices is the price list of the contract that a call came through.
func (s *System) prices(r *Request) *billing.PriceList { return s.catalog.Prices[r.Contract] }

func (s *System) listRegions(_ context.Context, _ Rx, r *Request, _ None) (RegionsOut, error) {
	var out RegionsOut
	for _, sold := range billing.Listed(s.prices(r).Regions) {
		out.Regions = append(out.Regions, RegionView{Slug: sold.Slug, Name: sold.Region.Name})
	}
	return out, nil
}

func (s *System) listSizes(_ context.Context, _ Rx, r *Request, _ None) (SizesOut, error) {
	out := SizesOut{Currency: "USD"}
	for _, z := range billing.Listed(s.prices(r).Sizes) {
		v := SizeView{
			Slug: z.Slug, Name: z.Name, VCPUs: z.Machine.VCPUs, MemoryMB: z.Machine.MemoryMB, DiskGB: z.Machine.DiskGB,
			CreateFee: z.Fee(r.Principal.Tariff), Hourly: z.Rate(r.Principal.Tariff), ResizeOnly: z.ResizeOnly,
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

func (s *System) listImages(_ context.Context, _ Rx, r *Request, _ None) (ImagesOut, error) {
	var out ImagesOut
	l := s.prices(r)
	for _, sold := range billing.Listed(l.Images) {
		out.Images = append(out.Images, ImageView{Slug: sold.Slug, Name: sold.Image.Name, Default: sold.Slug == l.DefaultImage()})
	}
	return out, nil
}

func (s *System) snapshotPricing(_ context.Context, _ Rx, r *Request, _ None) (SnapshotPricingOut, error) {
	l := s.prices(r)
	out := SnapshotPricingOut{
		PerGBDay: l.SnapshotGBDay, Minimum: l.Fees[billing.FeeMinimum],
		FreeHours: int(l.FreeRetention.Hours()), MaxDays: s.catalog.Limits.RetentionDays, Currency: "USD",
	}
	if r.Principal.Tariff == account.Cost {
		out.PerGBDay, out.Minimum = s.catalog.SnapshotGBDayCost, 0
	}
	return out, nil
}

// choices are what the native contract lists, for the schemas.
func choices(c *billing.Catalog) Choices {
	l, out := c.Prices[billing.Native], Choices{}
	for _, r := range billing.Listed(l.Regions) {
		out["region"] = append(out["region"], r.Slug)
	}
	for _, i := range billing.Listed(l.Images) {
		out["image"] = append(out["image"], i.Slug)
	}
	for _, z := range billing.Listed(l.Sizes) {
		out["size"] = append(out["size"], z.Slug)
	}
	return out
}
