package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"berth/provider/sandbox/droplet/internal/cloudinit"
	"berth/provider/sandbox/droplet/internal/sshd"
)

const (
	firstUserID = 1000
	lastUserID  = 59999
)

var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// table is a file such as /etc/passwd: lines of fields between colons, the name first.
type table struct {
	path string
	mode fs.FileMode
	rows [][]string
}

func readTable(path string, mode fs.FileMode) (*table, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &table{path: path, mode: mode}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" {
			t.rows = append(t.rows, strings.Split(line, ":"))
		}
	}
	return t, nil
}

// row returns the fields for a name, nil if there are none.
func (t *table) row(name string, fields int) []string {
	for _, r := range t.rows {
		if r[0] == name && len(r) >= fields {
			return r
		}
	}
	return nil
}

func (t *table) add(fields ...string) { t.rows = append(t.rows, fields) }

// freeID is the first unused number in the third column.
func (t *table) freeID() (int, error) {
	used := map[string]bool{}
	for _, r := range t.rows {
		if len(r) > 2 {
			used[r[2]] = true
		}
	}
	for id := firstUserID; id <= lastUserID; id++ {
		if !used[strconv.Itoa(id)] {
			return id, nil
		}
	}
	return 0, fmt.Errorf("%s: no number is free", t.path)
}

func (t *table) write() error {
	var b strings.Builder
	for _, r := range t.rows {
		fmt.Fprintln(&b, strings.Join(r, ":"))
	}
	next := t.path + ".new"
	return errors.Join(replace(next, b.String(), t.mode), os.Rename(next, t.path))
}

// accounts are the three files about users.
type accounts struct{ passwd, group, shadow *table }

func readAccounts() (a accounts, err error) {
	var errs [3]error
	a.passwd, errs[0] = readTable("/etc/passwd", 0o644)
	a.group, errs[1] = readTable("/etc/group", 0o644)
	a.shadow, errs[2] = readTable("/etc/shadow", 0o600)
	return a, errors.Join(errs[:]...)
}

func (a accounts) write() error {
	return errors.Join(a.passwd.write(), a.group.write(), a.shadow.write())
}

// addUser creates an account with its group, home folder, password and keys; one that exists gets the keys only.
func addUser(u cloudinit.User) error {
	if !userName.MatchString(u.Name) || strings.ContainsAny(u.Gecos+u.Shell+u.Home+u.PasswordHash+u.HashedPassword, ":\n") {
		return errors.New("unusable name or field")
	}
	a, err := readAccounts()
	if err != nil {
		return err
	}
	if row := a.passwd.row(u.Name, 7); row != nil {
		uid, gid, err := owner(u.Name)
		return errors.Join(err, authorize(row[5], uid, gid, u.AuthorizedKeys))
	}
	uid, err := a.passwd.freeID()
	if u.UID.Value != nil {
		uid, err = *u.UID.Value, nil
	}
	if err != nil {
		return err
	}
	gid, err := a.ensureGroup(orText(u.PrimaryGroup, u.Name), uid)
	if err != nil {
		return err
	}
	home := orText(u.Home, "/home/"+u.Name)
	a.passwd.add(u.Name, "x", strconv.Itoa(uid), strconv.Itoa(gid), u.Gecos, home, orText(u.Shell, loginShell()))
	password, err := passwordField(u)
	if err != nil {
		return err
	}
	a.shadow.add(u.Name, password, "20000", "0", "99999", "7", "", "", "")
	for _, name := range u.Groups {
		if _, err := a.ensureGroup(name, -1); err != nil {
			return err
		}
		row := a.group.row(name, 4)
		row[3] = strings.Trim(row[3]+","+u.Name, ",")
	}
	if err := a.write(); err != nil {
		return err
	}
	if u.NoCreateHome || u.System {
		return nil
	}
	return errors.Join(makeHome(home, uid, gid), authorize(home, uid, gid, u.AuthorizedKeys))
}

// addGroup creates a group, if there is none of that name, and adds members to it.
func addGroup(g cloudinit.Group) error {
	a, err := readAccounts()
	if err != nil {
		return err
	}
	if _, err := a.ensureGroup(g.Name, -1); err != nil {
		return err
	}
	row := a.group.row(g.Name, 4)
	members := strings.FieldsFunc(row[3], func(r rune) bool { return r == ',' })
	for _, m := range g.Members {
		if !userName.MatchString(m) {
			return fmt.Errorf("unusable member %q", m)
		}
		if !slices.Contains(members, m) {
			members = append(members, m)
		}
	}
	row[3] = strings.Join(members, ",")
	return a.group.write()
}

func orText(s, standard string) string {
	if s == "" {
		return standard
	}
	return s
}

// passwordField is the account's entry in /etc/shadow: locked, unless the user data says otherwise.
func passwordField(u cloudinit.User) (string, error) {
	hash := orText(u.HashedPassword, u.PasswordHash)
	if hash == "" && u.PlainPassword != "" {
		var err error
		if hash, err = sshd.HashPassword(u.PlainPassword); err != nil {
			return "", err
		}
	}
	if hash == "" || !u.LockPassword.Set || u.LockPassword.On {
		return "!" + hash, nil
	}
	return hash, nil
}

// ensureGroup returns a group's number, and creates the group if there is none, preferably with the number given.
func (a accounts) ensureGroup(name string, wanted int) (int, error) {
	if row := a.group.row(name, 4); row != nil {
		return strconv.Atoi(row[2])
	}
	if !userName.MatchString(name) {
		return 0, fmt.Errorf("unusable group name %q", name)
	}
	taken := slices.ContainsFunc(a.group.rows, func(r []string) bool { return len(r) > 2 && r[2] == strconv.Itoa(wanted) })
	if wanted < 0 || taken {
		var err error
		if wanted, err = a.group.freeID(); err != nil {
			return 0, err
		}
	}
	a.group.add(name, "x", strconv.Itoa(wanted), "")
	return wanted, nil
}

func makeHome(home string, uid, gid int) error {
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(home, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	files, err := filepath.Glob("/etc/skel/.[a-z]*")
	if err != nil {
		return err
	}
	for _, from := range files {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to := filepath.Join(home, filepath.Base(from))
		if err := errors.Join(create(to, string(b), 0o644), chown(to, uid, gid)); err != nil {
			return err
		}
	}
	return chown(home, uid, gid)
}

// chown gives a file away. Where the host maps root only there is nobody to give it to, and it stays root's.
func chown(name string, uid, gid int) error {
	err := os.Lchown(name, uid, gid)
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// authorize adds keys to an account's authorized_keys.
func authorize(home string, uid, gid int, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	dir := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(dir, "authorized_keys")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_RDWR|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	known := strings.Split(string(now), "\n")
	text := ""
	if len(now) > 0 && now[len(now)-1] != '\n' {
		text = "\n"
	}
	for _, k := range keys {
		if k = strings.TrimSpace(k); !slices.Contains(known, k) {
			known = append(known, k)
			text += k + "\n"
		}
	}
	_, err = f.WriteString(text)
	return errors.Join(err, chown(dir, uid, gid), chown(file, uid, gid))
}

// writeSudoers keeps the users' rules where cloud-init does. An earlier instance's are gone then.
func writeSudoers(users []cloudinit.User) error {
	const file = "/etc/sudoers.d/90-cloud-init-users"
	var text strings.Builder
	for _, u := range users {
		for _, rule := range u.Sudo {
			fmt.Fprintln(&text, u.Name, strings.TrimSpace(rule))
		}
	}
	if text.Len() == 0 {
		return os.RemoveAll(file)
	}
	return replace(file, text.String(), 0o440)
}

// setShadow sets the field with the password's hash.
func setShadow(name, hash string) error {
	if strings.ContainsAny(hash, ":\n") {
		return errors.New("unusable hash")
	}
	t, err := readTable("/etc/shadow", 0o600)
	if err != nil {
		return err
	}
	row := t.row(name, 2)
	if row == nil {
		return errors.New("no such account")
	}
	row[1] = hash
	return t.write()
}

// owner reads "user", "user:group" or numbers.
func owner(s string) (uid, gid int, err error) {
	user, group, hasGroup := strings.Cut(s, ":")
	a, err := readAccounts()
	if err != nil {
		return 0, 0, err
	}
	gid = -1
	if row := a.passwd.row(user, 7); row != nil {
		var errs [2]error
		uid, errs[0] = strconv.Atoi(row[2])
		gid, errs[1] = strconv.Atoi(row[3])
		err = errors.Join(errs[:]...)
	} else if uid, err = strconv.Atoi(user); err != nil {
		err = fmt.Errorf("no account %q", user)
	}
	if err != nil || !hasGroup {
		return uid, gid, err
	}
	if row := a.group.row(group, 3); row != nil {
		gid, err = strconv.Atoi(row[2])
	} else if gid, err = strconv.Atoi(group); err != nil {
		err = fmt.Errorf("no group %q", group)
	}
	return uid, gid, err
}
