package ops

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"berth"
	"berth/account"
	"berth/billing"
)

// ask is what this call is to be paid for, at a price.
func (t task) ask(price berth.Micros) billing.Ask {
	a := billing.Ask{
		Operation: t.op.Name, Amount: price, Realm: t.call.Origin.Realm, Resource: t.call.Origin.Resource,
		Description: t.op.Doc.Title, At: t.now(),
	}
	if t.hash != nil {
		sum := sha256.Sum256(append([]byte(t.op.Name+"\x00"), t.hash...))
		a.Binding = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return a
}

// demand is the answer to a caller who is nobody and would have to be somebody:
// the price where it can be told, else a proof of identity, which costs nothing.
func (t task) demand(ctx context.Context) error {
	price, err := t.askingPrice(ctx)
	if err != nil {
		return err
	}
	d := &berth.Demand{Amount: price}
	if d.Challenges, err = t.cashier.Offers(t.ask(price)); err != nil {
		return err
	}
	e := berth.Errorf(berth.PaymentRequired, "%s needs a caller who is known", t.op.Name)
	if price > 0 {
		e.Message = fmt.Sprintf("%s costs %s USD", t.op.Name, price)
	}
	e.Payment = d
	switch {
	case len(d.Challenges) == 0 && t.cashier.Takes():
		return e.Hinted("send an API key as \"Authorization: Bearer berth_…\"; a wallet makes one by signing in over HTTP at POST /v1/api-keys")
	case len(d.Challenges) == 0:
		return e.Hinted("send an API key as \"Authorization: Bearer berth_…\"; its account's balance pays")
	case price > 0:
		return e.Hinted("sign one of the challenges with your wallet and repeat the request with it; or send an API key as \"Authorization: Bearer berth_…\"")
	}
	return e.Hinted("prove who you are by signing one of the challenges, which costs nothing; or send an API key as \"Authorization: Bearer berth_…\"")
}

// askingPrice is what a caller who is nobody is asked for. Where the request is
// about an object, it is priced for the object's owner: nobody but the owner can
// pay for it in the end. Whatever else the object's state would refuse is not
// told to strangers, who are asked who they are.
func (t task) askingPrice(ctx context.Context) (price berth.Micros, err error) {
	if t.op.read != nil {
		return t.list().FeePrice(account.Retail, billing.FeeRead).Total, nil
	}
	if t.op.plan == nil {
		return 0, nil
	}
	in := t.in
	if t.hash == nil { // a probe without input: the example's price shows how this is paid
		var args map[string]any
		if err := json.Unmarshal([]byte(t.op.Doc.Example), &args); err != nil {
			return 0, fmt.Errorf("the example of %s: %w", t.op.Name, err)
		}
		if in, err = t.op.bind(args); err != nil {
			return 0, fmt.Errorf("the example of %s: %w", t.op.Name, err)
		}
	}
	err = t.store.Read(ctx, func(rx Rx) error {
		price, err = t.pricedFor(ctx, rx, in)
		return err
	})
	return price, err
}

func (t task) pricedFor(ctx context.Context, rx Rx, in any) (berth.Micros, error) {
	req := &Request{Operation: t.op.Name, Contract: cmp.Or(t.call.Contract, billing.Native), Principal: account.Principal{Tariff: account.Retail}, Sink: noSink{}}
	private := t.hash == nil // about an object, or about the example's things
	if t.op.subject != nil && t.op.subject(in) != "" {
		private = true
		owner, _, err := req.load(ctx, rx, t.op.subject(in))
		if err == nil {
			req.Principal, err = rx.Principal(ctx, owner)
		}
		if err != nil {
			return t.flatFee(), nil //nolint:nilerr // who has no business with it learns nothing of it
		}
	}
	named, err := req.become(ctx, rx, in)
	if err != nil {
		return 0, err
	}
	private = private || named
	plan, err := t.op.plan(ctx, rx, req, in)
	var refusal *berth.Error
	if errors.As(err, &refusal) && (private || refusal.Code == berth.NotFound && !t.op.Credits) {
		if fee := t.flatFee(); fee > 0 || !t.list().PayPerCall {
			return fee, nil
		}
	}
	return plan.Price.Total, err
}

// become makes nobody's request that of the owner of what an order names, and
// tells whether it names anything: nobody else can place that order.
func (r *Request) become(ctx context.Context, rx Rx, in any) (named bool, err error) {
	order, ok := in.(interface{ names() []berth.ID })
	if !ok {
		return false, nil
	}
	for _, id := range order.names() {
		owner, _, err := r.load(ctx, rx, id)
		switch {
		case err == nil:
			named = true
			if r.Principal, err = rx.Principal(ctx, owner); err != nil {
				return named, err
			}
		case berth.CodeOf(err) != berth.NotFound:
			return named, err
		}
	}
	return named, nil
}

// rejected answers a wallet whose credential was refused, with fresh challenges
// where a new credential can help. Errors that are no refusals stay as they are.
func (t task) rejected(ctx context.Context, err error) error {
	var r *billing.Refusal
	if !errors.As(err, &r) {
		return err
	}
	foreign := t.call.wallet() != MPPScheme // x402 calls what can't be read a bad request
	if r.Problem == billing.Unsupported || (r.Problem == billing.Malformed && foreign) {
		return berth.Errorf(berth.InvalidInput, "the payment credential: %s", r.Message).
			Hinted("ask without a credential to see what is taken here; nothing was taken")
	}
	var e *berth.Error
	if !errors.As(t.demand(ctx), &e) || e.Code != berth.PaymentRequired {
		return berth.Errorf(berth.PaymentRejected, "the payment credential was refused: %s", r.Message).Hinted("nothing was taken")
	}
	e.Code, e.Message = berth.PaymentRejected, "the payment credential was refused: "+r.Message
	e.Payment.Problem = string(r.Problem)
	return e.Hinted("nothing was taken; sign one of the fresh challenges and repeat the request with it")
}

// Demand is what a caller who is nobody is answered who asks for something with
// these inputs: the price, or a proof. Fronts whose requests are named otherwise
// ask for it where a request came without any input, as a probe does.
func (s *System) Demand(ctx context.Context, call *Call) error {
	op := s.table.Lookup(call.Op)
	if op == nil {
		return fmt.Errorf("there is no operation %q", call.Op)
	}
	t := task{System: s, op: op, call: call}
	in, err := op.bind(call.Args)
	if err != nil {
		return err
	}
	t.in = in
	if t.hash, err = s.hash(in); err != nil {
		return err
	}
	return t.demand(ctx)
}
