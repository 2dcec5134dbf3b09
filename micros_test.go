package berth

import "testing"

func TestMicrosString(t *testing.T) {
	for s, want := range map[string]string{
		"0": "0.00", "0.02": "0.02", "0.015": "0.015", "10": "10.00", "0.00267": "0.00267",
		"-1.5": "-1.50", "1234567.000001": "1234567.000001", "0.100": "0.10",
	} {
		m, err := ParseMicros(s)
		if err != nil || m.String() != want {
			t.Errorf("ParseMicros(%q) = %q, %v; want %q", s, m, err, want)
		}
	}
	for _, s := range []string{"", "x", "0.0000001", "99999999999", "1e30", "NaN"} {
		if m, err := ParseMicros(s); err == nil {
			t.Errorf("ParseMicros(%q) = %v, want an error", s, m)
		}
	}
}
