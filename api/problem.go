package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"berth"
)

// statuses are the HTTP statuses of the codes of errors.
var statuses = map[berth.Code]int{
	berth.InvalidInput:        http.StatusBadRequest,
	berth.Unauthenticated:     http.StatusUnauthorized,
	berth.PaymentRequired:     http.StatusPaymentRequired,
	berth.PaymentRejected:     http.StatusPaymentRequired,
	berth.PaymentPending:      http.StatusAccepted,
	berth.InsufficientBalance: http.StatusPaymentRequired,
	berth.BudgetExceeded:      http.StatusForbidden,
	berth.Forbidden:           http.StatusForbidden,
	berth.Suspended:           http.StatusForbidden,
	berth.NotFound:            http.StatusNotFound,
	berth.MethodNotAllowed:    http.StatusMethodNotAllowed,
	berth.Conflict:            http.StatusConflict,
	berth.IdempotencyConflict: http.StatusConflict,
	berth.QuoteExpired:        http.StatusConflict,
	berth.QuoteMismatch:       http.StatusConflict,
	berth.LimitReached:        http.StatusForbidden,
	berth.UnknownRegion:       http.StatusBadRequest,
	berth.UnknownSize:         http.StatusBadRequest,
	berth.UnknownImage:        http.StatusBadRequest,
	berth.SnapshotTooLarge:    http.StatusBadRequest,
	berth.OutOfCapacity:       http.StatusConflict,
	berth.TooLarge:            http.StatusRequestEntityTooLarge,
	berth.RateLimited:         http.StatusTooManyRequests,
	berth.Unreachable:         http.StatusBadGateway,
	berth.RemoteFailed:        http.StatusUnprocessableEntity,
	berth.Unavailable:         http.StatusServiceUnavailable,
	berth.Internal:            http.StatusInternalServerError,
}

// Status is the HTTP status of a code.
func Status(code berth.Code) int { return statuses[code] }

// Problem is an error as RFC 9457 has it, with Berth's code and hint.
type Problem struct {
	Type       string        `json:"type" example:"urn:berth:error:unknown_region"`
	Title      string        `json:"title" example:"Bad Request"`
	Status     int           `json:"status" example:"400"`
	Detail     string        `json:"detail" doc:"What is wrong."`
	Instance   string        `json:"instance,omitempty"`
	Code       berth.Code    `json:"code" example:"unknown_region"`
	Hint       string        `json:"hint,omitempty" doc:"What to do instead."`
	Errors     []berth.Field `json:"errors,omitempty" doc:"The places in the input that are wrong."`
	RetryAfter int           `json:"retry_after_seconds,omitempty"`
	Payment    *berth.Demand `json:"payment,omitempty" doc:"What there is to pay, and how."`

	// What clients of MPP and of x402's version 1 look for in the body of a 402.
	ChallengeID string `json:"challengeId,omitempty" doc:"MPP: the challenge's id."`
	X402Version int    `json:"x402Version,omitempty" doc:"x402, version 1; version 2 is in the header PAYMENT-REQUIRED."`
	Accepts     any    `json:"accepts,omitempty" doc:"x402, version 1: the ways to pay."`
	Error       string `json:"error,omitempty" doc:"x402, version 1: what is wrong."`
}

// statusGone is what nginx made the custom for a client that went away.
const statusGone = 499

// fail answers with an error: the one place where errors become statuses.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := a.refusal(r, err)
	if e == nil {
		w.WriteHeader(statusGone)
		return
	}
	a.problem(w, r, statuses[e.Code], e)
}

// refusal is an error as it may leave Berth; nil where the client has gone.
func (a *API) refusal(r *http.Request, err error) *berth.Error {
	if r.Context().Err() != nil {
		return nil
	}
	var e *berth.Error
	if !errors.As(err, &e) {
		a.Log.ErrorContext(r.Context(), "request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		e = berth.Errorf(berth.Internal, "the request could not be carried out for a reason of Berth's own")
	}
	return e
}

// bearerRealm tells a client that its token is not good, as RFC 6750 has it.
const bearerRealm = `Bearer realm="berth", error="invalid_token"` //nolint:gosec // says that a credential is bad, and is none

// retryAfter tells when trying again can help.
func retryAfter(h http.Header, e *berth.Error) {
	if s := seconds(e.RetryAfter); s > 0 {
		h.Set("Retry-After", strconv.Itoa(s))
	}
}

// seconds is a time in whole seconds, begun ones included.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

func (a *API) problem(w http.ResponseWriter, r *http.Request, status int, e *berth.Error) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if e.Code == berth.Unauthenticated {
		h.Set("WWW-Authenticate", bearerRealm)
	}
	p := problemOf(status, e)
	p.Instance = r.URL.Path
	if e.Payment != nil {
		demandPayment(h, &p, e.Payment)
	}
	retryAfter(h, e)
	w.WriteHeader(status)
	a.encode(w, p)
}

func problemOf(status int, e *berth.Error) Problem {
	return Problem{
		Type: "urn:berth:error:" + string(e.Code), Title: http.StatusText(status), Status: status, Detail: e.Message,
		Code: e.Code, Hint: e.Hint, Errors: e.Fields, Payment: e.Payment, RetryAfter: seconds(e.RetryAfter),
	}
}

func (a *API) write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	a.encode(w, v)
}

// encode writes JSON. A failure here is the client's going away, or a type that
// can't be written, which is a defect.
func (a *API) encode(w http.ResponseWriter, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		a.Log.Debug("answer not written", slog.Any("error", err))
	}
}
