package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// take measures once and returns what it saw: one figure, or one for each of
// many calls.
type take func(context.Context) ([]float64, error)

// series is what one take saw in each of its rounds.
type series [][]float64

// interleave lets the takes have their rounds in turn, A B A B, so that what
// else the machine does falls on all of them alike. The first round warms up
// and is not counted.
func interleave(ctx context.Context, rounds int, takes ...take) ([]series, error) {
	all := make([]series, len(takes))
	for round := range rounds + 1 {
		for i, t := range takes {
			seen, err := t(ctx)
			if err != nil {
				return nil, err
			}
			if len(seen) == 0 {
				return nil, fmt.Errorf("round %d of take %d saw nothing", round, i)
			}
			if round > 0 {
				all[i] = append(all[i], seen)
			}
		}
	}
	return all, nil
}

// statistic makes one figure of many.
type statistic func([]float64) float64

// quantile is the smallest sample that a share q of all does not exceed.
func quantile(q float64) statistic {
	return func(seen []float64) float64 {
		sorted := slices.Sorted(slices.Values(seen))
		i := int(q*float64(len(sorted))+0.999999) - 1
		return sorted[min(max(i, 0), len(sorted)-1)]
	}
}

var (
	median = quantile(0.5)
	p99    = quantile(0.99)
)

// pooled is the statistic over all rounds together.
func (s series) pooled(stat statistic) float64 { return stat(slices.Concat(s...)) }

// comparison is a measurement beside its baseline.
type comparison struct {
	Value    float64 `json:"value"`
	Baseline float64 `json:"baseline"`
	Ratio    float64 `json:"ratio"` // the median of the rounds' ratios
	Low      float64 `json:"low"`   // the least of them
	High     float64 `json:"high"`  // and the greatest
}

// compare sets two interleaved series side by side, round by round: a ratio
// within one round holds whatever the machine was doing in it.
func compare(measured, baseline series, stat statistic) comparison {
	ratios := make([]float64, len(measured))
	for i := range measured {
		ratios[i] = stat(measured[i]) / stat(baseline[i])
	}
	return comparison{
		Value: measured.pooled(stat), Baseline: baseline.pooled(stat),
		Ratio: median(ratios), Low: slices.Min(ratios), High: slices.Max(ratios),
	}
}

// microseconds is how latencies are given.
func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// milliseconds is how longer times are given.
func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// calls makes count calls, inFlight of them at a time, and returns how long
// each took in microseconds. call gets the number of the worker that makes it.
func calls(ctx context.Context, count, inFlight int, call func(ctx context.Context, worker int) error) ([]float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([]float64, count)
	var next atomic.Int64
	var all sync.WaitGroup
	for worker := range inFlight {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(count) && ctx.Err() == nil; i = next.Add(1) - 1 {
				began := time.Now()
				if err := call(ctx, worker); err != nil {
					cancel(err)
					return
				}
				took[i] = microseconds(time.Since(began))
			}
		})
	}
	all.Wait()
	return took, context.Cause(ctx)
}
