package ops_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"berth"
	"berth/billing"
	"berth/ops"
	"berth/ops/opstest"
)

// through calls an operation through a contract.
func through(t *testing.T, w *opstest.World, k billing.Contract, creds []ops.Credential, op string, args opstest.Args) (*ops.Result, error) {
	t.Helper()
	return w.System.Dispatch(t.Context(), &ops.Call{Op: op, Contract: k, Args: args, Creds: creds, Front: "http"})
}

// offers are all offers that satisfy filters, page by page.
func offers(t *testing.T, w *opstest.World, k billing.Contract, filters opstest.Args) (list []ops.OfferView) {
	t.Helper()
	args := opstest.Args{"limit": 150}
	for name, v := range filters {
		args[name] = v
	}
	for range 20 {
		res, err := through(t, w, k, nil, "list_offers", args)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		out := res.Out.(ops.OffersOut)
		if list = append(list, out.Offers...); out.Next == "" {
			return list
		}
		args["after"] = out.Next
	}
	t.Fatal("the pages have no end")
	return nil
}

// informed is a world whose catalog knows more of one machine than is published.
func informed(t *testing.T) *opstest.World {
	t.Helper()
	w, c := opstest.New(t), billing.DefaultCatalog()
	l := c.Prices[billing.Native]
	i := slices.IndexFunc(l.Sizes, func(s billing.Size) bool { return s.Slug == "gd-2vcpu-8gb" })
	m := &l.Sizes[i].Machine
	m.CPU = billing.CPU{Model: "EPYC", Score: 5000, ScoreType: "passmark"}
	m.MemoryType, m.Unmetered, m.TransferGB, m.Popularity = "DDR5 ECC", true, 0, 1
	w.Restart(c)
	return w
}

// TestOfferFilters holds each filter, alone and with others, against what it
// says about every offer there is.
func TestOfferFilters(t *testing.T) {
	w := informed(t)
	if err := w.Fleet.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	type offer = ops.OfferView
	perDay := func(v offer) berth.Micros {
		return slices.MinFunc(v.Rentals, func(a, b billing.RentalPrice) int { return int(a.PerDay - b.PerDay) }).PerDay
	}
	all := offers(t, w, billing.Native, nil)
	if c := w.Catalog; len(all) != len(c.Machines)*len(c.Regions) {
		t.Errorf("%d offers of %d machines in %d regions", len(all), len(c.Machines), len(c.Regions))
	}
	for name, c := range map[string]struct {
		args opstest.Args
		ok   func(offer) bool
		none bool
	}{
		"country":        {opstest.Args{"country": "de"}, func(v offer) bool { return v.Region.Country == "DE" }, false},
		"area":           {opstest.Args{"area": "us-east"}, func(v offer) bool { return v.Region.Area == "us-east" }, false},
		"price":          {opstest.Args{"max_per_day": "1.00"}, func(v offer) bool { return perDay(v) <= berth.Dollar }, false},
		"durations":      {opstest.Args{"durations": []any{1, 30}}, func(offer) bool { return true }, false},
		"one duration":   {opstest.Args{"durations": "7"}, func(offer) bool { return true }, false},
		"not offered":    {opstest.Args{"durations": []string{"7", "14"}}, func(offer) bool { return false }, true},
		"vCPUs":          {opstest.Args{"min_vcpus": 16}, func(v offer) bool { return v.Specs.VCPUs >= 16 }, false},
		"score":          {opstest.Args{"min_cpu_score": 5000}, func(v offer) bool { return v.Specs.CPUScore != nil }, false},
		"higher score":   {opstest.Args{"min_cpu_score": 5001}, func(offer) bool { return false }, true},
		"score type":     {opstest.Args{"cpu_score_type": "passmark"}, func(v offer) bool { return v.Specs.CPUScoreType != nil }, false},
		"other score":    {opstest.Args{"min_cpu_score": 1, "cpu_score_type": "geekbench_multi"}, func(offer) bool { return false }, true},
		"memory":         {opstest.Args{"min_memory_mb": 131072}, func(v offer) bool { return v.Specs.MemoryMB >= 131072 }, false},
		"memory types":   {opstest.Args{"memory_types": []any{"ddr4", "ddr5 ecc"}}, func(v offer) bool { return v.Specs.MemoryType != nil }, false},
		"disk":           {opstest.Args{"min_disk_gb": 1000}, func(v offer) bool { return v.Specs.DiskGB >= 1000 }, false},
		"disk types":     {opstest.Args{"disk_types": "NVMe"}, func(v offer) bool { return v.Specs.DiskType != nil && *v.Specs.DiskType == "NVMe" }, false},
		"network":        {opstest.Args{"min_network_mbps": 2001}, func(v offer) bool { return v.Specs.NetworkMbps != nil && *v.Specs.NetworkMbps > 2000 }, false},
		"transfer":       {opstest.Args{"min_transfer_gb": 9000}, func(v offer) bool { return v.Specs.Unmetered || *v.Specs.TransferGB >= 9000 }, false},
		"unmetered":      {opstest.Args{"unmetered_only": true}, func(v offer) bool { return v.Size == "gd-2vcpu-8gb" }, false},
		"category":       {opstest.Args{"category": "storage"}, func(v offer) bool { return strings.HasPrefix(v.Size, "so-") }, false},
		"featured":       {opstest.Args{"featured_only": true}, func(v offer) bool { return v.Featured }, false},
		"region":         {opstest.Args{"region": "tor1"}, func(v offer) bool { return v.Region.Slug == "tor1" }, false},
		"size":           {opstest.Args{"size": "small"}, func(v offer) bool { return v.Size == "small" }, false},
		"GPU":            {opstest.Args{"gpu": "h100-sxm5-80gb"}, func(v offer) bool { return v.Specs.GPU != nil && v.Specs.GPU.MemoryGB == 80 }, false},
		"GPUs":           {opstest.Args{"min_gpus": 2}, func(v offer) bool { return v.Specs.GPU != nil && v.Specs.GPU.Count > 1 }, false},
		"id":             {opstest.Args{"offer_id": string(all[7].ID)}, func(v offer) bool { return v.ID == all[7].ID }, false},
		"no id":          {opstest.Args{"offer_id": "offer_000000000000000000000000"}, func(offer) bool { return false }, true},
		"available":      {opstest.Args{"available_only": true}, func(v offer) bool { return *v.Available }, false},
		"nothing at all": {opstest.Args{"country": "FR"}, func(offer) bool { return false }, true},
		"together": {
			opstest.Args{"country": "US", "max_per_day": "20", "min_vcpus": 8, "min_memory_mb": 65536, "disk_types": []any{"SSD"}, "category": "memory", "durations": []any{7}},
			func(v offer) bool {
				return v.Region.Country == "US" && perDay(v) <= 20*berth.Dollar && v.Specs.VCPUs >= 8 && v.Specs.MemoryMB >= 65536 && *v.Specs.DiskType == "SSD" && v.Category == "memory"
			},
			false,
		},
		"what excludes each other": {opstest.Args{"gpu": "l40s-pcie-48gb", "max_per_day": "5"}, func(offer) bool { return false }, true},
	} {
		t.Run(name, func(t *testing.T) {
			want := slices.DeleteFunc(slices.Clone(all), func(v offer) bool { return !c.ok(v) })
			if (len(want) == 0) != c.none {
				t.Fatalf("the case is void: %d offers", len(want))
			}
			got := offers(t, w, billing.Native, c.args)
			if !slices.EqualFunc(got, want, func(a, b offer) bool { return a.ID == b.ID }) {
				t.Errorf("%d offers, want %d", len(got), len(want))
			}
		})
	}
}

// TestOffersAreOrdered: the cheapest comes first, and each has an id of its own.
func TestOffersAreOrdered(t *testing.T) {
	w := opstest.New(t)
	all := offers(t, w, billing.Native, nil)
	seen := map[berth.ID]bool{}
	for i, v := range all {
		if i > 0 && v.Hourly < all[i-1].Hourly {
			t.Errorf("%s at %s comes after %s at %s", v.Size, v.Hourly, all[i-1].Size, all[i-1].Hourly)
		}
		if _, err := berth.ParseID(berth.PrefixOffer, string(v.ID)); err != nil || seen[v.ID] {
			t.Errorf("%s in %s has the id %s (%v)", v.Size, v.Region.Slug, v.ID, err)
		}
		if seen[v.ID] = true; v.Available != nil {
			t.Errorf("nobody was asked, and %s in %s is available: %v", v.Size, v.Region.Slug, *v.Available)
		}
	}
	small := offers(t, w, billing.Native, opstest.Args{"size": "small", "region": "nyc1"})[0]
	want := []billing.RentalPrice{{Days: 1, Price: 360_000, PerDay: 360_000}, {Days: 7, Price: 2_394_000, PerDay: 342_000}, {Days: 30, Price: 9_720_000, PerDay: 324_000}}
	if !slices.Equal(small.Rentals, want) || small.Hourly != 15_000 || small.CreateFee != 20_000 {
		t.Errorf("a small server is offered as %+v", small)
	}
	if small.Specs.CPUModel != nil || small.Specs.MemoryType != nil || small.Popularity != nil || small.Specs.GPU != nil {
		t.Errorf("what nobody published is told: %+v", small.Specs)
	}
}

// TestOffersOfContracts: each contract offers what it sells, under its own names
// and prices, with the same ids.
func TestOffersOfContracts(t *testing.T) {
	w := opstest.New(t)
	one := func(k billing.Contract, args opstest.Args) ops.OfferView {
		t.Helper()
		list := offers(t, w, k, args)
		if len(list) != 1 {
			t.Fatalf("%s offers %d for %v", k, len(list), args)
		}
		return list[0]
	}
	native := one(billing.Native, opstest.Args{"size": "small", "region": "ams3"})
	hourly := one(billing.Hourly, opstest.Args{"size": "vc2-1c-1gb", "region": "ams"})
	rented := one(billing.Rentals, opstest.Args{"size": "s-1vcpu-1gb", "region": "ams3"})
	if native.ID != hourly.ID || native.ID != rented.ID {
		t.Errorf("one machine in one region has the ids %s, %s, %s", native.ID, hourly.ID, rented.ID)
	}
	if hourly.Name != "Micro" || hourly.Hourly != 14_900 || hourly.CreateFee != 0 || len(hourly.Rentals) != 0 || len(rented.Rentals) != 3 {
		t.Errorf("hourly offers %+v, rentals %+v", hourly, rented)
	}
	for _, v := range offers(t, w, billing.Deposits, nil) {
		if v.Size != "small" {
			t.Errorf("%s is offered, which no server starts with", v.Size)
		}
	}
	if list := offers(t, w, billing.Hourly, opstest.Args{"max_per_day": "0.36"}); len(list) != 10 { // 24 × 0.0149 in ten regions
		t.Errorf("%d offers by the hour for 0.36 a day", len(list))
	}
}

// TestBuyingAnOffer: an offer's id stands for its size and region.
func TestBuyingAnOffer(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	gpu := offers(t, w, billing.Native, opstest.Args{"min_gpus": 1, "region": "tor1"})[0]
	quoted := w.Must(p.Creds, "quote", opstest.Args{"offer_id": string(gpu.ID), "minutes": 60}).Out.(ops.QuoteOut)
	res, err := w.System.Dispatch(t.Context(), &ops.Call{
		Op: "create_server", Args: opstest.Args{"offer_id": string(gpu.ID), "minutes": 60}, Quote: quoted.QuoteID, Creds: p.Creds, Front: "http",
	})
	if err != nil {
		t.Fatal(err)
	}
	out := res.Out.(ops.CreateServerOut)
	if out.Size != gpu.Size || out.Region != "tor1" || out.TotalCharged != gpu.CreateFee+gpu.Hourly || out.TotalCharged != quoted.Total {
		t.Errorf("bought %+v, offered %+v, quoted %s", out, gpu, quoted.Total)
	}
	micro := offers(t, w, billing.Hourly, opstest.Args{"region": "fra"})[0]
	res, err = through(t, w, billing.Hourly, p.Creds, "create_server", opstest.Args{"offer_id": string(micro.ID), "lease": "hourly"})
	if err != nil {
		t.Fatal(err)
	}
	if out := res.Out.(ops.CreateServerOut); out.Size != "vc2-1c-1gb" || out.Region != "fra" || out.Image != "ubuntu-24-04-x64" || out.TotalCharged != 14_900 {
		t.Errorf("bought %+v", out)
	}
	res, err = through(t, w, billing.Instances, p.Creds, "create_server", opstest.Args{"size": "s-1vcpu-1gb", "region": "nyc3", "image": "debian12", "lease": "hourly"})
	if err != nil {
		t.Fatal(err)
	}
	if out := res.Out.(ops.CreateServerOut); out.Image != "debian12" || out.TotalCharged != 14_000 {
		t.Errorf("bought %+v", out)
	}
}

func TestOfferRefusals(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	for name, c := range map[string]struct {
		op   string
		args opstest.Args
		code berth.Code
		says string
	}{
		"nothing to buy":          {"create_server", opstest.Args{"minutes": 1}, berth.InvalidInput, "size: is required"},
		"no region":               {"create_server", opstest.Args{"size": "small"}, berth.InvalidInput, "region: is required"},
		"an offer and a size":     {"create_server", opstest.Args{"size": "small", "offer_id": "offer_000000000000000000000000"}, berth.InvalidInput, "leave those out"},
		"an offer of nobody":      {"create_server", opstest.Args{"offer_id": "offer_000000000000000000000000"}, berth.NotFound, "list_offers"},
		"a quote for nothing":     {"quote", opstest.Args{"minutes": 1}, berth.InvalidInput, ""},
		"a region of nowhere":     {"list_offers", opstest.Args{"region": "mars1"}, berth.UnknownRegion, "nyc1"},
		"a size of nothing":       {"list_offers", opstest.Args{"size": "huge"}, berth.UnknownSize, "small"},
		"a price of nothing":      {"list_offers", opstest.Args{"max_per_day": "cheap"}, berth.InvalidInput, ""},
		"after what is not there": {"list_offers", opstest.Args{"after": "offer_000000000000000000000000"}, berth.InvalidInput, ""},
		"a country by its name":   {"list_offers", opstest.Args{"country": "Germany"}, berth.InvalidInput, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Do(p.Creds, c.op, c.args)
			if e := wantError(t, err, c.code); !strings.Contains(e.Message+e.Hint, c.says) {
				t.Errorf("%q (%q) does not say %q", e.Message, e.Hint, c.says)
			}
		})
	}
}
