package opstest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/railtest"
	"berth/ops"
)

// Args are the inputs of a call.
type Args = map[string]any

// Do calls an operation as somebody.
func (w *World) Do(creds []ops.Credential, op string, args Args) (*ops.Result, error) {
	return w.System.Dispatch(context.Background(), &ops.Call{Op: op, Args: args, Creds: creds, Front: "http"})
}

// Must calls an operation, which has to succeed.
func (w *World) Must(creds []ops.Credential, op string, args Args) *ops.Result {
	w.t.Helper()
	res, err := w.Do(creds, op, args)
	if err != nil {
		w.t.Fatalf("%s %v: %v", op, args, err)
	}
	return res
}

// Server buys a small server for an hour and waits until it is active.
func (w *World) Server(p Principal) berth.ID {
	w.t.Helper()
	res := w.Must(p.Creds, "create_server", Args{"size": "small", "region": "nyc1", "minutes": 60})
	w.Settle()
	return res.Out.(ops.CreateServerOut).ID
}

// Snapshot takes a snapshot of a new server and waits until it is available.
func (w *World) Snapshot(p Principal) berth.ID {
	w.t.Helper()
	res := w.Must(p.Creds, "snapshot", Args{"server_id": string(w.Server(p))})
	w.Settle()
	return res.Out.(ops.SnapshotOut).ID
}

// SSHKey registers a new public key.
func (w *World) SSHKey(p Principal) berth.ID {
	w.t.Helper()
	res := w.Must(p.Creds, "add_ssh_key", Args{"name": "laptop", "public_key": PublicKey()})
	return res.Out.(ops.AddKeyOut).ID
}

var idPattern = regexp.MustCompile(`^(srv|snap|key|act|akey|quo|pay|pool|inv)_[0-9a-f]{24}$`)

// Subject makes an object of a principal of the kind that a prefix names.
func (w *World) Subject(p Principal, prefix string) berth.ID {
	w.t.Helper()
	switch prefix {
	case berth.PrefixServer:
		return w.Server(p)
	case berth.PrefixSnapshot:
		return w.Snapshot(p)
	case berth.PrefixKey:
		return w.SSHKey(p)
	case berth.PrefixAction:
		res := w.Must(p.Creds, "create_server", Args{"size": "small", "region": "nyc1"})
		w.Settle()
		return res.Action
	case berth.PrefixPayment:
		return w.Paid(p)
	case berth.PrefixPool:
		return w.Pool(p)
	case berth.PrefixInvitation:
		owner := w.Principal()
		return w.Invite(owner, w.Pool(owner), p, "user")
	case berth.PrefixAPIKey:
		res := w.Must(p.Creds, "mint_api_key", nil)
		return res.Out.(ops.APIKeyView).ID
	}
	w.t.Fatalf("no way to make a %s", prefix)
	return ""
}

// Example is an operation's own example with every id in it replaced by that of
// a new object of the principal's, and every account by the principal's.
func (w *World) Example(p Principal, op *ops.Operation) Args {
	w.t.Helper()
	var args Args
	if err := json.Unmarshal([]byte(op.Doc.Example), &args); err != nil {
		w.t.Fatalf("%s has no example: %v", op.Name, err)
	}
	if op.Name == "withdraw" {
		w.Paid(p)
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(args))) { // a pool before its member
		v := args[name]
		text, ok := v.(string)
		switch {
		case ok && idPattern.MatchString(text):
			args[name] = string(w.Subject(p, berth.ID(text).Prefix()))
		case name == "account" && op.Access != ops.Operator:
			args[name] = string(p.ID)
		case name == "account":
			if args[name] = p.Email; op.Name == "payout" {
				w.Paid(p)
			}
		case op.Name == "login" && name == "email":
			args[name] = w.registered(args["password"])
		case name == "account_id":
			args[name] = string(w.Member(p, args["pool_id"]))
		case name == "username" && args["pool_id"] != nil:
			args[name] = w.Principal().Username
		case name == "email":
			args[name] = fmt.Sprintf("new-%d@example.com", w.next())
		}
	}
	return args
}

// Signed are the credentials of a wallet with money that an operation's example
// needs beside a caller's own: none for most.
func (w *World) Signed(op *ops.Operation) []ops.Credential {
	if !op.Credits && !op.Signed {
		return nil
	}
	const wallet = "0x9999999999999999999999999999999999999999"
	w.Rail.Fund(wallet, 10*berth.Dollar)
	c := railtest.Credential{From: wallet, Nonce: fmt.Sprint(w.next()), Amount: 10 * berth.Dollar, Expires: w.Clock.Now().Add(time.Hour)}
	if op.Signed {
		c.From, c.Amount = fmt.Sprintf("0x%040x", w.next()), 0 // a proof, by a new wallet
	}
	return []ops.Credential{{Scheme: ops.X402Scheme, Token: c.Text()}}
}

// registered is the e-mail address of a new account with a password.
func (w *World) registered(password any) string {
	w.t.Helper()
	email := fmt.Sprintf("new-%d@example.com", w.next())
	res, err := w.System.Dispatch(context.Background(), &ops.Call{
		Op: "register", Args: Args{"email": email, "password": password}, Front: "http", Origin: ops.Origin{Address: email}, // a limit of its own
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.Out.(ops.SessionOut).Account.Email
}

// Paid gives a principal a wallet that has paid two dollars, and its payment.
func (w *World) Paid(p Principal) (id berth.ID) {
	w.t.Helper()
	n := w.next()
	w.Write(func(ctx context.Context, tx ops.Tx) error {
		now := w.Clock.Now()
		id = berth.NewID(berth.PrefixPayment, now)
		wallet := berth.Wallet{Address: fmt.Sprintf("0x%040x", n)}
		if err := tx.InsertWallet(ctx, wallet, p.ID, now); err != nil {
			return err
		}
		_, err := billing.Reserve(ctx, tx, billing.Payment{
			ID: id, Principal: p.ID, Operation: "create_server", Created: now, Hash: []byte("hash"),
			Claim: billing.Claim{Rail: railtest.Name, Scheme: "x402/2", Unique: fmt.Sprint("paid ", n), Payer: wallet, Amount: 2 * berth.Dollar, Expires: now},
		})
		if err != nil {
			return err
		}
		_, err = billing.Credit(ctx, tx, id, fmt.Sprint("0x", n), now)
		return err
	})
	return id
}

// Subjects are the names of the inputs of an operation's example that hold ids.
func Subjects(op *ops.Operation) (names []string) {
	var args Args
	if json.Unmarshal([]byte(op.Doc.Example), &args) != nil {
		return nil
	}
	for _, name := range op.InputOrder {
		if text, ok := args[name].(string); ok && idPattern.MatchString(text) {
			names = append(names, name)
		}
	}
	return names
}
