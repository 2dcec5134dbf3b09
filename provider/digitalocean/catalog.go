package digitalocean

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/digitalocean/godo"
	"github.com/shopspring/decimal"

	"berth"
	"berth/provider"
)

const (
	catalogAge = 5 * time.Minute // how old a catalog is used without asking again
	staleAge   = time.Hour       // how old one is used when DigitalOcean does not answer
)

// catalog keeps what DigitalOcean sells.
type catalog struct {
	now  berth.Clock
	turn chan struct{} // holds the token of whoever is asking: one at a time

	mu   sync.Mutex // guards what follows
	kept provider.Catalog
	read time.Time
}

func (c *catalog) load(maxAge time.Duration) (provider.Catalog, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept, !c.read.IsZero() && c.now().Sub(c.read) < maxAge
}

func (c *catalog) store(fresh provider.Catalog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.read = fresh, c.now()
}

// Catalog is what DigitalOcean sells, at most five minutes old, or an hour
// while it does not answer. It is shared: callers don't change it.
func (p *Provider) Catalog(ctx context.Context) (provider.Catalog, error) {
	if kept, ok := p.catalog.load(catalogAge); ok {
		return kept, nil
	}
	ctx = provider.DefaultPriority(ctx, provider.Upkeep)
	select {
	case p.catalog.turn <- struct{}{}:
		defer func() { <-p.catalog.turn }()
	case <-ctx.Done():
		return provider.Catalog{}, ctx.Err()
	}
	if kept, ok := p.catalog.load(catalogAge); ok {
		return kept, nil // somebody else has asked meanwhile
	}
	fresh, err := p.readCatalog(ctx)
	if err == nil {
		p.catalog.store(fresh)
		return fresh, nil
	}
	kept, ok := p.catalog.load(staleAge)
	if !ok || !provider.KindOf(err).Temporary() {
		return provider.Catalog{}, err
	}
	p.log.Warn("the catalog could not be read again, an older one is used", "error", err)
	return kept, nil
}

func (p *Provider) readCatalog(ctx context.Context) (provider.Catalog, error) {
	regions, err := pages(ctx, p, "list regions", p.client.Regions.List)
	if err != nil {
		return provider.Catalog{}, err
	}
	sizes, err := pages(ctx, p, "list sizes", p.client.Sizes.List)
	if err != nil {
		return provider.Catalog{}, err
	}
	images, err := pages(ctx, p, "list images", p.client.Images.ListDistribution)
	if err != nil {
		return provider.Catalog{}, err
	}
	var c provider.Catalog
	for _, r := range regions {
		c.Regions = append(c.Regions, provider.Region{Slug: r.Slug, Name: r.Name, Available: r.Available})
	}
	for _, s := range sizes {
		hourly, err := price(s.PriceHourly)
		if err != nil {
			// Sold at no known price, it could be sold below its cost.
			p.log.Error("a size is left out of the catalog", "size", s.Slug, "error", err)
			continue
		}
		c.Sizes = append(c.Sizes, provider.Size{
			Slug: s.Slug, VCPUs: s.Vcpus, MemoryMB: s.Memory, DiskGB: s.Disk,
			Hourly: hourly, Regions: s.Regions, Available: s.Available,
		})
	}
	for _, i := range images {
		if i.Slug != "" {
			c.Images = append(c.Images, provider.Image{Slug: i.Slug, Name: imageName(i), MinDiskGB: i.MinDiskSize})
		}
	}
	return c, nil
}

func imageName(i godo.Image) string {
	if i.Distribution == "" {
		return i.Name
	}
	return i.Distribution + " " + i.Name
}

// price is dollars as godo reads them, rounded up to a micro-dollar. The
// shortest decimal that stands for the float is what DigitalOcean wrote, so
// that no error of the float's is rounded up.
func price(dollars float64) (berth.Micros, error) {
	const most = 1_000_000 // dollars per hour
	if math.IsNaN(dollars) || dollars <= 0 || dollars > most {
		return 0, fmt.Errorf("%v is no price per hour", dollars)
	}
	exact, err := decimal.NewFromString(strconv.FormatFloat(dollars, 'f', -1, 64))
	if err != nil {
		return 0, fmt.Errorf("read the price %v: %w", dollars, err)
	}
	return berth.Micros(exact.Shift(6).Ceil().IntPart()), nil
}

// regionsWith are the regions where a size can be had now, but for one.
func (p *Provider) regionsWith(ctx context.Context, size, except string) []string {
	c, err := p.Catalog(ctx)
	if err != nil {
		p.log.Warn("what is available elsewhere is not known", "size", size, "error", err)
		return nil
	}
	var found []string
	for _, s := range c.Sizes {
		if s.Slug != size || !s.Available {
			continue
		}
		for _, r := range c.Regions {
			if r.Available && r.Slug != except && slices.Contains(s.Regions, r.Slug) {
				found = append(found, r.Slug)
			}
		}
	}
	return found
}
