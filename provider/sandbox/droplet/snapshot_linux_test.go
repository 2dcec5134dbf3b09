package droplet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSnapshotAndRestore(t *testing.T) {
	l := newLab(t)
	s := l.spec("snap")
	l.start(s)
	l.run(s, `mkdir -p /srv/x && echo keep > /srv/x/f && ln /srv/x/f /srv/x/hard && ln -s f /srv/x/soft &&
		chmod 751 /srv/x/f && chmod 000 /srv/x && head -c 100000 /dev/urandom > /opt/blob && mkfifo /opt/pipe && echo 1 > /usr/local/own`)
	chown := l.run(s, "touch /srv/owned; chown 1234:4321 /srv/owned 2>/dev/null; stat -c %u:%g /srv/owned")
	sum := l.run(s, "sha256sum /opt/blob")
	dir := t.TempDir()
	file := filepath.Join(dir, "snapshot")
	size, err := l.host.Save(l.context(), "snap", file) // while it runs
	check(t, err)
	fi, err := os.Stat(file)
	check(t, err)
	if size != fi.Size() || size < 100000 {
		t.Errorf("size %d, file %d", size, fi.Size())
	}
	if err := l.host.Load(l.context(), "snap", file); !errors.Is(err, ErrRunning) {
		t.Errorf("load while running: %v", err)
	}
	if err := l.host.Reset(l.context(), "snap"); !errors.Is(err, ErrRunning) {
		t.Errorf("reset while running: %v", err)
	}
	other := l.spec("copy")
	other.Instance = "2"
	check(t, l.host.Load(l.context(), "copy", file))
	l.start(other)
	got := l.run(other, "cat /srv/x/soft; stat -c %a:%h /srv/x/f /srv/x; stat -c %u:%g /srv/owned; sha256sum /opt/blob; hostname; cat /usr/local/own")
	want := "keep\n751:2\n0:2\n" + chown + sum + "web-copy\n1\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	check(t, l.host.Stop(l.context(), "copy", true))
	l.run(s, "true")
	check(t, l.host.Stop(l.context(), "snap", true))
	check(t, l.host.Reset(l.context(), "snap"))
	l.start(s)
	if out, err := l.try(s, "cat /opt/blob"); err == nil {
		t.Errorf("a file survived the reset: %q", out)
	}
	left, err := os.ReadDir(dir)
	check(t, err)
	if len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

func TestFailedLoadChangesNothing(t *testing.T) {
	l := newLab(t)
	s := l.spec("load")
	l.start(s)
	l.run(s, "echo mine > /root/f")
	check(t, l.host.Stop(l.context(), "load", true))
	broken := filepath.Join(t.TempDir(), "broken")
	check(t, os.WriteFile(broken, []byte(strings.Repeat("no archive", 200)), 0o600))
	if err := l.host.Load(l.context(), "load", broken); err == nil {
		t.Error("a broken snapshot was loaded")
	}
	if err := l.host.Load(l.context(), "load", broken+"-not"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing snapshot: %v", err)
	}
	if _, err := l.host.Save(l.context(), "nobody", broken); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a snapshot of nothing: %v", err)
	}
	l.start(s)
	if got := l.run(s, "cat /root/f"); got != "mine\n" {
		t.Errorf("got %q", got)
	}
}
