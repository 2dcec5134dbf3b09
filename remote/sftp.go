package remote

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// MaxPath bounds the path of a file, in bytes.
const MaxPath = 4096

// maxLinks is how many symbolic links in a row are followed.
const maxLinks = 16

// transfers bounds the packets under way for one file: 32 KiB each.
const transfers = 32

// files is an SFTP client on a session of its own.
type files struct {
	*sftp.Client
	session *session
	unwatch func() bool
	stopped chan struct{}
}

// files opens the file transfer with a server. It ends with ctx: first the
// channel is closed, and after killPatience the connection, since a dead one
// takes no notice of the first.
func (p *Pool) files(ctx context.Context, t Target) (*files, error) {
	s, err := p.open(ctx, t)
	if err != nil {
		return nil, err
	}
	f := &files{session: s, stopped: make(chan struct{})}
	f.unwatch = context.AfterFunc(ctx, func() {
		go s.Channel.Close()
		select {
		case <-f.stopped:
		case <-time.After(killPatience):
			p.drop(s.conn)
		}
	})
	err = s.request(ctx, "subsystem", "sftp")
	if err == nil {
		f.Client, err = sftp.NewClientPipe(s, s,
			sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(transfers), sftp.UseFstat(true))
	}
	if err != nil {
		f.stop()
		return nil, fileError(ctx, err, t.Addr.String())
	}
	return f, nil
}

// stop ends the transfer and gives the session back.
func (f *files) stop() {
	f.unwatch()
	if f.Client != nil {
		go f.Client.Close() // waits for the server's farewell
	}
	f.session.close()
	close(f.stopped)
}

// filePath checks a path and makes it fit for SFTP, where a relative path
// starts at the home directory and "~" means nothing.
func filePath(name string) (string, error) {
	switch {
	case name == "":
		return "", fail(Invalid, nil, "the path is empty")
	case len(name) > MaxPath:
		return "", fail(Invalid, nil, "the path has more than %d bytes", MaxPath)
	case strings.ContainsRune(name, 0):
		return "", fail(Invalid, nil, "the path holds a NUL byte")
	}
	if name == "~" {
		return ".", nil
	}
	return path.Clean(strings.TrimPrefix(name, "~/")), nil
}

// followLinks finds the file that a path stands for, so that a file which
// replaces it leaves the link in place. A link into nothing is followed too.
func (f *files) followLinks(name string) (string, error) {
	for range maxLinks {
		info, err := f.Lstat(name)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			// A file that isn't there yet is its own name.
			return name, nil
		}
		link, err := f.ReadLink(name)
		if err != nil {
			return "", err
		}
		if path.IsAbs(link) {
			name = path.Clean(link)
		} else {
			name = path.Join(path.Dir(name), link)
		}
	}
	return "", fail(Invalid, nil, "%s: too many symbolic links", name)
}
