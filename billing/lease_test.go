package billing_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
	"berth/account"
	"berth/billing"
)

func TestLeasePrices(t *testing.T) {
	l := native(t)
	const retail, cost = account.Retail, account.Cost
	for name, c := range map[string]struct {
		price          func() (billing.Price, error)
		total, deposit string
	}{
		"the first hour of a small":         {func() (billing.Price, error) { return l.HourPrice(retail, "small") }, "0.035", "0"},
		"the first hour of a small at cost": {func() (billing.Price, error) { return l.HourPrice(cost, "small") }, "0.00893", "0"},
		"a day":                             {func() (billing.Price, error) { return l.RentPrice(retail, "small", 1) }, "0.38", "0"},
		"a week, less 5 percent":            {func() (billing.Price, error) { return l.RentPrice(retail, "small", 7) }, "2.414", "0"},
		"a month, less 10 percent":          {func() (billing.Price, error) { return l.RentPrice(retail, "large", 30) }, "100.54", "0"},
		"a month at cost, less nothing":     {func() (billing.Price, error) { return l.RentPrice(cost, "small", 30) }, "6.4296", "0"},
		"a week more":                       {func() (billing.Price, error) { return l.ProlongPrice(retail, "small", 7) }, "2.394", "0"},
		"a deposit of a day":                {func() (billing.Price, error) { return l.DepositPrice(retail, "small", 0) }, "0.38", "0.36"},
		"a deposit of 1 USD":                {func() (billing.Price, error) { return l.DepositPrice(retail, "small", berth.Dollar) }, "1.02", "1"},
		"a deposit at cost":                 {func() (billing.Price, error) { return l.DepositPrice(cost, "small", 0) }, "0.21432", "0.21432"},
		"a top-up":                          {func() (billing.Price, error) { return l.TopUpPrice(15_000, berth.Dollar) }, "1", "1"},
		"a larger size for a deposit":       {func() (billing.Price, error) { return l.ResizeDepositPrice(retail, 15_000, "medium", time.Hour) }, "0.035", "0.03"},
		"a smaller size for a deposit":      {func() (billing.Price, error) { return l.ResizeDepositPrice(retail, 155_000, "medium", time.Hour) }, "0.005", "0"},
	} {
		p, err := c.price()
		if err != nil || p.Total != micros(t, c.total) || p.Deposit != micros(t, c.deposit) {
			t.Errorf("%s: %s with a deposit of %s, %v; want %s with %s", name, p.Total, p.Deposit, err, c.total, c.deposit)
		}
	}
	if rate, err := l.RentRate(retail, "small", 7); err != nil || rate != 14_250 {
		t.Errorf("an hour of a week: %s, %v", rate, err)
	}
}

func TestLeaseRefusals(t *testing.T) {
	l := native(t)
	const retail = account.Retail
	_, duration := l.RentPrice(retail, "small", 3)
	if berth.CodeOf(duration) != berth.InvalidInput || !strings.Contains(duration.Error(), "1, 7, 30") {
		t.Errorf("a duration that is not offered: %v", duration)
	}
	_, prolong := l.ProlongPrice(retail, "small", 2)
	_, little := l.DepositPrice(retail, "small", 249) // a minute is 250
	_, much := l.DepositPrice(retail, "small", 132*berth.Dollar)
	_, topUp := l.TopUpPrice(15_000, 1)
	for name, err := range map[string]error{"prolong": prolong, "little": little, "much": much, "top-up": topUp} {
		if berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, hour := l.HourPrice(retail, "giant")
	_, rent := l.RentPrice(retail, "giant", 1)
	_, deposit := l.DepositPrice(retail, "giant", 0)
	_, resize := l.ResizeDepositPrice(retail, 1, "giant", time.Hour)
	for _, err := range []error{hour, rent, deposit, resize} {
		if berth.CodeOf(err) != berth.UnknownSize {
			t.Errorf("a size that there is not: %v", err)
		}
	}
}

// TestMetering checks that an amount pays exactly for the seconds that it lasts,
// and that covering a time is enough for it and no micro-dollar too much.
func TestMetering(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := berth.Micros(rapid.Int64Range(1, int64(1000*berth.Dollar)).Draw(rt, "rate"))
		amount := berth.Micros(rapid.Int64Range(0, int64(billing.MaxAmount)).Draw(rt, "amount"))
		lasts := billing.Lasts(rate, amount)
		if used := billing.Metered(rate, lasts); used > amount {
			rt.Fatalf("%s at %s lasts %s, which costs %s", amount, rate, lasts, used)
		}
		if next := lasts + time.Second; lasts < 36_500*24*time.Hour && billing.Covering(rate, next) <= amount {
			rt.Fatalf("%s at %s lasts %s, and would last a second more", amount, rate, lasts)
		}
		d := time.Duration(rapid.Int64Range(0, int64(10*365*24*time.Hour)).Draw(rt, "time"))
		need := billing.Covering(rate, d)
		if billing.Lasts(rate, need) < d || need > 0 && billing.Lasts(rate, need-1) >= d+time.Second {
			rt.Fatalf("%s at %s takes %s, which lasts %s", d, rate, need, billing.Lasts(rate, need))
		}
		if part := d / 2; billing.Metered(rate, part) > billing.Metered(rate, d) {
			rt.Fatalf("less time costs more")
		}
	})
}
