package droplet

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// secret makes a file that the user who runs Berth can read, and returns its path and content.
func secret(t *testing.T) (path, text string) {
	t.Helper()
	path, text = filepath.Join(t.TempDir(), "secret"), "do-not-tell-"+strconv.Itoa(os.Getpid())
	check(t, os.WriteFile(path, []byte(text), 0o644))
	return path, text
}

func TestHostIsOutOfReach(t *testing.T) {
	path, text := secret(t)
	t.Setenv("BERTH_TEST_SECRET", text)
	inherited, err := unix.Open(path, unix.O_RDONLY, 0) // as a careless parent would leave it open
	check(t, err)
	defer unix.Close(inherited)
	l := newLab(t)
	s := l.spec("jail")
	l.start(s)
	host, err := os.Hostname()
	check(t, err)

	for name, command := range map[string]string{
		"a file of the host":             "cat " + path,
		"a file by way of PID 1":         "cat /proc/1/root" + path,
		"a file by way of the root":      "cat /../../../.." + path,
		"the state folder":               "ls " + l.host.dir,
		"memory of PID 1":                "cat /proc/1/mem",
		"maps of PID 1":                  "cat /proc/1/maps",
		"descriptors of PID 1":           "readlink /proc/1/fd/0",
		"environment of PID 1":           "cat /proc/1/environ",
		"binary of PID 1":                "cat /proc/1/exe",
		"write /usr":                     "touch /usr/x",
		"write /usr/bin":                 "touch /usr/bin/x",
		"write /bin":                     "touch /bin/x",
		"write /lib":                     "touch /lib/x",
		"remove from /usr":               "rm /usr/bin/env",
		"change modes in /usr":           "chmod 777 /usr/bin/env",
		"write the tools":                "echo > /usr/local/bin/berth-httpd",
		"remount":                        "mount -o remount,rw /usr",
		"mount":                          "mount -t tmpfs x /mnt",
		"mount /proc":                    "mount -t proc x /mnt",
		"unmount":                        "umount /usr/local",
		"nested namespaces":              "unshare -Ur true",
		"other namespaces":               "unshare -m true",
		"allow nested namespaces":        "echo 10 > /proc/sys/user/max_user_namespaces",
		"core pattern":                   "echo x > /proc/sys/kernel/core_pattern",
		"magic keys":                     "echo h > /proc/sysrq-trigger",
		"kernel memory":                  "head -c1 /proc/kcore | grep -q .",
		"block devices":                  "mknod /root/sda b 8 0",
		"another host name":              "hostname taken",
		"network settings":               "ip link add dummy0 type dummy",
		"raise limits":                   "sh -c 'ulimit -Hu unlimited && ulimit -u unlimited'",
		"write /sys":                     "echo 1 > /sys/kernel/mm/ksm/run",
		"secrets in any environment":     "grep -rl " + text + " /proc/[0-9]*/environ",
		"secrets in any open file":       "ls -l /proc/[0-9]*/fd/ | grep " + path,
		"connections to the outside":     "timeout 5 bash -c 'echo > /dev/tcp/10.255.255.1/80'",
		"a second process of the host's": "kill -0 " + strconv.Itoa(os.Getpid()),
	} {
		if out, err := l.try(s, "("+command+") 2>&1"); err == nil {
			t.Errorf("%s: `%s` succeeded: %s", name, command, out)
		}
	}
	if os.Getpid() < 1000 {
		t.Log("this process's id is too small to tell it from one inside")
	}

	for name, c := range map[string]struct{ command, want string }{
		"processes":             {"cat /proc/[0-9]*/comm | grep -c berth-init", "1\n"},
		"capabilities":          {"grep CapBnd /proc/self/status | cut -f2 | tail -c 17 | head -c 8", "00000000"},
		"no new privileges":     {"grep -c 'NoNewPrivs:.1' /proc/self/status", "1\n"},
		"shadow":                {"grep -v ':\\*:' /etc/shadow | wc -l", "0\n"},
		"descriptors":           {"ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 "},
		"home folders":          {"ls /home | wc -l", "0\n"},
		"interfaces":            {"tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '", "lo\n"},
		"host name of the jail": {"hostname", s.Hostname + "\n"},
	} {
		if got := l.run(s, c.command); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if now, err := os.Hostname(); err != nil || now != host {
		t.Errorf("the host is called %q now, %v", now, err)
	}
	for _, fd := range descriptors(t, l.host.machine("jail").cmd.Process.Pid) {
		if strings.Contains(fd, path) {
			t.Errorf("PID 1 holds %s", fd)
		}
	}
}

// descriptors lists what a process has open.
func descriptors(t *testing.T, pid int) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	check(t, err)
	var all []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		check(t, err)
		all = append(all, target)
	}
	return all
}

// No socket of the host's network gets into a droplet: it could be turned into a connection to the host's services.
func TestNoSocketOfTheHostGetsIn(t *testing.T) {
	l := newLab(t)
	s := l.spec("sockets")
	l.start(s)
	l.run(s, "nohup berth-httpd -p 8082 /srv >/dev/null 2>&1 &")
	get(t, "http://"+s.Addr.String()+":8082/")
	c := l.client(s)
	defer c.Close()
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"} {
		f, err := os.Open(table)
		check(t, err)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[9] != "0" {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
		check(t, f.Close())
	}
	if len(inodes) == 0 {
		t.Error("the host has no sockets, so this shows nothing")
	}
	for _, fd := range descriptors(t, l.host.machine("sockets").cmd.Process.Pid) {
		if inodes[fd] {
			t.Errorf("PID 1 holds the host's %s", fd)
		}
	}
}

func TestForkBombIsBounded(t *testing.T) {
	l := newLab(t)
	s := l.spec("bomb")
	l.start(s)
	out := l.run(s, "trap '' CHLD; sh -c 'while :; do sleep 100 & done' >/dev/null 2>&1 </dev/null; set -- /proc/[0-9]*; echo $#")
	n, err := strconv.Atoi(strings.TrimSpace(out))
	check(t, err)
	if n < 50 || n > processesPerCPU+ownThreads {
		t.Errorf("%d processes were started", n)
	}
	check(t, l.host.Stop(l.context(), "bomb", false))
	l.start(s)
	l.run(s, "true")
}

func TestMemoryIsBounded(t *testing.T) {
	l := newLab(t)
	s := l.spec("memory")
	l.start(s)
	if out, err := l.try(s, "head -c 700M /dev/zero | tail -n 1 | wc -c"); err == nil && strings.TrimSpace(out) == "734003200" {
		t.Error("a process has more memory than the droplet")
	}
	l.run(s, "true")
}

// Several processes together have no more memory than the droplet, where the kernel bounds that.
func TestMemoryOfAllIsBounded(t *testing.T) {
	l := newLab(t)
	s := l.spec("together")
	l.start(s)
	if !l.host.machine("together").group.has("memory") {
		t.Skip("memory is bounded for each process only: this process may not use the memory control group")
	}
	one := "(head -c 200M /dev/zero | tail -n 1 | (sleep 1; wc -c)) & "
	out, err := l.try(s, one+one+one+one+"wait")
	if strings.Count(out, "209715200") >= 4 {
		t.Errorf("four times 200 MiB fit into %d: %s, %v", s.MemoryMB, out, err)
	}
	l.run(s, "true")
}

// fill writes a file of some MiB, the fast way if the host has it.
func fill(name, mib string) string {
	return "fallocate -l " + mib + "M " + name + " 2>/dev/null || head -c " + mib + "M /dev/zero > " + name
}

func TestDiskIsBounded(t *testing.T) {
	for name, command := range map[string]string{
		"files":         fill("/root/a", "600") + "; " + fill("/tmp/b", "600") + "; sleep 60",
		"deleted files": "exec 3>/root/a 4>/root/b; rm /root/a /root/b; " + fill("/proc/self/fd/3", "600") + "; " + fill("/proc/self/fd/4", "600") + "; sleep 60",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.spec("disk")
			l.start(s)
			l.run(s, "nohup sh -c '"+command+"' >/dev/null 2>&1 </dev/null &")
			if got := l.halted(); got != "disk false" {
				t.Errorf("halted as %q", got)
			}
			if !strings.Contains(l.logs.String(), "disk is full") {
				t.Error("the log does not say why")
			}
			l.start(s) // somebody has to be able to tidy up
			l.run(s, "rm -f /root/a /tmp/b")
		})
	}
	t.Run("one file", func(t *testing.T) {
		l := newLab(t)
		s := l.spec("one")
		l.start(s)
		if out, err := l.try(s, "truncate -s 2G /root/big"); err == nil {
			t.Errorf("a file is larger than the disk: %s", out)
		}
	})
}

const orphanDir = "BERTH_TEST_ORPHAN_DIR"

// orphan is the part of TestKilledHostLeavesNothing that gets killed.
func orphan() {
	h, err := Open(Options{Dir: os.Getenv(orphanDir)})
	if err == nil {
		err = h.Start(context.Background(), Spec{
			ID: "orphan", Instance: "1", Addr: testAddr(), UserData: []byte("#cloud-config\nwrite_files: [{path: /root/kept}]\nruncmd: [exec sleep 1000]\n"),
		})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(h.machine("orphan").cmd.Process.Pid)
	select {}
}

func TestKilledHostLeavesNothing(t *testing.T) {
	l := newLab(t)
	l.start(l.spec("probe"))
	cmd := exec.Command("/proc/self/exe")
	dir := t.TempDir()
	cmd.Env = append(os.Environ(), orphanDir+"="+dir)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the other host said nothing")
	}
	pid, err := strconv.Atoi(lines.Text())
	if err != nil {
		t.Fatal(lines.Text())
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	check(t, err)
	if !slices.Contains(pidNamespaces(t), namespace) {
		t.Fatal("the droplet can't be seen")
	}
	check(t, cmd.Process.Signal(syscall.SIGKILL))
	cmd.Wait() // killed, as it should be
	eventually(t, "the droplet's processes are gone", func() bool { return !slices.Contains(pidNamespaces(t), namespace) })

	// The next host finds the droplet as it was left, and what it had on the kernel free again.
	check(t, l.host.Close())
	l.host, err = Open(Options{Dir: dir, Log: l.host.log})
	check(t, err)
	s := l.spec("orphan")
	s.Instance = "2" // so that it gets this test's key
	l.start(s)
	l.run(s, "cat /root/kept")
}

// pidNamespaces lists the namespaces of all processes that can be seen.
func pidNamespaces(t *testing.T) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	check(t, err)
	var all []string
	for _, name := range links {
		if target, err := os.Readlink(name); err == nil { // else it has ended, or is somebody else's
			all = append(all, target)
		}
	}
	return all
}
