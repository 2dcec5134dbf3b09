package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"

	"berth/provider/sandbox"
)

// image is what new droplets are made of.
var image = reference{Slug: "ubuntu-24-04-x64"}

type reference = godo.DropletCreateImage

// cloud is the cloud in a box, reached as DigitalOcean's clients do.
type cloud struct {
	*sandbox.Cloud
	server *httptest.Server
	client *godo.Client
	signer ssh.Signer
	key    int
}

// machine is a droplet that answers SSH.
type machine struct {
	id  int
	ssh *ssh.Client
}

func openCloud(ctx context.Context, l *lab) (*cloud, error) {
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	box, err := sandbox.Open(sandbox.Options{Dir: dir, Log: discard, DropletLimit: 1000, Limits: sandbox.Limits{Hour: -1, Minute: -1, KeyLists: -1}})
	if err != nil {
		return nil, err
	}
	c := &cloud{Cloud: box, server: httptest.NewServer(box.Handler())}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// prepare starts the cloud and registers a key.
func (c *cloud) prepare(ctx context.Context) error {
	if err := c.Start(ctx); err != nil {
		return err
	}
	var err error
	if c.client, err = godo.New(godo.NewFromToken(c.Token()).HTTPClient, godo.SetBaseURL(c.server.URL+"/")); err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if c.signer, err = ssh.NewSignerFromKey(private); err != nil {
		return err
	}
	public := string(ssh.MarshalAuthorizedKey(c.signer.PublicKey()))
	key, _, err := c.client.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "bench", PublicKey: strings.TrimSpace(public)})
	if err != nil {
		return err
	}
	c.key = key.ID
	return nil
}

// shells tells whether this machine allows droplets, and warns where it doesn't.
func (c *cloud) shells() bool {
	report := c.Report()
	if !report.Shells {
		slog.Warn("no droplets on this machine", "step", report.Step, "reason", report.Reason)
	}
	return report.Shells
}

func (c *cloud) close() error {
	c.server.Close()
	return c.Close()
}

// create makes a droplet and waits until it has run a command.
func (c *cloud) create(ctx context.Context, from reference) (*machine, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d, _, err := c.client.Droplets.Create(ctx, &godo.DropletCreateRequest{
		Name: "bench", Region: "nyc1", Size: "s-1vcpu-1gb", Image: from, SSHKeys: []godo.DropletCreateSSHKey{{ID: c.key}},
	})
	if err != nil {
		return nil, err
	}
	m := &machine{id: d.ID}
	for {
		if m.ssh, err = c.dial(ctx, d); err == nil {
			return m, m.run(ctx, "true")
		}
		if waited := pause(ctx); waited != nil {
			return nil, errors.Join(err, waited)
		}
		if d, _, err = c.client.Droplets.Get(ctx, m.id); err != nil {
			return nil, err
		}
	}
}

// lookAgain is the pause between two looks whether something is done.
const lookAgain = 2 * time.Millisecond

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lookAgain):
		return nil
	}
}

func (c *cloud) dial(ctx context.Context, d *godo.Droplet) (*ssh.Client, error) {
	addr, err := d.PublicIPv4()
	if err != nil || addr == "" {
		return nil, errors.Join(err, fmt.Errorf("droplet %d has no address yet", d.ID))
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(addr, strconv.Itoa(c.SSHPort())))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	// Nothing secret is said, and the droplet is our own.
	s, channels, requests, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(c.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return ssh.NewClient(s, channels, requests), nil
}

// run runs a command, which must succeed.
func (m *machine) run(ctx context.Context, command string) error {
	session, err := m.ssh.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	if out, err := session.CombinedOutput(command); err != nil {
		return fmt.Errorf("%s: %w: %.200s", command, err, out)
	}
	return nil
}

func (c *cloud) destroy(ctx context.Context, m *machine) error {
	m.ssh.Close() // the droplet goes away, and its connections with it
	_, err := c.client.Droplets.Delete(ctx, m.id)
	return err
}

// snapshot saves a droplet's disk.
func (c *cloud) snapshot(ctx context.Context, m *machine) (reference, error) {
	a, _, err := c.client.DropletActions.Snapshot(ctx, m.id, "bench")
	for err == nil && a.Status == godo.ActionInProgress {
		if err = pause(ctx); err == nil {
			a, _, err = c.client.Actions.Get(ctx, a.ID)
		}
	}
	if err != nil {
		return reference{}, err
	}
	if a.Status != godo.ActionCompleted {
		return reference{}, fmt.Errorf("the snapshot is %s", a.Status)
	}
	images, _, err := c.client.Droplets.Snapshots(ctx, m.id, nil)
	if err != nil {
		return reference{}, err
	}
	if len(images) == 0 {
		return reference{}, errors.New("the droplet has no snapshot")
	}
	last := images[0].ID
	for _, i := range images {
		last = max(last, i.ID)
	}
	return reference{ID: last}, nil
}

// restore makes a droplet of a snapshot, sees that the file is there, and
// destroys it.
func (c *cloud) restore(ctx context.Context, from reference) error {
	m, err := c.create(ctx, from)
	if err != nil {
		return err
	}
	err = m.run(ctx, fmt.Sprintf("test $(stat -c %%s /root/data) = %d", megabytes<<20))
	return errors.Join(err, c.destroy(ctx, m))
}
