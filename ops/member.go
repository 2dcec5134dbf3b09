package ops

import (
	"context"
	"net/http"
	"time"

	"berth"
	"berth/account"
	"berth/fleet"
)

// PersonView is an account as others see it.
type PersonView struct {
	AccountID berth.ID `json:"account_id" example:"acct_0193f2a4c1d05e6f7a8b9c0d"`
	Username  string   `json:"username"`
	Alias     string   `json:"alias,omitempty"`
}

// MemberView is a member of a pool, or an invitation to it.
type MemberView struct {
	ID berth.ID `json:"id" example:"inv_0193f2a4c1d05e6f7a8b9c0d" doc:"Of the invitation."`
	PersonView
	Role       string     `json:"role" enum:"user,admin"`
	Authorized bool       `json:"is_authorized" doc:"Whether the invitation was accepted."`
	InvitedAt  time.Time  `json:"invited_at"`
	JoinedAt   *time.Time `json:"joined_at,omitempty"`
}

func viewPerson(p account.Principal) PersonView {
	return PersonView{AccountID: p.ID, Username: p.Username, Alias: p.Alias}
}

func viewMember(ctx context.Context, rx Rx, m account.Member) (MemberView, error) {
	p, err := rx.Principal(ctx, m.Principal)
	v := MemberView{ID: m.ID, PersonView: viewPerson(p), Role: m.Role.String(), Authorized: m.Authorized(), InvitedAt: stamp(m.Invited)}
	if m.Authorized() {
		t := stamp(m.Joined)
		v.JoinedAt = &t
	}
	return v, err
}

// InviteIn is the input of invite_member.
type InviteIn struct {
	PoolIn
	Username string `json:"username" minLength:"1" maxLength:"100" pattern:"^[A-Za-z0-9_-]{1,100}$" doc:"Of the account; get_me shows yours."`
	Role     string `json:"role,omitempty" enum:"user,admin" default:"user"`
}

// MemberIn names a member of a pool.
type MemberIn struct {
	PoolIn
	AccountID string `json:"account_id" minLength:"1" maxLength:"64" doc:"As get_pool lists it."`
}

// UpdateMemberIn is the input of update_member.
type UpdateMemberIn struct {
	MemberIn
	Role string `json:"role" enum:"user,admin"`
}

// RemovedOut is what remove_member answers.
type RemovedOut struct {
	Removed   bool     `json:"removed"`
	PoolID    berth.ID `json:"pool_id"`
	AccountID berth.ID `json:"account_id"`
}

func (s *System) addMembers() {
	Add(s.table, Op[InviteIn, MemberView]{
		Name: "invite_member",
		Doc: Doc{
			Title: "Invite to a pool", Text: "Invite an account to a pool of yours. A user runs commands, moves files and reboots; an admin also snapshots, resizes, extends and invites. Its owner and admins only. Free.",
			Toolset: "pools", Tag: "Pools", Example: `{"pool_id":"pool_0193f2a4c1d05e6f7a8b9c0d","username":"new_developer","role":"user"}`,
		},
		Routes:  []Route{{Method: "POST", Path: "/v1/pools/{pool_id}/members", Status: http.StatusCreated}},
		Access:  Identified,
		Subject: func(in InviteIn) berth.ID { return berth.ID(in.PoolID) },
		Role:    always[InviteIn](account.Admin),
		Plan:    s.planInvite,
		Commit:  s.invite,
	})
	Add(s.table, Op[UpdateMemberIn, MemberView]{
		Name: "update_member",
		Doc: Doc{
			Title: "Change a member's role", Text: "Make a member of a pool user or admin. Its owner only. Free.", Toolset: "pools", Tag: "Pools",
			Example: `{"pool_id":"pool_0193f2a4c1d05e6f7a8b9c0d","account_id":"acct_0193f2a4c1d05e6f7a8b9c0d","role":"admin"}`, Idempotent: true,
		},
		Routes:  []Route{{Method: "PATCH", Path: "/v1/pools/{pool_id}/members/{account_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in UpdateMemberIn) berth.ID { return berth.ID(in.PoolID) },
		Role:    always[UpdateMemberIn](account.Owner),
		Plan: func(ctx context.Context, rx Rx, r *Request, in UpdateMemberIn) (Plan, error) {
			_, err := r.findMember(ctx, rx, in.MemberIn)
			return Plan{}, err
		},
		Commit: s.updateMember,
	})
	Add(s.table, Op[MemberIn, RemovedOut]{
		Name: "remove_member",
		Doc: Doc{
			Title: "Remove a member, or leave a pool", Text: "End a membership or withdraw an invitation, at once; servers that the member rents leave the pool with it. Admins remove users, the owner anyone; your own account_id leaves. Free.",
			Toolset: "pools", Tag: "Pools", Example: `{"pool_id":"pool_0193f2a4c1d05e6f7a8b9c0d","account_id":"acct_0193f2a4c1d05e6f7a8b9c0d"}`, Destructive: true, Idempotent: true,
		},
		Routes:  []Route{{Method: "DELETE", Path: "/v1/pools/{pool_id}/members/{account_id}", Status: 200}},
		Access:  Identified,
		Subject: func(in MemberIn) berth.ID { return berth.ID(in.PoolID) },
		Role:    always[MemberIn](account.User), // to leave; planRemoval asks for more to remove others
		Plan:    s.planRemoval,
		Commit:  s.removeMember,
	})
}

func (s *System) planInvite(ctx context.Context, rx Rx, r *Request, in InviteIn) (Plan, error) {
	p, err := rx.PrincipalByUsername(ctx, in.Username)
	if err != nil {
		if berth.CodeOf(err) == berth.NotFound {
			err = berth.Errorf(berth.NotFound, "no account has the username %s", in.Username).
				Hinted("ask who you invite for its username; get_me shows it")
		}
		return Plan{}, err
	}
	m, err := rx.Member(ctx, r.Pool.ID, p.ID)
	switch {
	case p.ID == r.Pool.Owner:
		return Plan{}, berth.Errorf(berth.Conflict, "%s owns this pool", p.Username).Hinted("invite somebody else")
	case err == nil && m.Authorized():
		return Plan{}, berth.Errorf(berth.Conflict, "%s is a member of this pool", p.Username).
			Hinted("the owner changes its role by update_member")
	case err == nil:
		return Plan{}, berth.Errorf(berth.Conflict, "%s is invited to this pool already", p.Username).
			Hinted("it accepts by accept_invitation; withdraw the invitation by remove_member")
	case berth.CodeOf(err) != berth.NotFound:
		return Plan{}, err
	}
	members, err := rx.Members(ctx, r.Pool.ID)
	if err != nil {
		return Plan{}, err
	}
	if len(members) >= account.MaxMembers {
		return Plan{}, berth.Errorf(berth.LimitReached, "the pool has %d members and invitations, and %d is the limit", len(members), account.MaxMembers).
			Hinted("remove one by remove_member first")
	}
	r.concerned = append(r.concerned, p.ID)
	return Plan{}, nil
}

func (s *System) invite(ctx context.Context, tx Tx, r *Request, in InviteIn, _ Plan) (MemberView, Effect, error) {
	p, err := tx.PrincipalByUsername(ctx, in.Username)
	if err != nil {
		return MemberView{}, Effect{}, err
	}
	now := s.now()
	m := account.Member{
		ID: berth.NewID(berth.PrefixInvitation, now), Pool: r.Pool.ID, Principal: p.ID, Role: account.RoleNames[in.Role],
		InvitedBy: r.Principal.ID, Invited: now,
	}
	if err := tx.InsertMember(ctx, m); err != nil {
		return MemberView{}, Effect{}, err
	}
	data := poolData(r.Pool, &r.Principal)
	data["role"] = in.Role
	if err := s.notify(ctx, tx, p.ID, fleet.EventPoolInvited, m.ID, data); err != nil {
		return MemberView{}, Effect{}, err
	}
	out, err := viewMember(ctx, tx, m)
	return out, Effect{Ref: m.ID}, err
}

// findMember is the member that an input names, who the call then concerns.
func (r *Request) findMember(ctx context.Context, rx Rx, in MemberIn) (account.Member, error) {
	none := berth.Errorf(berth.NotFound, "%s is no member of %s", in.AccountID, r.Pool.ID).
		Hinted("get_pool lists the members with their account_id")
	if _, err := berth.ParseID(berth.PrefixAccount, in.AccountID); err != nil {
		return account.Member{}, none
	}
	m, err := rx.Member(ctx, r.Pool.ID, berth.ID(in.AccountID))
	switch {
	case err == nil:
		r.concerned = append(r.concerned, m.Principal)
	case berth.CodeOf(err) == berth.NotFound:
		err = none
	}
	return m, err
}

func (s *System) updateMember(ctx context.Context, tx Tx, r *Request, in UpdateMemberIn, _ Plan) (MemberView, Effect, error) {
	m, err := r.findMember(ctx, tx, in.MemberIn)
	if err != nil {
		return MemberView{}, Effect{}, err
	}
	if role := account.RoleNames[in.Role]; role != m.Role {
		m.Role = role
		data := poolData(r.Pool, nil)
		data["role"] = in.Role
		if err := tx.UpdateMember(ctx, m); err != nil {
			return MemberView{}, Effect{}, err
		}
		if err := s.notify(ctx, tx, m.Principal, fleet.EventPoolRole, r.Pool.ID, data); err != nil {
			return MemberView{}, Effect{}, err
		}
	}
	out, err := viewMember(ctx, tx, m)
	return out, Effect{Ref: m.ID}, err
}

// planRemoval tells who may remove whom: anyone itself, admins users, the owner
// everybody but itself.
func (s *System) planRemoval(ctx context.Context, rx Rx, r *Request, in MemberIn) (Plan, error) {
	who := berth.ID(in.AccountID)
	leaving := who == r.Principal.ID
	if !leaving {
		if err := r.needs(account.Admin, r.Pool.ID); err != nil {
			return Plan{}, err
		}
	}
	if who == r.Pool.Owner {
		if err := r.needs(account.Owner, r.Pool.ID); err != nil {
			return Plan{}, err
		}
		return Plan{}, berth.Errorf(berth.Conflict, "the owner can't leave its pool").Hinted("delete the pool by delete_pool instead")
	}
	m, err := r.findMember(ctx, rx, in)
	if err != nil || leaving || m.Role < account.Admin {
		return Plan{}, err
	}
	return Plan{}, r.needs(account.Owner, r.Pool.ID)
}

func (s *System) removeMember(ctx context.Context, tx Tx, r *Request, in MemberIn, _ Plan) (RemovedOut, Effect, error) {
	out := RemovedOut{Removed: true, PoolID: r.Pool.ID, AccountID: berth.ID(in.AccountID)}
	m, err := r.findMember(ctx, tx, in)
	if err != nil {
		return out, Effect{}, err
	}
	if err := tx.DeleteMember(ctx, m.ID); err != nil {
		return out, Effect{}, err
	}
	if err := tx.ReturnServers(ctx, r.Pool.ID, m.Principal); err != nil {
		return out, Effect{}, err
	}
	switch {
	case m.Principal == r.Principal.ID:
		err = s.notify(ctx, tx, r.Pool.Owner, fleet.EventPoolLeft, r.Pool.ID, poolData(r.Pool, &r.Principal))
	case m.Authorized():
		err = s.notify(ctx, tx, m.Principal, fleet.EventPoolRemoved, r.Pool.ID, poolData(r.Pool, nil))
	default:
		err = s.notify(ctx, tx, m.Principal, fleet.EventPoolWithdrawn, m.ID, poolData(r.Pool, nil))
	}
	return out, Effect{Ref: r.Pool.ID}, err
}
