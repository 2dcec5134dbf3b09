package droplet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

func (l *lab) halted() string {
	l.t.Helper()
	select {
	case h := <-l.halts:
		return h
	case <-time.After(testTimeout):
		l.t.Fatal("the droplet did not halt")
		return ""
	}
}

func TestHaltFromInside(t *testing.T) {
	l := newLab(t)
	s := l.spec("inside")
	for command, want := range map[string]string{
		"poweroff": "inside false", "reboot": "inside true", "shutdown -r now": "inside true", "shutdown now": "inside false",
	} {
		l.start(s)
		l.run(s, "echo "+command+" > /root/last; setsid sh -c 'sleep 0.05; "+command+"' >/dev/null 2>&1 </dev/null &")
		if got := l.halted(); got != want {
			t.Errorf("%s: halted as %q", command, got)
		}
	}
	l.start(s)
	check(t, l.host.Stop(l.context(), "inside", true))
	select {
	case got := <-l.halts:
		t.Errorf("Stop was reported as %q", got)
	default:
	}
}

func TestStopEndsWhatIgnoresIt(t *testing.T) {
	l := newLab(t)
	s := l.spec("deaf")
	l.start(s)
	l.run(s, "nohup sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' >/dev/null 2>&1 & nohup sh -c 'trap \"echo bye > /root/bye; exit\" TERM; while :; do sleep 0.02; done' >/dev/null 2>&1 & sleep 0.2")
	began := time.Now()
	check(t, l.host.Stop(l.context(), "deaf", false))
	if d := time.Since(began); d > stopTimeout+time.Second {
		t.Errorf("it took %v", d)
	}
	l.start(s)
	if got := l.run(s, "cat /root/bye"); got != "bye\n" {
		t.Errorf("SIGTERM was not heard: %q", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// A context that has ended still stops what is running: there must be a way to get rid of it.
	if err := l.host.Stop(ctx, "deaf", false); err != nil || l.host.Running("deaf") {
		t.Errorf("got %v", err)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	l := newLab(t)
	a, b := l.spec("a"), l.spec("b")
	l.start(a)
	b.Addr = a.Addr
	if err := l.host.Start(l.context(), b); err == nil || l.host.Running("b") {
		t.Errorf("two droplets at one address: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := l.spec("c")
	if err := l.host.Start(ctx, c); !errors.Is(err, context.Canceled) || l.host.Running("c") {
		t.Errorf("a start that was given up: %v", err)
	}
	l.start(c)
	for name, s := range map[string]Spec{
		"no id":       {Addr: a.Addr},
		"a path":      {ID: "../x", Addr: a.Addr},
		"hidden":      {ID: ".tools", Addr: a.Addr},
		"no address":  {ID: "x"},
		"IPv6":        {ID: "x", Addr: netip.IPv6Loopback()},
		"much data":   {ID: "x", Addr: a.Addr, UserData: make([]byte, maxUserData+1)},
		"many keys":   {ID: "x", Addr: a.Addr, AuthorizedKeys: []string{strings.Repeat("k", maxKeys+1)}},
		"a long name": {ID: "x", Addr: a.Addr, Hostname: strings.Repeat("h", 65)},
	} {
		if err := l.host.Start(l.context(), s); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}

func TestLargestUserDataArrives(t *testing.T) {
	l := newLab(t)
	s := l.spec("large")
	s.UserData = append([]byte("#!/bin/sh\necho done > /root/done\n#"), make([]byte, maxUserData-40)...)
	for i := range s.UserData[34:] {
		s.UserData[34+i] = 'x'
	}
	s.AuthorizedKeys = append(s.AuthorizedKeys, strings.Repeat("#", maxKeys/2))
	l.start(s)
	l.waitFor(s, "[ -e /root/done ]")
}

func TestCloseStopsAllAndRefusesMore(t *testing.T) {
	l := newLab(t)
	s := l.spec("one")
	l.start(s)
	check(t, l.host.Close())
	if l.host.Running("one") {
		t.Error("still running")
	}
	if err := l.host.Start(l.context(), s); !errors.Is(err, ErrClosed) {
		t.Errorf("start: %v", err)
	}
	if _, err := l.host.Save(l.context(), "one", filepath.Join(t.TempDir(), "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("save: %v", err)
	}
	check(t, l.host.Close())
	again, err := Open(Options{Dir: l.host.dir, Log: l.host.log})
	check(t, err)
	check(t, again.Start(l.context(), s))
	check(t, again.Close())
}

func TestHostThatNeverStartedAnything(t *testing.T) {
	h, err := Open(Options{Dir: t.TempDir()})
	check(t, err)
	check(t, h.Stop(context.Background(), "x", false))
	check(t, h.Remove(context.Background(), "x"))
	check(t, h.Reset(context.Background(), "x"))
	check(t, h.Close())
}

func TestManyAtOnce(t *testing.T) {
	l := newLab(t)
	first := l.spec("first")
	l.start(first)
	specs := make([]Spec, 50)
	var all sync.WaitGroup
	began := time.Now()
	for i := range specs {
		specs[i] = l.spec("m" + strconv.Itoa(i))
		all.Go(func() {
			if err := l.host.Start(l.context(), specs[i]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	t.Logf("%d droplets started in %v", len(specs), time.Since(began))
	for _, s := range specs {
		if got := l.run(s, "hostname"); got != s.Hostname+"\n" {
			t.Errorf("got %q", got)
		}
	}
}

// eventually waits for a condition that nothing tells about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticks, timeout := time.NewTicker(20*time.Millisecond), time.After(testTimeout)
	defer ticks.Stop()
	for !ok() {
		select {
		case <-ticks.C:
		case <-timeout:
			t.Fatal("it never happened: ", what)
		}
	}
}

func get(t *testing.T, url string) (text string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testTimeout}
	eventually(t, url+" answers", func() bool {
		r, err := client.Get(url)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		check(t, err)
		text = string(b)
		return true
	})
	return text
}

// lowPort is where a port below 1024 of a droplet appears on this host.
func lowPort(t *testing.T, port int) string {
	t.Helper()
	c, err := net.Listen("tcp", testAddr().String()+":81")
	if err != nil {
		return ":" + strconv.Itoa(port+unprivilegedShift)
	}
	check(t, c.Close())
	return ":" + strconv.Itoa(port)
}

// What listens inside can be reached at the droplet's address, after the session that started it has ended.
func TestServiceIsReachable(t *testing.T) {
	l := newLab(t)
	s := l.spec("web")
	l.start(s)
	l.run(s, "mkdir /srv/www; echo hello > /srv/www/page; cd /srv/www; nohup berth-httpd -p 8081 & nohup berth-httpd -p 80 /srv/www >/dev/null 2>&1 & exit 0")
	url := "http://" + s.Addr.String()
	if got := get(t, url+":8081/page"); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	if got := get(t, url+lowPort(t, 80)+"/page"); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	l.run(s, "pkill berth-httpd || for p in /proc/[0-9]*; do case $(readlink $p/exe) in *tools*) kill ${p#/proc/};; esac; done")
	eventually(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", s.Addr.String()+":8081")
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if out, err := l.try(s, "berth-httpd -p 1 /nowhere"); err == nil || !strings.Contains(out, "nowhere") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestFilesOverSFTP(t *testing.T) {
	l := newLab(t)
	s := l.spec("sftp")
	l.start(s)
	c, err := sftp.NewClient(l.client(s))
	check(t, err)
	defer c.Close()
	f, err := c.Create("upload")
	check(t, err)
	_, err = f.Write([]byte("#!/bin/sh\necho ran\n"))
	check(t, errors.Join(err, f.Close(), c.Chmod("/root/upload", 0o755)))
	if got := l.run(s, "./upload"); got != "ran\n" {
		t.Errorf("got %q", got)
	}
}

func TestForwardedPortIsInsideTheDroplet(t *testing.T) {
	l := newLab(t)
	s := l.spec("forward")
	l.start(s)
	l.run(s, "echo inner > /root/page; nohup berth-httpd -p 9000 /root >/dev/null 2>&1 &")
	client := l.client(s)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
		return client.Dial(network, addr)
	}}
	l.waitFor(s, "grep -q :2328 /proc/net/tcp6")
	r, err := (&http.Client{Transport: transport}).Get("http://127.0.0.1:9000/page")
	check(t, err)
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); string(b) != "inner\n" {
		t.Errorf("got %q, %v", b, err)
	}
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer outside.Close()
	if c, err := client.Dial("tcp", outside.Addr().String()); err == nil {
		c.Close()
		t.Error("the droplet reaches what listens on the host")
	}
}

func TestSignalsOfTheClient(t *testing.T) {
	l := newLab(t)
	s := l.spec("signals")
	l.start(s)
	session, err := l.client(s).NewSession()
	check(t, err)
	defer session.Close()
	out, err := session.StdoutPipe()
	check(t, err)
	check(t, session.Start("trap 'echo heard; exit 5' USR1; echo ready; while :; do sleep 0.02; done"))
	_, err = io.ReadFull(out, make([]byte, len("ready\n")))
	check(t, err)
	check(t, session.Signal(ssh.SIGUSR1))
	b, err := io.ReadAll(out)
	check(t, err)
	var exit *ssh.ExitError
	if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 5 || !strings.Contains(string(b), "heard\n") {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestTerminalInside(t *testing.T) {
	l := newLab(t)
	s := l.spec("tty")
	l.start(s)
	session, err := l.client(s).NewSession()
	check(t, err)
	defer session.Close()
	check(t, session.RequestPty("xterm", 30, 100, ssh.TerminalModes{}))
	out, err := session.Output("tty; stty size")
	check(t, err)
	if got := string(out); got != "/dev/pts/0\r\n30 100\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestCheckReports(t *testing.T) {
	l := newLab(t)
	r := l.host.Check(l.context())
	if !r.Shells {
		if r.Reason == "" || r.Step == "" || r.Mode != modeNone {
			t.Errorf("no reason in %+v", r)
		}
		t.Skip(r.Reason)
	}
	if r.Mode == modeNone || r.SSHPort != l.host.SSHPort() {
		t.Errorf("got %+v", r)
	}
	t.Logf("%+v", r)
}
