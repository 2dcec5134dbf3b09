package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestOpenSSH logs in to servers with OpenSSH's own programs and a key of the
// user's, for a Berth run by whoever runs the tests and by an ordinary user.
func TestOpenSSH(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"ssh", "scp", "sftp", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: install OpenSSH's client (package openssh-client)", tool)
		}
	}
	t.Run("own user", func(t *testing.T) { logIn(t, newHouse(t)) })
	t.Run("ordinary user", func(t *testing.T) { logIn(t, newHouseOfOrdinaryUser(t)) })
}

// visitor runs OpenSSH's programs against one server.
type visitor struct {
	t       *testing.T
	options []string // for ssh, scp and sftp
	login   string   // root@address
}

func logIn(t *testing.T, h *house) {
	t.Helper()
	_, st := h.serve()
	needShells(t, st)
	v := newVisitor(t, web{"http://" + st.Address, h.account("dev@example.com", "1.00")})

	if out, code := v.try("ssh", "input", v.login, "cat; exit 7"); out != "input" || code != 7 {
		t.Errorf("ssh printed %q and ended with %d", out, code)
	}
	dir := t.TempDir()
	file := make([]byte, 1<<20)
	rand.Read(file) // it never fails
	up, down := filepath.Join(dir, "up"), filepath.Join(dir, "down")
	if err := os.WriteFile(up, file, 0o600); err != nil {
		t.Fatal(err)
	}
	v.run("scp", "", up, v.login+":/root/by-scp")
	v.run("sftp", "-rename /root/by-scp /root/by-sftp\nget /root/by-sftp "+down+"\n", "-b", "-", v.login)
	got, err := os.ReadFile(down)
	if err != nil || !bytes.Equal(got, file) {
		t.Errorf("what came back differs: %d bytes, %v", len(got), err)
	}
	// Another key opens nothing.
	v.options = append([]string{"-i", newKey(t, dir)}, v.options[2:]...)
	if out, code := v.try("ssh", "", v.login, "true"); code != 255 {
		t.Errorf("with another key ssh ended with %d: %s", code, out)
	}
}

// newVisitor buys a server with a key installed, and trusts the host key that
// Berth told.
func newVisitor(t *testing.T, curl web) *visitor {
	t.Helper()
	dir := t.TempDir()
	private := newKey(t, dir)
	public, err := os.ReadFile(private + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	var key struct{ ID string }
	curl.do(t, http.MethodPost, "/v1/keys", in{"name": "laptop", "public_key": string(public)}, &key)
	var sv struct {
		IP      string
		Port    int    `json:"ssh_port"`
		HostKey string `json:"host_key"`
	}
	order := in{"size": "small", "region": "nyc1", "minutes": 5, "ssh_key_ids": []string{key.ID}}
	curl.do(t, http.MethodPost, "/v1/servers?wait_seconds=60", order, &sv)
	known := filepath.Join(dir, "known_hosts")
	hosts := fmt.Sprintf("%s,[%s]:%d %s\n", sv.IP, sv.IP, sv.Port, sv.HostKey)
	if err := os.WriteFile(known, []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, login: "root@" + sv.IP, options: []string{
		"-i", private, "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + known, "-o", "Port=" + strconv.Itoa(sv.Port),
	}}
}

// newKey makes a key pair and returns the private half's path.
func newKey(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "key-"+strings.ToLower(rand.Text()[:6]))
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	return path
}

// try runs one of OpenSSH's programs and returns what it printed and its exit
// status.
func (v *visitor) try(tool, stdin string, args ...string) (string, int) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, slices.Concat(v.options, args)...)
	var errText bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.WaitDelay = strings.NewReader(stdin), &errText, time.Second
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		v.t.Fatalf("%s: %v", tool, err)
	}
	if errText.Len() > 0 {
		v.t.Logf("%s: %s", tool, errText.String())
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// run runs one that must succeed.
func (v *visitor) run(tool, stdin string, args ...string) {
	v.t.Helper()
	if out, code := v.try(tool, stdin, args...); code != 0 {
		v.t.Fatalf("%s ended with %d: %s", tool, code, out)
	}
}
