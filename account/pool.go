package account

import (
	"context"
	"encoding/json"
	"time"

	"berth"
)

// Pool is a group of servers that several principals may use. Everybody owns
// one by default, which can't be deleted.
type Pool struct {
	ID          berth.ID
	Owner       berth.ID
	Name        string          // 1 to 100 characters
	Description string          // at most 500 characters
	Settings    json.RawMessage // an object of at most 4 KiB; kept, and given no meaning
	Default     bool
	Created     time.Time
	Updated     time.Time
}

// Role is what somebody may do with a pool and its servers. Each includes those
// below it.
type Role int

// The roles, from the least to the most.
const (
	Stranger Role = iota // has no business with it
	User                 // reads, runs commands, reboots
	Admin                // also snapshots, resizes, extends, invites and removes users
	Owner                // owns the pool: everything but to end what others rent
	Renter               // bought the server
)

// RoleNames are the roles that a member may have, as members name them.
var RoleNames = map[string]Role{"user": User, "admin": Admin}

// String is the role's name.
func (r Role) String() string {
	return [...]string{"stranger", "user", "admin", "owner", "renter"}[r]
}

// Member is a principal in a pool, or the invitation to it. The pool's owner is
// no member.
type Member struct {
	ID        berth.ID // an invitation's, kept when it is accepted
	Pool      berth.ID
	Principal berth.ID
	Role      Role // User or Admin
	InvitedBy berth.ID
	Invited   time.Time
	Joined    time.Time // zero while it is not accepted
}

// Authorized tells whether the invitation was accepted.
func (m Member) Authorized() bool { return !m.Joined.IsZero() }

// DefaultPool is the id of a principal's own pool, where servers are that are in
// no other.
func DefaultPool(principal berth.ID) berth.ID {
	return berth.ID(berth.PrefixPool + "_" + principal.Hex())
}

// PoolRx reads pools. Where there is none, methods that read one thing return a
// *berth.Error with the code berth.NotFound.
type PoolRx interface {
	Pool(ctx context.Context, id berth.ID) (Pool, error)
	// Pools are those that a principal owns, then those that it is an authorized
	// member of, each newest first.
	Pools(ctx context.Context, principal berth.ID) ([]Pool, error)
	Member(ctx context.Context, pool, principal berth.ID) (Member, error)
	Invitation(ctx context.Context, id berth.ID) (Member, error)
	Members(ctx context.Context, pool berth.ID) ([]Member, error)          // invited ones included, oldest first
	Invitations(ctx context.Context, principal berth.ID) ([]Member, error) // not accepted yet, newest first
}

// PoolTx reads and changes pools.
type PoolTx interface {
	PoolRx
	InsertPool(ctx context.Context, p Pool) error
	UpdatePool(ctx context.Context, p Pool) error
	// DeletePool forgets a pool and its members; its servers go to the default
	// pools of their owners.
	DeletePool(ctx context.Context, id berth.ID) error
	InsertMember(ctx context.Context, m Member) error // berth.Conflict where the principal is one already
	UpdateMember(ctx context.Context, m Member) error
	DeleteMember(ctx context.Context, id berth.ID) error
}

// Join stores a new principal, with the pool that everybody has.
func Join(ctx context.Context, tx Tx, p Principal) error {
	if err := tx.InsertPrincipal(ctx, p); err != nil {
		return err
	}
	return tx.InsertPool(ctx, Pool{
		ID: DefaultPool(p.ID), Owner: p.ID, Name: "Default", Settings: json.RawMessage("{}"), Default: true, Created: p.Created, Updated: p.Created,
	})
}
