package e2e

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/billing/x402/x402test"
)

// patron is a wallet that buys by the contract of deposits.
type patron struct {
	*customer
	wallet *x402test.Wallet
}

// openDeposits starts a Berth on a fast chain, and two wallets with play money.
func openDeposits(t *testing.T) (h *house, base string, first, second *patron) {
	h = newHouse(t)
	chain := startDevchain(t)
	h.env = append(h.env, "BERTH_DEVCHAIN="+chain)
	p, st := h.serve()
	until(t, "wallets can pay", func() bool { return strings.Contains(p.said.String(), "wallets can pay") })
	base = "http://" + st.Address
	c := newCustomer(t, "deposit", base+"/deposit", "", map[string]string{
		"provider_id": "<provider's id>", "owner_wallet": "<wallet>", "payTo": "<address>", "resource": "<url>", "uptime_s": "<number>",
		"p50_ms": "<number>", "p95_ms": "<number>", "p99_ms": "<number>", "requests": "<counts>", "errors": "<counts>", "payments": "<counts>",
		"deposit_refunded": "<amount>", "deposit_delta": "<amount>", "deposit_remaining": "<amount>",
	})
	first, second = &patron{c, x402test.NewWallet("first")}, &patron{c, x402test.NewWallet("second")}
	for _, w := range []*patron{first, second} {
		web{base: chain}.send(t, http.MethodPost, "/faucet", map[string]string{"address": w.wallet.Address()})
	}
	return h, base, first, second
}

// credential signs what a request without payment is asked for.
func (p *patron) credential(method, path string, body any) string {
	p.t.Helper()
	res := p.web.send(p.t, method, path, body)
	if res.status != http.StatusPaymentRequired {
		p.t.Fatalf("%s %s without payment: %d %s", method, path, res.status, res.body)
	}
	text, err := base64.StdEncoding.DecodeString(res.header.Get("PAYMENT-REQUIRED"))
	if err != nil {
		p.t.Fatal(err)
	}
	var offer berth.Challenge
	decode(p.t, text, &offer.Payload)
	signed, err := p.wallet.Pay(offer, time.Now())
	if err != nil {
		p.t.Fatal(err)
	}
	return x402test.Header(signed)
}

// pay sends a request with its payment and keeps the exchange.
func (p *patron) pay(name, method, path string, body any, status int) map[string]any {
	p.t.Helper()
	return p.step(name, method, path, body, status, "Payment-Signature", p.credential(method, path, body))
}

// look is a paid look at something that is not kept.
func (p *patron) look(path string) map[string]any {
	p.t.Helper()
	return p.do("GET", path, nil, http.StatusOK, "Payment-Signature", p.credential("GET", path, nil))
}

// becomes pays for looks at a server until a field of it is as wanted.
func (p *patron) becomes(id, field, wanted string) {
	p.t.Helper()
	until(p.t, field+" is "+wanted, func() bool { return p.look("/v1/servers/" + id)[field] == wanted })
}

// idle waits until nothing that was paid for is under way: the contract has no way
// to look at an action.
func (p *patron) idle(h *house) {
	p.t.Helper()
	until(p.t, "nothing is under way", func() bool {
		var v struct {
			OpenHolds int `json:"open_holds"`
		}
		h.ask(&v, "ledger", "verify")
		return v.OpenHolds == 0
	})
}

func order(name string, keys ...string) in {
	return in{"name": name, "type": "small", "image": "ubuntu-24.04", "location": "nyc3", "ssh_keys": keys}
}

// TestDeposit walks every endpoint of the contract of deposits, each paid by a
// wallet, and everything that it refuses.
func TestDeposit(t *testing.T) {
	t.Parallel()
	h, _, a, b := openDeposits(t)
	a.step("health", "GET", "/", nil, 200)
	a.step("pricing", "GET", "/pricing", nil, 200)

	key := a.pay("key-create", "POST", "/v1/ssh-keys", in{"name": "laptop", "public_key": publicKey}, 201)["id"].(string)
	a.pay("key-list", "GET", "/v1/ssh-keys", nil, 200)
	a.step("payment-required", "POST", "/v1/servers", order("web", key), 402)
	a.step("payment-required-by-a-probe", "POST", "/v1/servers", nil, 402)
	a.step("payment-required-whatever-the-id", "GET", "/v1/servers/srv_nothing", nil, 402)
	out := a.pay("server-create", "POST", "/v1/servers", order("web", key), 201)
	a.needs(out, "server.public_net.ipv4.ip", "server.public_net.ipv6", "server.owner_wallet", "action.finished_at", "deposit_charged")
	web := out["server"].(in)["id"].(string)
	a.becomes(web, "status", "running")
	a.pay("server-get", "GET", "/v1/servers/"+web, nil, 200)
	a.pay("server-list", "GET", "/v1/servers?limit=10&page=1", nil, 200)
	a.refuses(b, web)

	a.pay("resize-of-what-runs", "POST", "/v1/servers/"+web+"/resize", in{"type": "medium"}, 400)
	a.pay("server-stop", "POST", "/v1/servers/"+web+"/stop", nil, 200)
	a.becomes(web, "status", "off")
	a.pay("server-resize", "POST", "/v1/servers/"+web+"/resize", in{"type": "medium", "upgrade_disk": false}, 200)
	a.becomes(web, "type", "medium")
	a.idle(h)
	a.pay("server-start", "POST", "/v1/servers/"+web+"/start", nil, 200)
	a.idle(h)
	a.becomes(web, "status", "running")
	a.pay("server-reboot", "POST", "/v1/servers/"+web+"/reboot", nil, 200)
	a.idle(h)
	a.pay("server-rebuild", "POST", "/v1/servers/"+web+"/rebuild", in{"image": "debian-12"}, 200)
	a.idle(h)
	a.limits(h)

	a.pay("server-delete", "DELETE", "/v1/servers/"+web, nil, 200)
	a.becomes(web, "status", "deleted")
	a.pay("server-get-deleted", "GET", "/v1/servers/"+web, nil, 200)
	a.pay("key-remove", "DELETE", "/v1/ssh-keys/"+key, nil, 200)
	a.step("metrics", "GET", "/v1/metrics", nil, 200)
	complete(t, "deposit", depositEndpoints, 200, 201, 400, 402, 403, 404)
	h.verify()
	h.run("ledger", "reconcile")
}

// depositEndpoints are the documented ones, under the contract's base.
var depositEndpoints = []string{
	"GET /", "GET /pricing", "GET /v1/metrics", "POST /v1/servers", "GET /v1/servers", "GET /v1/servers/:id", "DELETE /v1/servers/:id",
	"POST /v1/servers/:id/start", "POST /v1/servers/:id/stop", "POST /v1/servers/:id/reboot", "POST /v1/servers/:id/resize",
	"POST /v1/servers/:id/rebuild", "POST /v1/ssh-keys", "GET /v1/ssh-keys", "DELETE /v1/ssh-keys/:id",
}

// refuses sends what the contract refuses, each with a payment for it: none of
// them settles.
func (p *patron) refuses(stranger *patron, server string) {
	p.t.Helper()
	path := "/v1/servers/" + server
	for _, r := range []struct {
		name, method, path string
		body               any
		status             int
		who                *patron
	}{
		{"forbidden-get", "GET", path, nil, 403, stranger},
		{"forbidden-delete", "DELETE", path, nil, 403, stranger},
		{"forbidden-stop", "POST", path + "/stop", nil, 403, stranger},
		{"forbidden-resize", "POST", path + "/resize", in{"type": "medium"}, 403, stranger},
		{"forbidden-rebuild", "POST", path + "/rebuild", in{"image": "debian-12"}, 403, stranger},
		{"not-found", "GET", "/v1/servers/srv_000000000000000000000000", nil, 404, p},
		{"not-found-key", "DELETE", "/v1/ssh-keys/key_000000000000000000000000", nil, 404, p},
		{"start-of-what-runs", "POST", path + "/start", nil, 400, p},
	} {
		res := r.who.web.send(p.t, r.method, r.path, r.body, "Payment-Signature", r.who.credential(r.method, r.path, r.body))
		if res.status != r.status || res.header.Get("PAYMENT-RESPONSE") != "" {
			p.t.Errorf("%s: %d, settled %q: %s", r.name, res.status, res.header.Get("PAYMENT-RESPONSE"), res.body)
			continue
		}
		p.record(p.t, r.method, r.path, r.body, res).compare(p.t, p.contract, r.name)
	}
	large := order("web")
	large["type"] = "medium"
	unknown := order("web")
	unknown["location"] = "mars1"
	// What can't be had is refused before a price is told.
	p.step("type-not-allowed", "POST", "/v1/servers", large, 403)
	p.step("unknown-location", "POST", "/v1/servers", unknown, 400)
	p.step("missing-fields", "POST", "/v1/servers", in{"name": "web"}, 400)
	p.step("bad-page", "GET", "/v1/servers?limit=101", nil, 400)
}

// limits fills the wallet's allowance, and rebuilds a server that has no key.
func (p *patron) limits(h *house) {
	p.t.Helper()
	var more []string
	for _, name := range []string{"two", "three"} {
		out := p.do("POST", "/v1/servers", order(name), 201, "Payment-Signature", p.credential("POST", "/v1/servers", order(name)))
		more = append(more, out["server"].(in)["id"].(string))
	}
	res := p.web.send(p.t, "POST", "/v1/servers", order("four"))
	if res.status == http.StatusPaymentRequired {
		res = p.web.send(p.t, "POST", "/v1/servers", order("four"), "Payment-Signature", p.credential("POST", "/v1/servers", order("four")))
	}
	p.record(p.t, "POST", "/v1/servers", order("four"), res).compare(p.t, p.contract, "server-limit")
	p.becomes(more[0], "status", "running")
	p.becomes(more[1], "status", "running")
	p.pay("server-rebuild-without-key", "POST", "/v1/servers/"+more[0]+"/rebuild", in{"image": "ubuntu-22.04"}, 200)
	p.idle(h)
	for _, id := range more {
		p.do("DELETE", "/v1/servers/"+id, nil, 200, "Payment-Signature", p.credential("DELETE", "/v1/servers/"+id, nil))
		p.becomes(id, "status", "deleted")
	}
}
