package sandbox

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"
)

// realRig is a rig on real machines, kept in dir. Where this machine runs none
// the test is skipped, with the reason.
func realRig(t *testing.T, dir string) *rig {
	t.Helper()
	c, err := Open(Options{Dir: dir, Limits: Limits{Hour: -1, Minute: -1}})
	if err != nil {
		t.Fatal(err)
	}
	r := serveRig(t, c)
	if report := c.machines.Check(t.Context()); !report.Shells {
		t.Skipf("no droplets can run here: %s: %s", report.Step, report.Reason)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs a command in a droplet by SSH and is what it printed.
func (r *rig) run(d *godo.Droplet, signer ssh.Signer, command string) string {
	r.t.Helper()
	return r.runAs(d, ssh.PublicKeys(signer), command)
}

// runAs does it for root as it is recognised by whatever.
func (r *rig) runAs(d *godo.Droplet, auth ssh.AuthMethod, command string) string {
	r.t.Helper()
	addr, err := d.PublicIPv4()
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(addr, strconv.Itoa(r.SSHPort())))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{auth},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // a droplet of our own, made just now on this machine
	})
	if err != nil {
		r.t.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		r.t.Fatal(err)
	}
	var stderr bytes.Buffer
	session.Stderr = &stderr
	out, err := session.Output(command)
	if err != nil {
		r.t.Fatalf("%s: %v: %s%s", command, err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// TestRealDroplets tells a droplet's whole life on real machines: first boot,
// files, snapshot, restore, power, resize, rebuild, a restart of the cloud.
func TestRealDroplets(t *testing.T) {
	dir := t.TempDir()
	signer, err := ssh.NewSignerFromKey(privateKey(9))
	if err != nil {
		t.Fatal(err)
	}
	var d *godo.Droplet
	var snapshot int
	t.Run("life", func(t *testing.T) {
		r := realRig(t, dir)
		key, _, err := r.client.Keys.Create(t.Context(), &godo.KeyCreateRequest{Name: "test", PublicKey: publicKey(t, 9)})
		if err != nil {
			t.Fatal(err)
		}
		d = r.create("web-1", func(req *godo.DropletCreateRequest) {
			req.SSHKeys = []godo.DropletCreateSSHKey{{ID: key.ID}}
			req.UserData = "#cloud-config\nwrite_files:\n- {path: /root/first, content: boot}\n"
		})
		if got := r.run(d, signer, "hostname; cat /root/first"); got != "web-1\nboot" {
			t.Errorf("after first boot: %q", got)
		}
		r.run(d, signer, "echo precious > /root/data")
		r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "keep"))
		snapshot = r.get(d.ID).SnapshotIDs[0]
		r.run(d, signer, "rm /root/data /root/first")

		copied := r.create("copy", func(req *godo.DropletCreateRequest) {
			req.SSHKeys = []godo.DropletCreateSSHKey{{ID: key.ID}}
			req.Image = godo.DropletCreateImage{ID: snapshot}
		})
		if got := r.run(copied, signer, "hostname; cat /root/data"); got != "copy\nprecious" {
			t.Errorf("a droplet made from the snapshot: %q", got)
		}
		r.completed(r.client.DropletActions.Restore(t.Context(), d.ID, snapshot))
		if got := r.run(d, signer, "cat /root/data"); got != "precious" {
			t.Errorf("after restore: %q", got)
		}
		r.completed(r.client.DropletActions.PowerOff(t.Context(), d.ID))
		r.completed(r.client.DropletActions.Resize(t.Context(), d.ID, "s-2vcpu-2gb", true))
		r.completed(r.client.DropletActions.PowerOn(t.Context(), d.ID))
		if got := r.run(d, signer, "cat /root/data"); got != "precious" {
			t.Errorf("after resize: %q", got)
		}
	})
	if d == nil {
		t.SkipNow() // the reason is the subtest's
	}
	t.Run("restart", func(t *testing.T) {
		r := realRig(t, dir)
		if got := r.run(d, signer, "cat /root/data"); got != "precious" {
			t.Errorf("after a restart of the cloud: %q", got)
		}
		r.completed(r.client.DropletActions.RebuildByImageSlug(t.Context(), d.ID, "debian-12-x64"))
		if got := r.run(d, signer, "cat /root/first; echo; ls /root"); got != "boot\nfirst" {
			t.Errorf("after rebuild: %q", got)
		}
		if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		r.settle()
	})
}

// TestRealPasswordReset logs in with the password that the letter tells.
func TestRealPasswordReset(t *testing.T) {
	dir := t.TempDir()
	r := realRig(t, dir)
	d := r.create("locked-out", func(q *godo.DropletCreateRequest) { q.UserData = "#!/bin/sh\necho boot >> /root/boots\n" })
	r.completed(r.client.DropletActions.PasswordReset(t.Context(), d.ID))
	told := letters(t, dir)
	if len(told) != 1 {
		t.Fatalf("%d letters", len(told))
	}
	said := passwordLine.FindStringSubmatch(told[0])
	if said == nil {
		t.Fatalf("no password in %q", told[0])
	}
	if out := r.runAs(d, ssh.Password(said[1]), "id -un; wc -l < /root/boots"); out != "root\n1" {
		t.Errorf("logged in, it says %q", out)
	}
}
