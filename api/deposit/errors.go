package deposit

import (
	"net/http"
	"regexp"
	"strings"

	"berth"
	"berth/api"
)

// errNoRail says that wallets can't pay here.
var errNoRail = berth.Errorf(berth.Unavailable, "this Berth takes no payments over x402: its operator has not opened that rail")

// errType says that servers of a type can't be created.
var errType = berth.Errorf(berth.Forbidden, "this server type is not available: only \"small\" can be created")

// failure is an error as the document has it. A 402 also has what x402's first
// version looks for in the body.
type failure struct {
	Error       failureText `json:"error"`
	X402Version int         `json:"x402Version,omitempty"`
	Accepts     any         `json:"accepts,omitempty"`
}

type failureText struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// words are the document's codes, where a code of Berth's has one of its own.
var words = map[berth.Code]struct {
	status int
	code   string
}{
	berth.PaymentRequired:     {http.StatusPaymentRequired, "payment_required"},
	berth.PaymentRejected:     {http.StatusPaymentRequired, "payment_required"},
	berth.PaymentPending:      {http.StatusAccepted, "payment_pending"},
	berth.InsufficientBalance: {http.StatusPaymentRequired, "insufficient_deposit"},
	berth.BudgetExceeded:      {http.StatusForbidden, "forbidden"},
	berth.Forbidden:           {http.StatusForbidden, "forbidden"},
	berth.Suspended:           {http.StatusForbidden, "forbidden"},
	berth.NotFound:            {http.StatusNotFound, "not_found"},
	berth.LimitReached:        {http.StatusForbidden, "server_limit_exceeded"},
	berth.UnknownSize:         {http.StatusBadRequest, "invalid_request"},
	berth.Conflict:            {http.StatusBadRequest, "invalid_request"},
	berth.IdempotencyConflict: {http.StatusBadRequest, "invalid_request"},
	berth.OutOfCapacity:       {http.StatusBadGateway, "provider_error"},
	berth.Unavailable:         {http.StatusBadGateway, "provider_error"},
	berth.RateLimited:         {http.StatusTooManyRequests, "rate_limited"},
	berth.Internal:            {http.StatusInternalServerError, "internal"},
}

// terms are the document's words for what Berth's own messages name.
var terms = strings.NewReplacer("label: ", "name: ", "no region ", "no location ", "no size ", "no type ", "ssh_key_ids", "ssh_keys", "is destroyed", "is deleted")

// named are the codes whose hints name what there is instead; the hints of others
// speak of Berth's own operations.
var named = map[berth.Code]bool{
	berth.UnknownRegion: true, berth.UnknownImage: true, berth.UnknownSize: true, berth.OutOfCapacity: true, berth.LimitReached: true,
}

// refuse words an error. Another wallet's object is forbidden here, as the
// document has it; the other contracts hide that it is there.
func refuse(h http.Header, e *berth.Error) (int, any) {
	status, body := api.Status(e.Code), failure{Error: failureText{"invalid_request", terms.Replace(e.Message)}}
	if w, ok := words[e.Code]; ok {
		status, body.Error.Code = w.status, w.code
	}
	switch {
	case e == errNoRail:
		status, body.Error.Code = http.StatusNotImplemented, "not_implemented"
	case e == errType:
		body.Error.Code = "type_not_allowed"
	case e.Code == berth.NotFound && e.Foreign:
		status, body.Error = http.StatusForbidden, failureText{"forbidden", "it belongs to a different wallet"}
	}
	if named[e.Code] && e.Hint != "" {
		body.Error.Message += ": " + e.Hint
	}
	if e.Payment == nil {
		return status, body
	}
	if e.Code == berth.PaymentRequired {
		body.Error.Message = "this costs " + e.Payment.Amount.String() + " USDC"
	}
	body.Error.Message += ": sign the payment that PAYMENT-REQUIRED asks for, and repeat the request with it as PAYMENT-SIGNATURE"
	for _, c := range e.Payment.Challenges {
		if c.Rail != "x402" {
			continue
		}
		h.Set("PAYMENT-REQUIRED", c.Header)
		if legacy, ok := c.Legacy.(map[string]any); ok {
			body.X402Version, body.Accepts = 1, legacy["accepts"]
		}
	}
	return status, body
}

var pathName = regexp.MustCompile(`\{(\w+)\}`)

// documented is a route's path as the document writes it.
func documented(path string) string {
	if path == "/{$}" || path == "" {
		return "/"
	}
	return pathName.ReplaceAllString(path, ":$1")
}
