package deposit_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/account"
	"berth/api/apitest"
	"berth/api/deposit"
	"berth/billing"
	"berth/billing/railtest"
	"berth/fleet"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/provider"
)

type object = map[string]any

// rig is the contract, served over a whole Berth.
type rig struct {
	*opstest.World
	t     *testing.T
	front *apitest.Front
	nonce int
}

func newRig(t *testing.T) *rig {
	r := &rig{World: opstest.New(t), t: t}
	r.open()
	return r
}

// open puts the front over the world's present system.
func (r *rig) open() { r.front = apitest.Serve(r.t, r.World, deposit.Contract(r.Clock.Now())) }

// wallet is a payer's address, with money.
func (r *rig) wallet(digit string) string {
	w := "0x" + strings.Repeat(digit, 40)
	r.Rail.Fund(w, 100*berth.Dollar)
	return w
}

// send sends a request, with a credential where one is given.
func (r *rig) send(method, path, credential string, body any) (int, object, http.Header) {
	r.t.Helper()
	var headers []string
	if credential != "" {
		headers = []string{"Payment-Signature", credential}
	}
	res := r.front.Send(method, path, "", body, headers...)
	var out object
	r.front.Into(res, &out)
	return res.Status, out, res.Header
}

// credential is what a wallet signs to pay an amount.
func (r *rig) credential(wallet string, amount berth.Micros) string {
	r.nonce++
	return base64.StdEncoding.EncodeToString([]byte(railtest.Credential{
		From: wallet, Nonce: fmt.Sprint(r.nonce), Amount: amount, Expires: r.Clock.Now().Add(time.Minute),
	}.Text()))
}

// price is what a request without a payment is asked for.
func (r *rig) price(method, path string, body any) (amount berth.Micros) {
	r.t.Helper()
	status, out, h := r.send(method, path, "", body)
	if status != http.StatusPaymentRequired || out["x402Version"] == nil || out["accepts"] == nil {
		r.t.Fatalf("%s %s without payment: %d %v", method, path, status, out)
	}
	var binding string
	if _, err := fmt.Sscanf(h.Get("PAYMENT-REQUIRED"), "test %d %s", &amount, &binding); err != nil && amount == 0 {
		r.t.Fatalf("the offer %q: %v", h.Get("PAYMENT-REQUIRED"), err)
	}
	return amount
}

// pay sends a request with a wallet's payment of what it is asked for.
func (r *rig) pay(wallet, method, path string, body any, status int) object {
	r.t.Helper()
	got, out, _ := r.send(method, path, r.credential(wallet, r.price(method, path, body)), body)
	if got != status {
		r.t.Fatalf("%s %s: %d %v, want %d", method, path, got, out, status)
	}
	return out
}

// refused sends a request whose refusal has a status and a code, and settles
// nothing.
func (r *rig) refused(wallet, method, path string, body any, amount berth.Micros, status int, code string) {
	r.t.Helper()
	_, before := r.Rail.Received()
	credential := ""
	if wallet != "" {
		credential = r.credential(wallet, amount)
	}
	got, out, _ := r.send(method, path, credential, body)
	failure, _ := out["error"].(object)
	if got != status || failure["code"] != code || failure["message"] == "" {
		r.t.Errorf("%s %s %v: %d %v, want %d %s", method, path, body, got, out, status, code)
	}
	if _, after := r.Rail.Received(); after != before {
		r.t.Errorf("%s %s: the refused request was paid", method, path)
	}
}

func order() object {
	return object{"name": "web", "type": "small", "image": "ubuntu-24.04", "location": "nyc3"}
}

// create buys a server and waits until it runs.
func (r *rig) create(wallet string) string {
	r.t.Helper()
	out := r.pay(wallet, "POST", "/v1/servers", order(), http.StatusCreated)
	r.Settle()
	return out["server"].(object)["id"].(string)
}

// TestPrices: each route asks for its documented price, whatever it is about.
func TestPrices(t *testing.T) {
	r := newRig(t)
	id := r.create(r.wallet("a"))
	for route, want := range map[string]berth.Micros{
		"POST /v1/servers":                   970_000,
		"GET /v1/servers":                    1000,
		"GET /v1/servers/ID":                 1000,
		"DELETE /v1/servers/ID":              5000,
		"POST /v1/servers/ID/start":          2000,
		"POST /v1/servers/ID/stop":           2000,
		"POST /v1/servers/ID/reboot":         2000,
		"POST /v1/servers/ID/resize":         10_000,
		"POST /v1/servers/ID/rebuild":        5000,
		"POST /v1/ssh-keys":                  1000,
		"GET /v1/ssh-keys":                   1000,
		"DELETE /v1/ssh-keys/key_0000000000": 1000,
	} {
		method, path, _ := strings.Cut(route, " ")
		for _, server := range []string{id, "srv_000000000000000000000000", "nonsense"} {
			if got := r.price(method, strings.Replace(path, "ID", server, 1), nil); got != want {
				t.Errorf("%s of %s: %s, want %s", route, server, got, want)
			}
		}
	}
	if status, out, _ := r.send("GET", "/pricing", "", nil); status != 200 || len(out["routes"].([]any)) != 15 {
		t.Errorf("pricing: %d %v", status, out)
	}
}

// TestStory counts every micro-dollar of a server's life.
func TestStory(t *testing.T) {
	r := newRig(t)
	w := r.wallet("a")
	out := r.pay(w, "POST", "/v1/servers", order(), http.StatusCreated)
	if out["deposit_charged"] != "0.96" || out["deposit_remaining"] != "0.96" {
		t.Errorf("created: %v", out)
	}
	id := out["server"].(object)["id"].(string)
	r.Settle()
	r.Clock.Advance(time.Hour)
	r.pay(w, "POST", "/v1/servers/"+id+"/stop", nil, http.StatusOK)
	r.Settle()
	if got := r.pay(w, "GET", "/v1/servers/"+id, nil, http.StatusOK); got["status"] != "off" {
		t.Errorf("stopped: %v", got)
	}
	before := r.deposit(id)
	rest := (r.paidFor(id) + time.Hour - 1).Truncate(time.Hour)
	delta := r.resize(w, id, "medium")
	if want := billing.Covering(r.rate("medium"), rest) - billing.Covering(r.rate("small"), rest); delta != want.String() {
		t.Errorf("a larger size for %s takes %s more, want %s", rest, delta, want)
	}
	if grown := r.deposit(id); grown <= before {
		t.Errorf("the deposit went from %s to %s", before, grown)
	}
	if delta := r.resize(w, id, "small"); !strings.HasPrefix(delta, "-") {
		t.Errorf("back to the smaller size takes %s", delta)
	}
	left := r.deposit(id)
	if got := r.pay(w, "DELETE", "/v1/servers/"+id, nil, http.StatusOK); got["status"] != "deleted" || got["deposit_refunded"] != left.String() {
		t.Errorf("deleted: %v, and %s was left", got, left)
	}
	r.Settle()
	if got := r.pay(w, "GET", "/v1/servers/"+id, nil, http.StatusOK); got["status"] != "deleted" {
		t.Errorf("in the end: %v", got)
	}
	if got := r.pay(w, "GET", "/v1/servers", nil, http.StatusOK); len(got["servers"].([]any)) != 0 {
		t.Errorf("listed in the end: %v", got)
	}
	r.Clock.Advance(31 * 24 * time.Hour)
	r.refused(w, "GET", "/v1/servers/"+id, nil, 1000, http.StatusNotFound, "not_found")
	r.Verify()
}

// TestRefundOnChain: where wallets may withdraw, the rest of a deposit goes back to
// the wallet itself.
func TestRefundOnChain(t *testing.T) {
	r := newRig(t)
	w := r.wallet("a")
	id := r.create(w)
	r.Clock.Advance(time.Hour)
	owner := r.server(id).Owner
	out := r.pay(w, "DELETE", "/v1/servers/"+id, nil, http.StatusOK)
	if out["deposit_refunded"] != "0.92" {
		t.Errorf("an hour of 0.04 of 0.96 leaves %v", out)
	}
	r.Settle()
	if err := r.System.FollowPayments(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := r.Balance(owner); a.Available() != 0 || a.Held != 0 {
		t.Errorf("the wallet's credit is %s, and %s is held", a.Available(), a.Held)
	}
	if sent := r.sent(); sent != 920_000 {
		t.Errorf("%s went out", sent)
	}
	r.Verify()
}

// sent is what was paid out on the chain.
func (r *rig) sent() (sum berth.Micros) {
	r.t.Helper()
	moves, err := r.Rail.Moves(r.t.Context(), time.Time{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range moves {
		if m.Out {
			sum += m.Amount
		}
	}
	return sum
}

func (r *rig) resize(wallet, id, to string) string {
	r.t.Helper()
	out := r.pay(wallet, "POST", "/v1/servers/"+id+"/resize", object{"type": to}, http.StatusOK)
	r.Settle()
	return out["deposit_delta"].(string)
}

func (r *rig) rate(size string) berth.Micros {
	z, err := r.Catalog.Prices[billing.Deposits].Size(size)
	if err != nil {
		r.t.Fatal(err)
	}
	return z.Hourly
}

// server is the server as the store has it.
func (r *rig) server(id string) (v fleet.Server) {
	r.t.Helper()
	if err := r.Store.Read(r.t.Context(), func(rx ops.Rx) (err error) {
		v, err = rx.Server(r.t.Context(), berth.ID(id))
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *rig) deposit(id string) berth.Micros { return r.server(id).Lease.Left(r.Clock.Now()) }

func (r *rig) paidFor(id string) time.Duration {
	return r.server(id).Lease.PaidUntil.Sub(r.Clock.Now())
}

// TestRefusals: what is refused has the document's status and code, and settles
// nothing.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	w, other := r.wallet("a"), r.wallet("b")
	id := r.create(w)
	at := "/v1/servers/" + id
	for _, route := range []struct {
		method, path string
		body         any
		amount       berth.Micros
	}{
		{"GET", at, nil, 1000},
		{"DELETE", at, nil, 5000},
		{"POST", at + "/start", nil, 2000},
		{"POST", at + "/stop", nil, 2000},
		{"POST", at + "/reboot", nil, 2000},
		{"POST", at + "/resize", object{"type": "medium"}, 10_000},
		{"POST", at + "/rebuild", object{"image": "debian-12"}, 5000},
	} {
		r.refused(other, route.method, route.path, route.body, route.amount, http.StatusForbidden, "forbidden")
		none := strings.Replace(route.path, id, "srv_000000000000000000000000", 1)
		r.refused(w, route.method, none, route.body, route.amount, http.StatusNotFound, "not_found")
	}
	key := r.pay(other, "POST", "/v1/ssh-keys", object{"name": "k", "public_key": opstest.PublicKey()}, http.StatusCreated)["id"].(string)
	r.refused(w, "DELETE", "/v1/ssh-keys/"+key, nil, 1000, http.StatusForbidden, "forbidden")

	r.refused(w, "POST", at+"/start", nil, 2000, http.StatusBadRequest, "invalid_request")
	r.refused(w, "POST", at+"/resize", object{"type": "medium"}, 10_000, http.StatusBadRequest, "invalid_request")
	r.refused("", "POST", at+"/resize", object{"kind": "medium"}, 0, http.StatusBadRequest, "invalid_request")
	r.refused("", "POST", "/v1/servers", object{"name": "web"}, 0, http.StatusBadRequest, "invalid_request")
	r.refused("", "GET", "/v1/servers?limit=0", nil, 0, http.StatusBadRequest, "invalid_request")
	for name, value := range map[string]string{"location": "mars1", "image": "plan-9", "provider": "elsewhere"} {
		bad := order()
		bad[name] = value
		r.refused("", "POST", "/v1/servers", bad, 0, http.StatusBadRequest, "invalid_request")
	}
	for _, kind := range []string{"medium", "large", "huge"} {
		bad := order()
		bad["type"] = kind
		r.refused("", "POST", "/v1/servers", bad, 0, http.StatusForbidden, "type_not_allowed")
	}
	r.refused("", "PUT", "/v1/servers", nil, 0, http.StatusMethodNotAllowed, "invalid_request")
	r.refused("", "GET", "/v2", nil, 0, http.StatusNotFound, "not_found")
	r.refused(w, "POST", "/v1/servers", order(), 1, http.StatusPaymentRequired, "payment_required")
	poor := "0x" + strings.Repeat("c", 40)
	r.refused(poor, "POST", "/v1/servers", order(), 970_000, http.StatusPaymentRequired, "payment_required")
	r.Verify()
}

// TestLimit: a wallet has at most three servers; other wallets and other
// contracts are no matter.
func TestLimit(t *testing.T) {
	r := newRig(t)
	w := r.wallet("a")
	var ids []string
	for range 3 {
		ids = append(ids, r.create(w))
	}
	r.refused(w, "POST", "/v1/servers", order(), 970_000, http.StatusForbidden, "server_limit_exceeded")
	r.create(r.wallet("b"))
	page := r.pay(w, "GET", "/v1/servers?limit=2&page=2", nil, http.StatusOK)
	if meta := page["meta"].(object); meta["total"] != 3.0 || meta["page"] != 2.0 || meta["per_page"] != 2.0 || len(page["servers"].([]any)) != 1 {
		t.Errorf("the second page: %v", page)
	}
	r.pay(w, "DELETE", "/v1/servers/"+ids[0], nil, http.StatusOK)
	if page := r.pay(w, "GET", "/v1/servers", nil, http.StatusOK); page["meta"].(object)["total"] != 2.0 {
		t.Errorf("a server that was deleted is listed still: %v", page)
	}
	r.Settle()
	r.create(w)
	r.Verify()
}

// TestMembers: a server that is shared in a pool is still its wallet's alone here,
// and its pool's natively.
func TestMembers(t *testing.T) {
	r := newRig(t)
	w, friend := r.wallet("a"), r.wallet("b")
	id := r.create(w)
	r.create(friend) // makes its account
	var pool account.Pool
	member := r.Principal()
	r.Write(func(ctx context.Context, tx ops.Tx) error {
		v, err := tx.Server(ctx, berth.ID(id))
		if err != nil {
			return err
		}
		payer, err := berth.ParseWallet(friend)
		if err != nil {
			return err
		}
		who, err := tx.PrincipalByWallet(ctx, payer)
		if err != nil {
			return err
		}
		if pool, err = tx.Pool(ctx, v.Pool); err != nil {
			return err
		}
		for i, p := range []berth.ID{who.ID, member.ID} {
			m := account.Member{
				ID: berth.NewID(berth.PrefixInvitation, r.Clock.Now()), Pool: pool.ID, Principal: p, Role: account.Admin, InvitedBy: v.Owner,
				Invited: r.Clock.Now(), Joined: r.Clock.Now().Add(time.Duration(i)),
			}
			if err := tx.InsertMember(ctx, m); err != nil {
				return err
			}
		}
		return nil
	})
	r.refused(friend, "GET", "/v1/servers/"+id, nil, 1000, http.StatusForbidden, "forbidden")
	r.refused(friend, "POST", "/v1/servers/"+id+"/stop", nil, 2000, http.StatusForbidden, "forbidden")
	r.Must(member.Creds, "get_server", opstest.Args{"server_id": id})
}

// TestProviderErrors: what the cloud can't deliver now is its error.
func TestProviderErrors(t *testing.T) {
	r := newRig(t)
	r.Cloud.Standing = provider.Account{Standing: provider.Good, MachineLimit: 1, Machines: 1}
	if err := r.Fleet.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.refused("", "POST", "/v1/servers", order(), 0, http.StatusBadGateway, "provider_error")
}

// TestFailedCreate: a server that never comes up costs nothing; deposit and fee
// are the wallet's credit.
func TestFailedCreate(t *testing.T) {
	r := newRig(t)
	w := r.wallet("a")
	r.Cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
	out := r.pay(w, "POST", "/v1/servers", order(), http.StatusCreated)
	id := out["server"].(object)["id"].(string)
	r.Settle()
	if got := r.pay(w, "GET", "/v1/servers/"+id, nil, http.StatusOK); got["status"] != "error" {
		t.Errorf("it is %v", got)
	}
	if have := r.Balance(r.server(id).Owner).Available(); have != 970_000 {
		t.Errorf("the wallet's credit is %s", have)
	}
	r.Verify()
}

// TestWithoutRail: where wallets can't pay there is nothing to buy here.
func TestWithoutRail(t *testing.T) {
	r := newRig(t)
	r.Rails = nil
	r.Restart(r.Catalog)
	r.open()
	r.refused("", "POST", "/v1/servers", order(), 0, http.StatusNotImplemented, "not_implemented")
	r.refused("", "GET", "/v1/servers", nil, 0, http.StatusNotImplemented, "not_implemented")
	if status, out, _ := r.send("GET", "/pricing", "", nil); status != http.StatusOK || out["network"] != nil {
		t.Errorf("pricing: %d %v", status, out)
	}
	if status, out, _ := r.send("GET", "", "", nil); status != http.StatusOK || out["status"] != "ok" {
		t.Errorf("health: %d %v", status, out)
	}
}

// TestReplay: the same payment again is the same answer, and another password is
// made for nobody.
func TestReplay(t *testing.T) {
	r := newRig(t)
	w := r.wallet("a")
	id := r.create(w)
	body := object{"image": "debian-12"}
	credential := r.credential(w, 5000)
	_, first, _ := r.send("POST", "/v1/servers/"+id+"/rebuild", credential, body)
	_, paid := r.Rail.Received()
	status, second, _ := r.send("POST", "/v1/servers/"+id+"/rebuild", credential, body)
	if _, again := r.Rail.Received(); again != paid || status != http.StatusOK {
		t.Errorf("the second one: %d, paid %d times", status, again-paid)
	}
	if first["root_password"] == nil || first["root_password"] != second["root_password"] {
		t.Errorf("the passwords are %v and %v", first["root_password"], second["root_password"])
	}
	other := r.credential(w, 5000)
	if status, out, _ := r.send("POST", "/v1/servers/"+id+"/rebuild", other, object{"image": "plan-9"}); status != http.StatusBadRequest {
		t.Errorf("an unknown image: %d %v", status, out)
	}
	r.Settle()
	r.Verify()
}
