package billing

import (
	"fmt"
	"time"

	"berth"
)

// link checks a price list against what things cost, makes the sizes of its
// rates, and finds what it refers to.
func (l *PriceList) link(path string, c *Catalog) (problems []error) {
	l.catalog = c
	problems = append(problems, wanted(path+".servers", l.Servers >= 1 && l.Servers <= 10_000, "a number from 1 to 10000")...)
	problems = append(problems, wanted(path+".history", l.History >= 0 && l.History <= 10*365*24*time.Hour, "a duration from 0s to 87600h")...)
	problems = append(problems, wanted(path+".per_minute", l.PerMinute >= 0 && l.PerMinute <= 1_000_000, "a number from 0 to 1000000")...)
	ok := l.Margin >= 0 && l.Margin <= maxMargin
	problems = append(problems, wanted(path+".margin", ok, "a percentage from 0 to 1000")...)
	problems = append(problems, l.linkRegions(path+".regions")...)
	problems = append(problems, l.linkImages(path+".images")...)
	problems = append(problems, l.Leases.link(path+".leases")...)
	problems = append(problems, covers(path+".snapshot_gb_day", l.SnapshotGBDay, c.SnapshotGBDayCost, 0, l.Margin)...)
	problems = append(problems, l.linkSizes(path)...)
	ok = l.FreeRetention >= 0 && l.FreeRetention <= 365*24*time.Hour
	problems = append(problems, wanted(path+".free_retention", ok, "a duration from 0s to 8760h")...)
	for _, fee := range fees {
		amount, ok := l.Fees[fee]
		problems = append(problems, wanted(path+".fees."+string(fee), ok && amount >= 0 && amount <= maxPrice, anAmount)...)
	}
	if len(l.Fees) > len(fees) {
		problems = append(problems, fmt.Errorf("%s.fees: only %v are known", path, fees))
	}
	return problems
}

// linkRegions finds the regions that are sold: all where none is named.
func (l *PriceList) linkRegions(path string) (problems []error) {
	if l.Regions == nil {
		for _, r := range l.catalog.Regions {
			l.Regions = append(l.Regions, SoldRegion{Slug: r.Slug})
		}
	}
	problems = checkSlugs(path, l.Regions)
	seen := map[string]bool{}
	for i := range l.Regions {
		r := &l.Regions[i]
		if r.RegionSlug == "" {
			r.RegionSlug = r.Slug
		}
		var err error
		if r.Region, err = l.catalog.Region(r.RegionSlug); err != nil {
			problems = append(problems, fmt.Errorf("%s.%s: %w", path, r.Slug, err))
		}
		problems = append(problems, once(path+"."+r.Slug, seen, r.RegionSlug)...)
	}
	return problems
}

// linkImages finds the images that are sold: all where none is named.
func (l *PriceList) linkImages(path string) (problems []error) {
	if l.Images == nil {
		for _, i := range l.catalog.Images {
			l.Images = append(l.Images, SoldImage{Slug: i.Slug})
		}
	}
	problems = checkSlugs(path, l.Images)
	seen := map[string]bool{}
	for k := range l.Images {
		i := &l.Images[k]
		if i.ImageSlug == "" {
			i.ImageSlug = i.Slug
		}
		var err error
		if i.Image, err = l.catalog.Image(i.ImageSlug); err != nil {
			problems = append(problems, fmt.Errorf("%s.%s: %w", path, i.Slug, err))
		}
		problems = append(problems, once(path+"."+i.Slug, seen, i.ImageSlug)...)
	}
	return problems
}

// linkSizes makes the sizes of the rates and checks all sizes.
func (l *PriceList) linkSizes(path string) (problems []error) {
	if l.Rates != nil {
		if problems = l.Rates.link(path + ".rates"); len(problems) > 0 {
			return problems
		}
		l.Sizes = append(l.Sizes, l.Rates.sizes(l.catalog.Machines, l.Sizes)...)
	}
	path += ".sizes"
	problems = checkSlugs(path, l.Sizes)
	seen := map[string]bool{}
	for i := range l.Sizes {
		s := &l.Sizes[i]
		problems = append(problems, s.link(path+"."+s.Slug, l)...)
		problems = append(problems, once(path+"."+s.Slug, seen, s.MachineSlug)...)
	}
	return problems
}

// link checks a size of a list and finds its machine.
func (s *Size) link(path string, l *PriceList) (problems []error) {
	machine, err := find(l.catalog.Machines, s.MachineSlug, berth.UnknownSize, "machine")
	if err != nil {
		return append(problems, fmt.Errorf("%s.machine: %w", path, err))
	}
	s.Machine = machine
	problems = append(problems, wanted(path+".create_fee", s.CreateFee >= 0 && s.CreateFee <= maxPrice, anAmount)...)
	return append(problems, covers(path+".hourly", s.Hourly, machine.HourlyCost, l.Leases.discount(), l.Margin)...)
}

// once refuses a second name for the same thing, which could not be told from
// the first when a server is shown.
func once(path string, seen map[string]bool, slug string) []error {
	was := seen[slug]
	seen[slug] = true
	if was {
		return []error{fmt.Errorf("%s: %s is sold under another name already", path, slug)}
	}
	return nil
}
