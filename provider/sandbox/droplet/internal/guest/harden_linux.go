package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// capabilities are what root may do in its droplet. What is missing is deliberate: mounting, networks and packet
// filters, tracing of others, kernel settings. They open much of the kernel and a server of this kind needs none.
var capabilities = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL, unix.CAP_SETGID,
	unix.CAP_SETUID, unix.CAP_SETPCAP, unix.CAP_SETFCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT,
	unix.CAP_AUDIT_WRITE,
}

const (
	usualOpenFiles = 1024
	maxOpenFiles   = 65536
)

// dropCapabilities bounds what this thread can have after its next execution, which is to come from this thread.
func dropCapabilities() error {
	runtime.LockOSThread()
	for c := uintptr(0); c < 64; c++ {
		if slices.Contains(capabilities, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // the kernel knows no more of them
		}
		if err != nil {
			return err
		}
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// setLimits sets what every process of the droplet inherits and nobody in it can raise.
func setLimits(c Config) error {
	if err := setLimit(unix.RLIMIT_NPROC, c.MaxProcesses, c.MaxProcesses); err != nil {
		return err
	}
	if err := setLimit(unix.RLIMIT_FSIZE, c.MaxFileBytes, c.MaxFileBytes); err != nil {
		return err
	}
	// Programs expect the lower of the two, and may raise it.
	if err := setLimit(unix.RLIMIT_NOFILE, usualOpenFiles, maxOpenFiles); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	// From Linux 6.14 on each droplet has a bound on its process ids, which holds for all its users together.
	err := os.WriteFile("/proc/sys/kernel/pid_max", fmt.Append(nil, c.MaxProcesses+301), 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// setLimit bounds a resource, unless it is bounded more closely already.
func setLimit(resource int, soft, hard uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	hard = min(hard, now.Max)
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: min(soft, hard), Max: hard}); err != nil {
		return fmt.Errorf("limit %d: %w", resource, err)
	}
	return nil
}
