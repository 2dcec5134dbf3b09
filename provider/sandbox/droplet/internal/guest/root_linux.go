package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	ownLocal = "/.usr-local" // the droplet's own /usr/local, since /usr is the host's
	// Tools is the host's file, relative to the droplet's root folder, that becomes the droplet's web server: this
	// binary again.
	Tools = "../tools"
)

var (
	// systemDirs are the host's folders in / beside /usr, where they are not links into it.
	systemDirs = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}
	// sharedEtc are the host's folders of settings that programs in /usr rely on. None holds secrets that everybody on
	// the host could not read. They are few, as are the files, because every new one makes a new droplet slower.
	sharedEtc = []string{"alternatives", "crypto-policies", "fonts", "pam.d", "pki", "security", "ssl"}
	// copiedEtc are the host's files that a droplet starts with and may change.
	copiedEtc = []string{
		"bash.bashrc", "localtime", "login.defs", "mime.types", "os-release", "profile", "protocols", "services",
		"skel/.bashrc", "skel/.profile",
	}
	// freshEtc are copied at each boot, because they describe the host's /usr.
	freshEtc = []string{"ld.so.cache"}

	deviceNodes = []string{"full", "null", "random", "tty", "urandom", "zero"}
	// maskedProc tell about the host; what is not there needs no mask.
	maskedProc = []string{"kcore", "keys", "latency_stats", "sched_debug", "timer_list"}
)

const readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// tree is a part of the host that is taken before the root changes and put in place afterwards. So no path inside the
// droplet's folder, where its root may have left any link, is ever followed while the host's files are in reach.
type tree struct {
	fd     int
	target string
	file   bool
}

type builder struct {
	trees  []tree
	links  map[string]string // of / into /usr
	copies map[string][]byte // by name in /etc
	root   int
}

// buildRoot makes the working folder, which is the droplet's root folder, the root of this process, with all mounts that
// a Linux program expects.
func buildRoot() error {
	b := &builder{links: map[string]string{}, copies: map[string][]byte{}}
	return inOrder([]step{
		{"make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"take the host's folders", b.take},
		{"change the root folder", b.pivot},
		{"create folders", b.skeleton},
		// The kernel allows these only while the host's own are still in sight.
		{"mount /proc", func() error { return mount("proc", "/proc", unix.MS_NOEXEC, "") }},
		{"mount /sys", mountSys},
		{"leave the host's root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"mount /dev", mountDev},
		{"mount /run", func() error { return mount("tmpfs", "/run", 0, "mode=755,size=64m") }},
		{"place the host's folders", b.place},
		{"mask /proc", maskProc},
		{"write /etc", b.writeEtc},
	})
}

func mount(kind, target string, flags uintptr, data string) error {
	return unix.Mount(kind, target, kind, flags|unix.MS_NOSUID|unix.MS_NODEV, data)
}

// takeTree copies a mount of the host, with everything mounted below it.
func takeTree(source string, attributes uint64) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, &fs.PathError{Op: "open_tree", Path: source, Err: err}
	}
	attr := unix.MountAttr{Attr_set: attributes}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return -1, &fs.PathError{Op: "mount_setattr", Path: source, Err: err}
	}
	return fd, nil
}

func (b *builder) takeFrom(source, target string, attributes uint64, optional bool) error {
	fi, err := os.Stat(source)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fd, err := takeTree(source, attributes)
	if err != nil {
		return err
	}
	b.trees = append(b.trees, tree{fd, target, !fi.IsDir()})
	return nil
}

func (b *builder) take() error {
	if err := b.takeFrom("/usr", "/usr", readOnly, false); err != nil {
		return err
	}
	for _, name := range systemDirs {
		if link, err := os.Readlink("/" + name); err == nil {
			b.links["/"+name] = link
		} else if err := b.takeFrom("/"+name, "/"+name, readOnly, true); err != nil {
			return err
		}
	}
	for _, name := range sharedEtc {
		if err := b.takeFrom("/etc/"+name, "/etc/"+name, readOnly, true); err != nil {
			return err
		}
	}
	for _, name := range deviceNodes {
		if err := b.takeFrom("/dev/"+name, "/dev/"+name, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, false); err != nil {
			return err
		}
	}
	for _, name := range append(copiedEtc, freshEtc...) {
		text, err := os.ReadFile("/etc/" + name)
		if err == nil {
			b.copies["/etc/"+name] = text
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if err := b.takeFrom(Tools, "/usr/local/bin/"+HTTPName, readOnly, true); err != nil {
		return err
	}
	var err error
	b.root, err = takeTree(".", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	return err
}

// pivot mounts the droplet's folder on itself and makes it the root; the old root is then on top of it, out of the way
// of all paths.
func (b *builder) pivot() error {
	if err := unix.MoveMount(b.root, "", unix.AT_FDCWD, ".", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	if err := unix.Fchdir(b.root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	return unix.Close(b.root)
}

// skeleton creates folders and links, in place of whatever else has their names.
func (b *builder) skeleton() error {
	for _, name := range []string{
		"/usr", "/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/home", "/etc", "/etc/skel", "/var", "/var/lib",
		"/var/log", "/var/tmp", "/srv", "/opt", "/mnt", "/media", ownLocal, ownLocal + "/bin", ownLocal + "/sbin",
	} {
		if err := makeDir(name); err != nil {
			return err
		}
	}
	for name, link := range b.links {
		if now, err := os.Readlink(name); err == nil && now == link {
			continue
		}
		if err := errors.Join(os.RemoveAll(name), os.Symlink(link, name)); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", "/var/run"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(os.Chmod("/tmp", 0o777|fs.ModeSticky), os.Chmod("/var/tmp", 0o777|fs.ModeSticky), os.Chmod("/root", 0o700))
}

func makeDir(name string) error {
	fi, err := os.Lstat(name)
	if err == nil && fi.IsDir() {
		return nil
	}
	if err == nil {
		err = os.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Mkdir(name, 0o755)
}

// mountSys goes without where the kernel refuses, as it does in some containers: few programs look there.
func mountSys() error {
	if mount("sysfs", "/sys", unix.MS_NOEXEC|unix.MS_RDONLY, "") != nil {
		return nil
	}
	if _, err := os.Stat("/sys/firmware"); err != nil {
		return nil
	}
	return mount("tmpfs", "/sys/firmware", unix.MS_NOEXEC|unix.MS_RDONLY, "size=4k")
}

func mountDev() error {
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir("/dev/pts", 0o755), os.Mkdir("/dev/shm", 0o755)); err != nil {
		return err
	}
	const newPTS = "newinstance,ptmxmode=0666,mode=0620"
	if err := unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, newPTS); err != nil {
		return fmt.Errorf("devpts: %w", err)
	}
	if err := mount("tmpfs", "/dev/shm", 0, "mode=1777,size=64m"); err != nil {
		return err
	}
	links := map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		links[name] = "/proc/self/fd/" + strconv.Itoa(i)
	}
	for name, target := range links {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// place puts the trees where they belong. /usr comes first, then the droplet's own /usr/local on it.
func (b *builder) place() error {
	for i, t := range b.trees {
		if err := t.place(); err != nil {
			return &fs.PathError{Op: "move_mount", Path: t.target, Err: err}
		}
		if i > 0 {
			continue
		}
		if err := unix.Mount(ownLocal, "/usr/local", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("/usr/local: %w", err)
		}
	}
	return nil
}

func (t tree) place() error {
	if !t.file {
		if err := makeDir(t.target); err != nil {
			return err
		}
	} else if f, err := os.OpenFile(t.target, os.O_CREATE|os.O_RDONLY, 0o644); err != nil {
		return err
	} else if err := f.Close(); err != nil {
		return err
	}
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, t.target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	return unix.Close(t.fd)
}

func maskProc() error {
	for _, name := range maskedProc {
		err := unix.Mount("/dev/null", "/proc/"+name, "", unix.MS_BIND, "")
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func (b *builder) writeEtc() error {
	fresh := map[string]bool{}
	for _, name := range freshEtc {
		fresh["/etc/"+name] = true
	}
	for name, text := range b.copies {
		if _, err := os.Lstat(name); err == nil && !fresh[name] {
			continue
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
	return nil
}
