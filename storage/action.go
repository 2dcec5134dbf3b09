package storage

import (
	"context"

	"berth"
	"berth/fleet"
	"berth/provider"
	"berth/storage/db"
)

// Action implements fleet.Rx.
func (rx *Rx) Action(ctx context.Context, id berth.ID) (fleet.Action, error) {
	row, err := rx.q.Action(ctx, string(id))
	return one(row, err, toAction, "no such action: %s", id)
}

// Actions implements fleet.Rx. An empty owner is everybody.
func (rx *Rx) Actions(ctx context.Context, q fleet.ActionFilter) ([]fleet.Action, error) {
	most, err := limit(q.Limit, maxPage)
	if err != nil {
		return nil, err
	}
	owner, subject, closed := string(q.Owner), string(q.Subject), !q.Open
	var rows []db.Action
	switch {
	case subject != "":
		rows, err = rx.q.ActionsOfSubject(ctx, db.ActionsOfSubjectParams{
			Subject: subject, Owner: owner, Closed: closed, Max: most,
		})
	case owner != "":
		rows, err = rx.q.ActionsOfOwner(ctx, db.ActionsOfOwnerParams{Owner: owner, Closed: closed, Max: most})
	default:
		rows, err = rx.q.Actions(ctx, db.ActionsParams{Closed: closed, Max: most})
	}
	return all(rows, err, toAction)
}

// OpenActions implements fleet.Rx.
func (rx *Rx) OpenActions(ctx context.Context, after berth.ID, n int) ([]fleet.Action, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.OpenActions(ctx, db.OpenActionsParams{After: string(after), Max: most})
	return all(rows, err, toAction)
}

// InsertAction implements fleet.Tx.
func (tx *Tx) InsertAction(ctx context.Context, a fleet.Action) error {
	err := tx.q.InsertAction(ctx, db.InsertActionParams(fromAction(a)))
	return conflict(err, "there is an action %s already", a.ID)
}

// UpdateAction implements fleet.Tx.
func (tx *Tx) UpdateAction(ctx context.Context, a fleet.Action) error {
	n, err := tx.q.UpdateAction(ctx, db.UpdateActionParams(fromAction(a)))
	return changed(n, err, "no such action: %s", a.ID)
}

func fromAction(a fleet.Action) db.Action {
	return db.Action{
		ID:       string(a.ID),
		Owner:    string(a.Owner),
		Kind:     string(a.Kind),
		Server:   string(a.Server),
		Snapshot: string(a.Snapshot),
		Status:   string(a.Status),
		Stage:    a.Stage,
		Percent:  int64(a.Percent),
		Attempt:  int64(a.Attempt),
		Ref:      string(a.Ref),
		Input:    string(a.Input),
		Charge:   a.Charge,
		Reason:   a.Reason,
		Fence:    a.Fence,
		HeldBy:   a.HeldBy,
		HeldTill: toMicros(a.HeldTill),
		NextAt:   toMicros(a.NextAt),
		StageAt:  toMicros(a.StageAt),
		Created:  toMicros(a.Created),
		Ended:    toMicros(a.Ended),
	}
}

func toAction(r db.Action) (fleet.Action, error) {
	return fleet.Action{
		ID:       berth.ID(r.ID),
		Owner:    berth.ID(r.Owner),
		Kind:     fleet.ActionKind(r.Kind),
		Server:   berth.ID(r.Server),
		Snapshot: berth.ID(r.Snapshot),
		Status:   fleet.ActionStatus(r.Status),
		Stage:    r.Stage,
		Percent:  int(r.Percent),
		Attempt:  int(r.Attempt),
		Ref:      provider.Ref(r.Ref),
		Input:    fromJSON(r.Input),
		Charge:   r.Charge,
		Reason:   r.Reason,
		Fence:    r.Fence,
		HeldBy:   r.HeldBy,
		HeldTill: fromMicros(r.HeldTill),
		NextAt:   fromMicros(r.NextAt),
		StageAt:  fromMicros(r.StageAt),
		Created:  fromMicros(r.Created),
		Ended:    fromMicros(r.Ended),
	}, nil
}
