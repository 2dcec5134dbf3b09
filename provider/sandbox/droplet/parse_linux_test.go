package droplet

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth/provider/sandbox/droplet/internal/archive"
	"berth/provider/sandbox/droplet/internal/guest"
)

func TestShiftedIDs(t *testing.T) {
	for name, c := range map[string]struct {
		uidMap string
		want   extent
		ok     bool
	}{
		"host":             {"         0          0 4294967295\n", extent{shiftedBase, idCount}, true},
		"rootless":         {"0 1000 1\n1 100000 65536\n", extent{1, idCount}, true},
		"small container":  {"0 5000 1000\n", extent{1, 999}, true},
		"with a gap":       {"0 0 10\n20 20 100000\n", extent{1, 9}, true},
		"one id":           {"0 1000 1\n", extent{}, false},
		"large, unordered": {"65536 9 2000000\n0 1 65536\n", extent{shiftedBase, idCount}, true},
	} {
		own, err := parseExtents([]byte(c.uidMap))
		check(t, err)
		got, ok := shifted(own)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: got %v, %v", name, got, ok)
		}
	}
	if _, err := parseExtents([]byte("0 x\n")); err == nil {
		t.Error("nonsense was accepted")
	}
}

// Whatever ids there are, root of the host is never among those of a droplet.
func TestShiftedIDsNeverHoldRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var own []extent
		for i, next := 0, 0; i < rapid.IntRange(1, 4).Draw(t, "lines"); i++ {
			e := extent{next + rapid.IntRange(0, 3).Draw(t, "gap"), rapid.IntRange(1, 2_000_000).Draw(t, "count")}
			own, next = append(own, e), e.first+e.count
		}
		got, ok := shifted(own)
		if ok && (got.first < 1 || got.count < 1 || got.count > idCount) {
			t.Fatalf("%v gives %v", own, got)
		}
	})
}

func TestSubordinateIDs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	check(t, os.WriteFile(file, []byte("ann:100000:65536\n1001:5:10\nbroken:x:y\n"), 0o600))
	for _, c := range []struct {
		name, uid string
		want      extent
		ok        bool
	}{
		{"ann", "1000", extent{100000, idCount - 1}, true},
		{"bob", "1001", extent{5, 10}, true},
		{"broken", "3", extent{}, false},
		{"eve", "4", extent{}, false},
	} {
		got, ok := subordinate(file, &user.User{Username: c.name, Uid: c.uid})
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v", c.name, got, ok)
		}
	}
}

func TestParseCgroups(t *testing.T) {
	got := parseCgroups("5:cpu,cpuacct:/a\n3:pids:/b:c\n0::/user.slice\nbroken\n")
	want := map[string]string{"cpu": "/a", "cpuacct": "/a", "pids": "/b:c", "": "/user.slice"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMeter(t *testing.T) {
	start := time.Unix(1000, 0)
	free := space{bytes: 100 << 30, files: 1_000_000}
	m := meter{
		limit: archive.Usage{Bytes: 1 << 30, Files: 1000}, used: archive.Usage{Bytes: 1 << 20, Files: 10}, free: free,
		measured: start,
	}
	for name, c := range map[string]struct {
		after time.Duration
		free  space
		want  bool
	}{
		"nothing happened":     {time.Second, free, false},
		"others freed space":   {time.Second, space{200 << 30, 2_000_000}, false},
		"little was written":   {time.Second, space{free.bytes - 500<<20, free.files}, false},
		"much was written":     {time.Second, space{free.bytes - 1<<30, free.files}, true},
		"many files were made": {time.Second, space{free.bytes, free.files - 991}, true},
		"long ago":             {measureInterval, free, true},
	} {
		if got := m.due(start.Add(c.after), c.free); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if m.record(start, free, archive.Usage{Bytes: 1 << 30, Files: 1000}) {
		t.Error("a disk at its limit is not full")
	}
	if !m.record(start, free, archive.Usage{Bytes: 1<<30 + 1}) || !m.record(start, free, archive.Usage{Files: 1001}) {
		t.Error("a disk beyond its limit is full")
	}
}

func TestExplainSaysWhatToDo(t *testing.T) {
	wrap := func(step string, err error) error {
		return fmt.Errorf("start droplet x: %w", &guest.StepError{Step: step, Err: err})
	}
	for _, c := range []struct {
		err        error
		step, want string
	}{
		{wrap("create namespaces", syscall.ENOSPC), "create namespaces", "max_user_namespaces"},
		{wrap("create namespaces", syscall.EPERM), "create namespaces", "seccomp"},
		{wrap("make mounts private", syscall.EACCES), "make mounts private", "apparmor"},
		{wrap("mount /proc", syscall.EPERM), "mount /proc", "systempaths"},
		{wrap("take the host's folders", syscall.ENOSYS), "take the host's folders", "5.12"},
		{wrap("map user ids", errors.New("no")), "map user ids", "subuid"},
		{wrap("write /etc", syscall.EACCES), "write /etc", "refuses"},
		{errors.New("no idea"), "start", "no idea"},
	} {
		step, reason := explain(c.err)
		if step != c.step || !strings.Contains(reason, c.want) || !strings.Contains(reason, c.err.Error()) {
			t.Errorf("%v: %q, %q", c.err, step, reason)
		}
	}
}
