package droplet

import (
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// newKey returns a private key as PEM, and its signer.
func newKey(t *testing.T) (string, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	check(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	check(t, err)
	return string(pem.EncodeToMemory(block)), signer
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}

// hostKey is the key that the droplet shows.
func (l *lab) hostKey(s Spec) string {
	l.t.Helper()
	var got ssh.PublicKey
	c, err := ssh.Dial("tcp", net.JoinHostPort(s.Addr.String(), strconv.Itoa(l.host.SSHPort())), &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(l.signer)}, Timeout: testTimeout,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error { got = key; return nil },
	})
	check(l.t, err)
	check(l.t, c.Close())
	return ssh.FingerprintSHA256(got)
}

// waitForBoot waits for the end of first-boot commands, whose log says why if it does not come.
func (l *lab) waitForBoot(s Spec) {
	l.t.Helper()
	const finished = "[ -e /var/lib/cloud/instance/boot-finished ]"
	l.waitFor(s, finished+" || { [ $n -gt 190 ] && ps ax && tail /var/log/cloud-init* && false; }")
}

func TestFirstBoot(t *testing.T) {
	l := newLab(t)
	hostPEM, hostKey := newKey(t)
	_, user := newKey(t)
	s := l.spec("first")
	s.UserData = []byte(`#cloud-config
hostname: named
ssh_keys:
  ed25519_private: |
` + indent(hostPEM) + `
chpasswd:
  expire: false
  list: ["root:sesame"]
users:
- default
- name: ann
  groups: [adm]
  lock_passwd: false
  plain_text_passwd: open
  ssh_authorized_keys: ["` + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(user.PublicKey()))) + `"]
write_files:
- {path: /etc/made/here, content: aGVsbG8=, encoding: b64, permissions: "0640"}
- {path: /home/ann/file, content: x, owner: "ann:adm", defer: true}
packages: [nginx]
bootcmd: [echo boot >> /root/order]
runcmd:
- echo run >> /root/order
- [sh, -c, "echo out; echo err >&2"]
- false
- echo after >> /root/order
swap: {size: 1}
`)
	l.start(s)
	if got := l.hostKey(s); got != ssh.FingerprintSHA256(hostKey.PublicKey()) {
		t.Errorf("the host's key is %s", got)
	}
	c, err := l.dial(s, "root", ssh.Password("sesame"))
	check(t, err)
	check(t, c.Close())
	if c, err := l.dial(s, "root", ssh.Password("other")); err == nil {
		c.Close()
		t.Error("a wrong password was accepted")
	}
	if got := l.run(s, "hostname; cat /etc/made/here; stat -c %a /etc/made/here; id -Gn ann"); got != "named\nhello640\nann adm\n" {
		t.Errorf("got %q", got)
	}
	l.waitForBoot(s)
	if got := l.run(s, "cloud-init status --wait; cat /root/order"); got != "status: done\nboot\nrun\nafter\n" {
		t.Errorf("got %q", got)
	}
	if got := l.run(s, "cat /var/log/cloud-init-output.log"); !strings.HasSuffix(got, "[nginx]\nout\nerr\n") {
		t.Errorf("output log: %q", got)
	}
	log := l.run(s, "cat /var/log/cloud-init.log")
	for _, want := range []string{"nginx", "swap is not supported", "boot finished"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q: %s", want, log)
		}
	}

	check(t, l.host.Stop(l.context(), "first", true))
	l.start(s)
	l.waitForBoot(s)
	if got := l.run(s, "cat /root/order"); got != "boot\nrun\nafter\nboot\n" {
		t.Errorf("after the second boot: %q", got)
	}

	check(t, l.host.Stop(l.context(), "first", true))
	s.Instance, s.UserData = "2", nil
	l.start(s)
	if got := l.hostKey(s); got == ssh.FingerprintSHA256(hostKey.PublicKey()) {
		t.Error("a new instance shows the old one's key")
	}
	again := l.hostKey(s)
	check(t, l.host.Stop(l.context(), "first", true))
	l.start(s)
	if got := l.hostKey(s); got != again {
		t.Error("the host's key changed with a boot")
	}
	if got := l.run(s, "hostname"); got != "web-first\n" {
		t.Errorf("the new instance is called %q", got)
	}
}

// An ordinary user of the droplet is what it is anywhere, where there is more than one id.
func TestUserLogin(t *testing.T) {
	l := newLab(t)
	_, user := newKey(t)
	s := l.spec("users")
	s.UserData = []byte("#cloud-config\nusers:\n- name: ann\n  lock_passwd: false\n  plain_text_passwd: open\n  groups: adm\n  ssh_authorized_keys: ['" +
		strings.TrimSpace(string(ssh.MarshalAuthorizedKey(user.PublicKey()))) + "']\n- name: '../evil'\n")
	l.start(s)
	m := l.host.machine("users")
	if m.disk.spawner.ids.mode == modeUser {
		if got, err := l.as(s, "ann", "open", "id"); err == nil || !strings.Contains(got, "no user but root") {
			t.Errorf("got %q, %v", got, err)
		}
		t.Skip("only root exists in droplets here")
	}
	for _, auth := range []ssh.AuthMethod{ssh.PublicKeys(user), ssh.Password("open")} {
		c, err := l.dial(s, "ann", auth)
		check(t, err)
		session, err := c.NewSession()
		check(t, err)
		check(t, session.RequestPty("xterm", 24, 80, nil))
		out, err := session.Output("id -u; id -Gn; pwd; touch f; cat /etc/shadow; kill -TERM 1; test -O $(tty) && echo mine")
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		got := strings.ReplaceAll(string(out), "\r", "")
		if !strings.HasPrefix(got, "1000\nann adm\n/home/ann\n") || strings.Count(got, "ermi") != 2 || !strings.HasSuffix(got, "mine\n") {
			t.Errorf("got %q", got)
		}
		check(t, c.Close())
	}
	if log := l.run(s, "cat /var/log/cloud-init.log"); !strings.Contains(log, "evil") {
		t.Errorf("the unusable name is not in the log: %s", log)
	}
}

func TestSSHSettings(t *testing.T) {
	l := newLab(t)
	s := l.spec("settings")
	s.UserData = []byte("#cloud-config\nssh_pwauth: false\npassword: sesame\n")
	l.start(s)
	if c, err := l.dial(s, "root", ssh.Password("sesame")); err == nil {
		c.Close()
		t.Error("passwords are not switched off")
	}
	check(t, l.host.Stop(l.context(), s.ID, true))
	s.Instance, s.UserData = "2", []byte("#cloud-config\ndisable_root: true\n")
	l.start(s)
	if c, err := l.dial(s, "root", ssh.PublicKeys(l.signer)); err == nil {
		c.Close()
		t.Error("root is not locked out")
	}
}

func TestScriptRunsOnce(t *testing.T) {
	l := newLab(t)
	s := l.spec("script")
	s.UserData = []byte("#!/bin/sh\necho once >> /root/runs\nenv | cut -d= -f1 | sort > /root/env\n(while :; do sleep 1; done) &\n")
	t.Setenv("BERTH_SECRET", "1")
	l.start(s)
	l.waitForBoot(s)
	if got := l.run(s, "cat /root/env"); strings.Contains(got, "BERTH") || strings.Contains(got, "GO") {
		t.Errorf("the script inherited %q", got)
	}
	check(t, l.host.Stop(l.context(), s.ID, true))
	l.start(s)
	l.waitForBoot(s)
	if got := l.run(s, "cat /root/runs"); got != "once\n" {
		t.Errorf("got %q", got)
	}
}

func TestBrokenFilesDoNotKeepItFromBooting(t *testing.T) {
	l := newLab(t)
	s := l.spec("broken")
	s.UserData = []byte("#cloud-config\nssh_keys: {ed25519_private: nonsense}\nwrite_files: [{path: relative}, {path: /proc/x}]\n")
	victim := t.TempDir()
	check(t, os.Chmod(victim, 0o700))
	l.start(s)
	// The next boot finds links where its folders should be, which lead out of the droplet if they are followed there.
	l.run(s, "rm -rf /tmp /srv /var/tmp /root/.ssh/x; ln -s "+victim+" /tmp; ln -s "+victim+" /srv; rm /etc/hostname; ln -s "+victim+"/name /etc/hostname; rm -rf /mnt; touch /mnt")
	check(t, l.host.Stop(l.context(), s.ID, true))
	s.Instance = "2"
	l.start(s)
	if got := l.run(s, "hostname; stat -c %a /tmp"); got != "web-broken\n1777\n" {
		t.Errorf("got %q", got)
	}
	fi, err := os.Stat(victim)
	check(t, err)
	left, err := os.ReadDir(victim)
	check(t, err)
	if fi.Mode().Perm() != 0o700 || len(left) != 0 {
		t.Errorf("the boot changed the host's folder: %v, %v", fi.Mode(), left)
	}
}
