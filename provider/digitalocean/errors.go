package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"berth/provider"
)

// asError is what godo returned as the interface wants it: nil, the context's
// error, or a *provider.Error. Where the request changes something, the lack
// of a clear answer is Ambiguous, even when it is the caller who gave up.
func asError(ctx context.Context, op string, err error, changes bool) error {
	if err == nil {
		return nil
	}
	if answer, ok := errors.AsType[*godo.ErrorResponse](err); ok && answer.Response != nil {
		return fromAnswer(op, answer, changes)
	}
	out := &provider.Error{Kind: provider.Unavailable, Op: op, Message: "no answer", Err: err}
	switch {
	case unsent(err):
		out.Message = "the API can't be reached"
	case changes:
		out.Kind, out.Message = provider.Ambiguous, "no clear answer, it may have been carried out"
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return out
}

// unsent tells whether a request certainly did not leave: no connection was
// made.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// fromAnswer is an error that the API answered with.
func fromAnswer(op string, answer *godo.ErrorResponse, changes bool) error {
	out := &provider.Error{Kind: provider.Invalid, Op: op, Message: message(answer), Err: answer}
	switch code := answer.Response.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden && !limited(out.Message):
		out.Kind = provider.Auth
	case code == http.StatusNotFound:
		out.Kind = provider.NotFound
	case code == http.StatusConflict:
		out.Kind = provider.Conflict
	case code == http.StatusTooManyRequests:
		out.Kind, out.RetryAfter = provider.RateLimited, pauseAsked(answer.Response.Header)
	case code == http.StatusNotImplemented:
		out.Kind = provider.Invalid
	case code == http.StatusRequestTimeout, code >= 500:
		out.Kind = provider.Unavailable
		if changes {
			out.Kind = provider.Ambiguous
		}
	default:
		out.Kind = refused(out.Message)
	}
	return out
}

// refused is the kind of a refusal (422, mostly) by its words: DigitalOcean
// has no codes for them.
func refused(message string) provider.Kind {
	text := strings.ToLower(message)
	has := func(words string) bool { return strings.Contains(text, words) }
	switch {
	case has("pending event"):
		return provider.Conflict
	case limited(text):
		return provider.Limit
	case has("image"):
		return provider.Invalid // an image that is not in the region, for one
	case has("not available"), has("unavailable"), has("capacity"), has("sold out"):
		return provider.OutOfCapacity
	case has("try again"):
		return provider.Unavailable
	}
	return provider.Invalid
}

func limited(message string) bool {
	text := strings.ToLower(message)
	return strings.Contains(text, "limit") && (strings.Contains(text, "droplet") || strings.Contains(text, "exceed"))
}

// message is what the API said, bounded.
func message(answer *godo.ErrorResponse) string {
	text := answer.Message
	if text == "" && answer.NestedError != nil {
		text = answer.NestedError.Message
	}
	if text == "" {
		text = http.StatusText(answer.Response.StatusCode)
	}
	const longest = 300
	text = fmt.Sprintf("%.*s", longest, text)
	if answer.RequestID != "" {
		text += " [request " + answer.RequestID + "]"
	}
	return text
}

const (
	usualPause  = 10 * time.Second // where a refusal for too many requests names none
	boundedHour = time.Hour        // the window of DigitalOcean's limits: no wait is longer
)

// pauseAsked is how long a refusal for too many requests asks to wait.
func pauseAsked(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return usualPause
	}
	return min(time.Duration(seconds)*time.Second, boundedHour)
}

func notFound(op, what string) error {
	return &provider.Error{Kind: provider.NotFound, Op: op, Message: "there is no " + what}
}
