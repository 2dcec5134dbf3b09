package provider

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong, and thereby what can be done about it.
type Kind string

// The kinds of error.
const (
	NotFound      Kind = "not_found"       // there is no such machine, snapshot or work
	OutOfCapacity Kind = "out_of_capacity" // not to be had there now; Available says what is
	Limit         Kind = "limit"           // the account's limit is reached
	Auth          Kind = "auth"            // the credentials are refused, or the account is locked
	Conflict      Kind = "conflict"        // other work is under way on the machine; try again
	Invalid       Kind = "invalid"         // the request can't be carried out as it stands
	RateLimited   Kind = "rate_limited"    // too many requests; RetryAfter says how long to wait
	Unavailable   Kind = "unavailable"     // no answer, or a server error; nothing was changed
	Ambiguous     Kind = "ambiguous"       // the effect may or may not have happened; find out
)

// Error is what a Provider returns when something goes wrong.
type Error struct {
	Kind       Kind
	Op         string // the method, in the cloud's words, such as "create droplet"
	Message    string
	Available  []string      // with OutOfCapacity: regions where the size can be had
	RetryAfter time.Duration // with RateLimited: at least this long
	Err        error         // the cause, or nil
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("provider: %s: %s (%s)", e.Op, e.Message, e.Kind)
	if e.Err != nil && e.Message == "" {
		s = fmt.Sprintf("provider: %s: %v (%s)", e.Op, e.Err, e.Kind)
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of a provider's error, or the empty Kind for any other.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// Temporary tells whether trying the same again later can succeed.
func (k Kind) Temporary() bool {
	switch k {
	case Conflict, RateLimited, Unavailable, Ambiguous:
		return true
	}
	return false
}
