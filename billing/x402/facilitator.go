package x402

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// Bounds of a facilitator's answers, and how long is waited for one: settling
// includes waiting for a block.
const (
	maxFacilitator     = 1 << 20
	facilitatorTimeout = 60 * time.Second
)

// facilitator is somebody else who verifies and settles.
type facilitator struct {
	base   string
	bearer string
	http   *http.Client
}

func newFacilitator(o Options) (*facilitator, error) {
	u, err := url.Parse(o.Facilitator)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("an x402 facilitator has an http or https URL")
	}
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	client := &http.Client{
		Transport:     transport,
		Timeout:       facilitatorTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &facilitator{strings.TrimSuffix(o.Facilitator, "/"), o.Bearer, client}, nil
}

// submission is what /verify and /settle take.
type submission struct {
	Version      int            `json:"x402Version"`
	Payload      map[string]any `json:"paymentPayload"`
	Requirements requirement    `json:"paymentRequirements"`
}

// presented is an order as a client of version 2 would present it, and what was
// asked for. Both are built again from what was checked, rather than passed on;
// what is signed is the same in both versions.
func (r *Rail) presented(o order) (submission, error) {
	wanted, err := r.requirement(berth.Micros(o.Value.Int64()))
	if err != nil {
		return submission{}, err
	}
	return submission{2, map[string]any{"x402Version": 2, "payload": o.payment.Transfer, "accepted": wanted}, wanted}, nil
}

// do calls the facilitator. An answer with a status of 400 and more is read
// too: facilitators refuse with it.
func (f *facilitator) do(ctx context.Context, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		text = mustJSON(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.base+path, bytes.NewReader(text))
	if err != nil {
		return errors.New("its URL is unusable")
	}
	req.Header.Set("Content-Type", "application/json")
	if f.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+f.bearer)
	}
	res, err := f.http.Do(req)
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) {
			err = with.Err
		}
		return fmt.Errorf("%s: no answer: %w", path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxFacilitator+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: read the answer: %w", path, err)
	case len(answer) > maxFacilitator:
		return fmt.Errorf("%s: the answer has more than %d bytes", path, maxFacilitator)
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s: status %d", path, res.StatusCode)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: status %d with an answer that can't be read: %s", path, res.StatusCode, shape(err))
	}
	return nil
}

// supports checks that the facilitator settles on this network.
func (f *facilitator) supports(ctx context.Context, n network) error {
	var answer struct {
		Kinds []struct {
			Version int    `json:"x402Version"`
			Scheme  string `json:"scheme"`
			Network string `json:"network"`
		} `json:"kinds"`
	}
	if err := f.do(ctx, http.MethodGet, "/supported", nil, &answer); err != nil {
		return err
	}
	for _, k := range answer.Kinds {
		if k.Version == 2 && k.Scheme == scheme && k.Network == n.caip2 {
			return nil
		}
	}
	return fmt.Errorf("it does not settle scheme %s of version 2 on %s", scheme, n.caip2)
}

// verify asks whether a payment would settle.
func (f *facilitator) verify(ctx context.Context, s submission) error {
	var answer struct {
		Valid  *bool  `json:"isValid"`
		Reason string `json:"invalidReason"`
	}
	if err := f.do(ctx, http.MethodPost, "/verify", s, &answer); err != nil {
		return fmt.Errorf("x402 facilitator: %w", err)
	}
	switch {
	case answer.Valid == nil:
		return errors.New("x402 facilitator: /verify: the answer has no isValid")
	case *answer.Valid:
		return nil
	case strings.Contains(answer.Reason, "insufficient"):
		return billing.Refuse(billing.Insufficient, "the facilitator says %.100q", answer.Reason)
	}
	return billing.Refuse(billing.Unverified, "the facilitator says %.100q", answer.Reason)
}

// settlement is /settle's answer.
type settlement struct {
	Success     *bool  `json:"success"`
	Reason      string `json:"errorReason"`
	Transaction string `json:"transaction"`
}

// settle asks the facilitator to settle. Its error says that nobody knows.
func (f *facilitator) settle(ctx context.Context, s submission) (settlement, error) {
	var answer settlement
	if err := f.do(ctx, http.MethodPost, "/settle", s, &answer); err != nil {
		return answer, fmt.Errorf("x402 facilitator: %w", err)
	}
	if answer.Success == nil {
		return answer, errors.New("x402 facilitator: /settle: the answer has no success")
	}
	if _, err := evm.ParseHash(answer.Transaction); *answer.Success && err != nil {
		return answer, errors.New("x402 facilitator: /settle: a success without the transaction's hash")
	}
	return answer, nil
}

func (r *Rail) submitByFacilitator(ctx context.Context, o order, keep billing.Keep) (billing.Outcome, error) {
	// There is no transaction of ours to keep, but that it may have left.
	b, err := keep(ctx, "", 0, func(uint64) (billing.Broadcast, error) { return billing.Broadcast{At: r.clock()}, nil })
	if err != nil {
		return billing.Outcome{}, fmt.Errorf("keep a payment before it leaves: %w", err)
	}
	b.Hash = r.settleOnce(ctx, o)
	return r.await(ctx, o, b), nil
}

// settleOnce is the transaction with which the facilitator says that it
// settled. That it has none is no end: the authorization can be used until it
// has run out, and the facilitator's transaction may be on its way.
func (r *Rail) settleOnce(ctx context.Context, o order) (hash string) {
	s, err := r.presented(o)
	if err != nil {
		r.log.ErrorContext(ctx, "a payment can't be presented to the facilitator", "error", err)
		return ""
	}
	answer, err := r.facilitator.settle(ctx, s)
	switch {
	case err != nil:
		r.log.WarnContext(ctx, "whether the facilitator settled is not known", "error", err)
	case !*answer.Success:
		r.log.WarnContext(ctx, "the facilitator did not settle", "reason", fmt.Sprintf("%.100q", answer.Reason))
	default:
		return answer.Transaction
	}
	return ""
}

// followFacilitator looks at the chain first, and asks the facilitator again
// while the authorization can still be used: asking twice pays once.
func (r *Rail) followFacilitator(ctx context.Context, o order, b billing.Broadcast) (billing.Outcome, error) {
	seen, err := r.look(ctx, o, b.Hash)
	if err != nil || seen.State != billing.Unsettled || r.expired(o.Authorization) || r.clock().Sub(b.At) < stuckAfter {
		return seen, err
	}
	return r.look(ctx, o, r.settleOnce(ctx, o))
}
