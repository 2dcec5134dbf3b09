package storage

import (
	"context"
	"strings"
	"time"

	"berth"
	"berth/account"
	"berth/storage/db"
)

// Principal implements account.Rx.
func (rx *Rx) Principal(ctx context.Context, id berth.ID) (account.Principal, error) {
	row, err := byID(ctx, rx, string(id), rx.q.Principal)
	return one(row, err, toPrincipal, "no such account: %s", id)
}

// PrincipalByEmail implements account.Rx.
func (rx *Rx) PrincipalByEmail(ctx context.Context, email string) (account.Principal, error) {
	row, err := rx.q.PrincipalByEmail(ctx, email)
	return one(row, err, toPrincipal, "no account has the e-mail %s", email)
}

// PrincipalByUsername implements account.Rx.
func (rx *Rx) PrincipalByUsername(ctx context.Context, username string) (account.Principal, error) {
	row, err := rx.q.PrincipalByUsername(ctx, username)
	return one(row, err, toPrincipal, "no account has the username %s", username)
}

// LocalPrincipal implements account.Rx.
func (rx *Rx) LocalPrincipal(ctx context.Context) (account.Principal, error) {
	row, err := rx.q.LocalPrincipal(ctx)
	return one(row, err, toPrincipal, "there is no local account")
}

// Principals implements account.Rx: in the order of their ids.
func (rx *Rx) Principals(ctx context.Context, after berth.ID, n int) ([]account.Principal, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.Principals(ctx, db.PrincipalsParams{After: string(after), Max: most})
	return all(rows, err, toPrincipal)
}

// APIKey implements account.Rx.
func (rx *Rx) APIKey(ctx context.Context, id berth.ID) (account.APIKey, error) {
	row, err := byID(ctx, rx, string(id), rx.q.APIKey)
	return one(row, err, toAPIKey, "no such API key: %s", id)
}

// APIKeys implements account.Rx: newest first.
func (rx *Rx) APIKeys(ctx context.Context, principal berth.ID) ([]account.APIKey, error) {
	rows, err := rx.q.APIKeys(ctx, string(principal))
	return all(rows, err, toAPIKey)
}

// ManagedKey implements account.Rx.
func (rx *Rx) ManagedKey(ctx context.Context, principal berth.ID) (account.ManagedKey, error) {
	row, err := rx.q.ManagedKey(ctx, string(principal))
	return one(row, err, toManagedKey, "the account %s has no managed key", principal)
}

// LockPrincipal implements account.Tx.
func (tx *Tx) LockPrincipal(ctx context.Context, id berth.ID) error {
	n, err := tx.q.LockPrincipal(ctx, string(id))
	return changed(n, err, "no such account: %s", id)
}

// InsertPrincipal implements account.Tx.
func (tx *Tx) InsertPrincipal(ctx context.Context, p account.Principal) error {
	return taken(tx.q.InsertPrincipal(ctx, fromPrincipal(p)), p)
}

// UpdatePrincipal implements account.Tx.
func (tx *Tx) UpdatePrincipal(ctx context.Context, p account.Principal) error {
	n, err := tx.q.UpdatePrincipal(ctx, db.UpdatePrincipalParams(fromPrincipal(p)))
	return changed(n, taken(err, p), "no such account: %s", p.ID)
}

// taken is err, or a berth.Conflict that names what of the principal's is taken.
func taken(err error, p account.Principal) error {
	switch {
	case err != nil && strings.Contains(err.Error(), "principals_username"): // engines name the index
		return conflict(err, "the username %s is taken", p.Username)
	case p.Kind == account.Local:
		return conflict(err, "there is a local account already")
	}
	return conflict(err, "there is an account with the e-mail %s already", p.Email)
}

// Password implements account.Rx.
func (rx *Rx) Password(ctx context.Context, principal berth.ID) (string, error) {
	hash, err := rx.q.Password(ctx, string(principal))
	return hash, found(err, "the account %s has no password", principal)
}

// PutPassword implements account.Tx.
func (tx *Tx) PutPassword(ctx context.Context, principal berth.ID, hash string, at time.Time) error {
	return tx.q.PutPassword(ctx, db.PutPasswordParams{Principal: string(principal), Hash: hash, Changed: toMicros(at)})
}

// InsertAPIKey implements account.Tx.
func (tx *Tx) InsertAPIKey(ctx context.Context, k account.APIKey) error {
	err := tx.q.InsertAPIKey(ctx, db.InsertAPIKeyParams(fromAPIKey(k)))
	return conflict(err, "there is an API key %s already", k.ID)
}

// UpdateAPIKey implements account.Tx.
func (tx *Tx) UpdateAPIKey(ctx context.Context, k account.APIKey) error {
	n, err := tx.q.UpdateAPIKey(ctx, db.UpdateAPIKeyParams(fromAPIKey(k)))
	return changed(n, err, "no such API key: %s", k.ID)
}

// InsertManagedKey implements account.Tx.
func (tx *Tx) InsertManagedKey(ctx context.Context, k account.ManagedKey) error {
	err := tx.q.InsertManagedKey(ctx, db.InsertManagedKeyParams{
		Principal: string(k.Principal),
		PublicKey: k.PublicKey,
		Sealed:    toBlob(k.Sealed),
	})
	return conflict(err, "the account %s has a managed key already", k.Principal)
}

func fromPrincipal(p account.Principal) db.InsertPrincipalParams {
	return db.InsertPrincipalParams{
		ID:            string(p.ID),
		Kind:          string(p.Kind),
		Email:         p.Email,
		Tariff:        string(p.Tariff),
		BudgetTotal:   int64(p.Budget.Total),
		BudgetPerCall: int64(p.Budget.PerCall),
		ServerLimit:   int64(p.ServerLimit),
		Suspended:     p.Suspended,
		Created:       toMicros(p.Created),
		Username:      p.Username,
		Alias:         p.Alias,
		TokensFrom:    toMicros(p.TokensFrom),
	}
}

func toPrincipal(r db.Principal) (account.Principal, error) {
	return account.Principal{
		ID:          berth.ID(r.ID),
		Kind:        account.Kind(r.Kind),
		Email:       r.Email,
		Tariff:      account.Tariff(r.Tariff),
		Budget:      account.Budget{Total: berth.Micros(r.BudgetTotal), PerCall: berth.Micros(r.BudgetPerCall)},
		ServerLimit: int(r.ServerLimit),
		Suspended:   r.Suspended,
		Created:     fromMicros(r.Created),
		Username:    r.Username,
		Alias:       r.Alias,
		TokensFrom:  fromMicros(r.TokensFrom),
	}, nil
}

func fromAPIKey(k account.APIKey) db.APIKey {
	return db.APIKey{
		ID:            string(k.ID),
		Principal:     string(k.Principal),
		Name:          k.Name,
		Hash:          toBlob(k.Hash),
		BudgetTotal:   int64(k.Budget.Total),
		BudgetPerCall: int64(k.Budget.PerCall),
		Created:       toMicros(k.Created),
		Revoked:       toMicros(k.Revoked),
	}
}

func toAPIKey(r db.APIKey) (account.APIKey, error) {
	return account.APIKey{
		ID:        berth.ID(r.ID),
		Principal: berth.ID(r.Principal),
		Name:      r.Name,
		Hash:      fromBlob(r.Hash),
		Budget:    account.Budget{Total: berth.Micros(r.BudgetTotal), PerCall: berth.Micros(r.BudgetPerCall)},
		Created:   fromMicros(r.Created),
		Revoked:   fromMicros(r.Revoked),
	}, nil
}

func toManagedKey(r db.ManagedKey) (account.ManagedKey, error) {
	return account.ManagedKey{
		Principal: berth.ID(r.Principal),
		PublicKey: r.PublicKey,
		Sealed:    fromBlob(r.Sealed),
	}, nil
}
