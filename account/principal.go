package account

import (
	"context"
	"net/mail"
	"strings"
	"time"

	"berth"
)

// maxEmail bounds an address, as SMTP does.
const maxEmail = 254

// NewEmailPrincipal makes a principal who is known by an e-mail address of at
// most 254 bytes, which is kept in lower case, and who pays retail prices. The
// errors are berth.InvalidInput.
func NewEmailPrincipal(email string, budget Budget, now time.Time) (Principal, error) {
	email, err := ParseEmail(email)
	if err != nil {
		return Principal{}, err
	}
	if err := budget.check(); err != nil {
		return Principal{}, err
	}
	return Principal{
		ID: berth.NewID(berth.PrefixAccount, now), Kind: Email, Email: email,
		Tariff: Retail, Budget: budget, Created: now,
	}, nil
}

// NewLocalPrincipal makes the principal for the operator's own agent, who pays
// what the provider takes. There is one in each store.
func NewLocalPrincipal(now time.Time) Principal {
	return Principal{ID: berth.NewID(berth.PrefixAccount, now), Kind: Local, Username: string(Local), Tariff: Cost, Created: now}
}

// NewWalletPrincipal makes the principal whom a wallet's signature proves, who
// pays retail prices.
func NewWalletPrincipal(now time.Time) Principal {
	return Principal{ID: berth.NewID(berth.PrefixAccount, now), Kind: OfWallet, Tariff: Retail, Created: now}
}

// EnsureWallet is the principal of a wallet, who is made where there is none
// yet.
func EnsureWallet(ctx context.Context, tx Tx, w berth.Wallet, now time.Time) (Principal, error) {
	p, err := tx.PrincipalByWallet(ctx, w)
	if err == nil || berth.CodeOf(err) != berth.NotFound {
		return p, err
	}
	if p, err = Named(ctx, tx, NewWalletPrincipal(now), w); err != nil {
		return Principal{}, err
	}
	if err := Join(ctx, tx, p); err != nil {
		return Principal{}, err
	}
	return p, tx.InsertWallet(ctx, w, p.ID, now)
}

// ParseEmail is a bare e-mail address in lower case, as principals are found
// by. It refuses names, comments and quoted local parts.
func ParseEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) > maxEmail {
		return "", refused("email", "an e-mail address has at most %d bytes", maxEmail)
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return "", refused("email", "%q is no e-mail address such as agent@example.com", s)
	}
	return s, nil
}

// check refuses caps below zero.
func (b Budget) check() error {
	if b.Total < 0 || b.PerCall < 0 {
		return refused("budget", "a cap is not below zero; zero is no cap")
	}
	return nil
}
