package storagetest

import (
	"berth"
	"berth/billing"
	"berth/ops"
)

func passwords(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	of := func(p berth.ID) func(ops.Rx) (string, error) {
		return func(rx ops.Rx) (string, error) { return rx.Password(ctx, p) }
	}
	absent(s, of(owner), string(owner))
	for _, hash := range []string{"first", "second"} {
		s.write(func(tx ops.Tx) error { return tx.PutPassword(ctx, owner, hash, at(1)) })
		fetch(s, "password", hash, of(owner))
	}
	absent(s, of(other), string(other))
}

func movedWallets(s suite) {
	ctx := s.Context()
	from, to := s.principal("a@example.com"), s.principal("b@example.com")
	w := berth.Wallet{Address: "0x1111111111111111111111111111111111111111", Chain: 5}
	owner := func(rx ops.Rx) (berth.ID, error) {
		p, err := rx.PrincipalByWallet(ctx, w)
		return p.ID, err
	}
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.MoveWallet(ctx, w, to) }, w.Address)
	s.write(func(tx ops.Tx) error { return tx.InsertWallet(ctx, w, from, at(1)) })
	fetch(s, "before", from, owner)
	s.write(func(tx ops.Tx) error { return tx.MoveWallet(ctx, w, to) })
	fetch(s, "after", to, owner)
	fetch(s, "the former's wallets", []berth.Wallet{}, func(rx ops.Rx) ([]berth.Wallet, error) { return rx.Wallets(ctx, from) })
}

func openPayments(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	count := func(want int) {
		s.Helper()
		fetch(s, "open payments", want, func(rx ops.Rx) (int, error) { return rx.CountOpenPayments(ctx, owner) })
	}
	count(0)
	for i, p := range []berth.ID{owner, owner, other} {
		s.write(func(tx ops.Tx) error {
			_, err := billing.Reserve(ctx, tx, billing.Payment{
				ID: newID(berth.PrefixPayment, i), Principal: p, Operation: "x", Created: at(i),
				Claim: billing.Claim{Rail: "x402", Unique: string(rune('a' + i)), Amount: 1, Expires: at(9)},
			})
			return err
		})
	}
	count(2)
}

func counters(s suite) {
	ctx := s.Context()
	for _, tt := range []struct {
		name  string
		since int
		want  int
	}{{"a", 60, 1}, {"a", 60, 2}, {"b", 60, 1}, {"a", 120, 1}, {"a", 120, 2}} {
		s.write(func(tx ops.Tx) error {
			n, err := tx.CountUp(ctx, tt.name, at(tt.since))
			equal(s, tt.name, n, tt.want)
			return err
		})
	}
	of := func(name string, since, want int) {
		s.Helper()
		fetch(s, name, want, func(rx ops.Rx) (int, error) { return rx.Counter(ctx, name, at(since)) })
	}
	of("a", 120, 2)
	of("a", 60, 0)
	of("c", 60, 0)
	s.write(func(tx ops.Tx) error {
		n, err := tx.DeleteCounters(ctx, at(100))
		equal(s, "deleted", n, 1)
		return err
	})
	of("b", 60, 0)
	of("a", 120, 2)
}
