// Package account holds who may ask: principals, the API keys that identify
// them, and the vault that seals their secrets. It knows no HTTP and no SQL.
package account

import (
	"context"
	"time"

	"berth"
)

// Kind says how a principal came to be.
type Kind string

// The kinds of principal.
const (
	Local Kind = "local" // the operator's own agent, over stdio
	Email Kind = "email" // made by the operator or by registration

	// OfWallet is a principal whom a wallet's signature made.
	OfWallet Kind = "wallet"
)

// Tariff says which prices a principal pays.
type Tariff string

// The tariffs.
const (
	Retail Tariff = "retail" // the catalog's prices
	Cost   Tariff = "cost"   // what the provider charges, without margin
)

// Budget caps what may be spent. Zero means no cap.
type Budget struct {
	Total   berth.Micros `json:"total"`    // over the lifetime of the principal or key
	PerCall berth.Micros `json:"per_call"` // in one operation
}

// Principal is somebody who may own servers and money.
type Principal struct {
	ID          berth.ID
	Kind        Kind
	Email       string // unique where not empty, lower case
	Tariff      Tariff
	Budget      Budget
	ServerLimit int // how many live servers; zero means the catalog's default
	Suspended   bool
	Created     time.Time
	Username    string    // unique whatever the case of its letters; see ParseUsername
	Alias       string    // what others are shown beside it, at most 100 characters
	TokensFrom  time.Time // access tokens from before are refused
}

// APIKey identifies a principal. Only a hash of its secret is kept.
type APIKey struct {
	ID        berth.ID
	Principal berth.ID
	Name      string
	Hash      []byte // SHA-256 of the secret
	Budget    Budget
	Created   time.Time
	Revoked   time.Time // zero while valid
}

// ManagedKey is the SSH key pair that Berth holds for a principal: its public
// half is installed on each of the principal's servers.
type ManagedKey struct {
	Principal berth.ID
	PublicKey string // authorized_keys line
	Sealed    []byte // the private key, sealed by the vault
}

// Rx reads principals. Where there is none, methods return a *berth.Error with
// the code berth.NotFound.
type Rx interface {
	PoolRx
	Principal(ctx context.Context, id berth.ID) (Principal, error)
	PrincipalByEmail(ctx context.Context, email string) (Principal, error)
	PrincipalByUsername(ctx context.Context, username string) (Principal, error) // in any case of its letters
	LocalPrincipal(ctx context.Context) (Principal, error)
	Principals(ctx context.Context, after berth.ID, limit int) ([]Principal, error)
	APIKey(ctx context.Context, id berth.ID) (APIKey, error)
	APIKeys(ctx context.Context, principal berth.ID) ([]APIKey, error)
	ManagedKey(ctx context.Context, principal berth.ID) (ManagedKey, error)
	PrincipalByWallet(ctx context.Context, w berth.Wallet) (Principal, error)
	Wallets(ctx context.Context, principal berth.ID) ([]berth.Wallet, error) // oldest first
	// Password is the hash of a principal's password, in PHC's format.
	Password(ctx context.Context, principal berth.ID) (string, error)
}

// Tx reads and changes principals.
type Tx interface {
	Rx
	PoolTx
	// LockPrincipal orders the transactions of one principal: the first thing
	// that a transaction which changes a principal's things does.
	LockPrincipal(ctx context.Context, id berth.ID) error
	InsertPrincipal(ctx context.Context, p Principal) error // berth.Conflict where the e-mail or the username is taken
	UpdatePrincipal(ctx context.Context, p Principal) error
	InsertAPIKey(ctx context.Context, k APIKey) error
	UpdateAPIKey(ctx context.Context, k APIKey) error
	InsertManagedKey(ctx context.Context, k ManagedKey) error
	// InsertWallet lets a wallet identify a principal; berth.Conflict where it
	// identifies one already.
	InsertWallet(ctx context.Context, w berth.Wallet, principal berth.ID, at time.Time) error
	// MoveWallet lets a wallet identify another principal from now on.
	MoveWallet(ctx context.Context, w berth.Wallet, to berth.ID) error
	// PutPassword sets or replaces the hash of a principal's password.
	PutPassword(ctx context.Context, principal berth.ID, hash string, at time.Time) error
}
