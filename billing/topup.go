package billing

import (
	"cmp"

	"berth"
)

// TopUp bounds one top-up of an account's credit.
type TopUp struct {
	Minimum berth.Micros `yaml:"minimum"` // 1.00 where it is left out
	Maximum berth.Micros `yaml:"maximum"` // 1000.00 where it is left out
}

// Check refuses an amount out of bounds, as berth.InvalidInput.
func (t TopUp) Check(amount berth.Micros) error {
	if amount < t.Minimum || amount > t.Maximum {
		return invalid("amount", "a top-up is from %s to %s USD", t.Minimum, t.Maximum)
	}
	return nil
}

// link fills in what is left out, and checks the rest.
func (t *TopUp) link() []error {
	t.Minimum, t.Maximum = cmp.Or(t.Minimum, berth.Dollar), cmp.Or(t.Maximum, maxPrice)
	ok := t.Minimum > 0 && t.Minimum <= t.Maximum && t.Maximum <= maxPrice
	return wanted("top_up", ok, "a minimum above zero and a maximum from it to 1000")
}
