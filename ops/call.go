package ops

import (
	"io"
	"time"

	"berth"
	"berth/billing"
)

// Call is one request to Berth, as a front hands it to Dispatch. What concerns
// the call itself and not the operation's input stands here and never in Args.
type Call struct {
	Op    string
	Args  map[string]any
	Bare  bool // the request came without any input of its own, as a probe does
	Creds []Credential
	Front string // "http", "mcp" or "cli": for the audit trail
	// Contract is the one that the call comes through, whose servers, names and
	// prices hold; empty for the native one, which sees all servers.
	Contract billing.Contract
	Counted  bool     // a call of the same request was counted against the contract's limit already
	Key      string   // the idempotency key, at most 255 characters; empty for none
	Quote    berth.ID // the quote to honour; empty for the present price
	Sink     Sink     // takes progress and output as they come; nil drops them

	Origin Origin // where the caller thinks it is: offers to pay name it

	Body io.Reader                // a file's bytes, where they travel apart from Args
	Open func(FileHead) io.Writer // takes a file's bytes, where they leave apart from the answer
}

// Origin is how the client addressed Berth.
type Origin struct {
	Realm    string // the host name, without a port
	Resource string // the URL, or mcp://tool/<name>
	Address  string // the client's address, at most 100 characters; empty where there is none
}

// Credential is one proof of identity that came with a call. Only Dispatch
// interprets it.
type Credential struct {
	Scheme Scheme
	Token  string
}

// Scheme is the kind of a credential.
type Scheme string

// The schemes.
const (
	BearerScheme   Scheme = "bearer"   // an API key
	LocalScheme    Scheme = "local"    // a process of the operator, over the local socket: the local principal
	OperatorScheme Scheme = "operator" // the operator's own command line, over the local socket

	MPPScheme    Scheme = "mpp"    // a payment, or a proof, over MPP: its JSON
	X402Scheme   Scheme = "x402/2" // a payment over x402, version 2: its JSON
	X402V1Scheme Scheme = "x402/1" // the same, version 1
	SIWXScheme   Scheme = "siwx"   // x402's sign-in-with-x: the header's value
)

// rails are the rails of the schemes by which wallets speak.
var rails = map[Scheme]string{MPPScheme: "mpp", X402Scheme: "x402", X402V1Scheme: "x402", SIWXScheme: "x402"}

// Sink takes what a call has to say before it answers. Its methods are called
// from one goroutine at a time and must not block for long.
type Sink interface {
	// Progress tells of a stage that was reached; percent never falls.
	Progress(stage string, percent int, message string)
	// Output passes on a piece of what a command printed: untrusted data.
	Output(stderr bool, data []byte)
}

type noSink struct{}

func (noSink) Progress(string, int, string) {}
func (noSink) Output(bool, []byte)          {}

// Result is what Dispatch answers.
type Result struct {
	Operation *Operation
	Out       any
	Action    berth.ID // the action that goes on, if any
	Receipt   *Receipt // where money moved
	Replayed  bool     // the stored answer to the same call
	Proof     *Paid    // the proof of identity that a wallet sent along, if any

	request *Request
}

// Receipt says what was paid.
type Receipt struct {
	Transaction string       `json:"transaction_id"` // of several things bought at once the first one's; each names its own
	Amount      berth.Micros `json:"amount"`
	Status      string       `json:"status" enum:"held,charged,credited"` // a hold is charged when the work is delivered, else released
	Rail        string       `json:"rail"`                                // "balance", "mpp" or "x402"
	Balance     berth.Micros `json:"balance"`                             // what can be spent after it
	Payment     *Paid        `json:"payment,omitempty"`
}

// Paid is the payment that a receipt is for, where a wallet paid.
type Paid struct {
	ID      berth.ID  `json:"id"`
	Scheme  string    `json:"scheme"` // which protocol and version
	Network string    `json:"network"`
	Hash    string    `json:"transaction_hash"`
	Payer   string    `json:"payer"`
	Claim   string    `json:"reference"` // the credential's own name: the challenge, or chain, asset, payer and nonce
	At      time.Time `json:"at"`
}
