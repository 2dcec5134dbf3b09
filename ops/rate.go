package ops

import (
	"context"
	"time"

	"berth"
)

// Admit counts a try of something, such as a login from one address, and refuses
// it with berth.RateLimited where there were perMinute in this minute already.
// The counts are in the store, so all processes share them. What is refused is
// not counted: a flood costs reads only. The name has at most 200 characters.
func (s *System) Admit(ctx context.Context, name string, perMinute int) error {
	now := s.now()
	minute := now.Truncate(time.Minute)
	var n int
	err := s.store.Read(ctx, func(rx Rx) (err error) {
		n, err = rx.Counter(ctx, name, minute)
		return err
	})
	if err == nil && n < perMinute {
		err = s.store.Write(ctx, func(tx Tx) (err error) {
			n, err = tx.CountUp(ctx, name, minute)
			return err
		})
		n-- // this one
	}
	if err != nil || n < perMinute {
		return err
	}
	e := berth.Errorf(berth.RateLimited, "more than %d tries in this minute", perMinute)
	e.RetryAfter = minute.Add(time.Minute).Sub(now)
	return e.Hinted("wait until the next minute, and longer each time that you are refused again")
}

// loginsPerMinute is how often one address may register, log in, or ask who it
// is where that counts as either. There is no limit per account: whoever knows an
// e-mail address could lock its owner out.
const loginsPerMinute = 10

// AdmitLogin counts a try of an address to become or to be somebody, and refuses
// it with berth.RateLimited beyond the limit, which all such tries share.
func (s *System) AdmitLogin(ctx context.Context, address string) error {
	return s.Admit(ctx, "auth "+address, loginsPerMinute)
}
