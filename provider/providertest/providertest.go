// Package providertest tells whether an adapter keeps what provider.Provider
// promises. Every adapter's own tests run it, against an emulator or the real
// cloud; there it makes a few small machines, and removes them.
package providertest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/provider"
)

// Target says how to test. Its zero value tests with the cheapest size that
// has a larger one in the same region.
type Target struct {
	Image string // to start from; empty is the catalog's first

	// Pause waits between two looks at the same thing. Nil waits two seconds.
	Pause func(ctx context.Context) error

	// Patience bounds each wait for something to happen; 0 is ten minutes.
	Patience time.Duration
}

// Open gives a provider to test and says how. What it needs to close, it
// registers with t.Cleanup.
type Open func(t testing.TB) (provider.Provider, Target)

// Case is one part of the suite.
type Case struct {
	Name string
	Run  func(t testing.TB, open Open)
}

// Run runs the whole suite, each case with a provider opened for it.
func Run(t *testing.T, open Open) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open) })
	}
}

// Cases are the parts of the suite, for those who run each in a setting of
// its own, such as a testing/synctest bubble.
func Cases() []Case {
	var cases []Case
	for _, c := range []struct {
		name string
		test func(*bench)
	}{
		{"Catalog", testCatalog},
		{"Account", testAccount},
		{"Create", testCreate},
		{"CreateTwice", testCreateTwice},
		{"CreateAtOnce", testCreateAtOnce},
		{"CreateRefused", testCreateRefused},
		{"Power", testPower},
		{"Restart", testRestart},
		{"Resize", testResize},
		{"Rebuild", testRebuild},
		{"Snapshot", testSnapshot},
		{"Delete", testDelete},
		{"NotFound", testNotFound},
		{"Cancelled", testCancelled},
	} {
		cases = append(cases, Case{c.name, func(t testing.TB, open Open) { c.test(newBench(t, open)) }})
	}
	return cases
}

// bench is one case at work.
type bench struct {
	testing.TB
	provider.Provider
	target Target
	fleet  string // the tag that all machines of the case bear, and the prefix of its snapshots
	region string
	small  provider.Size
	large  provider.Size // with a larger disk
}

func newBench(t testing.TB, open Open) *bench {
	t.Helper()
	p, target := open(t)
	target.Patience = cmp.Or(target.Patience, 10*time.Minute)
	if target.Pause == nil {
		target.Pause = pause
	}
	b := &bench{TB: t, Provider: p, target: target, fleet: newTag("test")}
	b.choose()
	t.Cleanup(b.clear)
	return b
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newTag(prefix string) string { return string(berth.NewID(prefix, time.Now())) }

// choose picks what to test with from the catalog.
func (b *bench) choose() {
	b.Helper()
	c, err := b.Catalog(b.Context())
	if err != nil {
		b.Fatalf("Catalog: %v", err)
	}
	if b.target.Image == "" {
		if len(c.Images) == 0 {
			b.Fatal("the catalog has no images")
		}
		b.target.Image = c.Images[0].Slug
	}
	sizes := slices.SortedFunc(slices.Values(c.Sizes), func(x, y provider.Size) int { return cmp.Compare(x.Hourly, y.Hourly) })
	for _, r := range c.Regions {
		var here []provider.Size
		for _, s := range sizes {
			if s.Available && slices.Contains(s.Regions, r.Slug) {
				here = append(here, s)
			}
		}
		for i, s := range here {
			larger := slices.IndexFunc(here[i:], func(l provider.Size) bool { return l.DiskGB > s.DiskGB })
			if r.Available && larger > 0 {
				b.region, b.small, b.large = r.Slug, s, here[i+larger]
				return
			}
		}
	}
	b.Fatal("no region has a size and a larger one")
}

// clear removes what the case has made, also after a failure.
func (b *bench) clear() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), b.target.Patience)
	defer cancel()
	for {
		machines, err := b.Machines(ctx, b.fleet)
		if err == nil && len(machines) == 0 {
			break
		}
		for _, m := range machines {
			if err := b.Provider.Delete(ctx, m.ID); err != nil && !provider.KindOf(err).Temporary() {
				b.Errorf("machine %s is left behind: %v", m.ID, err)
				return
			}
		}
		if b.target.Pause(ctx) != nil {
			b.Errorf("machines are left behind: %v, %v", machines, err)
			return
		}
	}
	snapshots, err := b.Snapshots(ctx, b.fleet)
	if err != nil {
		b.Errorf("snapshots may be left behind: %v", err)
	}
	for _, s := range snapshots {
		if err := b.DeleteSnapshot(ctx, s.ID); err != nil {
			b.Errorf("snapshot %s is left behind: %v", s.ID, err)
		}
	}
}

// spec is a small machine with a tag of its own.
func (b *bench) spec() provider.Spec {
	b.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		b.Fatal(err)
	}
	host, err := ssh.NewPublicKey(public)
	if err != nil {
		b.Fatal(err)
	}
	tag := newTag("srv")
	data, err := provider.Boot{
		Hostname: strings.ReplaceAll(tag, "_", "-"), HostKeyPEM: pem.EncodeToMemory(block),
		AuthorizedKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host)))},
	}.Encode()
	if err != nil {
		b.Fatal(err)
	}
	return provider.Spec{
		Tag: tag, Tags: []string{b.fleet}, Region: b.region,
		Size: b.small.Slug, Image: b.target.Image, UserData: data,
	}
}

// running is a new machine that is on.
func (b *bench) running(spec provider.Spec) provider.Machine {
	b.Helper()
	m, err := b.Create(b.Context(), spec)
	if err != nil {
		b.Fatalf("Create: %v", err)
	}
	return b.becomes(m.ID, provider.On)
}

// becomes waits until a machine is idle in a state. NotFound is waited out: a
// cloud may forget a machine for a moment after making it.
func (b *bench) becomes(id string, want provider.State) provider.Machine {
	b.Helper()
	var m provider.Machine
	b.eventually("machine "+id+" is "+string(want), func() bool {
		var err error
		m, err = b.Machine(b.Context(), id)
		if kind := provider.KindOf(err); err != nil && kind != provider.NotFound && !kind.Temporary() {
			b.Fatalf("Machine: %v", err)
		}
		return err == nil && m.State == want && !m.Busy
	})
	return m
}

// finish waits until work is done, which was started without an error.
func (b *bench) finish(what string, ref provider.Ref, err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	if len(ref) > 200 {
		b.Errorf("%s: a Ref of %d bytes, at most 200 are allowed", what, len(ref))
	}
	b.eventually(what+" is done", func() bool {
		progress, err := b.Check(b.Context(), ref)
		if err != nil && !provider.KindOf(err).Temporary() {
			b.Fatalf("%s: Check: %v", what, err)
		}
		if err == nil && progress == provider.Failed {
			b.Fatalf("%s failed", what)
		}
		return err == nil && progress == provider.Done
	})
}

// nothing fails unless there was nothing to do.
func (b *bench) nothing(what string, ref provider.Ref, err error) {
	b.Helper()
	if err != nil || ref != "" {
		b.Errorf("%s, as it is already: ref %q, error %v; want the empty Ref", what, ref, err)
	}
	if progress, err := b.Check(b.Context(), ref); err == nil && ref == "" && progress != provider.Done {
		b.Errorf("%s: Check of the empty Ref is %q, want done", what, progress)
	}
}

// kind fails unless an error has a kind and is an *Error.
func (b *bench) kind(what string, err error, want provider.Kind) {
	b.Helper()
	if got := provider.KindOf(err); got != want {
		b.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}

func (b *bench) eventually(what string, holds func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), b.target.Patience)
	defer cancel()
	for !holds() {
		if err := b.target.Pause(ctx); err != nil {
			b.Fatalf("waited %v in vain until %s", b.target.Patience, what)
		}
	}
}
