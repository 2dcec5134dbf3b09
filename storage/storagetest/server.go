package storagetest

import (
	"math"
	"net/netip"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
	"berth/provider"
)

// server is the least that is a server.
func server(owner berth.ID, seconds int, status fleet.Status) fleet.Server {
	return fleet.Server{
		ID: newID(berth.PrefixServer, seconds), Owner: owner, Contract: billing.Native, Status: status,
		Lease: fleet.Lease{Period: fleet.Minute}, Created: at(seconds),
	}
}

func servers(s suite) {
	ctx := s.Context()
	owner := s.principal("a@example.com")
	srv := fleet.Server{
		ID:       newID(berth.PrefixServer, 1),
		Owner:    owner,
		Contract: billing.Hourly,
		Pool:     newID(berth.PrefixPool, 1),
		DiskGB:   25,
		Forwards: []provider.Forward{{External: 20000, Internal: 80}},
		Label:    "web-1",
		Status:   fleet.Active,
		Region:   "nyc1",
		Size:     "small",
		Image:    "debian-12-x64",
		Snapshot: newID(berth.PrefixSnapshot, 1),
		Keys:     []berth.ID{newID(berth.PrefixKey, 1), newID(berth.PrefixKey, 2)},
		Lease: fleet.Lease{
			Rate: 15_000, PaidUntil: at(3600), Period: fleet.Hour, Renews: true, Renewal: time.Hour,
			Refundable: true, Bought: 90 * time.Minute,
			Deposit: 5_000_000, Metered: 17, MeteredFrom: at(5), GraceUntil: at(7),
		},
		DueAt:      at(3000),
		Charge:     "txn_1",
		Price:      math.MaxInt64,
		MachineID:  "4711",
		Addr:       netip.MustParseAddr("2001:db8::1"),
		SSHPort:    2222,
		HostKey:    "ssh-ed25519 AAAA",
		Secrets:    []byte{0, 255, 39},
		CustomBoot: true,
		Reason:     "it's \"gone\"",
		Created:    at(1),
		Delivered:  at(2),
		Ended:      at(3),
	}
	filled(s, srv)
	get := func(rx ops.Rx) (fleet.Server, error) { return rx.Server(ctx, srv.ID) }
	absent(s, get, "no such server: "+string(srv.ID))
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.UpdateServer(ctx, srv) }, "no such server: "+string(srv.ID))
	s.write(func(tx ops.Tx) error { return tx.InsertServer(ctx, srv) })
	fetch(s, "server", srv, get)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertServer(ctx, srv) })

	least := server(owner, 1, fleet.Provisioning)
	least.ID = srv.ID
	s.write(func(tx ops.Tx) error { return tx.UpdateServer(ctx, least) })
	fetch(s, "emptied", least, get)
	s.write(func(tx ops.Tx) error { return tx.UpdateServer(ctx, srv) })
	fetch(s, "filled", srv, get)

	for _, period := range []fleet.Period{fleet.Minute, fleet.Hour, fleet.Day, fleet.Deposit} {
		srv.Lease.Period = period
		s.write(func(tx ops.Tx) error { return tx.UpdateServer(ctx, srv) })
		fetch(s, string(period), srv, get)
	}
	srv.Status = "lost"
	if s.store.Write(ctx, func(tx ops.Tx) error { return tx.UpdateServer(ctx, srv) }) == nil {
		s.Error("an unknown status was stored")
	}
}

// fleetOf inserts a server of each status, for two owners, and returns the
// first owner's, oldest first.
func fleetOf(s suite) (berth.ID, []fleet.Server) {
	s.Helper()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	var own []fleet.Server
	for i, status := range []fleet.Status{
		fleet.Provisioning, fleet.Active, fleet.Destroyed, fleet.Off, fleet.Failed, fleet.Suspended, fleet.Destroying,
	} {
		own = append(own, server(owner, 2*i, status))
		foreign := server(other, 2*i+1, status)
		s.write(func(tx ops.Tx) error {
			if err := tx.InsertServer(s.Context(), own[i]); err != nil {
				return err
			}
			return tx.InsertServer(s.Context(), foreign)
		})
	}
	return owner, own
}

func serverLists(s suite) {
	ctx := s.Context()
	owner, own := fleetOf(s)
	id := func(srv fleet.Server) berth.ID { return srv.ID }
	for name, tt := range map[string]struct {
		filter fleet.ServerFilter
		want   []int // of own
	}{
		"live":      {fleet.ServerFilter{Limit: 200}, []int{6, 5, 3, 1, 0}},
		"all":       {fleet.ServerFilter{All: true, Limit: 200}, []int{6, 5, 4, 3, 2, 1, 0}},
		"left":      {fleet.ServerFilter{Failed: true, Limit: 200}, []int{6, 5, 4, 3, 1, 0}},
		"next left": {fleet.ServerFilter{Failed: true, After: own[5].ID, Limit: 2}, []int{4, 3}},
		"newest":    {fleet.ServerFilter{Limit: 2}, []int{6, 5}},
		"next live": {fleet.ServerFilter{After: own[5].ID, Limit: 2}, []int{3, 1}},
		"next":      {fleet.ServerFilter{All: true, After: own[5].ID, Limit: 2}, []int{4, 3}},
		"no more":   {fleet.ServerFilter{All: true, After: own[0].ID, Limit: 2}, []int{}},
	} {
		want := make([]fleet.Server, len(tt.want))
		for i, n := range tt.want {
			want[i] = own[n]
		}
		fetch(s, name, want, func(rx ops.Rx) ([]fleet.Server, error) { return rx.Servers(ctx, owner, tt.filter) })
	}
	fetch(s, "count", 4, func(rx ops.Rx) (int, error) { return rx.CountServers(ctx, owner, "") })
	fetch(s, "count of nobody", 0, func(rx ops.Rx) (int, error) { return rx.CountServers(ctx, "acct_none", "") })

	var everybody, page []berth.ID
	s.read(func(rx ops.Rx) error {
		all, err := rx.LiveServers(ctx, "", 1000)
		if err != nil {
			return err
		}
		everybody = ids(all, id)
		rest, err := rx.LiveServers(ctx, everybody[2], 3)
		page = ids(rest, id)
		return err
	})
	if len(everybody) != 10 || everybody[0] != own[0].ID {
		s.Errorf("live servers of everybody: %v", everybody)
	}
	equal(s, "live servers after one", page, everybody[3:6])
}

func dueServers(s suite) {
	ctx := s.Context()
	owner := s.principal("a@example.com")
	due := func(seconds int, status fleet.Status, change func(*fleet.Server)) fleet.Server {
		srv := server(owner, seconds, status)
		srv.DueAt, srv.Delivered = at(100-seconds), at(1)
		if change != nil {
			change(&srv)
		}
		s.write(func(tx ops.Tx) error { return tx.InsertServer(ctx, srv) })
		return srv
	}
	late := due(10, fleet.Active, nil)
	later := due(20, fleet.Suspended, nil)
	latest := due(30, fleet.Off, nil)
	due(5, fleet.Active, nil) // not yet
	due(40, fleet.Destroyed, nil)
	due(41, fleet.Failed, nil)
	due(42, fleet.Provisioning, func(srv *fleet.Server) { srv.Delivered = time.Time{} })
	due(43, fleet.Active, func(srv *fleet.Server) { srv.DueAt = time.Time{} })
	for limit, want := range map[int][]fleet.Server{
		9: {latest, later, late},
		2: {latest, later},
	} {
		fetch(s, "due", want, func(rx ops.Rx) ([]fleet.Server, error) { return rx.DueServers(ctx, at(90), limit) })
	}
	fetch(s, "none due", []fleet.Server{}, func(rx ops.Rx) ([]fleet.Server, error) { return rx.DueServers(ctx, at(69), 9) })
}

// revivable servers wait for an hour's price of an owner who may pay it.
func revivable(s suite) {
	ctx := s.Context()
	rich, poor, barred := s.principal("a@example.com"), s.principal("b@example.com"), s.principal("c@example.com")
	s.write(func(tx ops.Tx) error {
		for owner, amount := range map[berth.ID]berth.Micros{rich: 12, poor: 9, barred: 100} {
			err := tx.PutLedgerAccount(ctx, billing.Account{ID: billing.CustomerAccount(owner), Credited: amount, Held: 1, Debited: 1})
			if err != nil {
				return err
			}
		}
		p, err := tx.Principal(ctx, barred)
		if err != nil {
			return err
		}
		p.Suspended = true
		return tx.UpdatePrincipal(ctx, p)
	})
	insert := func(owner berth.ID, seconds int, change func(*fleet.Server)) fleet.Server {
		srv := server(owner, seconds, fleet.Suspended)
		srv.Lease.Rate, srv.Lease.GraceUntil = 10, at(100)
		if change != nil {
			change(&srv)
		}
		s.write(func(tx ops.Tx) error { return tx.InsertServer(ctx, srv) })
		return srv
	}
	first, second := insert(rich, 1, nil), insert(rich, 2, nil)
	insert(rich, 3, func(srv *fleet.Server) { srv.Lease.Rate = 11 })
	insert(rich, 4, func(srv *fleet.Server) { srv.Lease.GraceUntil = at(50) })
	insert(rich, 5, func(srv *fleet.Server) { srv.Lease.GraceUntil = time.Time{} }) // held for another reason
	insert(rich, 6, func(srv *fleet.Server) { srv.Status = fleet.Destroying })
	insert(poor, 7, nil)
	insert(barred, 8, nil)
	for _, tt := range []struct {
		after berth.ID
		limit int
		want  []fleet.Server
	}{
		{"", 9, []fleet.Server{first, second}},
		{"", 1, []fleet.Server{first}},
		{first.ID, 9, []fleet.Server{second}},
		{second.ID, 9, []fleet.Server{}},
	} {
		fetch(s, "revivable", tt.want, func(rx ops.Rx) ([]fleet.Server, error) {
			return rx.RevivableServers(ctx, at(50), tt.after, tt.limit)
		})
	}
}
