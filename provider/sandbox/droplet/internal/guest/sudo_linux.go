package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/sshd"
)

// SudoName is the name under which a binary asks PID 1 to run a command as root: in a droplet no program can gain rights
// by itself. The script sudo, which knows its options, calls it.
const SudoName = "berth-sudo"

const (
	sudoSocket   = "/run/berth-sudo"
	maxSudo      = 32 // commands at a time
	maxSudoBytes = 128 << 10
	sudoTimeout  = 10 * time.Second // for the request, which is sent at once
)

// sudoRequest comes with the standard files of the one who asks.
type sudoRequest struct {
	Args []string `json:"args"`
	Dir  string   `json:"dir"`
	Env  []string `json:"env"`
}

type sudoAnswer struct {
	Status int    `json:"status"` // an exit status as shells have it: 128 and the signal
	Error  string `json:"error,omitempty"`
}

// serveSudo serves until the droplet ends.
func (s *supervisor) serveSudo() error {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: sudoSocket, Net: "unixpacket"})
	if err != nil {
		return err
	}
	if err := os.Chmod(sudoSocket, 0o666); err != nil {
		return errors.Join(err, l.Close())
	}
	free := make(chan struct{}, maxSudo)
	go func() {
		for {
			c, err := l.AcceptUnix()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				s.log.Warn("sudo", "error", err)
				continue
			}
			free <- struct{}{}
			go func() {
				defer func() { <-free }()
				s.sudo(c)
			}()
		}
	}()
	return nil
}

// sudo serves one request: it runs the command to its end, and passes signals on meanwhile.
func (s *supervisor) sudo(c *net.UnixConn) {
	defer c.Close()
	pid, ended, err := s.startSudo(c)
	if err != nil {
		s.log.Warn("sudo refused", "error", err)
		reply(c, sudoAnswer{Status: 1, Error: err.Error()})
		return
	}
	signals, over := make(chan syscall.Signal), make(chan struct{})
	defer close(over)
	go receiveSignals(c, signals, over)
	for {
		select {
		case sig := <-signals:
			syscall.Kill(-pid, sig) // it may be ending
		case status := <-ended:
			answer := sudoAnswer{Status: status.ExitStatus()}
			if status.Signaled() {
				answer.Status = 128 + int(status.Signal())
			}
			reply(c, answer)
			return
		}
	}
}

// receiveSignals passes on what the one who asks is told, and SIGHUP when it is gone, until the command is over.
func receiveSignals(c *net.UnixConn, signals chan<- syscall.Signal, over <-chan struct{}) {
	for b := make([]byte, 1); ; {
		n, err := c.Read(b)
		gone := err != nil || n == 0
		sig := syscall.Signal(b[0])
		if gone {
			sig = syscall.SIGHUP
		}
		select {
		case signals <- sig:
		case <-over:
			return
		}
		if gone {
			return
		}
	}
}

func reply(c *net.UnixConn, a sudoAnswer) {
	if b, err := json.Marshal(a); err == nil {
		_, _ = c.Write(b) // who asked may be gone
	}
}

func (s *supervisor) startSudo(c *net.UnixConn) (pid int, ended <-chan syscall.WaitStatus, err error) {
	r, files, err := receiveSudo(c)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return 0, nil, err
	}
	user, err := peer(c)
	if err != nil {
		return 0, nil, err
	}
	if user != "root" && !mayRaise("/", user) {
		return 0, nil, fmt.Errorf("%s may not, without a password: /etc/sudoers.d would have to say NOPASSWD", user)
	}
	path, err := lookPath(r.Args[0])
	if err != nil {
		return 0, nil, err
	}
	if _, err := os.Stat(r.Dir); err != nil {
		r.Dir = "/"
	}
	cmd := &exec.Cmd{
		Path: path, Args: r.Args, Dir: r.Dir, Env: append(rootEnvironment(), r.Env...),
		Stdin: files[0], Stdout: files[1], Stderr: files[2], SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	s.log.Info("sudo", "user", user, "command", strings.Join(r.Args, " "))
	return s.reaper.start(cmd)
}

// rootEnvironment is what root's commands have that nobody logged in for.
func rootEnvironment() []string {
	return []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=" + loginShell(), "PATH=" + sshd.Path, "LANG=C.UTF-8"}
}

// receiveSudo reads the request and the three files that come with it.
func receiveSudo(c *net.UnixConn) (r sudoRequest, files []*os.File, err error) {
	if err := c.SetReadDeadline(time.Now().Add(sudoTimeout)); err != nil {
		return r, nil, err
	}
	b, oob := make([]byte, maxSudoBytes), make([]byte, unix.CmsgSpace(3*4))
	n, on, flags, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return r, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil || len(messages) != 1 {
		return r, nil, errors.New("the request has no files")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), "passed"))
	}
	if err != nil || len(files) != 3 || flags&unix.MSG_TRUNC != 0 {
		return r, files, errors.New("the request is too long, or lacks a file")
	}
	if err := json.Unmarshal(b[:n], &r); err != nil {
		return r, files, err
	}
	if len(r.Args) == 0 {
		return r, files, errors.New("no command")
	}
	return r, files, c.SetReadDeadline(time.Time{})
}

// peer is the name of the account at the other end, as the kernel knows it.
func peer(c *net.UnixConn) (string, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return "", err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, credErr); err != nil {
		return "", err
	}
	t, err := readTable("/etc/passwd", 0o644)
	if err != nil {
		return "", err
	}
	for _, row := range t.rows {
		if len(row) > 2 && row[2] == fmt.Sprint(cred.Uid) {
			return row[0], nil
		}
	}
	return "", fmt.Errorf("user id %d has no account", cred.Uid)
}

// mayRaise says whether sudoers let a user run everything as root without a password. Other rules are not known, and let
// nobody do anything.
func mayRaise(root, user string) bool {
	groups, err := readTable(filepath.Join(root, "etc/group"), 0o644)
	if err != nil {
		return false
	}
	who := map[string]bool{user: true, "ALL": true}
	for _, row := range groups.rows {
		if len(row) > 3 && strings.Contains(","+row[3]+",", ","+user+",") {
			who["%"+row[0]] = true
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "etc/sudoers.d/*"))
	if err != nil {
		return false
	}
	for _, name := range append([]string{filepath.Join(root, "etc/sudoers")}, files...) {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // there is none until somebody writes one
		}
		for line := range strings.Lines(string(text)) {
			name, rule, _ := strings.Cut(strings.TrimSpace(line), " ")
			if who[name] && strings.HasPrefix(strings.TrimSpace(rule), "ALL") &&
				strings.HasSuffix(strings.ReplaceAll(rule, " ", ""), "NOPASSWD:ALL") {
				return true
			}
		}
	}
	return false
}

func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(sshd.Path, ":") {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: command not found", name)
}

// AskSudo is the main function of the one who asks: it has PID 1 run the command in its arguments as root, and returns
// the exit status.
func AskSudo(args []string) int {
	status, err := askSudo(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sudo:", err)
		return 1
	}
	return status
}

func askSudo(args []string) (status int, err error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: sudoSocket, Net: "unixpacket"})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	r := sudoRequest{Args: args, Dir: dir}
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); name == "TERM" || name == "LANG" || strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "SUDO_") {
			r.Env = append(r.Env, e)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	if _, _, err := c.WriteMsgUnix(b, unix.UnixRights(0, 1, 2), nil); err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	go func() {
		for s := range signals {
			_, _ = c.Write([]byte{byte(s.(syscall.Signal))}) // the answer says if it is over
		}
	}()
	b = make([]byte, 4<<10)
	n, err := c.Read(b)
	if err != nil {
		return 0, err
	}
	var a sudoAnswer
	if err := json.Unmarshal(b[:n], &a); err != nil {
		return 0, err
	}
	if a.Error != "" {
		return 0, errors.New(a.Error)
	}
	return a.Status, nil
}
