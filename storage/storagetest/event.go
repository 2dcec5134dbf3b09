package storagetest

import (
	"encoding/json"
	"errors"

	"berth"
	"berth/account"
	"berth/fleet"
	"berth/ops"
)

func events(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	e := fleet.Event{
		Principal: owner, Seq: 1, Kind: "server.created", Subject: newID(berth.PrefixServer, 1),
		Data: json.RawMessage(`{"minutes":15}`), At: at(1),
	}
	filled(s, e)
	appendEvent := func(e fleet.Event) fleet.Event {
		s.Helper()
		var stored fleet.Event
		s.write(func(tx ops.Tx) (err error) {
			e.Seq = 99 // the store decides
			stored, err = tx.AppendEvent(ctx, e)
			return err
		})
		return stored
	}
	equal(s, "first", appendEvent(e), e)
	second := appendEvent(fleet.Event{Principal: owner, Kind: "lease.warning", At: at(2)})
	undone := errors.New("undone")
	err := s.store.Write(ctx, func(tx ops.Tx) error {
		if _, err := tx.AppendEvent(ctx, e); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		s.Fatalf("got error %v", err)
	}
	foreign := appendEvent(fleet.Event{Principal: other, Kind: "server.created", At: at(3)})
	// Changing the principal leaves its sequence alone.
	s.write(func(tx ops.Tx) error {
		return tx.UpdatePrincipal(ctx, account.Principal{ID: owner, Kind: account.Email, Tariff: account.Retail})
	})
	third := appendEvent(e)
	equal(s, "sequence", []int64{second.Seq, foreign.Seq, third.Seq}, []int64{2, 1, 3})

	for _, tt := range []struct {
		after int64
		limit int
		want  []fleet.Event
	}{
		{0, 9, []fleet.Event{e, second, third}},
		{0, 1, []fleet.Event{e}},
		{1, 1, []fleet.Event{second}},
		{3, 9, []fleet.Event{}},
	} {
		fetch(s, "events", tt.want, func(rx ops.Rx) ([]fleet.Event, error) { return rx.Events(ctx, owner, tt.after, tt.limit) })
	}
	s.refuses(berth.NotFound, func(tx ops.Tx) error {
		_, err := tx.AppendEvent(ctx, fleet.Event{Principal: "acct_none", Kind: "x"})
		return err
	}, "acct_none")
}
