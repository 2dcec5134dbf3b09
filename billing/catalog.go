package billing

import (
	"regexp"
	"strings"
	"time"

	"berth"
)

// Catalog is what Berth sells, where, and at which prices. It does not change
// once loaded and may be read concurrently.
type Catalog struct {
	Regions           []Region      `yaml:"regions"`
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
	Slug        string `yaml:"slug"`
	Name        string `yaml:"name"`
	Provider    string `yaml:"provider"` // the provider's slug
	City        string `yaml:"city"`
	State       string `yaml:"state"`   // or province; may be empty
	Country     string `yaml:"country"` // by ISO 3166-1, two letters
	CountryName string `yaml:"country_name"`
	Area        string `yaml:"area"` // a part of the world, such as us-east
}

// Image is an operating system that a server can start from.
type Image struct {
	Slug     string `yaml:"slug"`
	Name     string `yaml:"name"`
	Provider string `yaml:"provider"` // the provider's slug
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

// Image is the image with that slug, or berth.UnknownImage with a hint that
// lists those there are.
func (c *Catalog) Image(slug string) (Image, error) {
	return find(c.Images, slug, berth.UnknownImage, "image")
}

// Machine is the machine with that slug, or berth.UnknownSize with a hint that
// lists those there are.
func (c *Catalog) Machine(slug string) (Machine, error) {
	return find(c.Machines, slug, berth.UnknownSize, "machine")
}

// entry is a thing in the catalog that is found by its slug.
type entry interface {
	slug() string
	hidden() bool // lists leave it out
}

func (r Region) slug() string     { return r.Slug }
func (i Image) slug() string      { return i.Slug }
func (m Machine) slug() string    { return m.Slug }
func (s Size) slug() string       { return s.Slug }
func (r SoldRegion) slug() string { return r.Slug }
func (i SoldImage) slug() string  { return i.Slug }

func (Region) hidden() bool       { return false }
func (Image) hidden() bool        { return false }
func (Machine) hidden() bool      { return false }
func (s Size) hidden() bool       { return s.Unlisted }
func (r SoldRegion) hidden() bool { return r.Unlisted }
func (i SoldImage) hidden() bool  { return i.Unlisted }

// find is the thing with that slug, or an error that lists the slugs of those
// that are not hidden.
func find[T entry](things []T, slug string, code berth.Code, noun string) (T, error) {
	var slugs []string
	for _, thing := range things {
		if thing.slug() == slug {
			return thing, nil
		}
		if !thing.hidden() {
			slugs = append(slugs, thing.slug())
		}
	}
	var none T
	more := ""
	if len(slugs) < len(things) {
		more = ", or one that list_offers shows"
	}
	return none, berth.Errorf(code, "there is no %s %.*q", noun, shownCharacters, slug).
		Hinted("Choose one of: %s%s.", strings.Join(slugs, ", "), more)
}
