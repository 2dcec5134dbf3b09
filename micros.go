package berth

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
)

// Micros is an amount of money in millionths of a US dollar, which is also
// the base unit of a 6-decimal USDC. It is the only representation of money
// inside Berth; decimals appear only where amounts are read or shown.
type Micros int64

// Dollar is one US dollar.
const Dollar Micros = 1_000_000

var million = decimal.NewFromInt(int64(Dollar))

// maxMicros bounds every parsed amount: nine billion dollars, far below the
// point where sums of amounts could overflow an int64.
const maxMicros = 9_000_000_000 * Dollar

// ParseMicros reads a decimal number of dollars such as "0.02" or "10". It
// refuses more than six decimals and amounts beyond nine billion dollars.
func ParseMicros(s string) (Micros, error) {
	s = strings.TrimSpace(s)
	// An exponent would be unbounded work: "1e999999999" has a billion digits.
	if len(s) > 40 || strings.ContainsAny(s, "eE") {
		return 0, fmt.Errorf("%.40q is no amount in dollars, such as 12.50", s)
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no amount in dollars, such as 12.50", s)
	}
	d = d.Mul(million)
	if !d.IsInteger() {
		return 0, fmt.Errorf("%q has more than six decimals", s)
	}
	if d.Abs().GreaterThan(decimal.NewFromInt(int64(maxMicros))) {
		return 0, fmt.Errorf("%q is too large an amount", s)
	}
	return Micros(d.IntPart()), nil
}

// Decimal is the amount in dollars, exactly.
func (m Micros) Decimal() decimal.Decimal { return decimal.New(int64(m), -6) }

// String shows the amount in dollars with at least two decimals and no
// further trailing zeros: "0.02", "0.015", "10.00".
func (m Micros) String() string {
	s := m.Decimal().StringFixed(6)
	for cents := len(s) - 4; len(s) > cents && s[len(s)-1] == '0'; {
		s = s[:len(s)-1]
	}
	return s
}

// MarshalJSON writes the amount as a string, never as a float.
func (m Micros) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Micros) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("an amount is a string such as \"0.02\": %w", err)
	}
	v, err := ParseMicros(s)
	if err != nil {
		return err
	}
	*m = v
	return nil
}

// UnmarshalText reads an amount from a flag, an environment variable or YAML.
func (m *Micros) UnmarshalText(b []byte) error {
	v, err := ParseMicros(string(b))
	if err != nil {
		return err
	}
	*m = v
	return nil
}
