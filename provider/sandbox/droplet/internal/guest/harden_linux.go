package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"unsafe"

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

// confine takes all other capabilities from every thread of this process, and from all that they will start. It returns
// false where Go can't reach all threads, because the binary has C code in it: then only this thread, and what it
// executes next, is confined.
func confine() (all bool, err error) {
	call := syscall.AllThreadsSyscall6
	if _, _, errno := call(unix.SYS_PRCTL, unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0); errno == syscall.ENOTSUP {
		runtime.LockOSThread()
		call = syscall.Syscall6
	} else {
		all = true
	}
	var kept uint64
	for _, c := range capabilities {
		kept |= 1 << c
	}
	for c := uintptr(0); c < 64; c++ {
		if kept&(1<<c) != 0 {
			continue
		}
		_, _, errno := call(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0)
		if errno == unix.EINVAL {
			break // the kernel knows no more of them
		}
		if errno != 0 {
			return all, errno
		}
	}
	if err := setCapabilities(call, kept); err != nil {
		return all, err
	}
	if _, _, errno := call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return all, errno
	}
	return all, nil
}

type systemCall func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno)

func setCapabilities(call systemCall, kept uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(kept), uint32(kept>>32)
	data := [2]unix.CapUserData{{Effective: low, Permitted: low}, {Effective: high, Permitted: high}}
	var pins runtime.Pinner // the addresses are used by all threads, one after the other
	defer pins.Unpin()
	pins.Pin(&header)
	pins.Pin(&data)
	_, _, errno := call(
		unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0, 0, 0, 0,
	)
	if errno != 0 {
		return errno
	}
	return nil
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
