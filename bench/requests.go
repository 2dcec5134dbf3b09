package main

import (
	"context"
	"fmt"

	"berth/bench/burst"
)

// measureRequests counts what a burst of creates asks of the provider, and how
// late Berth learns that a server answers, on a simulated clock: these figures
// are the same on any machine.
func measureRequests(ctx context.Context, _ *lab) ([]result, error) {
	m, err := burst.Measure(ctx)
	if err != nil {
		return nil, err
	}
	one := func(value, baseline float64) comparison { return compare(series{{value}}, series{{baseline}}, median) }
	const plain = "client that polls each by itself"
	return []result{
		newResult(fmt.Sprintf("requests to the provider per server, %d created at once", m.Servers), "requests",
			one(m.PerServer, m.Plain), plain, within(1.5, "requests")),
		newResult(fmt.Sprintf("requests to the provider per server, %d rebooted at once", m.Servers), "requests",
			one(m.Reboots, m.PlainReboot), plain, within(1.5, "requests")),
		newResult("requests refused by the provider (429)", "requests", counted(m.Refused), "none", within(0, "requests")),
		newResult("from a simulated server's first answer to Berth's knowing it, p99", "ms",
			one(milliseconds(m.Notice99), milliseconds(m.Notice50)), "its own p50", within(300, "ms")),
	}, nil
}

// counted is a figure whose baseline is that there is none: one more than both
// are compared.
func counted(n int) comparison {
	ratio := float64(n + 1)
	return comparison{Value: float64(n), Baseline: 0, Ratio: ratio, Low: ratio, High: ratio}
}
