package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// chainStart bounds how long the development chain may take to say that it is
// ready.
const chainStart = 20 * time.Second

// chainReady is the line by which berth-devchain says where it is.
var chainReady = regexp.MustCompile(`^ready at (http://\S+)$`)

// devchain is a development chain that the demo started.
type devchain struct {
	url string
	cmd *exec.Cmd
}

// startDevchain starts the berth-devchain beside this program, or on the path.
// The child ends when its parent stops it.
func startDevchain(ctx context.Context) (*devchain, error) {
	path, err := findDevchain()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "--listen", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the development chain: %w", err)
	}
	d := &devchain{cmd: cmd}
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := chainReady.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, chainStart)
	defer cancel()
	select {
	case url, ok := <-found:
		if ok {
			d.url = url
			return d, nil
		}
		err = errors.New("it ended before it was ready")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(fmt.Errorf("the development chain %s: %w", path, err), d.close())
}

func findDevchain() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "berth-devchain")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("berth-devchain")
	if err != nil {
		return "", errors.New("there is no berth-devchain beside berth or on the PATH: build it by go build ./cmd/berth-devchain, or name one that runs with --devchain")
	}
	return path, nil
}

// close ends the chain, which then is gone.
func (d *devchain) close() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := d.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // it was asked to
	}
	return err
}
