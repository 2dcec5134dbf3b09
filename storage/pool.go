package storage

import (
	"context"
	"encoding/json"

	"berth"
	"berth/account"
	"berth/storage/db"
)

// Pool implements account.PoolRx.
func (rx *Rx) Pool(ctx context.Context, id berth.ID) (account.Pool, error) {
	row, err := rx.q.Pool(ctx, string(id))
	return one(row, err, toPool, "no such pool: %s", id)
}

// Pools implements account.PoolRx.
func (rx *Rx) Pools(ctx context.Context, principal berth.ID) ([]account.Pool, error) {
	own, err := rx.q.Pools(ctx, string(principal))
	if err != nil {
		return nil, err
	}
	joined, err := rx.q.PoolsJoined(ctx, string(principal))
	return all(append(own, joined...), err, toPool)
}

// Member implements account.PoolRx.
func (rx *Rx) Member(ctx context.Context, pool, principal berth.ID) (account.Member, error) {
	row, err := rx.q.Member(ctx, db.MemberParams{Pool: string(pool), Principal: string(principal)})
	return one(row, err, toMember, "%s is no member of %s", principal, pool)
}

// Invitation implements account.PoolRx.
func (rx *Rx) Invitation(ctx context.Context, id berth.ID) (account.Member, error) {
	row, err := rx.q.Invitation(ctx, string(id))
	return one(row, err, toMember, "no such invitation: %s", id)
}

// Members implements account.PoolRx.
func (rx *Rx) Members(ctx context.Context, pool berth.ID) ([]account.Member, error) {
	rows, err := rx.q.Members(ctx, string(pool))
	return all(rows, err, toMember)
}

// Invitations implements account.PoolRx.
func (rx *Rx) Invitations(ctx context.Context, principal berth.ID) ([]account.Member, error) {
	rows, err := rx.q.Invitations(ctx, string(principal))
	return all(rows, err, toMember)
}

// InsertPool implements account.PoolTx.
func (tx *Tx) InsertPool(ctx context.Context, p account.Pool) error {
	return conflict(tx.q.InsertPool(ctx, db.InsertPoolParams(fromPool(p))), "there is a pool %s already", p.ID)
}

// UpdatePool implements account.PoolTx.
func (tx *Tx) UpdatePool(ctx context.Context, p account.Pool) error {
	n, err := tx.q.UpdatePool(ctx, db.UpdatePoolParams(fromPool(p)))
	return changed(n, err, "no such pool: %s", p.ID)
}

// DeletePool implements account.PoolTx.
func (tx *Tx) DeletePool(ctx context.Context, id berth.ID) error {
	if err := tx.q.MovePoolServers(ctx, string(id)); err != nil {
		return err
	}
	if err := tx.q.DeletePoolMembers(ctx, string(id)); err != nil {
		return err
	}
	n, err := tx.q.DeletePool(ctx, string(id))
	return changed(n, err, "no such pool: %s", id)
}

// InsertMember implements account.PoolTx.
func (tx *Tx) InsertMember(ctx context.Context, m account.Member) error {
	return conflict(tx.q.InsertMember(ctx, db.InsertMemberParams(fromMember(m))), "%s is a member of %s already", m.Principal, m.Pool)
}

// UpdateMember implements account.PoolTx.
func (tx *Tx) UpdateMember(ctx context.Context, m account.Member) error {
	n, err := tx.q.UpdateMember(ctx, db.UpdateMemberParams(fromMember(m)))
	return changed(n, err, "no such member: %s", m.ID)
}

// DeleteMember implements account.PoolTx.
func (tx *Tx) DeleteMember(ctx context.Context, id berth.ID) error {
	n, err := tx.q.DeleteMember(ctx, string(id))
	return changed(n, err, "no such member: %s", id)
}

// ReturnServers implements account.PoolTx.
func (tx *Tx) ReturnServers(ctx context.Context, pool, principal berth.ID) error {
	return tx.q.ReturnServers(ctx, db.ReturnServersParams{Pool: string(pool), Owner: string(principal)})
}

func fromPool(p account.Pool) db.Pool {
	return db.Pool{
		ID: string(p.ID), Owner: string(p.Owner), Name: p.Name, Description: p.Description, Settings: string(p.Settings),
		IsDefault: p.Default, Created: toMicros(p.Created), Updated: toMicros(p.Updated),
	}
}

func toPool(r db.Pool) (account.Pool, error) {
	return account.Pool{
		ID: berth.ID(r.ID), Owner: berth.ID(r.Owner), Name: r.Name, Description: r.Description, Settings: json.RawMessage(r.Settings),
		Default: r.IsDefault, Created: fromMicros(r.Created), Updated: fromMicros(r.Updated),
	}, nil
}

func fromMember(m account.Member) db.PoolMember {
	return db.PoolMember{
		ID: string(m.ID), Pool: string(m.Pool), Principal: string(m.Principal), Role: int64(m.Role),
		InvitedBy: string(m.InvitedBy), Invited: toMicros(m.Invited), Joined: toMicros(m.Joined),
	}
}

func toMember(r db.PoolMember) (account.Member, error) {
	return account.Member{
		ID: berth.ID(r.ID), Pool: berth.ID(r.Pool), Principal: berth.ID(r.Principal), Role: account.Role(r.Role),
		InvitedBy: berth.ID(r.InvitedBy), Invited: fromMicros(r.Invited), Joined: fromMicros(r.Joined),
	}, nil
}
