package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"berth/provider/sandbox/droplet"
)

// TestMain lets the test binary be everything that the program is: a droplet's
// first process, the command of the scripts, and the tests.
func TestMain(m *testing.M) {
	droplet.Main()
	testscript.Main(leakless{m}, commandsOfTests)
}

// commandsOfTests are what the test binary does under other names.
var commandsOfTests = map[string]func(){"berth": main}

// leakless runs the tests and fails where they leave goroutines.
type leakless struct{ *testing.M }

func (l leakless) Run() int {
	code := l.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
