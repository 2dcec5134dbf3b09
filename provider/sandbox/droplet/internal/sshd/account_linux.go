package sshd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

const maxFile = 256 << 10 // of a file that is read to decide about a login

// account is a line of /etc/passwd, and the groups beside its own.
type account struct {
	name, home, shell string
	uid, gid          uint32
	groups            []uint32
}

// readFile reads a small file that a user may have put there: it must be a regular one, and is not waited for.
func readFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// entry returns the fields of the line for a name in a file such as /etc/passwd.
func (s *Server) entry(file, name string, fields int) ([]string, error) {
	b, err := readFile(filepath.Join(s.Root, file))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if f[0] == name && len(f) >= fields {
			return f, nil
		}
	}
	return nil, fmt.Errorf("no account %q in %s", name, file)
}

func (s *Server) account(name string) (account, error) {
	f, err := s.entry("etc/passwd", name, 7)
	if err != nil {
		return account{}, err
	}
	uid, err1 := strconv.ParseUint(f[2], 10, 32)
	gid, err2 := strconv.ParseUint(f[3], 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return account{}, err
	}
	a := account{name: name, home: f[5], shell: f[6], uid: uint32(uid), gid: uint32(gid)}
	if a.shell == "" {
		a.shell = "/bin/sh"
	}
	a.groups, err = s.groups(name)
	return a, err
}

func (s *Server) groups(name string) ([]uint32, error) {
	b, err := readFile(filepath.Join(s.Root, "etc/group"))
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			continue
		}
		if id, err := strconv.ParseUint(f[2], 10, 32); err == nil {
			ids = append(ids, uint32(id))
		}
	}
	return ids, nil
}

// setting returns a keyword's value in the server's configuration; the first one counts, and the folder is included
// first, as Debian does.
func (s *Server) setting(keyword, standard string) string {
	files, _ := filepath.Glob(filepath.Join(s.Root, "etc/ssh/sshd_config.d/*.conf"))
	for _, name := range append(files, filepath.Join(s.Root, "etc/ssh/sshd_config")) {
		b, err := readFile(name)
		if err != nil {
			continue // none is there until somebody writes one
		}
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			f := strings.Fields(strings.Replace(lines.Text(), "=", " ", 1))
			if len(f) >= 2 && strings.EqualFold(f[0], keyword) {
				return strings.ToLower(f[1])
			}
		}
	}
	return standard
}

// forcedCommand is the name under which a key's command= option travels from authentication to session.
const forcedCommand = "force-command"

// byKey accepts a key of the account's authorized_keys.
func (s *Server) byKey(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	a, err := s.account(meta.User())
	if err != nil {
		return nil, err
	}
	if a.uid == 0 && s.setting("PermitRootLogin", "yes") == "no" {
		return nil, errors.New("root may not log in")
	}
	rest, err := readFile(filepath.Join(s.Root, a.home, ".ssh/authorized_keys"))
	if err != nil {
		return nil, err
	}
	for len(rest) > 0 {
		var known ssh.PublicKey
		var options []string
		known, _, options, rest, err = ssh.ParseAuthorizedKey(rest)
		if err != nil {
			break // nothing but comments and broken lines is left
		}
		if bytes.Equal(known.Marshal(), key.Marshal()) {
			return permissions(options)
		}
	}
	return nil, errors.New("the key is not authorized")
}

// permissions understands the option command="…". A key with any other is refused, since each of them restricts it.
func permissions(options []string) (*ssh.Permissions, error) {
	p := &ssh.Permissions{CriticalOptions: map[string]string{}}
	for _, o := range options {
		command, ok := strings.CutPrefix(o, "command=")
		if !ok {
			return nil, fmt.Errorf("the key's option %q is not supported", o)
		}
		command, err := strconv.Unquote(command)
		if err != nil {
			return nil, fmt.Errorf("the key's option %q: %w", o, err)
		}
		p.CriticalOptions[forcedCommand] = command
	}
	return p, nil
}

// byPassword accepts the password of /etc/shadow.
func (s *Server) byPassword(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	a, err := s.account(meta.User())
	if err != nil {
		return nil, err
	}
	if s.setting("PasswordAuthentication", "yes") == "no" {
		return nil, errors.New("passwords are switched off")
	}
	if a.uid == 0 && s.setting("PermitRootLogin", "yes") != "yes" {
		return nil, errors.New("root may not log in by password")
	}
	f, err := s.entry("etc/shadow", meta.User(), 2)
	if err != nil {
		return nil, err
	}
	s.hashing.Lock()
	defer s.hashing.Unlock()
	return nil, checkPassword(f[1], string(password))
}
