package droplet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The modes of a [Report].
const (
	modeRoot    = "root"
	modeUser    = "user"
	modeUserMap = "user+newuidmap"
	modeNone    = "none"
)

const (
	shiftedBase = 1_000_000 // root maps droplets' ids from here on, where no account of the host is
	idCount     = 65536
)

// extent is a run of ids that follow each other.
type extent struct{ first, count int }

// idMap says which ids of the host a droplet's users are. Root is never itself in a droplet: where Berth runs as root,
// all ids are shifted; else a droplet's root is the user who runs Berth, without that user's files in reach.
type idMap struct {
	mode string
	uids []syscall.SysProcIDMap
	gids []syscall.SysProcIDMap
}

// detectIDs chooses a map by the rights of this process.
func detectIDs() (idMap, error) {
	if os.Geteuid() != 0 {
		return userIDs()
	}
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return idMap{}, err
	}
	own, err := parseExtents(b)
	if err != nil {
		return idMap{}, err
	}
	e, ok := shifted(own)
	if !ok {
		return single(), nil // root of a namespace with one id is an ordinary user
	}
	m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: e.first, Size: e.count}}
	return idMap{modeRoot, m, m}, nil
}

func single() idMap {
	return idMap{
		mode: modeUser,
		uids: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		gids: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// parseExtents reads /proc/self/uid_map: lines of first id inside, first id outside, count.
func parseExtents(b []byte) ([]extent, error) {
	var all []extent
	for line := range strings.Lines(string(b)) {
		var e extent
		var outside int
		if _, err := fmt.Sscan(line, &e.first, &outside, &e.count); err != nil {
			return nil, fmt.Errorf("uid_map line %q: %w", line, err)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b extent) int { return a.first - b.first })
	return all, nil
}

// shifted finds ids for droplets among those that exist for this process: the usual ones, else (in a container with few
// ids) all but root's.
func shifted(own []extent) (extent, bool) {
	end := 0 // of the ids from 0 without a gap
	for _, e := range own {
		if e.first <= shiftedBase && e.first+e.count >= shiftedBase+idCount {
			return extent{shiftedBase, idCount}, true
		}
		if e.first == end {
			end += e.count
		}
	}
	return extent{1, min(end-1, idCount)}, end > 1
}

// userIDs uses the subordinate ids of an ordinary user where they are set up, else maps that user alone.
func userIDs() (idMap, error) {
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return single(), nil // an id without an account has no subordinate ids either
	}
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return single(), nil
		}
	}
	uid, okUID := subordinate("/etc/subuid", u)
	gid, okGID := subordinate("/etc/subgid", u)
	if !okUID || !okGID {
		return single(), nil
	}
	m := single()
	m.mode = modeUserMap
	m.uids = append(m.uids, syscall.SysProcIDMap{ContainerID: 1, HostID: uid.first, Size: uid.count})
	m.gids = append(m.gids, syscall.SysProcIDMap{ContainerID: 1, HostID: gid.first, Size: gid.count})
	return m, nil
}

// subordinate reads a user's line in /etc/subuid or /etc/subgid.
func subordinate(file string, u *user.User) (extent, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return extent{}, false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != u.Username && f[0] != u.Uid {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		count, err2 := strconv.Atoi(f[2])
		if errors.Join(err1, err2) == nil && count > 0 {
			return extent{first, min(count, idCount-1)}, true
		}
	}
	return extent{}, false
}

// external says whether the ids are mapped by programs, after the start.
func (m idMap) external() bool { return m.mode == modeUserMap }

// root is the host's owner of what belongs to a droplet's root.
func (m idMap) root() (uid, gid int) { return m.uids[0].HostID, m.gids[0].HostID }

// attributes start a process as root in a user namespace of its own, and kill it when this process dies.
func (m idMap) attributes(flags uintptr) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | flags, Setsid: true, Pdeathsig: syscall.SIGKILL}
	if m.external() {
		return a
	}
	a.UidMappings, a.GidMappings = m.uids, m.gids
	if m.mode == modeRoot {
		a.GidMappingsEnableSetgroups = true
		a.Credential = &syscall.Credential{Uid: 0, Gid: 0}
	}
	return a
}

// mapExternally has newuidmap and newgidmap map the ids of a process that waits for it.
func (m idMap) mapExternally(pid int) error {
	for tool, extents := range map[string][]syscall.SysProcIDMap{"newuidmap": m.uids, "newgidmap": m.gids} {
		args := []string{strconv.Itoa(pid)}
		for _, e := range extents {
			args = append(args, strconv.Itoa(e.ContainerID), strconv.Itoa(e.HostID), strconv.Itoa(e.Size))
		}
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", tool, err, bytes.TrimSpace(out))
		}
	}
	return nil
}
