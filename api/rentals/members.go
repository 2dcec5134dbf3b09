package rentals

import (
	"net/http"
	"time"

	"berth"
	"berth/api"
	"berth/ops"
)

// person is an account as others see it.
type person struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Alias    string `json:"alias"`
}

// member is somebody in a pool, or invited to it.
type member struct {
	ID         string     `json:"id" doc:"Of the invitation."`
	Role       string     `json:"role" enum:"admin,user"`
	Authorized bool       `json:"is_authorized" doc:"Whether the invitation was accepted."`
	Joined     *time.Time `json:"joined_at"`
	User       person     `json:"user"`
}

type invited struct {
	ID         string    `json:"id" doc:"What accept and reject take."`
	Role       string    `json:"role" enum:"admin,user"`
	Authorized bool      `json:"is_authorized"`
	Invited    time.Time `json:"invited_at"`
}

// invitation is an invitation as who is invited sees it.
type invitation struct {
	ID          string    `json:"id"`
	PoolID      string    `json:"pool_id"`
	PoolName    string    `json:"pool_name"`
	Description string    `json:"pool_description"`
	Role        string    `json:"role" enum:"admin,user"`
	InvitedBy   person    `json:"invited_by"`
	Invited     time.Time `json:"invited_at"`
}

type inviteMember struct {
	Username string `json:"username" minLength:"1" maxLength:"100" pattern:"^[A-Za-z0-9_-]{1,100}$" patternDescription:"letters, digits, _ and -"`
	Role     string `json:"role" enum:"admin,user"`
}

type updateMember struct {
	Role string `json:"role" enum:"admin,user"`
}

var (
	inviteForm       = ops.NewForm[inviteMember]()
	updateMemberForm = ops.NewForm[updateMember]()
)

func memberRoutes() []api.ContractRoute {
	pending := api.ContractRoute{Method: "GET", Path: "/pools/invitations/pending", Status: http.StatusOK, Summary: "List the invitations that you have not answered"}
	invite := one("POST", "/pools/{id}/members", "Invite a user to a pool; its admins and owner", http.StatusForbidden, http.StatusConflict)
	invite.Status, invite.Body = http.StatusCreated, inviteMember{}
	update := one("PATCH", "/pools/{id}/members/{userId}", "Change a member's role; the pool's owner only", http.StatusForbidden)
	update.Body = updateMember{}
	remove := one("DELETE", "/pools/{id}/members/{userId}", "Remove a member; its admins and owner, and everybody itself", http.StatusForbidden, http.StatusConflict)
	return []api.ContractRoute{
		said("Pending invitations retrieved successfully", pending, servePending),
		said("Invitation accepted successfully", one("POST", "/pools/{id}/accept", "Accept an invitation, by its id", http.StatusConflict), serveAccept),
		said("Invitation rejected successfully", one("POST", "/pools/{id}/reject", "Reject an invitation, by its id", http.StatusConflict), serveReject),
		said("Member invited successfully", invite, serveInvite),
		said("Member role updated successfully", update, serveUpdateMember),
		said("Member removed successfully", remove, serveRemoveMember),
	}
}

func viewPerson(v ops.PersonView) person { return person{digits(v.AccountID), v.Username, v.Alias} }

func viewMember(v ops.MemberView) member {
	return member{digits(v.ID), v.Role, v.Authorized, v.JoinedAt, viewPerson(v.PersonView)}
}

func servePending(x *api.Exchange) ([]invitation, error) {
	out, err := api.Run[ops.InvitationsOut](x, "list_invitations", nil)
	list := make([]invitation, len(out.Invitations))
	for i, v := range out.Invitations {
		list[i] = invitation{digits(v.ID), digits(v.PoolID), v.PoolName, v.Description, v.Role, viewPerson(v.InvitedBy), v.InvitedAt}
	}
	return list, err
}

func serveAccept(x *api.Exchange) (done, error) {
	_, err := api.Run[ops.PoolView](x, "accept_invitation", map[string]any{"invitation_id": x.ID(berth.PrefixInvitation, "id")})
	return done{true}, err
}

func serveReject(x *api.Exchange) (done, error) {
	_, err := api.Run[ops.RejectedOut](x, "reject_invitation", map[string]any{"invitation_id": x.ID(berth.PrefixInvitation, "id")})
	return done{true}, err
}

func serveInvite(x *api.Exchange) (invited, error) {
	in, err := api.Body(x, inviteForm)
	if err != nil {
		return invited{}, err
	}
	args := poolArgs(x)
	args["username"], args["role"] = in.Username, in.Role
	out, err := api.Run[ops.MemberView](x, "invite_member", args)
	return invited{digits(out.ID), out.Role, out.Authorized, out.InvitedAt}, err
}

func serveUpdateMember(x *api.Exchange) (done, error) {
	in, err := api.Body(x, updateMemberForm)
	if err != nil {
		return done{}, err
	}
	args := memberArgs(x)
	args["role"] = in.Role
	_, err = api.Run[ops.MemberView](x, "update_member", args)
	return done{true}, err
}

func serveRemoveMember(x *api.Exchange) (done, error) {
	_, err := api.Run[ops.RemovedOut](x, "remove_member", memberArgs(x))
	return done{true}, err
}

// memberArgs names the path's pool and account.
func memberArgs(x *api.Exchange) map[string]any {
	args := poolArgs(x)
	args["account_id"] = x.ID(berth.PrefixAccount, "userId")
	return args
}
