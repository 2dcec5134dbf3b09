package burst

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/fleet"
	"berth/provider/sandbox"
	"berth/provider/sandbox/droplet"
	"berth/remote"
	"berth/remote/remotetest"
)

// accountKey is any public key.
const accountKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEMCMEtWLnSEgHzh2Is1rRyJdTfYfVXhcmMKRQZcHF"

// between is a random duration. Its values, not their order, are the same in
// every run.
type between struct {
	mu     sync.Mutex
	random *rand.Rand
}

func newBetween() *between { return &between{random: rand.New(rand.NewPCG(1, 1))} }

func (b *between) pick(least, most time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return least + time.Duration(b.random.Int64N(int64(most-least)))
}

// cloud is an emulated DigitalOcean whose machines take as long as real ones:
// half a minute to a minute until a droplet is active, some seconds until it has
// a network, and some more until its SSH server answers.
type cloud struct {
	*sandbox.Cloud
	wire *wire

	durations *between
	mu        sync.Mutex
	machines  map[netip.Addr]*remotetest.Server
}

func openCloud(t *testing.T, limits sandbox.Limits, droplets int) *cloud {
	c := &cloud{durations: newBetween(), machines: map[netip.Addr]*remotetest.Server{}}
	var err error
	c.Cloud, err = sandbox.Open(sandbox.Options{
		Dir: t.TempDir(), Machines: &machines{cloud: c}, Limits: limits, DropletLimit: 2 * droplets,
		Latency: func(string) time.Duration { return c.durations.pick(25*time.Second, 70*time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wire = &wire{handler: c.Handler(), token: c.Token(), durations: newBetween()}
	return c
}

// dial connects to a droplet's SSH server.
func (c *cloud) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	s := c.machines[at.Addr()]
	c.mu.Unlock()
	if s == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("no machine is at %s", addr)}
	}
	return s.Dial(ctx)
}

// answers is when a droplet's SSH server began to answer.
func (c *cloud) answers(addr netip.Addr) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machines[addr].Up
}

// machines are empty but for an SSH server with the host key that they were
// given.
type machines struct {
	sandbox.Empty
	cloud *cloud
}

// Check implements sandbox.Machines.
func (*machines) Check(context.Context) droplet.Report {
	return droplet.Report{Mode: "simulated", Shells: true, SSHPort: 22}
}

// Start implements sandbox.Machines.
func (m *machines) Start(ctx context.Context, spec droplet.Spec) error {
	if len(spec.UserData) == 0 {
		return m.Empty.Start(ctx, spec) // the plain client's: nobody logs in
	}
	host, err := hostKey(string(spec.UserData))
	if err != nil {
		return err
	}
	network := time.Now().Add(m.cloud.durations.pick(2*time.Second, 6*time.Second))
	m.cloud.mu.Lock()
	m.cloud.machines[spec.Addr] = &remotetest.Server{
		Host: host, Network: network, Up: network.Add(m.cloud.durations.pick(3*time.Second, 30*time.Second)),
	}
	m.cloud.mu.Unlock()
	return m.Empty.Start(ctx, spec)
}

// hostKey is the private key in first-boot data, where it stands indented.
func hostKey(data string) (ssh.Signer, error) {
	const begin, end = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
	_, rest, found := strings.Cut(data, begin)
	body, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		return nil, fmt.Errorf("the first-boot data holds no host key")
	}
	return ssh.ParsePrivateKey([]byte(begin + "\n" + strings.Join(strings.Fields(body), "\n") + "\n" + end + "\n"))
}

// prober probes over a pool, as the program does.
type prober struct{ pool *remote.Pool }

// Ready implements fleet.Prober.
func (p prober) Ready(ctx context.Context, s fleet.Server, signer ssh.Signer) error {
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		return err
	}
	return p.pool.Await(ctx, remote.Target{
		ID: string(s.ID), Addr: netip.AddrPortFrom(s.Addr, uint16(s.SSHPort)), User: "root", HostKey: host, Signer: signer,
	})
}

// Forget implements fleet.Prober.
func (prober) Forget(id berth.ID) {}

// wire carries requests to the cloud, takes its time, and counts.
type wire struct {
	handler   http.Handler
	token     string
	durations *between

	mu   sync.Mutex
	seen Figures
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	const least, most = 30 * time.Millisecond, 600 * time.Millisecond
	time.Sleep(w.durations.pick(least, most))
	arrived := r.Clone(r.Context())
	arrived.Header.Set("Authorization", "Bearer "+w.token)
	arrived.RequestURI = r.URL.RequestURI()
	if arrived.Body == nil {
		arrived.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, arrived)
	time.Sleep(w.durations.pick(least, most))
	answer := recorder.Result()
	answer.Request = r
	w.count(r, answer.StatusCode)
	return answer, r.Context().Err()
}

func (w *wire) count(r *http.Request, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.Requests++
	switch droplets := r.URL.Path == "/v2/droplets"; {
	case droplets && r.Method == http.MethodPost:
		w.seen.Creates++
	case droplets:
		w.seen.Lists++
	}
	if status == http.StatusTooManyRequests {
		w.seen.Refused++
	}
}

func (w *wire) figures() Figures {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}
