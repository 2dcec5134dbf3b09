package ops_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/provider"
)

// The price of a small server for an hour.
const (
	smallHour     = 35_000 * berth.Micros(1) // 0.02 + 0.015
	smallHourCost = 8_930 * berth.Micros(1)  // what the provider takes, rounded up
)

var smallForAnHour = opstest.Args{"size": "small", "region": "nyc1", "minutes": 60}

func budget(total, perCall berth.Micros) account.Budget {
	return account.Budget{Total: total, PerCall: perCall}
}

func TestHoldIsCapturedOnDelivery(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	res := w.Must(p.Creds, "create_server", smallForAnHour)
	if r := res.Receipt; r == nil || r.Status != "held" || r.Amount != smallHour || r.Rail != "balance" {
		t.Fatalf("receipt = %+v", res.Receipt)
	}
	if b := w.Balance(p.ID); b.Held != smallHour || b.Debited != 0 {
		t.Errorf("before delivery: %+v", b)
	}
	w.Settle()
	if b := w.Balance(p.ID); b.Held != 0 || b.Debited != smallHour {
		t.Errorf("after delivery: %+v", b)
	}
	w.Verify()
}

func TestHoldIsReleasedOnFailure(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	w.Cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
	res := w.Must(p.Creds, "create_server", smallForAnHour)
	w.Settle()
	if b := w.Balance(p.ID); b.Held != 0 || b.Debited != 0 {
		t.Errorf("after the failure: %+v", b)
	}
	out := w.Must(p.Creds, "list_transactions", nil).Out.(ops.TransactionsOut).Transactions
	if len(out) != 3 || out[0].Type != "release" || out[0].Hold != res.Receipt.Transaction || out[1].Type != "hold" || out[2].Type != "credit" {
		t.Errorf("transactions = %+v", out)
	}
	w.Verify()
}

func TestInsufficientBalance(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	before := w.State()
	_, err := w.Do(p.Creds, "create_server", opstest.Args{"size": "large", "region": "nyc1", "minutes": 60_000})
	e := wantError(t, err, berth.InsufficientBalance)
	if d := e.Payment; d == nil || d.Amount <= opstest.Credit || d.Balance == nil || *d.Balance != opstest.Credit {
		t.Errorf("payment = %+v", e.Payment)
	}
	if !strings.Contains(e.Hint, "top_up") {
		t.Errorf("hint = %q", e.Hint)
	}
	if after := w.State(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestBudgets(t *testing.T) {
	for name, tt := range map[string]struct {
		principal, key account.Budget
		bought         int // servers for an hour that can be bought
	}{
		"no cap":             {bought: 3},
		"the account's":      {principal: budget(2*smallHour, 0), bought: 2},
		"the account's call": {principal: budget(0, smallHour-1), bought: 0},
		"exactly one call":   {principal: budget(0, smallHour), bought: 3},
		"the key's":          {key: budget(2*smallHour+1, 0), bought: 2},
		"the key's call":     {key: budget(0, smallHour-1), bought: 0},
		"the smaller counts": {principal: budget(3*smallHour, 0), key: budget(smallHour, 0), bought: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := opstest.New(t)
			p := w.Principal(func(p *account.Principal, k *account.APIKey) { p.Budget, k.Budget = tt.principal, tt.key })
			for i := range 3 {
				_, err := w.Do(p.Creds, "create_server", smallForAnHour)
				if i < tt.bought {
					if err != nil {
						t.Fatalf("purchase %d: %v", i+1, err)
					}
					continue
				}
				if e := wantError(t, err, berth.BudgetExceeded); e.Hint == "" {
					t.Error("no hint")
				}
			}
			if held := w.Balance(p.ID).Held; held != berth.Micros(tt.bought)*smallHour {
				t.Errorf("held %s for %d servers", held, tt.bought)
			}
		})
	}
}

// TestBudgetHoldsUnderConcurrency: the cap is checked where the money moves.
func TestBudgetHoldsUnderConcurrency(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Budget = budget(3*smallHour, 0) })
	errs := atOnce(8, func(int) error {
		_, err := w.Do(p.Creds, "create_server", smallForAnHour)
		return err
	})
	refused := 0
	for _, err := range errs {
		if err != nil {
			wantError(t, err, berth.BudgetExceeded)
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d of 8 were refused, want 5", refused)
	}
	w.Settle()
	w.Verify()
}

func TestKeyBudgetIsItsOwn(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	w.Local(0)
	other := w.Must(opstest.Operator, "create_api_key", opstest.Args{"account": p.Email, "budget_total": "0.04"}).Out.(ops.APIKeyView)
	creds := []ops.Credential{{Scheme: ops.BearerScheme, Token: other.Secret}}
	w.Must(p.Creds, "create_server", smallForAnHour)
	w.Must(creds, "create_server", smallForAnHour)
	_, err := w.Do(creds, "create_server", smallForAnHour)
	if e := wantError(t, err, berth.BudgetExceeded); !strings.Contains(e.Message, string(other.ID)) || !strings.Contains(e.Message, "0.005") {
		t.Errorf("the refusal does not say whose cap it is and what is left: %s", e.Message)
	}
	out := w.Must(creds, "get_balance", nil).Out.(ops.BalanceOut)
	if out.KeyBudget == nil || *out.KeyBudget.Left != 5_000 || out.Spent != 2*smallHour {
		t.Errorf("balance = %+v", out)
	}
}

func TestQuoteIsHonoured(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := string(w.Server(p))
	buy := w.Must(p.Creds, "quote", opstest.Args{"size": "small", "region": "nyc1", "minutes": 60}).Out.(ops.QuoteOut)
	more := w.Must(p.Creds, "quote", opstest.Args{"operation": "extend", "id": server, "minutes": 120}).Out.(ops.QuoteOut)
	if buy.Total != smallHour || !*buy.Covered || len(buy.Breakdown) == 0 {
		t.Fatalf("quote = %+v", buy)
	}
	w.Restart(dearer())
	if now := w.Must(p.Creds, "quote", smallQuote).Out.(ops.QuoteOut); now.Total != 10*smallHour {
		t.Fatalf("the new price is %s", now.Total)
	}
	res, err := honour(w, p, "create_server", smallForAnHour, buy.QuoteID)
	if err != nil || res.Receipt.Amount != smallHour {
		t.Errorf("create_server: %+v, %v", res, err)
	}
	res, err = honour(w, p, "extend", opstest.Args{"id": server, "minutes": 120}, more.QuoteID)
	if err != nil || res.Receipt.Amount != more.Total || res.Out.(ops.ExtendOut).Charged != more.Total {
		t.Errorf("extend: %+v, %v", res, err)
	}
	if res := w.Must(p.Creds, "create_server", smallForAnHour); res.Receipt.Amount != 10*smallHour {
		t.Errorf("without a quote it costs %s", res.Receipt.Amount)
	}
	w.Settle()
	w.Verify()
}

var smallQuote = opstest.Args{"size": "small", "region": "nyc1", "minutes": 60}

// dearer is a catalog of ten times the prices.
func dearer() *billing.Catalog {
	c := billing.DefaultCatalog()
	for i := range c.Prices[billing.Native].Sizes {
		c.Prices[billing.Native].Sizes[i].CreateFee *= 10
		c.Prices[billing.Native].Sizes[i].Hourly *= 10
	}
	return c
}

func honour(w *opstest.World, p opstest.Principal, op string, args opstest.Args, quote berth.ID) (*ops.Result, error) {
	return w.System.Dispatch(context.Background(), &ops.Call{Op: op, Args: args, Creds: p.Creds, Quote: quote, Front: "http"})
}

func TestQuoteIsRefused(t *testing.T) {
	w := opstest.New(t)
	p, other := w.Principal(), w.Principal()
	ask := func(creds []ops.Credential) berth.ID {
		return w.Must(creds, "quote", smallQuote).Out.(ops.QuoteOut).QuoteID
	}
	for name, tt := range map[string]struct {
		quote func() berth.ID // the caller's own, where nil
		args  opstest.Args
		op    string
		age   time.Duration
		code  berth.Code
	}{
		"expired":         {args: smallForAnHour, op: "create_server", age: 10 * time.Minute, code: berth.QuoteExpired},
		"just in time":    {args: smallForAnHour, op: "create_server", age: 10*time.Minute - time.Second},
		"more minutes":    {args: with(smallForAnHour, "minutes", 61), op: "create_server", code: berth.QuoteMismatch},
		"another size":    {args: with(smallForAnHour, "size", "large"), op: "create_server", code: berth.QuoteMismatch},
		"another region":  {args: with(smallForAnHour, "region", "sfo3"), op: "create_server", code: berth.QuoteMismatch},
		"another purpose": {args: opstest.Args{"name": "k", "public_key": opstest.PublicKey()}, op: "add_ssh_key", code: berth.QuoteMismatch},
		"somebody else's": {quote: func() berth.ID { return ask(other.Creds) }, args: smallForAnHour, op: "create_server", code: berth.NotFound},
		"unknown":         {quote: func() berth.ID { return opstest.Unknown("quo") }, args: smallForAnHour, op: "create_server", code: berth.NotFound},
		"nobody's":        {quote: func() berth.ID { return ask(nil) }, args: smallForAnHour, op: "create_server"},
		"what it is not about": {
			args: with(with(smallForAnHour, "label", "web-1"), "image", "debian-12-x64"), op: "create_server",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.quote == nil {
				tt.quote = func() berth.ID { return ask(p.Creds) }
			}
			quote := tt.quote()
			w.Clock.Advance(tt.age)
			before := w.State()
			_, err := honour(w, p, tt.op, tt.args, quote)
			if tt.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := wantError(t, err, tt.code); e.Hint == "" {
				t.Error("no hint")
			}
			if after := w.State(); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("%v became %v", before, after)
			}
		})
	}
}

// TestEveryPricedOperationCanBeQuoted: what a quote says is what is charged.
func TestEveryPricedOperationCanBeQuoted(t *testing.T) {
	w := opstest.New(t)
	for _, op := range w.System.Table().All() {
		if !op.Priced {
			continue
		}
		t.Run(op.Name, func(t *testing.T) {
			p := w.Principal()
			args := w.Example(p, op)
			ask := opstest.Args{"operation": op.Name}
			quotable := w.System.Table().Lookup("quote").Input.Properties
			for name, v := range args {
				switch {
				case name == "server_id":
					ask["id"] = v
				case quotable[name] != nil:
					ask[name] = v
				}
			}
			q := w.Must(p.Creds, "quote", ask).Out.(ops.QuoteOut)
			res, err := honour(w, p, op.Name, args, q.QuoteID)
			if err != nil {
				t.Fatalf("%v is not what was quoted by %v: %v", args, ask, err)
			}
			if res.Receipt.Amount != q.Total {
				t.Errorf("quoted %s, charged %s", q.Total, res.Receipt.Amount)
			}
		})
	}
	w.Settle()
	w.Local(0)
	w.Verify()
}

func TestLocalPrincipalPaysCost(t *testing.T) {
	w := opstest.New(t)
	p := w.Local(smallHourCost * 2)
	if b := w.Balance(p.ID); b.Credited != smallHourCost*2 {
		t.Fatalf("granted %s", b.Credited)
	}
	sizes := w.Must(p.Creds, "list_sizes", nil).Out.(ops.SizesOut).Sizes
	if sizes[0].CreateFee != 0 || sizes[0].Hourly != smallHourCost {
		t.Errorf("sizes = %+v", sizes[0])
	}
	for range 2 {
		if res := w.Must(p.Creds, "create_server", smallForAnHour); res.Receipt.Amount != smallHourCost {
			t.Errorf("charged %s", res.Receipt.Amount)
		}
	}
	if _, err := w.Do(p.Creds, "create_server", smallForAnHour); err == nil {
		t.Error("it spent more than its budget")
	}
	w.Settle()
	w.Verify()
}

func TestSettleLocal(t *testing.T) {
	w := opstest.New(t)
	steps := []struct {
		budget   berth.Micros
		explicit bool
		total    berth.Micros // the cap after it
		credited berth.Micros // all that was ever granted
	}{
		{10 * berth.Dollar, false, 10 * berth.Dollar, 10 * berth.Dollar}, // the first start
		{20 * berth.Dollar, false, 10 * berth.Dollar, 10 * berth.Dollar}, // a default changes nothing
		{15 * berth.Dollar, true, 15 * berth.Dollar, 15 * berth.Dollar},  // more: the difference
		{15 * berth.Dollar, true, 15 * berth.Dollar, 15 * berth.Dollar},
		{5 * berth.Dollar, true, 5 * berth.Dollar, 15 * berth.Dollar},   // less: the cap only
		{15 * berth.Dollar, true, 15 * berth.Dollar, 15 * berth.Dollar}, // and back: nothing new
	}
	var first berth.ID
	for i, s := range steps {
		p, err := w.System.SettleLocal(t.Context(), s.budget, s.explicit)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = p.ID
		}
		if p.ID != first || p.Budget.Total != s.total || p.Tariff != account.Cost || w.Balance(p.ID).Credited != s.credited {
			t.Errorf("step %d: %+v, credited %s", i, p, w.Balance(p.ID).Credited)
		}
	}
	errs := atOnce(8, func(i int) error {
		_, err := w.System.SettleLocal(context.Background(), 30*berth.Dollar, true)
		return err
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if got := w.Balance(first).Credited; got != 30*berth.Dollar {
		t.Errorf("eight at once granted %s", got)
	}
}

// TestZeroBudgetSpendsNothing: a budget of nothing is no missing cap, not even
// where there is credit from before.
func TestZeroBudgetSpendsNothing(t *testing.T) {
	w := opstest.New(t)
	p := w.Local(0)
	_, err := w.Do(p.Creds, "create_server", smallForAnHour)
	wantError(t, err, berth.InsufficientBalance)
	w.Local(10 * berth.Dollar)
	w.Local(0)
	_, err = w.Do(p.Creds, "create_server", smallForAnHour)
	wantError(t, err, berth.BudgetExceeded)
}

// atOnce calls fn n times at once and returns what each returned.
func atOnce(n int, fn func(int) error) []error {
	errs, done := make([]error, n), make(chan struct{})
	begin := make(chan struct{})
	for i := range n {
		go func() {
			<-begin
			errs[i] = fn(i)
			done <- struct{}{}
		}()
	}
	close(begin)
	for range n {
		<-done
	}
	return errs
}
