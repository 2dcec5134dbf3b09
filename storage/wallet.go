package storage

import (
	"context"
	"time"

	"berth"
	"berth/account"
	"berth/storage/db"
)

// PrincipalByWallet implements account.Rx.
func (rx *Rx) PrincipalByWallet(ctx context.Context, w berth.Wallet) (account.Principal, error) {
	row, err := rx.q.PrincipalByWallet(ctx, db.PrincipalByWalletParams{Address: w.Address, Chain: int64(w.Chain)})
	return one(row, err, toPrincipal, "no account has the wallet %s", w)
}

// Wallets implements account.Rx.
func (rx *Rx) Wallets(ctx context.Context, principal berth.ID) ([]berth.Wallet, error) {
	rows, err := rx.q.Wallets(ctx, string(principal))
	return all(rows, err, func(r db.Wallet) (berth.Wallet, error) {
		return berth.Wallet{Address: r.Address, Chain: uint64(r.Chain)}, nil
	})
}

// InsertWallet implements account.Tx.
func (tx *Tx) InsertWallet(ctx context.Context, w berth.Wallet, principal berth.ID, at time.Time) error {
	err := tx.q.InsertWallet(ctx, db.InsertWalletParams{
		Address: w.Address, Chain: int64(w.Chain), Principal: string(principal), Created: toMicros(at),
	})
	return conflict(err, "the wallet %s has an account already", w)
}

// MoveWallet implements account.Tx.
func (tx *Tx) MoveWallet(ctx context.Context, w berth.Wallet, to berth.ID) error {
	n, err := tx.q.MoveWallet(ctx, db.MoveWalletParams{Address: w.Address, Chain: int64(w.Chain), Principal: string(to)})
	return changed(n, err, "no account has the wallet %s", w)
}

// CountOpenPayments implements ops.Rx.
func (rx *Rx) CountOpenPayments(ctx context.Context, principal berth.ID) (int, error) {
	n, err := rx.q.CountOpenPayments(ctx, string(principal))
	return int(n), err
}
