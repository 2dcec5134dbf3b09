package providertest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/provider"
	"berth/provider/providertest"
)

// target has the suite look as fast as it can, and wait as long for what must
// happen.
func target(patience time.Duration) providertest.Target {
	return providertest.Target{Patience: patience, Pause: func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
			return nil
		}
	}}
}

// The suite passes what keeps the interface's promises, however unlike
// DigitalOcean it is.
func TestMemoryConforms(t *testing.T) {
	providertest.Run(t, func(testing.TB) (provider.Provider, providertest.Target) {
		return newMemory(), target(10 * time.Second)
	})
}

// judge runs a case and tells whether it failed, without failing the test.
type judge struct {
	testing.TB

	mu       sync.Mutex
	failed   bool
	said     string // the first complaint
	cleanups []func()
}

func (j *judge) complain(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.failed {
		j.failed, j.said = true, text
	}
}

func (j *judge) Error(args ...any)            { j.complain(fmt.Sprint(args...)) }
func (j *judge) Errorf(f string, args ...any) { j.complain(fmt.Sprintf(f, args...)) }
func (j *judge) Cleanup(f func())             { j.cleanups = append(j.cleanups, f) }

// stopped is what a case panics with that can't go on.
type stopped struct{}

func (j *judge) Fatal(args ...any)            { j.Error(args...); panic(stopped{}) }
func (j *judge) Fatalf(f string, args ...any) { j.Errorf(f, args...); panic(stopped{}) }

// verdict runs a case with its clean-up.
func (j *judge) verdict(run func(testing.TB)) (failed bool, said string) {
	guarded := func(f func()) {
		defer func() {
			if p := recover(); p != nil && p != (stopped{}) {
				panic(p)
			}
		}()
		f()
	}
	guarded(func() { run(j) })
	for _, f := range slices.Backward(j.cleanups) {
		guarded(f)
	}
	return j.failed, j.said
}

// The suite fails whatever breaks one promise.
func TestDefectsAreFound(t *testing.T) {
	for name, defect := range defects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cases := providertest.Cases()
			i := slices.IndexFunc(cases, func(c providertest.Case) bool { return c.Name == defect.found })
			if i < 0 {
				t.Fatalf("there is no case %s", defect.found)
			}
			j := &judge{TB: t}
			failed, said := j.verdict(func(tb testing.TB) {
				cases[i].Run(tb, func(testing.TB) (provider.Provider, providertest.Target) {
					return defect.make(newMemory()), target(time.Second)
				})
			})
			if !failed || !strings.Contains(said, defect.says) {
				t.Errorf("the case %s says %q, want %q", defect.found, said, defect.says)
			}
		})
	}
}
