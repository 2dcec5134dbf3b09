package guest

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// reaper waits for all processes that end in the droplet, as PID 1 has to, and tells those who started one.
type reaper struct {
	mu      sync.Mutex
	waiting map[int]chan<- syscall.WaitStatus
	signals chan os.Signal
	alone   chan struct{} // holds a token after the last child has ended
}

func newReaper() *reaper {
	r := &reaper{
		waiting: map[int]chan<- syscall.WaitStatus{}, signals: make(chan os.Signal, 1), alone: make(chan struct{}, 1),
	}
	signal.Notify(r.signals, syscall.SIGCHLD) // before the first child
	return r
}

// withoutStarts does something while no process is started. A program that was just written can't be executed as long as
// anybody has it open for writing, and a starting process has, for a moment, all that PID 1 has.
func (r *reaper) withoutStarts(do func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return do()
}

// start starts a command and returns its process's id; its end arrives on the channel. Starting and reaping exclude each
// other, so that no child ends unseen before it is known.
func (r *reaper) start(cmd *exec.Cmd) (pid int, ended <-chan syscall.WaitStatus, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	pid = cmd.Process.Pid // which Release forgets
	end := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = end
	return pid, end, cmd.Process.Release()
}

func (r *reaper) loop() {
	for range r.signals {
		for r.reap() {
		}
	}
}

// reap handles one child and says whether there may be more.
func (r *reaper) reap() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	switch {
	case errors.Is(err, syscall.EINTR):
		return true
	case errors.Is(err, syscall.ECHILD):
		select {
		case r.alone <- struct{}{}:
		default:
		}
		return false
	case err != nil || pid <= 0:
		return false
	}
	if ended := r.waiting[pid]; ended != nil {
		ended <- status
		delete(r.waiting, pid)
	}
	return true
}
