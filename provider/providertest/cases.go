package providertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/provider"
)

func testCatalog(b *bench) {
	c, err := b.Catalog(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	regions := map[string]bool{}
	for _, r := range c.Regions {
		if r.Slug == "" || r.Name == "" || regions[r.Slug] {
			b.Errorf("region without a name, or twice: %+v", r)
		}
		regions[r.Slug] = true
	}
	sizes := map[string]bool{}
	for _, s := range c.Sizes {
		if s.Slug == "" || s.Hourly <= 0 || s.VCPUs <= 0 || s.MemoryMB <= 0 || s.DiskGB <= 0 || sizes[s.Slug] {
			b.Errorf("size that is not complete, or twice: %+v", s)
		}
		sizes[s.Slug] = true
		for _, r := range s.Regions {
			if !regions[r] {
				b.Errorf("size %s is said to be in %q, which is no region", s.Slug, r)
			}
		}
	}
	for _, i := range c.Images {
		if i.Slug == "" || i.Name == "" {
			b.Errorf("image without a name: %+v", i)
		}
	}
	if b.Provider.Name() == "" {
		b.Error("the provider has no name")
	}
}

func testAccount(b *bench) {
	before, err := b.Account(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if !slices.Contains([]provider.Standing{provider.Good, provider.Warned}, before.Standing) {
		b.Errorf("an account that machines are to be made in stands %q", before.Standing)
	}
	if before.MachineLimit < 0 || before.Machines < 0 {
		b.Errorf("Account = %+v", before)
	}
	b.running(b.spec())
	b.eventually("the machine counts", func() bool {
		after, err := b.Account(b.Context())
		if err != nil && !provider.KindOf(err).Temporary() {
			b.Fatalf("Account: %v", err)
		}
		return err == nil && after.Machines > before.Machines
	})
}

func testCreate(b *bench) {
	spec := b.spec()
	made, err := b.Create(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	if made.ID == "" || made.Tag != spec.Tag {
		b.Fatalf("Create = %+v, want an id and the tag %s", made, spec.Tag)
	}
	m := b.becomes(made.ID, provider.On)
	if m.ID != made.ID || m.Tag != spec.Tag || m.Region != spec.Region || m.Size != spec.Size {
		b.Errorf("Machine = %+v, want what was asked for: %s in %s with the tag %s", m, spec.Size, spec.Region, spec.Tag)
	}
	if !m.Addr.Is4() || m.SSHPort <= 0 || m.SSHPort > 65535 || m.DiskGB < b.small.DiskGB {
		b.Errorf("a machine that is on lacks an address, a port or a disk: %+v", m)
	}
	if age := time.Since(m.Created); age < -time.Hour || age > time.Hour {
		b.Errorf("created %v ago", age)
	}
	for _, tag := range []string{b.fleet, spec.Tag} {
		if !slices.Contains(m.Tags, tag) {
			b.Errorf("tags %q lack %q", m.Tags, tag)
		}
		b.listed(tag, m.ID)
	}
	b.listed(newTag("nobody"))
}

// listed waits until a tag lists exactly those machines.
func (b *bench) listed(tag string, ids ...string) {
	b.Helper()
	b.eventually("tag "+tag+" lists "+strings.Join(ids, " "), func() bool {
		list, err := b.Machines(b.Context(), tag)
		if err != nil && !provider.KindOf(err).Temporary() {
			b.Fatalf("Machines: %v", err)
		}
		var got []string
		for _, m := range list {
			got = append(got, m.ID)
		}
		slices.Sort(got)
		return err == nil && slices.Equal(got, ids)
	})
}

func testCreateTwice(b *bench) {
	spec := b.spec()
	spec.First = true
	first, err := b.Create(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	spec.First = false
	second, err := b.Create(b.Context(), spec)
	if err != nil || second.ID != first.ID {
		b.Errorf("Create again = %s, %v; want %s", second.ID, err, first.ID)
	}
	m := b.becomes(first.ID, provider.On)
	third, err := b.Create(b.Context(), spec)
	if err != nil || third.ID != first.ID || third.Addr != m.Addr {
		b.Errorf("Create of what is on = %+v, %v; want %+v", third, err, m)
	}
	b.listed(b.fleet, first.ID)
}

func testCreateAtOnce(b *bench) {
	spec := b.spec()
	ids := make([]string, 4)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			m, err := b.Create(b.Context(), spec)
			if err != nil {
				b.Errorf("Create: %v", err)
			}
			ids[i] = m.ID
		})
	}
	all.Wait()
	if ids = slices.Compact(ids); len(ids) != 1 {
		b.Errorf("one tag gave the machines %q", ids)
	}
	b.listed(b.fleet, ids[0])
}

func testCreateRefused(b *bench) {
	for what, change := range map[string]func(*provider.Spec){
		"region":    func(s *provider.Spec) { s.Region = "nowhere" },
		"size":      func(s *provider.Spec) { s.Size = "no-such-size" },
		"image":     func(s *provider.Spec) { s.Image = "no-such-image" },
		"snapshot":  func(s *provider.Spec) { s.Image = "1" },
		"user data": func(s *provider.Spec) { s.UserData = make([]byte, provider.MaxUserData+1) },
		"tag":       func(s *provider.Spec) { s.Tag = "" },
	} {
		spec := b.spec()
		change(&spec)
		_, err := b.Create(b.Context(), spec)
		b.kind("Create with a wrong "+what, err, provider.Invalid)
	}
	b.listed(b.fleet)
}

func testPower(b *bench) {
	m := b.running(b.spec())
	ref, err := b.SetPower(b.Context(), m.ID, true)
	b.nothing("SetPower on", ref, err)

	ref, err = b.SetPower(b.Context(), m.ID, false)
	b.finish("SetPower off", ref, err)
	off := b.becomes(m.ID, provider.Off)
	if off.Addr != m.Addr {
		b.Errorf("the address went from %v to %v", m.Addr, off.Addr)
	}
	ref, err = b.SetPower(b.Context(), m.ID, false)
	b.nothing("SetPower off", ref, err)

	ref, err = b.SetPower(b.Context(), m.ID, true)
	b.finish("SetPower on", ref, err)
	if on := b.becomes(m.ID, provider.On); on.Addr != m.Addr {
		b.Errorf("the address went from %v to %v", m.Addr, on.Addr)
	}
}

func testRestart(b *bench) {
	m := b.running(b.spec())
	ref, err := b.Restart(b.Context(), m.ID)
	b.finish("Restart", ref, err)
	b.becomes(m.ID, provider.On)

	ref, err = b.SetPower(b.Context(), m.ID, false)
	b.finish("SetPower off", ref, err)
	_, err = b.Restart(b.Context(), m.ID)
	b.kind("Restart of a machine that is off", err, provider.Invalid)
}

func testResize(b *bench) {
	m := b.running(b.spec())
	_, err := b.SetSize(b.Context(), m.ID, b.large.Slug, true)
	b.kind("SetSize of a machine that is on", err, provider.Invalid)

	ref, err := b.SetPower(b.Context(), m.ID, false)
	b.finish("SetPower off", ref, err)
	_, err = b.SetSize(b.Context(), m.ID, "no-such-size", true)
	b.kind("SetSize to an unknown size", err, provider.Invalid)

	ref, err = b.SetSize(b.Context(), m.ID, b.large.Slug, false)
	b.finish("SetSize without the disk", ref, err)
	if m = b.becomes(m.ID, provider.Off); m.Size != b.large.Slug || m.DiskGB != b.small.DiskGB {
		b.Errorf("resized without the disk to %s with %d GB, want %s with %d", m.Size, m.DiskGB, b.large.Slug, b.small.DiskGB)
	}
	ref, err = b.SetSize(b.Context(), m.ID, b.small.Slug, false)
	b.finish("SetSize back", ref, err)
	b.becomes(m.ID, provider.Off)

	ref, err = b.SetSize(b.Context(), m.ID, b.large.Slug, true)
	b.finish("SetSize", ref, err)
	if m = b.becomes(m.ID, provider.Off); m.Size != b.large.Slug || m.DiskGB != b.large.DiskGB {
		b.Errorf("resized to %s with %d GB, want %s with %d", m.Size, m.DiskGB, b.large.Slug, b.large.DiskGB)
	}
	ref, err = b.SetSize(b.Context(), m.ID, b.large.Slug, true)
	b.nothing("SetSize", ref, err)

	_, err = b.SetSize(b.Context(), m.ID, b.small.Slug, true)
	b.kind("SetSize to a smaller disk", err, provider.Invalid)
	_, err = b.SetSize(b.Context(), m.ID, b.small.Slug, false)
	b.kind("SetSize to a smaller disk, without the disk", err, provider.Invalid)
}

func testRebuild(b *bench) {
	m := b.running(b.spec())
	_, err := b.SetImage(b.Context(), m.ID, "no-such-image")
	b.kind("SetImage of an unknown image", err, provider.Invalid)

	ref, err := b.SetImage(b.Context(), m.ID, b.target.Image)
	b.finish("SetImage", ref, err)
	if now := b.becomes(m.ID, provider.On); now.Addr != m.Addr || now.Tag != m.Tag {
		b.Errorf("rebuilt %+v to %+v, want the same address and tag", m, now)
	}
}

func testSnapshot(b *bench) {
	m := b.running(b.spec())
	name := b.fleet + "-disk"
	_, err := b.Snapshot(b.Context(), name)
	b.kind("Snapshot before it is taken", err, provider.NotFound)

	ref, err := b.TakeSnapshot(b.Context(), m.ID, name)
	b.finish("TakeSnapshot", ref, err)
	var s provider.Snapshot
	b.eventually("the snapshot is found", func() bool {
		s, err = b.Snapshot(b.Context(), name)
		return err == nil
	})
	if s.ID == "" || s.Name != name || s.Bytes < 0 || s.MinDiskGB > m.DiskGB || !slices.Contains(s.Regions, m.Region) {
		b.Errorf("Snapshot = %+v, want one of %+v", s, m)
	}
	ref, err = b.TakeSnapshot(b.Context(), m.ID, name)
	b.nothing("TakeSnapshot", ref, err)
	list, err := b.Snapshots(b.Context(), b.fleet)
	if err != nil || len(list) != 1 || list[0].ID != s.ID {
		b.Errorf("Snapshots = %+v, %v; want the one", list, err)
	}

	spec := b.spec()
	spec.Image = s.ID
	restored := b.running(spec)
	if restored.ID == m.ID {
		b.Error("a machine from a snapshot is the machine that it was taken of")
	}
	ref, err = b.SetImage(b.Context(), m.ID, s.ID)
	b.finish("SetImage to the snapshot", ref, err)

	for range 2 {
		if err := b.DeleteSnapshot(b.Context(), s.ID); err != nil {
			b.Errorf("DeleteSnapshot: %v", err)
		}
	}
	b.eventually("the snapshot is gone", func() bool {
		_, err := b.Snapshot(b.Context(), name)
		return provider.KindOf(err) == provider.NotFound
	})
}

func testDelete(b *bench) {
	m := b.running(b.spec())
	if err := b.Delete(b.Context(), m.ID); err != nil {
		b.Fatal(err)
	}
	b.eventually("the machine is gone", func() bool {
		_, err := b.Machine(b.Context(), m.ID)
		return provider.KindOf(err) == provider.NotFound
	})
	b.listed(b.fleet)
	for _, id := range []string{m.ID, "999999999", "no machine's id", ""} {
		if err := b.Delete(b.Context(), id); err != nil {
			b.Errorf("Delete of what is gone, %q: %v", id, err)
		}
	}
}

func testNotFound(b *bench) {
	ctx := b.Context()
	for _, id := range []string{"999999999", "no machine's id", ""} {
		_, err := b.Machine(ctx, id)
		b.kind("Machine "+id, err, provider.NotFound)
		_, err = b.SetPower(ctx, id, false)
		b.kind("SetPower "+id, err, provider.NotFound)
		_, err = b.Restart(ctx, id)
		b.kind("Restart "+id, err, provider.NotFound)
		_, err = b.SetSize(ctx, id, b.large.Slug, true)
		b.kind("SetSize "+id, err, provider.NotFound)
		_, err = b.SetImage(ctx, id, b.target.Image)
		b.kind("SetImage "+id, err, provider.NotFound)
		_, err = b.TakeSnapshot(ctx, id, b.fleet+"-none")
		b.kind("TakeSnapshot "+id, err, provider.NotFound)
	}
	_, err := b.Snapshot(ctx, b.fleet+"-none")
	b.kind("Snapshot", err, provider.NotFound)
	for _, ref := range []provider.Ref{"nonsense", "1", provider.Ref(strings.Repeat("x", 200))} {
		_, err := b.Check(ctx, ref)
		b.kind("Check of nonsense", err, provider.NotFound)
	}
	for _, id := range []string{"999999999", "no snapshot's id", ""} {
		if err := b.DeleteSnapshot(ctx, id); err != nil {
			b.Errorf("DeleteSnapshot of what is gone, %q: %v", id, err)
		}
	}
	for _, prefix := range []string{b.fleet} {
		if list, err := b.Snapshots(ctx, prefix); err != nil || len(list) > 0 {
			b.Errorf("Snapshots = %v, %v; want none", list, err)
		}
	}
}

func testCancelled(b *bench) {
	m := b.running(b.spec())
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	_, machine := b.Machine(ctx, m.ID)
	_, list := b.Machines(ctx, b.fleet)
	_, power := b.SetPower(ctx, m.ID, false)
	_, create := b.Create(ctx, b.spec())
	for what, err := range map[string]error{
		"Machine": machine, "Machines": list, "SetPower": power, "Create": create,
		"Delete": b.Delete(ctx, m.ID),
	} {
		if !errors.Is(err, context.Canceled) {
			b.Errorf("%s with a context that has ended: %v", what, err)
		}
	}
	if m = b.becomes(m.ID, provider.On); m.State != provider.On {
		b.Errorf("a cancelled call had an effect: %+v", m)
	}
}
