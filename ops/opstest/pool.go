package opstest

import (
	"fmt"

	"berth"
	"berth/ops"
)

// Pool makes a pool of a principal's.
func (w *World) Pool(p Principal) berth.ID {
	w.t.Helper()
	return w.Must(p.Creds, "create_pool", Args{"name": fmt.Sprintf("Team %d", w.next())}).Out.(ops.PoolView).ID
}

// Invite invites somebody to a pool, and tells the invitation's id.
func (w *World) Invite(by Principal, pool berth.ID, whom Principal, role string) berth.ID {
	w.t.Helper()
	args := Args{"pool_id": string(pool), "username": whom.Username, "role": role}
	return w.Must(by.Creds, "invite_member", args).Out.(ops.MemberView).ID
}

// Join makes somebody a member of a pool.
func (w *World) Join(by Principal, pool berth.ID, who Principal, role string) {
	w.t.Helper()
	w.Must(who.Creds, "accept_invitation", Args{"invitation_id": string(w.Invite(by, pool, who, role))})
}

// Member makes a new principal a user of a principal's pool.
func (w *World) Member(owner Principal, pool any) berth.ID {
	w.t.Helper()
	p := w.Principal()
	w.Join(owner, berth.ID(fmt.Sprint(pool)), p, "user")
	return p.ID
}
