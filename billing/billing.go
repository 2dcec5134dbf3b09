// Package billing is Berth's money: the double-entry ledger, the catalog with
// its prices, quotes and budgets. All amounts are integer micro-USD. It knows
// no HTTP and no SQL; what it keeps, it keeps through Rx and Tx.
package billing

import (
	"context"
	"time"

	"berth"
)

// AccountID names an account of the ledger: "customer:acct_…" for what Berth
// owes a principal, "escrow:srv_…" for a deposit, and the system accounts.
type AccountID string

// The system accounts. They carry no running balance: they are sums.
const (
	Revenue AccountID = "revenue" // what was earned
	Grants  AccountID = "grants"  // what the operator gave away or credited by hand
	Refunds AccountID = "refunds" // what was given back for things that failed after capture
)

// CustomerAccount is the account of a principal's balance.
func CustomerAccount(principal berth.ID) AccountID { return AccountID("customer:" + principal) }

// TransferKind is what a transfer does.
type TransferKind string

// The kinds of transfer. A pending transfer reserves its amount on the debit
// account until one post (of at most that amount; the rest is released) or one
// void resolves it.
const (
	Direct  TransferKind = "direct"
	Pending TransferKind = "pending"
	Post    TransferKind = "post"
	Void    TransferKind = "void"
)

// Reason is why money moved.
type Reason string

// The reasons.
const (
	ReasonGrant     Reason = "grant"     // the operator credited a balance, or as a debit took such credit back
	ReasonPurchase  Reason = "purchase"  // a server, by hold and capture
	ReasonExtension Reason = "extension" // more time, or longer retention
	ReasonRenewal   Reason = "renewal"   // auto_renew bought more time, or an hourly lease an hour
	ReasonService   Reason = "service"   // a fee for an operation
	ReasonRefund    Reason = "refund"    // something failed after it was captured, or a deposit was not used up
	ReasonPayment   Reason = "payment"   // a wallet paid
	ReasonPayout    Reason = "payout"    // credit went back to a wallet
	ReasonDeposit   Reason = "deposit"   // into a server's escrow
	ReasonUsage     Reason = "usage"     // metered, out of a server's escrow
)

// Transfer is one movement of money from the debit to the credit account. It
// is immutable. Its ID is the caller's idempotency key: recording the same
// transfer twice is recording it once, another one under the same id is a
// conflict.
type Transfer struct {
	ID        string // 1 to 128 characters
	Kind      TransferKind
	Debit     AccountID
	Credit    AccountID
	Amount    berth.Micros // positive; for a void, the amount of what it voids
	Pending   string       // what a post or void resolves
	Reason    Reason
	Ref       berth.ID // the server, snapshot, key or action that it is for
	Operation string   // the operation that moved the money
	Memo      string   // in words, at most 200 characters
	Key       berth.ID // the API key that spent it, if any
	At        time.Time
}

// Account is a customer's or an escrow's running state. What is available is
// Credited - Debited - Held, which is never below zero.
type Account struct {
	ID       AccountID
	Credited berth.Micros
	Debited  berth.Micros
	Held     berth.Micros
}

// Available is what can be spent now.
func (a Account) Available() berth.Micros { return a.Credited - a.Debited - a.Held }

// Totals are the sums over all transfers of one account, for verification.
type Totals struct {
	Account  AccountID
	Credited berth.Micros // by direct and post
	Debited  berth.Micros
	Held     berth.Micros // debits by pending transfers that are not resolved
}

// Filter chooses transfers: those of one ledger account, newest first.
type Filter struct {
	Account AccountID // empty for all
	Ref     berth.ID  // empty for all
	Since   time.Time // zero for all
	Before  int64     // entries older than this sequence number; zero for the newest
	Limit   int       // 1 to 1000
}

// Entry is a transfer with its place in the ledger's order.
type Entry struct {
	Seq int64
	Transfer
}

// Rx reads the ledger and quotes. Where there is none, methods return a
// *berth.Error with the code berth.NotFound, except LedgerAccount, for which an
// account without movements is an empty one.
type Rx interface {
	LedgerAccount(ctx context.Context, id AccountID) (Account, error)
	Transfer(ctx context.Context, id string) (Transfer, error)
	Resolution(ctx context.Context, pending string) (Transfer, error)
	Entries(ctx context.Context, f Filter) ([]Entry, error)
	LedgerTotals(ctx context.Context) ([]Totals, error)
	LedgerAccounts(ctx context.Context) ([]Account, error)
	// Spent is what a principal (with an empty key) or one of its API keys has
	// spent and holds now, less refunds and credit that was taken back.
	Spent(ctx context.Context, principal, key berth.ID) (berth.Micros, error)
	Quote(ctx context.Context, id berth.ID) (Quote, error)
}

// Tx reads and writes the ledger and quotes. Only Record calls the two writers
// of the ledger.
type Tx interface {
	Rx
	InsertTransfer(ctx context.Context, t Transfer) error
	PutLedgerAccount(ctx context.Context, a Account) error
	InsertQuote(ctx context.Context, q Quote) error
}
