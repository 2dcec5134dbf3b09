package ops

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// authorise reads the operation's subject and checks that the caller has the
// role there that the call needs. It is the one place where that is decided:
// what somebody has no business with looks exactly like what does not exist.
func (t task) authorise(ctx context.Context, rx Rx) error {
	r := t.req
	r.Role, r.concerned = account.Renter, nil
	if t.op.subject == nil {
		return nil
	}
	id := t.op.subject(t.in)
	if id == "" { // an operation whose subject is optional was called without one
		return nil
	}
	if _, err := berth.ParseID(id.Prefix(), string(id)); err != nil || !slices.Contains(t.op.subjectKinds, id.Prefix()) {
		return t.op.missing(id)
	}
	owner, role, err := r.load(ctx, rx, id)
	switch {
	case err != nil && berth.CodeOf(err) == berth.NotFound:
		return t.op.missing(id)
	case err != nil:
		return err
	case r.Operator && owner != r.Principal.ID:
		// The operator acts for the owner, whose balance pays.
		r.Principal, err = rx.Principal(ctx, owner)
		return err
	case role == account.Stranger:
		e := t.op.missing(id)
		e.Foreign = true
		return e
	}
	r.Role, r.concerned = role, []berth.ID{owner}
	least := account.Renter
	if t.op.role != nil {
		least = t.op.role(t.in)
	}
	if err := r.needs(least, id); err != nil || !t.op.Priced {
		return err
	}
	return r.solvent(ctx, rx)
}

// load reads the object with that id into the request and tells its owner and
// the caller's role there. Things of another contract than the call's are not
// there, whoever has them.
func (r *Request) load(ctx context.Context, rx Rx, id berth.ID) (owner berth.ID, role account.Role, err error) {
	switch id.Prefix() {
	case berth.PrefixServer:
		if r.Server, err = rx.Server(ctx, id); err != nil {
			return "", 0, err
		}
		role, err = r.onServer(ctx, rx, r.Server)
		return r.Server.Owner, role, err
	case berth.PrefixSnapshot:
		if r.Snapshot, err = rx.Snapshot(ctx, id); err != nil {
			return "", 0, err
		}
		role, err = r.onSnapshot(ctx, rx, r.Snapshot)
		return r.Snapshot.Owner, role, err
	case berth.PrefixAction:
		if r.Action, err = rx.Action(ctx, id); err != nil {
			return "", 0, err
		}
		role, err = r.onAction(ctx, rx, r.Action)
		return r.Action.Owner, role, err
	case berth.PrefixPool:
		if r.Pool, err = rx.Pool(ctx, id); err != nil {
			return "", 0, err
		}
		role, err = account.RoleIn(ctx, rx, r.Pool, r.Principal.ID)
		return r.Pool.Owner, role, err
	}
	owner, err = r.loadOwn(ctx, rx, id)
	if err == nil && owner == r.Principal.ID {
		role = account.Renter
	}
	return owner, role, err
}

// loadOwn reads what nobody shares.
func (r *Request) loadOwn(ctx context.Context, rx Rx, id berth.ID) (owner berth.ID, err error) {
	switch id.Prefix() {
	case berth.PrefixKey:
		r.SSHKey, err = rx.Key(ctx, id)
		return r.SSHKey.Owner, err
	case berth.PrefixInvitation:
		r.Invitation, err = rx.Invitation(ctx, id)
		return r.Invitation.Principal, err
	case berth.PrefixPayment:
		p, err := rx.Payment(ctx, id)
		return p.Principal, err
	case berth.PrefixAPIKey:
		key, err := rx.APIKey(ctx, id)
		return key.Principal, err
	}
	return "", fmt.Errorf("no way to load %s", id)
}

// onServer is the caller's role on a server.
func (r *Request) onServer(ctx context.Context, rx Rx, v fleet.Server) (account.Role, error) {
	if !v.Ended.IsZero() && v.Ended.Before(r.horizon) {
		return account.Stranger, berth.Errorf(berth.NotFound, "%s ended long ago", v.ID)
	}
	if err := r.reaches(v.Contract, v.ID); err != nil || v.Owner == r.Principal.ID {
		return account.Renter, err
	}
	if r.alone {
		return account.Stranger, nil // who pays each call is its wallet, and nobody acts for another
	}
	pool, err := rx.Pool(ctx, v.Pool)
	if err != nil {
		return account.Stranger, fmt.Errorf("the pool of %s: %w", v.ID, err)
	}
	return account.RoleIn(ctx, rx, pool, r.Principal.ID)
}

// onSnapshot is the caller's role on a snapshot: its server's, for who does not
// own it.
func (r *Request) onSnapshot(ctx context.Context, rx Rx, v fleet.Snapshot) (account.Role, error) {
	if err := r.reaches(v.Contract, v.ID); err != nil || v.Owner == r.Principal.ID {
		return account.Renter, err
	}
	of, err := rx.Server(ctx, v.Server)
	if err != nil {
		return account.Stranger, fmt.Errorf("the server of %s: %w", v.ID, err)
	}
	return r.onServer(ctx, rx, of)
}

// onAction is the caller's role on an action: that on what it works on.
func (r *Request) onAction(ctx context.Context, rx Rx, a fleet.Action) (account.Role, error) {
	if a.Server != "" {
		of, err := rx.Server(ctx, a.Server)
		if err != nil {
			return account.Stranger, fmt.Errorf("the server of %s: %w", a.ID, err)
		}
		return r.onServer(ctx, rx, of)
	}
	of, err := rx.Snapshot(ctx, a.Snapshot)
	if err != nil {
		return account.Stranger, fmt.Errorf("the snapshot of %s: %w", a.ID, err)
	}
	return r.onSnapshot(ctx, rx, of)
}

// reaches hides what was bought through another contract than the call's.
func (r *Request) reaches(bought billing.Contract, id berth.ID) error {
	if only := r.sees(); only != "" && bought != only {
		return berth.Errorf(berth.NotFound, "%s is of the contract %s", id, bought)
	}
	return nil
}

// standings are the least roles as refusals name them.
var standings = map[account.Role]string{
	account.User: "members of the pool", account.Admin: "admins of the pool",
	account.Owner: "the owner of the pool", account.Renter: "its own owner",
}

// needs refuses a caller whose role on the subject is less than that.
func (r *Request) needs(least account.Role, id berth.ID) error {
	if r.Role >= least {
		return nil
	}
	e := berth.Errorf(berth.Forbidden, "%s on %s, as it was called, is for %s; your role there is %s", r.Operation, id, standings[least], r.Role)
	if least == account.Admin {
		return e.Hinted("have the owner of the pool make you an admin by update_member, or leave it to one")
	}
	return e.Hinted("ask %s to do it", standings[least])
}

// solvent refuses to sell anything for a server whose renter is suspended. It can
// be used until its lease ends.
func (r *Request) solvent(ctx context.Context, rx Rx) error {
	if r.Role == account.Renter {
		return nil // who is suspended can't call
	}
	renter, err := rx.Principal(ctx, r.Server.Owner)
	if err != nil || !renter.Suspended {
		return err
	}
	return berth.Errorf(berth.Forbidden, "who rents %s is suspended: nothing can be bought for it", r.Server.ID).
		Hinted("use it until its time ends, and copy what you need by download_file")
}

// member reads a pool that an input names beside the subject, and refuses callers
// with less than a role there. Who has none finds no such pool.
func (r *Request) member(ctx context.Context, rx Rx, id berth.ID, least account.Role) (account.Role, error) {
	missing := berth.Errorf(berth.NotFound, "no such pool: %.64s", string(id)).
		Hinted("pool_id takes an id like pool_… with 24 hex digits; list_pools shows yours")
	pool, err := rx.Pool(ctx, id)
	if err != nil {
		if berth.CodeOf(err) == berth.NotFound {
			return account.Stranger, missing
		}
		return account.Stranger, err
	}
	role, err := account.RoleIn(ctx, rx, pool, r.Principal.ID)
	if err == nil && role == account.Stranger {
		missing.Foreign = true
		return role, missing
	}
	if err != nil {
		return role, err
	}
	there := Request{Operation: r.Operation, Role: role}
	return role, there.needs(least, id)
}

// restorable refuses to restore a snapshot of another contract than the call's, as
// if there were none. Whose it is, and whether it fits, the fleet checks.
func (r *Request) restorable(ctx context.Context, rx Rx, id string) error {
	if id == "" || r.sees() == "" {
		return nil
	}
	v, err := rx.Snapshot(ctx, berth.ID(id))
	if err == nil && r.reaches(v.Contract, v.ID) != nil {
		return berth.Errorf(berth.NotFound, "there is no snapshot %.60s", id).Hinted("List yours for their ids.")
	}
	if err != nil && berth.CodeOf(err) == berth.NotFound {
		return nil
	}
	return err
}

// always is the role of operations that need the same one for every input.
func always[In any](role account.Role) func(In) account.Role {
	return func(In) account.Role { return role }
}

// SubjectKinds are the prefixes of the ids that its subject may have; none where
// it has no subject.
func (o *Operation) SubjectKinds() []string { return o.subjectKinds }

// nouns are what the kinds of subjects are called.
var nouns = map[string]string{
	berth.PrefixServer: "server", berth.PrefixSnapshot: "snapshot", berth.PrefixKey: "SSH key", berth.PrefixAction: "action",
	berth.PrefixAPIKey: "API key", berth.PrefixPayment: "payment", berth.PrefixPool: "pool", berth.PrefixInvitation: "invitation",
}

// missing is the one answer to an id that is malformed, of another kind, not
// there, or somebody else's.
func (o *Operation) missing(id berth.ID) *berth.Error {
	called, shaped := make([]string, len(o.subjectKinds)), make([]string, len(o.subjectKinds))
	for i, kind := range o.subjectKinds {
		called[i], shaped[i] = nouns[kind], kind+"_…"
	}
	e := berth.Errorf(berth.NotFound, "no such %s: %.64s", strings.Join(called, " or "), string(id))
	if _, err := berth.ParseID(id.Prefix(), string(id)); err == nil && slices.Contains(o.subjectKinds, id.Prefix()) {
		return e.Hinted("it is not there, or not yours to use; list yours to see them")
	}
	return e.Hinted("%s takes an id like %s with 24 hex digits; list yours to see them", o.subjectField, strings.Join(shaped, " or "))
}
