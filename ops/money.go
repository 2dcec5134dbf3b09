package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// QuoteIn is the input of quote: the operation and those of its inputs that its
// price depends on.
type QuoteIn struct {
	Operation  string `json:"operation,omitempty" enum:"create_server,create_servers,extend,resize_server,rebuild_server,power_server,snapshot,add_ssh_key" default:"create_server"`
	ID         string `json:"id,omitempty" subject:"srv,snap" maxLength:"64" doc:"The server or snapshot, where the operation has one."`
	Count      int    `json:"count,omitempty" minimum:"1" maximum:"10" doc:"Of create_servers."`
	Size       string `json:"size,omitempty" maxLength:"64"`
	Region     string `json:"region,omitempty" maxLength:"64"`
	OfferID    string `json:"offer_id,omitempty" maxLength:"64"`
	Image      string `json:"image,omitempty" catalog:"image" maxLength:"64"`
	Minutes    int    `json:"minutes,omitempty" minimum:"1" maximum:"527040"`
	Days       int    `json:"days,omitempty" minimum:"1" maximum:"365"`
	Lease      string `json:"lease,omitempty" enum:"minutes,hourly,days,deposit"`
	Deposit    string `json:"deposit,omitempty" maxLength:"20"`
	SnapshotID string `json:"snapshot_id,omitempty" minLength:"1" maxLength:"64" doc:"What create_server restores."`
	Action     string `json:"action,omitempty" enum:"on,off,reboot"`
	Class      string `json:"class,omitempty" enum:"snapshot,backup"`
}

// QuoteOut is what quote answers.
type QuoteOut struct {
	QuoteID   berth.ID       `json:"quote_id" example:"quo_0193f2a4c1d05e6f7a8b9c0d"`
	Operation string         `json:"operation"`
	Total     berth.Micros   `json:"total"`
	Deposit   berth.Micros   `json:"deposit,omitempty" doc:"The part of the total that goes into an escrow; what is not used of it returns."`
	Currency  string         `json:"currency" example:"USD"`
	Breakdown []billing.Line `json:"breakdown"`
	ExpiresAt time.Time      `json:"expires_at"`
	Terms     map[string]any `json:"terms" doc:"What the price is for; call the operation with exactly these."`
	Balance   *berth.Micros  `json:"balance,omitempty"`
	Covered   *bool          `json:"covered,omitempty" doc:"Whether your balance and caps cover it."`
}

// BalanceOut is what get_balance answers.
type BalanceOut struct {
	AccountID berth.ID       `json:"account_id"`
	Wallets   []string       `json:"wallets,omitempty" doc:"The wallets that this account belongs to."`
	Balance   berth.Micros   `json:"balance" doc:"What can be spent now: holds are deducted."`
	Held      berth.Micros   `json:"held" doc:"Reserved for work under way."`
	Spent     berth.Micros   `json:"spent" doc:"Spent or held so far, refunds deducted."`
	Currency  string         `json:"currency" example:"USD"`
	Tariff    account.Tariff `json:"tariff" enum:"retail,cost"`
	Hourly    berth.Micros   `json:"hourly_spend" doc:"What your servers cost per hour, without those suspended."`
	Budget    *BudgetView    `json:"budget,omitempty" doc:"Your account's spending caps."`
	KeyBudget *BudgetView    `json:"key_budget,omitempty" doc:"This API key's spending caps."`
}

// BudgetView is a budget with what is left of it.
type BudgetView struct {
	Total   *berth.Micros `json:"total,omitempty"`
	Left    *berth.Micros `json:"left,omitempty"`
	PerCall *berth.Micros `json:"per_call,omitempty"`
}

// TransactionsIn chooses transactions.
type TransactionsIn struct {
	Ref   string `json:"ref,omitempty" maxLength:"64" pattern:"^([a-z]+_[0-9a-f]{24})?$" patternDescription:"an id" doc:"Only those for this server, snapshot or key."`
	After string `json:"after,omitempty" maxLength:"20" doc:"The next of the page before."`
	Limit int    `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// TransactionsOut is what list_transactions answers.
type TransactionsOut struct {
	Transactions []TransactionView `json:"transactions"`
	Next         string            `json:"next,omitempty"`
}

// TransactionView is one movement of the caller's money.
type TransactionView struct {
	ID        string         `json:"id"`
	Type      string         `json:"type" enum:"debit,credit,hold,release" doc:"A hold reserves; a debit that captures it, or a release, ends it."`
	Amount    berth.Micros   `json:"amount"`
	Reason    billing.Reason `json:"reason"`
	Hold      string         `json:"hold,omitempty" doc:"The hold that it ends."`
	Ref       berth.ID       `json:"ref,omitempty"`
	Operation string         `json:"operation,omitempty"`
	Memo      string         `json:"memo,omitempty"`
	KeyID     berth.ID       `json:"api_key_id,omitempty"`
	Rail      string         `json:"rail" enum:"balance,mpp,x402"`
	Payment   *Paid          `json:"payment,omitempty" doc:"The wallet's payment that came in."`
	At        time.Time      `json:"at"`
}

func (s *System) addMoney() {
	Add(s.table, Op[QuoteIn, QuoteOut]{
		Name: "quote",
		Doc: Doc{
			Title: "Quote a price", Toolset: "default", Tag: "Money",
			Text:    "The exact price of an operation, with a breakdown, honoured for ten minutes: pass quote_id when you call it. Checks that it can be done. Free.",
			Example: `{"operation":"create_server","size":"small","region":"nyc1","minutes":60}`,
		},
		Routes:  []Route{{Method: "POST", Path: "/v1/quotes", Status: http.StatusCreated}},
		Subject: func(in QuoteIn) berth.ID { return berth.ID(in.ID) },
		Role:    QuoteIn.role,
		Commit:  s.quote,
	})
	Add(s.table, Op[None, BalanceOut]{
		Name: "get_balance",
		Doc: Doc{
			Title: "Look at the balance", Text: "Your balance, holds and spending caps. Free.", Toolset: "default", Tag: "Money",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/balance", Status: 200}},
		Access: Identified,
		Read:   s.balance,
	})
	Add(s.table, Op[TransactionsIn, TransactionsOut]{
		Name: "list_transactions",
		Doc: Doc{
			Title: "List transactions", Text: "Every movement of your money, newest first. Free.", Toolset: "default", Tag: "Money",
			Example: `{}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/transactions", Status: 200}},
		Access: Identified,
		Read:   s.transactions,
	})
}

// role is what the operation needs that the quote is for.
func (in QuoteIn) role() account.Role {
	switch in.Operation {
	case "extend":
		return ExtendIn{ID: in.ID}.role()
	case "power_server":
		return PowerIn{Action: in.Action}.role()
	case "rebuild_server":
		return account.Owner
	case "resize_server", "snapshot":
		return account.Admin
	}
	return account.User // it is about nothing of the subject's
}

// quotable plans the operation that a quote is asked for.
func (s *System) quotable(ctx context.Context, rx Rx, r *Request, in QuoteIn) (Plan, error) {
	server := ServerIn{ServerID: in.ID}
	kind := berth.ID(in.ID).Prefix()
	switch in.Operation {
	case "create_server", "create_servers":
		if (in.Count > 0) != (in.Operation == "create_servers") {
			return Plan{}, wrongField("count", "is required for create_servers, and for nothing else")
		}
		lease := LeaseIn{Lease: in.Lease, Deposit: in.Deposit}
		if lease.Days = in.Days; in.Lease != "days" {
			lease.Days = 0
		}
		return s.planCreate(ctx, rx, r, CreateServerIn{
			LeaseIn: lease, Size: in.Size, Region: in.Region, OfferID: in.OfferID, Image: in.Image, Minutes: max(in.Minutes, 1), SnapshotID: in.SnapshotID,
		}, in.Count)
	case "add_ssh_key":
		return keyPlan(s.catalog.Prices[billing.Native].FeePrice(r.Principal.Tariff, billing.FeeKey)), nil
	case "extend":
		return s.planExtend(ctx, rx, r, ExtendIn{ID: in.ID, Minutes: in.Minutes, Days: in.Days, Deposit: in.Deposit})
	}
	if kind != berth.PrefixServer {
		return Plan{}, wrongField("id", in.Operation+" needs a server's id (srv_…)")
	}
	switch in.Operation {
	case "resize_server":
		return s.planResize(ctx, rx, r, ResizeIn{ServerIn: server, Size: in.Size})
	case "rebuild_server":
		rebuild := RebuildIn{ServerIn: server, Image: in.Image, SnapshotID: in.SnapshotID}
		if rebuild.Image == "" && rebuild.SnapshotID == "" { // the price is the same
			rebuild.Image = s.viewServer(r.Server).Image
		}
		return s.planRebuild(ctx, rx, r, rebuild)
	case "power_server":
		if in.Action == "" {
			return Plan{}, wrongField("action", "power_server needs on, off or reboot")
		}
		return s.planPower(ctx, rx, r, PowerIn{ServerIn: server, Action: in.Action})
	default:
		return s.planSnapshot(ctx, rx, r, SnapshotIn{ServerIn: server, Class: in.Class})
	}
}

func (s *System) quote(ctx context.Context, tx Tx, r *Request, in QuoteIn, _ Plan) (QuoteOut, Effect, error) {
	if r.Principal.ID == "" {
		r.Principal.Tariff = account.Retail
	}
	plan, err := s.quotable(ctx, tx, r, in)
	if err != nil {
		return QuoteOut{}, Effect{}, err
	}
	terms, err := json.Marshal(plan.Terms)
	if err != nil {
		return QuoteOut{}, Effect{}, fmt.Errorf("the terms of %s: %w", in.Operation, err)
	}
	q, err := billing.NewQuote(r.Principal.ID, in.Operation, terms, plan.Price, s.now(), s.catalog.QuoteLifetime)
	if err != nil {
		return QuoteOut{}, Effect{}, err
	}
	if err := tx.InsertQuote(ctx, q); err != nil {
		return QuoteOut{}, Effect{}, err
	}
	out := QuoteOut{
		QuoteID: q.ID, Operation: q.Operation, Total: q.Price.Total, Deposit: q.Price.Deposit, Currency: "USD", Breakdown: q.Price.Lines,
		ExpiresAt: stamp(q.Expires), Terms: plan.Terms,
	}
	if out.Breakdown == nil {
		out.Breakdown = []billing.Line{}
	}
	if r.Principal.ID == "" {
		return out, Effect{}, nil
	}
	acct, err := tx.LedgerAccount(ctx, billing.CustomerAccount(r.Principal.ID))
	if err != nil {
		return out, Effect{}, err
	}
	refused := s.capped(ctx, tx, r, q.Price.Total)
	if refused != nil && berth.CodeOf(refused) != berth.BudgetExceeded {
		return out, Effect{}, refused
	}
	have, covered := acct.Available(), acct.Available() >= q.Price.Total && refused == nil
	out.Balance, out.Covered = &have, &covered
	return out, Effect{Ref: q.ID}, nil
}

func (s *System) balance(ctx context.Context, rx Rx, r *Request, _ None) (BalanceOut, error) {
	p := r.Principal
	acct, err := rx.LedgerAccount(ctx, billing.CustomerAccount(p.ID))
	if err != nil {
		return BalanceOut{}, err
	}
	out := BalanceOut{AccountID: p.ID, Balance: acct.Available(), Held: acct.Held, Currency: "USD", Tariff: p.Tariff}
	if out.Spent, err = rx.Spent(ctx, p.ID, ""); err != nil {
		return out, err
	}
	out.Budget = viewBudget(p.Budget, out.Spent)
	if out.Wallets, err = walletsOf(ctx, rx, p.ID); err != nil {
		return out, err
	}
	if r.Key.ID != "" && r.Key.Budget != (account.Budget{}) {
		spent, err := rx.Spent(ctx, p.ID, r.Key.ID)
		if err != nil {
			return out, err
		}
		out.KeyBudget = viewBudget(r.Key.Budget, spent)
	}
	out.Hourly, err = hourlySpend(ctx, rx, p.ID, r.sees())
	return out, err
}

func viewBudget(b account.Budget, spent berth.Micros) *BudgetView {
	if b == (account.Budget{}) {
		return nil
	}
	v := &BudgetView{}
	if b.Total > 0 {
		left := max(0, b.Total-spent)
		v.Total, v.Left = &b.Total, &left
	}
	if b.PerCall > 0 {
		v.PerCall = &b.PerCall
	}
	return v
}

// hourlySpend is what a principal's servers of a contract (empty: all) cost per
// hour that are billed.
func hourlySpend(ctx context.Context, rx Rx, owner berth.ID, contract billing.Contract) (sum berth.Micros, err error) {
	page := fleet.ServerFilter{Contract: contract, Limit: 200}
	for {
		list, err := rx.Servers(ctx, owner, page)
		if err != nil {
			return 0, err
		}
		for _, v := range list {
			if v.Status != fleet.Suspended && v.Status != fleet.Destroying {
				sum += v.Lease.Rate
			}
		}
		if len(list) < page.Limit {
			return sum, nil
		}
		page.After = list[len(list)-1].ID
	}
}

func (s *System) transactions(ctx context.Context, rx Rx, r *Request, in TransactionsIn) (TransactionsOut, error) {
	f := billing.Filter{Account: billing.CustomerAccount(r.Principal.ID), Ref: berth.ID(in.Ref), Limit: in.Limit}
	if in.After != "" {
		var err error
		if f.Before, err = strconv.ParseInt(in.After, 10, 64); err != nil || f.Before <= 0 {
			return TransactionsOut{}, wrongField("after", "not the next of a page before")
		}
	}
	entries, err := rx.Entries(ctx, f)
	if err != nil {
		return TransactionsOut{}, err
	}
	out := TransactionsOut{Transactions: make([]TransactionView, len(entries))}
	for i, e := range entries {
		if out.Transactions[i], err = viewEntry(ctx, rx, e, f.Account); err != nil {
			return out, err
		}
	}
	if len(entries) == in.Limit {
		out.Next = strconv.FormatInt(entries[len(entries)-1].Seq, 10)
	}
	return out, nil
}

func viewEntry(ctx context.Context, rx Rx, e billing.Entry, of billing.AccountID) (TransactionView, error) {
	v := TransactionView{
		ID: e.ID, Type: "debit", Amount: e.Amount, Reason: e.Reason, Hold: e.Pending, Ref: e.Ref, Operation: e.Operation,
		Memo: e.Memo, KeyID: e.Key, Rail: "balance", At: stamp(e.At),
	}
	switch {
	case e.Kind == billing.Pending:
		v.Type = "hold"
	case e.Kind == billing.Void:
		v.Type = "release"
	case e.Credit == of:
		v.Type = "credit"
	}
	p, err := payment(ctx, rx, e.Transfer)
	if p != nil {
		a := arrival{payment: *p, hash: p.Broadcast.Hash}
		v.Rail, v.Payment = p.Claim.Rail, a.paid()
	}
	return v, err
}

func walletsOf(ctx context.Context, rx Rx, principal berth.ID) ([]string, error) {
	list, err := rx.Wallets(ctx, principal)
	names := make([]string, len(list))
	for i, w := range list {
		names[i] = w.String()
	}
	return names, err
}
