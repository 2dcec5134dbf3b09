package droplet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/archive"
)

const (
	quotaInterval   = 500 * time.Millisecond
	measureInterval = time.Minute      // at the latest
	measureTimeout  = 30 * time.Second // of one disk
	// slack is what a droplet that boots with a full disk may still write, so that somebody can log in and tidy up.
	slack = 64 << 20
	// filesPerGB is how many files a fresh ext4 of that size has room for.
	filesPerGB = 65536
)

// space is what is free on the file system that holds the droplets.
type space struct{ bytes, files int64 }

func freeSpace(dir string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return space{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return space{int64(st.Bfree) * st.Bsize, int64(st.Ffree)}, nil
}

// meter knows how much of its disk a droplet has used. To walk through the files is slow, to ask the file system what is
// free is not: a droplet can't have used more than was lost since the last walk, so a walk is needed only when that
// could be too much.
type meter struct {
	used     archive.Usage
	limit    archive.Usage
	free     space // when it was measured
	measured time.Time
}

// due says whether the files have to be measured.
func (m *meter) due(now time.Time, free space) bool {
	return now.Sub(m.measured) >= measureInterval ||
		m.used.Bytes+m.free.bytes-free.bytes > m.limit.Bytes || m.used.Files+m.free.files-free.files > m.limit.Files
}

// record takes a measurement and says whether the disk is over its limit.
func (m *meter) record(now time.Time, free space, used archive.Usage) (full bool) {
	m.used, m.free, m.measured = used, free, now
	return used.Bytes > m.limit.Bytes || used.Files > m.limit.Files
}

// newMeter measures a disk before its droplet boots. One that is full already gets some room.
func newMeter(ctx context.Context, d disk, isNew bool, diskGB int) (m meter, err error) {
	m.measured = time.Now()
	if m.free, err = freeSpace(d.dir); err != nil {
		return m, err
	}
	if !isNew {
		if m.used, err = d.measure(ctx); err != nil {
			return m, err
		}
	}
	m.limit.Bytes = max(int64(diskGB)<<30, m.used.Bytes+slack)
	m.limit.Files = max(int64(diskGB)*filesPerGB, m.used.Files+slack>>14)
	return m, nil
}

// watchDisks halts droplets whose files grow beyond their disks, until the host is closed.
func (h *Host) watchDisks() {
	ticks := time.NewTicker(quotaInterval)
	defer ticks.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case now := <-ticks.C:
			free, err := freeSpace(h.dir)
			if err != nil {
				h.log.Error("droplets' disks can't be watched", "error", err)
				continue
			}
			for _, m := range h.all() {
				if m.meter.due(now, free) {
					h.measure(m, now, free)
				}
			}
		}
	}
}

func (h *Host) all() []*machine {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*machine, 0, len(h.machines))
	for _, m := range h.machines {
		all = append(all, m)
	}
	return all
}

func (h *Host) measure(m *machine, now time.Time, free space) {
	ctx, cancel := context.WithTimeout(h.life, measureTimeout)
	defer cancel()
	used, err := m.disk.measure(ctx)
	if err == nil {
		var deleted int64
		deleted, err = deletedBytes(m.cmd.Process.Pid)
		used.Bytes += deleted
	}
	if err != nil {
		select {
		case <-m.ended:
		case <-h.life.Done():
		default:
			m.log.Error("droplet's disk can't be measured", "error", err)
		}
		return
	}
	if m.meter.record(now, free, used) {
		m.log.Error("droplet is halted: its disk is full", "bytes", used.Bytes, "files", used.Files, "disk_gb", m.spec.DiskGB)
		m.kill()
	}
}

// deletedBytes adds up files without a name that processes of a droplet hold open: they take room, and no walk finds
// them.
func deletedBytes(init int) (int64, error) {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init))
	if err != nil {
		return 0, err
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	seen := map[[2]uint64]bool{}
	var total int64
	for _, p := range processes {
		if ns, err := os.Readlink(p + "/ns/pid"); err != nil || ns != own {
			continue // not of this droplet, or gone
		}
		files, err := os.ReadDir(p + "/fd")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			total += deletedSize(filepath.Join(p, "fd", f.Name()), seen)
		}
	}
	return total, nil
}

func deletedSize(name string, seen map[[2]uint64]bool) int64 {
	var st syscall.Stat_t
	if syscall.Stat(name, &st) != nil || st.Nlink != 0 || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return 0
	}
	id := [2]uint64{st.Dev, st.Ino}
	if seen[id] {
		return 0
	}
	seen[id] = true
	return st.Blocks * 512
}
