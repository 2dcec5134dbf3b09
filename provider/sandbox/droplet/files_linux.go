package droplet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/archive"
)

// What a droplet's folder has in it.
const (
	rootDir   = "rootfs"     // its disk
	spareDir  = "rootfs.new" // a disk that is being written, or one that is being given up
	toolsFile = "tools"      // guest.Tools
	limitFile = "disk"       // the disk's size in bytes
)

// neverBooted bounds, in bytes, the files of a disk that came from a snapshot and whose size nobody said yet.
const neverBooted = 1 << 40

// disk is the folder of one droplet.
type disk struct {
	dir     string
	spawner *spawner
}

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

// create makes what is missing for a boot, and says whether the disk is new. The folder is open to its droplet's root,
// who has other ids, only so far that it finds its disk.
func (d disk) create(tools string) (isNew bool, err error) {
	if err := os.Mkdir(d.dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	if err := os.Chmod(d.dir, 0o711); err != nil { // whatever the umask is
		return false, err
	}
	if _, err := os.Stat(d.path(rootDir)); errors.Is(err, fs.ErrNotExist) {
		if err := d.makeRoot(rootDir); err != nil {
			return false, err
		}
		isNew = true
	}
	if err := os.Remove(d.path(toolsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return isNew, err
	}
	return isNew, os.Link(tools, d.path(toolsFile))
}

func (d disk) makeRoot(name string) error {
	if err := os.Mkdir(d.path(name), 0o755); err != nil {
		return err
	}
	uid, gid := d.spawner.ids.root()
	return errors.Join(os.Chown(d.path(name), uid, gid), os.Chmod(d.path(name), 0o755))
}

// help runs the disk helper on one of the folders.
func (d disk) help(ctx context.Context, name string, in io.Reader, out io.Writer, verb string, args ...string) error {
	cmd := d.spawner.command(ctx, 0, append([]string{filesName, verb}, args...)...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &complaint
	var mapped *os.File
	if d.spawner.ids.external() {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		defer w.Close()
		cmd.ExtraFiles, mapped = []*os.File{r}, w
	}
	if err := d.spawner.start(d.path(name), cmd); err != nil {
		return err
	}
	if mapped != nil {
		mapped.Close() // the helper goes on
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(complaint.String())
	if strings.Contains(text, archive.ErrTooLarge.Error()) {
		err = archive.ErrTooLarge
	}
	return fmt.Errorf("%s the droplet's files: %w: %s", verb, err, text)
}

func (d disk) setLimit(bytes int64) error {
	return os.WriteFile(d.path(limitFile), strconv.AppendInt(nil, bytes, 10), 0o600)
}

// limit is the size that the disk had at the last boot.
func (d disk) limit() (int64, error) {
	b, err := os.ReadFile(d.path(limitFile))
	if errors.Is(err, fs.ErrNotExist) {
		return neverBooted, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(b), 10, 64)
}

// save writes a snapshot beside its final name first.
func (d disk) save(ctx context.Context, file string) (int64, error) {
	limit, err := d.limit()
	if err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".snapshot-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := d.help(ctx, rootDir, nil, f, verbSave, strconv.FormatInt(limit, 10)); err != nil {
		return 0, err
	}
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), errors.Join(f.Sync(), os.Rename(f.Name(), file))
}

// load unpacks a snapshot into a disk of its own, which then takes the other's place.
func (d disk) load(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := errors.Join(d.discard(ctx, spareDir), d.makeRoot(spareDir)); err != nil {
		return err
	}
	if err := d.help(ctx, spareDir, f, nil, verbLoad); err != nil {
		return errors.Join(err, d.discard(context.WithoutCancel(ctx), spareDir))
	}
	err = unix.Renameat2(unix.AT_FDCWD, d.path(spareDir), unix.AT_FDCWD, d.path(rootDir), unix.RENAME_EXCHANGE)
	if err != nil {
		return errors.Join(fmt.Errorf("exchange disks: %w", err), d.discard(context.WithoutCancel(ctx), spareDir))
	}
	return d.discard(ctx, spareDir)
}

func (d disk) empty(ctx context.Context) error { return d.help(ctx, rootDir, nil, nil, verbEmpty) }

// discard removes one of the folders, if it is there.
func (d disk) discard(ctx context.Context, name string) error {
	if _, err := os.Lstat(d.path(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.help(ctx, name, nil, nil, verbEmpty); err != nil {
		return err
	}
	return os.Remove(d.path(name))
}

func (d disk) remove(ctx context.Context) error {
	for _, name := range []string{rootDir, spareDir} {
		if err := d.discard(ctx, name); err != nil {
			return err
		}
	}
	return os.RemoveAll(d.dir)
}

func (d disk) measure(ctx context.Context) (archive.Usage, error) {
	var usage archive.Usage
	var out bytes.Buffer
	if err := d.help(ctx, rootDir, nil, &out, verbMeasure); err != nil {
		return usage, err
	}
	return usage, json.Unmarshal(out.Bytes(), &usage)
}
