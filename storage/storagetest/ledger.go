package storagetest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"berth"
	"berth/billing"
	"berth/ops"
)

// grant is a direct transfer to a customer.
func grant(id string, to berth.ID, amount berth.Micros, seconds int) billing.Transfer {
	return billing.Transfer{
		ID: id, Kind: billing.Direct, Debit: billing.Grants, Credit: billing.CustomerAccount(to),
		Amount: amount, Reason: billing.ReasonGrant, At: at(seconds),
	}
}

// spend is a transfer from a customer to the revenue.
func spend(id string, kind billing.TransferKind, from berth.ID, amount berth.Micros, seconds int) billing.Transfer {
	return billing.Transfer{
		ID: id, Kind: kind, Debit: billing.CustomerAccount(from), Credit: billing.Revenue,
		Amount: amount, Reason: billing.ReasonPurchase, At: at(seconds),
	}
}

// resolve is the post or void of a hold.
func resolve(id string, kind billing.TransferKind, hold billing.Transfer, amount berth.Micros, seconds int) billing.Transfer {
	t := hold
	t.ID, t.Kind, t.Pending, t.Amount, t.At = id, kind, hold.ID, amount, at(seconds)
	return t
}

// record writes transfers by the ledger's own rules, in order.
func (s suite) record(ts ...billing.Transfer) {
	s.Helper()
	for _, t := range ts {
		s.write(func(tx ops.Tx) error {
			_, err := billing.Record(s.Context(), tx, t)
			return err
		})
	}
}

// insert writes transfers, in order, with no account touched.
func (s suite) insert(ts ...billing.Transfer) {
	s.Helper()
	for _, t := range ts {
		s.write(func(tx ops.Tx) error { return tx.InsertTransfer(s.Context(), t) })
	}
}

func transfers(s suite) {
	ctx := s.Context()
	owner := newID(berth.PrefixAccount, 0)
	hold := spend("hold", billing.Pending, owner, 500, 1)
	post := billing.Transfer{
		ID: "post", Kind: billing.Post, Debit: hold.Debit, Credit: hold.Credit, Amount: 300, Pending: hold.ID,
		Reason: billing.ReasonPurchase, Ref: newID(berth.PrefixServer, 1), Operation: "create_server",
		Memo: "an hour of \"small\" é", Key: newID(berth.PrefixAPIKey, 1), At: at(2),
	}
	filled(s, post)
	byID := func(rx ops.Rx) (billing.Transfer, error) { return rx.Transfer(ctx, post.ID) }
	resolution := func(rx ops.Rx) (billing.Transfer, error) { return rx.Resolution(ctx, hold.ID) }
	absent(s, byID, post.ID)
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.InsertTransfer(ctx, post) }, hold.ID)

	s.insert(hold)
	absent(s, resolution, hold.ID)
	absent(s, func(rx ops.Rx) (billing.Transfer, error) { return rx.Resolution(ctx, "") })
	s.insert(post)
	fetch(s, "by id", post, byID)
	fetch(s, "resolution", post, resolution)

	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertTransfer(ctx, hold) }, hold.ID)
	again := resolve("again", billing.Void, hold, 500, 3)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertTransfer(ctx, again) }, hold.ID)

	for i, reason := range []billing.Reason{
		billing.ReasonGrant, billing.ReasonPurchase, billing.ReasonExtension,
		billing.ReasonRenewal, billing.ReasonService, billing.ReasonRefund, billing.ReasonDeposit, billing.ReasonUsage,
	} {
		t := spend(fmt.Sprintf("reason %d", i), billing.Direct, owner, 1, 4)
		t.Reason = reason
		s.insert(t)
	}
}

// ledgerBounds checks that the store itself refuses what can't be a transfer.
func ledgerBounds(s suite) {
	owner := newID(berth.PrefixAccount, 0)
	hold := spend("hold", billing.Pending, owner, 5, 0)
	s.insert(hold)
	for name, change := range map[string]func(*billing.Transfer){
		"no id":               func(t *billing.Transfer) { t.ID = "" },
		"long id":             func(t *billing.Transfer) { t.ID = strings.Repeat("x", 129) },
		"no amount":           func(t *billing.Transfer) { t.Amount = 0 },
		"negative amount":     func(t *billing.Transfer) { t.Amount = -1 },
		"one account":         func(t *billing.Transfer) { t.Credit = t.Debit },
		"no debit":            func(t *billing.Transfer) { t.Debit = "" },
		"no credit":           func(t *billing.Transfer) { t.Credit = "" },
		"unknown kind":        func(t *billing.Transfer) { t.Kind = "gift" },
		"unknown reason":      func(t *billing.Transfer) { t.Reason = "fun" },
		"long memo":           func(t *billing.Transfer) { t.Memo = strings.Repeat("é", 201) },
		"post of nothing":     func(t *billing.Transfer) { t.Kind = billing.Post },
		"direct of a hold":    func(t *billing.Transfer) { t.Pending = hold.ID },
		"resolves no such id": func(t *billing.Transfer) { t.Kind, t.Pending = billing.Void, "nothing" },
	} {
		t := spend("t", billing.Direct, owner, 1, 1)
		change(&t)
		if s.store.Write(s.Context(), func(tx ops.Tx) error { return tx.InsertTransfer(s.Context(), t) }) == nil {
			s.Errorf("%s: the transfer was recorded", name)
		}
	}
	t := spend(strings.Repeat("x", 128), billing.Direct, owner, 1, 1)
	t.Memo = strings.Repeat("é", 200)
	s.insert(t)
	// What was refused left no gap.
	equal(s, "sequence", s.seqs(billing.Filter{Limit: 10}), []int64{2, 1})
}

func ledgerAccounts(s suite) {
	ctx := s.Context()
	a := billing.Account{ID: billing.CustomerAccount(newID(berth.PrefixAccount, 0)), Credited: 100, Debited: 30, Held: 20}
	filled(s, a)
	escrow := billing.Account{ID: "escrow:srv_1", Credited: 7}
	get := func(rx ops.Rx) (billing.Account, error) { return rx.LedgerAccount(ctx, a.ID) }
	put := func(a billing.Account) func(ops.Tx) error {
		return func(tx ops.Tx) error { return tx.PutLedgerAccount(ctx, a) }
	}
	fetch(s, "without movements", billing.Account{ID: a.ID}, get)
	s.write(put(billing.Account{ID: a.ID, Credited: 1}))
	s.write(put(a))
	s.write(put(escrow))
	fetch(s, "account", a, get)
	fetch(s, "all", []billing.Account{a, escrow}, func(rx ops.Rx) ([]billing.Account, error) { return rx.LedgerAccounts(ctx) })

	for _, over := range []billing.Account{
		{ID: a.ID, Credited: 100, Debited: 101},
		{ID: a.ID, Credited: 100, Debited: 50, Held: 51},
		{ID: a.ID, Credited: -1},
		{ID: a.ID, Credited: 5, Held: -1},
		{ID: escrow.ID, Credited: 7, Debited: 8},
	} {
		s.refuses(berth.InsufficientBalance, put(over), string(over.ID))
	}
	fetch(s, "after refusals", a, get)
	// Only customers and escrows are kept from falling below zero.
	s.write(put(billing.Account{ID: billing.Revenue, Debited: 9}))
}

func ledgerTotals(s suite) {
	a, b := newID(berth.PrefixAccount, 1), newID(berth.PrefixAccount, 2)
	h1, h2, h3 := spend("h1", billing.Pending, a, 100, 2), spend("h2", billing.Pending, a, 10, 2), spend("h3", billing.Pending, b, 7, 2)
	s.insert(
		grant("g1", a, 1000, 1), grant("g2", b, 2000, 1), h1, h2, h3,
		resolve("p1", billing.Post, h1, 60, 3), resolve("v2", billing.Void, h2, 10, 3),
		spend("d", billing.Direct, b, 5, 4),
	)
	want := []billing.Totals{
		{Account: billing.CustomerAccount(a), Credited: 1000, Debited: 60},
		{Account: billing.CustomerAccount(b), Credited: 2000, Debited: 5, Held: 7},
		{Account: billing.Grants, Debited: 3000},
		{Account: billing.Revenue, Credited: 65},
	}
	fetch(s, "totals", want, func(rx ops.Rx) ([]billing.Totals, error) { return rx.LedgerTotals(s.Context()) })
}

// seqs are the sequence numbers of the entries that a filter chooses.
func (s suite) seqs(f billing.Filter) []int64 {
	s.Helper()
	var seqs []int64
	s.read(func(rx ops.Rx) error {
		entries, err := rx.Entries(s.Context(), f)
		for _, e := range entries {
			seqs = append(seqs, e.Seq)
		}
		return err
	})
	return seqs
}

func entries(s suite) {
	a, b := newID(berth.PrefixAccount, 1), newID(berth.PrefixAccount, 2)
	srv := newID(berth.PrefixServer, 1)
	hold := spend("hold", billing.Pending, a, 10, 5)
	hold.Ref = srv
	ofB := spend("b2", billing.Direct, b, 1, 4)
	ofB.Ref = srv
	s.insert(
		grant("a1", a, 100, 1),               // 1
		grant("b1", b, 100, 2),               // 2
		spend("a2", billing.Direct, a, 1, 3), // 3
		ofB,                                  // 4
		hold,                                 // 5
		resolve("post", billing.Post, hold, 10, 6), // 6
		grant("a3", a, 100, 7),                     // 7
	)
	accountA := billing.CustomerAccount(a)
	for name, tt := range map[string]struct {
		filter billing.Filter
		want   []int64
	}{
		"all":                {billing.Filter{Limit: 1000}, []int64{7, 6, 5, 4, 3, 2, 1}},
		"newest":             {billing.Filter{Limit: 2}, []int64{7, 6}},
		"next page":          {billing.Filter{Before: 6, Limit: 2}, []int64{5, 4}},
		"before the first":   {billing.Filter{Before: 1, Limit: 2}, nil},
		"since":              {billing.Filter{Since: at(6), Limit: 9}, []int64{7, 6}},
		"account":            {billing.Filter{Account: accountA, Limit: 9}, []int64{7, 6, 5, 3, 1}},
		"account, two":       {billing.Filter{Account: accountA, Limit: 2}, []int64{7, 6}},
		"account, next two":  {billing.Filter{Account: accountA, Before: 6, Limit: 2}, []int64{5, 3}},
		"account, since":     {billing.Filter{Account: accountA, Since: at(3), Before: 7, Limit: 9}, []int64{6, 5, 3}},
		"system account":     {billing.Filter{Account: billing.Revenue, Limit: 9}, []int64{6, 5, 4, 3}},
		"reference":          {billing.Filter{Ref: srv, Limit: 9}, []int64{6, 5, 4}},
		"reference, page":    {billing.Filter{Ref: srv, Before: 6, Since: at(5), Limit: 1}, []int64{5}},
		"account, reference": {billing.Filter{Account: accountA, Ref: srv, Limit: 9}, []int64{6, 5}},
		"all filters":        {billing.Filter{Account: accountA, Ref: srv, Since: at(5), Before: 6, Limit: 1}, []int64{5}},
		"nobody":             {billing.Filter{Account: "customer:none", Limit: 9}, nil},
	} {
		equal(s, name, s.seqs(tt.filter), tt.want)
	}
	fetch(s, "entry", []billing.Entry{{Seq: 5, Transfer: hold}}, func(rx ops.Rx) ([]billing.Entry, error) {
		return rx.Entries(s.Context(), billing.Filter{Before: 6, Limit: 1})
	})
}

func spent(s suite) {
	a, b := newID(berth.PrefixAccount, 1), newID(berth.PrefixAccount, 2)
	k1, k2 := newID(berth.PrefixAPIKey, 1), newID(berth.PrefixAPIKey, 2)
	byKey := func(t billing.Transfer, key berth.ID) billing.Transfer { t.Key = key; return t }
	open := byKey(spend("open", billing.Pending, a, 1, 2), k1)
	posted := byKey(spend("posted", billing.Pending, a, 50, 2), k1)
	voided := byKey(spend("voided", billing.Pending, a, 1000, 2), k2)
	refund := billing.Transfer{
		ID: "refund", Kind: billing.Direct, Debit: billing.Refunds, Credit: billing.CustomerAccount(a),
		Amount: 4, Reason: billing.ReasonRefund, Key: k1, At: at(5),
	}
	other := spend("other", billing.Direct, b, 9, 4)
	s.record(
		grant("grant a", a, 100_000, 1), grant("grant b", b, 100, 1), open, posted, voided,
		resolve("post", billing.Post, posted, 20, 3),
		resolve("void", billing.Void, voided, 1000, 3),
		byKey(spend("direct 1", billing.Direct, a, 300, 4), k1),
		byKey(spend("direct 2", billing.Direct, a, 7000, 4), k2),
		spend("direct 3", billing.Direct, a, 50_000, 4),
		byKey(other, k1),
		refund,
		billing.Transfer{
			ID: "taken back", Kind: billing.Direct, Debit: billing.CustomerAccount(b), Credit: billing.Grants,
			Amount: 11, Reason: billing.ReasonGrant, At: at(6),
		},
	)
	for _, tt := range []struct {
		principal, key berth.ID
		want           berth.Micros
	}{
		{a, "", 1 + 20 + 300 + 7000 + 50_000 - 4},
		{a, k1, 1 + 20 + 300 - 4},
		{a, k2, 7000},
		{b, "", 9},
		{b, k1, 9},
		{b, k2, 0},
		{newID(berth.PrefixAccount, 3), "", 0},
	} {
		fetch(s, "spent", tt.want, func(rx ops.Rx) (berth.Micros, error) {
			return rx.Spent(s.Context(), tt.principal, tt.key)
		})
	}
}

func quotes(s suite) {
	ctx := s.Context()
	q := billing.Quote{
		ID:        newID(berth.PrefixQuote, 1),
		Principal: newID(berth.PrefixAccount, 1),
		Operation: "create_server",
		Terms:     json.RawMessage(`{"minutes":60, "size":"small"}`),
		Price: billing.Price{
			Lines: []billing.Line{{Item: "compute", Quantity: "60", Unit: "minute", UnitPrice: "0.00025", Amount: 15_000}},
			Total: math.MaxInt32 * berth.Dollar, Deposit: 3,
		},
		Created: at(1),
		Expires: at(2),
	}
	filled(s, q)
	get := func(rx ops.Rx) (billing.Quote, error) { return rx.Quote(ctx, q.ID) }
	absent(s, get, string(q.ID))
	s.write(func(tx ops.Tx) error { return tx.InsertQuote(ctx, q) })
	fetch(s, "quote", q, get)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertQuote(ctx, q) })

	q = billing.Quote{ID: newID(berth.PrefixQuote, 2), Operation: "extend"} // nobody identified
	s.write(func(tx ops.Tx) error { return tx.InsertQuote(ctx, q) })
	fetch(s, "empty quote", q, get)

	q = billing.Quote{ID: newID(berth.PrefixQuote, 3), Operation: "extend", Expires: at(9)}
	s.write(func(tx ops.Tx) error { return tx.InsertQuote(ctx, q) })
	for _, tt := range []struct {
		before int
		want   int64
	}{{9, 2}, {9, 0}, {10, 1}} {
		s.write(func(tx ops.Tx) error {
			n, err := tx.DeleteQuotes(ctx, at(tt.before))
			equal(s, fmt.Sprintf("deleted before %d", tt.before), n, tt.want)
			return err
		})
	}
	absent(s, get, string(q.ID))
}
