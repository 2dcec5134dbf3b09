package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pkg/sftp"
)

// Kind tells what went wrong, from a closed list. A Kind is itself an error,
// so that errors.Is(err, remote.NotFound) asks for one.
type Kind string

// The kinds of error that leave this package.
const (
	Unreachable     Kind = "unreachable"       // nothing answers SSH at the address
	HostKeyMismatch Kind = "host_key_mismatch" // something answers, and it is not the pinned server
	Auth            Kind = "auth"              // the server refuses the key
	Timeout         Kind = "timeout"           // the caller's deadline passed
	Canceled        Kind = "canceled"          // the caller gave up, or the pool is closed
	NotFound        Kind = "not_found"         // no such file, directory or run
	IsDirectory     Kind = "is_directory"      // a file was wanted
	TooLarge        Kind = "too_large"         // beyond a stated bound
	Permission      Kind = "permission"        // the server's system forbids it
	Invalid         Kind = "invalid"           // the request itself is wrong
	ConnectionLost  Kind = "connection_lost"   // the connection ended before the answer
	Failed          Kind = "failed"            // the server tried and could not, such as a full disk
)

// Error makes a Kind a target for errors.Is.
func (k Kind) Error() string { return string(k) }

// Error is every error that this package returns.
type Error struct {
	Kind    Kind
	Message string // one sentence for whoever asked, without secrets
	Size    int64  // with TooLarge: the real size in bytes as far as it is known
	Err     error  // the cause, or nil
}

// Error is the message, followed by the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this error's kind.
func (e *Error) Is(target error) bool { return e.Kind == target }

// fail makes an error of a kind; a nil cause is fine.
func fail(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: cause}
}

// stopped is the error for an ended context.
func stopped(ctx context.Context, doing string) *Error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return fail(Timeout, cause, "%s took too long", doing)
	}
	return fail(Canceled, cause, "%s was given up", doing)
}

// fileError gives an error of the file transfer its kind. Whatever happens
// once ctx has ended is a consequence of that.
func fileError(ctx context.Context, err error, path string) error {
	var typed *Error
	switch {
	case errors.As(err, &typed):
		return typed
	case ctx.Err() != nil:
		return stopped(ctx, "the transfer of "+path)
	case errors.Is(err, fs.ErrNotExist):
		return fail(NotFound, err, "there is no %s", path)
	case errors.Is(err, fs.ErrPermission):
		return fail(Permission, err, "access to %s is not permitted", path)
	case isLost(err):
		return fail(ConnectionLost, err, "the connection ended during the transfer of %s", path)
	}
	return fail(Failed, err, "the server could not do it for %s", path)
}

// isLost tells a broken transport from a server's answer.
func isLost(err error) bool {
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, fs.ErrClosed, sftp.ErrSSHFxConnectionLost} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// KindOf is the kind of an error of this package, and empty for any other.
func KindOf(err error) Kind {
	var typed *Error
	if !errors.As(err, &typed) {
		return ""
	}
	return typed.Kind
}
