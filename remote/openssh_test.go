package remote

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

func bashHost(t *testing.T) host {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("no /bin/bash on this machine")
	}
	s := newServer(t, func(s *server) { s.shell = "/bin/bash" })
	return host{s.Target, s.home}
}

// opensshHost starts OpenSSH's own server, for one account: this one.
func opensshHost(t *testing.T) host {
	sshd := findSSHD(t)
	account, err := user.Current()
	if err != nil {
		t.Skipf("this account has no name: %v", err)
	}
	home := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	login := newSigner(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	addr := freeAddr(t)
	config := write("sshd_config", fmt.Appendf(nil, `ListenAddress %s
HostKey %s
AuthorizedKeysFile %s
StrictModes no
PidFile none
UsePAM no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
SetEnv HOME=%s
`, addr, write("host_key", pem.EncodeToMemory(block)), write("authorized_keys", ssh.MarshalAuthorizedKey(login.PublicKey())), home))

	command := exec.Command(sshd, "-D", "-e", "-f", config)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
		killMarked(t, "HOME="+home)
		log.Close()
		if said, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("sshd said:\n%s", said)
		}
	})
	target := Target{ID: "openssh", Addr: addr, User: account.Username, HostKey: hostKey.PublicKey(), Signer: login}
	p := newPool(t, PoolOptions{})
	eventually(t, "sshd answers", func() bool { return p.Ready(t.Context(), target) == nil })
	return host{target, home}
}

func findSSHD(t *testing.T) string {
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("OpenSSH's server is not installed (Debian: openssh-server)")
	}
	if os.Getuid() == 0 {
		if _, err := user.Lookup("sshd"); err != nil {
			t.Skip("sshd as root needs an account named sshd, which is missing")
		}
		if _, err := os.Stat("/run/sshd"); err != nil {
			t.Skip("sshd as root needs /run/sshd, which is missing")
		}
	}
	return sshd
}

func freeAddr(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}
