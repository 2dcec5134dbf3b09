package ops_test

import (
	"strings"
	"testing"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/provider"
)

// three are three small servers for an hour.
var three = opstest.Args{"count": 3, "size": "small", "region": "nyc1", "minutes": 60, "label": "web"}

// TestCreateServers: one charge each, one receipt for all, and a quote for all.
func TestCreateServers(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	quoted := w.Must(p.Creds, "quote", opstest.Args{"operation": "create_servers", "count": 3, "size": "small", "region": "nyc1", "minutes": 60}).Out.(ops.QuoteOut)
	before := w.Must(p.Creds, "get_balance", nil).Out.(ops.BalanceOut)
	if quoted.Total != 105_000 {
		t.Errorf("quoted %s, want three times 0.035", quoted.Total)
	}
	res, err := w.System.Dispatch(t.Context(), &ops.Call{Op: "create_servers", Args: three, Creds: p.Creds, Quote: quoted.QuoteID, Key: "k", Front: "http"})
	if err != nil {
		t.Fatal(err)
	}
	out := res.Out.(ops.FleetOut)
	if len(out.Servers) != 3 || len(out.Actions) != 3 || out.TotalCharged != 105_000 || out.MinutesPurchased != 60 {
		t.Fatalf("%+v", out)
	}
	if r := res.Receipt; r.Amount != 105_000 || r.Transaction != out.Servers[0].TransactionID || r.Status != "held" || res.Action != out.Actions[0].ID {
		t.Errorf("receipt %+v, action %s", r, res.Action)
	}
	held := w.Must(p.Creds, "get_balance", nil).Out.(ops.BalanceOut)
	if held.Held != 105_000 || held.Balance != before.Balance-105_000 {
		t.Errorf("%+v, was %+v", held, before)
	}
	for i, v := range out.Servers {
		if v.Label != []string{"web-1", "web-2", "web-3"}[i] || v.TransactionID == "" || v.Price != 35_000 {
			t.Errorf("server %d: %+v", i+1, v)
		}
	}
	again, err := w.System.Dispatch(t.Context(), &ops.Call{Op: "create_servers", Args: three, Creds: p.Creds, Quote: quoted.QuoteID, Key: "k", Front: "http"})
	if err != nil || !again.Replayed || len(again.Out.(ops.FleetOut).Servers) != 3 {
		t.Fatalf("the replay = %+v, %v", again, err)
	}
	if n := len(w.Must(p.Creds, "list_servers", nil).Out.(ops.ServersOut).Servers); n != 3 {
		t.Errorf("%d servers", n)
	}
}

// TestWaitForAFleet: the wait lasts until all have ended, and one that failed is
// told of in the answer; only when all failed it is an error.
func TestWaitForAFleet(t *testing.T) {
	for name, failing := range map[string]int{"one fails": 1, "all fail": 3} {
		t.Run(name, func(t *testing.T) {
			w := opstest.New(t)
			p := w.Principal()
			res := w.Must(p.Creds, "create_servers", three)
			for range failing {
				w.Cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
			}
			w.Settle()
			var seen stages
			err := w.System.Wait(t.Context(), res, opstest.Deadline, &seen)
			if failing == 3 {
				wantError(t, err, berth.Unavailable)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := 1; i < len(seen.percents); i++ {
				if seen.percents[i] < seen.percents[i-1] {
					t.Errorf("progress fell: %v", seen.percents)
				}
			}
			count := map[fleet.Status]int{}
			for _, v := range res.Out.(ops.FleetOut).Servers {
				count[v.Status]++
			}
			if count[fleet.Active] != 2 || count[fleet.Failed] != 1 {
				t.Errorf("%v", count)
			}
			if b := w.Must(p.Creds, "get_balance", nil).Out.(ops.BalanceOut); b.Held != 0 || b.Spent != 70_000 {
				t.Errorf("%+v", b)
			}
		})
	}
}

// TestFleetOnDeposits: each server has an escrow of its own.
func TestFleetOnDeposits(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	res := w.Must(p.Creds, "create_servers", opstest.Args{"count": 2, "size": "small", "region": "nyc1", "lease": "deposit", "deposit": "0.30"})
	if got := res.Out.(ops.FleetOut).TotalCharged; got != 640_000 {
		t.Errorf("charged %s, want two fees and two deposits", got)
	}
	w.Settle()
	for _, v := range res.Out.(ops.FleetOut).Servers {
		err := w.Store.Read(t.Context(), func(rx ops.Rx) error {
			escrow, err := rx.LedgerAccount(t.Context(), billing.EscrowAccount(v.ID))
			if escrow.Available() != 300_000 {
				t.Errorf("the escrow of %s has %s", v.Label, escrow.Available())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDocumentedBoot: what the document shows of cloud_init and port_forwards is
// taken as it stands, shown, and exclusive where it must be.
func TestDocumentedBoot(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	args := with(with(smallForAnHour, "cloud_init", map[string]any{
		"runcmd":   []any{"echo 'Hello World'", "apt-get update", "apt-get install -y nginx"},
		"packages": []any{"curl", "git"}, "package_update": true, "package_upgrade": false,
	}), "port_forwards", []any{
		map[string]any{"internal_port": 22, "external_port": 20000}, map[string]any{"internal_port": 80, "external_port": 20001},
	})
	out := w.Must(p.Creds, "create_server", args).Out.(ops.CreateServerOut)
	w.Settle()
	got := w.Must(p.Creds, "get_server", opstest.Args{"server_id": string(out.ID)}).Out.(ops.ServerView)
	if len(got.PortForwards) != 2 || got.PortForwards[1] != (ops.PortForward{Internal: 80, External: 20001}) || got.DiskGB != 25 || got.DeliveredAt == nil || got.ProviderID == "" {
		t.Errorf("%+v", got)
	}
	if sent := string(w.Cloud.Asked()[0].UserData); !strings.Contains(sent, "apt-get install -y nginx") || !strings.Contains(sent, "--dport 20000") {
		t.Errorf("the machine got %s", sent)
	}
	for name, bad := range map[string]opstest.Args{
		"user_data and cloud_init": with(args, "user_data", "#!/bin/sh\n"),
		"a port out of range":      with(args, "port_forwards", []any{map[string]any{"internal_port": 80, "external_port": 80}}),
		"a port twice": with(args, "port_forwards", []any{
			map[string]any{"internal_port": 80, "external_port": 20001}, map[string]any{"internal_port": 81, "external_port": 20001},
		}),
		"an unknown part": with(args, "cloud_init", map[string]any{"write_files": []any{}}),
	} {
		_, err := w.Do(p.Creds, "create_server", bad)
		wantError(t, err, berth.InvalidInput)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestAllKeys: all registered keys are installed, each once.
func TestAllKeys(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	first, second := w.SSHKey(p), w.SSHKey(p)
	out := w.Must(p.Creds, "create_server", with(with(smallForAnHour, "all_ssh_keys", true), "ssh_key_ids", []any{string(first)})).Out.(ops.CreateServerOut)
	if len(out.SSHKeyIDs) != 2 || out.SSHKeyIDs[0] != first || out.SSHKeyIDs[1] != second {
		t.Errorf("keys %v, want %s and %s", out.SSHKeyIDs, first, second)
	}
}

// TestRebuildReveals: the password comes with the answer and with its replay, and
// is never stored with it.
func TestRebuildReveals(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	id := string(w.Server(p))
	want := w.Must(p.Creds, "get_server", opstest.Args{"server_id": id, "reveal_credentials": true}).Out.(ops.ServerView).RootPassword
	args := opstest.Args{"server_id": id, "image": "debian-12-x64", "reveal_credentials": true}
	for _, call := range []string{"first", "replay"} {
		res, err := keyed(w, p.Creds, "k", "rebuild_server", args)
		if err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		if got := res.Out.(ops.RebuildOut).RootPassword; got != want || want == "" {
			t.Errorf("%s: got %q, want %q", call, got, want)
		}
		w.Settle()
		if err := w.System.Wait(t.Context(), res, opstest.Deadline, nil); err != nil {
			t.Fatal(err)
		}
		if out := res.Out.(ops.RebuildOut); out.RootPassword != want || out.Action.Status != fleet.ActionDone {
			t.Errorf("%s, after waiting: %+v", call, out)
		}
	}
	err := w.Store.Read(t.Context(), func(rx ops.Rx) error {
		a, err := rx.Answer(t.Context(), p.ID, "rebuild_server", "k")
		if strings.Contains(string(a.Out), want) {
			t.Errorf("the stored answer has the password: %s", a.Out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := w.Must(p.Creds, "rebuild_server", opstest.Args{"server_id": id, "image": "debian-12-x64"}).Out.(ops.RebuildOut); out.RootPassword != "" {
		t.Error("the password was shown unasked")
	}
}
