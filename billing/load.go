package billing

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"berth"
)

// The bounds of a catalog: the bytes of its file, and each amount in it, so
// that no price can overflow.
const (
	maxCatalog = 1 << 20
	maxPrice   = 1000 * berth.Dollar
	maxMargin  = 1000 // percent
)

const anAmount = "an amount from 0 to 1000"

//go:embed catalog.yaml
var defaultCatalog []byte

var slugPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)

// DefaultCatalog is the built-in catalog.
func DefaultCatalog() *Catalog {
	c, err := LoadCatalog(bytes.NewReader(defaultCatalog))
	if err != nil {
		panic("the built-in catalog is broken: " + err.Error()) // part of the binary: a defect, not an input
	}
	return c
}

// LoadCatalog reads a catalog of at most 1 MiB from YAML. It refuses unknown
// fields, amounts that are not quoted, slugs given twice, references to what is
// not there, and prices below the provider's cost and their list's margin; the
// error lists all that is wrong with an otherwise readable file.
func LoadCatalog(r io.Reader) (*Catalog, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCatalog+1))
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	if len(text) > maxCatalog {
		return nil, fmt.Errorf("the catalog is larger than %d bytes", maxCatalog)
	}
	c, err := decodeCatalog(text)
	if err != nil {
		return nil, fmt.Errorf("the catalog: %w", err)
	}
	if err := errors.Join(c.link()...); err != nil {
		return nil, fmt.Errorf("the catalog: %w", err)
	}
	return c, nil
}

// decodeCatalog reads exactly one YAML document without floats.
func decodeCatalog(text []byte) (*Catalog, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	if err := refuseFloats(&tree); err != nil {
		return nil, err
	}
	c := new(Catalog)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one document")
	}
	return c, nil
}

// refuseFloats refuses numbers such as 0.10 without quotes, which other tools
// would read and write as 0.1 or 0.09999.
func refuseFloats(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!float" {
		return fmt.Errorf("line %d: write %s in quotes", n.Line, n.Value)
	}
	for _, child := range n.Content {
		if err := refuseFloats(child); err != nil {
			return err
		}
	}
	return nil
}

// link checks the catalog and resolves its references. It returns all that is
// wrong.
func (c *Catalog) link() (problems []error) {
	problems = append(problems, checkSlugs("regions", c.Regions)...)
	problems = append(problems, checkSlugs("images", c.Images)...)
	problems = append(problems, checkSlugs("machines", c.Machines)...)
	for _, r := range c.Regions {
		problems = append(problems, r.link()...)
	}
	for _, i := range c.Images {
		problems = append(problems, wanted("images."+i.Slug, i.Name != "" && i.Provider != "", "name and provider")...)
	}
	for _, m := range c.Machines {
		problems = append(problems, m.link()...)
	}
	problems = append(problems, wanted("snapshot_gb_day_cost", c.SnapshotGBDayCost > 0 && c.SnapshotGBDayCost <= maxPrice, "an amount above zero, at most 1000")...)
	ok := c.QuoteLifetime >= time.Second && c.QuoteLifetime <= 24*time.Hour
	problems = append(problems, wanted("quote_lifetime", ok, "a duration from 1s to 24h")...)
	problems = append(problems, c.TopUp.link()...)
	problems = append(problems, c.Limits.link()...)
	for _, k := range Contracts {
		path := "price_lists." + string(k)
		if c.Prices[k] == nil {
			problems = append(problems, fmt.Errorf("%s: is missing", path))
			continue
		}
		problems = append(problems, c.Prices[k].link(path, c)...)
	}
	for k := range c.Prices {
		if !slices.Contains(Contracts, k) {
			problems = append(problems, fmt.Errorf("price_lists.%s: is not known; there are %v", k, Contracts))
		}
	}
	return problems
}

// link checks the limits and compiles the pattern.
func (l *Limits) link() (problems []error) {
	for _, n := range []struct {
		name        string
		value, most int
	}{
		{"snapshots", l.Snapshots, 10_000},
		{"keys", l.Keys, 10_000},
		{"keys_per_server", l.KeysPerServer, 100},
		{"minutes", l.Minutes, 10 * 366 * 24 * 60},
		{"retention_days", l.RetentionDays, 10 * 366},
		{"user_data_bytes", l.UserDataBytes, 1 << 16}, // the provider takes no more
	} {
		ok := n.value >= 1 && n.value <= n.most
		problems = append(problems, wanted("limits."+n.name, ok, fmt.Sprintf("a number from 1 to %d", n.most))...)
	}
	pattern, err := regexp.Compile(l.LabelPattern)
	if err != nil || l.LabelPattern == "" {
		return append(problems, fmt.Errorf("limits.label_pattern: %q is no regular expression", l.LabelPattern))
	}
	l.label = pattern
	return problems
}

// checkSlugs refuses an empty list, a slug given twice and one of odd
// characters.
func checkSlugs[T entry](path string, things []T) (problems []error) {
	problems = wanted(path, len(things) > 0, "at least one entry")
	seen := make(map[string]bool, len(things))
	for i, thing := range things {
		slug := thing.slug()
		at := fmt.Sprintf("%s[%d]", path, i)
		problems = append(problems, wanted(at, slugPattern.MatchString(slug), "a slug that matches "+slugPattern.String())...)
		if seen[slug] {
			problems = append(problems, fmt.Errorf("%s: the slug %q is there twice", at, slug))
		}
		seen[slug] = true
	}
	return problems
}

// covers refuses a price that, less a discount in percent, lies below what the
// provider takes and a margin in percent; and an absurd one.
func covers(path string, price, cost berth.Micros, discount, margin int) []error {
	if price < 0 || price > maxPrice || cost > maxPrice {
		return wanted(path, false, anAmount)
	}
	// In hundredths of a micro-dollar everything is whole.
	if price*berth.Micros(100-discount) >= cost*berth.Micros(100+margin) {
		return nil
	}
	less, more := "", ""
	if discount > 0 {
		less = fmt.Sprintf(" less %d percent", discount)
	}
	if margin > 0 {
		more = fmt.Sprintf(" and its margin of %d percent", margin)
	}
	return []error{fmt.Errorf("%s: the price %s%s is below the provider's cost %s%s", path, price, less, cost, more)}
}

// wanted is the problem that something is missing or out of bounds, unless ok.
func wanted(path string, ok bool, what string) []error {
	if ok {
		return nil
	}
	return []error{fmt.Errorf("%s: wants %s", path, what)}
}
