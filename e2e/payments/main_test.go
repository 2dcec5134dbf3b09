package payments

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fronts are the ways in which agents reach Berth.
var fronts = []string{"http", "mcp"}

// each runs a case of every rail over every front, each in a bubble of its own,
// where waiting costs no time.
func each(t *testing.T, run func(s *shop, r till), edits ...edit) {
	t.Helper()
	for _, rail := range []string{"mpp", "x402", "x402 v1"} {
		on(t, rail, run, edits...)
	}
}

// on is each for one rail.
func on(t *testing.T, rail string, run func(s *shop, r till), edits ...edit) {
	t.Helper()
	for _, front := range fronts {
		t.Run(rail+" over "+front, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(t, front, edits...)
				run(s, s.till(rail))
				s.audit()
			})
		})
	}
}

const minute = time.Minute
