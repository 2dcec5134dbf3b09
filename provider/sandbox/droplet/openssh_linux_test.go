package droplet

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// openSSH is OpenSSH's own client, set up for one droplet. Its hosts are "root" and "ann", the two accounts.
type openSSH struct {
	t      *testing.T
	lab    *lab
	dir    string
	config string
}

// newOpenSSH boots a droplet with an ordinary user, ann, and pins its key as any client would.
func newOpenSSH(t *testing.T) (*openSSH, Spec) {
	t.Helper()
	for _, name := range []string{"ssh", "scp", "sftp"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed here (Debian's openssh-client has it)", name)
		}
	}
	if _, err := user.Current(); err != nil {
		t.Skipf("OpenSSH refuses to run for a user without an account: %v", err)
	}
	l := newLab(t)
	s := l.spec("openssh")
	hostPEM, hostKey := newKey(t)
	key := s.AuthorizedKeys[0]
	s.UserData = []byte("#cloud-config\nssh_keys:\n  ed25519_private: |\n" + indent(hostPEM) +
		"\nusers:\n- name: ann\n  shell: /bin/sh\n  ssh_authorized_keys: ['" + key + "']\n")
	l.start(s)
	o := &openSSH{t: t, lab: l, dir: t.TempDir()}
	o.config = filepath.Join(o.dir, "config")
	block, err := ssh.MarshalPrivateKey(l.key, "")
	check(t, err)
	known := "droplet " + string(ssh.MarshalAuthorizedKey(hostKey.PublicKey()))
	config := fmt.Sprintf(`Host root ann jump
  HostName %s
  Port %d
Host root jump
  User root
Host ann
  User ann
Host inside
  HostName 127.0.0.1
  User root
  ProxyJump jump
Host *
  HostKeyAlias droplet
  StrictHostKeyChecking yes
  UserKnownHostsFile %s
  IdentityFile %s
  IdentitiesOnly yes
  BatchMode yes
  LogLevel ERROR
`, s.Addr, l.host.SSHPort(), filepath.Join(o.dir, "known"), filepath.Join(o.dir, "key"))
	for name, text := range map[string]string{"config": config, "known": known, "key": string(pem.EncodeToMemory(block))} {
		check(t, os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600))
	}
	return o, s
}

// hasUsers skips what needs an ordinary user inside.
func (o *openSSH) hasUsers() {
	o.t.Helper()
	if o.lab.host.machine("openssh").disk.spawner.ids.mode == modeUser {
		o.t.Skip("only root exists in droplets here")
	}
}

func (o *openSSH) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(o.lab.context(), name, append([]string{"-F", o.config}, args...)...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "LC_BERTH=sent", "DISPLAY=:0")
	return cmd
}

// run runs a client to its end and returns all its output.
func (o *openSSH) run(name string, args ...string) string {
	o.t.Helper()
	out, err := o.command(name, args...).CombinedOutput()
	if err != nil {
		o.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// background starts a client that ends with the test.
func (o *openSSH) background(args ...string) {
	o.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ssh", append([]string{"-F", o.config}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	check(o.t, cmd.Start())
	o.t.Cleanup(func() {
		cancel()
		cmd.Wait() // killed, as it should be
		if o.t.Failed() {
			o.t.Logf("ssh %s: %s", strings.Join(args, " "), out.String())
		}
	})
}

// freePort is one that nobody listened at a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestOpenSSHSessions(t *testing.T) {
	o, _ := newOpenSSH(t)
	cmd := o.command("ssh", "root", "cat; echo err >&2; exit 42")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("in"), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 42 || out.String() != "in" || errs.String() != "err\n" {
		t.Errorf("got %v, %q, %q", err, out.String(), errs.String())
	}
	if got := o.run("ssh", "-tt", "root", "tty; stty -a | head -1 | cut -d' ' -f1"); !strings.HasPrefix(got, "/dev/pts/") || !strings.Contains(got, "speed") {
		t.Errorf("terminal: %q", got)
	}
	if got := o.run("ssh", "-o", "SendEnv=LC_BERTH", "root", "echo $LC_BERTH"); got != "sent\n" {
		t.Errorf("environment: %q", got)
	}
	if got := o.run("ssh", "-A", "-X", "root", "echo \"on$SSH_AUTH_SOCK$DISPLAY\""); !strings.HasSuffix(got, "on\n") {
		t.Errorf("with an agent and X11, which are refused: %q", got)
	}
	control := "ControlPath=" + filepath.Join(o.dir, "control")
	o.background("-o", "ControlMaster=yes", "-o", control, "-N", "root")
	eventually(t, "the master answers", func() bool { return o.command("ssh", "-o", control, "-O", "check", "root").Run() == nil })
	for i := range 3 {
		if got := o.run("ssh", "-o", control, "root", "echo "+strconv.Itoa(i)); got != strconv.Itoa(i)+"\n" {
			t.Errorf("session %d over one connection: %q", i, got)
		}
	}
	if got := o.run("ssh", "inside", "echo $SSH_CONNECTION"); !strings.HasPrefix(got, "127.0.0.1 ") {
		t.Errorf("a jump to the droplet itself: %q", got)
	}
}

func TestOpenSSHForwarding(t *testing.T) {
	o, _ := newOpenSSH(t)
	o.run("ssh", "root", "echo inner > /srv/page; cd /srv; nohup berth-httpd -p 9000 /srv >/dev/null 2>&1 &")
	local, socks := freePort(t), freePort(t)
	o.background("-N", "-L", local+":127.0.0.1:9000", "-D", socks, "root")
	if got := get(t, "http://127.0.0.1:"+local+"/page"); got != "inner\n" {
		t.Errorf("-L: %q", got)
	}
	if got := overSOCKS(t, "127.0.0.1:"+socks, 9000, "GET /page HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "inner\n") {
		t.Errorf("-D: %q", got)
	}

	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "outer\n") }))
	defer outside.Close()
	const ask = `exec 3<>/dev/tcp/127.0.0.1/9001 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3`
	got := o.run("ssh", "-o", "ExitOnForwardFailure=yes", "-R", "9001:"+outside.Listener.Addr().String(), "root", "bash -c '"+strings.ReplaceAll(ask, "'", `'\''`)+"'")
	if !strings.HasSuffix(got, "outer\n") {
		t.Errorf("-R: %q", got)
	}
	if out, err := o.lab.try(o.lab.host.machine("openssh").spec, "bash -c 'echo > /dev/tcp/127.0.0.1/9001'"); err == nil {
		t.Errorf("-R outlives its connection: %s", out)
	}
}

// overSOCKS sends a request through a SOCKS 5 proxy to a port of its own 127.0.0.1, and returns all of the answer.
func overSOCKS(t *testing.T, proxy string, port uint16, request string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", proxy, testTimeout)
	check(t, err)
	defer c.Close()
	_, err = c.Write(binary.BigEndian.AppendUint16([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1}, port))
	check(t, err)
	_, err = io.ReadFull(c, make([]byte, 2+10)) // the choice of a method, and the answer
	check(t, err)
	_, err = io.WriteString(c, request)
	check(t, err)
	b, err := io.ReadAll(c)
	check(t, err)
	return string(b)
}

func TestOpenSSHFilesAsOrdinaryUser(t *testing.T) {
	o, _ := newOpenSSH(t)
	o.hasUsers()
	tree := filepath.Join(o.dir, "tree/sub/deep")
	check(t, os.MkdirAll(tree, 0o755))
	check(t, os.WriteFile(filepath.Join(tree, "run"), []byte("#!/bin/sh\necho ran\n"), 0o755))
	check(t, os.WriteFile(filepath.Join(o.dir, "tree/text"), []byte("text\n"), 0o644))
	const want = "ann ann 755 run\nann ann 644 text\n"
	list := func(dir string) string {
		return o.run("ssh", "ann", "umask; find "+dir+" -type f -printf '%u %g %m %f\\n' | sort -k4")
	}
	for name, protocol := range map[string]string{"sftp": "-s", "scp": "-O"} {
		o.run("scp", "-q", protocol, "-r", "tree", "ann:by-"+name)
		if got := list("by-" + name); got != "0022\n"+want {
			t.Errorf("scp over %s: %q", name, got)
		}
		o.run("scp", "-q", protocol, "-r", "ann:by-"+name, "back-"+name)
		if b, err := os.ReadFile(filepath.Join(o.dir, "back-"+name, "sub/deep/run")); err != nil || !strings.Contains(string(b), "ran") {
			t.Errorf("scp back over %s: %q, %v", name, b, err)
		}
	}
	batch := filepath.Join(o.dir, "batch")
	check(t, os.WriteFile(batch, []byte("mkdir up\nput -r tree up/\ncd up/tree\nrename text renamed\nsymlink renamed link\nchmod 600 renamed\nget sub/deep/run got\n-rm nothing\n"), 0o600))
	o.run("sftp", "-q", "-b", batch, "ann")
	if got := list("up"); got != "0022\nann ann 600 renamed\nann ann 755 run\n" {
		t.Errorf("sftp: %q", got)
	}
	if got := o.run("ssh", "ann", "cat up/tree/link; up/tree/sub/deep/run"); got != "text\nran\n" {
		t.Errorf("sftp's link: %q", got)
	}
	if out, err := o.command("scp", "-q", "config", "ann:/etc/x").CombinedOutput(); err == nil {
		t.Errorf("an ordinary user wrote to /etc: %s", out)
	}
}

func TestGitAndRsyncOverOpenSSH(t *testing.T) {
	o, _ := newOpenSSH(t)
	command := "ssh -F " + o.config
	t.Run("git", func(t *testing.T) {
		if _, err := exec.LookPath("git"); err != nil {
			t.Skip("git is not installed here")
		}
		o.run("ssh", "root", "git init -q --bare /srv/repo.git")
		script := `git init -q work && cd work && echo 1 > f && git add f && git -c user.name=a -c user.email=a@b commit -q -m one &&
			git push -q root:/srv/repo.git HEAD:refs/heads/main && git clone -q -b main root:/srv/repo.git ../clone && cat ../clone/f`
		cmd := exec.CommandContext(o.lab.context(), "sh", "-c", script)
		cmd.Dir, cmd.Env = o.dir, append(os.Environ(), "GIT_SSH_COMMAND="+command)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "1\n" {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("rsync", func(t *testing.T) {
		if _, err := exec.LookPath("rsync"); err != nil {
			t.Skip("rsync is not installed here")
		}
		cmd := exec.CommandContext(o.lab.context(), "rsync", "-a", "-e", command, o.config, "root:/srv/copy")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		o.run("ssh", "root", "grep -q HostKeyAlias /srv/copy")
	})
}
