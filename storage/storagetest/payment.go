package storagetest

import (
	"fmt"
	"time"

	"berth"
	"berth/billing"
	"berth/ops"
)

// newPayment is a payment with everything in it.
func newPayment(principal berth.ID, n int) billing.Payment {
	return billing.Payment{
		ID: newID(berth.PrefixPayment, n), Principal: principal, Operation: "create_server", Key: fmt.Sprint("key ", n), Hash: []byte{1, byte(n)},
		Claim: billing.Claim{
			Rail: "x402", Scheme: "x402/2", Unique: fmt.Sprint("claim ", n), Payer: berth.Wallet{Address: address(n), Chain: 8453},
			Amount: berth.Micros(1000 + n), Network: "eip155:8453", Asset: address(99), Expires: at(50), Payload: []byte(`{"a":1}`),
		},
		State:     billing.Submitted,
		Broadcast: billing.Broadcast{Hash: fmt.Sprint("0x", n), Sender: "settler", Nonce: uint64(n), Raw: []byte{2}, At: at(2)},
		Reason:    "none", HeldBy: "me", HeldTill: at(3), Created: at(n), Updated: at(4),
	}
}

func address(n int) string { return fmt.Sprintf("0x%040x", n) }

func payments(s suite) {
	ctx := s.Context()
	owner := s.principal("payer@example.com")
	p := newPayment(owner, 1)
	byID := func(rx ops.Rx) (billing.Payment, error) { return rx.Payment(ctx, p.ID) }
	byClaim := func(rx ops.Rx) (billing.Payment, error) {
		return rx.PaymentByClaim(ctx, p.Claim.Rail, p.Claim.Unique)
	}
	absent(s, byID, string(p.ID))
	absent(s, byClaim)
	s.write(func(tx ops.Tx) error { return tx.InsertPayment(ctx, p) })
	fetch(s, "payment", p, byID)
	fetch(s, "payment of a claim", p, byClaim)
	byKey := func(rx ops.Rx) (billing.Payment, error) { return rx.PaymentByKey(ctx, owner, p.Operation, p.Key) }
	fetch(s, "payment of a key", p, byKey)
	sameKey := newPayment(owner, 2)
	sameKey.Key = p.Key
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertPayment(ctx, sameKey) })
	again := newPayment(owner, 2)
	again.Claim.Unique = p.Claim.Unique
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertPayment(ctx, again) })

	p.State, p.Reason, p.HeldBy, p.HeldTill, p.Updated = billing.Settled, "", "", time.Time{}, at(9)
	p.Claim.Payload, p.Broadcast.Raw = nil, nil
	p.Broadcast.Hash = "0xother"
	s.write(func(tx ops.Tx) error { return tx.UpdatePayment(ctx, p) })
	fetch(s, "updated payment", p, byID)

	out := newPayment(owner, 3)
	out.Out = true
	s.write(func(tx ops.Tx) error { return tx.InsertPayment(ctx, out) })
	fetch(s, "payout", out, func(rx ops.Rx) (billing.Payment, error) { return rx.Payment(ctx, out.ID) })
	fetch(s, "open payments", []billing.Payment{out}, func(rx ops.Rx) ([]billing.Payment, error) { return rx.OpenPayments(ctx, 10) })
	fetch(s, "all payments", []billing.Payment{p, out}, func(rx ops.Rx) ([]billing.Payment, error) { return rx.Payments(ctx, "", 10) })
	fetch(s, "later payments", []billing.Payment{out}, func(rx ops.Rx) ([]billing.Payment, error) { return rx.Payments(ctx, p.ID, 10) })
	paymentSums(s, owner)
	takenNonces(s)
}

func paymentSums(s suite, owner berth.ID) {
	ctx := s.Context()
	for _, tt := range []struct {
		out  bool
		from int
		want berth.Micros
	}{{false, 0, 1001}, {false, 2, 0}, {true, 0, 1003}, {true, 4, 0}} {
		fetch(s, "sum", tt.want, func(rx ops.Rx) (berth.Micros, error) {
			return rx.PaymentSum(ctx, owner, berth.Wallet{Address: address(map[bool]int{false: 1, true: 3}[tt.out])}, "x402", tt.out, at(tt.from))
		})
	}
}

// takenNonces looks for those that a transaction must not have: the settled one
// counts while somebody may not know of it yet.
func takenNonces(s suite) {
	ctx := s.Context()
	for _, tt := range []struct {
		floor uint64
		since int
		want  []uint64
	}{{0, 0, []uint64{1, 3}}, {0, 10, []uint64{3}}, {2, 0, []uint64{3}}, {4, 0, []uint64{}}} {
		fetch(s, "nonces", tt.want, func(rx ops.Rx) ([]uint64, error) {
			return rx.TakenNonces(ctx, "settler", tt.floor, at(tt.since))
		})
	}
}

func refusedPayments(s suite) {
	ctx := s.Context()
	owner := s.principal("payer@example.com")
	for i, change := range []func(*billing.Payment){
		func(p *billing.Payment) { p.State, p.Broadcast.Hash = billing.Failed, "" },
		func(p *billing.Payment) { p.State = billing.Failed }, // it left
		func(p *billing.Payment) { p.State, p.Broadcast.Hash = billing.Reserved, "" },
		func(p *billing.Payment) { p.State, p.Broadcast.Hash, p.Out = billing.Failed, "", true },
	} {
		p := newPayment(owner, i+1)
		change(&p)
		s.write(func(tx ops.Tx) error { return tx.InsertPayment(ctx, p) })
	}
	for _, tt := range []struct {
		before int
		want   int64
	}{{50, 0}, {51, 1}, {51, 0}} {
		s.write(func(tx ops.Tx) error {
			n, err := tx.DeleteRefused(ctx, at(tt.before))
			equal(s, fmt.Sprintf("forgotten before %d", tt.before), n, tt.want)
			return err
		})
	}
	absent(s, func(rx ops.Rx) (billing.Payment, error) { return rx.Payment(ctx, newID(berth.PrefixPayment, 1)) })
}

func proofs(s suite) {
	ctx := s.Context()
	use := func(tx ops.Tx) error { return tx.InsertProof(ctx, "mpp", "challenge", at(5)) }
	s.write(use)
	s.refuses(berth.Conflict, use)
	for _, tt := range []struct {
		before int
		want   int64
	}{{5, 0}, {6, 1}} {
		s.write(func(tx ops.Tx) error {
			n, err := tx.DeleteProofs(ctx, at(tt.before))
			equal(s, "forgotten proofs", n, tt.want)
			return err
		})
	}
	s.write(use)
}

func wallets(s suite) {
	ctx := s.Context()
	owner := s.principal("payer@example.com")
	key, contract := berth.Wallet{Address: address(1)}, berth.Wallet{Address: address(1), Chain: 8453}
	s.write(func(tx ops.Tx) error { return tx.InsertWallet(ctx, key, owner, at(1)) })
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertWallet(ctx, key, owner, at(1)) })
	owns := func(w berth.Wallet) func(rx ops.Rx) (berth.ID, error) {
		return func(rx ops.Rx) (berth.ID, error) {
			p, err := rx.PrincipalByWallet(ctx, w)
			return p.ID, err
		}
	}
	fetch(s, "owner of a wallet", owner, owns(key))
	absent(s, owns(contract))
	s.write(func(tx ops.Tx) error { return tx.InsertWallet(ctx, contract, owner, at(2)) })
	fetch(s, "wallets", []berth.Wallet{key, contract}, func(rx ops.Rx) ([]berth.Wallet, error) { return rx.Wallets(ctx, owner) })
}
