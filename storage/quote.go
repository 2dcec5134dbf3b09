package storage

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/billing"
	"berth/storage/db"
)

// Quote implements billing.Rx.
func (rx *Rx) Quote(ctx context.Context, id berth.ID) (billing.Quote, error) {
	row, err := rx.q.Quote(ctx, string(id))
	return one(row, err, toQuote, "no such quote: %s", id)
}

// InsertQuote implements billing.Tx.
func (tx *Tx) InsertQuote(ctx context.Context, q billing.Quote) error {
	lines, err := toText(q.Price.Lines)
	if err != nil {
		return fmt.Errorf("storage: lines of quote %s: %w", q.ID, err)
	}
	err = tx.q.InsertQuote(ctx, db.InsertQuoteParams{
		ID:        string(q.ID),
		Principal: string(q.Principal),
		Operation: q.Operation,
		Terms:     string(q.Terms),
		Lines:     lines,
		Total:     int64(q.Price.Total),
		Created:   toMicros(q.Created),
		Expires:   toMicros(q.Expires),
		Deposit:   int64(q.Price.Deposit),
	})
	return conflict(err, "there is a quote %s already", q.ID)
}

// DeleteQuotes implements ops.Tx.
func (tx *Tx) DeleteQuotes(ctx context.Context, before time.Time) (int64, error) {
	return tx.q.DeleteQuotes(ctx, toMicros(before))
}

func toQuote(r db.Quote) (billing.Quote, error) {
	lines, err := fromText[billing.Line](r.Lines)
	if err != nil {
		return billing.Quote{}, fmt.Errorf("storage: lines of quote %s: %w", r.ID, err)
	}
	return billing.Quote{
		ID:        berth.ID(r.ID),
		Principal: berth.ID(r.Principal),
		Operation: r.Operation,
		Terms:     fromJSON(r.Terms),
		Price:     billing.Price{Lines: lines, Total: berth.Micros(r.Total), Deposit: berth.Micros(r.Deposit)},
		Created:   fromMicros(r.Created),
		Expires:   fromMicros(r.Expires),
	}, nil
}
