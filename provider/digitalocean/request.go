package digitalocean

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
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
)

// request is one call of godo's.
type request func(context.Context) (*godo.Response, error)

// send sends a request when its turn comes, once. Waiting for the turn takes
// none of the request's own time.
func (p *Provider) send(ctx context.Context, op string, changes bool, send request) error {
	keys := op == opFindKey
	if err := p.budget.enter(ctx, op, keys); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	answer, err := send(limited)
	var seen *http.Response
	if answer != nil {
		seen = answer.Response
	}
	p.budget.leave(provider.PriorityOf(ctx), keys, seen)
	return asError(ctx, op, err, changes)
}

// once sends a request that changes something. Without a clear answer the
// error's kind is Ambiguous. Only where the answer was that there are too many
// requests, and so nothing was done, it is sent again.
func (p *Provider) once(ctx context.Context, op string, send request) error {
	for try := 1; ; try++ {
		err := p.send(ctx, op, true, send)
		if !throttled(err) || try == tries {
			return err
		}
		p.log.Warn("too many requests, one is sent again in its turn", "op", op, "try", try, "error", err)
	}
}

// throttled tells whether DigitalOcean refused a request for its limits on
// them. The budget knows then for how long it asked to wait.
func throttled(err error) bool {
	_, answered := errors.AsType[*godo.ErrorResponse](err)
	return answered && provider.KindOf(err) == provider.RateLimited
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
		err := p.send(ctx, op, changes, send)
		if err == nil {
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
	}
	return 0, throttled(err) // the budget makes it wait
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
func pages[T any](ctx context.Context, p *Provider, op string, list lister[T]) ([]T, error) {
	var all []T
	for n := 1; n <= maxPages; n++ {
		items, last, err := page(ctx, p, op, n, list)
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

// lister is one of godo's methods that list something.
type lister[T any] func(context.Context, *godo.ListOptions) ([]T, *godo.Response, error)

// page reads the n-th page of a list, and tells whether it is the last.
func page[T any](ctx context.Context, p *Provider, op string, n int, list lister[T]) (items []T, last bool, err error) {
	last = true
	err = p.read(ctx, op, func(ctx context.Context) (*godo.Response, error) {
		got, answer, err := list(ctx, &godo.ListOptions{Page: n, PerPage: pageSize})
		if err == nil {
			items, last = got, answer.Links == nil || answer.Links.IsLastPage()
		}
		return answer, err
	})
	return items, last, err
}
