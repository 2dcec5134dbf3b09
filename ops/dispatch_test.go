package ops_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth"
	"berth/account"
	"berth/ops"
	"berth/ops/opstest"
	"berth/remote"
)

func keyed(w *opstest.World, creds []ops.Credential, key, op string, args opstest.Args) (*ops.Result, error) {
	return w.System.Dispatch(context.Background(), &ops.Call{Op: op, Args: args, Creds: creds, Key: key, Front: "http"})
}

// TestSteps checks the order of Dispatch's steps: of two things that are wrong,
// the earlier step's is told.
func TestSteps(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Budget = budget(smallHour, 0) })
	suspended := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true })
	if _, err := keyed(w, p.Creds, "first", "create_server", smallForAnHour); err != nil {
		t.Fatal(err)
	}
	w.Settle() // all of the budget is spent
	foreign := string(w.Server(w.Principal()))
	wrong := []ops.Credential{{Scheme: ops.BearerScheme, Token: "wrong"}}
	for _, tt := range []struct {
		name  string
		call  ops.Call
		code  berth.Code
		field string
	}{
		{"unknown operation before all", ops.Call{Op: "teleport", Args: opstest.Args{"a": 1}, Creds: wrong}, berth.NotFound, ""},
		{"bind before identify", ops.Call{Op: "create_server", Args: opstest.Args{"size": 1.0}, Creds: wrong}, berth.InvalidInput, "size"},
		{"identify before bind, for probes", ops.Call{Op: "create_server", Bare: true, Creds: wrong}, berth.Unauthenticated, ""},
		{"identify before replay", ops.Call{Op: "create_server", Args: smallForAnHour, Creds: suspended.Creds, Key: "first"}, berth.Suspended, ""},
		{"replay before pay", ops.Call{Op: "create_server", Args: smallForAnHour, Creds: p.Creds, Key: "first"}, "", ""},
		{"replay before plan", ops.Call{Op: "create_server", Args: with(smallForAnHour, "region", "mars"), Creds: p.Creds, Key: "first"}, berth.IdempotencyConflict, ""},
		{"authorise before plan", ops.Call{Op: "resize_server", Args: opstest.Args{"server_id": foreign, "size": "none"}, Creds: p.Creds}, berth.NotFound, ""},
		{"plan before quote", ops.Call{Op: "create_server", Args: with(smallForAnHour, "region", "mars"), Creds: p.Creds, Quote: "quo_none"}, berth.UnknownRegion, ""},
		{"quote before pay", ops.Call{Op: "create_server", Args: smallForAnHour, Creds: p.Creds, Quote: "quo_none"}, berth.NotFound, ""},
		{"pay", ops.Call{Op: "create_server", Args: smallForAnHour, Creds: p.Creds}, berth.BudgetExceeded, ""},
		{"a key that is too long", ops.Call{Op: "create_server", Args: smallForAnHour, Creds: p.Creds, Key: strings.Repeat("k", 256)}, berth.InvalidInput, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.System.Dispatch(t.Context(), &tt.call)
			if tt.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := wantError(t, err, tt.code)
			if tt.field != "" && !strings.Contains(e.Message, tt.field+":") {
				t.Errorf("fields = %v", e.Fields)
			}
		})
	}
}

func TestReplay(t *testing.T) {
	w := opstest.New(t)
	p, other := w.Principal(), w.Principal()
	first, err := keyed(w, p.Creds, "k", "create_server", smallForAnHour)
	if err != nil || first.Replayed {
		t.Fatalf("%+v, %v", first, err)
	}
	before := w.State()
	// The same input, written otherwise.
	again, err := keyed(w, p.Creds, "k", "create_server", opstest.Args{"size": "small", "region": "nyc1", "minutes": "60", "label": nil})
	if err != nil || !again.Replayed {
		t.Fatalf("%+v, %v", again, err)
	}
	if diff := cmp.Diff(first.Out, again.Out); diff != "" || again.Action != first.Action || *again.Receipt != *first.Receipt {
		t.Errorf("another answer: %s", diff)
	}
	if _, err := keyed(w, p.Creds, "k", "create_server", with(smallForAnHour, "minutes", 61)); err == nil {
		t.Error("another input was not refused")
	} else if e := wantError(t, err, berth.IdempotencyConflict); e.Hint == "" {
		t.Error("no hint")
	}
	if after := w.State(); !cmp.Equal(before, after) {
		t.Errorf("a replay changed something: %s", cmp.Diff(before, after))
	}
	for name, call := range map[string]func() (*ops.Result, error){
		"another key":       func() (*ops.Result, error) { return keyed(w, p.Creds, "k2", "create_server", smallForAnHour) },
		"another operation": func() (*ops.Result, error) { return keyed(w, p.Creds, "k", "quote", smallQuote) },
		"another principal": func() (*ops.Result, error) { return keyed(w, other.Creds, "k", "create_server", smallForAnHour) },
	} {
		if res, err := call(); err != nil || res.Replayed {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
}

// TestReplayAfterRefusal: a refused call leaves its key free.
func TestReplayAfterRefusal(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	if _, err := keyed(w, p.Creds, "k", "create_server", with(smallForAnHour, "region", "mars")); err == nil {
		t.Fatal("mars is no region")
	}
	if res, err := keyed(w, p.Creds, "k", "create_server", smallForAnHour); err != nil || res.Replayed {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestNobodyHasNoKeys(t *testing.T) {
	w := opstest.New(t)
	first, err := keyed(w, nil, "k", "quote", smallQuote)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keyed(w, nil, "k", "quote", with(smallQuote, "minutes", 61))
	if err != nil || second.Replayed || second.Out.(ops.QuoteOut).QuoteID == first.Out.(ops.QuoteOut).QuoteID {
		t.Errorf("two strangers share a key: %+v, %v", second, err)
	}
}

// TestIdenticalCallsAtOnce: however many come at once, one is carried out.
func TestIdenticalCallsAtOnce(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := w.Server(p)
	spent := w.Balance(p.ID)
	for _, tt := range []struct {
		op   string
		args opstest.Args
	}{
		{"create_server", smallForAnHour},
		{"ssh_exec", opstest.Args{"server_id": string(server), "command": "make"}},
		{"upload_file", opstest.Args{"server_id": string(server), "path": "/a", "content": "b"}},
		{"add_ssh_key", opstest.Args{"name": "k", "public_key": opstest.PublicKey()}},
	} {
		t.Run(tt.op, func(t *testing.T) {
			const calls = 8
			handled := len(w.Hands.Calls())
			var mu sync.Mutex
			fresh, outs := 0, map[string]bool{}
			for _, err := range atOnce(calls, func(int) error {
				res, err := keyed(w, p.Creds, "same", tt.op, tt.args)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				if !res.Replayed {
					fresh++
				}
				outs[fmt.Sprintf("%+v %+v", plain(res.Out), res.Receipt)] = true
				return nil
			}) {
				if err != nil {
					t.Error(err)
				}
			}
			if fresh != 1 {
				t.Errorf("%d of %d calls were carried out", fresh, calls)
			}
			if done := len(w.Hands.Calls()) - handled; done > 1 {
				t.Errorf("the server was told %d times", done)
			}
		})
	}
	w.Settle()
	if n := len(w.Must(p.Creds, "list_servers", nil).Out.(ops.ServersOut).Servers); n != 2 {
		t.Errorf("there are %d servers, want 2", n)
	}
	if got := w.Balance(p.ID).Debited - spent.Debited; got != smallHour+1000 {
		t.Errorf("%s were charged", got)
	}
	w.Verify()
}

// plain is what tells answers apart, without pointers.
func plain(out any) string {
	if v, ok := out.(ops.CreateServerOut); ok {
		return string(v.ID)
	}
	return fmt.Sprintf("%T", out)
}

// TestOperatorReplays: an operator who acts for an owner has keys of its own,
// also for what it could not do twice.
func TestOperatorReplays(t *testing.T) {
	w := opstest.New(t)
	local := w.Local(0)
	p := w.Principal()
	server := string(w.Server(p))
	for _, op := range []string{"ssh_exec", "destroy_server"} {
		args := opstest.Args{"server_id": server}
		if op == "ssh_exec" {
			args["command"] = "true"
		}
		first, err := keyed(w, opstest.Operator, "k", op, args)
		if err != nil || first.Replayed {
			t.Fatalf("%s: %+v, %v", op, first, err)
		}
		again, err := keyed(w, opstest.Operator, "k", op, args)
		if err != nil || !again.Replayed {
			t.Errorf("%s again: %+v, %v", op, again, err)
		}
	}
	for _, a := range w.Audit() {
		if (a.Operation == "ssh_exec" || a.Operation == "destroy_server") && a.Principal != local.ID {
			t.Errorf("the trail says that %s did it: %+v", a.Principal, a)
		}
	}
}

func TestSecretsAreNotStored(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	res, err := keyed(w, opstest.Operator, "k", "create_account", opstest.Args{"email": "dev@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	token := res.Out.(ops.AccountView).APIKey
	key, err := keyed(w, opstest.Operator, "k", "create_api_key", opstest.Args{"account": "dev@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{token, key.Out.(ops.APIKeyView).Secret} {
		if !strings.HasPrefix(secret, "berth_") || w.Contains(secret) || w.Contains(secret[40:]) {
			t.Errorf("%q is empty or stands in a stored answer", secret)
		}
		if _, err := w.Do([]ops.Credential{{Scheme: ops.BearerScheme, Token: secret}}, "get_balance", nil); err != nil {
			t.Errorf("the key does not work: %v", err)
		}
	}
	again, err := keyed(w, opstest.Operator, "k", "create_account", opstest.Args{"email": "dev@example.com"})
	if err != nil || !again.Replayed || again.Out.(ops.AccountView).APIKey != "" {
		t.Errorf("the replay = %+v, %v", again, err)
	}
	// A server's password is for its owner, who asks for it.
	p := w.Principal()
	server := string(w.Server(p))
	plain := w.Must(p.Creds, "get_server", opstest.Args{"server_id": server}).Out.(ops.ServerView)
	shown := w.Must(p.Creds, "get_server", opstest.Args{"server_id": server, "reveal_credentials": true}).Out.(ops.ServerView)
	if plain.RootPassword != "" || shown.RootPassword == "" {
		t.Errorf("passwords %q and %q", plain.RootPassword, shown.RootPassword)
	}
}

func TestAnonymousCalls(t *testing.T) {
	w := opstest.New(t)
	for _, tt := range []struct {
		name   string
		call   ops.Call
		code   berth.Code
		amount berth.Micros
	}{
		{"the price of a server", ops.Call{Op: "create_server", Args: smallForAnHour}, berth.PaymentRequired, smallHour},
		{"the price of a key", ops.Call{Op: "add_ssh_key", Args: opstest.Args{"name": "k", "public_key": opstest.PublicKey()}}, berth.PaymentRequired, 1000},
		{"a probe, by the example's price", ops.Call{Op: "create_server", Bare: true}, berth.PaymentRequired, 35_000},
		{"a body that is wrong", ops.Call{Op: "create_server", Args: opstest.Args{"size": "small"}}, berth.InvalidInput, 0},
		{"a region that is not there", ops.Call{Op: "create_server", Args: with(smallForAnHour, "region", "mars")}, berth.UnknownRegion, 0},
		{"an id that is not there", ops.Call{Op: "create_server", Args: with(smallForAnHour, "snapshot_id", "snap_none")}, berth.PaymentRequired, 0},
		{"a key that is not there", ops.Call{Op: "create_server", Args: with(smallForAnHour, "ssh_key_ids", "key_none")}, berth.PaymentRequired, 0},
		{"a server that is not there", ops.Call{Op: "destroy_server", Args: opstest.Args{"server_id": "srv_none"}}, berth.PaymentRequired, 0},
		{"a list", ops.Call{Op: "list_servers", Bare: true}, berth.PaymentRequired, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.System.Dispatch(t.Context(), &tt.call)
			e := wantError(t, err, tt.code)
			if tt.code != berth.PaymentRequired {
				return
			}
			if e.Payment == nil || e.Payment.Amount != tt.amount || e.Payment.Challenges == nil || e.Hint == "" {
				t.Errorf("payment = %+v, hint = %q", e.Payment, e.Hint)
			}
		})
	}
	if out := w.Must(nil, "list_sizes", nil).Out.(ops.SizesOut); len(out.Sizes) != 3 {
		t.Errorf("the catalog is open to all: %+v", out)
	}
}

func TestAuditTrail(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	for _, op := range w.System.Table().All() {
		t.Run(op.Name, func(t *testing.T) {
			p := w.Principal()
			args := w.Example(p, op)
			if op.Name == "download_file" || op.Name == "export_ledger" {
				return // they change nothing; TestExamples runs them
			}
			before := len(w.Audit())
			call := ops.Call{Op: op.Name, Args: args, Creds: p.Creds, Front: "mcp"}
			if op.Access == ops.Operator {
				call.Creds = opstest.Operator
			}
			call.Creds = append(call.Creds, w.Signed(op)...)
			if _, err := w.System.Dispatch(t.Context(), &call); err != nil {
				t.Fatal(err)
			}
			lines := w.Audit()[before:]
			if !op.Changes() {
				if len(lines) > 0 {
					t.Errorf("a read left %+v", lines)
				}
				return
			}
			last := lines[len(lines)-1]
			if last.Operation != op.Name || last.Outcome != "ok" || last.Front != "mcp" || last.Principal == "" {
				t.Errorf("the trail ends with %+v", last)
			}
			if op.Access != ops.Operator && (last.Principal != p.ID || last.Key != p.Key.ID) {
				t.Errorf("the trail does not name who did it: %+v", last)
			}
			for _, name := range opstest.Subjects(op) {
				if op.Access != ops.Operator && last.Subject == "" {
					t.Errorf("the trail does not name the %s: %+v", name, last)
				}
			}
		})
	}
}

// TestRunIsAudited: work on a server is recorded before it begins, and with its
// failure.
func TestRunIsAudited(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := w.Server(p)
	before := len(w.Audit())
	w.Hands.Fault = &remote.Error{Kind: remote.Unreachable, Message: "nothing answers"}
	_, err := w.Do(p.Creds, "ssh_exec", opstest.Args{"server_id": string(server), "command": "true"})
	wantError(t, err, berth.Unreachable)
	lines := w.Audit()[before:]
	if len(lines) != 2 || lines[0].Outcome != "started" || lines[1].Outcome != "unreachable" || lines[0].Subject != server {
		t.Errorf("trail = %+v", lines)
	}
}

func TestOutsideFailuresAreInternal(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := w.Server(p)
	w.Hands.Fault = errors.New("a secret detail")
	_, err := w.Do(p.Creds, "ssh_exec", opstest.Args{"server_id": string(server), "command": "true"})
	e := wantError(t, err, berth.Internal)
	if strings.Contains(e.Message+e.Hint, "secret") {
		t.Errorf("the cause is told: %s", e.Message)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.System.Dispatch(ctx, &ops.Call{Op: "get_balance", Creds: p.Creds}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended gives %v", err)
	}
}

func TestOperatorActsForOwners(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	p := w.Principal()
	server := string(w.Server(p))
	before := w.Balance(p.ID)
	w.Must(opstest.Operator, "extend", opstest.Args{"id": server, "minutes": 60})
	if got := w.Balance(p.ID).Debited - before.Debited; got != 15_000 {
		t.Errorf("the owner was charged %s", got)
	}
	w.Must(opstest.Operator, "update_account", opstest.Args{"account": "local", "suspended": true})
	if _, err := w.Do([]ops.Credential{{Scheme: ops.LocalScheme}}, "get_balance", nil); err == nil {
		t.Error("the local account is suspended and answers")
	} else {
		wantError(t, err, berth.Suspended)
	}
	w.Must(opstest.Operator, "update_account", opstest.Args{"account": "local", "suspended": false})
}
