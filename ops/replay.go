package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"berth"
)

// remembers tells whether the call's answer is stored: it has a key, and
// somebody whose key it is. Callers who are nobody would share their keys.
func (t task) remembers() bool { return t.call.Key != "" && t.caller != "" }

// replay is the stored answer to the same idempotency key, nil where there is
// none yet, or a conflict where the key was used with another input.
func (t task) replay(ctx context.Context) (res *Result, err error) {
	if !t.remembers() {
		return nil, nil
	}
	err = t.store.Read(ctx, func(rx Rx) error {
		res, err = t.stored(ctx, rx)
		return err
	})
	return res, err
}

func (t task) stored(ctx context.Context, rx Rx) (*Result, error) {
	if !t.remembers() {
		return nil, nil
	}
	a, err := rx.Answer(ctx, t.caller, t.op.Name, t.call.Key)
	if err != nil {
		if berth.CodeOf(err) == berth.NotFound {
			return nil, nil
		}
		return nil, err
	}
	if !bytes.Equal(a.Hash, t.hash) {
		return nil, berth.Errorf(berth.IdempotencyConflict, "the idempotency key %q was used for another %s", t.call.Key, t.op.Name).
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

// remember stores the answer for the next call with the same key.
func (t task) remember(ctx context.Context, tx Tx, res *Result) error {
	if !t.remembers() {
		return nil
	}
	a := Answer{
		Principal: t.caller, Operation: t.op.Name, Key: t.call.Key, Hash: t.hash,
		Action: res.Action, At: t.now(),
	}
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
	return tx.InsertAnswer(ctx, a)
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
	if !t.remembers() {
		return ""
	}
	return string(t.caller) + "\x00" + t.op.Name + "\x00" + t.call.Key
}
