package account

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"berth"
)

// The bounds of pools.
const (
	MaxPools       = 50  // that one principal owns, the default one included
	MaxMembers     = 100 // of one pool, invited ones included
	MaxMemberships = 100 // of one principal

	maxPoolName        = 100 // characters
	maxPoolDescription = 500
	maxPoolSettings    = 4 << 10 // bytes
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

// Checked is the pool with its texts trimmed, or berth.InvalidInput where they are
// out of bounds. Names are printable; a description may have line breaks.
func (p Pool) Checked() (Pool, error) {
	p.Name, p.Description = strings.TrimSpace(p.Name), strings.TrimSpace(p.Description)
	if n := utf8.RuneCountInString(p.Name); n == 0 || n > maxPoolName || !legible(p.Name, "") {
		return Pool{}, refused("name", "a pool's name is 1 to %d printable characters", maxPoolName)
	}
	if utf8.RuneCountInString(p.Description) > maxPoolDescription || !legible(p.Description, "\n\t") {
		return Pool{}, refused("description", "a pool's description is at most %d printable characters", maxPoolDescription)
	}
	if len(p.Settings) == 0 {
		p.Settings = json.RawMessage("{}")
	}
	if len(p.Settings) > maxPoolSettings || p.Settings[0] != '{' || !json.Valid(p.Settings) {
		return Pool{}, refused("settings", "a pool's settings are a JSON object of at most %d bytes", maxPoolSettings)
	}
	// Engines keep no NUL in texts, and what can't be kept by all is refused by all.
	if bytes.Contains(p.Settings, []byte(`\u0000`)) {
		return Pool{}, refused("settings", "a pool's settings have no NUL characters")
	}
	return p, nil
}

// legible tells whether a text is printable but for the characters that are also
// allowed.
func legible(s, also string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) && !strings.ContainsRune(also, r)
	})
}

// Role is what somebody may do with a pool and its servers. Each includes those
// below it.
type Role int

// The roles, from the least to the most.
const (
	Stranger Role = iota // has no business with it
	User                 // reads, runs commands, moves files, reboots
	Admin                // also snapshots, resizes, extends, turns on and off, sees the password, invites, removes users
	Owner                // owns the pool: everything but to end what others rent, to move it or to spend their money
	Renter               // whoever it belongs to: bought the server
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
	Members(ctx context.Context, pool berth.ID) ([]Member, error) // invited ones included, oldest first
	// Invitations are the latest 200 that a principal has not accepted, newest
	// first: whoever invites can't make somebody else's list long.
	Invitations(ctx context.Context, principal berth.ID) ([]Member, error)
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
	// ReturnServers moves what a principal has in a pool to its own default one.
	ReturnServers(ctx context.Context, pool, principal berth.ID) error
}

// RoleIn is a principal's role in a pool: Owner, what an accepted invitation says,
// or Stranger, as whoever is only invited is.
func RoleIn(ctx context.Context, rx PoolRx, p Pool, principal berth.ID) (Role, error) {
	if p.Owner == principal {
		return Owner, nil
	}
	m, err := rx.Member(ctx, p.ID, principal)
	switch {
	case err != nil && berth.CodeOf(err) == berth.NotFound:
		return Stranger, nil
	case err != nil || !m.Authorized():
		return Stranger, err
	}
	return m.Role, nil
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
