package ops

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"berth"
	"berth/billing"
)

// maxKey bounds an idempotency key.
const maxKey = 255

// Dispatch carries out one call. It is the only way in: it binds, identifies,
// replays, authorises, plans, takes the money, commits and answers, in this
// order. Every error that it returns is a *berth.Error, or the context's.
func (s *System) Dispatch(ctx context.Context, call *Call) (*Result, error) {
	res, err := s.dispatch(ctx, call)
	s.tell(ctx, call, res, err)
	if err == nil {
		return res, nil
	}
	var e *berth.Error
	switch {
	case errors.As(err, &e):
		if e.Code == berth.InvalidInput && e.Hint == "" {
			if op := s.table.Lookup(call.Op); op != nil {
				e.Hint = op.ExampleHint()
			}
		}
		return nil, e
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	s.log.ErrorContext(ctx, "operation failed", slog.String("operation", call.Op), slog.Any("error", err))
	return nil, berth.Errorf(berth.Internal, "%s could not be carried out for a reason of Berth's own", call.Op).
		Hinted("nothing was charged; try again, with the same idempotency key").Because(err)
}

// tell logs what changed something, or would have.
func (s *System) tell(ctx context.Context, call *Call, res *Result, err error) {
	op := s.table.Lookup(call.Op)
	if op == nil || !op.Changes() {
		return
	}
	outcome := slog.String("outcome", "ok")
	attrs := []any{slog.String("operation", op.Name), slog.String("front", call.Front)}
	switch {
	case err != nil:
		outcome = slog.String("outcome", string(berth.CodeOf(err)))
	case res.request != nil:
		attrs = append(attrs, slog.String("account", string(res.request.Principal.ID)), slog.String("action", string(res.Action)))
	}
	s.log.InfoContext(ctx, "operation", append(attrs, outcome)...)
}

func (s *System) dispatch(ctx context.Context, call *Call) (*Result, error) {
	op := s.table.Lookup(call.Op)
	if op == nil {
		return nil, berth.Errorf(berth.NotFound, "there is no operation %q", call.Op)
	}
	in, bindErr := op.bind(call.Args)
	if bindErr != nil && !call.Bare {
		return nil, bindErr
	}
	if len(call.Key) > maxKey {
		return nil, berth.Errorf(berth.InvalidInput, "the idempotency key has %d characters; at most %d are allowed", len(call.Key), maxKey)
	}
	t := task{System: s, op: op, call: call, in: in}
	if bindErr == nil {
		hash, err := s.hash(in)
		if err != nil {
			return nil, err
		}
		t.hash = hash
	}
	claim, err := s.claim(ctx, call)
	switch {
	case op.Access == Anyone && (err != nil || claim != nil && claim.Amount > 0):
		claim = nil // a payment that is left over harms nobody where nothing is sold
	case err != nil:
		return nil, t.rejected(ctx, err)
	}
	t.claim = claim
	var read *Result
	// Who calls and, where nothing is to be changed, the answer come from one
	// snapshot.
	err = s.store.Read(ctx, func(rx Rx) (err error) {
		if t.req, err = s.identify(ctx, rx, op, call, claim); err != nil || t.req == nil || bindErr != nil {
			return err
		}
		t.caller = t.req.Principal.ID
		if op.read != nil && claim == nil && t.readPrice().Total == 0 {
			read, err = t.read(ctx, rx)
		}
		return err
	})
	if limited := t.admit(ctx); limited != nil {
		return nil, limited
	}
	switch {
	case err != nil:
		return nil, err
	case t.req == nil, t.list().PayPerCall && claim == nil && op.Access == Identified:
		return nil, t.demand(ctx)
	}
	switch {
	case bindErr != nil:
		return nil, bindErr
	case claim != nil:
		return t.byWallet(ctx)
	case op.Signed:
		return nil, t.demandProof()
	case read != nil:
		return read, nil
	}
	return t.change(ctx)
}

// change carries out what is no mere reading, or costs something.
func (t task) change(ctx context.Context) (*Result, error) {
	if t.op.run != nil {
		return t.run(ctx)
	}
	return t.commit(ctx)
}

// task is one identified, validated call on its way through Dispatch.
type task struct {
	*System
	op   *Operation
	call *Call
	req  *Request
	in   any
	hash []byte // of the input; nil where that can't be bound
	// claim is what a wallet signed, payment what came of it where it pays.
	claim   *billing.Claim
	payment *arrival
	// caller is who called, under whom the answer is stored: req.Principal
	// becomes the owner where the operator acts for one.
	caller berth.ID
}

// hash is an input's, without its secrets: it is stored, and nobody must be able
// to guess a password by it.
func (s *System) hash(in any) ([]byte, error) {
	secretive, ok := in.(interface{ Veiled(func(string) string) any })
	if !ok {
		return canonical(in)
	}
	key, err := s.keys.Derive("hashes of inputs", sha256.Size)
	if err != nil {
		return nil, err
	}
	return canonical(secretive.Veiled(func(secret string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(secret))
		return hex.EncodeToString(mac.Sum(nil))
	}))
}

// canonical is the hash that tells whether two inputs under one idempotency key
// are the same: inputs are structs, so their JSON has one form.
func canonical(in any) ([]byte, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("hash the input: %w", err)
	}
	h := sha256.Sum256(b)
	return h[:], nil
}

func (t task) read(ctx context.Context, rx Rx) (*Result, error) {
	if err := t.authorise(ctx, rx); err != nil {
		return nil, err
	}
	out, err := t.op.read(ctx, rx, t.req, t.in)
	if err != nil {
		return nil, err
	}
	res := &Result{Operation: t.op, Out: out, request: t.req}
	if t.op.Long { // an action was looked at, and its end can be waited for
		res.Action = t.req.Action.ID
	}
	return res, nil
}

// commit plans against a snapshot first, so that a request which can't succeed
// never waits for the writer, and again under the principal's lock.
func (t task) commit(ctx context.Context) (*Result, error) {
	if t.payment == nil { // else it was looked at before the payment was taken
		if res, _, err := t.preview(ctx); res != nil || err != nil {
			return res, err
		}
	}
	var (
		res    *Result
		effect Effect
	)
	err := t.store.Write(ctx, func(tx Tx) error {
		var err error
		res, effect, err = t.settle(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.fleet.Announce(effect.actions()...)
	return res, nil
}

// preview is the stored answer, or the refusal that the writer would come to.
// Both come from one snapshot: of two identical calls at once the second must
// find the first one's answer, not its effect.
func (t task) preview(ctx context.Context) (res *Result, plan Plan, err error) {
	err = t.store.Read(ctx, func(rx Rx) error {
		if res, err = t.stored(ctx, rx); res != nil || err != nil {
			return err
		}
		if err := t.authorise(ctx, rx); err != nil {
			return err
		}
		plan, err = t.price(ctx, rx)
		return err
	})
	return res, plan, err
}

// price plans and checks that the price is covered, reading only.
func (t task) price(ctx context.Context, rx Rx) (plan Plan, err error) {
	if t.op.read != nil {
		plan = Plan{Price: t.readPrice(), Reason: billing.ReasonService, Memo: t.op.Doc.Title}
	}
	if t.op.plan != nil {
		if plan, err = t.op.plan(ctx, rx, t.req, t.in); err != nil {
			return Plan{}, err
		}
		if err := t.honour(ctx, rx, &plan); err != nil {
			return Plan{}, err
		}
	}
	return plan, t.covered(ctx, rx, plan)
}

// settle is step seven: everything that the operation changes, in one
// transaction that holds the principal's lock.
func (t task) settle(ctx context.Context, tx Tx) (*Result, Effect, error) {
	if t.req.Principal.ID != "" {
		if err := t.lock(ctx, tx); err != nil {
			return nil, Effect{}, err
		}
	}
	// The same call may have got here first while this one was waiting.
	if res, err := t.stored(ctx, tx); res != nil || err != nil {
		return res, Effect{}, err
	}
	if t.payment != nil {
		if err := t.payment.credit(ctx, tx, t.now()); err != nil {
			return nil, Effect{}, err
		}
	}
	if err := t.authorise(ctx, tx); err != nil {
		return nil, Effect{}, err
	}
	plan, err := t.price(ctx, tx)
	if err != nil {
		return nil, Effect{}, err
	}
	t.req.Charge = ""
	if plan.Price.Total > plan.Price.Deposit {
		t.req.Charge = string(berth.NewID(berth.PrefixTransaction, t.now()))
	}
	out, effect, err := t.carryOut(ctx, tx, plan)
	if err != nil {
		return nil, Effect{}, err
	}
	receipt, err := t.receive(ctx, tx, plan, effect)
	if err != nil {
		return nil, Effect{}, err
	}
	res := &Result{Operation: t.op, Out: out, Action: effect.first(), Receipt: receipt, request: t.req}
	if err := t.remember(ctx, tx, res); err != nil {
		return nil, Effect{}, err
	}
	if err := t.reveal(ctx, tx, res); err != nil {
		return nil, Effect{}, err
	}
	return res, effect, t.trailAll(ctx, tx, effect)
}

// carryOut is the operation itself, within the transaction that it is paid in.
func (t task) carryOut(ctx context.Context, tx Tx, plan Plan) (any, Effect, error) {
	if t.op.read != nil {
		out, err := t.op.read(ctx, tx, t.req, t.in)
		return out, Effect{Ref: t.subjectID()}, err
	}
	return t.op.commit(ctx, tx, t.req, t.in, plan)
}

// lock takes the locks of the principal and of the others whom the call
// concerns, and a fresh look: its limits may have changed while a payment settled.
func (t task) lock(ctx context.Context, tx Tx) (err error) {
	ids := append([]berth.ID{t.req.Principal.ID}, t.req.concerned...)
	if t.payment != nil {
		ids = append(ids, t.payment.payment.Principal) // whom it credits
	}
	slices.Sort(ids) // two who call for each other must not wait for each other
	for _, id := range slices.Compact(ids) {
		if err := tx.LockPrincipal(ctx, id); err != nil {
			return err
		}
	}
	t.req.Principal, err = tx.Principal(ctx, t.req.Principal.ID)
	return err
}

// run carries out an operation that works outside any transaction.
func (t task) run(ctx context.Context) (*Result, error) {
	unlock, err := t.flights.enter(ctx, t.flightKey())
	if err != nil {
		return nil, err
	}
	defer unlock()
	if res, err := t.replay(ctx); res != nil || err != nil {
		return res, err
	}
	if err := t.store.Read(ctx, func(rx Rx) error { return t.authorise(ctx, rx) }); err != nil {
		return nil, err
	}
	if err := t.record(ctx, "started"); err != nil {
		return nil, err
	}
	running := ctx
	if t.call.Key != "" {
		// Who gives a key may lose the connection and ask again: the work goes
		// on, within its own time limit, and the second call gets its answer.
		running = context.WithoutCancel(ctx)
	}
	out, err := t.op.run(running, t.req, t.in)
	// The trail and the stored answer are written even when the caller has
	// gone: what was run was run.
	after := context.WithoutCancel(ctx)
	if err != nil {
		return nil, errors.Join(err, t.record(after, string(berth.CodeOf(err))))
	}
	res := &Result{Operation: t.op, Out: out, request: t.req}
	err = t.store.Write(after, func(tx Tx) error {
		if err := t.remember(after, tx, res); err != nil {
			return err
		}
		return t.trail(after, tx, "ok")
	})
	return res, err
}

func (t task) record(ctx context.Context, outcome string) error {
	if !t.op.Changes() {
		return nil
	}
	return t.store.Write(ctx, func(tx Tx) error { return t.trail(ctx, tx, outcome) })
}

func (t task) trail(ctx context.Context, tx Tx, outcome string) error {
	if !t.op.Changes() {
		return nil
	}
	return tx.InsertAudit(ctx, t.audit(t.req.Made, outcome))
}

// trailAll tells of each thing that a commit made or changed.
func (t task) trailAll(ctx context.Context, tx Tx, effect Effect) error {
	for _, share := range effect.shares("", billing.Price{}) {
		if err := tx.InsertAudit(ctx, t.audit(share.Ref, "ok")); err != nil {
			return err
		}
	}
	return nil
}

func (t task) subjectID() berth.ID {
	if t.op.subject == nil {
		return ""
	}
	return t.op.subject(t.in)
}

func (t task) audit(subject berth.ID, outcome string) Audit {
	if subject == "" {
		subject = t.subjectID()
	}
	return Audit{
		At: t.now(), Principal: t.caller, Key: t.req.Key.ID, Operation: t.op.Name,
		Subject: subject, Front: t.call.Front, Outcome: outcome,
	}
}
