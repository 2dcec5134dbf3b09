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
	"os"
	"path"
	"strings"

	"github.com/pkg/sftp"
)

// modeBits are the bits of a mode that Upload can set.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// UploadSpec says where a file goes.
type UploadSpec struct {
	Path     string      // absolute, or relative to the home directory
	Mode     fs.FileMode // 0 keeps the mode of the file that it replaces, or means 0644
	MkdirAll bool        // make missing directories
	Limit    int64       // the most bytes; required
}

// Upload writes a file. The bytes go to a hidden file beside it, which then
// takes its name in one step: whoever reads the path sees the old file or the
// new one, and never half of it. The owner of a replaced file stays its owner,
// and a symbolic link stays a link. If the connection is lost midway, the
// hidden file (.<name>.<8 hex digits>.berth) stays behind.
//
// More than Limit bytes are TooLarge, whose Size is then what had been read.
func (p *Pool) Upload(ctx context.Context, t Target, spec UploadSpec, from io.Reader) (FileInfo, error) {
	name, err := filePath(spec.Path)
	switch {
	case err != nil:
		return FileInfo{}, err
	case spec.Limit <= 0:
		return FileInfo{}, fail(Invalid, nil, "the upload states no limit")
	case strings.HasSuffix(spec.Path, "/"):
		return FileInfo{}, fail(IsDirectory, nil, "%s names a directory", spec.Path)
	case spec.Mode&^modeBits != 0:
		return FileInfo{}, fail(Invalid, nil, "%v is no mode for a file", spec.Mode)
	}
	f, err := p.files(ctx, t)
	if err != nil {
		return FileInfo{}, err
	}
	defer f.stop()
	info, err := f.upload(name, spec, from)
	if err != nil {
		return FileInfo{}, fileError(ctx, err, spec.Path)
	}
	info.Path = spec.Path
	return info, nil
}

func (f *files) upload(name string, spec UploadSpec, from io.Reader) (FileInfo, error) {
	name, err := f.followLinks(name)
	if err != nil {
		return FileInfo{}, err
	}
	mode := spec.Mode
	old, err := f.Client.Stat(name)
	switch {
	case err == nil && old.IsDir():
		return FileInfo{}, fail(IsDirectory, nil, "%s is a directory", spec.Path)
	case err == nil && mode == 0:
		mode = old.Mode() & modeBits
	case mode == 0:
		mode = 0o644
	}
	if spec.MkdirAll {
		if err := f.MkdirAll(path.Dir(name)); err != nil {
			return FileInfo{}, err
		}
	}
	hidden := path.Join(path.Dir(name), "."+shorten(path.Base(name))+"."+randomHex(4)+".berth")
	digest, err := f.fill(hidden, mode, old, &limitedReader{from: from, limit: spec.Limit})
	if err == nil {
		err = f.PosixRename(hidden, name)
	}
	if err != nil {
		f.discard(hidden)
		return FileInfo{}, err
	}
	now, err := f.Client.Stat(name)
	if err != nil {
		return FileInfo{}, err
	}
	return FileInfo{Size: now.Size(), Mode: now.Mode(), ModTime: now.ModTime(), SHA256: digest}, nil
}

// fill writes a new file, whole and on the disk, and returns its digest.
func (f *files) fill(name string, mode fs.FileMode, old fs.FileInfo, from *limitedReader) (digest string, err error) {
	file, err := f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	// Before the first byte, which may be a secret.
	if err := file.Chmod(mode.Perm() & 0o700); err != nil {
		return "", err
	}
	from.digest = sha256.New()
	if _, err := file.ReadFromWithConcurrency(from, transfers); err != nil {
		return "", err
	}
	if err := f.adopt(file, old); err != nil {
		return "", err
	}
	// The last, since a change of owner takes the set-user-id bits away.
	if err := file.Chmod(mode); err != nil {
		return "", err
	}
	written, err := file.Stat()
	if err != nil {
		return "", err
	}
	if written.Size() != from.n {
		return "", fail(Failed, nil, "the server kept %d of %d bytes", written.Size(), from.n)
	}
	if _, ok := f.HasExtension("fsync@openssh.com"); ok {
		if err := file.Sync(); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(from.digest.Sum(nil)), nil
}

// adopt gives a file the owner of the one that it will replace.
func (f *files) adopt(file *sftp.File, old fs.FileInfo) error {
	if old == nil {
		return nil
	}
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	was, ok := old.Sys().(*sftp.FileStat)
	is, ok2 := mine.Sys().(*sftp.FileStat)
	if !ok || !ok2 || was.UID == is.UID && was.GID == is.GID {
		return nil
	}
	return file.Chown(int(was.UID), int(was.GID))
}

// discard removes an unfinished file, if the server still listens and it was
// ever there.
func (f *files) discard(name string) {
	err := f.Remove(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.session.pool.options.Log.Warn("an unfinished file stays behind", "path", name, "err", err)
	}
}

// shorten leaves room for what Upload adds, in a name of at most 255 bytes.
func shorten(base string) string {
	return base[:wholeRunes([]byte(base[:min(len(base), 200)]))]
}

// limitedReader counts and digests what it reads, and fails beyond its limit.
type limitedReader struct {
	from   io.Reader
	digest hash.Hash
	n      int64
	limit  int64
}

func (r *limitedReader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	r.n += int64(n)
	if r.n > r.limit {
		return 0, &Error{Kind: TooLarge, Size: r.n, Message: fmt.Sprintf("the file has more than %d bytes", r.limit)}
	}
	r.digest.Write(b[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		err = fail(Failed, err, "reading what to upload")
	}
	return n, err
}
