package hourly_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"berth"
	"berth/api"
	"berth/api/hourly"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
	"berth/ops/opstest"
)

// object is a JSON object.
type object = map[string]any

// rig is the contract, served over a whole Berth. Every answer that it gives is
// held against the contract's own OpenAPI document.
type rig struct {
	*opstest.World
	t      *testing.T
	server *httptest.Server
	router routers.Router
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{World: opstest.New(t), t: t}
	r.Local(0) // the operator acts beside it
	r.server = httptest.NewServer(api.New(api.Options{
		System: r.System, Now: r.Clock.Now, Version: "test", Log: slog.New(slog.DiscardHandler),
		Credentials: func(req *http.Request) []ops.Credential {
			token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
			if !ok {
				return nil
			}
			return []ops.Credential{{Scheme: ops.BearerScheme, Token: token}}
		},
		Ready:     func(context.Context) error { return nil },
		Contracts: []api.Contract{hourly.Contract()},
	}))
	t.Cleanup(r.server.Close)
	var err error
	if r.router, err = document(); err != nil {
		t.Fatal(err)
	}
	return r
}

// document is the contract's description.
var document = sync.OnceValues(func() (routers.Router, error) {
	c := hourly.Contract()
	text, err := json.Marshal(api.ContractDocument(&c, billing.DefaultCatalog().Prices[billing.Hourly], "test"))
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// check holds an answer against the description.
func (r *rig) check(req *http.Request, res *http.Response, body []byte) {
	r.t.Helper()
	route, params, err := r.router.FindRoute(req)
	if err != nil {
		r.t.Errorf("%s %s is not described: %v", req.Method, req.URL.Path, err)
		return
	}
	err = openapi3filter.ValidateResponse(r.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		r.t.Errorf("%s %s: %d is not as described: %.1000v", req.Method, req.URL.Path, res.StatusCode, err)
	}
}

// send sends a request and returns its answer with the body read. Headers are
// names and values in turn.
func (r *rig) send(method, path, token string, body any, headers ...string) (*http.Response, object) {
	r.t.Helper()
	var from io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		from = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		from = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, r.server.URL+path, from)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.server.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		r.t.Fatalf("%s %s: %d %s: %v", method, path, res.StatusCode, text, err)
	}
	r.check(req, res, text)
	return res, out
}

// must sends a request that has to be answered with a status.
func (r *rig) must(status int, method, path, token string, body any) object {
	r.t.Helper()
	res, out := r.send(method, path, token, body)
	if res.StatusCode != status {
		r.t.Fatalf("%s %s: status %d, want %d: %v", method, path, res.StatusCode, status, out)
	}
	return out
}

// refused sends a request that has to be refused with a status and a code, and
// returns the answer.
func (r *rig) refused(status int, code berth.Code, method, path, token string, body any) object {
	r.t.Helper()
	out := r.must(status, method, path, token, body)
	if out["code"] != string(code) || out["error"] == "" || out["error"] == nil {
		r.t.Errorf("%s %s: %v, want the code %s", method, path, out, code)
	}
	return out
}

// micro is the document's own example of what to deploy.
var micro = object{"label": "my-bot", "planId": "vc2-1c-1gb", "regionId": "ams"}

// with is a JSON object with another field; nil for without it.
func with(o object, name string, value any) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	if out[name] = value; value == nil {
		delete(out, name)
	}
	return out
}

// deploy deploys a server and waits until it is active.
func (r *rig) deploy(p opstest.Principal) (id string) {
	r.t.Helper()
	out := r.must(http.StatusAccepted, "POST", "/servers", p.Token, micro)
	r.Settle()
	return r.part(out, "server")["id"].(string)
}

// backup backs a server up and waits until that is available.
func (r *rig) backup(p opstest.Principal, server string) (id string) {
	r.t.Helper()
	out := r.must(http.StatusAccepted, "POST", "/backups", p.Token, object{"serverId": server})
	r.Settle()
	return r.part(out, "backup")["id"].(string)
}

// part is an object in an answer.
func (r *rig) part(out object, name string) object {
	r.t.Helper()
	part, ok := out[name].(object)
	if !ok {
		r.t.Fatalf("no %s in %v", name, out)
	}
	return part
}

// list is a list in an answer.
func (r *rig) list(path, name string, p opstest.Principal) (list []object) {
	r.t.Helper()
	for _, v := range r.must(http.StatusOK, "GET", path, p.Token, nil)[name].([]any) {
		list = append(list, v.(object))
	}
	return list
}

// status is a server's.
func (r *rig) status(p opstest.Principal, id string) any {
	r.t.Helper()
	return r.part(r.must(http.StatusOK, "GET", "/servers/"+id, p.Token, nil), "server")["status"]
}

// put changes a server's row.
func (r *rig) put(id string, change func(*fleet.Server)) {
	r.t.Helper()
	r.Write(func(ctx context.Context, tx ops.Tx) error {
		s, err := tx.Server(ctx, berth.ID(id))
		if err != nil {
			return err
		}
		change(&s)
		return tx.UpdateServer(ctx, s)
	})
}

// attend lets the leases and retentions be attended to that want it now.
func (r *rig) attend() {
	r.t.Helper()
	if _, err := r.Fleet.Expire(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.Settle()
}

// credit grants a principal credit.
func (r *rig) credit(p opstest.Principal, amount string) {
	r.t.Helper()
	r.Must(opstest.Operator, "credit_account", opstest.Args{"account": p.Email, "amount": amount})
}

// poor is a principal that can spend so much.
func (r *rig) poor(amount berth.Micros) opstest.Principal {
	r.t.Helper()
	p := r.Principal()
	r.Must(opstest.Operator, "debit_account", opstest.Args{"account": p.Email, "amount": (opstest.Credit - amount).String(), "memo": "for a test"})
	return p
}
