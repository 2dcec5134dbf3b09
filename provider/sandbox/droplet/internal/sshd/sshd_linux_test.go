package sshd

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) {
	if os.Args[0] == "sftp-server" {
		os.Exit(ServeSFTP())
	}
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup hang-ups are ignored, and commands would inherit that; a
		// signal that is caught is given to them as it comes.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	goleak.VerifyTestMain(m)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	s, err := ssh.NewSignerFromKey(key)
	check(t, err)
	return s
}

func startPlain(cmd *exec.Cmd) (int, <-chan syscall.WaitStatus, error) {
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	go func() {
		state, _ := cmd.Process.Wait()
		ended <- state.Sys().(syscall.WaitStatus)
	}()
	return cmd.Process.Pid, ended, nil
}

// fixture is a server with one account, "ann", who is the user that runs the test.
type fixture struct {
	server *Server
	signer ssh.Signer
	addr   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	root := t.TempDir()
	f := &fixture{signer: newSigner(t)}
	write := func(name, text string) {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	write("etc/passwd", fmt.Sprintf("root:x:0:0::/root:/bin/sh\nann:x:%d:%d::/home/ann:/bin/sh\n", os.Geteuid(), os.Getegid()))
	write("etc/group", "ann:x:1000:\n")
	write("etc/shadow", "ann:"+hash(t, "open sesame")+":1::::::\nroot:*:1::::::\n")
	write("home/ann/.ssh/authorized_keys", "# mine\n"+string(ssh.MarshalAuthorizedKey(f.signer.PublicKey())))
	f.server = &Server{
		Root: root, Keys: []ssh.Signer{newSigner(t)}, Start: startPlain, SFTP: []string{"/proc/self/exe", "sftp-server"},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	f.addr = l.Addr().String()
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.server.Serve(c)
		}
	}()
	return f
}

func (f *fixture) dial(user string, auth ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", f.addr, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{auth}, Timeout: 10 * time.Second,
		HostKeyCallback: ssh.FixedHostKey(f.server.Keys[0].PublicKey()),
	})
}

func (f *fixture) client(t *testing.T) *ssh.Client {
	t.Helper()
	c, err := f.dial("ann", ssh.PublicKeys(f.signer))
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func newClientSession(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestLogin(t *testing.T) {
	f := newFixture(t)
	key, other := ssh.PublicKeys(f.signer), ssh.PublicKeys(newSigner(t))
	configure := func(text string) func(*testing.T) {
		return func(t *testing.T) {
			dir := filepath.Join(f.server.Root, "etc/ssh/sshd_config.d")
			check(t, os.MkdirAll(dir, 0o755))
			check(t, os.WriteFile(filepath.Join(dir, "test.conf"), []byte(text), 0o600))
			t.Cleanup(func() { os.RemoveAll(dir) })
		}
	}
	for name, c := range map[string]struct {
		user  string
		auth  ssh.AuthMethod
		setup func(*testing.T)
		ok    bool
	}{
		"key":            {user: "ann", auth: key, ok: true},
		"password":       {user: "ann", auth: ssh.Password("open sesame"), ok: true},
		"wrong key":      {user: "ann", auth: other},
		"wrong password": {user: "ann", auth: ssh.Password("open")},
		"no password":    {user: "root", auth: ssh.Password("*")},
		"nobody":         {user: "bob", auth: key},
		"traversal":      {user: "../ann", auth: key},
		"passwords off":  {user: "ann", auth: ssh.Password("open sesame"), setup: configure("PasswordAuthentication no\n")},
		"first counts":   {user: "ann", auth: ssh.Password("open sesame"), setup: configure("passwordauthentication=yes\nPasswordAuthentication no\n"), ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.setup != nil {
				c.setup(t)
			}
			client, err := f.dial(c.user, c.auth)
			if err == nil {
				client.Close()
			}
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestExec(t *testing.T) {
	c := newFixture(t).client(t)
	for name, k := range map[string]struct {
		command, stdin, stdout, stderr string
		status                         int
		signal                         string
	}{
		"output":      {command: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		"status":      {command: "exit 42", status: 42},
		"signal":      {command: "kill -TERM $$", signal: "TERM"},
		"input":       {command: "tr a-z A-Z", stdin: "hello", stdout: "HELLO"},
		"environment": {command: "env | grep -c SECRET", stdout: "0\n", status: 1},
		"home":        {command: "basename $PWD", stdout: "ann\n"},
		"not found":   {command: "no-such-command 2>/dev/null", status: 127},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SECRET", "1")
			s := newClientSession(t, c)
			var out, errs bytes.Buffer
			s.Stdin, s.Stdout, s.Stderr = strings.NewReader(k.stdin), &out, &errs
			err := s.Run(k.command)
			var exit *ssh.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			status, signal := 0, ""
			if exit != nil {
				status, signal = exit.ExitStatus(), exit.Signal()
			}
			if k.signal == "" && status != k.status || signal != k.signal {
				t.Errorf("ended with %d %q", status, signal)
			}
			if out.String() != k.stdout || errs.String() != k.stderr {
				t.Errorf("wrote %q and %q", out.String(), errs.String())
			}
		})
	}
}

// A command's own output arrives whole although something that it left behind keeps the pipe open, and that something
// outlives the session.
func TestBackgroundProcessOutlivesTheSession(t *testing.T) {
	f := newFixture(t)
	s := newClientSession(t, f.client(t))
	home := filepath.Join(f.server.Root, "home/ann")
	script := "(read go <gate; echo late; touch survived; read end <end) & head -c 3000000 /dev/zero; echo $!"
	check(t, errors.Join(syscall.Mkfifo(home+"/gate", 0o600), syscall.Mkfifo(home+"/end", 0o600)))
	out, err := s.Output(script)
	check(t, err)
	if len(out) < 3000002 {
		t.Errorf("got %d bytes", len(out))
	}
	for _, name := range []string{"gate", "end"} { // each open waits for its reader
		pipe, err := os.OpenFile(filepath.Join(home, name), os.O_WRONLY, 0)
		check(t, err)
		check(t, pipe.Close())
	}
	if _, err := os.Stat(home + "/survived"); err != nil {
		t.Error(err)
	}
}

func TestSignalReachesTheCommand(t *testing.T) {
	s := newClientSession(t, newFixture(t).client(t))
	out, err := s.StdoutPipe()
	check(t, err)
	check(t, s.Start("echo ready; exec tail -f /dev/null"))
	_, err = io.ReadFull(out, make([]byte, 6))
	check(t, err)
	check(t, s.Signal(ssh.SIGUSR1))
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "USR1" {
		t.Errorf("got %v", err)
	}
}

func TestTerminal(t *testing.T) {
	s := newClientSession(t, newFixture(t).client(t))
	check(t, s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}))
	in, err := s.StdinPipe()
	check(t, err)
	out, err := s.StdoutPipe()
	check(t, err)
	check(t, s.Shell())
	seen := &bytes.Buffer{}
	expect := func(text string) {
		t.Helper()
		for b := make([]byte, 1024); !strings.Contains(seen.String(), text); {
			n, err := out.Read(b)
			seen.Write(b[:n])
			if err != nil {
				t.Fatalf("%v after %q", err, seen.String())
			}
		}
	}
	fmt.Fprintln(in, "stty size; echo $TERM-$((1+1))")
	expect("24 80")
	expect("xterm-2")
	check(t, s.WindowChange(50, 132))
	fmt.Fprintln(in, "stty size")
	expect("50 132")
	fmt.Fprintln(in, "exit 3")
	rest, err := io.ReadAll(out)
	check(t, err)
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("got %v after %q", err, rest)
	}
}

func TestTerminalHangsUpWithItsClient(t *testing.T) {
	f := newFixture(t)
	s := newClientSession(t, f.client(t))
	check(t, s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}))
	out, err := s.StdoutPipe()
	check(t, err)
	gate := filepath.Join(f.server.Root, "home/ann/gate")
	check(t, syscall.Mkfifo(gate, 0o600))
	check(t, s.Start("trap 'echo hung >gate; exit' HUP; echo ready; while :; do sleep 0.01; done"))
	_, err = io.ReadFull(out, make([]byte, 5))
	check(t, err)
	check(t, s.Close())
	if b, err := os.ReadFile(gate); string(b) != "hung\n" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestSFTP(t *testing.T) {
	f := newFixture(t)
	c, err := sftp.NewClient(f.client(t))
	check(t, err)
	defer c.Close()
	w, err := c.Create("sub.txt")
	check(t, err)
	_, err = io.Copy(w, bytes.NewReader(make([]byte, 1<<20)))
	check(t, errors.Join(err, w.Close(), c.Chmod("sub.txt", 0o640)))
	fi, err := os.Stat(filepath.Join(f.server.Root, "home/ann/sub.txt"))
	check(t, err)
	if fi.Size() != 1<<20 || fi.Mode() != 0o640 {
		t.Errorf("got %v", fi)
	}
}

func TestForwardedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := newFixture(t).client(t).Dial("tcp", l.Addr().String())
	check(t, err)
	_, err = io.WriteString(c, "there and back")
	check(t, errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite()))
	if b, err := io.ReadAll(c); string(b) != "there and back" {
		t.Errorf("got %q, %v", b, err)
	}
	c.Close() // the other side may have closed it already
}

func TestKeyOptions(t *testing.T) {
	f := newFixture(t)
	file := filepath.Join(f.server.Root, "home/ann/.ssh/authorized_keys")
	key := string(ssh.MarshalAuthorizedKey(f.signer.PublicKey()))
	check(t, os.WriteFile(file, []byte(`command="echo \"only $SSH_ORIGINAL_COMMAND\"" `+key), 0o600))
	out, err := newClientSession(t, f.client(t)).Output("rm -rf x")
	if string(out) != "only rm -rf x\n" {
		t.Errorf("got %q, %v", out, err)
	}
	check(t, os.WriteFile(file, []byte(`from="10.0.0.1" `+key), 0o600))
	if c, err := f.dial("ann", ssh.PublicKeys(f.signer)); err == nil {
		c.Close()
		t.Error("a key with a restriction that is not understood was accepted")
	}
}

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := HashPassword(password)
	check(t, err)
	return h
}

func TestCrypt(t *testing.T) {
	for _, c := range []struct{ hash, password string }{
		{"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"},
		{"$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", "Hello world!"},
		{"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"},
		{"$y$j9T$XPI1blrhhzekTJyl.9a9O.$cdL/NRhcLM/uf.OasGxvV6yLmGAvViEYLB6/IhMf762", "Hello world!"},
		{"$2b$05$CCCCCCCCCCCCCCCCCCCCC.z6PrHbuSsMSSwIGFy1JGevQZf6CqJ1y", "Hello world!"},
		{hash(t, ""), ""},
		{hash(t, strings.Repeat("long", 50)), strings.Repeat("long", 50)},
	} {
		if err := checkPassword(c.hash, c.password); err != nil {
			t.Errorf("%s: %v", c.hash, err)
		}
		if checkPassword(c.hash, c.password+"x") == nil {
			t.Errorf("%s accepts another password", c.hash)
		}
	}
	for _, hash := range []string{
		"", "*", "!", "!$6$a$b", "$1$a$b", "$6$", "$6$rounds=99999999$a$b", "$6$rounds=x$a$b",
		"$6$seventeen-letters$b", "$y$", "$y$j9T", "$y$j9T$salt", "$y$jzz$saltsalt$b", "$y$j9T$?$b", "$7$x", "$2b$31$CCCCCCCCCCCCCCCCCCCCC.z6PrHbuSsMSSwIGFy1JGevQZf6CqJ1y",
		"$2b$05$short",
	} {
		if checkPassword(hash, "") == nil {
			t.Errorf("%q accepts an empty password", hash)
		}
	}
}
