package ops_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/fleet"
	"berth/ops"
	"berth/ops/opstest"
)

// TestSharing is the story of a pool: invite, accept, use, pay, leave.
func TestSharing(t *testing.T) {
	w := opstest.New(t)
	owner, member := w.Principal(), w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Budget = budget(berth.Dollar, 0) })
	server := string(w.Server(owner))
	pool := string(w.Pool(owner))
	on := opstest.Args{"server_id": server}
	w.Must(owner.Creds, "update_server", with(on, "pool_id", pool))
	refused(t, w, member, "get_server", on, berth.NotFound)

	invitation := w.Invite(owner, berth.ID(pool), member, "user")
	list := w.Must(member.Creds, "list_invitations", nil).Out.(ops.InvitationsOut).Invitations
	if len(list) != 1 || list[0].ID != invitation || list[0].PoolID != berth.ID(pool) || list[0].InvitedBy.Username != owner.Username {
		t.Fatalf("invitations: %+v", list)
	}
	refused(t, w, member, "get_server", on, berth.NotFound)
	w.Must(member.Creds, "accept_invitation", opstest.Args{"invitation_id": string(invitation)})
	refused(t, w, member, "accept_invitation", opstest.Args{"invitation_id": string(invitation)}, berth.Conflict)

	seen := get(w, member, berth.ID(server))
	if seen.Role != "user" || seen.OwnerID != owner.ID || seen.PoolID != berth.ID(pool) {
		t.Errorf("a member sees %+v", seen)
	}
	w.Must(member.Creds, "ssh_exec", with(on, "command", "uname -a"))
	revealed := w.Must(member.Creds, "get_server", with(on, "reveal_credentials", true)).Out.(ops.ServerView)
	if revealed.RootPassword != "" || !strings.Contains(revealed.Note, "admins") {
		t.Errorf("a user sees the password, or not why not: %+v", revealed)
	}
	w.Must(owner.Creds, "update_member", opstest.Args{"pool_id": pool, "account_id": string(member.ID), "role": "admin"})
	if revealed = w.Must(member.Creds, "get_server", with(on, "reveal_credentials", true)).Out.(ops.ServerView); revealed.RootPassword == "" {
		t.Error("an admin does not see the password")
	}

	// The caller pays, within its own cap; what it buys is the renter's.
	before := w.Balance(owner.ID)
	out := w.Must(member.Creds, "snapshot", on).Out.(ops.SnapshotOut)
	w.Settle()
	w.Must(member.Creds, "extend", opstest.Args{"id": server, "minutes": 600})
	w.Read(func(ctx context.Context, rx ops.Rx) error {
		snap, err := rx.Snapshot(ctx, out.ID)
		if snap.Owner != owner.ID {
			t.Errorf("the snapshot is %s's", snap.Owner)
		}
		return err
	})
	if after := w.Balance(owner.ID); after != before {
		t.Errorf("the renter paid: %+v, before %+v", after, before)
	}
	if paid := w.Balance(member.ID).Debited; paid != 160_000 {
		t.Errorf("the member paid %s", paid)
	}
	refused(t, w, member, "extend", opstest.Args{"id": server, "minutes": 60 * 200}, berth.BudgetExceeded)

	w.Must(member.Creds, "remove_member", opstest.Args{"pool_id": pool, "account_id": string(member.ID)})
	refused(t, w, member, "get_server", on, berth.NotFound)
	refused(t, w, member, "get_pool", opstest.Args{"pool_id": pool}, berth.NotFound)
	events(t, w, owner, "pool.joined", "pool.left", "server.moved")
	events(t, w, member, "pool.invited", "pool.role")
	w.Verify()
}

// refused checks that somebody's call is refused with a code.
func refused(t *testing.T, w *opstest.World, p opstest.Principal, op string, args opstest.Args, code berth.Code) *berth.Error {
	t.Helper()
	_, err := w.Do(p.Creds, op, args)
	if err == nil {
		t.Fatalf("%s %v is not refused", op, args)
	}
	return wantError(t, err, code)
}

// events checks that somebody was told of each of the given kinds.
func events(t *testing.T, w *opstest.World, p opstest.Principal, kinds ...fleet.EventKind) {
	t.Helper()
	list := w.Must(p.Creds, "list_events", opstest.Args{"limit": 200}).Out.(ops.EventsOut).Events
	for _, kind := range kinds {
		if !slices.ContainsFunc(list, func(e fleet.Event) bool { return e.Kind == kind }) {
			t.Errorf("%s was not told of %s", p.Email, kind)
		}
	}
}

// TestRemovalEndsAccess: with a key or without, what goes on is told no more to
// who was removed, and what it rents leaves with it.
func TestRemovalEndsAccess(t *testing.T) {
	w := opstest.New(t)
	owner, member := w.Principal(), w.Principal()
	pool := w.Pool(owner)
	w.Join(owner, pool, member, "admin")
	shared := w.Must(owner.Creds, "create_server", with(smallForAnHour, "pool_id", string(pool))).Out.(ops.CreateServerOut).ID
	own := w.Must(member.Creds, "create_server", with(smallForAnHour, "pool_id", string(pool))).Out.(ops.CreateServerOut).ID
	w.Settle()
	args := opstest.Args{"server_id": string(shared), "action": "reboot"}
	first, err := keyed(w, member.Creds, "k", "power_server", args)
	if err != nil || first.Action == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	w.Must(owner.Creds, "remove_member", opstest.Args{"pool_id": string(pool), "account_id": string(member.ID)})
	again, err := keyed(w, member.Creds, "k", "power_server", args)
	if err != nil || !again.Replayed || again.Action != "" {
		t.Errorf("a retry after the removal: %+v, %v", again, err)
	}
	refused(t, w, member, "get_action", opstest.Args{"action_id": string(first.Action)}, berth.NotFound)
	refused(t, w, owner, "get_server", opstest.Args{"server_id": string(own)}, berth.NotFound)
	if v := get(w, member, own); v.PoolID != account.DefaultPool(member.ID) || v.Role != "" {
		t.Errorf("its own server: %+v", v)
	}
	events(t, w, member, "pool.removed")
	w.Settle()
	w.Verify()
}

func TestPoolLists(t *testing.T) {
	w := opstest.New(t)
	owner, member, invited := w.Principal(), w.Principal(), w.Principal()
	pool := w.Pool(owner)
	w.Join(owner, pool, member, "admin")
	w.Clock.Advance(time.Second)
	w.Invite(member, pool, invited, "user")
	args := with(smallForAnHour, "pool_id", string(pool))
	first := w.Must(owner.Creds, "create_server", args).Out.(ops.CreateServerOut).ID
	w.Clock.Advance(time.Second)
	second := w.Must(member.Creds, "create_server", args).Out.(ops.CreateServerOut).ID
	w.Settle()
	out := w.Must(member.Creds, "get_pool", opstest.Args{"pool_id": string(pool)}).Out.(ops.PoolOut)
	if out.Role != "admin" || out.Members != 1 || out.Servers != 2 || len(out.People) != 2 || out.People[1].Authorized || out.People[1].Username != invited.Username {
		t.Errorf("pool: %+v", out)
	}
	if len(out.List) != 2 || out.List[0].ID != second || !out.List[0].Ready || out.List[1].OwnerID != owner.ID {
		t.Errorf("its servers: %+v", out.List)
	}
	page := w.Must(member.Creds, "list_servers", opstest.Args{"pool_id": string(pool), "limit": 1}).Out.(ops.ServersOut)
	if len(page.Servers) != 1 || page.Servers[0].ID != second || page.Servers[0].Role != "" || page.Next != string(second) {
		t.Errorf("first page: %+v", page)
	}
	page = w.Must(member.Creds, "list_servers", opstest.Args{"pool_id": string(pool), "limit": 1, "after": page.Next}).Out.(ops.ServersOut)
	if len(page.Servers) != 1 || page.Servers[0].ID != first || page.Servers[0].Role != "admin" {
		t.Errorf("second page: %+v", page)
	}
	refused(t, w, member, "list_servers", opstest.Args{"pool_id": string(pool), "all": true}, berth.InvalidInput)
	list := w.Must(member.Creds, "list_pools", nil).Out.(ops.PoolsOut).Pools
	if len(list) != 2 || !list[0].Default || list[0].Role != "owner" || list[1].ID != pool || list[1].Role != "admin" {
		t.Errorf("pools: %+v", list)
	}
	w.Must(owner.Creds, "delete_pool", opstest.Args{"pool_id": string(pool)})
	if v := get(w, member, second); v.PoolID != account.DefaultPool(member.ID) {
		t.Errorf("after the pool ended: %+v", v)
	}
	refused(t, w, member, "get_server", opstest.Args{"server_id": string(first)}, berth.NotFound)
	events(t, w, invited, "pool.invited", "pool.deleted")
}

func TestPoolRefusals(t *testing.T) {
	w := opstest.New(t)
	owner, member, invited := w.Principal(), w.Principal(), w.Principal()
	pool := string(w.Pool(owner))
	w.Join(owner, berth.ID(pool), member, "admin")
	invitation := w.Invite(owner, berth.ID(pool), invited, "user")
	here := opstest.Args{"pool_id": pool}
	for name, tt := range map[string]struct {
		by   opstest.Principal
		op   string
		args opstest.Args
		code berth.Code
	}{
		"the default pool ends":       {owner, "delete_pool", opstest.Args{"pool_id": string(account.DefaultPool(owner.ID))}, berth.Conflict},
		"inviting oneself":            {owner, "invite_member", with(here, "username", owner.Username), berth.Conflict},
		"inviting the owner":          {member, "invite_member", with(here, "username", strings.ToUpper(owner.Username)), berth.Conflict},
		"inviting a member":           {owner, "invite_member", with(here, "username", member.Username), berth.Conflict},
		"inviting twice":              {member, "invite_member", with(here, "username", invited.Username), berth.Conflict},
		"inviting nobody":             {owner, "invite_member", with(here, "username", "nobody-at-all"), berth.NotFound},
		"an unknown role":             {owner, "invite_member", with(with(here, "username", "x"), "role", "owner"), berth.InvalidInput},
		"the owner leaves":            {owner, "remove_member", with(here, "account_id", string(owner.ID)), berth.Conflict},
		"removing the owner":          {member, "remove_member", with(here, "account_id", string(owner.ID)), berth.Forbidden},
		"removing a stranger":         {owner, "remove_member", with(here, "account_id", "acct_0193f2a4c1d05e6f7a8b9c0d"), berth.NotFound},
		"somebody else's invitation":  {member, "accept_invitation", opstest.Args{"invitation_id": string(invitation)}, berth.NotFound},
		"a pool of somebody else's":   {invited, "create_server", with(smallForAnHour, "pool_id", pool), berth.NotFound},
		"a pool that is none":         {invited, "create_server", with(smallForAnHour, "pool_id", "pool"), berth.NotFound},
		"a name without letters":      {owner, "create_pool", opstest.Args{"name": " \t "}, berth.InvalidInput},
		"settings that are too large": {owner, "create_pool", opstest.Args{"name": "x", "settings": map[string]any{"a": strings.Repeat("x", 4096)}}, berth.InvalidInput},
	} {
		t.Run(name, func(t *testing.T) {
			if e := refused(t, w, tt.by, tt.op, tt.args, tt.code); e.Hint == "" {
				t.Error("no hint")
			}
		})
	}
	w.Must(invited.Creds, "reject_invitation", opstest.Args{"invitation_id": string(invitation)})
	refused(t, w, invited, "accept_invitation", opstest.Args{"invitation_id": string(invitation)}, berth.NotFound)
	events(t, w, owner, "pool.rejected")
	again := w.Invite(owner, berth.ID(pool), invited, "user")
	w.Must(member.Creds, "remove_member", with(here, "account_id", string(invited.ID)))
	refused(t, w, invited, "accept_invitation", opstest.Args{"invitation_id": string(again)}, berth.NotFound)
	events(t, w, invited, "pool.withdrawn")
}

func TestPoolBounds(t *testing.T) {
	w := opstest.New(t)
	owner := w.Principal()
	for range account.MaxPools - 1 {
		w.Pool(owner)
	}
	refused(t, w, owner, "create_pool", opstest.Args{"name": "one more"}, berth.LimitReached)
	pool := account.DefaultPool(owner.ID)
	for range account.MaxMembers {
		w.Invite(owner, pool, w.Principal(), "user")
	}
	refused(t, w, owner, "invite_member", opstest.Args{"pool_id": string(pool), "username": w.Principal().Username}, berth.LimitReached)
	joiner := w.Principal()
	for range account.MaxMemberships {
		p := w.Principal()
		w.Join(p, account.DefaultPool(p.ID), joiner, "user")
	}
	p := w.Principal()
	last := w.Invite(p, account.DefaultPool(p.ID), joiner, "user")
	refused(t, w, joiner, "accept_invitation", opstest.Args{"invitation_id": string(last)}, berth.LimitReached)
}

// TestSuspendedRenter: nothing is sold for a suspended renter's server, which can
// be used until its time ends.
func TestSuspendedRenter(t *testing.T) {
	w := opstest.New(t)
	renter, member := w.Principal(), w.Principal()
	w.Join(renter, account.DefaultPool(renter.ID), member, "admin")
	on := opstest.Args{"server_id": string(w.Server(renter))}
	w.Local(0)
	w.Must(opstest.Operator, "update_account", opstest.Args{"account": renter.Email, "suspended": true})
	w.Must(member.Creds, "get_server", on)
	w.Must(member.Creds, "ssh_exec", with(on, "command", "true"))
	e := refused(t, w, member, "power_server", with(on, "action", "reboot"), berth.Forbidden)
	if !strings.Contains(e.Message, "suspended") {
		t.Errorf("the refusal says %q", e.Message)
	}
}

// TestRolesFollowPools: pools differ in what somebody may do.
func TestRolesFollowPools(t *testing.T) {
	w := opstest.New(t)
	renter, member := w.Principal(), w.Principal()
	server := string(w.Server(renter))
	for _, tt := range []struct {
		role string
		code berth.Code // of turning it off
	}{{"user", berth.Forbidden}, {"", berth.NotFound}, {"admin", ""}} {
		pool := w.Pool(renter)
		if tt.role != "" {
			w.Join(renter, pool, member, tt.role)
		}
		w.Must(renter.Creds, "update_server", opstest.Args{"server_id": server, "pool_id": string(pool)})
		_, err := w.Do(member.Creds, "power_server", opstest.Args{"server_id": server, "action": "off"})
		if got := fmt.Sprint(berth.CodeOf(err)); err != nil && got != string(tt.code) || err == nil && tt.code != "" {
			t.Errorf("as %q: %v", tt.role, err)
		}
	}
}

// TestSharedServerVanishes: what members paid for time that is lost goes to the
// renter, whose the server is.
func TestSharedServerVanishes(t *testing.T) {
	w := opstest.New(t)
	renter, member := w.Principal(), w.Principal()
	w.Join(renter, account.DefaultPool(renter.ID), member, "admin")
	id := w.Server(renter)
	w.Must(member.Creds, "extend", opstest.Args{"id": string(id), "minutes": 6000})
	w.Cloud.Vanish(string(id))
	before := w.Balance(renter.ID).Available()
	for range 10 {
		if err := w.Fleet.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Minute)
	}
	if got := w.Balance(renter.ID).Available() - before; got < 1_490_000 || got > 1_515_000 {
		t.Errorf("%s returned to the renter", got)
	}
	w.Verify()
}
