package sandbox

import (
	"net/http"
	"slices"
)

// region is a place, as the API shows it.
type region struct {
	Name      string   `json:"name"`
	Slug      string   `json:"slug"`
	Features  []string `json:"features"`
	Available bool     `json:"available"`
	Sizes     []string `json:"sizes"`
}

// size is a kind of droplet, as the API shows it.
type size struct {
	Slug         string   `json:"slug"`
	Memory       int      `json:"memory"` // MB
	VCPUs        int      `json:"vcpus"`
	Disk         int      `json:"disk"`     // GB
	Transfer     float64  `json:"transfer"` // TB a month
	PriceMonthly float64  `json:"price_monthly"`
	PriceHourly  float64  `json:"price_hourly"`
	Regions      []string `json:"regions"`
	Available    bool     `json:"available"`
	Description  string   `json:"description"`
	DiskInfo     []disk   `json:"disk_info"`
	GPU          *gpu     `json:"gpu_info,omitempty"`
}

type gpu struct {
	Count int    `json:"count"`
	Model string `json:"model"`
	VRAM  amount `json:"vram"`
}

type disk struct {
	Type string `json:"type"`
	Size amount `json:"size"`
}

type amount struct {
	Amount int    `json:"amount"`
	Unit   string `json:"unit"`
}

// places are DigitalOcean's regions; closed ones take no new droplets.
var places = []struct {
	slug, name   string
	closed, gpus bool
}{
	{slug: "nyc1", name: "New York 1"},
	{slug: "nyc2", name: "New York 2", gpus: true},
	{slug: "nyc3", name: "New York 3"},
	{slug: "sfo1", name: "San Francisco 1", closed: true},
	{slug: "sfo2", name: "San Francisco 2"},
	{slug: "sfo3", name: "San Francisco 3"},
	{slug: "ams3", name: "Amsterdam 3"},
	{slug: "sgp1", name: "Singapore 1"},
	{slug: "lon1", name: "London 1"},
	{slug: "fra1", name: "Frankfurt 1"},
	{slug: "tor1", name: "Toronto 1", gpus: true},
	{slug: "blr1", name: "Bangalore 1"},
	{slug: "syd1", name: "Sydney 1"},
}

// hoursPerMonth is what DigitalOcean divides a monthly price by.
const hoursPerMonth = 672

// catalog is what the cloud sells. It never changes.
type catalog struct {
	regions       []region
	sizes         []size
	distributions []imageRow
}

func newCatalog() catalog {
	all := sizes()
	return catalog{regions: regions(all), sizes: all, distributions: distributions()}
}

func regions(sizes []size) []region {
	var basic, gpus []string
	for _, s := range sizes {
		if s.GPU != nil {
			gpus = append(gpus, s.Slug)
		} else {
			basic = append(basic, s.Slug)
		}
	}
	all := make([]region, len(places))
	for i, p := range places {
		all[i] = region{
			Name:      p.name,
			Slug:      p.slug,
			Features:  []string{"ipv6", "storage", "image_transfer"},
			Available: !p.closed,
			Sizes:     []string{},
		}
		if !p.closed {
			all[i].Sizes = slices.Clone(basic)
		}
		if p.gpus {
			all[i].Sizes = append(all[i].Sizes, gpus...)
		}
	}
	return all
}

func sizes() []size {
	var withGPUs []string
	for _, p := range places {
		if p.gpus {
			withGPUs = append(withGPUs, p.slug)
		}
	}
	var all []size
	for _, p := range plans {
		all = append(all, size{
			Slug: p.slug, Memory: p.memory, VCPUs: p.vcpus, Disk: p.disk, Transfer: p.transfer,
			PriceMonthly: p.monthly, PriceHourly: hundredThousandths(p.monthly / hoursPerMonth),
			Regions: openRegions(), Available: true, Description: p.description, DiskInfo: localDisk(p.disk),
		})
	}
	for _, p := range gpuPlans {
		all = append(all, size{
			Slug: p.slug, Memory: p.memory, VCPUs: p.vcpus, Disk: p.disk, Transfer: p.transfer,
			PriceMonthly: hundredThousandths(p.hourly * hoursPerMonth), PriceHourly: p.hourly,
			Regions: slices.Clone(withGPUs), Available: true, Description: p.description, DiskInfo: localDisk(p.disk),
			GPU: &gpu{Count: p.count, Model: p.model, VRAM: amount{p.vram, "gib"}},
		})
	}
	return all
}

// hundredThousandths rounds to five decimals, as DigitalOcean shows prices.
func hundredThousandths(dollars float64) float64 {
	return float64(int64(dollars*1e5+0.5)) / 1e5
}

func localDisk(gigabytes int) []disk {
	return []disk{{Type: "local", Size: amount{gigabytes, "gib"}}}
}

// openRegions are the slugs of the regions that take droplets.
func openRegions() []string {
	var open []string
	for _, p := range places {
		if !p.closed {
			open = append(open, p.slug)
		}
	}
	return open
}

// region is the region with that slug, or nil.
func (c *catalog) region(slug string) *region {
	i := slices.IndexFunc(c.regions, func(r region) bool { return r.Slug == slug })
	if i < 0 {
		return nil
	}
	return &c.regions[i]
}

// size is the size with that slug, or nil.
func (c *catalog) size(slug string) *size {
	i := slices.IndexFunc(c.sizes, func(s size) bool { return s.Slug == slug })
	if i < 0 {
		return nil
	}
	return &c.sizes[i]
}

func (c *Cloud) listRegions(r *http.Request) (reply, error) {
	return list(r, "regions", c.catalog.regions)
}

func (c *Cloud) listSizes(r *http.Request) (reply, error) { return list(r, "sizes", c.catalog.sizes) }
