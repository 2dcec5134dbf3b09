package billing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"berth"
)

// Rail is a way in which wallets pay. A rail knows its protocol and its chain
// and keeps nothing: what became of a payment stands in the store. Its methods
// may be called concurrently.
//
// Amounts are micro-USD, which are the base units of the 6-decimal tokens that
// rails take.
type Rail interface {
	// Name is "mpp" or "x402".
	Name() string
	// Offer is what a caller is told to pay, or to prove where the amount is
	// zero. Berth.NotFound where this rail has no way to ask for that.
	Offer(Ask) (berth.Challenge, error)
	// Read takes a credential apart and finds out who made it, and whether it
	// is an answer to an offer of this rail. It asks the chain only where the
	// payer is a contract, and changes nothing. It takes what has expired, since
	// a retry may come late for its stored answer; Match refuses that. A
	// *Refusal says what is wrong.
	Read(context.Context, Presented) (Claim, error)
	// Match tells whether a claim is in time and pays exactly what would be
	// asked for now: a *Refusal where it does not.
	Match(Claim, Ask) error
	// Verify asks the chain whether the claim would settle now, or has been
	// settled by somebody else. A *Refusal is a clear no, as for what has expired;
	// any other error means that nobody knows.
	Verify(context.Context, Claim) error
	// Submit brings a verified claim to the chain and waits for the outcome, as
	// long as ctx allows. Before anything leaves, it passes what will leave to
	// keep, and it sends nothing where keep fails.
	Submit(ctx context.Context, c Claim, keep Keep) (Outcome, error)
	// Follow finds out what became of a claim that may have been submitted,
	// and submits again what was lost on the way or is stuck. It is called
	// until the outcome is Settled or Failed.
	Follow(ctx context.Context, c Claim, b Broadcast, keep Keep) (Outcome, error)
}

// Ask is what one request is to be paid for.
type Ask struct {
	Operation   string
	Amount      berth.Micros // zero asks for a proof of identity
	Realm       string       // the host name that the client used
	Resource    string       // the URL, or mcp://tool/<name>
	Description string       // at most 200 characters
	// Binding stands for the operation and its input: base64url, at most 43
	// characters; empty for a probe without input, whose offer can't buy.
	Binding string
	At      time.Time
}

// Presented is a credential as it came, decoded from its header but no further.
type Presented struct {
	Scheme string // "mpp", "x402/1", "x402/2" or "siwx"
	Data   []byte // JSON of at most 16 KiB; for siwx the header's value will do
	Realm  string // the host name that the client used
	// Resource is the URL that the client used, where it used one: a sign-in is
	// for its scheme, host and port exactly.
	Resource string
	At       time.Time
}

// Wallet is who signs payments.
type Wallet = berth.Wallet

// Claim is a credential that its maker's signature proves.
type Claim struct {
	Rail   string
	Scheme string // as in Presented
	// Unique is the same for every copy of a credential and for no other: the
	// challenge's id, or chain, asset, payer and nonce. At most 200 characters.
	Unique  string
	Payer   Wallet
	Amount  berth.Micros // zero for a proof of identity
	Network string       // CAIP-2, such as "eip155:84532"
	Asset   string       // the token's address
	Realm   string       // where the credential names one
	Binding string       // where the credential names one
	// Identifier is the idempotency key that the credential carries (x402's
	// payment-identifier): 16 to 128 of [A-Za-z0-9_-], or empty.
	Identifier string
	// Expires is when the claim can't settle any more, by the chain's clock.
	Expires time.Time
	// Payload is what the rail needs to settle it: at most 16 KiB, and secret
	// until it is settled.
	Payload json.RawMessage
}

// Payer is a rail that can send money back to wallets, from the account of its
// settling key.
type Payer interface {
	// Pay brings a payout to the chain, as Submit does a claim: nothing leaves
	// before keep has it. A *Refusal says that it can't be paid, and an error
	// before keep was called that nothing left.
	Pay(ctx context.Context, p Payout, keep Keep) (Outcome, error)
	// FollowPay finds out what became of a payout that may have been submitted,
	// and submits it again where that helps. One payout moves money at most once,
	// however often it is submitted, and after Failed it never does.
	FollowPay(ctx context.Context, p Payout, b Broadcast, keep Keep) (Outcome, error)
}

// Payout is money that goes back to a wallet.
type Payout struct {
	ID      string // never used for another payout: at most 100 characters
	To      Wallet
	Amount  berth.Micros // more than zero
	At      time.Time    // when it was decided
	Expires time.Time    // when it can't settle any more, by the chain's clock
}

// Keep writes down what is about to leave, before it leaves. It runs sign in a
// transaction, with the lowest transaction nonce from floor upwards that no
// other payment of that sender which is under way uses. Rails whose payer sends
// for himself give no sender, and pass over the nonce.
type Keep func(ctx context.Context, sender string, floor uint64, sign func(nonce uint64) (Broadcast, error)) (Broadcast, error)

// Broadcast is a transaction that was signed, and sent or about to be.
type Broadcast struct {
	Hash   string // of the transaction, 0x and 64 hex digits; empty where a facilitator settles
	Sender string // who pays its gas, where that is Berth
	Nonce  uint64 // the sender's
	Raw    []byte // the signed transaction, to be sent again
	At     time.Time
}

// State is how a payment stands. A payment moves from Reserved to the right,
// and rests when it is Settled or Failed.
type State string

// The states of a payment.
const (
	Reserved  State = "reserved"  // nobody else can use the credential
	Verified  State = "verified"  // the chain says that it would settle
	Submitted State = "broadcast" // it may have left
	Unsettled State = "pending"   // it left, and there is no outcome yet
	Settled   State = "settled"   // the money is there
	Failed    State = "failed"    // it never came and can't come any more
)

// Outcome is what became of a claim.
type Outcome struct {
	State  State  // Settled, Failed or Unsettled
	Hash   string // of the transaction that moved the money
	Reason string // why it failed, in a few words
}

// Refusal is a rail's clear no to a credential, before anything was taken.
type Refusal struct {
	// Problem is malformed, expired, mismatch, unsupported, verification or
	// insufficient.
	Problem Problem
	Message string // what is wrong, in words; nothing of the credential's secrets
}

// Problem is the kind of a refusal.
type Problem string

// The problems of credentials.
const (
	Malformed    Problem = "malformed"    // can't be read
	Unsupported  Problem = "unsupported"  // of a kind that is not taken here
	Expired      Problem = "expired"      // too late, or not yet valid
	Mismatched   Problem = "mismatch"     // for something else than was asked for, or not by an offer of this Berth
	Unverified   Problem = "verification" // the signature or the chain says no
	Insufficient Problem = "insufficient" // the payer's funds do not cover it
	Spent        Problem = "spent"        // used before, for another request
)

// Error implements error.
func (r *Refusal) Error() string { return string(r.Problem) + ": " + r.Message }

// Refuse is a Refusal.
func Refuse(p Problem, format string, args ...any) *Refusal {
	return &Refusal{Problem: p, Message: fmt.Sprintf(format, args...)}
}

// RailAccount is the account of what came in over a rail and has not gone back
// out: debited when a payment is credited to its payer.
func RailAccount(rail string) AccountID { return AccountID(railPrefix + rail) }

const railPrefix = "rail:"
