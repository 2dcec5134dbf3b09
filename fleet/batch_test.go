package fleet_test

import (
	"fmt"
	"strings"
	"testing"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/provider"
)

// several orders n servers at once, each with a charge of its own, as
// create_servers does.
func (s *sim) several(o fleet.CreateOrder) (servers []fleet.Server, actions []fleet.Action, err error) {
	err = s.store.Write(bg, func(tx fleet.Tx) error {
		servers, actions = nil, nil
		if err := tx.LockPrincipal(bg, o.Owner.ID); err != nil {
			return err
		}
		price, err := s.fleet.PlanCreate(bg, tx, o)
		if err != nil {
			return err
		}
		each := fleet.Each(price, o.Count)
		for n := 1; n <= o.Count; n++ {
			charge := string(berth.NewID(berth.PrefixTransaction, s.clock.Now()))
			srv, a, err := s.fleet.Create(bg, tx, o.Nth(n), each, charge)
			if err != nil {
				return err
			}
			_, err = billing.Deposit(bg, tx, o.Owner.ID, srv.ID, billing.Transfer{
				ID: string(berth.NewID(berth.PrefixTransaction, s.clock.Now())), Amount: each.Deposit, At: s.clock.Now(),
			})
			if err != nil {
				return err
			}
			_, err = billing.Hold(bg, tx, o.Owner.ID, billing.Transfer{
				ID: charge, Amount: each.Total - each.Deposit, Reason: billing.ReasonPurchase, Ref: srv.ID, At: s.clock.Now(),
			})
			if err != nil {
				return err
			}
			servers, actions = append(servers, srv), append(actions, a)
		}
		return nil
	})
	for _, srv := range servers {
		s.servers = append(s.servers, srv.ID)
	}
	return servers, actions, err
}

// TestFleetOfWhichOneFails: of five servers the third fails. The others live and
// are paid for; what was held for it returns, its deposit too.
func TestFleetOfWhichOneFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		period fleet.Period
		each   berth.Micros // of which is captured, and for a deposit in the escrow, for each that lives
		escrow berth.Micros
	}{
		"by the minute": {fleet.Minute, 35_000, 0},
		"on a deposit":  {fleet.Deposit, 20_000, 360_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			o := s.order()
			o.Label, o.Count, o.Period = "web", 5, tt.period
			if tt.period != fleet.Minute {
				o.Minutes = 0
			}
			servers, actions, err := s.several(o)
			if err != nil {
				t.Fatal(err)
			}
			if held := s.balance().Held; held != 5*tt.each {
				t.Errorf("held %s, want five times %s", held, tt.each)
			}
			for i, a := range actions {
				if i == 2 {
					s.prober.Silence(servers[i].ID, true)
				}
				want := fleet.ActionDone
				if i == 2 {
					want = fleet.ActionFailed
				}
				s.mustEnd(a.ID, want)
				if got, label := s.server(servers[i].ID), fmt.Sprintf("web-%d", i+1); got.Label != label {
					t.Errorf("server %d is called %s", i+1, got.Label)
				}
			}
			lost := 100*berth.Dollar - s.balance().Available()
			if want := 4 * (tt.each + tt.escrow); lost != want || s.balance().Held != 0 {
				t.Errorf("%s are gone from the balance, want %s; %s are held", lost, want, s.balance().Held)
			}
		})
	}
}

// TestFleetIsOrderedWhole: nothing is made of an order of which a part can't be.
func TestFleetIsOrderedWhole(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*sim, *fleet.CreateOrder)
		code   berth.Code
	}{
		"beyond the limit": {func(_ *sim, o *fleet.CreateOrder) { o.Owner.ServerLimit = 4 }, berth.LimitReached},
		"a long label":     {func(_ *sim, o *fleet.CreateOrder) { o.Label = strings.Repeat("a", 63) }, berth.InvalidInput},
		"too many":         {func(_ *sim, o *fleet.CreateOrder) { o.Count = fleet.MaxCount + 1 }, berth.InvalidInput},
		"no room": {func(s *sim, _ *fleet.CreateOrder) {
			s.cloud.Standing = provider.Account{Standing: provider.Good, MachineLimit: 10, Machines: 6}
			if err := s.fleet.Refresh(bg); err != nil {
				s.t.Fatalf("refresh: %v", err)
			}
		}, berth.OutOfCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			o := s.order()
			o.Label, o.Count = "web", 5
			tt.change(s, &o)
			_, _, err := s.several(o)
			wantCode(t, err, tt.code)
			if b := s.balance(); b.Held != 0 || b.Available() != 100*berth.Dollar {
				t.Errorf("balance: %+v", b)
			}
		})
	}
}

// TestBootOfAnOrder: what an order says of the first boot reaches the provider,
// and what can't be is refused before anything is charged.
func TestBootOfAnOrder(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	o := s.order()
	o.CloudInit = fleet.CloudInit{RunCmd: []string{"echo 'Hello World'"}, Packages: []string{"curl"}, PackageUpdate: true}
	o.Forwards = []fleet.Forward{{External: 20000, Internal: 22}, {External: 20001, Internal: 80}}
	srv := s.created(o)
	if len(srv.Forwards) != 2 || !srv.CustomBoot {
		t.Errorf("server: %+v", srv)
	}
	data := string(s.cloud.Asked()[0].UserData)
	for _, want := range []string{"- echo 'Hello World'", "package_update: true", "--dport 20001 -j REDIRECT --to-ports 80"} {
		if !strings.Contains(data, want) {
			t.Errorf("the first-boot data lacks %q", want)
		}
	}
	for name, tt := range map[string]struct {
		change func(*fleet.CreateOrder)
		field  string
	}{
		"both":            {func(o *fleet.CreateOrder) { o.UserData = "#!/bin/sh\n" }, "cloud_init"},
		"an empty line":   {func(o *fleet.CreateOrder) { o.CloudInit.RunCmd = []string{""} }, "cloud_init"},
		"too much of it":  {func(o *fleet.CreateOrder) { o.CloudInit.RunCmd = incompressible(100) }, "cloud_init"},
		"a port twice":    {func(o *fleet.CreateOrder) { o.Forwards[1].External = 20000 }, "port_forwards"},
		"a foreign range": {func(o *fleet.CreateOrder) { o.Forwards[0].External = 80 }, "port_forwards"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := o
			bad.Forwards = append([]fleet.Forward{}, o.Forwards...)
			tt.change(&bad)
			_, _, err := s.create(bad)
			code := berth.CodeOf(err)
			if code != berth.InvalidInput && code != berth.TooLarge {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), tt.field) {
				t.Errorf("%v does not name %s", err, tt.field)
			}
		})
	}
}

// incompressible are so many long commands of which none is like another.
func incompressible(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		var b strings.Builder
		for b.Len() < provider.MaxCommandBytes-24 {
			b.WriteString(berth.NewID(berth.PrefixAction, epoch).Hex())
		}
		lines[i] = b.String()
	}
	return lines
}
