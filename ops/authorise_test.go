package ops_test

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/ops"
	"berth/ops/opstest"
)

// people are those who try: each with a pool's server in sight, or without.
type people struct {
	renter, owner, admin, user, invited, stranger, elsewhere opstest.Principal
}

func newPeople(w *opstest.World) people {
	return people{
		renter: w.Principal(), admin: w.Principal(), user: w.Principal(),
		invited: w.Principal(), stranger: w.Principal(), elsewhere: w.Principal(),
	}
}

// stage is what a case is tried on: a pool of the owner's, and a server in it
// with what belongs to it, rented by an admin of that pool.
type stage struct {
	people
	pool, server, snapshot, action berth.ID
}

func newStage(w *opstest.World, p people) stage {
	p.owner = w.Principal() // one owner has only so many pools
	s := stage{people: p, pool: w.Pool(p.owner)}
	for who, role := range map[*opstest.Principal]string{&p.renter: "admin", &p.admin: "admin", &p.user: "user"} {
		w.Join(p.owner, s.pool, *who, role)
	}
	w.Invite(p.owner, s.pool, p.invited, "admin")
	w.Join(p.owner, w.Pool(p.owner), p.elsewhere, "admin")
	res := w.Must(p.renter.Creds, "create_server", with(smallForAnHour, "pool_id", string(s.pool)))
	s.server, s.action = res.Out.(ops.CreateServerOut).ID, res.Action
	w.Settle()
	return s
}

// withSnapshot takes a snapshot of the stage's server.
func (s stage) withSnapshot(w *opstest.World) stage {
	s.snapshot = w.Must(s.renter.Creds, "snapshot", opstest.Args{"server_id": string(s.server)}).Out.(ops.SnapshotOut).ID
	w.Settle()
	return s
}

// roles are what each of them is to the subject of an attempt.
func (s stage) roles(a attempt, args opstest.Args) map[string]account.Role {
	roles := map[string]account.Role{
		"renter": account.Renter, "owner": account.Owner, "admin": account.Admin, "user": account.User,
		"invited": account.Stranger, "stranger": account.Stranger, "elsewhere": account.Stranger,
	}
	switch {
	case a.own:
		for _, name := range []string{"owner", "admin", "user"} {
			roles[name] = account.Stranger
		}
	case args["server_id"] == nil && args["pool_id"] != nil:
		roles["renter"] = account.Admin // as it is in the pool
	}
	return roles
}

func (s stage) creds(who string) []ops.Credential {
	return map[string]opstest.Principal{
		"renter": s.renter, "owner": s.owner, "admin": s.admin, "user": s.user,
		"invited": s.invited, "stranger": s.stranger, "elsewhere": s.elsewhere,
	}[who].Creds
}

// attempt is a way to call an operation, and the least role that may.
type attempt struct {
	op    string
	least account.Role
	args  func(*opstest.World, *stage) opstest.Args
	// own tells that nobody shares the subject: all but whom it belongs to are
	// strangers to it.
	own bool
}

// onServer is the arguments of a call about the stage's server.
func onServer(more opstest.Args) func(*opstest.World, *stage) opstest.Args {
	return func(_ *opstest.World, s *stage) opstest.Args { return with(more, "server_id", string(s.server)) }
}

func onPool(more opstest.Args) func(*opstest.World, *stage) opstest.Args {
	return func(_ *opstest.World, s *stage) opstest.Args { return with(more, "pool_id", string(s.pool)) }
}

// about is the arguments of a call that names the stage's server otherwise.
func about(field string, more opstest.Args) func(*opstest.World, *stage) opstest.Args {
	return func(_ *opstest.World, s *stage) opstest.Args { return with(more, field, string(s.server)) }
}

func onSnapshot(field string, more opstest.Args) func(*opstest.World, *stage) opstest.Args {
	return func(w *opstest.World, s *stage) opstest.Args {
		*s = s.withSnapshot(w)
		return with(more, field, string(s.snapshot))
	}
}

// onOwn is the arguments of a call about something of the renter's alone.
func onOwn(field, prefix string) func(*opstest.World, *stage) opstest.Args {
	return func(w *opstest.World, s *stage) opstest.Args {
		return opstest.Args{field: string(w.Subject(s.renter, prefix))}
	}
}

// onMember is the arguments of a call about a new member of the stage's pool.
func onMember(role string, more opstest.Args) func(*opstest.World, *stage) opstest.Args {
	return func(w *opstest.World, s *stage) opstest.Args {
		p := w.Principal()
		w.Join(s.owner, s.pool, p, role)
		return with(with(more, "pool_id", string(s.pool)), "account_id", string(p.ID))
	}
}

var none = opstest.Args{}

// attempts are all ways to call operations on something that somebody has.
var attempts = []attempt{
	{op: "get_server", least: account.User, args: onServer(opstest.Args{"reveal_credentials": true})},
	{op: "list_actions", least: account.User, args: about("subject", none)},
	{op: "get_action", least: account.User, args: func(_ *opstest.World, s *stage) opstest.Args {
		return opstest.Args{"action_id": string(s.action)}
	}},
	{op: "ssh_exec", least: account.User, args: onServer(opstest.Args{"command": "true"})},
	{op: "upload_file", least: account.User, args: onServer(opstest.Args{"path": "/tmp/a", "content": "a"})},
	{op: "download_file", least: account.User, args: func(w *opstest.World, s *stage) opstest.Args {
		w.Hands.Put(s.server, "/tmp/b", []byte("b"))
		return opstest.Args{"server_id": string(s.server), "path": "/tmp/b"}
	}},
	{op: "power_server", least: account.User, args: onServer(opstest.Args{"action": "reboot"})},
	{op: "power_server", least: account.Admin, args: onServer(opstest.Args{"action": "off"})},
	{op: "snapshot", least: account.Admin, args: onServer(none)},
	{op: "resize_server", least: account.Admin, args: onServer(opstest.Args{"size": "medium"})},
	{op: "extend", least: account.Admin, args: about("id", opstest.Args{"minutes": 60})},
	{op: "rebuild_server", least: account.Owner, args: onServer(opstest.Args{"image": "debian-12-x64"})},
	{op: "rebuild_server", least: account.Renter, args: func(w *opstest.World, s *stage) opstest.Args {
		*s = s.withSnapshot(w)
		return opstest.Args{"server_id": string(s.server), "snapshot_id": string(s.snapshot)}
	}},
	{op: "update_server", least: account.Owner, args: onServer(opstest.Args{"label": "ours"})},
	{op: "update_server", least: account.Owner, args: onServer(opstest.Args{"auto_renew": false})},
	{op: "update_server", least: account.Renter, args: onServer(opstest.Args{"auto_renew": true})},
	{op: "update_server", least: account.Renter, args: func(_ *opstest.World, s *stage) opstest.Args {
		return opstest.Args{"server_id": string(s.server), "pool_id": string(s.pool)}
	}},
	{op: "destroy_server", least: account.Renter, args: onServer(none)},
	{op: "quote", least: account.User, args: about("id", opstest.Args{"operation": "power_server", "action": "reboot"})},
	{op: "quote", least: account.Admin, args: about("id", opstest.Args{"operation": "power_server", "action": "off"})},
	{op: "quote", least: account.Admin, args: about("id", opstest.Args{"operation": "extend", "minutes": 5})},
	{op: "quote", least: account.Admin, args: about("id", opstest.Args{"operation": "snapshot"})},
	{op: "quote", least: account.Admin, args: about("id", opstest.Args{"operation": "resize_server", "size": "medium"})},
	{op: "quote", least: account.Owner, args: about("id", opstest.Args{"operation": "rebuild_server"})},
	{op: "get_snapshot", least: account.User, args: onSnapshot("snapshot_id", none)},
	{op: "list_actions", least: account.User, args: onSnapshot("subject", none)},
	{op: "extend", least: account.Renter, args: onSnapshot("id", opstest.Args{"days": 1})},
	{op: "quote", least: account.Renter, args: onSnapshot("id", opstest.Args{"operation": "extend", "days": 1})},
	{op: "delete_snapshot", least: account.Renter, args: onSnapshot("snapshot_id", none)},

	{op: "list_servers", least: account.User, args: onPool(none)},
	{op: "get_pool", least: account.User, args: onPool(none)},
	{op: "create_server", least: account.Admin, args: onPool(smallForAnHour)},
	{op: "invite_member", least: account.Admin, args: func(w *opstest.World, s *stage) opstest.Args {
		return opstest.Args{"pool_id": string(s.pool), "username": w.Principal().Username}
	}},
	{op: "remove_member", least: account.Admin, args: onMember("user", none)},
	{op: "remove_member", least: account.Owner, args: onMember("admin", none)},
	{op: "update_member", least: account.Owner, args: onMember("user", opstest.Args{"role": "admin"})},
	{op: "update_pool", least: account.Owner, args: onPool(opstest.Args{"description": "ours"})},
	{op: "delete_pool", least: account.Owner, args: onPool(none)},

	{op: "remove_ssh_key", least: account.Renter, args: onOwn("key_id", berth.PrefixKey), own: true},
	{op: "drop_api_key", least: account.Renter, args: onOwn("api_key_id", berth.PrefixAPIKey), own: true},
	{op: "get_payment", least: account.Renter, args: onOwn("payment_id", berth.PrefixPayment), own: true},
	{op: "accept_invitation", least: account.Renter, args: onOwn("invitation_id", berth.PrefixInvitation), own: true},
	{op: "reject_invitation", least: account.Renter, args: onOwn("invitation_id", berth.PrefixInvitation), own: true},
}

// TestRoles tries every operation on what others have, by whoever could have
// something to do with it.
func TestRoles(t *testing.T) {
	w := opstest.New(t)
	p := newPeople(w)
	for _, op := range w.System.Table().All() {
		if len(op.SubjectKinds()) > 0 && !slices.ContainsFunc(attempts, func(a attempt) bool { return a.op == op.Name }) {
			t.Errorf("nothing says which roles may call %s", op.Name)
		}
	}
	for _, a := range attempts {
		s := newStage(w, p)
		args := a.args(w, &s)
		t.Run(a.op+" "+a.least.String(), func(t *testing.T) { tryRoles(t, w, s, a, args) })
	}
	w.Settle()
	w.Verify()
}

// tryRoles tries a call as everybody, those with the least role first: what they
// are refused must change nothing, and the first who may does it.
func tryRoles(t *testing.T, w *opstest.World, s stage, a attempt, args opstest.Args) {
	roles := s.roles(a, args)
	who := slices.SortedFunc(maps.Keys(roles), func(x, y string) int { return cmp.Or(int(roles[x]-roles[y]), strings.Compare(x, y)) })
	done := false
	for _, name := range who {
		before := w.State()
		_, err := w.Do(s.creds(name), a.op, args)
		var e *berth.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		switch role := roles[name]; {
		case role >= a.least:
			if err != nil && (!done || e.Foreign || !slices.Contains(overtaken, e.Code)) {
				t.Errorf("the %s (%s) is refused: %v", name, role, err)
			}
			done = true
			w.Settle()
			continue
		case role == account.Stranger:
			if e == nil || e.Code != berth.NotFound || !e.Foreign {
				t.Errorf("the %s, who is a stranger there, gets %v", name, err)
			}
		case e == nil || e.Code != berth.Forbidden || e.Foreign || e.Hint == "":
			t.Errorf("the %s (%s) gets %v", name, role, err)
		}
		if after := w.State(); !gocmp.Equal(before, after) {
			t.Errorf("the refusal of the %s changed something: %s", name, gocmp.Diff(before, after))
		}
	}
}

// overtaken are the refusals of those who may, and find it done already.
var overtaken = []berth.Code{berth.Conflict, berth.NotFound, berth.InvalidInput}

// TestContractsHideEachOther: a call through a contract finds what was bought
// through it, and says of the rest what it says of nothing, also to the owner.
func TestContractsHideEachOther(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	s := stage{people: people{renter: p}, server: w.Server(p)}.withSnapshot(w)
	action := w.Must(p.Creds, "power_server", opstest.Args{"server_id": string(s.server), "action": "off"}).Action
	w.Settle()
	for op, args := range map[string]opstest.Args{
		"get_server":   {"server_id": string(s.server)},
		"get_snapshot": {"snapshot_id": string(s.snapshot)},
		"get_action":   {"action_id": string(action)},
		"quote":        {"operation": "create_server", "size": "small", "region": "nyc1", "snapshot_id": string(s.snapshot)},
	} {
		for contract, found := range map[billing.Contract]bool{"": true, billing.Native: true, billing.Rentals: false} {
			_, err := w.System.Dispatch(t.Context(), &ops.Call{Op: op, Args: args, Creds: p.Creds, Front: "http", Contract: contract})
			if found && err != nil {
				t.Errorf("%s through %q: %v", op, contract, err)
			}
			if !found {
				if e := wantError(t, err, berth.NotFound); e.Foreign {
					t.Errorf("%s through %q tells what is the caller's own", op, contract)
				}
			}
		}
	}
}
