package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode"

	"berth"
)

// data is what an event says beside its kind and subject.
type data map[string]any

// emit appends an event to its principal's feed.
func (f *Fleet) emit(ctx context.Context, tx Tx, principal berth.ID, kind EventKind, subject berth.ID, d data) error {
	var text json.RawMessage
	if d != nil {
		text = mustJSON(d)
	}
	_, err := tx.AppendEvent(ctx, Event{Principal: principal, Kind: kind, Subject: subject, Data: text, At: f.Now()})
	if err != nil {
		return fmt.Errorf("event %s of %s: %w", kind, subject, err)
	}
	return nil
}

// stageData is how far an action has come.
func stageData(a Action) data {
	d := data{"action": a.Kind, "stage": a.Stage, "percent": a.Percent}
	if a.Server != "" {
		d["server_id"] = a.Server
	}
	if a.Snapshot != "" {
		d["snapshot_id"] = a.Snapshot
	}
	if a.Attempt > 0 {
		d["attempt"] = a.Attempt
	}
	if a.Reason != "" {
		d["reason"] = a.Reason
	}
	return d
}

// clip bounds a reason to 500 printable characters.
func clip(reason string) string { return shorten(reason, 500) }

// memo bounds a reason to what fits a transfer's memo.
func memo(reason string) string { return shorten(reason, 200) }

// shorten keeps the first printable characters of a text.
func shorten(s string, most int) string {
	out := make([]rune, 0, min(len(s), most))
	for _, r := range s {
		if len(out) == most {
			break
		}
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
