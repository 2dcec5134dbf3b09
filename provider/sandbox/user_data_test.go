package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digitalocean/godo"
)

// TestUserDataIsKept holds that first-boot data outlives the process, is kept
// once for droplets of one request, and goes with the last of them.
func TestUserDataIsKept(t *testing.T) {
	dir, machines := t.TempDir(), newFake()
	kept := func() int {
		files, err := os.ReadDir(filepath.Join(dir, "user-data"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	const script = "#!/bin/sh\ntouch /x\n"
	r := openRig(t, dir, machines)
	_, _, err := r.client.Droplets.Create(t.Context(), request("not valid", func(q *godo.DropletCreateRequest) { q.UserData = script }))
	if err == nil || kept() != 0 {
		t.Errorf("a refused request left %d files, %v", kept(), err)
	}
	_, _, err = r.client.Droplets.Create(t.Context(), request("x", func(q *godo.DropletCreateRequest) { q.UserData, q.Size = script, "huge" }))
	if err == nil || kept() != 0 {
		t.Errorf("a refused request left %d files, %v", kept(), err)
	}
	two, _, err := r.client.Droplets.CreateMultiple(t.Context(), &godo.DropletMultiCreateRequest{
		Names: []string{"a", "b"}, Region: "nyc3", Size: "s-1vcpu-1gb", SSHKeys: []godo.DropletCreateSSHKey{},
		Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, UserData: script,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "user-data", "left-behind"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	machines.crash()
	r = openRig(t, dir, machines)
	if got := string(machines.machine(two[0].ID).spec.UserData); got != script || kept() != 1 {
		t.Errorf("after a restart the data is %q in %d files", got, kept())
	}
	for i, left := range []int{1, 0} {
		if _, err := r.client.Droplets.Delete(t.Context(), two[i].ID); err != nil {
			t.Fatal(err)
		}
		r.settle()
		if kept() != left {
			t.Errorf("%d files are left after %d droplets were deleted", kept(), i+1)
		}
	}
}

// TestOldUserData holds that a state with the data in itself is read.
func TestOldUserData(t *testing.T) {
	dir := t.TempDir()
	r := openRig(t, dir, newFake())
	d := r.create("x")
	err := r.write(func(s *state) error { s.Droplets[d.ID].Inline = "#!/bin/sh\n"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	machines := newFake()
	openRig(t, dir, machines)
	if got := string(machines.machine(d.ID).spec.UserData); got != "#!/bin/sh\n" {
		t.Errorf("the data became %q", got)
	}
}
