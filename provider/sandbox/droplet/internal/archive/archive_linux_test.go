package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRoundTripKeepsModesLinksAndTimes(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	check(t, os.WriteFile(filepath.Join(src, "plain"), []byte("hello"), 0o640))
	check(t, os.Chmod(filepath.Join(src, "plain"), 0o751|fs.ModeSetuid))
	check(t, os.Link(filepath.Join(src, "plain"), filepath.Join(src, "second")))
	check(t, os.Symlink("/nowhere/../plain", filepath.Join(src, "soft")))
	check(t, os.Mkdir(filepath.Join(src, "folder"), 0o755))
	check(t, os.WriteFile(filepath.Join(src, "folder", "inner"), nil, 0o600))
	check(t, os.Chmod(filepath.Join(src, "folder"), 0o555))
	t.Cleanup(func() {
		os.Chmod(filepath.Join(src, "folder"), 0o755)
		os.Chmod(filepath.Join(dst, "folder"), 0o755)
	})
	check(t, os.Chtimes(filepath.Join(src, "plain"), old, old))
	check(t, os.Chtimes(filepath.Join(src, "folder"), old, old))
	check(t, syscall.Mkfifo(filepath.Join(src, "pipe"), 0o600))

	var b bytes.Buffer
	check(t, Write(&b, open(t, src), 1<<20))
	check(t, Extract(&b, open(t, dst)))

	plain, err := os.Stat(filepath.Join(dst, "plain"))
	check(t, err)
	second, err := os.Stat(filepath.Join(dst, "second"))
	check(t, err)
	if !os.SameFile(plain, second) {
		t.Error("a hard link became a file of its own")
	}
	if want := fs.ModeSetuid | 0o751; plain.Mode() != want {
		t.Errorf("mode is %v, want %v", plain.Mode(), want)
	}
	if !plain.ModTime().Equal(old) {
		t.Errorf("time is %v, want %v", plain.ModTime(), old)
	}
	if target, err := os.Readlink(filepath.Join(dst, "soft")); err != nil || target != "/nowhere/../plain" {
		t.Errorf("symbolic link leads to %q, %v", target, err)
	}
	folder, err := os.Stat(filepath.Join(dst, "folder"))
	check(t, err)
	if folder.Mode().Perm() != 0o555 || !folder.ModTime().Equal(old) {
		t.Errorf("folder has %v and %v", folder.Mode(), folder.ModTime())
	}
	if _, err := os.Lstat(filepath.Join(dst, "pipe")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pipe was kept: %v", err)
	}
}

func TestHolesStayHoles(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	f, err := os.Create(filepath.Join(src, "sparse"))
	check(t, err)
	_, err = f.WriteAt([]byte("end"), 8<<20)
	check(t, errors.Join(err, f.Close()))
	var b bytes.Buffer
	check(t, Write(&b, open(t, src), 16<<20))
	check(t, Extract(&b, open(t, dst)))
	u, err := Measure(open(t, dst))
	check(t, err)
	if u.Bytes > 1<<20 {
		t.Errorf("the copy takes %d bytes", u.Bytes)
	}
	got, err := os.ReadFile(filepath.Join(dst, "sparse"))
	check(t, err)
	if len(got) != 8<<20+3 || string(got[8<<20:]) != "end" {
		t.Errorf("the copy has %d bytes", len(got))
	}
}

func TestWriteStopsAtTheLimit(t *testing.T) {
	src := t.TempDir()
	check(t, os.WriteFile(filepath.Join(src, "big"), make([]byte, 100), 0o600))
	var b bytes.Buffer
	if err := Write(&b, open(t, src), 99); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestExtractCannotLeaveTheFolder(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600} }
	for name, entries := range map[string][]tar.Header{
		"parent":        {file("../escaped")},
		"nested parent": {file("a/../../escaped")},
		"through a link": {
			{Name: "way", Typeflag: tar.TypeSymlink, Linkname: ".."}, file("way/escaped"),
		},
		"through an absolute link": {
			{Name: "way", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, file("way/escaped"),
		},
		"hard link to outside": {
			{Name: "escaped", Typeflag: tar.TypeLink, Linkname: "../secret"},
		},
		"device": {{Name: "escaped", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			outer := t.TempDir()
			check(t, os.WriteFile(filepath.Join(outer, "secret"), []byte("s"), 0o600))
			inner := filepath.Join(outer, "inner")
			check(t, os.Mkdir(inner, 0o755))
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range entries {
				check(t, w.WriteHeader(&h))
			}
			check(t, w.Close())
			if err := Extract(&b, open(t, inner)); err == nil {
				t.Error("no error")
			}
			if _, err := os.Lstat(filepath.Join(outer, "escaped")); err == nil {
				t.Error("a file was made outside")
			}
		})
	}
}

func TestEmptyAndMeasure(t *testing.T) {
	dir := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "a/b/c"), make([]byte, 8192), 0o600))
	check(t, os.Link(filepath.Join(dir, "a/b/c"), filepath.Join(dir, "d")))
	root := open(t, dir)
	u, err := Measure(root)
	check(t, err)
	if u.Files != 4 { // the folder itself, a, a/b, and one file with two names
		t.Errorf("measured %d files", u.Files)
	}
	if u.Bytes < 8192 || u.Bytes > 64<<10 {
		t.Errorf("measured %d bytes", u.Bytes)
	}
	check(t, Empty(root))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
