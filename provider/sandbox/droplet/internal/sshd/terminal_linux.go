package sshd

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a new terminal: the server's, whose reads can be given deadlines, and the
// command's.
func openTerminal(size unix.Winsize) (master, terminal *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("open /dev/ptmx", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	var peer uintptr
	if err == nil {
		peer, err = openPeer(fd)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size)
	}
	if err != nil {
		return nil, nil, errors.Join(os.NewSyscallError("new terminal", err), master.Close())
	}
	return master, os.NewFile(peer, "/dev/pts/"+strconv.Itoa(int(number))), nil
}

// openPeer opens the command's end by way of the server's: no path is involved that the droplet could change.
func openPeer(master int) (uintptr, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return 0, errno
	}
	return fd, nil
}

func setSize(master *os.File, size unix.Winsize) error {
	raw, err := master.SyscallConn() // Fd would make reads block for good
	if err != nil {
		return err
	}
	var ioctlErr error
	err = raw.Control(func(fd uintptr) { ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size) })
	return errors.Join(err, ioctlErr)
}
