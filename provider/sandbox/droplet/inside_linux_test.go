package droplet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// needs skips a test of programs that this host does not have.
func (l *lab) needs(s Spec, programs ...string) {
	l.t.Helper()
	for _, p := range programs {
		if _, err := l.try(s, "command -v "+p); err != nil {
			l.t.Skipf("%s is not installed here", p)
		}
	}
}

// as runs a command in a session of an account's own.
func (l *lab) as(s Spec, user, password, command string) (string, error) {
	l.t.Helper()
	c, err := l.dial(s, user, ssh.Password(password))
	if err != nil {
		return "", err
	}
	defer c.Close()
	session, err := c.NewSession()
	check(l.t, err)
	defer session.Close()
	out, err := session.CombinedOutput(command)
	return string(out), err
}

// Accounts that somebody makes in the droplet, with its own programs, can log in with the passwords that these set.
func TestAccountsMadeInside(t *testing.T) {
	l := newLab(t)
	s := l.spec("accounts")
	l.start(s)
	l.needs(s, "chpasswd", "passwd", "useradd", "su")
	l.run(s, "echo root:new | chpasswd")
	if got, err := l.as(s, "root", "new", "id -un"); got != "root\n" {
		t.Errorf("after chpasswd: %q, %v", got, err)
	}
	l.run(s, `printf 'newer one\nnewer one\n' | passwd`)
	if got, err := l.as(s, "root", "newer one", "id -un"); got != "root\n" {
		t.Errorf("after passwd: %q, %v", got, err)
	}
	if _, err := l.as(s, "root", "new", "true"); err == nil {
		t.Error("the old password is still accepted")
	}
	l.run(s, "passwd -l root")
	if _, err := l.as(s, "root", "newer one", "true"); err == nil {
		t.Error("a locked password is accepted")
	}
	if l.host.machine("accounts").disk.spawner.ids.mode == modeUser {
		t.Skip("only root exists in droplets here")
	}
	for _, method := range []string{"SHA512", "SHA256", "YESCRYPT"} {
		user := "u" + strings.ToLower(method)
		l.run(s, fmt.Sprintf("useradd -m -s /bin/sh -G sudo %s && echo %s:open-%s | chpasswd -c %s", user, user, method, method))
		got, err := l.as(s, user, "open-"+method, "id -un; pwd; id -Gn")
		if want := fmt.Sprintf("%s\n/home/%s\n%s sudo\n", user, user, user); got != want {
			t.Errorf("%s: %q, %v", user, got, err)
		}
	}
	if got := l.run(s, "su - usha512 -c 'id -un; pwd'; sudo -u usha512 id -un; sudo id -un; sudo -n A=1 sh -c 'echo $A$SUDO_USER'"); got != "usha512\n/home/usha512\nusha512\nroot\n1root\n" {
		t.Errorf("su and sudo of root: %q", got)
	}
	got, err := l.as(s, "usha512", "open-SHA512", "sudo id")
	if err == nil || !strings.Contains(got, "NOPASSWD") {
		t.Errorf("sudo of one whom nothing allows it: %q, %v", got, err)
	}
	if got, err := l.as(s, "usha512", "open-SHA512", "su -c id </dev/null"); err == nil {
		t.Errorf("su to root: %q", got)
	}
}

// A user to whom the cloud-config gives sudo without a password has it, as far as anybody in the droplet can have it.
func TestSudo(t *testing.T) {
	l := newLab(t)
	s := l.spec("sudo")
	s.UserData = []byte(`#cloud-config
users:
- {name: ann, lock_passwd: false, plain_text_passwd: open, sudo: "ALL=(ALL) NOPASSWD:ALL"}
- {name: bob, lock_passwd: false, plain_text_passwd: open, sudo: ["ALL=(ALL) NOPASSWD:/bin/true"]}
- {name: eve, lock_passwd: false, plain_text_passwd: open, sudo: false, groups: sudo}
`)
	l.start(s)
	if l.host.machine("sudo").disk.spawner.ids.mode == modeUser {
		t.Skip("only root exists in droplets here")
	}
	for command, want := range map[string]string{
		"sudo id -un": "root\n",
		"sudo -n sh -c 'echo $SUDO_USER $HOME $LOGNAME; pwd'":           "ann /root root\n/home/ann\n",
		"echo in | sudo tee /root/made":                                 "in\n",
		"sudo -u bob id -un":                                            "bob\n",
		"sudo -i pwd":                                                   "/root\n",
		"sudo A='x  y' sh -c 'echo \"$A\"'":                             "x  y\n",
		"sudo sh -c 'exit 7'; echo $?":                                  "7\n",
		"sudo sh -c 'kill -TERM $$'; echo $?":                           "143\n",
		"sudo apt-get update 2>/dev/null && sudo -E env | grep -c HOME": "1\n",
		"sudo sleep 100 & p=$!; while ! pgrep -x sleep >/dev/null; do :; done; kill -TERM $p; wait $p; echo $?": "143\n",
	} {
		if got, err := l.as(s, "ann", "open", command); got != want {
			t.Errorf("%s: %q, %v", command, got, err)
		}
	}
	if got := l.run(s, "stat -c %U /root/made"); got != "root\n" {
		t.Errorf("what sudo made belongs to %s", got)
	}
	for _, user := range []string{"bob", "eve"} {
		if got, err := l.as(s, user, "open", "sudo id"); err == nil || !strings.Contains(got, "may not") {
			t.Errorf("%s: %q, %v", user, got, err)
		}
	}
}

// What people type first works, or says plainly why it can't.
func TestFirstCommands(t *testing.T) {
	l := newLab(t)
	s := l.spec("first")
	s.Image = Image{"Ubuntu", "24.04 (LTS) x64"}
	l.start(s)
	for _, command := range []string{
		"uname -a", "free -m", "df -h /", "nproc", "ps aux", "top -b -n1", "ip addr", "hostname", "uptime", "w", "locale", "mount",
		"ls -la /", "date", "id", "env", "git --version", "tmux new -d 'sleep 9'", "dd if=/dev/zero of=/tmp/x bs=1k count=1",
		"ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_test", "crontab -l || [ $? = 127 ] || [ $? = 1 ]",
		"sh -c 'echo \"#!/bin/sh\" > /usr/local/bin/mine && chmod +x /usr/local/bin/mine && mine'",
		"apt-get update", "apt-get install -y sh", "sudo -n true", "cloud-init status --wait",
	} {
		program := strings.Fields(command)[0]
		if out, err := l.try(s, "command -v "+program+" >/dev/null || exit 99; "+command); err != nil {
			var exit *ssh.ExitError
			if !errors.As(err, &exit) || exit.ExitStatus() != 99 {
				t.Errorf("%s: %v: %s", command, err, out)
			}
		} else if strings.Contains(strings.ToLower(out), "cannot set lc_") {
			t.Errorf("%s: %s", command, out)
		}
	}
	for command, says := range map[string]string{
		"apt-get install -y no-such-package": "no network",
		"apt remove sh":                      "can't be changed",
		"cloud-init clean":                   "only",
	} {
		if out, err := l.try(s, command); err == nil || !strings.Contains(out, says) {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	if got := l.run(s, ". /etc/os-release; echo $ID $VERSION_ID $VERSION_CODENAME; echo $VARIANT_ID"); got != "ubuntu 24.04 noble\nberth-sandbox\n" {
		t.Errorf("os-release: %q", got)
	}
}

func TestMetadata(t *testing.T) {
	l := newLab(t)
	s := l.spec("meta")
	s.UserData = []byte("#!/bin/sh\n# mine\n")
	s.Metadata = Metadata{
		DropletID: 4711, Region: "nyc3", Tags: []string{"web", "blue"},
		Private: netip.MustParsePrefix("10.1.2.3/20"), Reserved: netip.MustParseAddr("127.77.9.9"),
	}
	l.start(s)
	if lacks := l.host.machine("meta").lacks; lacks != "" {
		t.Skip(lacks)
	}
	client := l.client(s)
	inside := &http.Client{Timeout: testTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(_ context.Context, network, addr string) (net.Conn, error) { return client.Dial(network, addr) },
	}}
	defer inside.CloseIdleConnections()
	ask := func(path string) (int, []byte) {
		t.Helper()
		r, err := inside.Get("http://169.254.169.254/metadata/" + path)
		check(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		check(t, err)
		return r.StatusCode, body
	}
	for path, want := range map[string]string{
		"v1/id": "4711", "v1/hostname": "web-meta", "v1/region": "nyc3", "v1/user-data": string(s.UserData),
		"v1/public-keys": s.AuthorizedKeys[0], "v1/interfaces/public/0/ipv4/address": s.Addr.String(),
		"v1/interfaces/public/0/ipv4/netmask": "255.255.0.0", "v1/interfaces/private/0/ipv4/address": "10.1.2.3",
		"v1/interfaces/private/0/ipv4/gateway": "10.1.0.1", "v1/interfaces": "public/\nprivate/", "v1/tags/": "web\nblue",
		"v1/reserved_ip/ipv4/active": "true", "v1/floating_ip/ipv4/ip_address": "127.77.9.9", "v1/features/dhcp_enabled": "false",
	} {
		if status, got := ask(path); status != http.StatusOK || string(got) != want {
			t.Errorf("%s: %d %q, want %q", path, status, got, want)
		}
	}
	if status, got := ask("v1/nothing"); status != http.StatusNotFound {
		t.Errorf("what is not there: %d %s", status, got)
	}
	var all struct {
		DropletID  int      `json:"droplet_id"`
		Tags       []string `json:"tags"`
		Interfaces map[string][]struct {
			IPv4 struct {
				Address string `json:"ip_address"`
			} `json:"ipv4"`
		} `json:"interfaces"`
	}
	_, text := ask("v1.json")
	check(t, json.Unmarshal(text, &all))
	if all.DropletID != 4711 || cmp.Diff(all.Tags, s.Metadata.Tags) != "" || all.Interfaces["private"][0].IPv4.Address != "10.1.2.3" {
		t.Errorf("got %s", text)
	}

	// A web server of the droplet's own may have port 80 of all addresses, and is the one who is reached from outside.
	l.run(s, "echo own > /srv/page; nohup berth-httpd -p 80 /srv >/dev/null 2>&1 &")
	l.waitFor(s, "grep -q ':0050 ' /proc/net/tcp6")
	if _, got := ask("v1/id"); string(got) != "4711" {
		t.Errorf("beside another server: %q", got)
	}
	get(t, "http://"+s.Addr.String()+lowPort(t, 80)+"/page")
	for _, port := range []string{":925", lowPort(t, 925)} {
		if c, err := net.Dial("tcp", s.Addr.String()+port); err == nil {
			c.Close()
			t.Errorf("the service can be reached from the host at %s", port)
		}
	}
}
