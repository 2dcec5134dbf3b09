package hourly

import (
	"errors"
	"fmt"
	"net/http"

	"berth"
	"berth/api"
)

// failure is an error as this contract has it: the document only says that a 400
// has details.
type failure struct {
	Error   string     `json:"error"`
	Code    berth.Code `json:"code"`
	Details []detail   `json:"details,omitempty"`
}

// detail is one thing that is wrong with a request.
type detail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// hints are what to do instead, where the document knows better than an operation.
var hints = map[berth.Code]string{
	berth.Unauthenticated:     "log in by POST /auth/login and repeat the request once",
	berth.PaymentRequired:     "register by POST /auth/register or log in by POST /auth/login, then send Authorization: Bearer <accessToken>",
	berth.InsufficientBalance: "top up by POST /v1/topups, or deploy less",
	berth.NotFound:            "GET /servers and GET /backups list yours",
	berth.LimitReached:        "destroy something first, or ask for a raise via /docs/custom-requests",
}

// fields are the document's names of an operation's inputs.
var fields = map[string]string{
	"size": "planId", "region": "regionId", "server_id": "serverId", "": "body",
}

// refuse words an error. Nobody is asked for a payment here: a 402 without an
// access token only says where to get one.
func refuse(_ http.Header, e *berth.Error) (int, any) {
	status, body := api.Status(e.Code), failure{Error: e.Message, Code: e.Code}
	switch {
	case e.Code == berth.PaymentRequired:
		body.Error = "no access token came along"
	case e.Code == berth.InsufficientBalance && e.Payment != nil && e.Payment.Balance != nil:
		body.Error = fmt.Sprintf("this costs %s USD and the balance is %s USD", e.Payment.Amount, e.Payment.Balance)
	case e.Code == berth.OutOfCapacity && e.RetryAfter > 0: // nothing can be had, whatever is asked for
		status = http.StatusServiceUnavailable
	case e.Code == berth.OutOfCapacity:
		status = http.StatusBadRequest
		e = &berth.Error{Code: e.Code, Fields: []berth.Field{{Name: "region", Reason: e.Message + ". " + e.Hint}}}
	}
	if status == http.StatusBadRequest {
		body.Error, body.Details = "validation failed", details(e)
		return status, body
	}
	hint := e.Hint
	if better, ok := hints[e.Code]; ok && e != errLogin {
		hint = better
	}
	if hint != "" {
		body.Error += ": " + hint
	}
	return status, body
}

// details are all that is wrong; the whole body where no field is.
func details(e *berth.Error) []detail {
	wrong := e.Fields
	if len(wrong) == 0 {
		wrong = []berth.Field{{Reason: e.Message}}
	}
	list := make([]detail, len(wrong))
	for i, f := range wrong {
		name, ok := fields[f.Name]
		if !ok {
			name = f.Name
		}
		list[i] = detail{name, f.Reason}
	}
	return list
}

// unsold adds to what is wrong with a body that its plan or its region is none of
// those there are, which it names.
func unsold(x *api.Exchange, err error) error {
	var e *berth.Error
	if err != nil && (!errors.As(err, &e) || e.Code != berth.InvalidInput) {
		return err
	}
	var wrong []berth.Field
	if e != nil {
		wrong = e.Fields
	}
	add := func(name, value string, err error) {
		var unknown *berth.Error
		if value != "" && errors.As(err, &unknown) {
			wrong = append(wrong, berth.Field{Name: name, Reason: fmt.Sprintf("%.64q is not to be had. %s", value, unknown.Hint)})
		}
	}
	plan, region := x.Text("planId"), x.Text("regionId")
	_, noPlan := x.Prices().NewSize(plan)
	add("planId", plan, noPlan)
	_, noRegion := x.Prices().Region(region)
	add("regionId", region, noRegion)
	if len(wrong) == 0 {
		return err
	}
	return &berth.Error{Code: berth.InvalidInput, Message: "validation failed", Fields: wrong}
}
