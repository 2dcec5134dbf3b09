package ops

import (
	"context"

	"berth"
)

// CheckCredentials tells whether the credentials that name a caller are valid,
// so that a front can refuse a wrong one before anything is called. It passes
// over those of wallets, which only a call can judge, and a suspended account,
// which may still do what anyone may. Its errors are berth.Unauthenticated and
// the store's.
func (s *System) CheckCredentials(ctx context.Context, creds []Credential) error {
	if len(creds) == 0 {
		return nil
	}
	return s.store.Read(ctx, func(rx Rx) error {
		for _, c := range creds {
			if rails[c.Scheme] != "" {
				continue
			}
			err := s.accept(ctx, rx, new(Request), c)
			if err != nil && berth.CodeOf(err) != berth.Suspended {
				return err
			}
		}
		return nil
	})
}
