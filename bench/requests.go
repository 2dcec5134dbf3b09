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
	return []result{
		newResult(fmt.Sprintf("requests to the provider per server, %d at once", m.Servers), "requests",
			one(m.PerServer, m.Plain), "client that polls each server", within(1.5, "requests")),
		newResult("from a server's first answer to Berth's knowing it, p99", "ms",
			one(milliseconds(m.Notice99), milliseconds(m.Notice50)), "its own p50", within(300, "ms")),
	}, nil
}
