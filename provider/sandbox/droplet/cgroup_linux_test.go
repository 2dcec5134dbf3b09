package droplet

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The kernel holds what was asked for: the bounds are read back where they are in force.
func TestBoundsAreInForce(t *testing.T) {
	l := newLab(t)
	s := l.spec("bounds")
	s.VCPUs = 2
	l.start(s)
	m := l.host.machine("bounds")
	if len(m.group.bounds) == 0 {
		t.Skip("this process may not use control groups")
	}
	want := map[string]string{
		"pids.max": strconv.Itoa(2*processesPerCPU + ownThreads), "cpu.cfs_quota_us": "200000", "cpu.max": "200000 100000",
		"memory.limit_in_bytes": strconv.Itoa(512 << 20), "memory.max": strconv.Itoa(512 << 20),
	}
	seen := 0
	for _, dir := range m.group.dirs {
		for file, value := range want {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue // of another version or controller
			}
			seen++
			if got := strings.TrimSpace(string(b)); got != value {
				t.Errorf("%s in %s: %s, want %s", file, dir, got, value)
			}
		}
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		check(t, err)
		if !strings.Contains("\n"+string(b), "\n"+strconv.Itoa(m.cmd.Process.Pid)+"\n") {
			t.Errorf("PID 1 is not in %s", dir)
		}
	}
	if seen < len(m.group.bounds) {
		t.Errorf("%d bounds are in force for %v", seen, m.group.bounds)
	}
	dirs := m.group.dirs
	check(t, l.host.Stop(l.context(), "bounds", true))
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left over", dir)
		}
	}
}

// tree lists files and what was written to them.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	check(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, root+"/")] = string(b)
		return err
	}))
	return all
}

// What is written in each version of the hierarchy, which no machine has both of.
func TestHierarchies(t *testing.T) {
	b := bounds{processes: 512, memory: 1 << 30, cpus: 2}
	for name, c := range map[string]struct {
		files []string
		own   string
		want  map[string]string
	}{
		"version 1": {
			[]string{"pids/a/x", "memory/x", "cpu/x"},
			"3:pids:/a\n2:memory:/gone\n1:cpu,cpuacct:/\n0::/\n",
			map[string]string{
				"pids/a/berth-droplet-1/pids.max": "544", "pids/a/berth-droplet-1/cgroup.procs": "1",
				"memory/berth-droplet-1/memory.limit_in_bytes": "1073741824", "memory/berth-droplet-1/cgroup.procs": "1",
				"cpu/berth-droplet-1/cpu.cfs_quota_us": "200000", "cpu/berth-droplet-1/cgroup.procs": "1",
			},
		},
		"version 2": {
			[]string{"cgroup.controllers", "user/x"},
			"0::/user\n",
			map[string]string{
				"user/cgroup.subtree_control":          "+cpu",
				"user/berth-droplet-1/pids.max":        "544",
				"user/berth-droplet-1/memory.max":      "1073741824",
				"user/berth-droplet-1/memory.swap.max": "0",
				"user/berth-droplet-1/cpu.max":         "200000 100000",
				"user/berth-droplet-1/cgroup.procs":    "1",
			},
		},
		"version 2, own group out of sight": {
			[]string{"cgroup.controllers"},
			"0::/elsewhere\n",
			map[string]string{
				"cgroup.subtree_control":          "+cpu",
				"berth-droplet-1/pids.max":        "544",
				"berth-droplet-1/memory.max":      "1073741824",
				"berth-droplet-1/memory.swap.max": "0",
				"berth-droplet-1/cpu.max":         "200000 100000",
				"berth-droplet-1/cgroup.procs":    "1",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, f := range c.files {
				check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, f)), 0o755))
				check(t, os.WriteFile(filepath.Join(root, f), nil, 0o600))
			}
			g, err := newCgroupBelow(root, parseCgroups(c.own), 1, b)
			check(t, err)
			for _, bound := range []string{"pids", "memory", "cpu"} {
				if !g.has(bound) {
					t.Errorf("%s is not bounded", bound)
				}
			}
			got := tree(t, root)
			for _, f := range c.files {
				delete(got, f)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMoveDown(t *testing.T) {
	root := t.TempDir()
	check(t, os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte("41\n42\n"), 0o600))
	check(t, os.Mkdir(filepath.Join(root, cgroupHost), 0o755))
	check(t, os.WriteFile(filepath.Join(root, cgroupHost, "cgroup.procs"), nil, 0o600))
	check(t, moveDown(root))
	if got := tree(t, root)[cgroupHost+"/cgroup.procs"]; got != "42" { // each is written at once, the last one last
		t.Errorf("got %q", got)
	}
	if err := moveDown(filepath.Join(root, "nothing")); err == nil {
		t.Error("a group that is not there was emptied")
	}
}
