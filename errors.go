package berth

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable name of what went wrong. The list is closed: clients
// switch on it, and fronts map each code to their own statuses.
type Code string

// The codes of errors.
const (
	InvalidInput        Code = "invalid_input"        // the request is malformed or out of bounds; the inputs that are wrong are listed
	Unauthenticated     Code = "unauthenticated"      // a credential came along and is not valid
	PaymentRequired     Code = "payment_required"     // identity or money is needed; `payment` says how
	PaymentRejected     Code = "payment_rejected"     // a wallet's credential was refused and nothing was taken; `payment` has fresh challenges
	PaymentPending      Code = "payment_pending"      // a payment was broadcast and is not confirmed yet
	InsufficientBalance Code = "insufficient_balance" // the caller's balance does not cover the price
	BudgetExceeded      Code = "budget_exceeded"      // a spending cap of the caller or its key forbids it
	Forbidden           Code = "forbidden"            // known caller, not allowed
	Suspended           Code = "suspended"            // the account is suspended
	NotFound            Code = "not_found"            // there is no such thing, or it is not the caller's
	MethodNotAllowed    Code = "method_not_allowed"   // the path is known and has no such method; the hint lists those it has
	Conflict            Code = "conflict"             // the thing is in a state that forbids the operation
	IdempotencyConflict Code = "idempotency_conflict" // the key was used with another input
	QuoteExpired        Code = "quote_expired"        // the quote is past its expiry
	QuoteMismatch       Code = "quote_mismatch"       // the quote is for something else
	LimitReached        Code = "limit_reached"        // a count such as servers per account is at its limit
	UnknownRegion       Code = "unknown_region"       // no such region; the hint lists those there are
	UnknownSize         Code = "unknown_size"         // no such size; the hint lists those there are
	UnknownImage        Code = "unknown_image"        // no such image; the hint lists those there are
	SnapshotTooLarge    Code = "snapshot_too_large"   // the snapshot's disk does not fit the size
	OutOfCapacity       Code = "out_of_capacity"      // not to be had there now; the hint says what is
	TooLarge            Code = "too_large"            // more bytes than allowed
	RateLimited         Code = "rate_limited"         // too many requests; wait for `retry_after_seconds`
	Unreachable         Code = "unreachable"          // the server does not answer over SSH
	RemoteFailed        Code = "remote_failed"        // the server refused a file or command operation
	Unavailable         Code = "unavailable"          // something Berth depends on does not answer; retry
	Internal            Code = "internal"             // a defect; the log has the details
)

// Codes are all codes, in the order of their declaration.
var Codes = []Code{
	InvalidInput, Unauthenticated, PaymentRequired, PaymentRejected, PaymentPending, InsufficientBalance,
	BudgetExceeded, Forbidden, Suspended, NotFound, MethodNotAllowed, Conflict, IdempotencyConflict,
	QuoteExpired, QuoteMismatch, LimitReached, UnknownRegion,
	UnknownSize, UnknownImage, SnapshotTooLarge, OutOfCapacity, TooLarge, RateLimited,
	Unreachable, RemoteFailed, Unavailable, Internal,
}

// Field is one place in the input that is wrong.
type Field struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Error is what leaves Berth when something can't be done: a stable code, what
// is wrong, and what to do instead.
type Error struct {
	Code       Code
	Message    string
	Hint       string        // what to do instead
	Fields     []Field       // with InvalidInput
	RetryAfter time.Duration // when trying again can help; zero where it can't
	Payment    *Demand       // with PaymentRequired and InsufficientBalance
	Foreign    bool          // the object exists and is somebody else's; never serialised
	Err        error         // the cause, for logs only
}

// Errorf is an Error with a code and a message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Hinted is e with a hint.
func (e *Error) Hinted(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Because is e with its cause, which is logged and never shown.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// Error implements error.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of an error that is or wraps an *Error, and Internal for
// every other.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Demand is what a caller has to pay, and the ways to do it.
type Demand struct {
	Amount     Micros      `json:"amount"`
	Balance    *Micros     `json:"balance,omitempty"` // what the caller has; nil where nobody is identified
	Quote      ID          `json:"quote_id,omitempty"`
	Problem    string      `json:"problem,omitempty"` // why a credential was refused
	Challenges []Challenge `json:"challenges"`
}

// Challenge is one rail's offer to be paid. The rails fill it; fronts place it
// where the rail's protocol wants it.
type Challenge struct {
	Rail    string         `json:"rail"`
	Payload map[string]any `json:"payload"`
	Header  string         `json:"-"` // the payload as the rail's HTTP header has it
	Legacy  any            `json:"-"` // the payload as the rail's earlier version has it in bodies
}
