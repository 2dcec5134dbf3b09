package droplet

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attackEnv names an attack: this binary, which every droplet has, tries it when it is set.
const attackEnv = "BERTH_TEST_ATTACK"

// attacks are what root of a droplet might try with system calls that no program on this host may have. Each returns an
// error where it was kept from it.
var attacks = map[string]func() error{
	"ptrace of PID 1":            func() error { return unix.PtraceAttach(1) },
	"read memory of PID 1":       readMemory,
	"mount a tmpfs":              func() error { return unix.Mount("x", "/mnt", "tmpfs", 0, "") },
	"mount a proc":               func() error { return unix.Mount("x", "/mnt", "proc", 0, "") },
	"bind a folder":              func() error { return unix.Mount("/usr", "/mnt", "", unix.MS_BIND, "") },
	"remount /usr":               func() error { return unix.Mount("", "/usr", "", unix.MS_REMOUNT|unix.MS_BIND, "") },
	"unmount /usr/local":         func() error { return unix.Unmount("/usr/local", unix.MNT_DETACH) },
	"open a file system":         func() error { _, err := unix.Fsopen("ext4", 0); return err },
	"copy a mount":               func() error { _, err := unix.OpenTree(unix.AT_FDCWD, "/usr", unix.OPEN_TREE_CLONE); return err },
	"change the root":            func() error { return unix.PivotRoot("/usr", "/usr") },
	"leave a chroot":             leaveChroot,
	"load a module":              func() error { return notPermitted(unix.InitModule([]byte("x"), "")) },
	"make a block device":        func() error { return unix.Mknod("/tmp/sda", unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))) },
	"make /dev/mem":              func() error { return unix.Mknod("/tmp/mem", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 1))) },
	"raw socket":                 func() error { return open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) },
	"packet socket":              func() error { return open(unix.AF_PACKET, unix.SOCK_RAW, 0) },
	"socket to the hypervisor":   func() error { return open(unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
	"crypto socket":              func() error { return open(unix.AF_ALG, unix.SOCK_SEQPACKET, 0) },
	"nested user namespace":      func() error { return unshare(unix.CLONE_NEWUSER) },
	"nested mount namespace":     func() error { return unshare(unix.CLONE_NEWNS) },
	"nested network namespace":   func() error { return unshare(unix.CLONE_NEWNET) },
	"load a kernel program":      loadProgram,
	"watch all processes":        watchAll,
	"turn the machine off":       func() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) },
	"rename the machine":         func() error { return unix.Sethostname([]byte("taken")) },
	"set the clock":              func() error { return unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}) },
	"read the kernel's log":      func() error { _, err := unix.Klogctl(3, make([]byte, 64)); return err },
	"raise the process limit":    func() error { return raise(unix.RLIMIT_NPROC) },
	"raise the file limit":       func() error { return raise(unix.RLIMIT_FSIZE) },
	"go before other processes":  func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -20) },
	"become a host's user":       func() error { return unix.Setresuid(1<<20, 1<<20, 1<<20) },
	"open a file by its handle":  openByHandle,
	"write the core pattern":     func() error { return os.WriteFile("/proc/sys/kernel/core_pattern", []byte("|/x"), 0) },
	"write a kernel setting":     func() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0) },
	"write the module loader":    func() error { return os.WriteFile("/proc/sys/kernel/modprobe", []byte("/x"), 0) },
	"trigger a crash":            func() error { return os.WriteFile("/proc/sysrq-trigger", []byte("h"), 0) },
	"allow nested namespaces":    func() error { return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("9"), 0) },
	"move the packet filter":     func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) },
	"overwrite this binary":      func() error { return os.WriteFile("/proc/self/exe", nil, 0) },
	"overwrite PID 1's binary":   func() error { return os.WriteFile("/proc/1/exe", nil, 0) },
	"take PID 1's descriptors":   takeDescriptors,
	"signal all of the parent's": func() error { return unix.Kill(os.Getppid()+1<<22-1, 0) },
}

// attack tries one of them, inside a droplet.
func attack() {
	do := attacks[os.Getenv(attackEnv)]
	if do == nil {
		fmt.Println("no such attack")
		os.Exit(3)
	}
	runtime.LockOSThread()
	err := do()
	fmt.Println(err)
	if err != nil {
		os.Exit(2)
	}
	os.Exit(0)
}

func open(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func unshare(flags int) error { return unix.Unshare(flags) }

// notPermitted tells being forbidden from being wrong about the details.
func notPermitted(err error) error {
	if err == unix.EPERM || err == unix.ENOSYS {
		return err
	}
	return nil
}

func readMemory() error {
	var b [8]byte
	local := []unix.Iovec{{Base: &b[0], Len: 8}}
	_, err := unix.ProcessVMReadv(1, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	return notPermitted(err)
}

// leaveChroot is the classic way out: a root below the working folder.
func leaveChroot() error {
	if err := os.MkdirAll("/tmp/cell", 0o700); err != nil {
		return err
	}
	if err := unix.Chroot("/tmp/cell"); err != nil {
		return err
	}
	for range 64 {
		if err := unix.Chdir(".."); err != nil {
			return err
		}
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	_, err := os.Stat(os.Getenv("BERTH_TEST_SECRET_PATH"))
	return err
}

func loadProgram() error {
	program := [2]uint64{0xb7, 0x95} // r0 = 0; exit
	license := [4]byte{'G', 'P', 'L'}
	attr := struct {
		kind, count uint32
		program     unsafe.Pointer
		license     unsafe.Pointer
		rest        [96]byte
	}{kind: 1, count: 2, program: unsafe.Pointer(&program), license: unsafe.Pointer(&license)}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno == 0 {
		return nil
	}
	return notPermitted(errno)
}

func watchAll() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
	_, err := unix.PerfEventOpen(&attr, -1, 0, -1, 0)
	return err
}

func raise(resource int) error {
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
}

func openByHandle() error {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/usr", 0)
	if err != nil {
		return err
	}
	mount, err := unix.Open("/usr", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	_, err = unix.OpenByHandleAt(mount, handle, unix.O_RDONLY)
	return err
}

func takeDescriptors() error {
	fd, err := unix.PidfdOpen(1, 0)
	if err != nil {
		return err
	}
	for n := range 32 {
		if _, err = unix.PidfdGetfd(fd, n, 0); err == nil {
			return nil
		}
	}
	return err
}

func TestAttacksFail(t *testing.T) {
	l := newLab(t)
	s := l.spec("attacks")
	s.UserData = []byte("#cloud-config\nusers: [{name: ann, lock_passwd: false, plain_text_passwd: open}]\n")
	l.start(s)
	path, _ := secret(t)
	before := hostState(t)
	l.run(s, "ln -s /usr/local/bin/berth-httpd /usr/local/bin/attack; mkdir -m 1777 -p /tmp/cell")
	names := make([]string, 0, len(attacks))
	for name := range attacks {
		names = append(names, name)
	}
	slices.Sort(names)
	ordinary := l.host.machine("attacks").disk.spawner.ids.mode != modeUser
	for _, name := range names {
		command := fmt.Sprintf("%s='%s' BERTH_TEST_SECRET_PATH=%s attack", attackEnv, strings.ReplaceAll(name, "'", `'\''`), path)
		out, err := l.try(s, command)
		if !strings.Contains(fmt.Sprint(err), "status 2") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if !ordinary {
			continue
		}
		if out, err := l.as(s, "ann", "open", command); !strings.Contains(fmt.Sprint(err), "status 2") {
			t.Errorf("%s, as an ordinary user: %v: %s", name, err, out)
		}
	}
	l.run(s, "true")
	if after := hostState(t); after != before {
		t.Errorf("the host changed: %q, before %q", after, before)
	}
}

// hostState is what an attack would have changed.
func hostState(t *testing.T) string {
	t.Helper()
	var all []string
	for _, name := range []string{"hostname", "core_pattern", "modprobe"} {
		b, err := os.ReadFile("/proc/sys/kernel/" + name)
		if !errors.Is(err, fs.ErrNotExist) { // a kernel without modules
			check(t, err)
		}
		all = append(all, string(b))
	}
	return strings.Join(all, "")
}

// A program that changes its user when it is executed gives nobody in a droplet more rights.
func TestSetUIDProgramsGiveNothing(t *testing.T) {
	l := newLab(t)
	s := l.spec("setuid")
	s.UserData = []byte("#cloud-config\nusers: [{name: ann, lock_passwd: false, plain_text_passwd: open}]\n")
	l.start(s)
	if l.host.machine("setuid").disk.spawner.ids.mode == modeUser {
		t.Skip("only root exists in droplets here")
	}
	l.run(s, "cp /bin/cat /usr/local/bin/reader; chmod 4755 /usr/local/bin/reader; cp /bin/cat /opt/reader; chmod 4755 /opt/reader")
	for _, command := range []string{
		"reader /etc/shadow", "/opt/reader /etc/shadow", "su -c true </dev/null", "mount -t tmpfs x /mnt", "unshare -r cat /etc/shadow",
	} {
		if out, err := l.as(s, "ann", "open", command); err == nil {
			t.Errorf("%s: %s", command, out)
		}
	}
}

// Sockets of the host that have a name and no place in a folder belong to its network, which no droplet is in.
func TestSocketsOfTheHostAreOutOfReach(t *testing.T) {
	l := newLab(t)
	s := l.spec("abstract")
	l.start(s)
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	name := fmt.Sprintf("@berth-test-%d", os.Getpid())
	for _, address := range []string{name, filepath.Join(dir, "socket")} {
		outside, err := net.Listen("unix", address)
		check(t, err)
		defer outside.Close()
		if c, err := l.client(s).Dial("unix", address); err == nil {
			c.Close()
			t.Errorf("a droplet reaches %s", address)
		}
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer tcp.Close()
	if c, err := l.client(s).Dial("tcp", tcp.Addr().String()); err == nil {
		c.Close()
		t.Error("a droplet reaches what listens on the host's loopback interface")
	}
}

// The files of the host that hold its accounts and its users' data are not those that a droplet sees.
func TestHomesAndAccountsOfTheHost(t *testing.T) {
	l := newLab(t)
	s := l.spec("homes")
	l.start(s)
	home, err := os.UserHomeDir()
	check(t, err)
	for _, name := range []string{"/etc/shadow", "/etc/passwd", "/root", "/home", home, "/etc/ssh", "/var/log", "/run"} {
		var host, inside syscall.Stat_t
		if err := syscall.Stat(name, &host); err != nil {
			continue // this host has none
		}
		var id string
		if out, err := l.try(s, "stat -Lc '%d %i' "+name); err == nil {
			id = out
		}
		if fmt.Sscan(id, &inside.Dev, &inside.Ino); inside.Ino == host.Ino && inside.Dev == host.Dev {
			t.Errorf("%s is the host's", name)
		}
	}
}
