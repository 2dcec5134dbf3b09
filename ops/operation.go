package ops

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// Access says who may call an operation.
type Access int

// The kinds of access.
const (
	Anyone     Access = iota // no identity needed
	Identified               // any principal
	Operator                 // whoever runs Berth, on this machine
)

// Route is one HTTP way to an operation. Names in braces bind to the path, the
// fields tagged in:"query" to the query, the rest to the body.
type Route struct {
	Method  string
	Path    string
	Status  int            // of success
	Name    string         // OpenAPI's operationId; empty for the operation's name
	Summary string         // OpenAPI's summary; empty for the operation's title
	Fixed   map[string]any // inputs that this route implies, hidden from its schema
	Omit    []string       // inputs that make no sense on this route
	Require []string       // inputs that this route needs beyond the operation's own
	Raw     Raw            // whether bytes travel outside JSON
}

// Raw says which side of an HTTP exchange carries a file's bytes.
type Raw int

// The kinds of raw exchange.
const (
	NotRaw   Raw = iota
	RawIn        // the request's body is the file
	RawOut       // the answer's body is the file
	Streamed     // the answer may be a stream of output, where the client asks for it
)

// Doc is what readers of the table show of an operation.
type Doc struct {
	Title   string // a few words
	Text    string // for agents: what it does, what it costs, what to do next
	Toolset string // "default" or the name of a further one; empty: no tool
	Tag     string // the group in the HTTP documentation
	Example string // a JSON object that is a valid input
	// Unlisted are inputs that the operation takes and its tool does not show, so
	// that hosts' models have little to read. Another tool shows them.
	Unlisted []string

	// The four hints of MCP.
	ReadOnly    bool
	Destructive bool
	Idempotent  bool
	OpenWorld   bool
}

// Op is an operation: the typed definition that every front reads. In is a flat
// struct with json tags. Exactly one of Read, Commit and Run is set.
type Op[In, Out any] struct {
	Name    string
	Doc     Doc
	Routes  []Route
	Access  Access
	Priced  bool              // it may cost something, so a quote can be had for it
	Fee     billing.Fee       // what each call costs at least, whatever it is about
	Credits bool              // a wallet's payment for it becomes credit: no balance pays, and nothing is taken
	Signed  bool              // it needs a wallet to sign beside whoever calls
	Subject func(In) berth.ID // the object that the call is about, if any
	// Role is the least role there that the call needs. Nil leaves the operation to
	// whoever the subject belongs to.
	Role func(In) account.Role

	// Plan tells whether the operation can be done and what it costs. It only
	// reads, and is repeated inside Commit's transaction.
	Plan func(context.Context, Rx, *Request, In) (Plan, error)
	// Read answers from storage.
	Read func(context.Context, Rx, *Request, In) (Out, error)
	// Commit changes storage. It may be run again, so it does no I/O.
	Commit func(context.Context, Tx, *Request, In, Plan) (Out, Effect, error)
	// Run works on a server or asks the provider; it holds no transaction and
	// is audited when it starts and when it ends.
	Run func(context.Context, *Request, In) (Out, error)
	// Reveal puts into an answer what is never stored with it, each time that it goes
	// to its caller. The request's subject is then as it is now.
	Reveal func(context.Context, Rx, *Request, In, Out) (Out, error)
	// Fresh brings an answer up to date after its action has gone on.
	Fresh func(context.Context, Rx, *Request, Out) (Out, error)
}

// Plan is what an operation would cost and how that is taken.
type Plan struct {
	Price  billing.Price
	Terms  map[string]any // what the price depends on; a quote is for exactly these
	Reason billing.Reason // why money moves
	Hold   bool           // reserve now, and let the action capture or void
	Memo   string
	Credit berth.ID // whose credit a payment becomes; empty for the caller's
}

// Effect is what a commit did beyond its answer.
type Effect struct {
	Ref    berth.ID     // what the money is for
	Action fleet.Action // the action that it started, if any, to be announced after the commit
	Shares []Share      // in place of both, where several things were bought at once
}

// Request is what a handler knows of its caller and its subject.
type Request struct {
	Operation string
	Contract  billing.Contract  // that the call came through
	Principal account.Principal // zero where nobody is identified
	Key       account.APIKey    // zero where no API key was used
	Operator  bool
	Address   string       // the client's, as far as the front knows it
	Made      berth.ID     // what a Run made or changed, for the audit trail
	Payer     berth.Wallet // the wallet that signed for the call, if any
	alone     bool         // the contract knows owners only, and no members of pools
	horizon   time.Time    // servers that ended before it are gone; zero: none are
	newcomer  bool         // the principal is a wallet's and has no row yet
	Charge    string       // the id that the money's transfer gets; empty where it is free

	// The subject, as read by the transaction at hand.
	Server     fleet.Server
	Snapshot   fleet.Snapshot
	SSHKey     fleet.Key
	Action     fleet.Action
	Pool       account.Pool
	Invitation account.Member
	Role       account.Role // the caller's there
	concerned  []berth.ID   // principals beside the caller whose things the call changes

	Sink Sink
	Body io.Reader                     // a file's bytes, where the front has them apart
	Open func(info FileHead) io.Writer // takes a file's bytes, where the front wants them apart
}

// sees is the contract whose servers and snapshots the call can see; empty for
// all, as the native contract does.
func (r *Request) sees() billing.Contract {
	if r.Contract == billing.Native {
		return ""
	}
	return r.Contract
}

// buyer is the caller as who pays, under the prices of the call's contract.
func (r *Request) buyer() fleet.Buyer {
	return fleet.Buyer{Principal: r.Principal, Contract: r.Contract}
}

// FileHead is what is known of a file before its bytes are sent.
type FileHead struct {
	Path string
	Size int64 // bytes that will follow
}

// Operation is an Op with its types erased: what the table holds and fronts
// read.
type Operation struct {
	Name   string
	Doc    Doc
	Routes []Route
	Access Access
	Priced bool        // it may cost something
	Fee    billing.Fee // what each call costs at least, whatever it is about
	// Credits tells that a wallet's payment for it becomes credit.
	Credits bool
	// Signed tells that it needs a wallet to sign beside whoever calls.
	Signed bool
	Long   bool // it changes something through an action, and can be waited for

	Input      *huma.Schema // as published, enumerations of the catalog included
	InputOrder []string     // the inputs' names as they are declared
	// Output makes its schema when it is first asked for: only documents need it,
	// and a start must not wait for all of them.
	Output func() *huma.Schema

	subjectField string
	subjectKinds []string     // the prefixes of the ids that subjectField takes
	checked      *huma.Schema // as validated
	decode       func(map[string]any) (any, error)
	subject      func(any) berth.ID
	role         func(any) account.Role
	plan         func(context.Context, Rx, *Request, any) (Plan, error)
	read         func(context.Context, Rx, *Request, any) (any, error)
	commit       func(context.Context, Tx, *Request, any, Plan) (any, Effect, error)
	run          func(context.Context, *Request, any) (any, error)
	reveal       func(context.Context, Rx, *Request, any, any) (any, error)
	fresh        func(context.Context, Rx, *Request, any) (any, error)
	revive       func(json.RawMessage) (any, error)
}

// Changes tells whether the operation changes anything, and so takes an
// idempotency key and is audited.
func (o *Operation) Changes() bool { return o.commit != nil || (o.run != nil && !o.Doc.ReadOnly) }
