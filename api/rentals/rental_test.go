package rentals_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/provider"
)

// leased is a rental as a client reads it.
type leased struct {
	ID        string
	Start     time.Time `json:"rental_start"`
	End       time.Time `json:"rental_end"`
	Hold      int       `json:"hold_days"`
	Status    string
	Amount    string
	Remaining int    `json:"remaining_days"`
	Used      int    `json:"usage_days"`
	ServerID  string `json:"server_id"`
	PoolID    string `json:"pool_id"`
	Server    struct {
		ID, Name string
		Country  *string
		Specs    *struct {
			Disks struct {
				Total int `json:"total_gb"`
			}
		}
	}
	Transaction *moved
}

// moved is a transaction as a client reads it.
type moved struct {
	ID       string
	Amount   json.RawMessage
	Currency string
	Created  *time.Time `json:"created_at"`
}

// is tells whether a transaction is of that amount, a JSON number.
func (m *moved) is(amount string) bool {
	return m != nil && len(m.ID) == 24 && string(m.Amount) == amount && m.Currency == "USD"
}

func (r *rig) look(p opstest.Principal, id string) (v leased) {
	r.t.Helper()
	r.must(p, "GET", "/rentals/"+id, nil, http.StatusOK, &v)
	return v
}

// what an hour of the cheapest machine costs: 0.00596 and 34 percent, rounded up.
const rate berth.Micros = 7_987

// TestRental follows a rental from its purchase through its extension to its end.
func TestRental(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Local(0)
	p := r.Principal()
	var bought struct {
		Rental struct {
			ID       string
			ServerID string    `json:"server_id"`
			Start    time.Time `json:"rental_start"`
			End      time.Time `json:"rental_end"`
			Hold     int       `json:"hold_days"`
			Used     *int      `json:"actual_usage_days"`
			Status   string
		}
		Transaction *moved
	}
	r.must(p, "POST", "/servers/"+r.offer(p)+"/rent", in{"rental_days": 7}, http.StatusCreated, &bought)
	b := bought.Rental
	if b.ServerID != b.ID || len(b.ID) != 24 || b.Hold != 3 || b.Used == nil || *b.Used != 0 || b.Status != "active" || b.End.Sub(b.Start) != 7*24*time.Hour {
		t.Errorf("bought %+v", b)
	}
	week := (rate*168*95 + 99) / 100
	if !bought.Transaction.is(week.Decimal().String()) {
		t.Errorf("the transaction is %+v, want %s", bought.Transaction, week)
	}
	r.must(p, "POST", "/rentals/"+b.ID+"/extend", in{"additional_days": 1}, http.StatusConflict, nil) // its time has not begun
	r.Settle()
	v := r.look(p, b.ID)
	if v.Remaining != 7 || v.Used != 0 || v.Hold != 3 || v.PoolID != p.ID.Hex() || v.ServerID != b.ID || v.Server.ID != b.ID || *v.Server.Country != "US" || v.Server.Specs.Disks.Total != 10 {
		t.Errorf("looked at, it is %+v", v)
	}
	r.Clock.Advance(50 * time.Hour)
	var more struct {
		Rental      leased
		Transaction *moved
	}
	r.must(p, "POST", "/rentals/"+b.ID+"/extend", in{"additional_days": 1}, http.StatusOK, &more)
	day := rate * 24
	if m := more.Rental; m.ID != b.ID || !m.End.Equal(v.End.Add(24*time.Hour)) || m.Status != "active" || m.Amount != (week+day).String() || m.Remaining != 6 {
		t.Errorf("extended to %+v", m)
	}
	if !more.Transaction.is(day.Decimal().String()) || more.Transaction.ID == bought.Transaction.ID {
		t.Errorf("the extension's transaction is %+v, want %s", more.Transaction, day)
	}
	v = r.look(p, b.ID)
	if v.Used != 2 || v.Remaining != 6 || v.Amount != (week+day).String() || !v.Transaction.is(week.Decimal().String()) || v.Transaction.ID != bought.Transaction.ID || v.Transaction.Created == nil {
		t.Errorf("extended, it is %+v with %+v", v, v.Transaction)
	}
	if got := r.Balance(p.ID); got.Debited != week+day || got.Held != 0 {
		t.Errorf("%s were taken and %s are held, want %s", got.Debited, got.Held, week+day)
	}
	for v := r.look(p, b.ID); v.Status == "active"; v = r.look(p, b.ID) {
		r.Clock.Advance(24 * time.Hour)
		if _, err := r.Fleet.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Settle()
	}
	if v = r.look(p, b.ID); v.Status != "expired" || v.Remaining != 0 || v.Used != 8 || v.Amount != (week+day).String() {
		t.Errorf("at its end, it is %+v", v)
	}
	r.must(p, "POST", "/rentals/"+b.ID+"/extend", in{"additional_days": 1}, http.StatusConflict, nil)
	r.Verify()
}

// TestRentalsAreListed: the caller's own, ended ones too, and none that were
// bought otherwise.
func TestRentalsAreListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.Principal()
	_ = r.Server(p) // by the minute
	pool := r.Pool(p)
	kept, ended := r.rental(p, pool), r.rental(p, pool)
	r.Must(p.Creds, "destroy_server", opstest.Args{"server_id": "srv_" + ended})
	var during []leased
	r.must(p, "GET", "/rentals", nil, http.StatusOK, &during)
	r.Settle()
	r.Cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
	lost := r.rental(p, pool)

	var brief, full []leased
	r.must(p, "GET", "/rentals", nil, http.StatusOK, &brief)
	r.must(p, "GET", "/servers", nil, http.StatusOK, &full)
	want := []struct{ id, status, amount string }{{lost, "failed", "0.00"}, {ended, "terminated", (rate * 24).String()}, {kept, "active", (rate * 24).String()}}
	if len(brief) != len(want) || len(full) != len(want) {
		t.Fatalf("%d and %d are listed, want %d", len(brief), len(full), len(want))
	}
	for i, w := range want {
		for _, v := range []leased{brief[i], full[i]} {
			if v.ID != w.id || v.Status != w.status || v.Amount != w.amount || v.Server.ID != w.id || v.PoolID != pool.Hex() {
				t.Errorf("listed is %+v, want %v", v, w)
			}
		}
		if brief[i].Server.Name != "" || full[i].Server.Name == "" || full[i].Server.Specs == nil {
			t.Errorf("servers %+v and %+v", brief[i].Server, full[i].Server)
		}
	}
	if v := r.look(p, lost); v.Transaction != nil || v.Amount != "0.00" {
		t.Errorf("what never came up has cost %s by %+v", v.Amount, v.Transaction)
	}
	if during[0].Status != "terminated" {
		t.Errorf("while it is destroyed it is %s", during[0].Status)
	}
	var seen struct {
		Servers []struct {
			ID     string
			Status string `json:"rental_status"`
			Ready  bool   `json:"is_ready"`
		}
	}
	r.must(p, "GET", "/pools/"+pool.Hex(), nil, http.StatusOK, &seen)
	if len(seen.Servers) != 1 || seen.Servers[0].ID != kept || seen.Servers[0].Status != "active" || !seen.Servers[0].Ready {
		t.Errorf("the pool has %+v", seen.Servers)
	}
}

// TestRentalOfWhatIsSoldNoMore: a rental is shown when its machine has gone from
// the catalog.
func TestRentalOfWhatIsSoldNoMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.Principal()
	id := r.rental(p, "")
	c := billing.DefaultCatalog()
	l := c.Prices[billing.Rentals]
	l.Sizes = l.Sizes[1:]
	r.sell(c)
	if v := r.look(p, id); v.Server.ID != id || v.Server.Name == "" || v.Server.Specs != nil || v.Server.Country != nil {
		t.Errorf("it is %+v", v)
	}
}

// TestManyRentals are listed page by page.
func TestManyRentals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.Principal()
	const many = 201
	first := berth.ID("srv_" + r.rental(p, ""))
	r.Write(func(ctx context.Context, tx ops.Tx) error {
		v, err := tx.Server(ctx, first)
		for range many - 1 {
			v.ID = berth.NewID(berth.PrefixServer, r.Clock.Now())
			err = errors.Join(err, tx.InsertServer(ctx, v))
		}
		return err
	})
	var list []leased
	r.must(p, "GET", "/rentals", nil, http.StatusOK, &list)
	seen := map[string]bool{}
	for _, v := range list {
		seen[v.ID] = true
	}
	if len(list) != many || len(seen) != many {
		t.Errorf("%d are listed, %d different ones, want %d", len(list), len(seen), many)
	}
}

// alien are words of another contract.
var alien = regexp.MustCompile(`\b(srv|pool|inv|acct|offer)_[0-9a-f]|create_server|list_|get_`)

// TestRefusals reads what is refused, by status, code and the names of the fields
// that are wrong.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.Principal()
	pool := r.Pool(p).Hex()
	rental, offer := r.rental(p, berth.ID("pool_"+pool)), r.offer(p)
	broke := r.Principal()
	r.Local(0)
	r.Must(opstest.Operator, "debit_account", opstest.Args{"account": string(broke.ID), "amount": "99.90", "memo": "by mistake"})
	suspended := r.Principal()
	r.Must(opstest.Operator, "update_account", opstest.Args{"account": string(suspended.ID), "suspended": true})
	const none = "ffffffffffffffffffffffff"
	long := strings.Repeat("f", 100)
	for name, c := range map[string]struct {
		method, path, token string
		body                any
		status              int
		code                berth.Code
		field               string
	}{
		"nobody":               {"GET", "/pools", "", nil, 402, berth.PaymentRequired, ""},
		"nobody to browse":     {"GET", "/servers/available", "", nil, 402, berth.PaymentRequired, ""},
		"nobody, no such id":   {"GET", "/rentals/what", "", nil, 402, berth.PaymentRequired, ""},
		"nobody, empty body":   {"POST", "/pools", "", nil, 402, berth.PaymentRequired, ""},
		"nobody, good body":    {"POST", "/servers/" + none + "/rent", "", in{"rental_days": 1}, 402, berth.PaymentRequired, ""},
		"nobody, bad body":     {"POST", "/pools", "", in{"name": ""}, 400, berth.InvalidInput, "name"},
		"a wrong token":        {"GET", "/pools", "berth_wrong", nil, 401, berth.Unauthenticated, ""},
		"a wrong token there":  {"GET", "/servers/available", "berth_wrong", nil, 401, berth.Unauthenticated, ""},
		"suspended":            {"GET", "/rentals", suspended.Token, nil, 403, berth.Suspended, ""},
		"no JSON":              {"POST", "/pools", p.Token, "{", 400, berth.InvalidInput, ""},
		"no object":            {"POST", "/pools", p.Token, "[]", 400, berth.InvalidInput, ""},
		"no name":              {"POST", "/pools", p.Token, in{"description": "x"}, 400, berth.InvalidInput, "name"},
		"a long name":          {"POST", "/pools", p.Token, in{"name": strings.Repeat("x", 101)}, 400, berth.InvalidInput, "name"},
		"a long description":   {"PATCH", "/pools/" + pool, p.Token, in{"description": strings.Repeat("x", 501)}, 400, berth.InvalidInput, "description"},
		"settings of 5 KB":     {"POST", "/pools", p.Token, in{"name": "x", "settings": in{"x": strings.Repeat("x", 5000)}}, 400, berth.InvalidInput, "settings"},
		"settings, a list":     {"POST", "/pools", p.Token, in{"name": "x", "settings": []int{1}}, 400, berth.InvalidInput, "settings"},
		"no such role":         {"POST", "/pools/" + pool + "/members", p.Token, in{"username": "x", "role": "owner"}, 400, berth.InvalidInput, "role"},
		"no role":              {"POST", "/pools/" + pool + "/members", p.Token, in{"username": "x"}, 400, berth.InvalidInput, "role"},
		"no username":          {"POST", "/pools/" + pool + "/members", p.Token, in{"username": "x y", "role": "user"}, 400, berth.InvalidInput, "username"},
		"nobody of that name":  {"POST", "/pools/" + pool + "/members", p.Token, in{"username": "who-else", "role": "user"}, 404, berth.NotFound, ""},
		"oneself":              {"POST", "/pools/" + pool + "/members", p.Token, in{"username": p.Username, "role": "user"}, 409, berth.Conflict, ""},
		"no member":            {"PATCH", "/pools/" + pool + "/members/" + none, p.Token, in{"role": "user"}, 404, berth.NotFound, ""},
		"no id of a member":    {"DELETE", "/pools/" + pool + "/members/me", p.Token, nil, 404, berth.NotFound, ""},
		"a long id of one":     {"DELETE", "/pools/" + pool + "/members/" + long, p.Token, nil, 404, berth.NotFound, ""},
		"the default pool":     {"DELETE", "/pools/" + p.ID.Hex(), p.Token, nil, 409, berth.Conflict, ""},
		"no such pool":         {"GET", "/pools/" + none, p.Token, nil, 404, berth.NotFound, ""},
		"no id":                {"GET", "/pools/what", p.Token, nil, 404, berth.NotFound, ""},
		"too long an id":       {"GET", "/pools/" + long, p.Token, nil, 404, berth.NotFound, ""},
		"an id in capitals":    {"GET", "/pools/" + strings.ToUpper(none), p.Token, nil, 404, berth.NotFound, ""},
		"an id of ours":        {"GET", "/rentals/srv_" + rental, p.Token, nil, 404, berth.NotFound, ""},
		"an unreadable id":     {"GET", "/rentals/%00%ff", p.Token, nil, 404, berth.NotFound, ""},
		"a pool as invitation": {"POST", "/pools/" + pool + "/accept", p.Token, nil, 404, berth.NotFound, ""},
		"half a day":           {"POST", "/servers/" + offer + "/rent", p.Token, in{"rental_days": 1.5}, 400, berth.InvalidInput, "rental_days"},
		"no day":               {"POST", "/servers/" + offer + "/rent", p.Token, in{"rental_days": 0}, 400, berth.InvalidInput, "rental_days"},
		"no days":              {"POST", "/servers/" + offer + "/rent", p.Token, in{"pool_id": pool}, 400, berth.InvalidInput, "rental_days"},
		"no offered duration":  {"POST", "/servers/" + offer + "/rent", p.Token, in{"rental_days": 3}, 400, berth.InvalidInput, "rental_days"},
		"the same, by nobody":  {"POST", "/servers/" + offer + "/rent", "", in{"rental_days": 3}, 400, berth.InvalidInput, "rental_days"},
		"no offer":             {"POST", "/servers/" + none + "/rent", p.Token, in{"rental_days": 1}, 404, berth.NotFound, ""},
		"no id of an offer":    {"POST", "/servers/what/rent", p.Token, in{"rental_days": 1}, 404, berth.NotFound, ""},
		"into no pool":         {"POST", "/servers/" + offer + "/rent", p.Token, in{"rental_days": 1, "pool_id": none}, 404, berth.NotFound, ""},
		"into what is no pool": {"POST", "/servers/" + offer + "/rent", p.Token, in{"rental_days": 1, "pool_id": "mine"}, 400, berth.InvalidInput, "pool_id"},
		"another field":        {"POST", "/servers/" + offer + "/rent", p.Token, in{"rental_days": 1, "colour": "red"}, 400, berth.InvalidInput, "colour"},
		"too little money":     {"POST", "/servers/" + offer + "/rent", broke.Token, in{"rental_days": 1}, 402, berth.InsufficientBalance, ""},
		"three more days":      {"POST", "/rentals/" + rental + "/extend", p.Token, in{"additional_days": 3}, 400, berth.InvalidInput, "additional_days"},
		"beyond a year":        {"POST", "/rentals/" + rental + "/extend", p.Token, in{"additional_days": 366}, 400, berth.InvalidInput, "additional_days"},
		"no such rental":       {"POST", "/rentals/" + none + "/extend", p.Token, in{"additional_days": 1}, 404, berth.NotFound, ""},
		"no such path":         {"GET", "/rental", p.Token, nil, 404, berth.NotFound, ""},
		"the base":             {"GET", "", "", nil, 404, berth.NotFound, ""},
		"no such method":       {"DELETE", "/rentals/" + rental, p.Token, nil, 405, berth.MethodNotAllowed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.State()
			a := r.send(c.method, c.path, c.token, c.body)
			var data struct {
				Code   berth.Code
				Hint   string
				Fields []berth.Field
			}
			if err := json.Unmarshal(a.Data, &data); err != nil {
				t.Fatal(err)
			}
			if a.status != c.status || data.Code != c.code || data.Hint == "" {
				t.Errorf("status %d, want %d: %s %s", a.status, c.status, a.Message, a.Data)
			}
			if c.field != "" && (len(data.Fields) == 0 || !strings.Contains(a.Message, c.field) || data.Fields[0].Name != c.field) {
				t.Errorf("%s %+v, want the field %s", a.Message, data.Fields, c.field)
			}
			if words := a.Message + data.Hint; alien.MatchString(words) && !strings.Contains(c.path, "srv_") {
				t.Errorf("in the words of another contract: %s, %s", a.Message, data.Hint)
			}
			if a.header.Get("PAYMENT-REQUIRED") != "" || strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Payment") {
				t.Errorf("a wallet is asked to pay: %v", a.header)
			}
			if after := r.State(); len(after.Accounts) != len(before.Accounts) {
				t.Errorf("it changed the ledger")
			}
		})
	}
}

// TestDefects: what goes wrong in Berth itself is told in the envelope too, and no
// more of it than that.
func TestDefects(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(
		api.ContractRoute{Method: "GET", Path: "/fails", Open: true, Serve: func(*api.Exchange) (any, error) { return nil, errors.New("a secret") }},
		api.ContractRoute{Method: "GET", Path: "/panics", Open: true, Serve: func(*api.Exchange) (any, error) { panic("a secret") }},
	)
	for _, path := range []string{"/fails", "/panics"} {
		a := r.send("GET", path, "", nil)
		if a.status != http.StatusInternalServerError || !strings.Contains(string(a.Data), string(berth.Internal)) || strings.Contains(a.Message+string(a.Data), "secret") {
			t.Errorf("%s: %d %s %s", path, a.status, a.Message, a.Data)
		}
	}
}

// TestRetries: under an idempotency key, things are bought once, and the same is
// answered again.
func TestRetries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.Principal()
	twice := func(path string, body any) {
		t.Helper()
		first := r.send("POST", path, p.Token, body, "Idempotency-Key", path)
		before := r.Balance(p.ID)
		second := r.send("POST", path, p.Token, body, "Idempotency-Key", path)
		if first.status >= 300 || second.status != first.status || string(second.Data) != string(first.Data) {
			t.Errorf("%s answers %d %s, then %d %s", path, first.status, first.Data, second.status, second.Data)
		}
		if after := r.Balance(p.ID); after != before {
			t.Errorf("%s again takes money: %+v, was %+v", path, after, before)
		}
	}
	twice("/servers/"+r.offer(p)+"/rent", in{"rental_days": 1})
	r.Settle()
	var list []leased
	if r.must(p, "GET", "/rentals", nil, http.StatusOK, &list); len(list) != 1 {
		t.Fatalf("%d rentals", len(list))
	}
	twice("/rentals/"+list[0].ID+"/extend", in{"additional_days": 7})
	if v := r.look(p, list[0].ID); v.Remaining != 8 {
		t.Errorf("%d days remain", v.Remaining)
	}
	twice("/pools", in{"name": "Team"})
}
