package droplet

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"berth/provider/sandbox/droplet/internal/guest"
)

const checkTimeout = 30 * time.Second

// probeAddr is an address that no droplet has, so that two programs that probe at once don't disturb each other.
func probeAddr() netip.Addr {
	var b [2]byte
	rand.Read(b[:]) // it never fails
	n := binary.BigEndian.Uint16(b[:])
	return netip.AddrFrom4([4]byte{127, 76, byte(n >> 8), byte(n%254) + 1})
}

func probeSSHPort() int {
	l, err := listenTCP(probeAddr(), 22)
	if err != nil {
		return 2222
	}
	l.Close()
	return 22
}

// Check starts a throw-away droplet and reports what this kernel allows.
func (h *Host) Check(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r := Report{Mode: modeNone, SSHPort: h.SSHPort()}
	id := "check-" + strings.ToLower(rand.Text()[:12])
	err := h.Start(ctx, Spec{ID: id, Instance: id, Addr: probeAddr(), MemoryMB: 512, DiskGB: 1})
	if m := h.machine(id); err == nil && m != nil {
		r.Shells, r.Mode = true, m.disk.spawner.ids.mode
		r.Notes = notes(r, m.group)
		if m.lacks != "" {
			r.Notes = append(r.Notes, m.lacks)
		}
	}
	if removeErr := h.Remove(context.WithoutCancel(ctx), id); err == nil {
		err = removeErr
	}
	if err != nil {
		r.Shells, r.Mode = false, modeNone
		r.Step, r.Reason = explain(err)
	}
	return r
}

func notes(r Report, g *cgroup) []string {
	var all []string
	if r.SSHPort != 22 {
		all = append(all, "SSH is at port 2222 of each droplet: port 22 needs root or net.ipv4.ip_unprivileged_port_start=22, and no SSH server of the host that listens on all addresses")
	}
	if r.Mode == modeUser {
		all = append(all, "droplets have no user but root: install newuidmap and newgidmap (package uidmap) and give this user a range in /etc/subuid and /etc/subgid for more")
	}
	if r.Mode != modeRoot {
		all = append(all, fmt.Sprintf("ports below 1024 appear at the port plus %d", unprivilegedShift))
	}
	for _, c := range []struct{ name, without string }{
		{"memory", "memory is bounded for each process, not for a droplet as a whole"},
		{"pids", "processes are bounded by resource limits for each user of a droplet"},
		{"cpu", "processor time is not bounded"},
	} {
		if !g.has(c.name) {
			all = append(all, c.without+": this process may not use the "+c.name+" control group")
		}
	}
	return all
}

// explain turns a failed start into the step, and what to do about it.
func explain(err error) (step, reason string) {
	step = "start"
	var failed *guest.StepError
	if errors.As(err, &failed) {
		step = failed.Step
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	return step, remedy(step, errno) + ": " + err.Error()
}

func remedy(step string, errno syscall.Errno) string {
	switch {
	case step == "create namespaces" && (errno == syscall.ENOSPC || errno == syscall.EUSERS):
		return "the kernel has user namespaces switched off; allow them with sysctl user.max_user_namespaces=15000"
	case step == "create namespaces" && (errno == syscall.EPERM || errno == syscall.EACCES):
		return "user namespaces are forbidden here: by sysctl kernel.unprivileged_userns_clone=0, by a container's seccomp profile (run it with --security-opt seccomp=unconfined), or by AppArmor"
	case step == "create namespaces" && errno == syscall.EINVAL:
		return "the kernel lacks a kind of namespace that droplets need"
	case step == "make mounts private" || step == "set the host name" && errno == syscall.EPERM:
		return "AppArmor restricts user namespaces; allow them with sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for this program"
	case step == "mount /proc":
		return "the kernel allows no new /proc because a part of this one is hidden, as containers do; run the container with --security-opt systempaths=unconfined"
	case errno == syscall.ENOSYS:
		return "the kernel is too old: Linux 5.12 or newer is needed"
	case step == "map user ids":
		return "newuidmap refuses the range in /etc/subuid and /etc/subgid"
	case errors.Is(errno, os.ErrPermission):
		return "the kernel refuses a step of the set-up (a container's or service's restrictions?)"
	}
	return "a throw-away droplet did not start"
}
