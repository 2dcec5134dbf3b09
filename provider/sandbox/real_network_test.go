package sandbox

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"
)

// banner is what answers first at an address's SSH port, or nothing.
func (r *rig) banner(addr string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(addr, strconv.Itoa(r.SSHPort())))
	if err != nil {
		return ""
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	first := make([]byte, 4)
	n, err := conn.Read(first)
	if err != nil {
		return ""
	}
	return string(first[:n])
}

// TestRealNetwork holds that a reserved IP leads to its droplet, and that a
// firewall keeps connections from it, each as long as the API says so.
func TestRealNetwork(t *testing.T) {
	r := realRig(t, t.TempDir())
	signer, err := ssh.NewSignerFromKey(privateKey(9))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := r.client.Keys.Create(t.Context(), &godo.KeyCreateRequest{Name: "test", PublicKey: publicKey(t, 9)})
	if err != nil {
		t.Fatal(err)
	}
	d := r.create("web-1", func(req *godo.DropletCreateRequest) { req.SSHKeys = []godo.DropletCreateSSHKey{{ID: key.ID}} })
	addr, err := d.PublicIPv4()
	if err != nil {
		t.Fatal(err)
	}
	ip, _, err := r.client.ReservedIPs.Create(t.Context(), &godo.ReservedIPCreateRequest{DropletID: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	at := *d
	at.Networks = &godo.Networks{V4: []godo.NetworkV4{{IPAddress: ip.IP, Type: "public"}}}
	if got := r.run(&at, signer, "hostname"); got != "web-1" {
		t.Errorf("at the reserved IP: %q", got)
	}

	fw, _, err := r.client.Firewalls.Create(t.Context(), &godo.FirewallRequest{
		Name: "web-only", DropletIDs: []int{d.ID},
		InboundRules: []godo.InboundRule{{Protocol: "tcp", PortRange: "80", Sources: &godo.Sources{Addresses: []string{"0.0.0.0/0"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.banner(addr) + r.banner(ip.IP); got != "" {
		t.Errorf("through a firewall without SSH came %q", got)
	}
	r.completed(r.client.DropletActions.Reboot(t.Context(), d.ID)) // which needs no way in
	if _, err := r.client.Firewalls.AddRules(t.Context(), fw.ID, &godo.FirewallRulesRequest{
		InboundRules: []godo.InboundRule{{Protocol: "tcp", PortRange: "22", Sources: &godo.Sources{Addresses: []string{"127.0.0.0/8"}}}},
	}); err != nil {
		t.Fatal(err)
	}
	if r.banner(addr) != "SSH-" {
		t.Error("a firewall with SSH lets nobody in")
	}
	if _, err := r.client.Firewalls.Delete(t.Context(), fw.ID); err != nil {
		t.Fatal(err)
	}
	r.completed(r.client.ReservedIPActions.Unassign(t.Context(), ip.IP))
	if got := r.banner(addr); got != "SSH-" {
		t.Errorf("without a firewall came %q", got)
	}
	if got := r.banner(ip.IP); got != "" {
		t.Errorf("at an unassigned reserved IP came %q", got)
	}
}
