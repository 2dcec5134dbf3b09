package droplet

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// forwardsAtBoot leads a port to a web server, another to SSH, as commands that run at every boot.
const forwardsAtBoot = `#cloud-config
bootcmd:
- |
  if command -v iptables >/dev/null 2>&1; then
    forward() { iptables -w -t nat -C PREROUTING "$@" 2>/dev/null || iptables -w -t nat -A PREROUTING "$@"; }
    forward -p tcp -m addrtype --dst-type LOCAL --dport 20001 -j REDIRECT --to-ports 80
    forward -p tcp -m addrtype --dst-type LOCAL --dport 20000 -j REDIRECT --to-ports 22
  fi
`

// A port that leads to another is reachable from outside as soon as something listens there, also after a reboot.
func TestPortsLeadToOthers(t *testing.T) {
	l := newLab(t)
	s := l.spec("forwards")
	s.UserData = []byte(forwardsAtBoot)
	l.start(s)
	l.waitForBoot(s)
	url, serve := "http://"+s.Addr.String(), "mkdir -p /srv; echo led > /srv/page; nohup berth-httpd -p 80 /srv >/dev/null 2>&1 &"

	if c, err := net.Dial("tcp", s.Addr.String()+":20001"); err == nil {
		c.Close()
		t.Error("the port is open before anything listens where it leads to")
	}
	for _, boot := range []string{"first", "second"} {
		l.run(s, serve)
		if got := get(t, url+":20001/page"); got != "led\n" {
			t.Errorf("%s boot: got %q", boot, got)
		}
		eventually(t, "SSH answers at the other port", func() bool {
			c, err := ssh.Dial("tcp", s.Addr.String()+":20000", &ssh.ClientConfig{
				User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(l.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: testTimeout,
			})
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		check(t, l.host.Stop(l.context(), s.ID, false))
		l.start(s)
		l.waitForBoot(s)
	}
}

// iptables does what it says, and says what it can't do.
func TestIptables(t *testing.T) {
	l := newLab(t)
	s := l.spec("iptables")
	l.start(s)
	rule := " -t nat -A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 80"
	l.run(s, "iptables -w 5"+rule)
	l.run(s, "iptables"+strings.Replace(rule, "-A", "-C", 1))
	if got, want := l.run(s, "iptables -t nat -S"), "-P PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80\n"; got != want {
		t.Errorf("the rules are %q", got)
	}
	if got := l.run(s, "iptables -t nat -n -L PREROUTING"); !strings.HasSuffix(got, "tcp dpt:8080 redir ports 80\n") {
		t.Errorf("the table is %q", got)
	}
	l.run(s, "iptables"+strings.Replace(rule, "-A", "-D", 1))
	for command, want := range map[string]string{
		"iptables" + strings.Replace(rule, "-A", "-C", 1):                                       "Bad rule",
		"iptables -A INPUT -p tcp --dport 80 -j DROP":                                           `-A "INPUT" is not understood`,
		"iptables -t nat -A PREROUTING -s 10.0.0.1 -p tcp --dport 1 -j REDIRECT --to-ports 2":   `"-s" is not understood`,
		"iptables -t nat -A PREROUTING -p udp --dport 1 -j REDIRECT --to-ports 2":               `-p "udp" is not understood`,
		"iptables -t nat -A PREROUTING -p tcp --dport 0 -j REDIRECT --to-ports 2":               `--dport "0" is no port`,
		"iptables -t nat -A PREROUTING -p tcp --dport 1 --dport 2 -j REDIRECT --to-ports 2":     "--dport comes twice",
		"iptables -t nat -A PREROUTING -D PREROUTING -p tcp --dport 1 --dport 2 -j REDIRECT":    "comes twice",
		"iptables -t nat -A PREROUTING -D PREROUTING -p tcp --dport 1 -j REDIRECT --to-ports 2": "one command",
		"iptables -A PREROUTING -p tcp --dport 1 -j REDIRECT --to-ports 2":                      "the table must be nat",
		"iptables -t nat -L OUTPUT":                                        `-L "OUTPUT" is not understood`,
		"iptables -t nat -A PREROUTING --dport 1 -j REDIRECT --to-ports 2": "-p tcp",
		"iptables": "the table must be nat",
	} {
		if got, err := l.try(s, command); err == nil || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v", command, got, err)
		}
	}
	if got := l.run(s, "iptables -t nat -S"); got != "-P PREROUTING ACCEPT\n" {
		t.Errorf("what was refused was done: %q", got)
	}
}
