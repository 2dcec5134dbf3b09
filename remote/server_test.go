package remote

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an SSH server in the test's process that runs real commands, and
// behaves as OpenSSH does: a session per command, the exit status as soon as
// the shell ends, the channel open for as long as anybody holds its output.
type server struct {
	Target
	home        string
	shell       string
	signals     signalling
	maxSessions int // per connection; 0 is no limit

	listener net.Listener
	config   *ssh.ServerConfig
	work     sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]*load
	accepted int
	busiest  int // most commands at once on one connection
}

// load is what a connection carries.
type load struct{ sessions, commands int }

// signalling is what a server makes of a signal request.
type signalling int

const (
	signalsGroup signalling = iota
	signalsShell
	signalsNobody
)

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newServer(t testing.TB, change ...func(*server)) *server {
	t.Helper()
	host, login := newSigner(t), newSigner(t)
	s := &server{home: t.TempDir(), shell: "/bin/sh", conns: make(map[net.Conn]*load)}
	for _, f := range change {
		f(s)
	}
	s.config = &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), login.PublicKey().Marshal()) {
				return nil, os.ErrPermission
			}
			return nil, nil
		},
	}
	s.config.AddHostKey(host)
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Target = Target{
		ID:      "srv_" + randomHex(12),
		Addr:    netip.MustParseAddrPort(s.listener.Addr().String()),
		HostKey: host.PublicKey(),
		Signer:  login,
	}
	s.work.Go(s.accept)
	t.Cleanup(func() {
		s.listener.Close()
		s.drop()
		killMarked(t, "HOME="+s.home)
		s.work.Wait()
	})
	return s
}

func (s *server) accept() {
	for {
		tcp, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.accepted++
		load := new(load)
		s.conns[tcp] = load
		s.mu.Unlock()
		s.work.Go(func() { s.serve(tcp, load) })
	}
}

// drop cuts every connection, as a reboot does.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for tcp := range s.conns {
		tcp.Close()
	}
}

// counts returns the connections ever accepted, those open now, and the most
// commands that one of them ran at once.
func (s *server) counts() (accepted, open, busiest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted, len(s.conns), s.busiest
}

// admit counts a session on a connection, if it may have one more.
func (s *server) admit(l *load) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.maxSessions > 0 && l.sessions >= s.maxSessions {
		return false
	}
	l.sessions++
	return true
}

func (s *server) dismiss(l *load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.sessions--
}

func (s *server) count(l *load, commands int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.commands += commands
	s.busiest = max(s.busiest, l.commands)
}

func (s *server) serve(tcp net.Conn, load *load) {
	defer func() {
		tcp.Close()
		s.mu.Lock()
		delete(s.conns, tcp)
		s.mu.Unlock()
	}()
	_, channels, requests, err := ssh.NewServerConn(tcp, s.config)
	if err != nil {
		return
	}
	s.work.Go(func() { ssh.DiscardRequests(requests) })
	for offer := range channels {
		if !s.admit(load) {
			offer.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		channel, requests, err := offer.Accept()
		if err != nil {
			s.dismiss(load)
			continue
		}
		s.work.Go(func() {
			s.session(channel, requests, load)
			s.dismiss(load)
		})
	}
}

func (s *server) session(channel ssh.Channel, requests <-chan *ssh.Request, load *load) {
	var command *exec.Cmd
	begin := func() {}
	for request := range requests {
		var argument struct{ Text string }
		_ = ssh.Unmarshal(request.Payload, &argument)
		ok := false
		switch request.Type {
		case "exec":
			command, begin = s.start(channel, argument.Text, load)
			ok = command != nil
		case "subsystem":
			ok = argument.Text == "sftp"
			s.work.Go(func() { s.files(channel) })
		case "signal":
			if command != nil && argument.Text == "KILL" {
				s.signal(command.Process.Pid)
			}
		}
		if request.WantReply {
			request.Reply(ok, nil)
		}
		// After the reply, or a quick command would close the channel before it.
		begin()
		begin = func() {}
	}
	channel.Close()
}

func (s *server) signal(pid int) {
	switch s.signals {
	case signalsGroup:
		syscall.Kill(-pid, syscall.SIGKILL)
	case signalsShell:
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (s *server) files(channel ssh.Channel) {
	server, err := sftp.NewServer(channel, sftp.WithServerWorkingDirectory(s.home))
	if err == nil {
		server.Serve()
	}
	channel.Close()
}

// start runs a line by the login shell, in a session of its own. The function
// it returns connects it with the channel.
func (s *server) start(channel ssh.Channel, line string, load *load) (*exec.Cmd, func()) {
	var readers, writers [2]*os.File
	for i := range readers {
		var err error
		if readers[i], writers[i], err = os.Pipe(); err != nil {
			return nil, func() {}
		}
	}
	command := exec.Command(s.shell, "-c", line)
	command.Dir = s.home
	command.Env = []string{"HOME=" + s.home, "SHELL=" + s.shell, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Stdout, command.Stderr = writers[0], writers[1]
	stdin, err := command.StdinPipe()
	if err != nil || command.Start() != nil {
		return nil, func() {}
	}
	s.count(load, 1)
	writers[0].Close()
	writers[1].Close()
	return command, func() {
		s.work.Go(func() {
			io.Copy(stdin, channel)
			stdin.Close()
		})
		var outputs sync.WaitGroup
		for i, to := range []io.Writer{channel, channel.Stderr()} {
			outputs.Go(func() {
				io.Copy(to, readers[i])
				readers[i].Close()
			})
		}
		s.work.Go(func() {
			command.Wait()
			s.count(load, -1)
			reportExit(channel, command.ProcessState.Sys().(syscall.WaitStatus))
			outputs.Wait()
			channel.Close()
		})
	}
}

func reportExit(channel ssh.Channel, status syscall.WaitStatus) {
	if !status.Signaled() {
		channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status.ExitStatus())}))
		return
	}
	name := strings.TrimPrefix(map[syscall.Signal]string{
		syscall.SIGKILL: "SIGKILL", syscall.SIGTERM: "SIGTERM", syscall.SIGSEGV: "SIGSEGV",
	}[status.Signal()], "SIG")
	channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
		Name        string
		CoreDumped  bool
		Error, Lang string
	}{Name: name}))
}

// newPool makes a pool that the test closes.
func newPool(t testing.TB, options PoolOptions) *Pool {
	t.Helper()
	p := NewPool(options)
	t.Cleanup(p.Close)
	return p
}

// marked finds the living processes that have an entry in their environment.
func marked(t testing.TB, entry string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environ, []byte(entry+"\x00")) {
			continue // it has ended, or is somebody else's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func killMarked(t testing.TB, entry string) {
	for _, pid := range marked(t, entry) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// eventually waits until a condition holds, for ten seconds at most.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still not so after 10 s: %s", what)
		}
	}
}
