package sshd

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// echo serves what listens with what it is told, and ends with the listener.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
			c.(stream).CloseWrite()
		}()
	}
}

// askBack sends a text, says that it was all, and wants the same back.
func askBack(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	_, err := io.WriteString(c, "there and back")
	check(t, err)
	check(t, c.(stream).CloseWrite())
	if b, err := io.ReadAll(c); string(b) != "there and back" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestRemoteForward(t *testing.T) {
	f := newFixture(t)
	c := f.client(t)
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.1:0"} {
		l, err := c.Listen("tcp", addr)
		check(t, err)
		go echo(l)
		out, err := net.Dial("tcp", l.Addr().String())
		check(t, err)
		askBack(t, out)
		check(t, l.Close())
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			t.Error("it listens after the client gave it up")
		}
	}
}

func TestRemoteForwardEndsWithItsConnection(t *testing.T) {
	f := newFixture(t)
	c := f.client(t)
	l, err := c.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	taken, err := net.Listen("tcp", l.Addr().String())
	if err == nil {
		taken.Close()
		t.Fatal("nothing listens")
	}
	check(t, c.Close())
	for err != nil { // the server hears of it in its own time; the test's timeout bounds this
		taken, err = net.Listen("tcp", l.Addr().String())
	}
	taken.Close()
}

// Whatever is asked for, a tunnel is open to the loopback interface only, unless the settings say otherwise.
func TestWhereTunnelsListen(t *testing.T) {
	f := newFixture(t)
	tunnels := newTunnels(f.server, nil, account{})
	for _, c := range []struct{ setting, asked, want string }{
		{"", "", "127.0.0.1"},
		{"", "*", "127.0.0.1"},
		{"", "0.0.0.0", "127.0.0.1"},
		{"GatewayPorts no", "10.0.0.1", "127.0.0.1"},
		{"GatewayPorts yes", "localhost", ""},
		{"GatewayPorts clientspecified", "*", ""},
		{"GatewayPorts clientspecified", "10.0.0.1", "10.0.0.1"},
	} {
		check(t, os.MkdirAll(filepath.Join(f.server.Root, "etc/ssh"), 0o755))
		check(t, os.WriteFile(filepath.Join(f.server.Root, "etc/ssh/sshd_config"), []byte(c.setting+"\n"), 0o600))
		if got := tunnels.bindHost(c.asked); got != c.want {
			t.Errorf("%q asking for %q: %q", c.setting, c.asked, got)
		}
	}
}

func TestTunnelsAreBounded(t *testing.T) {
	tunnels := newTunnels(&Server{Root: t.TempDir()}, nil, account{uid: 1000})
	defer tunnels.close()
	listen := func(port uint32) error {
		_, err := tunnels.listenTCP(ssh.Marshal(tcpAddress{"", port}))
		return err
	}
	if listen(80) == nil || listen(70000) == nil {
		t.Error("an ordinary user listens at a port that is not for it")
	}
	if tunnels.listenUnix(ssh.Marshal(struct{ Path string }{filepath.Join(t.TempDir(), "s")})) == nil {
		t.Error("an ordinary user has this server make a socket")
	}
	for range maxTunnels {
		check(t, listen(0))
	}
	if listen(0) == nil {
		t.Errorf("more than %d listeners", maxTunnels)
	}
}

func TestUnixSocketsAreForwardedForRootOnly(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	check(t, err)
	defer l.Close()
	go echo(l)
	c := f.client(t)
	there, err := c.Dial("unix", path)
	if os.Geteuid() != 0 {
		if err == nil {
			t.Error("another's socket was opened")
		}
		return
	}
	check(t, err)
	askBack(t, there)
	back, err := c.ListenUnix(path + "-back")
	check(t, err)
	defer back.Close()
	go echo(back)
	out, err := net.Dial("unix", path+"-back")
	check(t, err)
	askBack(t, out)
}

func TestAgentsAndX11AreRefused(t *testing.T) {
	s := newClientSession(t, newFixture(t).client(t))
	for _, name := range []string{"auth-agent-req@openssh.com", "x11-req"} {
		if ok, err := s.SendRequest(name, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if out, err := s.Output("echo on"); string(out) != "on\n" {
		t.Errorf("the session is of no use afterwards: %q, %v", out, err)
	}
}

func TestKeepalivesAreAnswered(t *testing.T) {
	c := newFixture(t).client(t)
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	if ok, _, err := c.SendRequest("nonsense@example.com", true, nil); ok || err != nil {
		t.Errorf("nonsense: %v, %v", ok, err)
	}
}

func TestEnvironmentOfTheClient(t *testing.T) {
	s := newClientSession(t, newFixture(t).client(t))
	check(t, s.Setenv("LC_NAME", "kept"))
	for _, name := range []string{"LD_PRELOAD", "PATH", "LC_X=LD_PRELOAD", "BASH_ENV"} {
		if s.Setenv(name, "/x") == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	out, err := s.Output(`echo "$LC_NAME$LD_PRELOAD$BASH_ENV"`)
	check(t, err)
	if got := strings.TrimSpace(string(out)); got != "kept" {
		t.Errorf("got %q", got)
	}
}

func TestSFTPKeepsRelativeLinks(t *testing.T) {
	f := newFixture(t)
	c, err := sftp.NewClient(f.client(t))
	check(t, err)
	defer c.Close()
	check(t, c.Symlink("sub/target", "link"))
	if got, err := os.Readlink(filepath.Join(f.server.Root, "home/ann/link")); got != "sub/target" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
