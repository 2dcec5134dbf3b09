package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"time"
)

// FileInfo describes a file on a server.
type FileInfo struct {
	Path    string // as it was asked for
	Size    int64  // bytes of the whole file
	Mode    fs.FileMode
	ModTime time.Time
	SHA256  string // hexadecimal, of the bytes that were transferred; empty from Stat
}

// DownloadSpec says which part of which file is wanted.
type DownloadSpec struct {
	Path   string // absolute, or relative to the home directory
	Offset int64  // bytes to skip; from the end if negative
	Length int64  // the most bytes to read; 0 reads to the end
	Limit  int64  // to read more than this is an error; required
}

// Page is the part of a file that Download delivered.
type Page struct {
	FileInfo
	Offset int64 // bytes before it
	Length int64 // bytes in it
	EOF    bool  // nothing follows it
}

// Download copies a file, or a part of it, to a writer. What is larger than
// Limit is refused with TooLarge, whose Size is the real size, before the first
// byte; only a file that grows meanwhile, or tells no size (as in /proc), can
// fail after up to Limit bytes have been written.
func (p *Pool) Download(ctx context.Context, t Target, spec DownloadSpec, to io.Writer) (Page, error) {
	name, err := filePath(spec.Path)
	switch {
	case err != nil:
		return Page{}, err
	case spec.Limit <= 0:
		return Page{}, fail(Invalid, nil, "the download states no limit")
	case spec.Length < 0:
		return Page{}, fail(Invalid, nil, "the length is negative")
	}
	f, err := p.files(ctx, t)
	if err != nil {
		return Page{}, err
	}
	defer f.stop()
	page, err := f.download(name, spec, to)
	if err != nil {
		return Page{}, fileError(ctx, err, spec.Path)
	}
	return page, nil
}

func (f *files) download(name string, spec DownloadSpec, to io.Writer) (Page, error) {
	// Before opening, which for a pipe would wait for its other end.
	info, err := f.Client.Stat(name)
	switch {
	case err != nil:
		return Page{}, err
	case info.IsDir():
		return Page{}, fail(IsDirectory, nil, "%s is a directory", spec.Path)
	case !info.Mode().IsRegular():
		return Page{}, fail(Invalid, nil, "%s is no regular file", spec.Path)
	}
	offset := spec.Offset
	if offset < 0 {
		offset = max(0, info.Size()+offset)
	}
	rest := max(0, info.Size()-offset)
	if wanted := min(rest, orWhole(spec.Length)); wanted > spec.Limit {
		return Page{}, tooLarge(info.Size(), spec)
	}
	file, err := f.Open(name)
	if err != nil {
		return Page{}, err
	}
	defer file.Close() // nothing was written, so nothing can be lost
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return Page{}, err
	}
	w := &limitedWriter{to: to, digest: sha256.New(), limit: min(orWhole(spec.Length), spec.Limit)}
	_, err = file.WriteTo(w)
	full := errors.Is(err, errFull)
	switch {
	case full && spec.Length == 0:
		return Page{}, tooLarge(max(info.Size(), offset+w.n+1), spec)
	case err != nil && !full:
		return Page{}, err
	}
	return Page{
		FileInfo: FileInfo{
			Path: spec.Path, Size: max(info.Size(), offset+w.n), Mode: info.Mode(), ModTime: info.ModTime(),
			SHA256: hex.EncodeToString(w.digest.Sum(nil)),
		},
		Offset: offset,
		Length: w.n,
		EOF:    !full,
	}, nil
}

// orWhole is a length that 0 doesn't bound.
func orWhole(length int64) int64 {
	if length == 0 {
		return 1<<63 - 1
	}
	return length
}

func tooLarge(size int64, spec DownloadSpec) *Error {
	return &Error{Kind: TooLarge, Size: size, Message: fmt.Sprintf("%s has %d bytes, the limit is %d", spec.Path, size, spec.Limit)}
}

var errFull = errors.New("more than was wanted")

// limitedWriter takes up to limit bytes, and fails when there are more.
type limitedWriter struct {
	to       io.Writer
	digest   hash.Hash
	n, limit int64
}

func (w *limitedWriter) Write(b []byte) (int, error) {
	fits := b[:min(int64(len(b)), w.limit-w.n)]
	n, err := w.to.Write(fits)
	w.digest.Write(fits[:n])
	w.n += int64(n)
	switch {
	case err != nil:
		return n, fail(Failed, err, "passing on what was downloaded")
	case len(fits) < len(b):
		return n, errFull
	}
	return n, nil
}

// Stat describes what is at a path, directories included. Links are followed.
func (p *Pool) Stat(ctx context.Context, t Target, name string) (FileInfo, error) {
	clean, err := filePath(name)
	if err != nil {
		return FileInfo{}, err
	}
	f, err := p.files(ctx, t)
	if err != nil {
		return FileInfo{}, err
	}
	defer f.stop()
	info, err := f.Client.Stat(clean)
	if err != nil {
		return FileInfo{}, fileError(ctx, err, name)
	}
	return FileInfo{Path: name, Size: info.Size(), Mode: info.Mode(), ModTime: info.ModTime()}, nil
}
