// Package ops is the operation table and Dispatch, the only way into Berth: every
// front reads the table and calls Dispatch, which binds, identifies, replays,
// authorises, plans, takes the money, commits and answers, in that order.
package ops

import (
	"context"
	"encoding/json"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// Answer is what an operation answered to an idempotency key: the replay of
// the same call gets it again.
type Answer struct {
	Principal berth.ID
	Operation string
	Key       string // 1 to 255 characters, the caller's
	Hash      []byte // of the canonical input
	Out       json.RawMessage
	Action    berth.ID // the action that it started, if any
	Receipt   json.RawMessage
	At        time.Time
}

// Audit is one line of the append-only audit trail: who did what, and how it
// ended.
type Audit struct {
	At        time.Time
	Principal berth.ID
	Key       berth.ID // the API key, if one was used
	Operation string
	Subject   berth.ID
	Front     string // "mcp" or "http" or "cli"
	Outcome   string // "ok", "started", or an error's code
}

// Rx reads everything that operations need.
type Rx interface {
	fleet.Rx
	billing.PaymentRx
	// Answer is the stored answer, or berth.NotFound.
	Answer(ctx context.Context, principal berth.ID, operation, key string) (Answer, error)
	// Counter is how often something was counted since exactly that time.
	Counter(ctx context.Context, name string, since time.Time) (int, error)
	// CountOpenPayments is how many payments and payouts of a principal are under
	// way.
	CountOpenPayments(ctx context.Context, principal berth.ID) (int, error)
}

// Tx reads and changes everything that operations need.
type Tx interface {
	Rx
	fleet.Tx
	billing.PaymentTx
	InsertAnswer(ctx context.Context, a Answer) error // berth.Conflict where the key has one
	// DeleteAnswers, DeleteQuotes and DeleteProofs forget those before a time,
	// and tell how many.
	DeleteAnswers(ctx context.Context, before time.Time) (int64, error)
	DeleteQuotes(ctx context.Context, before time.Time) (int64, error) // by expiry
	DeleteProofs(ctx context.Context, before time.Time) (int64, error) // by expiry
	// DeleteRefused forgets payments that were refused before anything left, by
	// the expiry of their credentials: nobody could use those again.
	DeleteRefused(ctx context.Context, before time.Time) (int64, error)
	InsertAudit(ctx context.Context, a Audit) error
	// CountUp counts something once more since a time, from nothing where it was
	// counted since another, and tells the count.
	CountUp(ctx context.Context, name string, since time.Time) (int, error)
	DeleteCounters(ctx context.Context, before time.Time) (int64, error)
}

// Store runs transactions; see fleet.Store.
type Store interface {
	Read(ctx context.Context, fn func(Rx) error) error
	Write(ctx context.Context, fn func(Tx) error) error
}
