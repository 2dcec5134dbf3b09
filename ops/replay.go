package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"berth"
	"berth/billing"
)

// keys are the names under which the call's answer is stored: its idempotency
// key, and the wallet's credential that it came with. There are none for callers
// who are nobody, who would share them.
func (t task) keys() (list []string) {
	if t.caller == "" {
		return nil
	}
	if key := t.idempotencyKey(); key != "" {
		list = append(list, key)
	}
	if t.claim != nil {
		list = append(list, t.claimKey())
	}
	return list
}

// idempotencyKey is the call's own, or the one that its payment carries.
func (t task) idempotencyKey() string {
	if t.call.Key == "" && t.claim != nil {
		return t.claim.Identifier
	}
	return t.call.Key
}

func (t task) claimKey() string { return "claim:" + t.claim.Rail + ":" + t.claim.Unique }

// replay is the stored answer to the same key or credential, nil where there is
// none yet, or a refusal where it was used with another input.
func (t task) replay(ctx context.Context) (res *Result, err error) {
	if len(t.keys()) == 0 {
		return nil, nil
	}
	err = t.store.Read(ctx, func(rx Rx) error {
		res, err = t.stored(ctx, rx)
		return err
	})
	return res, err
}

func (t task) stored(ctx context.Context, rx Rx) (*Result, error) {
	for _, key := range t.keys() {
		a, err := rx.Answer(ctx, t.caller, t.op.Name, key)
		switch {
		case berth.CodeOf(err) == berth.NotFound && err != nil:
			continue
		case err != nil:
			return nil, err
		}
		res, err := t.revived(a)
		if err != nil || res.Action == "" {
			return res, err
		}
		// The answer stays its caller's; how things went on since is told to who still
		// may know.
		var refused *berth.Error
		if err := t.authorise(ctx, rx); errors.As(err, &refused) {
			res.Action = ""
		} else if err != nil {
			return nil, err
		} else if err := t.reveal(ctx, rx, res); err != nil {
			return nil, err
		}
		return res, nil
	}
	return nil, nil
}

// reveal puts into an answer what is never stored with it, for a caller who has
// been authorised.
func (t task) reveal(ctx context.Context, rx Rx, res *Result) (err error) {
	if t.op.reveal != nil {
		res.Out, err = t.op.reveal(ctx, rx, t.req, t.in, res.Out)
	}
	return err
}

// revived is the result that was stored, where it is this call's.
func (t task) revived(a Answer) (*Result, error) {
	if !bytes.Equal(a.Hash, t.hash) {
		if a.Key != t.idempotencyKey() {
			return nil, billing.Refuse(billing.Spent, "the credential was used for another request")
		}
		return nil, berth.Errorf(berth.IdempotencyConflict, "the idempotency key %q was used for another %s", a.Key, t.op.Name).
			Hinted("retry the first request with exactly its input, or use a new key for a new request")
	}
	out, err := t.op.revive(a.Out)
	if err != nil {
		return nil, fmt.Errorf("read the stored answer: %w", err)
	}
	res := &Result{Operation: t.op, Out: out, Action: a.Action, Replayed: true, request: t.req}
	if len(a.Receipt) > 0 {
		res.Receipt = &Receipt{}
		if err := json.Unmarshal(a.Receipt, res.Receipt); err != nil {
			return nil, fmt.Errorf("read the stored receipt: %w", err)
		}
	}
	return res, nil
}

// remember stores the answer for the next call with the same key or credential.
func (t task) remember(ctx context.Context, tx Tx, res *Result) error {
	keys := t.keys()
	if len(keys) == 0 {
		return nil
	}
	a := Answer{Principal: t.caller, Operation: t.op.Name, Hash: t.hash, Action: res.Action, At: t.now()}
	out := res.Out
	if secretive, ok := out.(interface{ Redacted() any }); ok {
		out = secretive.Redacted() // what is shown once is not stored
	}
	var err error
	if a.Out, err = json.Marshal(out); err != nil {
		return fmt.Errorf("store the answer: %w", err)
	}
	if res.Receipt != nil {
		if a.Receipt, err = json.Marshal(res.Receipt); err != nil {
			return fmt.Errorf("store the receipt: %w", err)
		}
	}
	for _, a.Key = range keys {
		if err := tx.InsertAnswer(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// flights lets one call at a time through for each idempotency key of an
// operation that works outside a transaction: the second waits and is then
// answered by replay.
type flights struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

func newFlights() *flights { return &flights{busy: map[string]chan struct{}{}} }

func (f *flights) enter(ctx context.Context, key string) (leave func(), err error) {
	if key == "" {
		return func() {}, nil
	}
	for {
		f.mu.Lock()
		ahead, taken := f.busy[key]
		if !taken {
			done := make(chan struct{})
			f.busy[key] = done
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.busy, key)
				f.mu.Unlock()
				close(done)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-ahead:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t task) flightKey() string {
	if t.call.Key == "" || t.caller == "" {
		return ""
	}
	return string(t.caller) + "\x00" + t.op.Name + "\x00" + t.call.Key
}
