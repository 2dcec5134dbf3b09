package rentals

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"berth"
	"berth/api"
)

// refusal is what the envelope of an error holds.
type refusal struct {
	Code   berth.Code    `json:"code"`
	Hint   string        `json:"hint,omitempty"`
	Fields []berth.Field `json:"fields,omitempty"`
}

// hints are what to do in this contract's own terms, where the operations' hints
// are of another's.
var hints = map[berth.Code]string{
	berth.PaymentRequired:     `send an access token, from POST /v1/auth/login, or an API key as "Authorization: Bearer …"`,
	berth.InsufficientBalance: "top up by POST /v1/topups, or rent for fewer days",
	berth.InvalidInput:        "see /docs/rentals for what each endpoint takes",
	berth.NotFound:            "ids are 24 hex digits, and the lists show yours; see /docs/rentals for the endpoints",
}

// endpoints are what operations are called here, where errors name them.
var endpoints = strings.NewReplacer(
	"extend on ", "POST "+base+"/rentals/{id}/extend on ",
	"update_server", "PATCH /v1/servers/srv_<rental id>",
	"create_server", "POST "+base+"/servers/{id}/rent",
	"list_offers", "GET "+base+"/servers/available",
	"list_servers", "GET "+base+"/rentals",
	"get_server", "GET "+base+"/rentals/{id}",
	"list_pools", "GET "+base+"/pools",
	"get_pool", "GET "+base+"/pools/{id}",
	"update_pool", "PATCH "+base+"/pools/{id}",
	"delete_pool", "DELETE "+base+"/pools/{id}",
	"invite_member", "POST "+base+"/pools/{id}/members",
	"update_member", "PATCH "+base+"/pools/{id}/members/{userId}",
	"remove_member", "DELETE "+base+"/pools/{id}/members/{userId}",
	"accept_invitation", "POST "+base+"/pools/{id}/accept",
	"reject_invitation", "POST "+base+"/pools/{id}/reject",
)

// kinds are how ids begin that this contract shows without their kind; pool_id is
// none.
var kinds = regexp.MustCompile(`\b(?:srv|pool|inv|acct|offer)_(id\b)?`)

// worded is a text of an error in this contract's terms.
func worded(text string) string {
	return endpoints.Replace(kinds.ReplaceAllStringFunc(text, func(kind string) string {
		if strings.HasSuffix(kind, "_id") {
			return kind
		}
		return ""
	}))
}

// refuse words an error in the document's envelope.
func refuse(_ http.Header, e *berth.Error) (int, any) {
	status, message := api.Status(e.Code), worded(e.Message)
	data := refusal{Code: e.Code, Hint: worded(e.Hint), Fields: e.Fields}
	if hint, ok := hints[e.Code]; ok {
		data.Hint = hint
	}
	if e.Code == berth.PaymentRequired {
		message = "this needs an account"
	}
	return status, envelope[refusal]{status, message, data}
}

// renamed is an error about an input, by the name that the input has in the
// document.
func renamed(err error, from, to string) error {
	var e *berth.Error
	if !errors.As(err, &e) {
		return err
	}
	out := *e
	out.Fields = nil
	for _, f := range e.Fields {
		if f.Name == from {
			f.Name = to
			out.Message = strings.Replace(out.Message, from+": ", to+": ", 1)
		}
		out.Fields = append(out.Fields, f)
	}
	return &out
}
