package droplet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/guest"
)

// spawner starts all processes of a host, from one thread that lives as long as they: the kernel kills them when the
// thread that started them ends. The thread has a working folder of its own, which its children inherit, so that they
// can use a droplet's folder although the folders above it may be closed to them.
type spawner struct {
	jobs   chan func()
	ended  chan struct{}
	binary *os.File // a sealed copy of this binary in memory; no droplet ever holds the file itself
	ids    idMap
}

// newSpawner copies the binary twice: sealed in memory, to start droplets from, and to the file that becomes the tools
// in them.
func newSpawner(ids idMap, tools string) (*spawner, error) {
	// What this process itself inherited without the flag must not get into a droplet.
	if err := unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, &guest.StepError{Step: "close_range", Err: err}
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	if err := copyTools(self, tools); err != nil {
		return nil, fmt.Errorf("copy the tools: %w", err)
	}
	binary, err := seal(self)
	if err != nil {
		return nil, fmt.Errorf("copy the binary to memory: %w", err)
	}
	s := &spawner{jobs: make(chan func()), ended: make(chan struct{}), binary: binary, ids: ids}
	ready := make(chan error, 1)
	go s.loop(ready)
	if err := <-ready; err != nil {
		return nil, errors.Join(&guest.StepError{Step: "unshare(CLONE_FS)", Err: err}, binary.Close())
	}
	return s, nil
}

// copyTools writes the tools' file unless it is a copy of this binary already.
func copyTools(self *os.File, name string) error {
	fi, err := self.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(name); err == nil && now.Size() == fi.Size() && now.ModTime().Equal(fi.ModTime()) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".tools-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, self)
	if err = errors.Join(err, f.Chmod(0o555), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Chtimes(f.Name(), fi.ModTime(), fi.ModTime()), os.Rename(f.Name(), name))
}

// seal copies a file to memory where nobody can change it.
func seal(f *os.File) (*os.File, error) {
	fd, err := unix.MemfdCreate("berth", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	m := os.NewFile(uintptr(fd), "berth")
	defer m.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if _, err := io.Copy(m, f); err != nil {
		return nil, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(m.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, os.NewSyscallError("seal", err)
	}
	// A child arranges its few descriptors from below before it executes this one: it needs a number out of their way.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	high, err := unix.FcntlInt(m.Fd(), unix.F_DUPFD_CLOEXEC, int(min(limit.Cur, 65536))-16)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(high), "berth"), nil
}

func (s *spawner) loop(ready chan<- error) {
	defer close(s.ended)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	err := unix.Unshare(unix.CLONE_FS)
	ready <- err
	if err != nil {
		return
	}
	for job := range s.jobs {
		job()
	}
}

// close ends the thread. Everything that was started has to have ended.
func (s *spawner) close() error {
	close(s.jobs)
	<-s.ended
	return s.binary.Close()
}

// command is this binary under another name, as root of its own user namespace. If ids are mapped after the start, fd 3
// (the first extra file) has to become readable then.
func (s *spawner) command(ctx context.Context, flags uintptr, argv ...string) *exec.Cmd {
	if s.ids.external() {
		argv = append([]string{guest.Name, guest.StageWait}, argv...)
	}
	cmd := exec.CommandContext(ctx, fmt.Sprintf("/proc/self/fd/%d", s.binary.Fd()))
	cmd.Args, cmd.Env, cmd.SysProcAttr = argv, guest.Environment(), s.ids.attributes(flags)
	return cmd
}

// tryIDs finds out whether the programs that map ids are allowed to: files on the disk don't tell.
func (s *spawner) tryIDs(ctx context.Context, dir string) error {
	if !s.ids.external() {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := s.command(ctx, 0, filesName, verbNothing)
	cmd.ExtraFiles = []*os.File{r}
	err = s.start(dir, cmd)
	w.Close() // it goes on
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// start starts a command with dir as its working folder.
func (s *spawner) start(dir string, cmd *exec.Cmd) error {
	result := make(chan error, 1)
	s.jobs <- func() { result <- s.startHere(dir, cmd) }
	if err := <-result; err != nil {
		return &guest.StepError{Step: "create namespaces", Err: err}
	}
	if !s.ids.external() {
		return nil
	}
	if err := s.ids.mapExternally(cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return &guest.StepError{Step: "map user ids", Err: err}
	}
	return nil
}

func (s *spawner) startHere(dir string, cmd *exec.Cmd) error {
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := leaveKeyring(); err != nil {
		return err
	}
	err := cmd.Start()
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err // the path is one in memory, which tells nobody anything
	}
	return err
}

// leaveKeyring gives this thread a new session keyring, so that a droplet doesn't share that of whoever started this
// process. Where keyrings are missing or forbidden there is none to share.
func leaveKeyring() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return os.NewSyscallError("keyctl", err)
}
