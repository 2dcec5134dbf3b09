package storagetest

import (
	"encoding/json"

	"berth"
	"berth/fleet"
	"berth/ops"
)

func actions(s suite) {
	ctx := s.Context()
	owner := s.principal("a@example.com")
	a := fleet.Action{
		ID:       newID(berth.PrefixAction, 1),
		Owner:    owner,
		Kind:     fleet.ActionCreate,
		Server:   newID(berth.PrefixServer, 1),
		Snapshot: newID(berth.PrefixSnapshot, 1),
		Status:   fleet.ActionRunning,
		Stage:    "booting",
		Percent:  40,
		Attempt:  2,
		Ref:      "provider/9",
		Input:    json.RawMessage(`{"size":"small"}`),
		Charge:   "txn_1",
		Reason:   "slow",
		Fence:    1 << 40,
		HeldBy:   "host/1",
		HeldTill: at(2),
		NextAt:   at(3),
		StageAt:  at(4),
		Created:  at(1),
		Ended:    at(5),
	}
	filled(s, a)
	get := func(rx ops.Rx) (fleet.Action, error) { return rx.Action(ctx, a.ID) }
	absent(s, get, "no such action: "+string(a.ID))
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.UpdateAction(ctx, a) }, string(a.ID))
	s.write(func(tx ops.Tx) error { return tx.InsertAction(ctx, a) })
	fetch(s, "action", a, get)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertAction(ctx, a) })

	for _, kind := range []fleet.ActionKind{
		fleet.ActionCreate, fleet.ActionDestroy, fleet.ActionSnapshot, fleet.ActionPowerOn, fleet.ActionPowerOff,
		fleet.ActionReboot, fleet.ActionResize, fleet.ActionRebuild, fleet.ActionDeleteSnapshot,
	} {
		least := fleet.Action{ID: a.ID, Owner: owner, Kind: kind, Status: fleet.ActionFailed}
		s.write(func(tx ops.Tx) error { return tx.UpdateAction(ctx, least) })
		fetch(s, "emptied", least, get)
	}
	s.write(func(tx ops.Tx) error { return tx.UpdateAction(ctx, a) })
	fetch(s, "filled", a, get)
}

func actionLists(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	srv, snap := newID(berth.PrefixServer, 1), newID(berth.PrefixSnapshot, 1)
	list := []fleet.Action{
		{Owner: owner, Kind: fleet.ActionCreate, Server: srv, Status: fleet.ActionDone},
		{Owner: other, Kind: fleet.ActionReboot, Server: srv, Status: fleet.ActionRunning},
		{Owner: owner, Kind: fleet.ActionSnapshot, Server: srv, Snapshot: snap, Status: fleet.ActionRunning},
		{Owner: owner, Kind: fleet.ActionDeleteSnapshot, Snapshot: snap, Status: fleet.ActionFailed},
		{Owner: owner, Kind: fleet.ActionCreate, Server: newID(berth.PrefixServer, 2), Status: fleet.ActionRunning},
	}
	for i := range list {
		list[i].ID, list[i].Created = newID(berth.PrefixAction, i), at(i)
		s.write(func(tx ops.Tx) error { return tx.InsertAction(ctx, list[i]) })
	}
	pick := func(is ...int) []fleet.Action {
		picked := make([]fleet.Action, len(is))
		for n, i := range is {
			picked[n] = list[i]
		}
		return picked
	}
	for name, tt := range map[string]struct {
		filter fleet.ActionFilter
		want   []fleet.Action
	}{
		"everybody":         {fleet.ActionFilter{Limit: 200}, pick(4, 3, 2, 1, 0)},
		"everybody, open":   {fleet.ActionFilter{Open: true, Limit: 2}, pick(4, 2)},
		"owner":             {fleet.ActionFilter{Owner: owner, Limit: 200}, pick(4, 3, 2, 0)},
		"owner, two":        {fleet.ActionFilter{Owner: owner, Limit: 2}, pick(4, 3)},
		"owner, open":       {fleet.ActionFilter{Owner: owner, Open: true, Limit: 200}, pick(4, 2)},
		"server":            {fleet.ActionFilter{Subject: srv, Limit: 200}, pick(2, 1, 0)},
		"server and owner":  {fleet.ActionFilter{Owner: owner, Subject: srv, Limit: 200}, pick(2, 0)},
		"server, open":      {fleet.ActionFilter{Owner: owner, Subject: srv, Open: true, Limit: 200}, pick(2)},
		"snapshot":          {fleet.ActionFilter{Owner: owner, Subject: snap, Limit: 200}, pick(3, 2)},
		"snapshot, one":     {fleet.ActionFilter{Subject: snap, Limit: 1}, pick(3)},
		"somebody else's":   {fleet.ActionFilter{Owner: other, Subject: snap, Limit: 200}, pick()},
		"nothing with that": {fleet.ActionFilter{Subject: "srv_none", Limit: 200}, pick()},
	} {
		fetch(s, name, tt.want, func(rx ops.Rx) ([]fleet.Action, error) { return rx.Actions(ctx, tt.filter) })
	}
	fetch(s, "open", pick(1, 2, 4), func(rx ops.Rx) ([]fleet.Action, error) { return rx.OpenActions(ctx, "", 9) })
	fetch(s, "next open", pick(2), func(rx ops.Rx) ([]fleet.Action, error) { return rx.OpenActions(ctx, list[1].ID, 1) })
}
