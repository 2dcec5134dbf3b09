package ops

import (
	"context"
	"slices"
	"time"

	"berth"
	"berth/billing"
)

// CompareIn is the input of compare_payments.
type CompareIn struct {
	Days int `json:"days,omitempty" minimum:"1" maximum:"90" default:"7" doc:"How far back to look."`
}

// CompareOut is what compare_payments answers.
type CompareOut struct {
	OK    bool                 `json:"ok" doc:"Whether the chains have every payment that the books have."`
	Since time.Time            `json:"since"`
	Rails []billing.Comparison `json:"rails"`
}

// comparePayments compares the books with the chains of all rails.
func (s *System) comparePayments(ctx context.Context, _ *Request, in CompareIn) (CompareOut, error) {
	out := CompareOut{OK: true, Since: stamp(s.now().Add(-time.Duration(in.Days) * 24 * time.Hour)), Rails: []billing.Comparison{}}
	payments, err := s.paymentsSince(ctx, out.Since)
	if err != nil {
		return out, err
	}
	open := s.cashier.Rails()
	for _, p := range payments {
		if p.State == billing.Settled && !slices.Contains(open, p.Claim.Rail) {
			open = append(open, p.Claim.Rail)
			out.OK = false
			out.Rails = append(out.Rails, billing.Comparison{
				Rail: p.Claim.Rail, Unknown: []string{},
				Problems: []string{"the books have payments over " + p.Claim.Rail + ", and the rail is closed: nothing was compared"},
			})
		}
	}
	for _, rail := range s.cashier.Rails() {
		c, err := s.cashier.Compare(ctx, rail, payments, out.Since)
		if err != nil {
			return out, berth.Errorf(berth.Unavailable, "the chain of %s can't be read now", rail).
				Hinted("try again, or look less far back").Because(err)
		}
		out.OK = out.OK && len(c.Problems) == 0
		out.Rails = append(out.Rails, c)
	}
	return out, nil
}

// paymentsSince reads page by page, each in a transaction of its own: a long
// read would keep the database's log from being emptied.
func (s *System) paymentsSince(ctx context.Context, since time.Time) (list []billing.Payment, err error) {
	const page = 1000
	after := berth.NewID(berth.PrefixPayment, since) // ids are in the order of time
	for {
		var some []billing.Payment
		err := s.store.Read(ctx, func(rx Rx) (err error) {
			some, err = rx.Payments(ctx, after, page)
			return err
		})
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
		if len(some) < page {
			return list, nil
		}
		after = some[page-1].ID
	}
}
