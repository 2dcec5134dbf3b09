package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/provider"
)

const (
	// accountAge is how often the account's standing is looked at while it is
	// good.
	accountAge = time.Hour

	// refusalAge is how long the provider's refusal of a machine counts for
	// more than its catalog.
	refusalAge = 5 * time.Minute

	// nearlyFull is how much of the account's limit may be used, in percent,
	// before the operator is told.
	nearlyFull = 90
)

// capacity is what the provider can deliver and at what cost, as last read.
// The price list says what Berth asks for it; the provider's own catalog only
// says what is to be had, and when a price no longer covers its cost.
type capacity struct {
	mu      sync.Mutex
	catalog *provider.Catalog // nil until it was read
	account provider.Account
	looked  time.Time // when account was read
	full    time.Time // when the account's limit refused a machine
	soldOut map[place]time.Time
	told    map[string]berth.Micros // the costs that the operator was told of, by machine
}

// place is a size in a region, in the provider's slugs.
type place struct{ size, region string }

// refused notes what a refused create says about the next one's chances.
func (c *capacity) refused(spec provider.Spec, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch provider.KindOf(err) {
	case provider.OutOfCapacity:
		if c.soldOut == nil {
			c.soldOut = map[place]time.Time{}
		}
		c.soldOut[place{spec.Size, spec.Region}] = now
	case provider.Limit:
		c.full = now
	}
}

// taken notes that the account has one machine more.
func (c *capacity) taken() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account.Machines++
}

// freed notes that the account has one machine less.
func (c *capacity) freed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full = time.Time{}
	c.account.Machines = max(0, c.account.Machines-1)
}

// Refresh reads what the provider can deliver now and how the account stands,
// against which orders are checked. Until it has succeeded once, only Berth's
// own catalog is known.
func (f *Fleet) Refresh(ctx context.Context) error {
	ctx = provider.DefaultPriority(ctx, provider.Upkeep)
	return errors.Join(f.refreshCatalog(ctx), f.refreshAccount(ctx))
}

func (f *Fleet) refreshCatalog(ctx context.Context) error {
	c, err := f.Provider.Catalog(ctx)
	if err != nil {
		return fmt.Errorf("read the provider's catalog: %w", err)
	}
	f.capacity.mu.Lock()
	defer f.capacity.mu.Unlock()
	f.capacity.catalog = &c
	for _, s := range c.Sizes {
		f.tellCost(ctx, s)
	}
	return nil
}

// tellCost tells the operator, once, of a machine that costs more than the
// catalog says, and which sizes are not sold therefore. The caller holds the
// lock.
func (f *Fleet) tellCost(ctx context.Context, s provider.Size) {
	m, err := f.Catalog.Machine(s.Slug)
	if err != nil || s.Hourly <= m.HourlyCost || f.capacity.told[s.Slug] == s.Hourly {
		return // nothing is made of it, or all is well, or known
	}
	if f.capacity.told == nil {
		f.capacity.told = map[string]berth.Micros{}
	}
	f.capacity.told[s.Slug] = s.Hourly
	level, what := slog.LevelWarn, "a machine costs more than the catalog says: its margin is smaller"
	unsold := f.belowCost(s)
	if len(unsold) > 0 {
		level, what = slog.LevelError, "a machine costs more than its price: sizes are not sold until the catalog is corrected"
	}
	f.Log.Log(ctx, level, what, slog.String("machine", s.Slug), slog.Any("listed_cost", m.HourlyCost),
		slog.Any("cost", s.Hourly), slog.String("not_sold", strings.Join(unsold, ", ")))
}

// belowCost are the sizes of all contracts whose price does not cover what their
// machine costs now.
func (f *Fleet) belowCost(s provider.Size) (names []string) {
	for _, k := range billing.Contracts {
		for _, size := range f.prices(k).Sizes {
			if size.MachineSlug == s.Slug && size.Hourly < s.Hourly {
				names = append(names, string(k)+"/"+size.Slug)
			}
		}
	}
	return names
}

// refreshAccount looks at the account: every hour while all is well, else every
// time.
func (f *Fleet) refreshAccount(ctx context.Context) error {
	c := &f.capacity
	c.mu.Lock()
	last, looked := c.account, c.looked
	c.mu.Unlock()
	well := last.Standing == provider.Good && !crowded(last)
	if well && f.Now().Sub(looked) < accountAge {
		return nil
	}
	a, err := f.Provider.Account(ctx)
	if err != nil {
		return fmt.Errorf("read the provider's account: %w", err)
	}
	c.mu.Lock()
	c.account, c.looked = a, f.Now()
	c.mu.Unlock()
	f.tellAccount(ctx, last, a)
	return nil
}

// crowded tells whether the account's limit is nearly reached.
func crowded(a provider.Account) bool {
	return a.MachineLimit > 0 && a.Machines*100 >= a.MachineLimit*nearlyFull
}

// tellAccount tells the operator of what changed for the worse.
func (f *Fleet) tellAccount(ctx context.Context, before, now provider.Account) {
	message := slog.String("message", now.Message)
	switch {
	case now.Standing == before.Standing && now.Message == before.Message:
	case now.Standing == provider.Locked:
		f.Log.ErrorContext(ctx, "the provider has locked the account: no servers can be made", message)
	case now.Standing == provider.Warned:
		f.Log.WarnContext(ctx, "the provider warns about the account", message)
	}
	count := slog.Group("machines", slog.Int("have", now.Machines), slog.Int("limit", now.MachineLimit))
	switch {
	case now.Full() && !before.Full():
		f.Log.ErrorContext(ctx, "the account's limit is reached: no servers can be made", count)
	case crowded(now) && !crowded(before):
		f.Log.WarnContext(ctx, "the account's limit is nearly reached", count)
	}
}

// checkCapacity refuses a size that can't be delivered in a region, or only
// below its cost. It names what is to be had instead.
func (f *Fleet) checkCapacity(list *billing.PriceList, size billing.Size, region billing.Region, t account.Tariff) error {
	c := &f.capacity
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.account.Standing == provider.Locked:
		return berth.Errorf(berth.Unavailable, "no servers can be made at present").
			Hinted("Servers that are there are not affected. Tell the operator that the provider's account is locked.")
	case f.full():
		e := berth.Errorf(berth.OutOfCapacity, "this deployment has as many servers as it can have").
			Hinted("Destroy one that is not needed, try again later, or tell the operator.")
		e.RetryAfter = refusalAge
		return e
	case c.catalog == nil || f.deliverable(size, region, t):
		return nil
	}
	return outOfCapacity(size.Slug, list.RegionName(region.Slug), f.regionsWith(list, size, t), f.sizesIn(list, region, t))
}

// full tells whether the account's limit is reached, or refused a machine just
// now. The caller holds the lock.
func (f *Fleet) full() bool {
	c := &f.capacity
	return c.account.Full() || !c.full.IsZero() && f.Now().Sub(c.full) < refusalAge
}

// Stock tells what can be delivered now.
type Stock struct {
	fleet  *Fleet
	tariff account.Tariff
	known  bool // the provider's catalog was read
	none   bool // nothing can be made at all
}

// Stock is what can be delivered now under a tariff.
func (f *Fleet) Stock(t account.Tariff) Stock {
	c := &f.capacity
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stock{fleet: f, tariff: t, known: c.catalog != nil, none: c.account.Standing == provider.Locked || f.full()}
}

// Has tells whether a server of a size can be made in a region. It is not known
// until the provider's catalog was read once.
func (s Stock) Has(size billing.Size, region billing.Region) (has, known bool) {
	if !s.known {
		return false, false
	}
	c := &s.fleet.capacity
	c.mu.Lock()
	defer c.mu.Unlock()
	return !s.none && s.fleet.deliverable(size, region, s.tariff), true
}

// deliverable tells whether the provider has a size in a region, and at a cost
// that its price covers. An operator's own agent, who pays the cost, may have
// it at any. The caller holds the lock.
func (f *Fleet) deliverable(size billing.Size, region billing.Region, t account.Tariff) bool {
	c := &f.capacity
	if at, ok := c.soldOut[place{size.Machine.Slug, region.Provider}]; ok && f.Now().Sub(at) < refusalAge {
		return false
	}
	open := slices.ContainsFunc(c.catalog.Regions, func(r provider.Region) bool {
		return r.Slug == region.Provider && r.Available
	})
	return open && slices.ContainsFunc(c.catalog.Sizes, func(s provider.Size) bool {
		covered := s.Hourly <= size.Hourly || t == account.Cost
		return s.Slug == size.Machine.Slug && s.Available && covered && slices.Contains(s.Regions, region.Provider)
	})
}

// regionsWith are the list's regions where a size is to be had.
func (f *Fleet) regionsWith(list *billing.PriceList, size billing.Size, t account.Tariff) (names []string) {
	for _, sold := range [][]billing.SoldRegion{billing.Listed(list.Regions), list.Regions} {
		for _, r := range sold {
			if f.deliverable(size, r.Region, t) {
				names = append(names, r.Slug)
			}
		}
		if len(names) > 0 {
			break // those that are not listed are named where no other has it
		}
	}
	return names
}

// sizesIn are the list's sizes for new servers that are to be had in a region.
func (f *Fleet) sizesIn(list *billing.PriceList, region billing.Region, t account.Tariff) (slugs []string) {
	for _, s := range billing.Listed(list.NewSizes()) {
		if f.deliverable(s, region, t) {
			slugs = append(slugs, s.Slug)
		}
	}
	return slugs
}

// outOfCapacity is the refusal of a size in a region, with what there is.
func outOfCapacity(size, region string, regions, sizes []string) *berth.Error {
	var instead []string
	if len(regions) > 0 {
		instead = append(instead, fmt.Sprintf("size %s in %s", size, strings.Join(regions, ", ")))
	}
	if len(sizes) > 0 {
		instead = append(instead, fmt.Sprintf("in %s the sizes %s", region, strings.Join(sizes, ", ")))
	}
	e := berth.Errorf(berth.OutOfCapacity, "size %s is not to be had in %s now", size, region)
	if len(instead) == 0 {
		return e.Hinted("No region has it at present. Choose another size and region, or try again later.")
	}
	return e.Hinted("To be had are: %s.", strings.Join(instead, "; "))
}
