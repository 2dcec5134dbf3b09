package ops

import (
	"cmp"
	"context"
	"time"

	"berth"
	"berth/account"
	"berth/billing"
)

// identify makes a Request from the call's credentials, verifying only. It is
// nil where the operation needs somebody and nobody was named. A wallet that
// signed a credential is the caller where no other one names it.
func (s *System) identify(ctx context.Context, rx Rx, op *Operation, call *Call, claim *billing.Claim) (*Request, error) {
	req := &Request{Operation: op.Name, Contract: cmp.Or(call.Contract, billing.Native), Sink: call.Sink, Body: call.Body, Open: call.Open, Address: call.Origin.Address}
	list := s.catalog.Prices[req.Contract]
	if req.alone = list.PayPerCall; list.History > 0 {
		req.horizon = s.now().Add(-list.History)
	}
	if req.Sink == nil {
		req.Sink = noSink{}
	}
	for _, c := range call.Creds {
		if rails[c.Scheme] != "" {
			continue // read already: claim
		}
		if err := op.unless(s.accept(ctx, rx, req, c), req); err != nil {
			return nil, err
		}
	}
	if claim != nil {
		req.Payer = claim.Payer
	}
	if claim != nil && req.Principal.ID == "" {
		if err := op.unless(req.signed(ctx, rx, claim.Payer, s.now()), req); err != nil {
			return nil, err
		}
	}
	switch {
	case op.Access == Operator && !req.Operator:
		return nil, berth.Errorf(berth.Forbidden, "%s is for the operator of this Berth", op.Name).
			Hinted("use the berth command on the machine where Berth runs")
	case op.Access == Identified && req.Principal.ID == "":
		return nil, nil
	}
	return req, nil
}

// unless passes over the suspension of a caller where nobody need be known: what
// anyone may see, it may see as anyone.
func (o *Operation) unless(err error, req *Request) error {
	if o.Access != Anyone || err == nil || berth.CodeOf(err) != berth.Suspended {
		return err
	}
	req.Principal, req.Key = account.Principal{}, account.APIKey{}
	return nil
}

// accept makes the request that of whom a credential proves.
func (s *System) accept(ctx context.Context, rx Rx, r *Request, c Credential) (err error) {
	switch c.Scheme {
	case BearerScheme:
		if account.IsAccessToken(c.Token) {
			r.Principal, err = s.tokens.Authenticate(ctx, rx, c.Token)
			break
		}
		r.Principal, r.Key, err = account.Authenticate(ctx, rx, c.Token)
	case LocalScheme:
		r.Principal, err = rx.LocalPrincipal(ctx)
		if err == nil && r.Principal.Suspended {
			err = berth.Errorf(berth.Suspended, "the local account is suspended").
				Hinted("the operator lifts it: berth account update local --no-suspended")
		}
	case OperatorScheme:
		r.Principal, err = rx.LocalPrincipal(ctx)
		r.Operator = true
	default:
		err = berth.Errorf(berth.Unauthenticated, "the credential is of no kind that is known here").
			Hinted("send an API key as \"Authorization: Bearer berth_…\"")
	}
	return err
}

// signed makes the request that of a wallet. Who is new has an id already, and a
// row with the first thing that it does.
func (r *Request) signed(ctx context.Context, rx Rx, w berth.Wallet, now time.Time) (err error) {
	r.Principal, err = rx.PrincipalByWallet(ctx, w)
	switch {
	case berth.CodeOf(err) == berth.NotFound && err != nil:
		r.Principal, r.newcomer, err = account.NewWalletPrincipal(now), true, nil
	case err == nil && r.Principal.Suspended:
		err = berth.Errorf(berth.Suspended, "the account %s is suspended", r.Principal.ID).Hinted("ask the operator why")
	}
	return err
}
