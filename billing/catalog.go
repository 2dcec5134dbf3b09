package billing

import (
	"regexp"
	"strings"
	"time"

	"berth"
	"berth/account"
)

// Catalog is what Berth sells, where, and at which prices. It does not change
// once loaded and may be read concurrently.
type Catalog struct {
	Regions           []Region      `yaml:"regions"`
	DefaultImage      string        `yaml:"default_image"` // of a server for which none is named
	Images            []Image       `yaml:"images"`
	Machines          []Machine     `yaml:"machines"`
	SnapshotGBDayCost berth.Micros  `yaml:"snapshot_gb_day_cost"` // what the provider takes
	Prices            PriceLists    `yaml:"price_lists"`
	Limits            Limits        `yaml:"limits"`
	QuoteLifetime     time.Duration `yaml:"quote_lifetime"` // how long a quote is honoured
	TopUp             TopUp         `yaml:"top_up"`
}

// Region is a place where servers can be had.
type Region struct {
	Slug     string `yaml:"slug"`
	Name     string `yaml:"name"`
	Provider string `yaml:"provider"` // the provider's slug
}

// Image is an operating system that a server can start from.
type Image struct {
	Slug     string `yaml:"slug"`
	Name     string `yaml:"name"`
	Provider string `yaml:"provider"` // the provider's slug
}

// Machine is what the provider sells, under its slug, and what it takes for it.
type Machine struct {
	Slug       string       `yaml:"slug"`
	VCPUs      int          `yaml:"vcpus"`
	MemoryMB   int          `yaml:"memory_mb"`
	DiskGB     int          `yaml:"disk_gb"`
	HourlyCost berth.Micros `yaml:"hourly_cost"`
}

// PriceLists are the prices of the ways to sell, one list for each contract.
type PriceLists map[Contract]*PriceList

// PriceList is what one contract charges.
type PriceList struct {
	Servers int `yaml:"servers"` // live at once, where the principal has no limit of its own
	// PayPerCall says that each call is paid by itself: the wallet that signs the
	// payment is who calls, and no balance pays.
	PayPerCall    bool                 `yaml:"pay_per_call"`
	PerMinute     int                  `yaml:"per_minute"` // calls of each account through the contract; 0: no limit of its own
	Sizes         []Size               `yaml:"sizes"`
	SnapshotGBDay berth.Micros         `yaml:"snapshot_gb_day"` // for keeping 10^9 bytes for a day
	FreeRetention time.Duration        `yaml:"free_retention"`  // how long snapshots are kept for nothing
	Fees          map[Fee]berth.Micros `yaml:"fees"`
	Leases        Leases               `yaml:"leases"`

	catalog *Catalog // that it belongs to
}

// Size is a kind of server.
type Size struct {
	Slug        string       `yaml:"slug"`
	MachineSlug string       `yaml:"machine"`
	CreateFee   berth.Micros `yaml:"create_fee"`
	Hourly      berth.Micros `yaml:"hourly"`

	Machine Machine `yaml:"-"` // the machine that MachineSlug names
}

// Rate is what an hour of the size costs under a tariff.
func (s Size) Rate(t account.Tariff) berth.Micros {
	if t == account.Cost {
		return s.Machine.HourlyCost
	}
	return s.Hourly
}

// Limits are what one account may have, and how much one call may ask for.
type Limits struct {
	Snapshots     int    `yaml:"snapshots"`
	Keys          int    `yaml:"keys"`
	KeysPerServer int    `yaml:"keys_per_server"`
	Minutes       int    `yaml:"minutes"`         // in one purchase or extension
	RetentionDays int    `yaml:"retention_days"`  // in one extension
	UserDataBytes int    `yaml:"user_data_bytes"` // of first-boot data
	LabelPattern  string `yaml:"label_pattern"`   // of a server's label

	label *regexp.Regexp
}

// CheckLabel refuses a server's label that does not match the pattern.
func (l Limits) CheckLabel(label string) error {
	if l.label.MatchString(label) {
		return nil
	}
	return invalid("label", "does not match %s", l.LabelPattern)
}

// Fee names a fixed amount in a price list.
type Fee string

// The fees.
const (
	FeeMinimum  Fee = "minimum" // the least that an extension of time or retention is charged
	FeeReboot   Fee = "reboot"
	FeePower    Fee = "power"
	FeeResize   Fee = "resize"
	FeeRebuild  Fee = "rebuild"
	FeeKey      Fee = "key"
	FeeSnapshot Fee = "snapshot"
	FeeBackup   Fee = "backup" // a snapshot that is kept for longer

	FeeRead      Fee = "read" // each call that only reads what is the caller's
	FeeDestroy   Fee = "destroy"
	FeeRemoveKey Fee = "remove_key"
)

var fees = []Fee{
	FeeMinimum, FeeReboot, FeePower, FeeResize, FeeRebuild, FeeKey, FeeSnapshot, FeeBackup,
	FeeRead, FeeDestroy, FeeRemoveKey,
}

// Region is the region with that slug, or berth.UnknownRegion with a hint that
// lists those there are.
func (c *Catalog) Region(slug string) (Region, error) {
	return find(c.Regions, slug, berth.UnknownRegion, "region")
}

// Image is the image with that slug, the default one for an empty slug, or
// berth.UnknownImage with a hint that lists those there are.
func (c *Catalog) Image(slug string) (Image, error) {
	if slug == "" {
		slug = c.DefaultImage
	}
	return find(c.Images, slug, berth.UnknownImage, "image")
}

// Region is the catalog's region that the list calls so, or
// berth.UnknownRegion with a hint that lists those there are.
func (l *PriceList) Region(name string) (Region, error) { return l.catalog.Region(name) }

// RegionName is what the list calls a region of the catalog.
func (l *PriceList) RegionName(slug string) string { return slug }

// Image is the catalog's image that the list calls so, the default one for an
// empty name, or berth.UnknownImage with a hint that lists those there are.
func (l *PriceList) Image(name string) (Image, error) { return l.catalog.Image(name) }

// ImageName is what the list calls an image of the catalog.
func (l *PriceList) ImageName(slug string) string { return slug }

// Size is the size with that slug, or berth.UnknownSize with a hint that lists
// those there are.
func (l *PriceList) Size(slug string) (Size, error) {
	return find(l.Sizes, slug, berth.UnknownSize, "size")
}

// slugged is a thing in the catalog that is found by its slug.
type slugged interface{ slug() string }

func (r Region) slug() string  { return r.Slug }
func (i Image) slug() string   { return i.Slug }
func (m Machine) slug() string { return m.Slug }
func (s Size) slug() string    { return s.Slug }

// find is the thing with that slug, or an error that lists all slugs.
func find[T slugged](things []T, slug string, code berth.Code, noun string) (T, error) {
	slugs := make([]string, len(things))
	for i, thing := range things {
		if thing.slug() == slug {
			return thing, nil
		}
		slugs[i] = thing.slug()
	}
	var none T
	return none, berth.Errorf(code, "there is no %s %.*q", noun, shownCharacters, slug).
		Hinted("Choose one of: %s.", strings.Join(slugs, ", "))
}
