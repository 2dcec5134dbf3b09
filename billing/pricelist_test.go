package billing_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth"
	"berth/account"
	"berth/billing"
)

// TestDocumentedPrices are the prices that the contracts' documents name.
func TestDocumentedPrices(t *testing.T) {
	c := billing.DefaultCatalog()
	for _, want := range []struct {
		contract           billing.Contract
		size, name, hourly string
		fee                string
		vcpus, gb, disk    int // at least
	}{
		{billing.Native, "small", "", "0.015", "0.02", 1, 1, 25},
		{billing.Native, "medium", "", "0.045", "0.05", 2, 2, 60},
		{billing.Native, "large", "", "0.155", "0.10", 4, 8, 160},
		{billing.Native, "gpu-h100x1-80gb", "", "4.2375", "0.02", 20, 240, 720},
		{billing.Hourly, "vc2-1c-1gb", "Micro", "0.0149", "0", 1, 1, 25},
		{billing.Hourly, "vc2-1c-2gb", "Starter", "0.0268", "0", 1, 2, 55},
		{billing.Hourly, "vc2-2c-4gb", "Standard", "0.0506", "0", 2, 4, 80},
		{billing.Hourly, "vc2-4c-8gb", "Pro", "0.0923", "0", 4, 8, 160},
		{billing.Hourly, "vc2-6c-16gb", "Beast", "0.1786", "0", 6, 16, 320},
		{billing.Instances, "s-2vcpu-4gb", "", "0.041078", "0", 2, 4, 80},
		{billing.Instances, "s-1vcpu-1gb", "", "0.014", "0", 1, 1, 25},
		{billing.Instances, "gpu-h100x1-80gb", "", "3.8985", "0", 20, 240, 720},
		{billing.Rentals, "s-1vcpu-1gb", "", "0.011967", "0", 1, 1, 25},
		{billing.Deposits, "small", "", "0.04", "0.01", 2, 4, 80},
		{billing.Deposits, "medium", "", "0.08", "0.01", 4, 8, 160},
		{billing.Deposits, "large", "", "0.16", "0.01", 8, 16, 320},
	} {
		s, err := c.Prices[want.contract].Size(want.size)
		if err != nil || s.Name != want.name || s.Hourly != micros(t, want.hourly) || s.Fee(account.Retail) != micros(t, want.fee) || s.Fee(account.Cost) != 0 {
			t.Errorf("%s: %+v, %v; want %+v", want.contract, s, err, want)
		}
		if m := s.Machine; m.VCPUs < want.vcpus || m.MemoryMB < want.gb*1024 || m.DiskGB < want.disk {
			t.Errorf("%s/%s has a machine of %+v", want.contract, want.size, m)
		}
	}
}

// TestDocumentedFees are what single calls cost.
func TestDocumentedFees(t *testing.T) {
	c := billing.DefaultCatalog()
	for contract, fees := range map[billing.Contract]map[billing.Fee]string{
		billing.Native: {
			billing.FeeMinimum: "0.01", billing.FeeReboot: "0.005", billing.FeePower: "0.005", billing.FeeResize: "0.005",
			billing.FeeRebuild: "0.005", billing.FeeKey: "0.001", billing.FeeSnapshot: "0.01", billing.FeeBackup: "0.05",
		},
		billing.Hourly: {}, billing.Instances: {}, billing.Rentals: {},
		billing.Deposits: {
			billing.FeeRead: "0.001", billing.FeeDestroy: "0.005", billing.FeeRemoveKey: "0.001", billing.FeeKey: "0.001",
			billing.FeePower: "0.002", billing.FeeReboot: "0.002", billing.FeeResize: "0.01", billing.FeeRebuild: "0.005",
		},
	} {
		for fee, got := range c.Prices[contract].Fees {
			want := fees[fee]
			if want == "" {
				want = "0"
			}
			if got != micros(t, want) {
				t.Errorf("%s: %s is %s, want %s", contract, fee, got, want)
			}
		}
	}
	if p, err := c.Prices[billing.Deposits].DepositPrice(account.Retail, "small", 0); err != nil || p.Total != micros(t, "0.97") || p.Deposit != micros(t, "0.96") {
		t.Errorf("a small server with a deposit of a day: %+v, %v", p, err)
	}
}

// TestOwnNames: each contract has its own names for regions and images, and what
// it does not list can be bought all the same where its list says so.
func TestOwnNames(t *testing.T) {
	c := billing.DefaultCatalog()
	for _, want := range []struct {
		contract        billing.Contract
		regions, images string // what is listed
	}{
		{billing.Native, "nyc1 sfo3 ams3", "ubuntu-24-04-x64 debian-12-x64"},
		{billing.Hourly, "ams fra lon ewr atl sjc yto sgp blr syd", "ubuntu-24-04-x64"},
		{billing.Instances, "nyc1 sfo3 ams3 nyc2 nyc3 sfo2 lon1 fra1 sgp1 tor1 blr1 syd1 atl1", "ubuntu2404 ubuntu2204 debian12 fedora41"},
		{billing.Rentals, "nyc1 sfo3 ams3 nyc2 nyc3 sfo2 lon1 fra1 sgp1 tor1 blr1 syd1 atl1", "ubuntu-24-04-x64"},
		{billing.Deposits, "nyc3 sfo3 ams3 lon1 fra1 sgp1 tor1 blr1 syd1", "ubuntu-24.04 ubuntu-22.04 debian-12 fedora-41"},
	} {
		l := c.Prices[want.contract]
		var regions, images []string
		for _, r := range billing.Listed(l.Regions) {
			regions = append(regions, r.Slug)
		}
		for _, i := range billing.Listed(l.Images) {
			images = append(images, i.Slug)
		}
		if got := strings.Join(regions, " "); got != want.regions {
			t.Errorf("%s lists the regions %s", want.contract, got)
		}
		if got := strings.Join(images, " "); got != want.images {
			t.Errorf("%s lists the images %s", want.contract, got)
		}
		for _, name := range regions { // there and back
			r, err := l.Region(name)
			if err != nil || l.RegionName(r.Slug) != name {
				t.Errorf("%s: region %s is %s, %v", want.contract, name, r.Slug, err)
			}
		}
		for _, name := range images {
			i, err := l.Image(name)
			if err != nil || l.ImageName(i.Slug) != name {
				t.Errorf("%s: image %s is %s, %v", want.contract, name, i.Slug, err)
			}
		}
		if i, err := l.Image(""); err != nil || i.Slug != "ubuntu-24-04-x64" || l.DefaultImage() != images[0] {
			t.Errorf("%s: the default image is %s, %v", want.contract, i.Slug, err)
		}
	}
	hourly, native := c.Prices[billing.Hourly], c.Prices[billing.Native]
	for name, slug := range map[string]string{"ewr": "nyc3", "sjc": "sfo3", "yto": "tor1", "atl": "atl1"} {
		if r, err := hourly.Region(name); err != nil || r.Slug != slug {
			t.Errorf("%s is %s, %v", name, r.Slug, err)
		}
	}
	if _, err := hourly.Region("ams3"); berth.CodeOf(err) != berth.UnknownRegion {
		t.Errorf("the provider's own name of a region: %v", err)
	}
	if got := hourly.RegionName("nyc1"); got != "nyc1" {
		t.Errorf("a region that is not sold is shown as %s", got)
	}
	if r, err := native.Region("fra1"); err != nil || r.Slug != "fra1" {
		t.Errorf("an unlisted region: %+v, %v", r, err)
	}
	if i, err := native.Image("fedora-41-x64"); err != nil || i.Provider != "fedora-41-x64" {
		t.Errorf("an unlisted image: %+v, %v", i, err)
	}
}

// TestResizeOnly: what no server starts with can be resized to.
func TestResizeOnly(t *testing.T) {
	l := billing.DefaultCatalog().Prices[billing.Deposits]
	for _, price := range []func() (billing.Price, error){
		func() (billing.Price, error) { return l.CreatePrice(account.Retail, "medium", 60) },
		func() (billing.Price, error) { return l.HourPrice(account.Retail, "medium") },
		func() (billing.Price, error) { return l.RentPrice(account.Retail, "medium", 1) },
		func() (billing.Price, error) { return l.DepositPrice(account.Retail, "large", 0) },
	} {
		if _, err := price(); berth.CodeOf(err) != berth.UnknownSize {
			t.Errorf("a new server of a size to be resized to: %v", err)
		}
	}
	if p, err := l.ResizeDepositPrice(account.Retail, 40_000, "medium", 0); err != nil || p.Total != 10_000 {
		t.Errorf("a resize: %+v, %v", p, err)
	}
	if slices.ContainsFunc(l.NewSizes(), func(s billing.Size) bool { return s.ResizeOnly }) || len(l.Sizes) != 3 {
		t.Errorf("sizes: %+v", l.Sizes)
	}
}

// TestNoPriceBelowCost: everything that the built-in catalog sells covers its
// cost and its list's margin, and every machine can be bought.
func TestNoPriceBelowCost(t *testing.T) {
	c := billing.DefaultCatalog()
	for k, l := range c.Prices {
		checkCovered(t, c, k, l)
	}
	for _, k := range []billing.Contract{billing.Native, billing.Instances, billing.Rentals} {
		if l := c.Prices[k]; len(l.Sizes) != len(c.Machines) {
			t.Errorf("%s sells %d sizes of %d machines", k, len(l.Sizes), len(c.Machines))
		}
	}
}

// TestRates holds what rates make of any machine against exact arithmetic.
func TestRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string, most berth.Micros) berth.Micros {
			return berth.Micros(rapid.Int64Range(0, int64(most)).Draw(t, name))
		}
		r := billing.Rates{
			VCPU: amount("vcpu", berth.Dollar), MemoryGB: amount("memory", berth.Dollar), DiskGB: amount("disk", berth.Dollar/100),
			Margin: rapid.IntRange(0, 1000).Draw(t, "margin"),
		}
		m := billing.Machine{
			VCPUs: rapid.IntRange(1, 256).Draw(t, "vcpus"), MemoryMB: rapid.IntRange(1, 1<<21).Draw(t, "MB"),
			DiskGB: rapid.IntRange(1, 10_000).Draw(t, "GB"), HourlyCost: 1 + amount("cost", 100*berth.Dollar),
			GPU: billing.GPU{Count: rapid.IntRange(0, 8).Draw(t, "GPUs")},
		}
		hourly, published := r.Hourly(m), r.Published(m)
		if hourly*100 < m.HourlyCost*berth.Micros(100+r.Margin) || hourly < published {
			t.Fatalf("%+v of %+v costs %s", m, r, hourly)
		}
		exact := r.VCPU*berth.Micros(m.VCPUs)*1024 + r.MemoryGB*berth.Micros(m.MemoryMB) + r.DiskGB*berth.Micros(m.DiskGB)*1024
		if over := published*1024 - exact; over < 0 || over >= 1024 {
			t.Fatalf("%s is not the sum rounded up", published)
		}
		if n := berth.Micros(m.GPU.Count); n > 0 {
			if over := published + n*r.GPUHourly(m) - hourly; over < 0 || over >= n {
				t.Fatalf("%d GPUs at %s and the rest at %s are not %s", n, r.GPUHourly(m), published, hourly)
			}
		} else if r.GPUHourly(m) != 0 {
			t.Fatal("GPUs that are not there cost something")
		}
	})
}

// TestMarginsHold draws margins, rates and discounts for the rentals' list: what
// is not refused lies above cost and margin.
func TestMarginsHold(t *testing.T) {
	text := regexp.MustCompile(`(?m)^  - \{slug: (c|g|gd|m|so|gpu|s-.*-amd|s-.*-intel)-?.*vcpus.*\n`).ReplaceAllString(catalogText(t), "") // a few machines will do
	const rates, last = "rates: {margin: 34", "{days: 30, discount: 10}"
	head, tail, ok := strings.Cut(text, "  rentals:\n    servers")
	if !ok || !strings.Contains(tail, rates) || !strings.Contains(tail, last) || !strings.Contains(tail, "margin: 20") {
		t.Fatal("the catalog's rentals have changed")
	}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		margin, markup, discount := rapid.IntRange(0, 33).Draw(t, "margin"), rapid.IntRange(0, 200).Draw(t, "markup"), rapid.IntRange(0, 60).Draw(t, "discount")
		changed := strings.Replace(tail, "margin: 20", fmt.Sprintf("margin: %d", margin), 1)
		changed = strings.Replace(changed, rates, fmt.Sprintf("rates: {margin: %d", markup), 1)
		changed = strings.Replace(changed, last, fmt.Sprintf("{days: 30, discount: %d}", discount), 1)
		c, err := billing.LoadCatalog(strings.NewReader(head + "  rentals:\n    servers" + changed))
		enough := (100+markup)*(100-max(discount, 5)) >= 100*(100+margin)
		if enough && err != nil {
			t.Fatalf("refused: %v", err)
		}
		if err == nil {
			accepted++
			checkCovered(t, c, billing.Rentals, c.Prices[billing.Rentals])
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}
