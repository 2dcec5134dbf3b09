package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// after calls a function once n bytes have been read.
type after struct {
	io.Reader
	n    int
	then func()
}

func (a *after) Read(b []byte) (int, error) {
	n, err := a.Reader.Read(b[:min(len(b), 8<<10)])
	if a.n -= n; a.n <= 0 && a.then != nil {
		a.then()
		a.then = nil
	}
	return n, err
}

// TestUploadIsWhole: whatever ends an upload midway, the old file is there as
// it was.
func TestUploadIsWhole(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 4<<20)
	broken := errors.New("the caller's disk is broken")
	for _, c := range []struct {
		name string
		kind Kind
		left int // files beside it
		from func(s *server, cancel func()) io.Reader
	}{
		{"the connection drops", ConnectionLost, 1, func(s *server, _ func()) io.Reader {
			return &after{bytes.NewReader(big), 1 << 20, s.drop}
		}},
		{"the caller gives up", Canceled, 1, func(_ *server, cancel func()) io.Reader {
			return &after{bytes.NewReader(big), 1 << 20, cancel}
		}},
		{"the source fails", Failed, 0, func(*server, func()) io.Reader {
			return io.MultiReader(bytes.NewReader(big[:1<<20]), failing{broken})
		}},
		{"it is too large", TooLarge, 0, func(*server, func()) io.Reader {
			return io.MultiReader(bytes.NewReader(big), strings.NewReader("x"))
		}},
	} {
		s := newServer(t)
		p := newPool(t, PoolOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		name := filepath.Join(s.home, "file")
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := p.Upload(ctx, s.Target, UploadSpec{Path: name, Limit: int64(len(big))}, c.from(s, cancel))
		if KindOf(err) != c.kind {
			t.Errorf("%s: %v, of kind %s", c.name, err, KindOf(err))
		}
		if c.kind == Failed && !errors.Is(err, broken) {
			t.Errorf("%s: the cause is not told: %v", c.name, err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != "old" {
			t.Errorf("%s: the file holds %d bytes, %v", c.name, len(got), err)
		}
		files, err := os.ReadDir(s.home)
		if err != nil || len(files) > 1+c.left {
			t.Errorf("%s: %v, %v", c.name, files, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestUpload(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	at := func(name string) string { return filepath.Join(s.home, name) }
	for _, err := range []error{
		os.Mkdir(at("dir"), 0o755),
		os.WriteFile(at("dir/target"), []byte("old"), 0o640),
		os.Symlink("dir/target", at("link")),
		os.Symlink("nowhere", at("dangling")),
		os.Symlink("loop", at("loop")),
		os.WriteFile(at("readonly"), nil, 0o444),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		spec UploadSpec
		kind Kind
		file string // where the content must be
		mode fs.FileMode
	}{
		{"new", UploadSpec{Path: at("new")}, "", "new", 0o644},
		{"mode", UploadSpec{Path: at("mode"), Mode: 0o755 | fs.ModeSetuid}, "", "mode", 0o755 | fs.ModeSetuid},
		{"secret", UploadSpec{Path: at("secret"), Mode: 0o400}, "", "secret", 0o400},
		{"in the home directory", UploadSpec{Path: "relative"}, "", "relative", 0o644},
		{"by tilde", UploadSpec{Path: "~/tilde"}, "", "tilde", 0o644},
		{"through a link", UploadSpec{Path: at("link")}, "", "dir/target", 0o640},
		{"through a link into nothing", UploadSpec{Path: at("dangling")}, "", "nowhere", 0o644},
		{"over a read-only file", UploadSpec{Path: at("readonly"), Mode: 0o600}, "", "readonly", 0o600},
		{"long name", UploadSpec{Path: at(strings.Repeat("é", 120))}, "", strings.Repeat("é", 120), 0o644},
		{"in a loop of links", UploadSpec{Path: at("loop")}, Invalid, "", 0},
		{"a directory", UploadSpec{Path: at("dir")}, IsDirectory, "", 0},
		{"a directory's name", UploadSpec{Path: s.home + "/later/"}, IsDirectory, "", 0},
		{"home", UploadSpec{Path: "~"}, IsDirectory, "", 0},
		{"below a file", UploadSpec{Path: at("dir/target/x"), MkdirAll: true}, Failed, "", 0},
		{"no path", UploadSpec{}, Invalid, "", 0},
		{"NUL", UploadSpec{Path: "a\x00b"}, Invalid, "", 0},
		{"long path", UploadSpec{Path: strings.Repeat("a/", MaxPath)}, Invalid, "", 0},
		{"mode of a directory", UploadSpec{Path: at("x"), Mode: fs.ModeDir | 0o755}, Invalid, "", 0},
	} {
		c.spec.Limit = 100
		info, err := p.Upload(t.Context(), s.Target, c.spec, strings.NewReader(c.name))
		if KindOf(err) != c.kind || c.kind == "" && err != nil {
			t.Errorf("%s: %v, of kind %q", c.name, err, KindOf(err))
			continue
		}
		if err != nil {
			continue
		}
		got, err := os.ReadFile(at(c.file))
		stat, err2 := os.Lstat(at(c.file))
		if err != nil || err2 != nil || string(got) != c.name || stat.Mode() != c.mode || info.Mode != c.mode || info.Path != c.spec.Path {
			t.Errorf("%s: %q, %v, %+v", c.name, got, stat, info)
		}
	}
	if link, err := os.Readlink(at("link")); err != nil || link != "dir/target" {
		t.Errorf("the link is %q, %v", link, err)
	}
	if _, err := p.Upload(t.Context(), s.Target, UploadSpec{Path: at("x")}, strings.NewReader("")); KindOf(err) != Invalid {
		t.Errorf("no limit: %v", err)
	}
}

func TestUploadKeepsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file to another account")
	}
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	name := filepath.Join(s.home, "file")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(name, 12345, 54321); err != nil {
		t.Skipf("this machine maps no such account: %v", err)
	}
	if _, err := p.Upload(t.Context(), s.Target, UploadSpec{Path: name, Limit: 10}, strings.NewReader("new")); err != nil {
		t.Fatal(err)
	}
	var owner bytes.Buffer
	if _, err := p.Exec(t.Context(), s.Target, Command{Line: "stat -c %u:%g file"}, 0, func(c Chunk) { owner.Write(c.Data) }); err != nil || owner.String() != "12345:54321\n" {
		t.Errorf("the owner is %q, %v", owner.String(), err)
	}
}

func TestDownload(t *testing.T) {
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	content := make([]byte, 100_000)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	if err := os.WriteFile(filepath.Join(s.home, "file"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.home, "empty"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		spec       DownloadSpec
		kind       Kind
		start, end int
		eof        bool
	}{
		{"all", DownloadSpec{Path: "file", Limit: 100_000}, "", 0, 100_000, true},
		{"first page", DownloadSpec{Path: "~/file", Length: 70_000, Limit: 70_000}, "", 0, 70_000, false},
		{"last page", DownloadSpec{Path: "file", Offset: 70_000, Length: 70_000, Limit: 70_000}, "", 70_000, 100_000, true},
		{"a page to the very end", DownloadSpec{Path: "file", Offset: 90_000, Length: 10_000, Limit: 10_000}, "", 90_000, 100_000, true},
		{"the rest", DownloadSpec{Path: "file", Offset: 99_000, Limit: 1000}, "", 99_000, 100_000, true},
		{"tail", DownloadSpec{Path: "file", Offset: -10, Limit: 10}, "", 99_990, 100_000, true},
		{"tail of less", DownloadSpec{Path: "file", Offset: -200_000, Length: 5, Limit: 10}, "", 0, 5, false},
		{"beyond the end", DownloadSpec{Path: "file", Offset: 200_000, Limit: 10}, "", 0, 0, true},
		{"long page of a short rest", DownloadSpec{Path: "file", Offset: 99_999, Length: 1 << 40, Limit: 10}, "", 99_999, 100_000, true},
		{"empty", DownloadSpec{Path: "empty", Limit: 1}, "", 0, 0, true},
		{"too large", DownloadSpec{Path: "file", Limit: 99_999}, TooLarge, 0, 0, false},
		{"too large a page", DownloadSpec{Path: "file", Length: 11, Limit: 10}, TooLarge, 0, 0, false},
		{"directory", DownloadSpec{Path: "~", Limit: 1}, IsDirectory, 0, 0, false},
		{"missing", DownloadSpec{Path: "missing", Limit: 1}, NotFound, 0, 0, false},
		{"device", DownloadSpec{Path: "/dev/zero", Limit: 1}, Invalid, 0, 0, false},
		{"no limit", DownloadSpec{Path: "file"}, Invalid, 0, 0, false},
		{"negative length", DownloadSpec{Path: "file", Length: -1, Limit: 1}, Invalid, 0, 0, false},
	} {
		var got bytes.Buffer
		page, err := p.Download(t.Context(), s.Target, c.spec, &got)
		var typed *Error
		switch {
		case c.kind != "":
			if !errors.As(err, &typed) || typed.Kind != c.kind || got.Len() > 0 || c.kind == TooLarge && typed.Size != 100_000 {
				t.Errorf("%s: %d bytes, %#v", c.name, got.Len(), err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case !bytes.Equal(got.Bytes(), content[c.start:c.end]) || page.EOF != c.eof || page.Length != int64(c.end-c.start):
			t.Errorf("%s: %d bytes, %+v", c.name, got.Len(), page)
		}
	}
	if _, err := p.Download(t.Context(), s.Target, DownloadSpec{Path: "file", Limit: 1 << 20}, refusing{}); KindOf(err) != Failed || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestFilePermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	s := newServer(t)
	p := newPool(t, PoolOptions{})
	name := filepath.Join(s.home, "closed")
	if err := os.WriteFile(name, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Download(t.Context(), s.Target, DownloadSpec{Path: name, Limit: 10}, io.Discard); KindOf(err) != Permission {
		t.Errorf("%v", err)
	}
}
