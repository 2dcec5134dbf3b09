package droplet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	cgroupMount  = "/sys/fs/cgroup"
	cgroupPrefix = "berth-droplet-"
	// cgroupHost is where this process, and what shares its group, goes in version 2, where only groups without
	// processes of their own may have bounded ones below them.
	cgroupHost = "berth-host"
	// ownThreads is room for PID 1 beside the processes that a droplet may have.
	ownThreads = 32
	cpuPeriod  = 100_000 // microseconds, the kernel's default
)

// bounds are what a droplet may use.
type bounds struct {
	processes int
	memory    int64 // bytes
	cpus      int
}

// setting is a file of a control group.
type setting struct {
	file     string
	value    string
	optional bool // the kernel may be built without it
}

// controller is one resource of which the kernel may let this process make groups.
type controller struct {
	name   string
	v1, v2 func(bounds) []setting
}

var controllers = []controller{
	{
		"pids",
		func(b bounds) []setting {
			return []setting{{"pids.max", strconv.Itoa(b.processes + ownThreads), false}}
		},
		func(b bounds) []setting {
			return []setting{{"pids.max", strconv.Itoa(b.processes + ownThreads), false}}
		},
	},
	{
		"memory",
		func(b bounds) []setting {
			return []setting{{"memory.limit_in_bytes", strconv.FormatInt(b.memory, 10), false}}
		},
		func(b bounds) []setting {
			return []setting{{"memory.max", strconv.FormatInt(b.memory, 10), false}, {"memory.swap.max", "0", true}}
		},
	},
	{
		"cpu",
		func(b bounds) []setting {
			return []setting{{"cpu.cfs_quota_us", strconv.Itoa(b.cpus * cpuPeriod), true}}
		},
		func(b bounds) []setting {
			return []setting{{"cpu.max", fmt.Sprintf("%d %d", b.cpus*cpuPeriod, cpuPeriod), true}}
		},
	},
}

// cgroup is a droplet's group in each hierarchy that could be used.
type cgroup struct {
	dirs   []string
	bounds []string // the names of the controllers that hold
}

func (g *cgroup) has(name string) bool {
	for _, b := range g.bounds {
		if b == name {
			return true
		}
	}
	return false
}

// newCgroup puts a process, and all that it will start, into a group with bounds, as far as this process may make one:
// usually as root, or where a service manager delegates a part of the hierarchy. The error tells what was refused; the
// group can be used nevertheless.
func newCgroup(pid int, b bounds) (*cgroup, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return &cgroup{}, err
	}
	return newCgroupBelow(cgroupMount, parseCgroups(string(text)), pid, b)
}

// newCgroupBelow does so for a process whose own groups are known. Version 2 is in force where its controllers are at
// the top; a system with both versions has it in a folder of its own, without the controllers that matter here.
func newCgroupBelow(mount string, own map[string]string, pid int, b bounds) (*cgroup, error) {
	g := &cgroup{}
	if _, err := os.Stat(filepath.Join(mount, "cgroup.controllers")); err == nil {
		return g, g.join2(mount, own[""], pid, b)
	}
	var errs []error
	for _, c := range controllers {
		path, ok := own[c.name]
		if !ok {
			continue
		}
		if err := g.join(filepath.Join(mount, c.name), path, pid, c.v1(b)); err != nil {
			errs = append(errs, err)
			continue
		}
		g.bounds = append(g.bounds, c.name)
	}
	return g, errors.Join(errs...)
}

// parseCgroups reads /proc/self/cgroup: number, controllers (none in version 2), path.
func parseCgroups(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			paths[name] = f[2]
		}
	}
	return paths
}

// join makes a group below this process's own, moves the process, and sets the bounds.
func (g *cgroup) join(mount, own string, pid int, settings []setting) error {
	parent := filepath.Join(mount, own)
	if _, err := os.Stat(parent); err != nil {
		parent = mount // a container sees its own group as the root
	}
	removeStale(parent)
	dir := filepath.Join(parent, cgroupPrefix+strconv.Itoa(pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	g.dirs = append(g.dirs, dir)
	for _, s := range settings {
		err := os.WriteFile(filepath.Join(dir, s.file), []byte(s.value), 0o600)
		if err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), strconv.AppendInt(nil, int64(pid), 10), 0o600)
}

// join2 does so in version 2: below this process's own group, else below the top.
func (g *cgroup) join2(mount, own string, pid int, b bounds) error {
	var errs []error
	for _, parent := range []string{own, "/"} {
		enabled, err := enable(filepath.Join(mount, parent))
		if len(enabled) == 0 {
			errs = append(errs, err)
			continue
		}
		var settings []setting
		var names []string
		for _, c := range enabled {
			settings, names = append(settings, c.v2(b)...), append(names, c.name)
		}
		if err := g.join(mount, parent, pid, settings); err != nil {
			return err
		}
		g.bounds = names
		return nil
	}
	return errors.Join(errs...)
}

// enable lets the groups below one be bounded, and returns by what. A group that has processes itself refuses that: they
// move to one of their own below it.
func enable(parent string) (enabled []controller, err error) {
	control := filepath.Join(parent, "cgroup.subtree_control")
	moved := false
	for _, c := range controllers {
		one := os.WriteFile(control, []byte("+"+c.name), 0o600)
		if errors.Is(one, syscall.EBUSY) && !moved {
			moved = true
			if one = moveDown(parent); one == nil {
				one = os.WriteFile(control, []byte("+"+c.name), 0o600)
			}
		}
		if one != nil {
			err = errors.Join(err, one)
			continue
		}
		enabled = append(enabled, c)
	}
	return enabled, err
}

// moveDown moves all processes of a group to one below it.
func moveDown(parent string) error {
	text, err := os.ReadFile(filepath.Join(parent, "cgroup.procs"))
	if err != nil {
		return err
	}
	below := filepath.Join(parent, cgroupHost)
	if err := os.Mkdir(below, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for id := range strings.FieldsSeq(string(text)) {
		err := os.WriteFile(filepath.Join(below, "cgroup.procs"), []byte(id), 0o600)
		if err != nil && !errors.Is(err, syscall.ESRCH) { // it has ended
			return fmt.Errorf("move process %s: %w", id, err)
		}
	}
	return nil
}

// removeStale removes the groups of droplets whose host was killed. A group can be removed only when it is empty.
func removeStale(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, cgroupPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.Remove(dir) // another host may be quicker
		}
	}
}

// remove removes the groups of a droplet that has ended.
func (g *cgroup) remove() error {
	var errs []error
	for _, dir := range g.dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
