// Package archive writes a droplet's files to a tar stream and reads them back, empties a folder, and measures one.
//
// Owners (as numbers), modes, times, symbolic and hard links are kept; sockets, pipes and devices are left out. All
// paths go through an [os.Root], so neither a hostile archive nor a tree that changes meanwhile leads outside.
package archive

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

const bufferSize = 1 << 20

// ErrTooLarge says that the files have more bytes than were allowed.
var ErrTooLarge = errors.New("the files are larger than the disk")

// inode names a file on a host for as long as a walk takes.
type inode struct{ dev, ino uint64 }

func statOf(fi fs.FileInfo) (*syscall.Stat_t, error) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("%s: no owner or link count on this system", fi.Name())
	}
	return st, nil
}

// Write writes everything below root to w, at most limit bytes of file content (holes count). Files that vanish
// meanwhile are left out; those that shrink are filled up with zeros.
func Write(w io.Writer, root *os.Root, limit int64) error {
	buffered := bufio.NewWriterSize(w, bufferSize)
	t := &writer{tar: tar.NewWriter(buffered), root: root, left: limit, first: map[inode]string{}}
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = t.entry(name, e)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := t.tar.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

type writer struct {
	tar   *tar.Writer
	root  *os.Root
	left  int64
	first map[inode]string // the name under which a file with several was written
}

func (t *writer) entry(name string, e fs.DirEntry) error {
	fi, err := e.Info()
	if err != nil {
		return err
	}
	var target string
	switch fi.Mode().Type() {
	case fs.ModeDir:
	case fs.ModeSymlink:
		if target, err = t.root.Readlink(name); err != nil {
			return err
		}
	case 0:
		return t.file(name)
	default:
		return nil
	}
	h, err := header(name, fi, target)
	if err != nil {
		return err
	}
	return t.tar.WriteHeader(h)
}

func header(name string, fi fs.FileInfo, target string) (*tar.Header, error) {
	h, err := tar.FileInfoHeader(fi, target)
	if err != nil {
		return nil, err
	}
	h.Name, h.Uname, h.Gname, h.Format = name, "", "", tar.FormatPAX
	if fi.IsDir() {
		h.Name += "/"
	}
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	return h, nil
}

// file writes a regular file. It opens before it looks, because the name may lead to something else by now, and without
// blocking, because that may be a pipe.
func (t *writer) file(name string) error {
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return err
	}
	st, err := statOf(fi)
	if err != nil {
		return err
	}
	h, err := header(name, fi, "")
	if err != nil {
		return err
	}
	if st.Nlink > 1 {
		id := inode{uint64(st.Dev), st.Ino}
		if first, ok := t.first[id]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return t.tar.WriteHeader(h)
		}
		t.first[id] = name
	}
	if t.left -= h.Size; t.left < 0 {
		return fmt.Errorf("%w: stopped at %s", ErrTooLarge, name)
	}
	if err := t.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(t.tar, io.LimitReader(f, h.Size))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = io.CopyN(t.tar, zeros{}, h.Size-n)
	return err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Extract reads what Write wrote into root, which should be empty.
func Extract(r io.Reader, root *os.Root) error {
	t := tar.NewReader(bufio.NewReaderSize(r, bufferSize))
	var folders []*tar.Header
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		h.Name = path.Clean(h.Name)
		if h.Typeflag == tar.TypeDir {
			folders = append(folders, h)
		}
		if err := extractEntry(t, root, h); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	// What is written into a folder changes its time, and its mode may forbid writing: folders come last, deepest first.
	for i := len(folders) - 1; i >= 0; i-- {
		if err := describe(root, folders[i]); err != nil {
			return fmt.Errorf("%s: %w", folders[i].Name, err)
		}
	}
	return nil
}

func extractEntry(r io.Reader, root *os.Root, h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(h.Name, 0o700)
	case tar.TypeSymlink:
		if err := root.Symlink(h.Linkname, h.Name); err != nil {
			return err
		}
		return own(root, h)
	case tar.TypeLink:
		return root.Link(h.Linkname, h.Name)
	case tar.TypeReg:
		f, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(writeSparse(f, r, h.Size), f.Close()); err != nil {
			return err
		}
		return describe(root, h)
	default:
		return fmt.Errorf("unexpected entry type %q", h.Typeflag)
	}
}

// writeSparse copies r to an empty file and leaves holes where r has blocks of zeros, as the original may have had.
func writeSparse(f *os.File, r io.Reader, size int64) error {
	block := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, block)
		if isZero(block[:n]) {
			_, serr := f.Seek(int64(n), io.SeekCurrent)
			err = orFirst(serr, err)
		} else {
			_, werr := f.Write(block[:n])
			err = orFirst(werr, err)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return f.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}

func orFirst(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// describe sets owner, mode and times: the mode after the owner, because a change of owner clears set-uid bits.
func describe(root *os.Root, h *tar.Header) error {
	if err := own(root, h); err != nil {
		return err
	}
	if err := root.Chmod(h.Name, h.FileInfo().Mode()); err != nil {
		return err
	}
	return root.Chtimes(h.Name, h.ModTime, h.ModTime)
}

// own gives an entry its owner. Where only one id is mapped the others do not exist, and entries stay with the one.
func own(root *os.Root, h *tar.Header) error {
	err := root.Lchown(h.Name, h.Uid, h.Gid)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EPERM) {
		return nil
	}
	return err
}

// Empty removes everything below root.
func Empty(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// Usage is what a tree takes.
type Usage struct {
	Bytes int64 `json:"bytes"` // allocated, hard links once
	Files int64 `json:"files"`
}

// Measure walks everything below root. Files that vanish meanwhile do not count.
func Measure(root *os.Root) (Usage, error) {
	var u Usage
	seen := map[inode]bool{}
	err := fs.WalkDir(root.FS(), ".", func(_ string, e fs.DirEntry, err error) error {
		var fi fs.FileInfo
		if err == nil {
			fi, err = e.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, err := statOf(fi)
		if err != nil {
			return err
		}
		id := inode{uint64(st.Dev), st.Ino}
		if !fi.IsDir() && st.Nlink > 1 {
			if seen[id] {
				return nil
			}
			seen[id] = true
		}
		u.Bytes += st.Blocks * 512
		u.Files++
		return nil
	})
	return u, err
}
