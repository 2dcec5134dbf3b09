package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// patience bounds how long a process may take to start or to end.
const patience = 30 * time.Second

// process is a server that was started to be measured.
type process struct {
	cmd    *exec.Cmd
	url    string
	errors *tail
	ended  chan error
}

// start runs a server and waits until it tells its URL on standard output.
func start(ctx context.Context, path string, args ...string) (*process, error) {
	return startCommand(ctx, exec.Command(path, args...))
}

func startCommand(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := &process{cmd: cmd, errors: &tail{}, ended: make(chan error, 1)}
	p.cmd.Stderr = p.errors
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if url := findURL(lines.Text()); url != "" {
				found <- url
				break
			}
		}
		_, err := io.Copy(io.Discard, out) // Wait must not come before the end of what it prints
		p.ended <- errors.Join(err, p.cmd.Wait())
	}()
	select {
	case url, ok := <-found:
		if ok {
			p.url = url
			return p, nil
		}
		err = errors.Join(errors.New("it ended"), <-p.ended)
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), p.stop())
	}
	return nil, fmt.Errorf("%s did not tell its URL: %w\n%s", cmd.Path, err, p.errors.text)
}

// findURL is the first word of a line that begins as URLs do.
func findURL(line string) string {
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "http://") {
			return strings.TrimSuffix(word, "/")
		}
	}
	return ""
}

// stop ends the process as a user would, and by force if it takes too long.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		if e := new(exec.ExitError); errors.As(err, &e) && !e.Exited() {
			return nil // by the signal
		}
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", p.cmd.Path, err, p.errors.text)
		}
		return nil
	case <-time.After(patience):
		return errors.Join(errors.New("it did not end by itself"), p.cmd.Process.Kill(), <-p.ended)
	}
}

// maxTail bounds what is kept of a process's errors.
const maxTail = 4 << 10

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(b), nil
}
