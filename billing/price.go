package billing

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"berth"
	"berth/account"
)

// bytesPerGB makes a snapshot's gigabytes, as the provider counts them.
const bytesPerGB = 1_000_000_000

// maxSnapshotBytes bounds what retention is priced for: a petabyte.
const maxSnapshotBytes = 1_000_000 * bytesPerGB

// CreatePrice is what a server of a size costs for some minutes: the create
// fee and the hourly rate × minutes / 60. Under account.Cost it is what the
// provider takes. Errors are berth.UnknownSize and berth.InvalidInput.
func (l *PriceList) CreatePrice(t account.Tariff, size string, minutes int) (Price, error) {
	s, err := l.NewSize(size)
	if err != nil {
		return Price{}, err
	}
	if err := between("minutes", minutes, l.catalog.Limits.Minutes); err != nil {
		return Price{}, err
	}
	var b bill
	b.create(t, s)
	b.time("compute "+s.Slug, s.Rate(t), minutes)
	return b.price(), nil
}

// ExtendPrice is what more minutes of a size cost, at least the minimum at
// retail. Errors are as for CreatePrice.
func (l *PriceList) ExtendPrice(t account.Tariff, size string, minutes int) (Price, error) {
	s, err := l.Size(size)
	if err != nil {
		return Price{}, err
	}
	if err := between("minutes", minutes, l.catalog.Limits.Minutes); err != nil {
		return Price{}, err
	}
	var b bill
	b.time("compute "+s.Slug, s.Rate(t), minutes)
	b.minimum(l.fee(t, FeeMinimum))
	return b.price(), nil
}

// RetentionPrice is what keeping a snapshot of some bytes for some days costs,
// at least the minimum at retail.
func (l *PriceList) RetentionPrice(t account.Tariff, bytes int64, days int) (Price, error) {
	if err := between("days", days, l.catalog.Limits.RetentionDays); err != nil {
		return Price{}, err
	}
	if bytes < 0 || bytes > maxSnapshotBytes {
		return Price{}, fmt.Errorf("price the retention of %d bytes: out of bounds", bytes)
	}
	rate := l.SnapshotGBDay
	if t == account.Cost {
		rate = l.catalog.SnapshotGBDayCost
	}
	gbDays := new(big.Rat).SetFrac64(bytes, bytesPerGB)
	gbDays.Mul(gbDays, new(big.Rat).SetInt64(int64(days)))
	var b bill
	b.add("snapshot retention", gbDays, "GB-day", dollars(rate))
	b.minimum(l.fee(t, FeeMinimum))
	return b.price(), nil
}

// ResizePrice is what it costs to move a server to another size while it has
// remaining time: the fee, and for a dearer size the difference of the rates
// for that time, rounded up to the minute. A cheaper size gives nothing back.
func (l *PriceList) ResizePrice(t account.Tariff, from, to string, remaining time.Duration) (Price, error) {
	old, err := l.Size(from)
	if err != nil {
		return Price{}, err
	}
	target, err := l.Size(to)
	if err != nil {
		return Price{}, err
	}
	var b bill
	b.fee("resize", l.fee(t, FeeResize))
	minutes := int(remaining / time.Minute)
	if remaining%time.Minute > 0 {
		minutes++
	}
	if delta := target.Rate(t) - old.Rate(t); delta > 0 && minutes > 0 {
		b.time(fmt.Sprintf("%s instead of %s", to, from), delta, minutes)
	}
	return b.price(), nil
}

// FeePrice is a fixed fee, which is nothing under account.Cost.
func (l *PriceList) FeePrice(t account.Tariff, f Fee) Price {
	var b bill
	b.fee(string(f), l.fee(t, f))
	return b.price()
}

// fee is a fee under a tariff. The provider takes none.
func (l *PriceList) fee(t account.Tariff, f Fee) berth.Micros {
	if t == account.Cost {
		return 0
	}
	return l.Fees[f]
}

// between refuses a number that is not from 1 to most.
func between(field string, n, most int) error {
	if n >= 1 && n <= most {
		return nil
	}
	return invalid(field, "%d is not from 1 to %d", n, most)
}

// bill adds up a price exactly, in dollars.
type bill struct {
	lines []Line
	total big.Rat
}

// fee adds a fixed amount, and no line for one of zero.
func (b *bill) fee(item string, amount berth.Micros) {
	if amount > 0 {
		b.add(item, big.NewRat(1, 1), "call", dollars(amount))
	}
}

// time adds minutes at an hourly rate.
func (b *bill) time(item string, hourly berth.Micros, minutes int) {
	perMinute := dollars(hourly)
	perMinute.Quo(perMinute, big.NewRat(60, 1))
	b.add(item, big.NewRat(int64(minutes), 1), "minute", perMinute)
}

// minimum adds what is missing to the least that is charged.
func (b *bill) minimum(least berth.Micros) {
	if missing := new(big.Rat).Sub(dollars(least), &b.total); missing.Sign() > 0 {
		b.add("up to the minimum charge", big.NewRat(1, 1), "call", missing)
	}
}

// add adds one line.
func (b *bill) add(item string, quantity *big.Rat, unit string, unitPrice *big.Rat) {
	sum := new(big.Rat).Mul(quantity, unitPrice)
	b.total.Add(&b.total, sum)
	b.lines = append(b.lines, Line{
		Item: item, Quantity: show(quantity), Unit: unit, UnitPrice: show(unitPrice), Amount: nearest(sum),
	})
}

// price is the bill, rounded up once, at its total.
func (b *bill) price() Price {
	lines := b.lines
	if lines == nil {
		lines = []Line{} // what is free is an empty list in JSON, not null
	}
	return Price{Lines: lines, Total: ceiling(&b.total)}
}

var microsPerDollar = big.NewRat(int64(berth.Dollar), 1)

// dollars is an amount as an exact number of dollars.
func dollars(m berth.Micros) *big.Rat { return big.NewRat(int64(m), int64(berth.Dollar)) }

// ceiling is the least amount that is not below r dollars.
func ceiling(r *big.Rat) berth.Micros {
	micros := new(big.Rat).Mul(r, microsPerDollar)
	up := new(big.Int).Add(micros.Num(), micros.Denom())
	up.Sub(up, big.NewInt(1))
	return berth.Micros(up.Div(up, micros.Denom()).Int64()) // Div rounds down
}

// nearest is r dollars rounded half up, for showing; r is not negative.
func nearest(r *big.Rat) berth.Micros {
	micros := new(big.Rat).Mul(r, microsPerDollar)
	half := micros.Add(micros, big.NewRat(1, 2))
	return berth.Micros(new(big.Int).Div(half.Num(), half.Denom()).Int64())
}

// show is a number as a decimal: exact where nine places suffice, and rounded
// half up to nine otherwise.
func show(r *big.Rat) string {
	const places = 9
	s := strings.TrimRight(r.FloatString(places), "0")
	return strings.TrimSuffix(s, ".")
}
