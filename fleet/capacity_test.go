package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/provider"
)

// alterSize changes what the cloud says about one of its sizes.
func alterSize(c *fleettest.Cloud, slug string, alter func(*provider.Size)) {
	c.Stock.Sizes = slices.Clone(c.Stock.Sizes)
	for i := range c.Stock.Sizes {
		if c.Stock.Sizes[i].Slug == slug {
			alter(&c.Stock.Sizes[i])
		}
	}
}

// TestCapacity orders what the provider can't deliver, or not at its price:
// nothing is charged or made, and the refusal names what there is.
func TestCapacity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		alter func(*fleettest.Cloud)
		order func(*fleet.CreateOrder)
		code  berth.Code // empty: it is sold
		hint  string
		log   string // what the operator is told; empty: nothing
	}{
		"all is there": {},
		"the region lacks the size": {
			order: func(o *fleet.CreateOrder) { o.Size, o.Region = "large", "ams3" },
			code:  berth.OutOfCapacity, hint: "To be had are: size large in nyc1, sfo3; in ams3 the sizes small, medium.",
		},
		"the region is closed": {
			alter: func(c *fleettest.Cloud) {
				c.Stock.Regions = slices.Clone(c.Stock.Regions)
				c.Stock.Regions[0].Available = false
			},
			code: berth.OutOfCapacity, hint: "To be had are: size small in sfo3, ams3.",
		},
		"the region is gone": {
			alter: func(c *fleettest.Cloud) { c.Stock.Regions = c.Stock.Regions[1:] },
			code:  berth.OutOfCapacity, hint: "To be had are: size small in sfo3, ams3.",
		},
		"the size is withdrawn": {
			alter: func(c *fleettest.Cloud) { alterSize(c, "s-1vcpu-1gb", func(s *provider.Size) { s.Available = false }) },
			code:  berth.OutOfCapacity, hint: "To be had are: in nyc1 the sizes medium, large.",
		},
		"the size is unknown": {
			alter: func(c *fleettest.Cloud) { c.Stock.Sizes = c.Stock.Sizes[1:] },
			code:  berth.OutOfCapacity, hint: "To be had are: in nyc1 the sizes medium, large.",
		},
		"nothing is there": {
			alter: func(c *fleettest.Cloud) { c.Stock.Sizes = nil },
			code:  berth.OutOfCapacity, hint: "No region has it at present. Choose another size and region, or try again later.",
		},
		"it costs less": {
			alter: func(c *fleettest.Cloud) { alterSize(c, "s-1vcpu-1gb", func(s *provider.Size) { s.Hourly = 8_000 }) },
		},
		"it costs more, within the margin": {
			alter: func(c *fleettest.Cloud) { alterSize(c, "s-1vcpu-1gb", func(s *provider.Size) { s.Hourly = 8_931 }) },
			log:   "level=WARN",
		},
		"it costs more than its price in other contracts": {
			alter: func(c *fleettest.Cloud) { alterSize(c, "s-1vcpu-1gb", func(s *provider.Size) { s.Hourly = 14_500 }) },
			log:   `not_sold="instances/s-1vcpu-1gb, rentals/s-1vcpu-1gb"`,
		},
		"it costs more than its price in its own contract": {
			alter: func(c *fleettest.Cloud) { alterSize(c, "s-1vcpu-1gb", func(s *provider.Size) { s.Hourly = 14_950 }) },
			order: func(o *fleet.CreateOrder) { o.Contract, o.Size, o.Region = billing.Hourly, "vc2-1c-1gb", "ams" },
			code:  berth.OutOfCapacity, hint: "To be had are: in ams the sizes vc2-1c-2gb.", log: "hourly/vc2-1c-1gb",
		},
		"it costs more than its price": {
			alter: func(c *fleettest.Cloud) { alterSize(c, "s-1vcpu-1gb", func(s *provider.Size) { s.Hourly = 15_001 }) },
			code:  berth.OutOfCapacity, hint: "To be had are: in nyc1 the sizes medium, large.", log: "level=ERROR",
		},
		"it costs more than its price, for the operator's own": {
			alter: func(c *fleettest.Cloud) { alterSize(c, "s-1vcpu-1gb", func(s *provider.Size) { s.Hourly = 15_001 }) },
			order: func(o *fleet.CreateOrder) { o.Owner.Tariff = account.Cost }, log: "level=ERROR",
		},
		"the account is warned": {
			alter: func(c *fleettest.Cloud) { c.Standing = provider.Account{Standing: provider.Warned, Message: "pay"} },
			log:   "level=WARN",
		},
		"the account is locked": {
			alter: func(c *fleettest.Cloud) { c.Standing = provider.Account{Standing: provider.Locked, Message: "pay"} },
			code:  berth.Unavailable, hint: "the provider's account is locked", log: "level=ERROR",
		},
		"the account is nearly full": {
			alter: func(c *fleettest.Cloud) {
				c.Standing = provider.Account{Standing: provider.Good, MachineLimit: 10, Machines: 9}
			},
			log: "level=WARN",
		},
		"the account is full": {
			alter: func(c *fleettest.Cloud) {
				c.Standing = provider.Account{Standing: provider.Good, MachineLimit: 10, Machines: 10}
			},
			code: berth.OutOfCapacity, hint: "Destroy one that is not needed", log: "level=ERROR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			if c.alter != nil {
				c.alter(s.cloud)
			}
			for range 3 { // the operator is told once
				if err := s.fleet.Refresh(bg); err != nil {
					t.Fatal(err)
				}
			}
			told := strings.TrimSpace(s.log.String())
			if !strings.Contains(told, c.log) || (told == "") != (c.log == "") || strings.Contains(told, "\n") {
				t.Errorf("the operator is told %q, want one line with %q", told, c.log)
			}
			before := s.balance()
			o := s.order()
			if c.order != nil {
				c.order(&o)
			}
			_, _, err := s.create(o)
			if c.code == "" {
				if err != nil {
					t.Errorf("it is refused: %v", err)
				}
				return
			}
			wantCode(t, err, c.code)
			if e, _ := errors.AsType[*berth.Error](err); !strings.Contains(e.Hint, c.hint) {
				t.Errorf("hint %q, want %q", e.Hint, c.hint)
			}
			if s.balance() != before || s.cloud.Created() > 0 {
				t.Errorf("the refusal cost %+v, was %+v", s.balance(), before)
			}
		})
	}
}

// TestStock: what can be delivered is unknown until the provider's catalog was
// read, and nothing while the account is full.
func TestStock(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	l := s.fleet.Catalog.Prices[billing.Native]
	large, err := l.Size("large")
	if err != nil {
		t.Fatal(err)
	}
	has := func(region string) (bool, bool) {
		r, err := l.Region(region)
		if err != nil {
			t.Fatal(err)
		}
		return s.fleet.Stock(account.Retail).Has(large, r)
	}
	if has, known := has("nyc1"); has || known {
		t.Errorf("before anything was read: %v, %v", has, known)
	}
	if err := s.fleet.Refresh(bg); err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]bool{"nyc1": true, "ams3": false, "fra1": false} {
		if has, known := has(region); has != want || !known {
			t.Errorf("%s: %v, %v", region, has, known)
		}
	}
	s.cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Limit})
	_, a, err := s.create(s.order())
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionFailed)
	if has, known := has("nyc1"); has || !known {
		t.Errorf("while the account is full: %v, %v", has, known)
	}
}

// TestRefusalIsRemembered: what the provider has just refused is not sold to
// the next one, whatever its catalog says, for some minutes.
func TestRefusalIsRemembered(t *testing.T) {
	t.Parallel()
	for _, kind := range []provider.Kind{provider.OutOfCapacity, provider.Limit} {
		s := newSim(t)
		if err := s.fleet.Refresh(bg); err != nil {
			t.Fatal(err)
		}
		s.cloud.Fail(fleettest.Create, fleettest.Fault{Kind: kind})
		_, a, err := s.create(s.order())
		if err != nil {
			t.Fatal(err)
		}
		s.mustEnd(a.ID, fleet.ActionFailed)
		_, _, err = s.create(s.order())
		wantCode(t, err, berth.OutOfCapacity)
		elsewhere := s.order()
		elsewhere.Region = "sfo3"
		if _, _, err = s.create(elsewhere); (err == nil) != (kind == provider.OutOfCapacity) {
			t.Errorf("%s: elsewhere: %v", kind, err)
		}
		s.clock.Advance(5 * time.Minute)
		s.created(s.order())
	}
}

// TestAccountIsWatched: the account is looked at every hour while all is well,
// and else every time, so that what has been put right is seen soon.
func TestAccountIsWatched(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	refresh := func(want int) {
		t.Helper()
		if err := s.fleet.Refresh(bg); err != nil {
			t.Fatal(err)
		}
		if n := s.cloud.Calls(fleettest.Account); n != want {
			t.Errorf("the account was looked at %d times, want %d", n, want)
		}
	}
	refresh(1)
	refresh(1)
	s.clock.Advance(time.Hour)
	s.cloud.Standing.Standing = provider.Locked
	refresh(2)
	_, _, err := s.create(s.order())
	wantCode(t, err, berth.Unavailable)
	refresh(3)
	s.cloud.Standing.Standing = provider.Good
	refresh(4)
	s.created(s.order())
	refresh(4)
}

// TestAccountFillsUp: machines that are made and removed count at once.
func TestAccountFillsUp(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.cloud.Standing.MachineLimit = 1
	if err := s.fleet.Refresh(bg); err != nil {
		t.Fatal(err)
	}
	srv := s.created(s.order())
	_, _, err := s.create(s.order())
	wantCode(t, err, berth.OutOfCapacity)
	a, err := s.destroy(srv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	s.created(s.order())
}
