package instances_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"berth"
	"berth/account"
	"berth/api"
	"berth/api/instances"
	"berth/ops"
	"berth/ops/opstest"
)

// TestErrors words each error that there is in one shape, and asks nobody for a
// wallet's payment.
func TestErrors(t *testing.T) {
	refuse := instances.Contract().Refuse
	for _, code := range berth.Codes {
		e := berth.Errorf(code, "what is wrong").Hinted("what to do")
		e.Payment = &berth.Demand{Challenges: []berth.Challenge{{Rail: "x402", Header: "secret"}}}
		h := http.Header{}
		status, body := refuse(h, e)
		text := fmt.Sprintf("%+v", body)
		if status != api.Status(code) || !strings.Contains(text, fmt.Sprintf("Status:%d Code:%s Title:%s Detail:", status, code, http.StatusText(status))) {
			t.Errorf("%s: %d %s", code, status, text)
		}
		if strings.Contains(text, "secret") || len(h) > 0 {
			t.Errorf("%s: %s %v", code, text, h)
		}
	}
}

// TestInvalid sends bodies that are wrong, with and without a token: all of what
// is wrong is named by where it stands.
func TestInvalid(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	at := func(names ...string) (pointers []string) {
		for _, name := range names {
			pointers = append(pointers, "/data/attributes/"+name)
		}
		return pointers
	}
	resources := func(name string, v any) object { return r.order(object{"resources": with(small, name, v)}) }
	gpus := func(v object) object { return resources("gpus", v) }
	for _, tt := range []struct {
		name  string
		body  object
		where []string
		says  string
	}{
		{"no data", object{"name": "web"}, []string{"/data", "/name"}, ""},
		{"no attributes", object{"data": object{"type": "virtualmachine"}}, []string{"/data"}, "attributes"},
		{"another type", r.order(object{"type": "container"}), at("type"), ""},
		{"a name with spaces", r.order(object{"name": "my instance"}), at("name"), "letters, digits"},
		{"a name that is too long", r.order(object{"name": strings.Repeat("a", 65)}), at("name"), "64"},
		{"no key", r.order(object{"ssh_key": nil}), at("ssh_key"), "either"},
		{"two keys", r.order(object{"ssh_key_id": "key_1", "ssh_key": opstest.PublicKey()}), at("ssh_key"), "either"},
		{"a key that is none", r.order(object{"ssh_key": "hello", "resources": small}), at("ssh_key"), "OpenSSH"},
		{"no resources", r.order(object{"resources": object{}}), at("resources", "resources", "resources"), "vcpu_count"},
		{"no processors", resources("vcpu_count", 0), at("resources/vcpu_count"), ">= 1"},
		{"too much", resources("storage_gb", 5000), at("resources"), "At most 40 vCPUs, 256 GB of memory and 4800 GB of storage"},
		{"half a processor", resources("vcpu_count", 1.5), at("resources/vcpu_count"), "integer"},
		{"unknown resources", resources("tpus", 1), at("resources/tpus"), "unexpected"},
		{"unknown GPUs", gpus(object{"geforcertx4090-pcie-24gb": object{"count": 1}}), at("resources/gpus"), "Those there are: h100-sxm5-80gb, l40s-pcie-48gb"},
		{"two kinds of GPUs", gpus(object{"h100-sxm5-80gb": object{"count": 1}, "l40s-pcie-48gb": object{"count": 1}}), at("resources/gpus"), "one kind"},
		{"no GPUs of a kind", gpus(object{"h100-sxm5-80gb": object{"count": 0}}), at("resources/gpus/h100-sxm5-80gb/count"), ""},
		{"too many GPUs", gpus(object{"h100-sxm5-80gb": object{"count": 16}}), at("resources"), "8 × h100-sxm5-80gb"},
		{"an unknown host node", r.order(object{"hostnode_id": "hn-uuid-12345"}), at("hostnode_id"), r.node("Amsterdam") + " (Amsterdam 3)"},
		{"a region", r.order(object{"hostnode_id": "ams3"}), at("hostnode_id"), "Those there are"},
		{"no command", r.order(object{"cloud_init": object{"runcmd": []string{" "}}, "resources": small}), at("cloud_init"), "runcmd"},
		{"more of cloud-init than is documented", r.order(object{"cloud_init": object{"write_files": []string{}}}), at("cloud_init/write_files"), "unexpected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			details, where := r.refused(http.StatusBadRequest, berth.InvalidInput, "POST", "/instances", p.Token, tt.body)
			if !slices.Equal(where, tt.where) || !strings.Contains(details, tt.says) {
				t.Errorf("wrong is %v, want %v: %s", where, tt.where, details)
			}
		})
	}
	if details, _ := r.refused(http.StatusBadRequest, berth.UnknownImage, "POST", "/instances", p.Token, r.order(object{"image": "ubuntu-24-04-x64"})); !strings.Contains(details, "ubuntu2404, ubuntu2204, debian12, fedora41") {
		t.Errorf("an unknown image: %s", details)
	}
	if keys := r.State().Rows["ssh_keys"]; keys != 0 {
		t.Errorf("%d keys of refused requests are registered", keys)
	}
}

// TestNulls: what is null is left out, also inside.
func TestNulls(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	body := r.order(object{"resources": with(small, "gpus", nil)})
	attributes := body["data"].(object)["attributes"].(object)
	attributes["ssh_key_id"], attributes["port_forwards"], attributes["cloud_init"] = nil, nil, nil
	r.must(http.StatusCreated, "POST", "/instances", p.Token, body)
}

// TestRoles shares an instance with members of a pool, who may do here what their
// role lets them do anywhere.
func TestRoles(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	id := r.create(p)
	owner, admin, user := r.Principal(), r.Principal(), r.Principal()
	pool := r.Pool(owner)
	r.Write(func(ctx context.Context, tx ops.Tx) error {
		v, err := tx.Server(ctx, berth.ID(id))
		if err != nil {
			return err
		}
		v.Pool = pool
		return tx.UpdateServer(ctx, v)
	})
	r.Join(owner, pool, admin, "admin")
	r.Join(owner, pool, user, "user")
	for _, tt := range []struct {
		method, path       string
		user, admin, owner int
	}{
		{"GET", "/instances/" + id, 200, 200, 200},
		{"DELETE", "/instances/" + id, 403, 403, 403},
		{"POST", "/instances/" + id + "/stop", 403, 200, 0},
		{"POST", "/instances/" + id + "/start", 403, 200, 0},
	} {
		for who, wanted := range map[*opstest.Principal]int{&user: tt.user, &admin: tt.admin, &owner: tt.owner} {
			if wanted == 0 {
				continue // the admin has done it
			}
			if got, out, _ := r.send(tt.method, tt.path, who.Token, nil); got != wanted {
				t.Errorf("%s %s by %s: %d, want %d: %v", tt.method, tt.path, who.Email, got, wanted, out)
			}
		}
	}
	if listed := r.must(http.StatusOK, "GET", "/instances", user.Token, nil)["instances"].([]any); len(listed) != 0 {
		t.Errorf("a member's own list has %v", listed)
	}
}

// TestStrangers tries every endpoint without a credential, with a wrong one, and
// with another account's things.
func TestStrangers(t *testing.T) {
	r := newRig(t)
	p, other := r.Principal(), r.Principal()
	id, key := r.create(p), string(r.SSHKey(p))
	order := r.order(object{"resources": small, "ssh_key_id": key})
	before := fmt.Sprint(r.State())
	for _, route := range instances.Contract().Routes {
		if route.Open {
			continue
		}
		path := strings.Replace(route.Path, "{id}", id, 1)
		var body any
		if route.Body != nil {
			body = order
		}
		t.Run(route.Method+" "+route.Path, func(t *testing.T) {
			for _, probe := range []any{body, nil} {
				_, _ = r.refused(http.StatusPaymentRequired, berth.PaymentRequired, route.Method, path, "", probe)
				if _, out, h := r.send(route.Method, path, "", probe); h.Get("WWW-Authenticate")+h.Get("PAYMENT-REQUIRED") != "" || out["accepts"] != nil {
					t.Errorf("a challenge: %v %v", h, out)
				}
			}
			r.refused(http.StatusPaymentRequired, berth.PaymentRequired, route.Method, strings.Replace(route.Path, "{id}", "nothing", 1), "", body)
			r.refused(http.StatusUnauthorized, berth.Unauthenticated, route.Method, path, "wrong", body)
			if path != route.Path || body != nil {
				foreign, _ := r.refused(http.StatusNotFound, berth.NotFound, route.Method, path, other.Token, body)
				unknown := strings.NewReplacer(id, string(opstest.Unknown("srv")), key, string(opstest.Unknown("key")))
				missing := body
				if body != nil {
					missing = r.order(object{"resources": small, "ssh_key_id": string(opstest.Unknown("key"))})
				}
				none, _ := r.refused(http.StatusNotFound, berth.NotFound, route.Method, unknown.Replace(path), other.Token, missing)
				if unknown.Replace(foreign) != none {
					t.Errorf("another's is %q, nobody's %q", foreign, none)
				}
			}
		})
	}
	if listed := r.must(http.StatusOK, "GET", "/instances", other.Token, nil)["instances"].([]any); len(listed) != 0 {
		t.Errorf("another account sees %v", listed)
	}
	if after := fmt.Sprint(r.State()); after != before {
		t.Errorf("something has changed: %v, before %v", after, before)
	}
}

// TestOtherContract hides what was bought natively.
func TestOtherContract(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	native := string(r.Server(p))
	for _, route := range []string{"GET ", "POST /start", "POST /stop", "DELETE "} {
		method, path, _ := strings.Cut(route, " ")
		r.refused(http.StatusNotFound, berth.NotFound, method, "/instances/"+native+path, p.Token, nil)
	}
	if listed := r.must(http.StatusOK, "GET", "/instances", p.Token, nil)["instances"].([]any); len(listed) != 0 {
		t.Errorf("listed: %v", listed)
	}
}

// TestStates refuses what an instance's state forbids.
func TestStates(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	path := "/instances/" + r.create(p)
	r.refused(http.StatusConflict, berth.Conflict, "POST", path+"/start", p.Token, nil)
	r.must(http.StatusOK, "POST", path+"/stop", p.Token, nil)
	r.refused(http.StatusConflict, berth.Conflict, "POST", path+"/stop", p.Token, nil)
	r.must(http.StatusOK, "DELETE", path, p.Token, nil)
	r.refused(http.StatusConflict, berth.Conflict, "DELETE", path, p.Token, nil)
	r.refused(http.StatusConflict, berth.Conflict, "POST", path+"/start", p.Token, nil)
	r.refused(http.StatusMethodNotAllowed, berth.MethodNotAllowed, "PUT", path, p.Token, nil)
	r.refused(http.StatusNotFound, berth.NotFound, "GET", "/volumes", p.Token, nil)
}

// TestMoney refuses what the balance or the limit does not allow, and suspended
// accounts.
func TestMoney(t *testing.T) {
	r := newRig(t)
	p := r.Principal(func(p *account.Principal, _ *account.APIKey) { p.ServerLimit = 1 })
	r.create(p)
	details, _ := r.refused(http.StatusForbidden, berth.LimitReached, "POST", "/instances", p.Token, r.order(object{"resources": small}))
	if !strings.Contains(details, "/docs/custom-requests") {
		t.Errorf("at the limit: %s", details)
	}
	poor := r.Principal()
	r.Must(opstest.Operator, "debit_account", opstest.Args{"account": poor.Email, "amount": (opstest.Credit - 100).String(), "memo": "for a test"})
	if details, _ = r.refused(http.StatusPaymentRequired, berth.InsufficientBalance, "POST", "/instances", poor.Token, r.order(object{"resources": small})); !strings.Contains(details, "the balance is 0.0001 USD") {
		t.Errorf("without money: %s", details)
	}
	gone := r.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true })
	r.refused(http.StatusForbidden, berth.Suspended, "GET", "/instances", gone.Token, nil)
	r.refused(http.StatusForbidden, berth.Suspended, "POST", "/instances", gone.Token, r.order(object{"resources": small}))
}
