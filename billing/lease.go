package billing

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"berth"
	"berth/account"
)

// secondsPerHour turns an hourly rate into what a second costs.
const secondsPerHour = 3600

// Rental is a duration for which servers can be rented, with the discount on
// the hourly price that it brings.
type Rental struct {
	Days     int `yaml:"days"`
	Discount int `yaml:"discount"` // percent
}

// Leases are a price list's terms for the kinds of leases beside prepaid
// minutes.
type Leases struct {
	Rentals         []Rental      `yaml:"rentals"`          // the durations on offer, shortest first; none: nothing is rented by the day
	Grace           time.Duration `yaml:"grace"`            // from the suspension of an hourly server to its end
	Deposit         time.Duration `yaml:"deposit"`          // the time that a deposit covers where no amount is given
	BackupRetention time.Duration `yaml:"backup_retention"` // how long backups are kept
}

// HourPrice is what the first hour of a size costs, with the create fee. Its
// error is berth.UnknownSize.
func (l *PriceList) HourPrice(t account.Tariff, size string) (Price, error) {
	s, err := l.NewSize(size)
	if err != nil {
		return Price{}, err
	}
	var b bill
	b.create(t, s)
	b.add("compute "+s.Slug, big.NewRat(1, 1), "hour", dollars(s.Rate(t)))
	return b.price(), nil
}

// RentPrice is what a size costs for an offered duration, with the create fee.
// Errors are berth.UnknownSize, and berth.InvalidInput that names the offered
// durations.
func (l *PriceList) RentPrice(t account.Tariff, size string, days int) (Price, error) {
	s, err := l.NewSize(size)
	if err != nil {
		return Price{}, err
	}
	var b bill
	b.create(t, s)
	if err := l.rent(&b, t, s, days); err != nil {
		return Price{}, err
	}
	return b.price(), nil
}

// ProlongPrice is what an offered duration more of a size costs. Errors are as
// for RentPrice.
func (l *PriceList) ProlongPrice(t account.Tariff, size string, days int) (Price, error) {
	s, err := l.Size(size)
	if err != nil {
		return Price{}, err
	}
	var b bill
	if err := l.rent(&b, t, s, days); err != nil {
		return Price{}, err
	}
	b.minimum(l.fee(t, FeeMinimum))
	return b.price(), nil
}

// rent adds an offered duration.
func (l *PriceList) rent(b *bill, t account.Tariff, s Size, days int) error {
	rate, err := l.rentRate(t, s, days)
	if err != nil {
		return err
	}
	b.add("rent of "+s.Slug, big.NewRat(int64(days), 1), "day", rate.Mul(rate, big.NewRat(24, 1)))
	return nil
}

// RentalPrice is what a size costs for an offered duration, without the create
// fee, rounded up to the micro-dollar.
type RentalPrice struct {
	Days   int          `json:"days" example:"7"`
	Price  berth.Micros `json:"price"`
	PerDay berth.Micros `json:"per_day"`
}

// RentalPrices are what a size costs for each offered duration, shortest first.
// Its error is berth.UnknownSize.
func (l *PriceList) RentalPrices(t account.Tariff, size string) ([]RentalPrice, error) {
	s, err := l.Size(size)
	if err != nil {
		return nil, err
	}
	list := make([]RentalPrice, len(l.Leases.Rentals))
	for i, r := range l.Leases.Rentals {
		day, err := l.rentRate(t, s, r.Days)
		if err != nil {
			return nil, err
		}
		day.Mul(day, big.NewRat(24, 1))
		whole := new(big.Rat).Mul(day, big.NewRat(int64(r.Days), 1))
		list[i] = RentalPrice{Days: r.Days, Price: ceiling(whole), PerDay: ceiling(day)}
	}
	return list, nil
}

// RentRate is what an hour of a size costs within an offered duration, rounded
// down: what an unused hour of it is worth. Errors are as for RentPrice.
func (l *PriceList) RentRate(t account.Tariff, size string, days int) (berth.Micros, error) {
	s, err := l.Size(size)
	if err != nil {
		return 0, err
	}
	rate, err := l.rentRate(t, s, days)
	if err != nil {
		return 0, err
	}
	micros := rate.Mul(rate, microsPerDollar)
	return berth.Micros(new(big.Int).Quo(micros.Num(), micros.Denom()).Int64()), nil
}

// rentRate is what an hour costs within an offered duration, exactly. What the
// provider takes has no discount.
func (l *PriceList) rentRate(t account.Tariff, s Size, days int) (*big.Rat, error) {
	offered := make([]string, len(l.Leases.Rentals))
	for i, r := range l.Leases.Rentals {
		if r.Days != days {
			offered[i] = strconv.Itoa(r.Days)
			continue
		}
		rate := dollars(s.Rate(t))
		if t != account.Cost {
			rate.Mul(rate, big.NewRat(int64(100-r.Discount), 100))
		}
		return rate, nil
	}
	if len(offered) == 0 {
		return nil, invalid("days", "servers are not rented by the day here")
	}
	return nil, invalid("days", "%d is none of the offered durations: %s", days, strings.Join(offered, ", "))
}

// DepositPrice is what a server of a size costs for a deposit: the create fee,
// and the deposit itself, which for an amount of zero is what the price list
// says. Errors are berth.UnknownSize and berth.InvalidInput.
func (l *PriceList) DepositPrice(t account.Tariff, size string, deposit berth.Micros) (Price, error) {
	s, err := l.NewSize(size)
	if err != nil {
		return Price{}, err
	}
	if deposit == 0 {
		deposit = Covering(s.Rate(t), l.Leases.Deposit)
	}
	if err := l.checkDeposit(s.Rate(t), deposit); err != nil {
		return Price{}, err
	}
	var b bill
	b.create(t, s)
	return b.deposit(deposit), nil
}

// TopUpPrice is the price of adding to a deposit.
func (l *PriceList) TopUpPrice(rate, deposit berth.Micros) (Price, error) {
	return new(bill).deposit(deposit), l.checkDeposit(rate, deposit)
}

// checkDeposit refuses a deposit that covers less than a minute, or more time
// than one purchase may.
func (l *PriceList) checkDeposit(rate, deposit berth.Micros) error {
	least := Covering(rate, time.Minute)
	most := min(Covering(rate, time.Duration(l.catalog.Limits.Minutes)*time.Minute), MaxAmount)
	if deposit >= least && deposit <= most {
		return nil
	}
	return invalid("deposit", "%s USD is not from %s to %s", deposit, least, most)
}

// ResizeDepositPrice is what it costs to move a server with a deposit to
// another size while it has remaining time at a rate: the fee, and for a dearer
// size what the deposit lacks for that time. Begun hours count whole, so that the
// price stands while a wallet signs it; what is too much returns with the rest.
func (l *PriceList) ResizeDepositPrice(t account.Tariff, rate berth.Micros, to string, remaining time.Duration) (Price, error) {
	target, err := l.Size(to)
	if err != nil {
		return Price{}, err
	}
	remaining = (remaining + time.Hour - 1).Truncate(time.Hour)
	var b bill
	b.fee("resize", l.fee(t, FeeResize))
	delta := Covering(target.Rate(t), remaining) - Covering(rate, remaining)
	return b.deposit(max(delta, 0)), nil
}

// create adds the create fee, which is nothing under account.Cost.
func (b *bill) create(t account.Tariff, s Size) {
	b.fee("create fee", s.Fee(t))
}

// deposit is the price of the bill and a deposit.
func (b *bill) deposit(amount berth.Micros) Price {
	b.fee("deposit", amount)
	p := b.price()
	p.Deposit = amount
	return p
}

// Metered is what the whole seconds of a time cost at an hourly rate, rounded
// down.
func Metered(rate berth.Micros, elapsed time.Duration) berth.Micros {
	return product(rate, elapsed/time.Second, false)
}

// Covering is what the begun seconds of a time cost at an hourly rate, rounded
// up.
func Covering(rate berth.Micros, d time.Duration) berth.Micros {
	return product(rate, (d+time.Second-1)/time.Second, true)
}

// product is rate × seconds / 3600. A rate is at most 1000 dollars, so within a
// century the product stays below an int64's bound.
func product(rate berth.Micros, seconds time.Duration, up bool) berth.Micros {
	if seconds <= 0 {
		return 0
	}
	sum := rate * berth.Micros(seconds)
	if up {
		sum += secondsPerHour - 1
	}
	return sum / secondsPerHour
}

// Lasts is for how many whole seconds an amount pays at an hourly rate above
// zero; at most a century.
func Lasts(rate, amount berth.Micros) time.Duration {
	const century = 100 * 366 * 24 * time.Hour
	if rate <= 0 {
		return century
	}
	seconds := new(big.Int).Mul(big.NewInt(int64(amount)), big.NewInt(secondsPerHour))
	seconds.Quo(seconds, big.NewInt(int64(rate)))
	if most := int64(century / time.Second); !seconds.IsInt64() || seconds.Int64() > most {
		return century
	}
	return time.Duration(seconds.Int64()) * time.Second
}

// discount is the largest that a duration brings, in percent.
func (l Leases) discount() (most int) {
	for _, r := range l.Rentals {
		most = max(most, r.Discount)
	}
	return most
}

// link checks the terms of leases.
func (l Leases) link(path string) (problems []error) {
	const year = 365 * 24 * time.Hour
	problems = wanted(path+".rentals", len(l.Rentals) <= 20, "at most twenty durations")
	last := 0
	for i, r := range l.Rentals {
		at := fmt.Sprintf("%s.rentals[%d]", path, i)
		problems = append(problems, wanted(at+".days", r.Days > last && r.Days <= 365, "a number from 1 to 365, larger than the one before")...)
		problems = append(problems, wanted(at+".discount", r.Discount >= 0 && r.Discount < 100, "a percentage from 0 to 99")...)
		last = r.Days
	}
	for _, d := range []struct {
		name        string
		value, most time.Duration
	}{{"grace", l.Grace, year}, {"deposit", l.Deposit, year}, {"backup_retention", l.BackupRetention, year}} {
		ok := d.value >= time.Minute && d.value <= d.most
		problems = append(problems, wanted(path+"."+d.name, ok, "a duration from 1m to 8760h")...)
	}
	return problems
}
