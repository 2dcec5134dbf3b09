package fleet_test

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// finish ends whatever actions run, without a scan in between.
func (s *sim) finish() {
	s.t.Helper()
	for {
		open, err := s.fleet.OpenActions(bg)
		if err != nil {
			s.t.Fatalf("open actions: %v", err)
		}
		if len(open) == 0 {
			return
		}
		s.mustEnd(open[0], fleet.ActionDone)
	}
}

// scanAll attends to everything that is due, and to what that started.
func (s *sim) scanAll() {
	s.t.Helper()
	for s.expire() > 0 {
		s.finish()
	}
}

// TestHourlyArithmetic lets random times pass and random money come and go, and
// counts the hours by itself: from delivery, and from each revival, an hour is
// paid for whenever one begins, and none while the server is suspended.
func TestHourlyArithmetic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		s := simOn(rt, openStore(t, temp(rt, dir)))
		const rate = 15_000
		srv := s.created(s.hourly())
		runFrom, hours := srv.Delivered, int64(1) // of the present run; of all
		inRun := int64(1)
		other := berth.Micros(0) // spent on something else
		for range rapid.IntRange(1, 25).Draw(rt, "rounds") {
			switch have := s.balance().Available(); {
			case have > 40_000 && rapid.Bool().Draw(rt, "spend"):
				left := berth.Micros(rapid.IntRange(0, 40_000).Draw(rt, "left"))
				s.leave(left)
				other += have - left
			case have < rate && rapid.Bool().Draw(rt, "credit"):
				s.credit(berth.Micros(rapid.IntRange(1, 100_000).Draw(rt, "amount")))
			}
			s.clock.Advance(time.Duration(rapid.IntRange(0, 4*3600*1000).Draw(rt, "ms")) * time.Millisecond)
			was, have := s.server(srv.ID), s.balance().Available()
			now := s.clock.Now()
			s.scanAll()
			is := s.server(srv.ID)
			if was.Status == fleet.Suspended && is.Status == fleet.Active && !is.Lease.PaidUntil.Equal(runFrom.Add(time.Duration(inRun)*time.Hour)) {
				runFrom, inRun = is.Lease.PaidUntil.Add(-time.Hour), 1
				hours++
				if have < rate || runFrom.Before(now) {
					rt.Fatalf("revived at %s with %s", runFrom, have)
				}
			} else if was.Status == fleet.Active {
				wanted := int64(now.Sub(runFrom)/time.Hour) + 1 - inRun
				paid := min(wanted, int64(have/rate))
				inRun, hours = inRun+paid, hours+paid
				if (paid < wanted) != (is.Status == fleet.Suspended) {
					rt.Fatalf("%d of %d hours are paid, and the server is %s", paid, wanted, is.Status)
				}
				if end := runFrom.Add(time.Duration(inRun) * time.Hour); !is.Lease.PaidUntil.Equal(end) {
					rt.Fatalf("paid until %s, want %s", is.Lease.PaidUntil, end)
				}
			}
			if b := s.balance(); b.Debited != 20_000+berth.Micros(hours)*rate+other || b.Held != 0 {
				rt.Fatalf("paid %s, held %s; %d hours make %s", b.Debited-other, b.Held, hours, 20_000+berth.Micros(hours)*rate)
			}
			if want := 20_000 + berth.Micros(hours)*rate; is.Price != want {
				rt.Fatalf("its price is %s, want %s", is.Price, want)
			}
			if !is.Status.Live() || is.Status == fleet.Destroying {
				return
			}
		}
	})
}

// TestDepositArithmetic lets random times pass between scans, top-ups and
// resizes, and computes what was used in fractions.
func TestDepositArithmetic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rates := map[string]berth.Micros{"small": 15_000, "medium": 45_000, "large": 155_000}
	rapid.Check(t, func(rt *rapid.T) {
		s := simOn(rt, openStore(t, temp(rt, dir)))
		o := s.deposit()
		o.Deposit = berth.Micros(rapid.IntRange(100_000, 5_000_000).Draw(rt, "deposit"))
		srv := s.created(o)
		fees, used := berth.Micros(20_000), berth.Micros(0)
		from, rate := srv.Delivered, rates["small"]
		usedNow := func(now time.Time) berth.Micros { // since from
			seconds := big.NewInt(int64(now.Sub(from) / time.Second))
			cost := seconds.Mul(seconds, big.NewInt(int64(rate)))
			return berth.Micros(cost.Quo(cost, big.NewInt(3600)).Int64())
		}
		for range rapid.IntRange(1, 12).Draw(rt, "rounds") {
			left := s.server(srv.ID).Lease.PaidUntil.Sub(s.clock.Now())
			if left < 2*time.Hour {
				break
			}
			s.clock.Advance(time.Duration(rapid.Int64Range(0, int64(left/2)).Draw(rt, "wait")))
			switch rapid.SampledFrom([]string{"scan", "top up", "resize"}).Draw(rt, "what") {
			case "scan":
				s.scanAll()
			case "top up":
				if err := s.more(srv.ID, fleet.More{Deposit: berth.Micros(rapid.IntRange(10_000, 3_000_000).Draw(rt, "amount"))}); err != nil {
					rt.Fatalf("top up: %v", err)
				}
			case "resize":
				size := rapid.SampledFrom([]string{"medium", "large"}).Draw(rt, "size")
				a, err := s.resize(srv.ID, size)
				if berth.CodeOf(err) == berth.Conflict { // it has that, or its disk can't shrink
					continue
				}
				if err != nil {
					rt.Fatalf("resize: %v", err)
				}
				s.mustEnd(a.ID, fleet.ActionDone)
				at := s.server(srv.ID).Lease.MeteredFrom
				used, fees = used+usedNow(at), fees+5_000
				from, rate = at, rates[size]
			}
			s.scanAll()
		}
		a, err := s.destroy(srv.ID, rapid.Bool().Draw(rt, "snapshot"))
		if err != nil {
			rt.Fatalf("destroy: %v", err)
		}
		used += usedNow(a.Created)
		s.mustEnd(a.ID, fleet.ActionDone)
		if b := s.balance(); b.Available() != 100*berth.Dollar-fees-used || b.Held != 0 || s.escrow(srv.ID) != 0 {
			rt.Fatalf("%s are there, want %s", b.Available(), 100*berth.Dollar-fees-used)
		}
		s.read(func(rx fleet.Rx) error {
			totals, err := rx.LedgerTotals(bg)
			for _, sum := range totals {
				if sum.Account == billing.Revenue && sum.Credited != fees+used {
					rt.Fatalf("the revenue is %s, want %s", sum.Credited, fees+used)
				}
			}
			return err
		})
	})
}

func TestRental(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	o := s.order()
	o.Period, o.Minutes, o.Days = fleet.Day, 0, 7
	srv := s.created(o)
	if paid := s.balance().Debited; paid != 20_000+2_394_000 || srv.Lease.Rate != 14_250 {
		t.Errorf("paid %s at %s an hour: a week is 168 × 0.015 less 5 percent", paid, srv.Lease.Rate)
	}
	s.clock.Advance(srv.Delivered.Add(50 * time.Hour).Sub(s.clock.Now()))
	if used, left := srv.RentalDays(s.clock.Now()); used != 2 || left != 5 {
		t.Errorf("%d days are used, and %d left; want 2 and 5 of 4.9", used, left)
	}
	wantCode(t, s.more(srv.ID, fleet.More{Days: 2}), berth.InvalidInput)
	wantCode(t, s.more(srv.ID, fleet.More{Minutes: 2}), berth.InvalidInput)
	if err := s.more(srv.ID, fleet.More{Days: 1}); err != nil {
		t.Fatal(err)
	}
	got := s.server(srv.ID)
	if !got.Lease.PaidUntil.Equal(srv.Lease.PaidUntil.Add(24*time.Hour)) || s.balance().Debited != 2_414_000+360_000 {
		t.Errorf("until %s, paid %s", got.Lease.PaidUntil, s.balance().Debited)
	}
	if got.Price != 2_414_000+360_000 {
		t.Errorf("its price is %s with the extension", got.Price)
	}
	if want := berth.Micros((14_250*118 + 15_000*24) / 142); got.Lease.Rate != want {
		t.Errorf("an hour that is left is worth %s, want %s", got.Lease.Rate, want)
	}
	s.settle(7*24*time.Hour, 20*time.Minute)
	if got := s.server(srv.ID).Status; got != fleet.Destroyed || s.events()["lease.warning"] == 0 {
		t.Errorf("at the end it is %s; events %v", got, s.events())
	}
}
