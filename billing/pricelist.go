package billing

import (
	"slices"
	"time"

	"berth"
	"berth/account"
)

// PriceLists are the prices of the ways to sell, one list for each contract.
type PriceLists map[Contract]*PriceList

// PriceList is what one contract offers and charges.
type PriceList struct {
	// Servers is how many may live at once, where the principal has no limit of
	// its own: 1 to 10000.
	Servers int `yaml:"servers"`
	// PayPerCall says that each call is paid by itself: the wallet that signs the
	// payment is who calls, and no balance pays.
	PayPerCall bool `yaml:"pay_per_call"`
	// PerMinute is how many calls of each account the contract takes in a minute,
	// up to 1000000; 0: no limit of its own.
	PerMinute int `yaml:"per_minute"`
	// History is how long servers that have ended can be looked at through the
	// contract; 0 for ever.
	History time.Duration `yaml:"history"`
	// Margin is by how many percent each price must lie above the provider's
	// cost, with the longest discount taken off: 0 to 1000.
	Margin int `yaml:"margin"`

	Regions       []SoldRegion         `yaml:"regions"`         // left out: all of the catalog
	Images        []SoldImage          `yaml:"images"`          // the first is the default; left out: all of the catalog
	Sizes         []Size               `yaml:"sizes"`           // once loaded, with those that Rates makes
	Rates         *Rates               `yaml:"rates"`           // nil: only Sizes are sold
	SnapshotGBDay berth.Micros         `yaml:"snapshot_gb_day"` // for keeping 10^9 bytes for a day
	FreeRetention time.Duration        `yaml:"free_retention"`  // how long snapshots are kept for nothing
	Fees          map[Fee]berth.Micros `yaml:"fees"`
	Leases        Leases               `yaml:"leases"`

	catalog *Catalog // that it belongs to
}

// SoldRegion is a region of the catalog under a price list's name.
type SoldRegion struct {
	Slug       string `yaml:"slug"`
	RegionSlug string `yaml:"region"`   // the catalog's; left out: the same
	Unlisted   bool   `yaml:"unlisted"` // sold, but not shown in lists

	Region Region `yaml:"-"` // the region that RegionSlug names
}

// SoldImage is an image of the catalog under a price list's name.
type SoldImage struct {
	Slug      string `yaml:"slug"`
	ImageSlug string `yaml:"image"`    // the catalog's; left out: the same
	Unlisted  bool   `yaml:"unlisted"` // sold, but not shown in lists

	Image Image `yaml:"-"` // the image that ImageSlug names
}

// Size is a kind of server.
type Size struct {
	Slug        string       `yaml:"slug"`
	Name        string       `yaml:"name"` // for people; may be empty
	MachineSlug string       `yaml:"machine"`
	CreateFee   berth.Micros `yaml:"create_fee"`
	Hourly      berth.Micros `yaml:"hourly"`
	Unlisted    bool         `yaml:"unlisted"`    // sold, but not shown in lists
	ResizeOnly  bool         `yaml:"resize_only"` // no server starts with it, but one can be resized to it

	Machine Machine `yaml:"-"` // the machine that MachineSlug names
}

// Rate is what an hour of the size costs under a tariff.
func (s Size) Rate(t account.Tariff) berth.Micros {
	if t == account.Cost {
		return s.Machine.HourlyCost
	}
	return s.Hourly
}

// Fee is what a new server of the size costs beside its time, under a tariff.
func (s Size) Fee(t account.Tariff) berth.Micros {
	if t == account.Cost {
		return 0
	}
	return s.CreateFee
}

// Region is the catalog's region that the list calls so, or
// berth.UnknownRegion with a hint that lists the list's own names.
func (l *PriceList) Region(name string) (Region, error) {
	r, err := find(l.Regions, name, berth.UnknownRegion, "region")
	return r.Region, err
}

// RegionName is what the list calls a region of the catalog; the catalog's own
// slug for a region that it does not sell any more.
func (l *PriceList) RegionName(slug string) string {
	for _, r := range l.Regions {
		if r.RegionSlug == slug {
			return r.Slug
		}
	}
	return slug
}

// Image is the catalog's image that the list calls so, the list's first for an
// empty name, or berth.UnknownImage with a hint that lists the list's own names.
func (l *PriceList) Image(name string) (Image, error) {
	if name == "" {
		name = l.DefaultImage()
	}
	i, err := find(l.Images, name, berth.UnknownImage, "image")
	return i.Image, err
}

// DefaultImage is the list's name for the image of a server for which none is
// named.
func (l *PriceList) DefaultImage() string { return l.Images[0].Slug }

// ImageName is what the list calls an image of the catalog; the catalog's own
// slug for an image that it does not sell any more.
func (l *PriceList) ImageName(slug string) string {
	for _, i := range l.Images {
		if i.ImageSlug == slug {
			return i.Slug
		}
	}
	return slug
}

// Size is the size with that slug, or berth.UnknownSize with a hint that lists
// those there are.
func (l *PriceList) Size(slug string) (Size, error) {
	return find(l.Sizes, slug, berth.UnknownSize, "size")
}

// NewSize is the size with that slug for a new server, or berth.UnknownSize with
// a hint that lists those that a new server can have.
func (l *PriceList) NewSize(slug string) (Size, error) {
	return find(l.NewSizes(), slug, berth.UnknownSize, "size for a new server")
}

// NewSizes are the sizes that a new server can have.
func (l *PriceList) NewSizes() []Size {
	return slices.DeleteFunc(slices.Clone(l.Sizes), func(s Size) bool { return s.ResizeOnly })
}

// Listed are the entries that lists show.
func Listed[T entry](entries []T) []T {
	return slices.DeleteFunc(slices.Clone(entries), T.hidden)
}
