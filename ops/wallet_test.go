package ops_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/billing/railtest"
	"berth/ops"
	"berth/ops/opstest"
)

const (
	payer    = "0x1111111111111111111111111111111111111111"
	stranger = "0x2222222222222222222222222222222222222222"
)

// purse is a world with a wallet that has ten dollars.
func purse(t *testing.T) *opstest.World {
	w := opstest.New(t)
	w.Rail.Fund(payer, 10*berth.Dollar)
	return w
}

func credential(nonce string, amount berth.Micros) railtest.Credential {
	return railtest.Credential{From: payer, Nonce: nonce, Amount: amount, Expires: opstest.Epoch.Add(time.Hour)}
}

func signed(c railtest.Credential) []ops.Credential {
	return []ops.Credential{{Scheme: ops.X402Scheme, Token: c.Text()}}
}

// agree checks that the ledger holds, and that what it took in is what arrived
// on the chain.
func agree(t *testing.T, w *opstest.World, arrived berth.Micros, transactions int) {
	t.Helper()
	if paid, n := w.Rail.Received(); paid != arrived || n != transactions {
		t.Errorf("%s USD arrived in %d transactions, want %s in %d", paid, n, arrived, transactions)
	}
	w.Read(func(ctx context.Context, rx ops.Rx) error {
		report, err := billing.Verify(ctx, rx)
		if err != nil {
			return err
		}
		if !report.OK() {
			t.Errorf("the ledger: %v", report.Problems)
		}
		var credited berth.Micros
		for _, a := range report.Accounts {
			if a.Account == billing.RailAccount(railtest.Name) {
				credited = a.Debited - a.Credited
			}
		}
		if credited != arrived {
			t.Errorf("%s USD arrived and %s USD were credited", arrived, credited)
		}
		return nil
	})
}

func TestPay(t *testing.T) {
	w := purse(t)
	c := credential("1", smallHour)
	res := w.Must(signed(c), "create_server", smallForAnHour)
	if r := res.Receipt; r == nil || r.Rail != railtest.Name || r.Payment == nil || r.Payment.Hash == "" || r.Amount != smallHour {
		t.Errorf("receipt = %+v", r)
	}
	again := w.Must(signed(c), "create_server", smallForAnHour)
	if !again.Replayed || again.Out.(ops.CreateServerOut).ID != res.Out.(ops.CreateServerOut).ID {
		t.Errorf("the same credential again made %+v", again.Out)
	}
	w.Settle()
	agree(t, w, smallHour, 1)
	proof := credential("2", 0)
	list := w.Must(signed(proof), "list_servers", nil).Out.(ops.ServersOut)
	if len(list.Servers) != 1 || list.Servers[0].ID != res.Out.(ops.CreateServerOut).ID {
		t.Errorf("the wallet's servers = %+v", list)
	}
	_, err := w.Do(signed(proof), "list_servers", nil)
	wantError(t, err, berth.PaymentRejected)
	// Nobody sees the wallet's server by another wallet's proof.
	other := railtest.Credential{From: stranger, Nonce: "1", Expires: opstest.Epoch.Add(time.Hour)}
	_, err = w.Do(signed(other), "get_server", opstest.Args{"server_id": string(list.Servers[0].ID)})
	wantError(t, err, berth.NotFound)
}

func TestRefusedCredentials(t *testing.T) {
	large := with(smallForAnHour, "size", "large")
	for _, tt := range []struct {
		name    string
		change  func(*railtest.Credential)
		args    opstest.Args
		code    berth.Code
		problem billing.Problem
	}{
		{"too little", func(c *railtest.Credential) { c.Amount-- }, smallForAnHour, berth.PaymentRejected, billing.Mismatched},
		{"too much", func(c *railtest.Credential) { c.Amount++ }, smallForAnHour, berth.PaymentRejected, billing.Mismatched},
		{"for something dearer", nil, large, berth.PaymentRejected, billing.Mismatched},
		{"expired", func(c *railtest.Credential) { c.Expires = opstest.Epoch }, smallForAnHour, berth.PaymentRejected, billing.Expired},
		{"forged", func(c *railtest.Credential) { c.Forged = true }, smallForAnHour, berth.PaymentRejected, billing.Unverified},
		{"without funds", func(c *railtest.Credential) { c.From = stranger }, smallForAnHour, berth.PaymentRejected, billing.Insufficient},
		{"bound to another request", func(c *railtest.Credential) { c.Binding = "another" }, smallForAnHour, berth.PaymentRejected, billing.Mismatched},
		{"of nobody", func(c *railtest.Credential) { c.From = "me" }, smallForAnHour, berth.InvalidInput, ""},
		{"for what can't be had", nil, with(smallForAnHour, "region", "mars"), berth.UnknownRegion, ""},
		{"for what is not asked rightly", nil, opstest.Args{"size": "small"}, berth.InvalidInput, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := purse(t)
			c := credential("1", smallHour)
			if tt.change != nil {
				tt.change(&c)
			}
			_, err := w.Do(signed(c), "create_server", tt.args)
			e := wantError(t, err, tt.code)
			if tt.code == berth.PaymentRejected && (e.Payment == nil || e.Payment.Problem != string(tt.problem) || len(e.Payment.Challenges) != 1) {
				t.Errorf("payment = %+v, want the problem %s and a fresh challenge", e.Payment, tt.problem)
			}
			agree(t, w, 0, 0)
		})
	}
}

func TestReuse(t *testing.T) {
	w := purse(t)
	c := credential("1", smallHour)
	w.Must(signed(c), "create_server", smallForAnHour)
	p := w.Principal()
	for _, tt := range []struct {
		name  string
		op    string
		args  opstest.Args
		creds []ops.Credential
	}{
		{"another input", "create_server", with(smallForAnHour, "region", "sfo3"), signed(c)},
		{"another owner", "create_server", smallForAnHour, append(signed(c), p.Creds...)},
		{"another operation", "add_ssh_key", opstest.Args{"name": "k", "public_key": opstest.PublicKey()}, signed(c)},
		{"a free operation", "list_servers", nil, signed(c)},
	} {
		_, err := w.Do(tt.creds, tt.op, tt.args)
		if e := wantError(t, err, berth.PaymentRejected); e.Payment == nil {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
	_, err := w.Do(append(signed(c), signed(credential("2", smallHour))...), "create_server", smallForAnHour)
	wantError(t, err, berth.InvalidInput)
	agree(t, w, smallHour, 1)
}

func TestPaymentIdentifier(t *testing.T) {
	w := purse(t)
	c := credential("1", smallHour)
	c.Identifier = "purchase-0123456789"
	first := w.Must(signed(c), "create_server", smallForAnHour)
	c.Nonce = "2" // signed again
	again := w.Must(signed(c), "create_server", smallForAnHour)
	if !again.Replayed || again.Out.(ops.CreateServerOut).ID != first.Out.(ops.CreateServerOut).ID {
		t.Errorf("the same purchase again = %+v", again)
	}
	c.Nonce = "3"
	_, err := w.Do(signed(c), "create_server", with(smallForAnHour, "region", "sfo3"))
	wantError(t, err, berth.IdempotencyConflict)
	agree(t, w, smallHour, 1)
}

// A client that signs again on each retry pays once, where it gives a key.
func TestSignedAgain(t *testing.T) {
	w := purse(t)
	buy := func(nonce, key string, args opstest.Args) (*ops.Result, error) {
		return w.System.Dispatch(t.Context(), &ops.Call{
			Op: "create_server", Args: args, Creds: signed(credential(nonce, smallHour)), Front: "http", Key: key,
		})
	}
	w.Rail.Inject(railtest.Faults{Delay: 1})
	_, err := buy("1", "purchase", smallForAnHour)
	wantError(t, err, berth.PaymentPending)
	_, err = buy("2", "purchase", with(smallForAnHour, "region", "sfo3"))
	wantError(t, err, berth.IdempotencyConflict)
	res, err := buy("3", "purchase", smallForAnHour)
	if err != nil || res.Receipt.Payment == nil || !strings.HasSuffix(res.Receipt.Payment.Claim, "/1") {
		t.Fatalf("signed again: %+v, %v", res, err)
	}
	again, err := buy("4", "purchase", smallForAnHour)
	if err != nil || !again.Replayed {
		t.Errorf("and again: %+v, %v", again, err)
	}
	agree(t, w, smallHour, 1)
	// A payment that failed stands in nobody's way.
	w.Rail.Inject(railtest.Faults{Revert: true})
	_, err = buy("5", "other", smallForAnHour)
	wantError(t, err, berth.PaymentRejected)
	if _, err := buy("6", "other", smallForAnHour); err != nil {
		t.Error(err)
	}
	agree(t, w, 2*smallHour, 2)
}

func TestManyCopies(t *testing.T) {
	w := purse(t)
	c := credential("1", smallHour)
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
		ids  = map[berth.ID]int{}
	)
	for range 8 {
		wait.Go(func() {
			res, err := w.Do(signed(c), "create_server", smallForAnHour)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			ids[res.Out.(ops.CreateServerOut).ID]++
		})
	}
	wait.Wait()
	if len(ids) != 1 {
		t.Errorf("eight copies of a credential bought %v", ids)
	}
	agree(t, w, smallHour, 1)
}

func TestChainAccidents(t *testing.T) {
	for _, tt := range []struct {
		name    string
		faults  railtest.Faults
		first   berth.Code // how the first request ends
		arrived berth.Micros
	}{
		{"no answer before the broadcast", railtest.Faults{Submit: railtest.ErrBefore}, berth.Unavailable, 0},
		{"no answer to the check", railtest.Faults{Verify: railtest.ErrBefore}, berth.Unavailable, 0},
		{"nobody knows who signed", railtest.Faults{Read: railtest.ErrBefore}, berth.Unavailable, 0},
		{"no answer after the broadcast", railtest.Faults{Submit: railtest.ErrAfter}, berth.PaymentPending, smallHour},
		{"written down and never sent", railtest.Faults{Lose: true}, berth.PaymentPending, 0},
		{"slow to be confirmed", railtest.Faults{Delay: 1}, berth.PaymentPending, smallHour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := purse(t)
			w.Rail.Inject(tt.faults)
			c := credential("1", smallHour)
			_, err := w.Do(signed(c), "create_server", smallForAnHour)
			e := wantError(t, err, tt.first)
			if tt.first == berth.PaymentPending && (e.RetryAfter == 0 || e.Payment != nil) {
				t.Errorf("a payment under way is answered with %+v", e)
			}
			if paid, _ := w.Rail.Received(); paid != tt.arrived {
				t.Errorf("%s arrived, want %s", paid, tt.arrived)
			}
			res := w.Must(signed(c), "create_server", smallForAnHour)
			if res.Replayed || res.Receipt.Payment == nil {
				t.Errorf("the retry = %+v", res)
			}
			agree(t, w, smallHour, 1)
		})
	}
}

func TestRevertedPayment(t *testing.T) {
	w := purse(t)
	w.Rail.Inject(railtest.Faults{Revert: true})
	c := credential("1", smallHour)
	for range 2 {
		_, err := w.Do(signed(c), "create_server", smallForAnHour)
		wantError(t, err, berth.PaymentRejected)
	}
	agree(t, w, 0, 0)
}

func TestReconciledPayment(t *testing.T) {
	w := purse(t)
	w.Rail.Inject(railtest.Faults{Lose: true})
	c := credential("1", smallHour)
	_, err := w.Do(signed(c), "create_server", smallForAnHour)
	wantError(t, err, berth.PaymentPending)
	w.Restart(w.Catalog) // as after a crash
	if err := w.System.FollowPayments(t.Context()); err != nil {
		t.Fatal(err)
	}
	agree(t, w, smallHour, 1)
	if b := w.Must(signed(credential("2", 0)), "get_balance", nil).Out.(ops.BalanceOut); b.Balance != smallHour {
		t.Errorf("the payment that arrived is credit of %s", b.Balance)
	}
	// The client's retry completes the order with it.
	w.Must(signed(c), "create_server", smallForAnHour)
	w.Settle()
	agree(t, w, smallHour, 1)
	if b := w.Must(signed(credential("3", 0)), "get_balance", nil).Out.(ops.BalanceOut); b.Balance != 0 {
		t.Errorf("credit of %s is left", b.Balance)
	}
}

func TestAbandonedPayment(t *testing.T) {
	w := purse(t)
	w.Rail.Inject(railtest.Faults{Verify: railtest.ErrBefore})
	c := credential("1", smallHour)
	_, err := w.Do(signed(c), "create_server", smallForAnHour)
	wantError(t, err, berth.Unavailable)
	w.Clock.Advance(2 * time.Hour)
	w.Rail.Inject(railtest.Faults{Verify: billing.Refuse(billing.Expired, "by the chain's clock")})
	if err := w.System.FollowPayments(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.Do(signed(c), "create_server", smallForAnHour)
	wantError(t, err, berth.PaymentRejected)
	agree(t, w, 0, 0)
}

func TestPaidForWhatIsGone(t *testing.T) {
	w := purse(t)
	w.Must(signed(credential("1", smallHour)), "create_server", smallForAnHour)
	w.Rail.Inject(railtest.Faults{Meanwhile: func() {
		w.Write(func(ctx context.Context, tx ops.Tx) error {
			p, err := tx.PrincipalByWallet(ctx, berth.Wallet{Address: payer})
			if err != nil {
				return err
			}
			p.ServerLimit = 1
			return tx.UpdatePrincipal(ctx, p)
		})
	}})
	_, err := w.Do(signed(credential("2", smallHour)), "create_server", smallForAnHour)
	wantError(t, err, berth.LimitReached)
	agree(t, w, 2*smallHour, 2)
	if b := w.Must(signed(credential("3", 0)), "get_balance", nil).Out.(ops.BalanceOut); b.Balance != smallHour {
		t.Errorf("the payment for nothing is credit of %s, want %s", b.Balance, smallHour)
	}
}

// Whatever happens between any two steps, nobody pays twice and nothing is lost.
func TestPaymentsOfAKey(t *testing.T) {
	w := purse(t)
	p := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.ServerLimit = 5 })
	before := w.Balance(p.ID).Available()
	res := w.Must(append(signed(credential("1", smallHour)), p.Creds...), "create_server", smallForAnHour)
	if owner := w.Must(p.Creds, "get_server", opstest.Args{"server_id": string(res.Out.(ops.CreateServerOut).ID)}); owner.Out == nil {
		t.Error("the key's account does not own what was paid for it")
	}
	if after := w.Balance(p.ID).Available(); after != before {
		t.Errorf("the balance went from %s to %s though a wallet paid", before, after)
	}
	agree(t, w, smallHour, 1)
	if got := fmt.Sprint(res.Receipt.Rail); got != railtest.Name {
		t.Errorf("paid over %s", got)
	}
}

// What a wallet has spent it does not get back, though it has credit that the
// operator gave.
func TestGiftsStay(t *testing.T) {
	w := purse(t)
	w.Must(signed(credential("1", smallHour)), "create_server", smallForAnHour)
	w.Settle()
	w.Local(0)
	w.Must(opstest.Operator, "credit_account", opstest.Args{"account": payer, "amount": "1.00"})
	_, err := w.Do(signed(credential("2", 0)), "withdraw", nil)
	wantError(t, err, berth.Conflict)
	_, err = w.Do(opstest.Operator, "payout", opstest.Args{"account": payer})
	wantError(t, err, berth.Conflict)
	if b := w.Must(signed(credential("3", 0)), "get_balance", nil).Out.(ops.BalanceOut); b.Balance != berth.Dollar || b.Spent != smallHour {
		t.Errorf("balance %s, spent %s", b.Balance, b.Spent)
	}
	agree(t, w, smallHour, 1)
}

func TestWithdraw(t *testing.T) {
	w := purse(t)
	w.Rail.Inject(railtest.Faults{Lose: true}) // a payment that only becomes credit
	_, err := w.Do(signed(credential("1", smallHour)), "create_server", smallForAnHour)
	wantError(t, err, berth.PaymentPending)
	follow := func() {
		t.Helper()
		if err := w.System.FollowPayments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	_, err = w.Do(signed(credential("2", 0)), "withdraw", opstest.Args{"amount": "0.05"})
	wantError(t, err, berth.Conflict)
	_, err = w.Do(signed(credential("3", 0)), "withdraw", opstest.Args{"amount": "0.001"})
	wantError(t, err, berth.InvalidInput)
	for i, tt := range []struct {
		faults railtest.Faults
		first  billing.State // after one round
		last   billing.State
		funds  berth.Micros
	}{
		{railtest.Faults{Revert: true}, billing.Failed, billing.Failed, 0},
		{railtest.Faults{Verify: billing.Refuse(billing.Insufficient, "nothing there")}, billing.Failed, billing.Failed, 0},
		{railtest.Faults{Submit: railtest.ErrBefore}, billing.Reserved, billing.Settled, 10_000},
		{railtest.Faults{Submit: railtest.ErrAfter}, billing.Submitted, billing.Settled, 10_000},
	} {
		before := w.Rail.Funds(payer)
		out := w.Must(signed(credential(fmt.Sprint("w", i), 0)), "withdraw", opstest.Args{"amount": "0.01"}).Out.(ops.PaymentView)
		w.Rail.Inject(tt.faults)
		follow()
		status := func(nonce string) billing.State {
			args := opstest.Args{"payment_id": string(out.ID)}
			return w.Must(signed(credential(fmt.Sprint(nonce, i), 0)), "get_payment", args).Out.(ops.PaymentView).Status
		}
		if got := status("a"); got != tt.first {
			t.Errorf("payout %d is %s, want %s", i, got, tt.first)
		}
		follow()
		if got := status("b"); got != tt.last {
			t.Errorf("payout %d ends %s, want %s", i, got, tt.last)
		}
		if got := w.Rail.Funds(payer) - before; got != tt.funds {
			t.Errorf("payout %d brought %s, want %s", i, got, tt.funds)
		}
	}
	if b := w.Must(signed(credential("4", 0)), "get_balance", nil).Out.(ops.BalanceOut); b.Balance != smallHour-20_000 || b.Held != 0 || b.Spent != 0 {
		t.Errorf("balance %s and %s held", b.Balance, b.Held)
	}
	agree(t, w, smallHour-20_000, 1)
	compare := func() billing.Comparison {
		return w.Must(opstest.Operator, "compare_payments", nil).Out.(ops.CompareOut).Rails[0]
	}
	w.Local(0)
	if c := compare(); len(c.Problems) > 0 || len(c.Unknown) > 0 || c.In != smallHour || c.Out != 20_000 || c.Payments != 3 {
		t.Errorf("the comparison = %+v", c)
	}
	w.Rail.Drop(stranger, 5)
	w.Paid(w.Principal()) // credited, and never on the chain
	if c := compare(); len(c.Problems) != 1 || len(c.Unknown) != 1 {
		t.Errorf("the comparison = %+v", c)
	}
}
