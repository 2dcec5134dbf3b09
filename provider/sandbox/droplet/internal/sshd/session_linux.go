package sshd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

const (
	// Path is where commands are looked for.
	Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// lastOutput is how long output is waited for after a command's end, when something else still holds it open.
	lastOutput = 200 * time.Millisecond
	maxEnv     = 64
)

var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP,
	"ILL": syscall.SIGILL, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2,
}

// session is one channel in which one command, shell or subsystem runs.
type session struct {
	server  *Server
	account account
	channel ssh.Channel
	forced  string // the command that the key allows, if it allows but one
	env     []string
	window  *unix.Winsize // nil without a terminal
	started bool
	// answered is closed when the client knows that its command was started. It must not hear of the end before.
	answered chan struct{}

	mu     sync.Mutex // guards what follows, which ends with the command
	master *os.File   // the terminal's end of the server
	pid    int        // 0 when nothing runs
}

func newSession(s *Server, conn *ssh.ServerConn, a account, ch ssh.Channel) *session {
	env := []string{
		"HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=" + a.shell, "PATH=" + Path, "LANG=C.UTF-8",
	}
	clientHost, clientPort, err1 := net.SplitHostPort(conn.RemoteAddr().String())
	host, port, err2 := net.SplitHostPort(conn.LocalAddr().String())
	if err1 == nil && err2 == nil {
		client := clientHost + " " + clientPort + " "
		env = append(env, "SSH_CLIENT="+client+port, "SSH_CONNECTION="+client+host+" "+port)
	}
	session := &session{server: s, account: a, channel: ch, env: env, answered: make(chan struct{})}
	if conn.Permissions != nil {
		session.forced = conn.Permissions.CriticalOptions[forcedCommand]
	}
	return session
}

// serve answers requests until the client closes the channel. A terminal goes with it, other commands go on.
func (s *session) serve(requests <-chan *ssh.Request) {
	for r := range requests {
		before := s.started
		ok := s.request(r)
		if r.WantReply {
			r.Reply(ok, nil)
		}
		if s.started && !before {
			close(s.answered)
		}
	}
	s.channel.Close()
	s.closeTerminal()
}

func (s *session) request(r *ssh.Request) bool {
	switch r.Type {
	case "env":
		return s.setEnv(r.Payload)
	case "pty-req":
		return s.setTerminal(r.Payload)
	case "window-change":
		return s.resize(r.Payload)
	case "signal":
		return s.signal(r.Payload)
	case "shell":
		return s.run("-"+filepath.Base(s.account.shell), nil)
	case "exec", "subsystem":
		var p struct{ Text string }
		if ssh.Unmarshal(r.Payload, &p) != nil {
			return false
		}
		if r.Type == "exec" {
			return s.run(filepath.Base(s.account.shell), []string{"-c", p.Text})
		}
		return p.Text == "sftp" && s.runSFTP()
	}
	return false
}

// setEnv accepts what OpenSSH accepts by default.
func (s *session) setEnv(payload []byte) bool {
	var p struct{ Name, Value string }
	if ssh.Unmarshal(payload, &p) != nil || len(s.env) > maxEnv || strings.ContainsRune(p.Value, 0) {
		return false
	}
	if p.Name != "LANG" && !strings.HasPrefix(p.Name, "LC_") || strings.ContainsAny(p.Name, "=\x00") {
		return false
	}
	s.env = append(s.env, p.Name+"="+p.Value)
	return true
}

func (s *session) setTerminal(payload []byte) bool {
	var p struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &p) != nil || s.started || strings.ContainsRune(p.Term, 0) {
		return false
	}
	s.window = &unix.Winsize{
		Row: uint16(p.Rows), Col: uint16(p.Columns), Xpixel: uint16(p.Width), Ypixel: uint16(p.Height),
	}
	s.env = append(s.env, "TERM="+p.Term)
	return true
}

func (s *session) resize(payload []byte) bool {
	var p struct{ Columns, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.master != nil && setSize(s.master, unix.Winsize{
		Row: uint16(p.Rows), Col: uint16(p.Columns), Xpixel: uint16(p.Width), Ypixel: uint16(p.Height),
	}) == nil
}

// signal reaches the command's whole process group, which is a session of its own.
func (s *session) signal(payload []byte) bool {
	var p struct{ Name string }
	if ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	sig, ok := signals[strings.TrimPrefix(p.Name, "SIG")]
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok && s.pid > 1 && syscall.Kill(-s.pid, sig) == nil
}

func (s *session) closeTerminal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master != nil {
		s.master.Close() // the kernel hangs up on everything that runs there
		s.master = nil
	}
}

// run starts the account's shell with arguments.
func (s *session) run(name string, args []string) bool {
	if s.forced != "" {
		if len(args) == 2 {
			s.env = append(s.env, "SSH_ORIGINAL_COMMAND="+args[1])
		}
		name, args = filepath.Base(s.account.shell), []string{"-c", s.forced}
	}
	return s.start(&exec.Cmd{Path: s.account.shell, Args: append([]string{name}, args...)})
}

func (s *session) runSFTP() bool {
	if s.forced != "" {
		return s.run("", nil)
	}
	s.window = nil
	return s.start(&exec.Cmd{Path: s.server.SFTP[0], Args: s.server.SFTP[1:]})
}

// start runs the command as the account. That it can't be started is told to the user like any failing command.
func (s *session) start(cmd *exec.Cmd) bool {
	if s.started {
		return false
	}
	s.started = true
	cmd.Env, cmd.Dir = s.env, filepath.Join(s.server.Root, s.account.home)
	if _, err := os.Stat(cmd.Dir); err != nil {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if int(s.account.uid) != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{
			Uid: s.account.uid, Gid: s.account.gid, Groups: s.account.groups,
		}
	}
	begin := s.startPiped
	if s.window != nil {
		begin = s.startTerminal
	}
	if err := begin(cmd); err != nil {
		go func() {
			if int(s.account.uid) != os.Geteuid() && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL)) {
				err = errors.New("this machine gives its droplets no user but root")
			}
			fmt.Fprintf(s.channel.Stderr(), "%s: %v\r\n", cmd.Path, err)
			s.finish(syscall.WaitStatus(126 << 8))
		}()
	}
	return true
}

// launch starts the command, with the lock held so that a signal finds either no command or its id.
func (s *session) launch(cmd *exec.Cmd) (<-chan syscall.WaitStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pid, ended, err := s.server.Start(cmd)
	if err == nil {
		s.pid = pid
	}
	return ended, err
}

func (s *session) startTerminal(cmd *exec.Cmd) error {
	master, terminal, err := openTerminal(*s.window)
	if err != nil {
		return err
	}
	defer terminal.Close()
	if int(s.account.uid) != os.Geteuid() {
		if err := terminal.Chown(int(s.account.uid), int(s.account.gid)); err != nil {
			master.Close()
			return err
		}
	}
	cmd.Env = append(cmd.Env, "SSH_TTY="+terminal.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr.Setctty = true
	ended, err := s.launch(cmd)
	if err != nil {
		master.Close()
		return err
	}
	s.mu.Lock()
	s.master = master
	s.mu.Unlock()
	out := newOutput(s.channel, master)
	go io.Copy(master, s.channel) // ends with either
	go func() {
		status := <-ended
		out.finish()
		s.finish(status)
		s.closeTerminal()
	}()
	return nil
}

func (s *session) startPiped(cmd *exec.Cmd) error {
	var ours, theirs [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			closeAll(theirs)
			return err
		}
		ours[i], theirs[i] = r, w
	}
	ours[0], theirs[0] = theirs[0], ours[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	ended, err := s.launch(cmd)
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return err
	}
	out, errs := newOutput(s.channel, ours[1]), newOutput(s.channel.Stderr(), ours[2])
	go func() {
		io.Copy(ours[0], s.channel) // a command need not read all its input
		ours[0].Close()
	}()
	go func() {
		status := <-ended
		var wg sync.WaitGroup
		wg.Go(out.finish)
		wg.Go(errs.finish)
		wg.Wait()
		s.finish(status)
	}()
	return nil
}

// finish tells the client how the command ended, and closes the channel.
func (s *session) finish(status syscall.WaitStatus) {
	<-s.answered
	s.mu.Lock()
	s.pid = 0
	s.mu.Unlock()
	if status.Signaled() {
		name := "KILL"
		for n, sig := range signals {
			if sig == status.Signal() {
				name = n
			}
		}
		s.channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name           string
			Core           bool
			Message, Langs string
		}{name, status.CoreDump(), status.Signal().String(), ""}))
	} else {
		s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(status.ExitStatus())}))
	}
	s.channel.Close()
}
