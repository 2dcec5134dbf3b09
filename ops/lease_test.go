package ops_test

import (
	"encoding/json"
	"testing"
	"time"

	"berth"
	"berth/fleet"
	"berth/ops"
	"berth/ops/opstest"
)

// smallWith is the arguments of a small server with others.
func smallWith(more opstest.Args) opstest.Args {
	args := opstest.Args{"size": "small", "region": "nyc1"}
	for name, value := range more {
		args[name] = value
	}
	return args
}

// get is the server as its owner sees it.
func get(w *opstest.World, p opstest.Principal, id berth.ID) ops.ServerView {
	return w.Must(p.Creds, "get_server", opstest.Args{"server_id": string(id)}).Out.(ops.ServerView)
}

func TestHourlyLease(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	out := w.Must(p.Creds, "create_server", smallWith(opstest.Args{"lease": "hourly"})).Out.(ops.CreateServerOut)
	if out.Lease != "hourly" || out.TotalCharged != smallHour || out.MinutesPurchased != 0 || !out.AutoRenew {
		t.Errorf("created: %+v", out)
	}
	w.Settle()
	_, err := w.Do(p.Creds, "extend", opstest.Args{"id": string(out.ID), "minutes": 60})
	wantError(t, err, berth.Conflict)
	_, err = w.Do(p.Creds, "update_server", opstest.Args{"server_id": string(out.ID), "auto_renew": false})
	wantError(t, err, berth.Conflict)
	if b := w.Must(p.Creds, "get_balance", nil).Out.(ops.BalanceOut); b.Hourly != 15_000 {
		t.Errorf("hourly spend %s", b.Hourly)
	}
	w.Must(p.Creds, "destroy_server", opstest.Args{"server_id": string(out.ID), "discard": true})
	w.Settle()
	if b := w.Balance(p.ID); b.Debited != smallHour || b.Held != 0 {
		t.Errorf("balance %+v", b)
	}
	w.Verify()
}

func TestRentalLease(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	order := smallWith(opstest.Args{"lease": "days", "days": 7})
	q := w.Must(p.Creds, "quote", order).Out.(ops.QuoteOut)
	if q.Total != 2_414_000 || q.Terms["days"] != 7 {
		t.Errorf("quote: %+v", q)
	}
	out := w.Must(p.Creds, "create_server", order).Out.(ops.CreateServerOut)
	w.Settle()
	w.Must(p.Creds, "extend", opstest.Args{"id": string(out.ID), "days": 1})
	v := get(w, p, out.ID)
	if v.Lease != "days" || v.UsageDays == nil || *v.UsageDays != 0 || v.RemainingDays == nil || *v.RemainingDays != 8 {
		t.Errorf("server: %+v", v)
	}
	_, err := w.Do(p.Creds, "extend", opstest.Args{"id": string(out.ID), "days": 2})
	wantError(t, err, berth.InvalidInput)
	if b := w.Balance(p.ID); b.Debited != 2_414_000+360_000 {
		t.Errorf("paid %s", b.Debited)
	}
	w.Verify()
}

// TestDepositLease buys with a quote, tops up, looks, and gets the rest back.
func TestDepositLease(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	order := smallWith(opstest.Args{"lease": "deposit", "deposit": "1.00"})
	q := w.Must(p.Creds, "quote", order).Out.(ops.QuoteOut)
	if q.Total != 1_020_000 || q.Deposit != berth.Dollar {
		t.Errorf("quote: %+v", q)
	}
	res := w.Must(p.Creds, "create_server", order)
	out := res.Out.(ops.CreateServerOut)
	if r := res.Receipt; r == nil || r.Amount != 1_020_000 || r.Status != "held" {
		t.Errorf("receipt: %+v", res.Receipt)
	}
	if b := w.Balance(p.ID); b.Held != 20_000 || b.Debited != berth.Dollar {
		t.Errorf("balance %+v", b)
	}
	w.Settle()
	more := w.Must(p.Creds, "extend", opstest.Args{"id": string(out.ID), "deposit": "0.50"}).Out.(ops.ExtendOut)
	if more.Charged != 500_000 || more.DepositAdded != 500_000 || !more.PaidUntil.After(out.PaidUntil.Add(33*time.Hour)) {
		t.Errorf("extended: %+v, from %s", more, out.PaidUntil)
	}
	if v := get(w, p, out.ID); v.Deposit == nil || *v.Deposit > 1_500_000 || *v.Deposit < 1_499_000 {
		t.Errorf("server: %+v", v)
	}
	gone := w.Must(p.Creds, "destroy_server", opstest.Args{"server_id": string(out.ID), "discard": true}).Out.(ops.DestroyOut)
	if gone.Refund < 1_499_000 || gone.Snapshot != nil {
		t.Errorf("destroyed: %+v", gone)
	}
	w.Settle()
	b := w.Balance(p.ID)
	if used := b.Debited - (b.Credited - opstest.Credit) - 20_000; used+gone.Refund != 1_500_000 {
		t.Errorf("used %s, returned %s", used, gone.Refund)
	}
	w.Verify()
}

func TestLeaseInputs(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	for name, args := range map[string]opstest.Args{
		"days without their lease":    {"days": 7},
		"a deposit without its lease": {"deposit": "1"},
		"a rental without days":       {"lease": "days"},
		"a duration not on offer":     {"lease": "days", "days": 3},
		"hours with minutes":          {"lease": "hourly", "minutes": 60},
		"hours with auto_renew":       {"lease": "hourly", "auto_renew": true},
		"no deposit at all":           {"lease": "deposit", "deposit": "0"},
		"a deposit that is none":      {"lease": "deposit", "deposit": "much"},
		"an unknown lease":            {"lease": "barter"},
	} {
		before := w.State()
		if _, err := w.Do(p.Creds, "create_server", smallWith(args)); berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
		after, err := json.Marshal(w.State())
		if err != nil {
			t.Fatal(err)
		}
		if was, err := json.Marshal(before); err != nil || string(was) != string(after) {
			t.Errorf("%s changed something, or %v", name, err)
		}
	}
	id := w.Server(p)
	for _, args := range []opstest.Args{{"id": string(id), "days": 7}, {"id": string(id), "deposit": "1"}, {"id": string(id)}} {
		_, err := w.Do(p.Creds, "extend", args)
		wantError(t, err, berth.InvalidInput)
	}
}

func TestBackupClass(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	id := w.Server(p)
	out := w.Must(p.Creds, "snapshot", opstest.Args{"server_id": string(id), "class": "backup"}).Out.(ops.SnapshotOut)
	if out.Class != fleet.Backup || out.ExpiresIn != 168 || out.Charged != 50_000 {
		t.Errorf("backup: %+v", out)
	}
	w.Settle()
	short := w.Must(p.Creds, "snapshot", opstest.Args{"server_id": string(id)}).Out.(ops.SnapshotOut)
	if short.Class != fleet.ShortTerm || short.ExpiresIn != 72 || short.Charged != 10_000 {
		t.Errorf("snapshot: %+v", short)
	}
}
