package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[99-i] = float64(i + 1)
	}
	tests := []struct {
		seen []float64
		q    float64
		want float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{7}, 0.99, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 3, 2, 1}, 0.5, 2},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
	}
	for _, tt := range tests {
		if got := quantile(tt.q)(tt.seen); got != tt.want {
			t.Errorf("the %g quantile of %v is %g, want %g", tt.q, tt.seen, got, tt.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the samples were put into order")
	}
}

func TestInterleaveTakesTurns(t *testing.T) {
	var order []string
	record := func(name string) take {
		return func(context.Context) ([]float64, error) {
			order = append(order, name)
			return []float64{float64(len(order))}, nil
		}
	}
	seen, err := interleave(t.Context(), 2, record("a"), record("b"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "a", "b", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	if got := seen[1].pooled(quantile(1)); len(seen[1]) != 2 || got != 6 {
		t.Errorf("b saw %v, want its rounds after the first", seen[1])
	}
}

func TestInterleaveRefuses(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		take take
		want string
	}{
		"an error":     {func(context.Context) ([]float64, error) { return nil, broken }, "broken"},
		"no samples":   {func(context.Context) ([]float64, error) { return nil, nil }, "saw nothing"},
		"a later fail": {failAt(3, broken), "broken"},
	} {
		if _, err := interleave(t.Context(), 5, tt.take); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error = %v, want %q in it", name, err, tt.want)
		}
	}
}

func failAt(n int, err error) take {
	return func(context.Context) ([]float64, error) {
		if n--; n == 0 {
			return nil, err
		}
		return []float64{1}, nil
	}
}

func TestCompareWithinRounds(t *testing.T) {
	// The machine is ten times as slow in the second round; the ratio is not.
	got := compare(series{{2}, {20}, {2.2}}, series{{1}, {10}, {1}}, median)
	want := comparison{Value: 2.2, Baseline: 1, Ratio: 2, Low: 2, High: 2.2}
	if got != want {
		t.Errorf("compare = %+v, want %+v", got, want)
	}
}

func TestCallsCountAndFail(t *testing.T) {
	var made atomic.Int64
	took, err := calls(t.Context(), 100, 7, func(context.Context, int) error {
		made.Add(1)
		return nil
	})
	if err != nil || len(took) != 100 || made.Load() != 100 {
		t.Errorf("%d calls gave %d times, %v; want 100", made.Load(), len(took), err)
	}
	broken := errors.New("broken")
	if _, err := calls(t.Context(), 1000, 3, func(context.Context, int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error = %v, want that of the call", err)
	}
}
