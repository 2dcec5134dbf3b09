package instances

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"berth"
	"berth/api"
)

// refusal is an error in the form of JSON:API, as the document's requests are: one
// for each thing that is wrong.
type refusal struct {
	Errors []problem `json:"errors"`
}

type problem struct {
	Status string     `json:"status"`
	Code   berth.Code `json:"code"`
	Title  string     `json:"title"`
	Detail string     `json:"detail"`
	Source *source    `json:"source,omitempty"`
}

// source is the place in the body that is wrong, as RFC 6901 has it.
type source struct {
	Pointer string `json:"pointer"`
}

// hints are what to do instead, where the document knows better than an operation.
var hints = map[berth.Code]string{
	berth.Unauthenticated:     "send an API key or a fresh access token as Authorization: Bearer",
	berth.PaymentRequired:     "send Authorization: Bearer with an API key, or with an access token from POST /v1/auth/register or /v1/auth/login",
	berth.InsufficientBalance: "top up by POST /v1/topups, or ask for less",
	berth.LimitReached:        "delete an instance first, or ask for more by /docs/custom-requests",
}

// naming are the codes whose own hints name what there is instead; those of others
// speak of Berth's operations.
var naming = map[berth.Code]bool{
	berth.UnknownRegion: true, berth.UnknownImage: true, berth.UnknownSize: true, berth.OutOfCapacity: true,
	berth.MethodNotAllowed: true, berth.Suspended: true, berth.BudgetExceeded: true,
}

// within is where the document has what an instance is to be.
const within = "data.attributes."

// fields are the document's names of operations' inputs, among the attributes.
var fields = map[string]string{
	"label": "name", "image": "image", "ssh_key_ids": "ssh_key_id", "public_key": "ssh_key", "offer_id": "resources",
	"port_forwards": "port_forwards", "cloud_init": "cloud_init",
}

// refuse words an error. Nobody is asked for a payment here: a 402 without a
// credential only says where to get one.
func refuse(_ http.Header, e *berth.Error) (int, any) {
	status := api.Status(e.Code)
	detail := e.Message
	switch {
	case e.Code == berth.PaymentRequired:
		detail = "no API key or access token came along"
	case e.Code == berth.InsufficientBalance && e.Payment != nil && e.Payment.Balance != nil:
		detail = fmt.Sprintf("an hour of this costs %s USD and the balance is %s USD", e.Payment.Amount, e.Payment.Balance)
	}
	hint := hints[e.Code]
	if naming[e.Code] {
		hint = e.Hint
	}
	if hint != "" {
		detail += ": " + hint
	}
	one := problem{Status: strconv.Itoa(status), Code: e.Code, Title: http.StatusText(status), Detail: detail}
	out := refusal{[]problem{one}}
	if len(e.Fields) > 0 {
		out.Errors = make([]problem, len(e.Fields))
	}
	for i, f := range e.Fields {
		name, place := pointer(f.Name)
		out.Errors[i] = one
		out.Errors[i].Detail, out.Errors[i].Source = strings.TrimPrefix(name+": "+f.Reason, ": "), &source{place}
	}
	return status, out
}

// pointer is a field's name for a reader, and where it stands in the body.
// Operations name their own inputs, the form those of the body.
func pointer(field string) (name, place string) {
	head, _, _ := strings.Cut(field, "[") // an element of a list
	if own, ok := fields[head]; ok {
		field = within + own + strings.TrimPrefix(field, head)
	}
	if field != "" {
		place = "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(field)
	}
	return strings.TrimPrefix(field, within), place
}
