package droplet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) {
	Main()
	if os.Getenv(orphanDir) != "" {
		orphan()
	}
	if os.Getenv(attackEnv) != "" {
		attack()
	}
	goleak.VerifyTestMain(m)
}

const testTimeout = 30 * time.Second

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lastAddr gives every test's droplets addresses of their own, and those of two test binaries different ones.
var lastAddr atomic.Uint32

func testAddr() netip.Addr {
	n := lastAddr.Add(1)
	return netip.AddrFrom4([4]byte{127, 78, byte(os.Getpid()%250) + 1, byte(n%250) + 1})
}

// lab is a host with droplets for one test.
type lab struct {
	t      testing.TB
	host   *Host
	key    ed25519.PrivateKey
	signer ssh.Signer
	halts  chan string
	logs   *syncBuffer
}

func newLab(t testing.TB) *lab {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	l := &lab{t: t, key: key, halts: make(chan string, 16), logs: &syncBuffer{}}
	l.signer, err = ssh.NewSignerFromKey(key)
	check(t, err)
	l.host, err = Open(Options{
		Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(l.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnHalt: func(id string, reboot bool) { l.halts <- fmt.Sprint(id, " ", reboot) },
	})
	check(t, err)
	t.Cleanup(func() {
		l.removeAll()
		if err := l.host.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(l.logs.String())
		}
	})
	return l
}

// removeAll deletes what the testing package can't: files that belong to users of the droplets.
func (l *lab) removeAll() {
	entries, err := os.ReadDir(l.host.dir)
	if err != nil {
		l.t.Error(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := l.host.Remove(context.Background(), e.Name()); err != nil && !errors.Is(err, ErrClosed) {
			l.t.Error(err)
		}
	}
}

func (l *lab) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	l.t.Cleanup(cancel)
	return ctx
}

func (l *lab) spec(id string) Spec {
	return Spec{
		ID: id, Instance: "1", Hostname: "web-" + id, Addr: testAddr(), VCPUs: 1, MemoryMB: 512, DiskGB: 1,
		AuthorizedKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(l.signer.PublicKey())))},
	}
}

// start boots a droplet, or skips the test where the kernel allows none.
func (l *lab) start(s Spec) {
	l.t.Helper()
	if err := l.host.Start(l.context(), s); err != nil {
		if r := l.host.Check(l.context()); !r.Shells {
			l.t.Skipf("no droplets here: %s", r.Reason)
		}
		l.t.Fatal(err)
	}
}

func (l *lab) dial(s Spec, user string, auth ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", net.JoinHostPort(s.Addr.String(), strconv.Itoa(l.host.SSHPort())), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: testTimeout,
	})
}

func (l *lab) client(s Spec) *ssh.Client {
	l.t.Helper()
	c, err := l.dial(s, "root", ssh.PublicKeys(l.signer))
	check(l.t, err)
	l.t.Cleanup(func() { c.Close() })
	return c
}

// try runs a command as root and returns all its output and how it ended.
func (l *lab) try(s Spec, command string) (string, error) {
	l.t.Helper()
	session, err := l.client(s).NewSession()
	check(l.t, err)
	defer session.Close()
	out, err := session.CombinedOutput(command)
	var exit *ssh.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatalf("%s: %v", command, err)
	}
	return string(out), err
}

func (l *lab) run(s Spec, command string) string {
	l.t.Helper()
	out, err := l.try(s, command)
	if err != nil {
		l.t.Fatalf("%s: %v: %s", command, err, out)
	}
	return out
}

// waitFor runs a command in the droplet until it succeeds.
func (l *lab) waitFor(s Spec, command string) string {
	l.t.Helper()
	return l.run(s, "n=0; until "+command+"; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done")
}

func TestBootAndStop(t *testing.T) {
	l := newLab(t)
	s := l.spec("one")
	l.start(s)
	if !l.host.Running("one") {
		t.Error("it is not running")
	}
	if err := l.host.Start(l.context(), s); !errors.Is(err, ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
	if got := l.run(s, "id -u; hostname; echo $HOME; cat /proc/1/comm"); got != "0\nweb-one\n/root\nberth-init\n" {
		t.Errorf("got %q", got)
	}
	l.run(s, "echo kept > /root/file; echo 1 > /usr/local/file")
	check(t, l.host.Stop(l.context(), "one", false))
	if l.host.Running("one") {
		t.Error("it is running")
	}
	if _, err := l.dial(s, "root", ssh.PublicKeys(l.signer)); err == nil {
		t.Error("it still answers")
	}
	check(t, l.host.Stop(l.context(), "one", false))
	l.start(s)
	if got := l.run(s, "cat /root/file /usr/local/file"); got != "kept\n1\n" {
		t.Errorf("got %q", got)
	}
	check(t, l.host.Remove(l.context(), "one"))
	left, err := os.ReadDir(l.host.dir)
	check(t, err)
	if len(left) != 1 || left[0].Name() != toolsCopy {
		t.Errorf("left %v", left)
	}
}

// syncBuffer collects logs of several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
