package digitalocean

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/digitalocean/godo"

	"berth/provider"
)

const (
	// requestTime bounds one request. Creates are the slowest: seconds.
	requestTime = 60 * time.Second

	// tries bounds how often one reading or deleting request is sent.
	tries = 4

	// firstPause is the pause before the second try; each further one doubles.
	firstPause = 250 * time.Millisecond

	// longestPause is how long a rate limit may ask to wait before the caller is
	// told instead.
	longestPause = 5 * time.Second
)

// request is one call of godo's.
type request func(context.Context) (*godo.Response, error)

// once sends a request that changes something. Without a clear answer the
// error's kind is Ambiguous.
func (p *Provider) once(ctx context.Context, op string, send request) error {
	limited, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	_, err := send(limited)
	return asError(ctx, op, err, true)
}

// read sends a request that changes nothing, some times where that helps.
func (p *Provider) read(ctx context.Context, op string, send request) error {
	return p.repeat(ctx, op, false, send)
}

// remove sends a request that deletes something, some times where that helps:
// deleting twice is deleting. What is gone already is success.
func (p *Provider) remove(ctx context.Context, op string, send request) error {
	err := p.repeat(ctx, op, true, send)
	if provider.KindOf(err) == provider.NotFound {
		return nil
	}
	return err
}

func (p *Provider) repeat(ctx context.Context, op string, changes bool, send request) error {
	pause := firstPause
	for try := 1; ; try++ {
		limited, cancel := context.WithTimeout(ctx, requestTime)
		_, err := send(limited)
		cancel()
		if err = asError(ctx, op, err, changes); err == nil {
			return nil
		}
		wait, again := worthRepeating(err, pause)
		if !again || try == tries || ctx.Err() != nil {
			return err
		}
		p.log.Debug("a request is repeated", "op", op, "try", try, "error", err)
		if sleep(ctx, wait) != nil {
			return err
		}
		pause *= 2
	}
}

// worthRepeating tells whether a request that failed may succeed when it is
// repeated soon, and after what pause.
func worthRepeating(err error, pause time.Duration) (time.Duration, bool) {
	switch provider.KindOf(err) {
	case provider.Unavailable, provider.Ambiguous:
		return pause/2 + rand.N(pause), true // spread, so that clients don't come back all at once
	case provider.RateLimited:
		wait := max(retryAfter(err), pause)
		return wait, wait <= longestPause
	}
	return 0, false
}

// sleep returns after d, or with the context's error when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	pageSize = 200 // the largest that DigitalOcean gives
	maxPages = 100
)

// pages reads all pages of a list.
func pages[T any](ctx context.Context, p *Provider, op string, list func(context.Context, *godo.ListOptions) ([]T, *godo.Response, error)) ([]T, error) {
	var all []T
	for page := 1; page <= maxPages; page++ {
		var items []T
		last := true
		err := p.read(ctx, op, func(ctx context.Context) (*godo.Response, error) {
			got, answer, err := list(ctx, &godo.ListOptions{Page: page, PerPage: pageSize})
			if err == nil {
				items, last = got, answer.Links == nil || answer.Links.IsLastPage()
			}
			return answer, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if last {
			return all, nil
		}
	}
	return nil, &provider.Error{Kind: provider.Unavailable, Op: op, Message: "the list has no end"}
}
