package billing_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth"
	"berth/account"
	"berth/billing"
)

func native(t testing.TB) *billing.PriceList {
	t.Helper()
	return billing.DefaultCatalog().Prices[billing.Native]
}

// micros reads an amount that the test itself wrote.
func micros(t testing.TB, s string) berth.Micros {
	t.Helper()
	m, err := berth.ParseMicros(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPrices(t *testing.T) {
	l := native(t)
	create := func(tariff account.Tariff, size string, minutes int) func() (billing.Price, error) {
		return func() (billing.Price, error) { return l.CreatePrice(tariff, size, minutes) }
	}
	extend := func(tariff account.Tariff, size string, minutes int) func() (billing.Price, error) {
		return func() (billing.Price, error) { return l.ExtendPrice(tariff, size, minutes) }
	}
	keep := func(tariff account.Tariff, bytes int64, days int) func() (billing.Price, error) {
		return func() (billing.Price, error) { return l.RetentionPrice(tariff, bytes, days) }
	}
	resize := func(tariff account.Tariff, from, to string, left time.Duration) func() (billing.Price, error) {
		return func() (billing.Price, error) { return l.ResizePrice(tariff, from, to, left) }
	}
	fee := func(tariff account.Tariff, f billing.Fee) func() (billing.Price, error) {
		return func() (billing.Price, error) { return l.FeePrice(tariff, f), nil }
	}
	const retail, cost = account.Retail, account.Cost
	for name, c := range map[string]struct {
		price func() (billing.Price, error)
		want  string
	}{
		"a small for a minute":                {create(retail, "small", 1), "0.02025"},
		"a small for an hour":                 {create(retail, "small", 60), "0.035"},
		"a medium for an hour":                {create(retail, "medium", 60), "0.095"},
		"a large for an hour":                 {create(retail, "large", 60), "0.255"},
		"a large for a minute, rounded up":    {create(retail, "large", 1), "0.102584"},
		"a small for a leap year":             {create(retail, "small", 527040), "131.78"},
		"a small for a minute at cost":        {create(cost, "small", 1), "0.000149"},
		"a small for an hour at cost":         {create(cost, "small", 60), "0.00893"},
		"a large for a day at cost":           {create(cost, "large", 1440), "1.71432"},
		"a minute more, the minimum":          {extend(retail, "small", 1), "0.01"},
		"40 minutes more are the minimum":     {extend(retail, "small", 40), "0.01"},
		"41 minutes more are above it":        {extend(retail, "small", 41), "0.01025"},
		"a day more of a large":               {extend(retail, "large", 1440), "3.72"},
		"a minute more at cost":               {extend(cost, "small", 1), "0.000149"},
		"2.5 GB for 30 days":                  {keep(retail, 2_500_000_000, 30), "0.20025"},
		"1 GB for a day, the minimum":         {keep(retail, 1_000_000_000, 1), "0.01"},
		"1 GB for 4 days":                     {keep(retail, 1_000_000_000, 4), "0.01068"},
		"25 GB for a year":                    {keep(retail, 25_000_000_000, 365), "24.36375"},
		"4 GB and a byte, rounded up":         {keep(retail, 4_000_000_001, 1), "0.010681"},
		"nothing stored, the minimum":         {keep(retail, 0, 1), "0.01"},
		"1 MB for a day at cost":              {keep(cost, 1_000_000, 1), "0.000002"},
		"2.5 GB for 30 days at cost":          {keep(cost, 2_500_000_000, 30), "0.15"},
		"small to medium with an hour left":   {resize(retail, "small", "medium", time.Hour), "0.035"},
		"small to medium, 59 min 1 s left":    {resize(retail, "small", "medium", 59*time.Minute+time.Second), "0.035"},
		"small to large with a second left":   {resize(retail, "small", "large", time.Second), "0.007334"},
		"medium to small gives nothing back":  {resize(retail, "medium", "small", time.Hour), "0.005"},
		"small to large with no time left":    {resize(retail, "small", "large", -time.Hour), "0.005"},
		"small to medium for an hour at cost": {resize(cost, "small", "medium", time.Hour), "0.01786"},
		"medium to small at cost":             {resize(cost, "medium", "small", time.Hour), "0"},
		"reboot":                              {fee(retail, billing.FeeReboot), "0.005"},
		"power":                               {fee(retail, billing.FeePower), "0.005"},
		"rebuild":                             {fee(retail, billing.FeeRebuild), "0.005"},
		"key":                                 {fee(retail, billing.FeeKey), "0.001"},
		"snapshot":                            {fee(retail, billing.FeeSnapshot), "0.01"},
		"snapshot at cost":                    {fee(cost, billing.FeeSnapshot), "0"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.price()
			if err != nil {
				t.Fatal(err)
			}
			if want := micros(t, c.want); got.Total != want {
				t.Errorf("total = %s, want %s (%+v)", got.Total, want, got.Lines)
			}
			if got.Lines == nil {
				t.Error("lines are nil: they would be null in JSON")
			}
		})
	}
}

func TestPriceLines(t *testing.T) {
	l := native(t)
	for name, c := range map[string]struct {
		price func() (billing.Price, error)
		want  []billing.Line
	}{
		"create": {
			func() (billing.Price, error) { return l.CreatePrice(account.Retail, "small", 60) },
			[]billing.Line{
				{Item: "create fee", Quantity: "1", Unit: "call", UnitPrice: "0.02", Amount: 20_000},
				{Item: "compute small", Quantity: "60", Unit: "minute", UnitPrice: "0.00025", Amount: 15_000},
			},
		},
		"a unit price without end": {
			func() (billing.Price, error) { return l.ExtendPrice(account.Retail, "large", 10) },
			[]billing.Line{
				{Item: "compute large", Quantity: "10", Unit: "minute", UnitPrice: "0.002583333", Amount: 25_833},
			},
		},
		"minimum": {
			func() (billing.Price, error) { return l.RetentionPrice(account.Retail, 500_000_000, 2) },
			[]billing.Line{
				{Item: "snapshot retention", Quantity: "1", Unit: "GB-day", UnitPrice: "0.00267", Amount: 2670},
				{Item: "up to the minimum charge", Quantity: "1", Unit: "call", UnitPrice: "0.00733", Amount: 7330},
			},
		},
		"free": {
			func() (billing.Price, error) { return l.FeePrice(account.Cost, billing.FeeKey), nil },
			[]billing.Line{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.price()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPriceRefusals(t *testing.T) {
	l := native(t)
	for name, c := range map[string]struct {
		price func() (billing.Price, error)
		want  berth.Code
	}{
		"unknown size":       {func() (billing.Price, error) { return l.CreatePrice("retail", "huge", 1) }, berth.UnknownSize},
		"no minutes":         {func() (billing.Price, error) { return l.CreatePrice("retail", "small", 0) }, berth.InvalidInput},
		"more than a year":   {func() (billing.Price, error) { return l.CreatePrice("retail", "small", 527041) }, berth.InvalidInput},
		"extend unknown":     {func() (billing.Price, error) { return l.ExtendPrice("retail", "", 1) }, berth.UnknownSize},
		"extend by nothing":  {func() (billing.Price, error) { return l.ExtendPrice("retail", "small", -1) }, berth.InvalidInput},
		"keep for 366 days":  {func() (billing.Price, error) { return l.RetentionPrice("retail", 1, 366) }, berth.InvalidInput},
		"keep less than 0 B": {func() (billing.Price, error) { return l.RetentionPrice("retail", -1, 1) }, berth.Internal},
		"resize from": {func() (billing.Price, error) {
			return l.ResizePrice("retail", "x", "small", 0)
		}, berth.UnknownSize},
		"resize to": {func() (billing.Price, error) {
			return l.ResizePrice("retail", "small", "x", 0)
		}, berth.UnknownSize},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.price(); err == nil || berth.CodeOf(err) != c.want {
				t.Errorf("error = %v, want %s", err, c.want)
			}
		})
	}
}

// TestPriceRounding holds every price against exact arithmetic: the total is
// the least amount not below the true price.
func TestPriceRounding(t *testing.T) {
	l := native(t)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom(l.Sizes).Draw(t, "size")
		minutes := rapid.IntRange(1, 527040).Draw(t, "minutes")
		got, err := l.CreatePrice(account.Retail, size.Slug, minutes)
		if err != nil {
			t.Fatal(err)
		}
		// In sixtieths of a micro-dollar everything is whole.
		exact := big.NewInt(60*int64(size.CreateFee) + int64(size.Hourly)*int64(minutes))
		over := new(big.Int).Sub(big.NewInt(60*int64(got.Total)), exact)
		if over.Sign() < 0 || over.Cmp(big.NewInt(60)) >= 0 {
			t.Fatalf("%d minutes of %s: %s is not the price rounded up", minutes, size.Slug, got.Total)
		}
	})
}
