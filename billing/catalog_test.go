package billing_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/account"
	"berth/billing"
)

// catalogText is the built-in catalog.
func catalogText(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("catalog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDefaultCatalog(t *testing.T) {
	c := billing.DefaultCatalog()
	for _, slug := range []string{"nyc1", "sfo3", "ams3"} {
		if r, err := c.Region(slug); err != nil || r.Provider != slug {
			t.Errorf("region %s: %+v, %v", slug, r, err)
		}
	}
	if i, err := c.Prices[billing.Native].Image(""); err != nil || i.Slug != "ubuntu-24-04-x64" {
		t.Errorf("the default image: %+v, %v", i, err)
	}
	for _, want := range []billing.Size{
		{Slug: "small", MachineSlug: "s-1vcpu-1gb", CreateFee: 20_000, Hourly: 15_000, Machine: billing.Machine{Slug: "s-1vcpu-1gb", VCPUs: 1, MemoryMB: 1024, DiskGB: 25, HourlyCost: 8_930}},
		{Slug: "medium", MachineSlug: "s-2vcpu-2gb", CreateFee: 50_000, Hourly: 45_000, Machine: billing.Machine{Slug: "s-2vcpu-2gb", VCPUs: 2, MemoryMB: 2048, DiskGB: 60, HourlyCost: 26_790}},
		{Slug: "large", MachineSlug: "s-4vcpu-8gb", CreateFee: 100_000, Hourly: 155_000, Machine: billing.Machine{Slug: "s-4vcpu-8gb", VCPUs: 4, MemoryMB: 8192, DiskGB: 160, HourlyCost: 71_430}},
	} {
		s, err := c.Prices[billing.Native].Size(want.Slug)
		s.Machine = billing.Machine{
			Slug: s.Machine.Slug, VCPUs: s.Machine.VCPUs, MemoryMB: s.Machine.MemoryMB, DiskGB: s.Machine.DiskGB, HourlyCost: s.Machine.HourlyCost,
		}
		if err != nil || s != want {
			t.Errorf("size = %+v, %v; want %+v", s, err, want)
		}
		if s.Rate(account.Retail) != want.Hourly || s.Rate(account.Cost) != want.Machine.HourlyCost {
			t.Errorf("%s: rates %s and %s", s.Slug, s.Rate(account.Retail), s.Rate(account.Cost))
		}
	}
	if c.Prices[billing.Native].FreeRetention != 72*time.Hour || c.QuoteLifetime != 10*time.Minute || c.Prices[billing.Native].Servers != 10 {
		t.Errorf("catalog = %+v", c)
	}
}

func TestUnknownSlugsListTheKnown(t *testing.T) {
	c := billing.DefaultCatalog()
	l := c.Prices[billing.Native]
	_, region := l.Region("mars1")
	_, image := l.Image(strings.Repeat("x", 1000))
	_, size := l.Size("SMALL")
	_, plan := c.Prices[billing.Hourly].NewSize("small")
	_, start := c.Prices[billing.Deposits].NewSize("medium")
	for _, want := range []struct {
		err  error
		code berth.Code
		hint string
	}{
		{region, berth.UnknownRegion, "nyc1, sfo3, ams3, or one that list_offers shows."},
		{image, berth.UnknownImage, "ubuntu-24-04-x64, debian-12-x64, or"},
		{size, berth.UnknownSize, "small, medium, large, or"},
		{plan, berth.UnknownSize, "vc2-1c-1gb, vc2-1c-2gb, vc2-2c-4gb, vc2-4c-8gb, vc2-6c-16gb."},
		{start, berth.UnknownSize, "one of: small."},
	} {
		var e *berth.Error
		if !errors.As(want.err, &e) || e.Code != want.code || !strings.Contains(e.Hint, want.hint) || len(e.Message) > 100 {
			t.Errorf("error = %#v, want %s with the hint %s", want.err, want.code, want.hint)
		}
	}
}

func TestCheckLabel(t *testing.T) {
	limits := billing.DefaultCatalog().Limits
	for label, ok := range map[string]bool{
		"a": true, "web-1.example_x": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "a b": false, "a\n": false, "ä": false,
	} {
		if err := limits.CheckLabel(label); (err == nil) != ok || err != nil && berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%q: %v", label, err)
		}
	}
}

func TestLoadCatalogRefusals(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"an unknown field":           {"disk_gb: 25,", "disk_gb: 25, wheels: 1,", "field wheels not found"},
		"an unknown price list":      {"  native:", "  barter: {}\n  native:", "price_lists.barter: is not known; there are [native"},
		"a key given twice":          {"    servers: 10", "    servers: 10\n    servers: 11", "already defined"},
		"an amount without quotes":   {`hourly: "0.015"`, `hourly: 0.015`, "write 0.015 in quotes"},
		"an amount that is none":     {`hourly: "0.015"`, `hourly: "cheap"`, "no amount"},
		"seven decimals":             {`hourly: "0.015"`, `hourly: "0.0150001"`, "more than six decimals"},
		"an absurd amount":           {`hourly: "0.015"`, `hourly: "1000.01"`, "price_lists.native.sizes.small.hourly: wants an amount"},
		"a price below cost":         {`hourly: "0.0149"`, `hourly: "0.00892"`, "price_lists.hourly.sizes.vc2-1c-1gb.hourly: the price 0.00892 is below the provider's cost 0.00893"},
		"a price below the margin":   {`hourly: "0.015"`, `hourly: "0.010914"`, "price_lists.native.sizes.small.hourly: the price 0.010914 less 10 percent is below the provider's cost 0.00893 and its margin of 10 percent"},
		"rates below the margin":     {"rates: {margin: 34", "rates: {margin: 33", "price_lists.rentals.sizes.s-1vcpu-1gb.hourly: the price 0.011877 less 10 percent is below the provider's cost 0.00893 and its margin of 20 percent"},
		"a negative margin":          {"margin: 10", "margin: -1", "price_lists.native.margin: wants a percentage"},
		"rates of a negative margin": {"rates: {margin: 25", "rates: {margin: -25", "price_lists.native.rates.margin: wants a percentage"},
		"a rate that is absurd":      {`vcpu: "0.0075"`, `vcpu: "1001"`, "price_lists.instances.rates.vcpu: wants an amount"},
		"calls without end":          {"per_minute: 100", "per_minute: 1000001", "price_lists.hourly.per_minute: wants a number"},
		"a region of nowhere":        {"{slug: ams, region: ams3}", "{slug: ams, region: ams9}", "price_lists.hourly.regions.ams: "},
		"a region under two names":   {"{slug: fra, region: fra1}", "{slug: fra, region: ams3}", "price_lists.hourly.regions.fra: ams3 is sold under another name"},
		"a name for two regions":     {"{slug: fra, region: fra1}", "{slug: ams, region: fra1}", `price_lists.hourly.regions[1]: the slug "ams" is there twice`},
		"an image of nothing":        {"{slug: debian12, image: debian-12-x64}", "{slug: debian12, image: debian-99-x64}", "price_lists.instances.images.debian12: "},
		"a machine sold twice":       {"machine: s-2vcpu-2gb, create", "machine: s-1vcpu-1gb, create", "price_lists.native.sizes.medium: s-1vcpu-1gb is sold under another name"},
		"a region without a country": {"country: US", "country: usa", "regions.nyc1.country: wants two capital letters"},
		"a machine for nothing":      {"category: general", "category: fun", "category: wants one of [compute memory storage general gpu]"},
		"a disk of nothing":          {"disk_type: SSD", "disk_type: tape", "disk_type: wants one of [NVMe SSD HDD]"},
		"a score of nothing":         {"disk_type: SSD", "disk_type: SSD, cpu: {score: 1}", ".cpu: wants a score above zero with a score_type"},
		"no GPUs with a name":        {"count: 1, memory_gb: 20", "count: 0, memory_gb: 20", "machines.gpu-4000adax1-20gb.gpu: wants a name, and count"},
		"a machine beyond bounds":    {"memory_mb: 512", "memory_mb: 100000001", "wants at most 10000 vcpus"},
		"retention below cost":       {`snapshot_gb_day: "0.00267"`, `snapshot_gb_day: "0.0019"`, "price_lists.native.snapshot_gb_day: the price 0.0019 is below"},
		"a price left out":           {`, hourly: "0.015"`, ``, "below the provider's cost"},
		"a negative fee":             {`reboot: "0.005"`, `reboot: "-0.005"`, "fees.reboot: wants an amount"},
		"a discount below cost":      {"days: 30, discount: 10", "days: 30, discount: 41", "price_lists.native.sizes.small.hourly: the price 0.015 less 41 percent is below the provider's cost 0.00893 and its margin of 10 percent"},
		"no durations":               {"{days: 1, discount: 0}", "{days: 0, discount: 0}", "leases.rentals[0].days: wants a number"},
		"a duration twice":           {"days: 30", "days: 7", "leases.rentals[2].days: wants a number from 1 to 365, larger"},
		"a discount that adds":       {"days: 1, discount: 0", "days: 1, discount: -5", "leases.rentals[0].discount: wants a percentage"},
		"no grace":                   {"      grace: 24h\n", "", "leases.grace: wants a duration"},
		"backups for ever":           {"backup_retention: 168h", "backup_retention: 8761h", "leases.backup_retention: wants a duration"},
		"a fee left out":             {`      reboot: "0.005"` + "\n", ``, "fees.reboot: wants an amount"},
		"an unknown fee":             {`reboot: "0.005"`, `reboot: "0.005"` + "\n      dance: \"1\"", "fees: only"},
		"a negative create fee":      {`create_fee: "0.02"`, `create_fee: "-0.02"`, "create_fee: wants an amount"},
		"a region twice":             {"slug: sfo3, name", "slug: nyc1, name", `regions[1]: the slug "nyc1" is there twice`},
		"a size twice":               {"slug: medium", "slug: small", `sizes[1]: the slug "small" is there twice`},
		"a machine twice":            {"slug: s-1vcpu-2gb,", "slug: s-1vcpu-1gb,", `machines[2]: the slug "s-1vcpu-1gb" is there twice`},
		"a slug of odd characters":   {"slug: nyc1", "slug: New York", "regions[0]: wants a slug"},
		"no name":                    {"name: Debian 12", `name: ""`, "images.debian-12-x64: wants name and provider"},
		"no provider's region":       {"provider: nyc1", `provider: ""`, "regions.nyc1: wants name, provider and city"},
		"a machine that is not there": {
			"machine: s-1vcpu-1gb", "machine: s-9vcpu-9gb", "sizes.small.machine: ",
		},
		"a machine without a disk":     {"disk_gb: 25", "disk_gb: 0", "machines.s-1vcpu-1gb: wants"},
		"a machine that costs nothing": {`hourly_cost: "0.00893"`, `hourly_cost: "0"`, "machines.s-1vcpu-1gb: wants"},
		"no limit":                     {"servers: 10", "servers: 0", "price_lists.native.servers: wants a number from 1"},
		"too much user data":           {"user_data_bytes: 65536", "user_data_bytes: 65537", "limits.user_data_bytes: wants"},
		"a broken pattern":             {"label_pattern: ^[", "label_pattern: ^([", "limits.label_pattern"},
		"a pattern left out":           {"  label_pattern: ^[a-zA-Z0-9._-]{1,64}$\n", "", "limits.label_pattern"},
		"quotes for ever":              {"quote_lifetime: 10m", "quote_lifetime: 1000h", "quote_lifetime: wants"},
		"a duration without a unit":    {"free_retention: 72h", "free_retention: soon", "time.Duration"},
		"retention below zero":         {"free_retention: 72h", "free_retention: -1h", "free_retention: wants"},
		"snapshots that cost nothing":  {`snapshot_gb_day_cost: "0.002"`, `snapshot_gb_day_cost: "0"`, "snapshot_gb_day_cost: wants"},
		"two documents":                {"quote_lifetime: 10m", "quote_lifetime: 10m\n---\nregions: []", "more than one document"},
		"no YAML":                      {"regions:", "regions: [", "the catalog: yaml"},
		"nothing sold anywhere":        {"regions:", "regions: []\nimages: []\nx:", "already defined"},
		"too large":                    {"regions:", "#" + strings.Repeat("x", 1<<20) + "\nregions:", "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			text := catalogText(t)
			if strings.Count(text, c.old) == 0 {
				t.Fatalf("the catalog has no %q", c.old)
			}
			_, err := billing.LoadCatalog(strings.NewReader(strings.Replace(text, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestLoadCatalogListsAllProblems(t *testing.T) {
	_, err := billing.LoadCatalog(strings.NewReader("regions: []"))
	if err == nil {
		t.Fatal("an empty catalog is accepted")
	}
	for _, want := range []string{"regions: wants", "images: wants", "machines: wants", "price_lists.native: is missing", "limits.keys: wants", "quote_lifetime"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	for _, text := range []string{"", "# nothing", "42", "- a"} {
		if _, err := billing.LoadCatalog(strings.NewReader(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, os.ErrClosed }

func TestLoadCatalogPropagatesFailures(t *testing.T) {
	if _, err := billing.LoadCatalog(failingReader{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error = %v", err)
	}
}

func FuzzLoadCatalog(f *testing.F) {
	text := catalogText(f)
	f.Add(text)
	f.Add("")
	f.Add("a: &a [*a]")
	f.Add("a: &a {}\nregions: [*a, *a, *a]")
	f.Add(strings.Replace(text, "0.015", "1e5", 1))
	f.Add(strings.Replace(text, "0.015", ".inf", 1))
	f.Add(strings.Replace(text, "10m", "99999999h", 1))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := billing.LoadCatalog(strings.NewReader(text))
		if err != nil {
			return
		}
		// What loads can be sold at no loss, without overflow.
		for k, l := range c.Prices {
			checkCovered(t, c, k, l)
			if _, err := l.Image(""); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// checkCovered holds every price of a list against what it costs: by the minute,
// by the day with its discount, and for a deposit.
func checkCovered(t rapid.TB, c *billing.Catalog, k billing.Contract, l *billing.PriceList) {
	t.Helper()
	for _, s := range l.NewSizes() {
		sold, err := l.CreatePrice(account.Retail, s.Slug, c.Limits.Minutes)
		cost, costErr := l.CreatePrice(account.Cost, s.Slug, c.Limits.Minutes)
		if err != nil || costErr != nil {
			t.Fatal(err, costErr)
		}
		if cost.Total <= 0 || sold.Total < cost.Total {
			t.Fatalf("%s/%s is sold at %s and costs %s", k, s.Slug, sold.Total, cost.Total)
		}
		rentals, err := l.RentalPrices(account.Retail, s.Slug)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rentals {
			// In hundredths of a micro-dollar: the price is rounded up, the least is exact.
			least := s.Machine.HourlyCost * berth.Micros(24*r.Days) * berth.Micros(100+l.Margin)
			if r.Price*100 < least || r.PerDay*100*berth.Micros(r.Days) < least {
				t.Fatalf("%s/%s for %d days is sold at %s, %s a day", k, s.Slug, r.Days, r.Price, r.PerDay)
			}
		}
	}
	for _, s := range l.Sizes {
		if s.Hourly*100 < s.Machine.HourlyCost*berth.Micros(100+l.Margin) {
			t.Fatalf("%s/%s is sold at %s, and costs %s with a margin of %d percent", k, s.Slug, s.Hourly, s.Machine.HourlyCost, l.Margin)
		}
	}
}
