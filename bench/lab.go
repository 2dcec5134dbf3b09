package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// lab is where measurements are made: a temporary directory and the programs
// that are measured, each built when it is first asked for.
type lab struct {
	dir      string
	quick    bool
	programs map[string]string
	serial   int
	shop     *shop
}

func newLab(quick bool) (*lab, error) {
	dir, err := os.MkdirTemp("", "berth-bench-")
	if err != nil {
		return nil, err
	}
	return &lab{dir: dir, quick: quick, programs: map[string]string{}}, nil
}

// close ends what runs and removes everything.
func (l *lab) close() error {
	var err error
	if l.shop != nil {
		err = l.shop.process.stop()
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// pick is one number for a whole measurement and another for a quick one.
func (l *lab) pick(whole, quick int) int {
	if l.quick {
		return quick
	}
	return whole
}

// folder makes a new empty directory.
func (l *lab) folder() (string, error) {
	l.serial++
	dir := filepath.Join(l.dir, strconv.Itoa(l.serial))
	return dir, os.Mkdir(dir, 0o700)
}

// program builds a main package of the module, such as "cmd/berth", without cgo.
func (l *lab) program(ctx context.Context, pkg string) (string, error) {
	if path, ok := l.programs[pkg]; ok {
		return path, nil
	}
	path := filepath.Join(l.dir, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "berth/"+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	l.programs[pkg] = path
	return path, nil
}
