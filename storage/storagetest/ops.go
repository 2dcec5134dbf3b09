package storagetest

import (
	"encoding/json"
	"fmt"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
)

func answers(s suite) {
	ctx := s.Context()
	a := ops.Answer{
		Principal: newID(berth.PrefixAccount, 1),
		Operation: "create_server",
		Key:       "once",
		Hash:      []byte{1, 2},
		Out:       json.RawMessage(`{"id":"srv_1"}`),
		Action:    newID(berth.PrefixAction, 1),
		Receipt:   json.RawMessage(`{"total":"0.02"}`),
		At:        at(1),
	}
	filled(s, a)
	get := func(rx ops.Rx) (ops.Answer, error) { return rx.Answer(ctx, a.Principal, a.Operation, a.Key) }
	absent(s, get, a.Key)
	s.write(func(tx ops.Tx) error { return tx.InsertAnswer(ctx, a) })
	fetch(s, "answer", a, get)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertAnswer(ctx, a) }, a.Key)

	// Any other part makes it another key.
	for i, change := range []func(*ops.Answer){
		func(a *ops.Answer) { a.Principal = newID(berth.PrefixAccount, 2) },
		func(a *ops.Answer) { a.Operation = "extend" },
		func(a *ops.Answer) { a.Key = "twice" },
	} {
		b := a
		b.At = at(2 + i)
		change(&b)
		s.write(func(tx ops.Tx) error { return tx.InsertAnswer(ctx, b) })
		fetch(s, "other answer", b, func(rx ops.Rx) (ops.Answer, error) {
			return rx.Answer(ctx, b.Principal, b.Operation, b.Key)
		})
	}
	for _, tt := range []struct {
		before int
		want   int64
	}{{1, 0}, {3, 2}, {100, 2}, {100, 0}} {
		s.write(func(tx ops.Tx) error {
			n, err := tx.DeleteAnswers(ctx, at(tt.before))
			equal(s, fmt.Sprintf("deleted before %d", tt.before), n, tt.want)
			return err
		})
	}
	absent(s, get)
}

// audit can only be written here: it is read by the operator's own tools.
func audit(s suite) {
	for _, front := range []string{"mcp", "http", "cli"} {
		s.write(func(tx ops.Tx) error {
			return tx.InsertAudit(s.Context(), ops.Audit{
				At: at(1), Principal: newID(berth.PrefixAccount, 1), Key: newID(berth.PrefixAPIKey, 1),
				Operation: "create_server", Subject: newID(berth.PrefixServer, 1), Front: front, Outcome: "ok",
			})
		})
	}
	if s.store.Write(s.Context(), func(tx ops.Tx) error { return tx.InsertAudit(s.Context(), ops.Audit{Front: "fax"}) }) == nil {
		s.Error("an unknown front was stored")
	}
}

// limits checks that a list without a bound, or with too large a one, is
// refused rather than cut.
func limits(s suite) {
	ctx := s.Context()
	lists := map[string]struct {
		most int
		list func(ops.Rx, int) (int, error)
	}{
		"principals": {1000, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.Principals(ctx, "", n)
			return count[account.Principal](l, err)
		}},
		"entries": {1000, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.Entries(ctx, billing.Filter{Limit: n})
			return count[billing.Entry](l, err)
		}},
		"servers": {200, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.Servers(ctx, "acct_1", fleet.ServerFilter{Limit: n})
			return count[fleet.Server](l, err)
		}},
		"live servers": {1000, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.LiveServers(ctx, "", n)
			return count[fleet.Server](l, err)
		}},
		"due servers": {1000, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.DueServers(ctx, start, n)
			return count[fleet.Server](l, err)
		}},
		"snapshots": {200, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.Snapshots(ctx, "acct_1", fleet.SnapshotFilter{Limit: n})
			return count[fleet.Snapshot](l, err)
		}},
		"due snapshots": {1000, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.DueSnapshots(ctx, start, n)
			return count[fleet.Snapshot](l, err)
		}},
		"actions": {200, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.Actions(ctx, fleet.ActionFilter{Limit: n})
			return count[fleet.Action](l, err)
		}},
		"open actions": {1000, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.OpenActions(ctx, "", n)
			return count[fleet.Action](l, err)
		}},
		"events": {1000, func(rx ops.Rx, n int) (int, error) {
			l, err := rx.Events(ctx, "acct_1", 0, n)
			return count[fleet.Event](l, err)
		}},
	}
	s.read(func(rx ops.Rx) error {
		for name, tt := range lists {
			for n, ok := range map[int]bool{-1: false, 0: false, 1: true, tt.most: true, tt.most + 1: false} {
				if _, err := tt.list(rx, n); (err == nil) != ok {
					s.Errorf("%s with a limit of %d: error %v", name, n, err)
				}
			}
		}
		return nil
	})
}

// count is the length of a list.
func count[T any](list []T, err error) (int, error) { return len(list), err }
