package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"berth"
	"berth/billing"
	"berth/ops"
)

// Exchange is one request to a contract's route, and what comes of it.
type Exchange struct {
	Request *http.Request

	api      *API
	contract *Contract
	route    ContractRoute
	header   http.Header
	creds    []ops.Credential
	body     map[string]any // nil where none came
	paid     bool           // money moved
	counted  bool           // against what the contract takes in a minute
}

// serve carries the request out. One without credential and body is asked to
// pay, as clients probe like that.
func (x *Exchange) serve(w http.ResponseWriter) (any, error) {
	x.creds = x.contract.credentials(x.api, x.Request)
	if x.route.Body != nil {
		body, err := readObject(w, x.Request)
		if err != nil {
			return nil, err
		}
		if x.body = body; len(body) == 0 && len(x.creds) == 0 && !x.route.Open {
			return nil, x.probe()
		}
	}
	return x.route.Serve(x)
}

// probe is what somebody is answered who sent neither a credential nor a body.
func (x *Exchange) probe() error {
	p := x.route.Probe
	if p.Op == "" {
		p.Op = "get_me"
	}
	call := x.call(p.Op, p.Args)
	call.Creds = nil
	return x.api.System.Demand(x.Context(), call)
}

// Context ends with the request.
func (x *Exchange) Context() context.Context { return x.Request.Context() }

// Base is the URL that the client reaches this server by.
func (x *Exchange) Base() string { return x.api.base(x.Request) }

// Prices are the contract's price list.
func (x *Exchange) Prices() *billing.PriceList { return x.api.System.Prices(x.contract.Name) }

// Routes are the contract's routes.
func (x *Exchange) Routes() []ContractRoute { return x.contract.Routes }

// Now is the time.
func (x *Exchange) Now() time.Time { return x.api.Now() }

// Terms are a rail's terms as its protocol has them in JSON; nil where no wallet
// can pay over it here.
func (x *Exchange) Terms(rail string) (json.RawMessage, error) {
	terms, err := x.api.System.PaymentTerms()
	for _, c := range terms {
		if c.Rail == rail {
			return jsonOf(c.Payload), nil
		}
	}
	return nil, err
}

// ID is the id of a kind in the path, where the contract shows its digits only.
// What is no id is nobody's.
func (x *Exchange) ID(prefix, name string) string {
	const shown = 40 // of what is too long to be one
	digits := x.Request.PathValue(name)
	return prefix + "_" + strings.ToValidUTF8(digits[:min(len(digits), shown)], "?")
}

// Text is a text in the request's JSON object, which need not be valid; empty
// where there is none.
func (x *Exchange) Text(name string) string {
	text, _ := x.body[name].(string)
	return text
}

// AdmitLogin counts the request as one of the few that an address may make in a
// minute to become, or be told, who it is.
func (x *Exchange) AdmitLogin() error {
	return x.api.System.AdmitLogin(x.Context(), x.api.origin(x.Request).Address)
}

// Body reads the request's JSON object by a form.
func Body[T any](x *Exchange, form ops.Form[T]) (T, error) { return form.Read(x.body) }

// Query reads the request's query by a form. A name given several times is a list,
// and names that the form does not have are passed over, as is the custom.
func Query[T any](x *Exchange, form ops.Form[T]) (T, error) {
	values, err := url.ParseQuery(x.Request.URL.RawQuery)
	if err != nil {
		var none T
		return none, berth.Errorf(berth.InvalidInput, "the query can't be read: %v", err)
	}
	args := make(map[string]any, len(values))
	for name, list := range values {
		if !form.Has(name) {
			continue
		}
		if len(list) == 1 {
			args[name] = list[0]
		} else {
			args[name] = list
		}
	}
	return form.Read(args)
}

// call is a call of an operation through the contract. The client's idempotency
// key goes along.
func (x *Exchange) call(op string, args map[string]any) *ops.Call {
	call := &ops.Call{
		Op: op, Args: args, Creds: x.creds, Front: "http", Contract: x.contract.Name, Counted: x.counted, Origin: x.api.origin(x.Request),
	}
	x.counted = true
	if x.Request.Method != http.MethodGet {
		call.Key = x.Request.Header.Get("Idempotency-Key")
	}
	return call
}

// Run carries an operation out and returns its answer.
func Run[Out any](x *Exchange, op string, args map[string]any) (Out, error) {
	out, _, err := RunFor[Out](x, op, args, 0)
	return out, err
}

// pageSize is how much All asks for at once: as much as operations list.
const pageSize = 200

// All carries an operation that lists things out for page after page, as page tells
// what is on one and where the next begins, until there are most of them or no
// more.
func All[Out, Item any](x *Exchange, op string, args map[string]any, most int, page func(Out) ([]Item, string)) ([]Item, error) {
	list := []Item{}
	for args["limit"] = pageSize; ; {
		out, err := Run[Out](x, op, args)
		if err != nil {
			return nil, err
		}
		items, next := page(out)
		if list = append(list, items...); next == "" || len(list) >= most {
			return list, nil
		}
		args["after"] = next
	}
}

// RunFor is Run that waits a time for the operation's work to be done, and
// returns the receipt as well; nil where no money moved. An answer that came
// before the work has failed is an error, one that came before it is done is
// none.
func RunFor[Out any](x *Exchange, op string, args map[string]any, wait time.Duration) (Out, *ops.Receipt, error) {
	var none Out
	res, err := x.api.System.Dispatch(x.Context(), x.call(op, args))
	if err != nil {
		return none, nil, err
	}
	accompany(x.header, res)
	x.paid = x.paid || res.Receipt != nil
	if err := x.api.System.Wait(x.Context(), res, wait, nil); err != nil {
		return none, res.Receipt, err
	}
	out, ok := res.Out.(Out)
	if !ok {
		return none, nil, errors.New("api: " + op + " answers with another type")
	}
	return out, res.Receipt, nil
}
