package hourly_test

import (
	"context"
	"net/http"
	"testing"

	"berth"
	"berth/api/apitest"
	"berth/api/hourly"
	"berth/fleet"
	"berth/ops"
	"berth/ops/opstest"
)

// object is a JSON object.
type object = map[string]any

// rig is the contract, served over a whole Berth.
type rig struct {
	*opstest.World
	t     *testing.T
	front *apitest.Front
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{World: opstest.New(t), t: t}
	r.Local(0) // the operator acts beside it
	r.front = apitest.Serve(t, r.World, hourly.Contract())
	return r
}

// send sends a request and returns its answer with the body read. Headers are
// names and values in turn.
func (r *rig) send(method, path, token string, body any, headers ...string) (apitest.Answer, object) {
	r.t.Helper()
	res := r.front.Send(method, path, token, body, headers...)
	var out object
	r.front.Into(res, &out)
	return res, out
}

// must sends a request that has to be answered with a status.
func (r *rig) must(status int, method, path, token string, body any) object {
	r.t.Helper()
	res, out := r.send(method, path, token, body)
	if res.Status != status {
		r.t.Fatalf("%s %s: status %d, want %d: %v", method, path, res.Status, status, out)
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
