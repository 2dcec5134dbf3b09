package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// program is the path of the built berth.
var program string

// update rewrites the golden exchanges.
var update = flag.Bool("update", false, "rewrite testdata/exchanges")

// patience bounds every wait. It is far longer than anything takes, so that a
// busy machine fails no test.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the program, and removes it after the tests. Its folder is open to
// others, because one test runs it as another user.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "berth-e2e-bin-")
	if err == nil {
		defer os.RemoveAll(dir) // a file that stays behind in a temporary folder fails no test
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the program:", err)
		return 1
	}
	program = filepath.Join(dir, "berth")
	build := exec.Command("go", "build", "-o", program, "berth/cmd/berth")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build berth: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
