package ops

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"berth"
	"berth/billing"
)

const (
	maxOpenPayments = 500 // looked at in one round, the oldest
	maxFollowers    = 8   // payments that are followed at once
	// grace is how long after its expiry a credential that was never sent is
	// given up: its client may be trying again.
	grace = time.Minute
)

// PaymentTerms are offers of the rails by which wallets pay, as samples of their
// kinds; empty where wallets can't pay.
func (s *System) PaymentTerms() ([]berth.Challenge, error) {
	return s.cashier.Offers(billing.Ask{
		Operation: "create_server", Amount: berth.Dollar, Realm: "localhost", Resource: "http://localhost/", At: s.now(),
	})
}

// FollowPayments sees to the payments whose request has ended without an
// outcome: what left is followed until it has arrived, and then credited to its
// payer, or can't arrive any more. What never left is not sent: its payer may
// have turned away. It is given up some time after it has expired.
func (s *System) FollowPayments(ctx context.Context) error {
	var open []billing.Payment
	err := s.store.Read(ctx, func(rx Rx) (err error) {
		open, err = rx.OpenPayments(ctx, maxOpenPayments)
		return err
	})
	if err != nil {
		return err
	}
	var (
		wait  sync.WaitGroup
		slots = make(chan struct{}, maxFollowers)
	)
	for _, p := range open {
		if p.HeldBy != "" && s.now().Before(p.HeldTill) {
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := s.followPayment(ctx, p); err != nil && !errors.Is(err, billing.ErrHeld) {
				s.log.WarnContext(ctx, "payment not followed", slog.String("payment", string(p.ID)), slog.Any("error", err))
			}
		})
	}
	wait.Wait()
	return nil
}

func (s *System) followPayment(ctx context.Context, p billing.Payment) error {
	if p.Out {
		return s.followPayout(ctx, p)
	}
	if !p.Left() && s.now().Before(p.Claim.Expires.Add(grace)) {
		return nil
	}
	// What has expired its rail refuses, unless somebody else brought it to the
	// chain in time.
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	out, err := s.cashier.Settle(ctx, p.ID)
	var refusal *billing.Refusal
	switch {
	case errors.As(err, &refusal):
		return nil
	case err != nil || out.State != billing.Settled:
		return err
	}
	a := arrival{payment: p, hash: out.Hash}
	if err := s.store.Write(ctx, func(tx Tx) error { return a.keep(ctx, tx, s.now()) }); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "a payment arrived after its request had ended, and is its payer's credit",
		slog.String("payment", string(p.ID)), slog.String("account", string(p.Principal)), slog.String("transaction", out.Hash))
	return nil
}

// followPayout brings a payout on its way, and lays it to rest when it has
// arrived or can't any more.
func (s *System) followPayout(ctx context.Context, p billing.Payment) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	out, err := s.cashier.Settle(ctx, p.ID)
	if err != nil || out.State == billing.Unsettled {
		return err
	}
	if out.State == billing.Failed {
		s.log.WarnContext(ctx, "a payout failed and is its account's credit again", slog.String("payment", string(p.ID)), slog.String("reason", out.Reason))
	}
	return s.store.Write(ctx, func(tx Tx) error {
		if err := tx.LockPrincipal(ctx, p.Principal); err != nil {
			return err
		}
		return billing.EndPayout(ctx, tx, p.ID, out, s.now())
	})
}

// payment is the payment that a transfer brought in, nil for other transfers.
func payment(ctx context.Context, rx Rx, t billing.Transfer) (*billing.Payment, error) {
	if t.Reason != billing.ReasonPayment || t.Ref.Prefix() != berth.PrefixPayment {
		return nil, nil
	}
	p, err := rx.Payment(ctx, t.Ref)
	return &p, err
}
