package deposit

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"berth/api"
)

// kept is how many latencies of each endpoint the percentiles are of: the
// latest.
const kept = 1000

// metrics counts what was asked for since this process began.
type metrics struct {
	mu        sync.Mutex
	since     time.Time
	endpoints map[string]*endpoint
	errors    map[string]int64 // by status
}

type endpoint struct {
	requests, payments int64
	latencies          []time.Duration // a ring
	next               int
}

// report is what the contract tells of itself.
type report struct {
	Service  string              `json:"service"`
	Uptime   int64               `json:"uptime_s"`
	Requests map[string]requests `json:"requests"`
	Payments map[string]int64    `json:"payments"`
	Errors   map[string]int64    `json:"errors"`
}

// requests are an endpoint's count, and percentiles of its latest latencies in
// milliseconds.
type requests struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
}

func newMetrics(since time.Time) *metrics {
	return &metrics{since: since, endpoints: map[string]*endpoint{}, errors: map[string]int64{}}
}

func (m *metrics) observe(o api.Observation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := o.Route.Method + " " + documented(o.Route.Path)
	e := m.endpoints[name]
	if e == nil {
		e = &endpoint{}
		m.endpoints[name] = e
	}
	e.requests++
	if o.Paid {
		e.payments++
	}
	if o.Status >= 400 {
		m.errors[strconv.Itoa(o.Status)]++
	}
	if len(e.latencies) < kept {
		e.latencies = append(e.latencies, o.Took)
		return
	}
	e.latencies[e.next] = o.Took
	e.next = (e.next + 1) % kept
}

func (m *metrics) report(now time.Time) report {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := report{
		Service: service, Uptime: int64(max(0, now.Sub(m.since)) / time.Second),
		Requests: map[string]requests{}, Payments: map[string]int64{}, Errors: map[string]int64{},
	}
	for name, e := range m.endpoints {
		sorted := slices.Sorted(slices.Values(e.latencies))
		out.Requests[name] = requests{e.requests, percentile(sorted, 50), percentile(sorted, 95), percentile(sorted, 99)}
		if e.payments > 0 {
			out.Payments[name] = e.payments
		}
	}
	for status, n := range m.errors {
		out.Errors[status] = n
	}
	return out
}

// percentile is the smallest of sorted durations that so many percent do not
// exceed, in milliseconds.
func percentile(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := (len(sorted)*percent + 99) / 100
	ms := float64(sorted[max(i-1, 0)]) / float64(time.Millisecond)
	return math.Round(ms*1000) / 1000
}
