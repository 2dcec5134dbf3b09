package ops

import (
	"context"
	"net/http"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

func (s *System) addAttach() {
	Add(s.table, Op[None, MeOut]{
		Name: "attach_wallet",
		Doc: Doc{
			Title: "Attach a wallet to your account", Toolset: "more", Tag: "Account", Idempotent: true,
			Text:    "Let a wallet speak and pay for your account: send your key or access token (as Berth-Key beside Authorization: Payment) and a proof that the wallet signs, which costs nothing. A wallet that has servers or money in an account of its own stays there. Free.",
			Example: `{}`,
		},
		Routes: []Route{{Method: "POST", Path: "/v1/me/wallets", Status: http.StatusOK}},
		Access: Identified, Signed: true, Commit: s.attachWallet,
	})
}

func (s *System) attachWallet(ctx context.Context, tx Tx, r *Request, _ None, _ Plan) (out MeOut, e Effect, err error) {
	if r.Key.Budget != (account.Budget{}) {
		return out, e, berth.Errorf(berth.Forbidden, "a key with a spending cap attaches no wallet").Hinted("use a key without a cap, or log in")
	}
	if r.Principal.Kind == account.Local {
		return out, e, berth.Errorf(berth.Conflict, "the local account has no wallets").Hinted("its money is its budget")
	}
	holder, err := tx.PrincipalByWallet(ctx, r.Payer)
	switch {
	case err != nil && berth.CodeOf(err) == berth.NotFound:
		err = tx.InsertWallet(ctx, r.Payer, r.Principal.ID, s.now())
	case err == nil && holder.ID != r.Principal.ID:
		if err = vacant(ctx, tx, holder); err == nil {
			err = tx.MoveWallet(ctx, r.Payer, r.Principal.ID)
		}
	}
	if err != nil {
		return out, e, err
	}
	out, err = viewMe(ctx, tx, r.Principal)
	return out, Effect{Ref: r.Principal.ID}, err
}

// vacant refuses to take a wallet from an account that is anything but the empty
// one which its first signature made: what is there would have no owner any more.
func vacant(ctx context.Context, tx Tx, holder account.Principal) error {
	kept := berth.Errorf(berth.Conflict, "the wallet has an account of its own, %s, with servers, snapshots, money or another owner", holder.ID).
		Hinted("spend or withdraw what is there first, or use that account")
	if holder.Suspended || holder.Kind != account.OfWallet {
		return kept
	}
	if err := tx.LockPrincipal(ctx, holder.ID); err != nil {
		return err
	}
	servers, err := tx.Servers(ctx, holder.ID, fleet.ServerFilter{Limit: 1})
	if err != nil {
		return err
	}
	snapshots, err := tx.Snapshots(ctx, holder.ID, fleet.SnapshotFilter{Limit: 1})
	if err != nil {
		return err
	}
	payments, err := tx.CountOpenPayments(ctx, holder.ID)
	if err != nil {
		return err
	}
	acct, err := tx.LedgerAccount(ctx, billing.CustomerAccount(holder.ID))
	if err != nil {
		return err
	}
	if len(servers)+len(snapshots)+payments > 0 || acct.Available() != 0 || acct.Held != 0 {
		return kept
	}
	return nil
}

// demandProof asks a caller who is known already for a wallet's proof.
func (t task) demandProof() error {
	offers, err := t.cashier.Offers(t.ask(0))
	if err != nil {
		return err
	}
	e := berth.Errorf(berth.PaymentRequired, "%s needs a wallet's proof beside who you are", t.op.Name).
		Hinted("sign one of the challenges with the wallet, which costs nothing, and repeat the request with it; a key goes along as Berth-Key")
	e.Payment = &berth.Demand{Challenges: offers}
	return e
}
