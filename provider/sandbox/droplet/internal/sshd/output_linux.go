package sshd

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// output copies what a command writes to its client. When the command has ended, others may still hold the same pipe: a
// server that it started in the background, say. The client is not kept waiting for them, and they go on writing, into
// the void, rather than die of a broken pipe.
type output struct {
	to   io.Writer
	from *os.File
	done chan struct{} // closed when the client has everything that it will get
}

func newOutput(to io.Writer, from *os.File) *output {
	o := &output{to: to, from: from, done: make(chan struct{})}
	go o.copy()
	return o
}

// finish waits for the last output of a command that has ended.
func (o *output) finish() {
	if err := o.from.SetReadDeadline(time.Now().Add(lastOutput)); err != nil {
		return // it is closed already
	}
	<-o.done
}

func (o *output) copy() {
	defer o.from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := o.from.Read(b)
		o.write(b[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil { // the end; for a terminal it is EIO
			close(o.done)
			return
		}
	}
	o.drain(b)
	close(o.done)
	io.Copy(io.Discard, o.from)
}

// write drops what no client is there to read.
func (o *output) write(b []byte) {
	if len(b) == 0 || o.to == nil {
		return
	}
	if _, err := o.to.Write(b); err != nil {
		o.to = nil
	}
}

// drain copies what the pipe holds now: after the command's end, at most as much as a pipe can hold is its.
func (o *output) drain(b []byte) {
	const most = 1 << 20
	if o.from.SetReadDeadline(time.Time{}) != nil {
		return
	}
	raw, err := o.from.SyscallConn()
	if err != nil {
		return
	}
	for total, n := 0, 1; n > 0 && total < most; total += n {
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.Read(int(fd), b)
			return true // never wait
		})
		if err != nil {
			return
		}
		o.write(b[:max(n, 0)])
	}
}
