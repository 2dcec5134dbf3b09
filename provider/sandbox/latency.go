package sandbox

import (
	"math"
	"math/rand/v2"
	"net/http"
	"time"
)

// Distribution is how long something takes: log-normal, so that half takes at
// most Median and 99 in 100 at most P99, which are not negative. It never takes
// longer than four times P99. Where P99 is not above Median, all take Median.
type Distribution struct{ Median, P99 time.Duration }

// p99Deviations is how many standard deviations 99 in 100 of a normal
// distribution lie below.
const p99Deviations = 2.326

// Draw is one duration.
func (d Distribution) Draw() time.Duration {
	if d.P99 <= d.Median || d.Median <= 0 {
		return max(0, d.Median)
	}
	sigma := math.Log(float64(d.P99)/float64(d.Median)) / p99Deviations
	factor := math.Exp(sigma * rand.NormFloat64())
	return time.Duration(min(factor*float64(d.Median), 4*float64(d.P99)))
}

// Delay keeps a call of an operation waiting before it has any effect.
type Delay struct {
	Op string // as in Refuse; empty is any
	Distribution
}

// Slow is how long work of a kind takes before it is carried out, instead of
// what Options.Latency says.
type Slow struct {
	Type string // an action's type, or "firewall"; empty is any
	Distribution
}

// takes is how long work of a kind is to take.
func (c *Cloud) takes(kind string) time.Duration {
	if s, ok := take(c.faults, func(s Slow) bool { return s.Type == "" || s.Type == kind }); ok {
		return s.Draw()
	}
	return c.latency(kind)
}

// delay waits as scripted for calls of an operation.
func (f *Faults) delay(op string, r *http.Request) {
	d, ok := take(f, func(d Delay) bool { return d.Op == "" || d.Op == op })
	if !ok {
		return
	}
	if t := d.Draw(); t > 0 {
		wait(r, t)
	}
}
