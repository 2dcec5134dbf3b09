package storagetest

import (
	"encoding/json"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
)

func (s suite) pool(owner berth.ID, seconds int) account.Pool {
	s.Helper()
	p := account.Pool{
		ID: newID(berth.PrefixPool, seconds), Owner: owner, Name: "Team", Description: "Staging\nand more",
		Settings: json.RawMessage(`{"max":3}`), Created: at(seconds), Updated: at(seconds + 1),
	}
	s.write(func(tx ops.Tx) error { return tx.InsertPool(s.Context(), p) })
	return p
}

func (s suite) member(pool, who, by berth.ID, seconds, joined int) account.Member {
	s.Helper()
	m := account.Member{ID: newID(berth.PrefixInvitation, seconds), Pool: pool, Principal: who, Role: account.User, InvitedBy: by, Invited: at(seconds)}
	if joined > 0 {
		m.Joined = at(joined)
	}
	s.write(func(tx ops.Tx) error { return tx.InsertMember(s.Context(), m) })
	return m
}

func poolID(p account.Pool) berth.ID     { return p.ID }
func memberID(m account.Member) berth.ID { return m.ID }

func pools(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	of := func(id berth.ID) func(ops.Rx) (account.Pool, error) {
		return func(rx ops.Rx) (account.Pool, error) { return rx.Pool(ctx, id) }
	}
	absent(s, of(newID(berth.PrefixPool, 9)), "no such pool")
	p := s.pool(owner, 1)
	p.Default = true
	filled(s, p)
	s.write(func(tx ops.Tx) error { return tx.UpdatePool(ctx, p) })
	fetch(s, "updated", p, of(p.ID))
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertPool(ctx, p) }, string(p.ID))

	second, joined, invited := s.pool(owner, 3), s.pool(other, 2), s.pool(other, 4)
	later := s.pool(other, 5)
	s.member(later.ID, owner, other, 1, 7)
	s.member(joined.ID, owner, other, 2, 6)
	s.member(invited.ID, owner, other, 3, 0)
	fetch(s, "pools", []berth.ID{second.ID, p.ID, later.ID, joined.ID}, func(rx ops.Rx) ([]berth.ID, error) {
		list, err := rx.Pools(ctx, owner)
		return ids(list, poolID), err
	})
	gone := p
	gone.ID = newID(berth.PrefixPool, 9)
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.UpdatePool(ctx, gone) }, string(gone.ID))
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.DeletePool(ctx, gone.ID) }, string(gone.ID))
}

func members(s suite) {
	ctx := s.Context()
	owner, first, second := s.principal("a@example.com"), s.principal("b@example.com"), s.principal("c@example.com")
	p, q := s.pool(owner, 1), s.pool(owner, 2)
	m := s.member(p.ID, first, owner, 1, 5)
	filled(s, m)
	invited := s.member(p.ID, second, owner, 2, 0)
	newer := s.member(q.ID, second, owner, 3, 0)
	of := func(pool, who berth.ID) func(ops.Rx) (account.Member, error) {
		return func(rx ops.Rx) (account.Member, error) { return rx.Member(ctx, pool, who) }
	}
	fetch(s, "member", m, of(p.ID, first))
	absent(s, of(q.ID, first), string(first))
	fetch(s, "invitation", invited, func(rx ops.Rx) (account.Member, error) { return rx.Invitation(ctx, invited.ID) })
	absent(s, func(rx ops.Rx) (account.Member, error) { return rx.Invitation(ctx, newID(berth.PrefixInvitation, 9)) })
	list := func(want []berth.ID, get func(ops.Rx) ([]account.Member, error)) {
		s.Helper()
		fetch(s, "list", want, func(rx ops.Rx) ([]berth.ID, error) {
			list, err := get(rx)
			return ids(list, memberID), err
		})
	}
	list([]berth.ID{m.ID, invited.ID}, func(rx ops.Rx) ([]account.Member, error) { return rx.Members(ctx, p.ID) })
	list([]berth.ID{newer.ID, invited.ID}, func(rx ops.Rx) ([]account.Member, error) { return rx.Invitations(ctx, second) })

	again := invited
	again.ID = newID(berth.PrefixInvitation, 8)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertMember(ctx, again) }, string(second))
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.UpdateMember(ctx, again) }, string(again.ID))
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.DeleteMember(ctx, again.ID) }, string(again.ID))
	invited.Role, invited.Joined = account.Admin, at(9)
	s.write(func(tx ops.Tx) error { return tx.UpdateMember(ctx, invited) })
	fetch(s, "joined", invited, of(p.ID, second))
	list([]berth.ID{newer.ID}, func(rx ops.Rx) ([]account.Member, error) { return rx.Invitations(ctx, second) })
	s.write(func(tx ops.Tx) error { return tx.DeleteMember(ctx, invited.ID) })
	absent(s, of(p.ID, second))
}

// poolServers: a pool's servers are everybody's in it, and go home when their
// renter leaves, or the pool ends.
func poolServers(s suite) {
	ctx := s.Context()
	owner, renter := s.principal("a@example.com"), s.principal("b@example.com")
	p := s.pool(owner, 1)
	s.member(p.ID, renter, owner, 1, 2)
	add := func(owner berth.ID, seconds int, status fleet.Status, contract billing.Contract, pool berth.ID) berth.ID {
		v := server(owner, seconds, status)
		v.Contract, v.Pool = contract, pool
		s.write(func(tx ops.Tx) error { return tx.InsertServer(ctx, v) })
		return v.ID
	}
	one := add(owner, 1, fleet.Active, billing.Native, p.ID)
	two := add(renter, 2, fleet.Suspended, billing.Rentals, p.ID)
	three := add(renter, 3, fleet.Destroying, billing.Native, p.ID)
	ended := add(renter, 4, fleet.Destroyed, billing.Native, p.ID)
	add(renter, 5, fleet.Active, billing.Native, account.DefaultPool(renter))
	has := func(q fleet.ServerFilter, want ...berth.ID) {
		s.Helper()
		fetch(s, "servers", want, func(rx ops.Rx) ([]berth.ID, error) {
			list, err := rx.PoolServers(ctx, p.ID, q)
			return ids(list, func(v fleet.Server) berth.ID { return v.ID }), err
		})
	}
	has(fleet.ServerFilter{Limit: 200}, three, two, one)
	has(fleet.ServerFilter{Limit: 1, After: three}, two)
	has(fleet.ServerFilter{Limit: 200, Contract: billing.Rentals}, two)
	for contract, want := range map[billing.Contract]int{"": 3, billing.Native: 2, billing.Rentals: 1, billing.Hourly: 0} {
		fetch(s, "count", want, func(rx ops.Rx) (int, error) { return rx.CountPoolServers(ctx, p.ID, contract) })
	}
	in := func(id, want berth.ID) {
		s.Helper()
		fetch(s, "the pool of "+string(id), want, func(rx ops.Rx) (berth.ID, error) {
			v, err := rx.Server(ctx, id)
			return v.Pool, err
		})
	}
	s.write(func(tx ops.Tx) error { return tx.ReturnServers(ctx, p.ID, renter) })
	has(fleet.ServerFilter{Limit: 200}, one)
	for _, id := range []berth.ID{two, three, ended} {
		in(id, account.DefaultPool(renter))
	}
	s.write(func(tx ops.Tx) error { return tx.DeletePool(ctx, p.ID) })
	in(one, account.DefaultPool(owner))
	absent(s, func(rx ops.Rx) (account.Member, error) { return rx.Member(ctx, p.ID, renter) })
}
