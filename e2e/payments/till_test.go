package payments

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"berth"
	"berth/billing/evm"
	"berth/billing/mpp/mpptest"
	"berth/billing/x402/x402test"
	"berth/ops"
)

// till is a rail as wallets use it.
type till struct {
	s    *shop
	name string // "mpp", "x402" or "x402 v1"
}

func (s *shop) till(name string) till { return till{s, name} }

func (s *shop) tempoWallet() *mpptest.Wallet {
	w := mpptest.NewWallet(s.payer, s.Clock.Now)
	s.hide("a wallet's key", w.KeyHex())
	return w
}

func (s *shop) baseWallet() *x402test.Wallet { return x402test.NewWallet(s.payer) }

// sign answers a demand by the shop's ordinary wallet.
func (r till) sign(a answer) credential {
	r.s.t.Helper()
	if r.name == "mpp" {
		return r.s.signTempo(r.s.tempoWallet(), a)
	}
	return r.signBase(r.s.baseWallet(), a)
}

// signTempo answers a challenge by a wallet.
func (s *shop) signTempo(w *mpptest.Wallet, a answer) credential {
	s.t.Helper()
	var data []byte
	err := fmt.Errorf("there is no challenge of MPP in %.300s", a.text)
	switch c := a.challenge.(type) {
	case string:
		data, err = w.Pay(c)
	case map[string]any:
		data, err = w.PayNative(c)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return credential{"mpp", data}
}

// signBase answers an offer by a wallet, in the till's version.
func (r till) signBase(w *x402test.Wallet, a answer) credential {
	r.s.t.Helper()
	if a.offer == nil {
		r.s.t.Fatalf("there is no offer of x402 in %.300s", a.text)
	}
	scheme, pay := string(ops.X402Scheme), w.Pay
	offer := *a.offer
	if r.name == "x402 v1" {
		scheme, pay = string(ops.X402V1Scheme), w.PayLegacy
		if offer.Legacy == nil { // MCP shows version 2 only, which a client of version 1 may read as its own
			offer.Legacy = legacyOf(offer)
		}
	}
	data, err := pay(offer, r.s.Clock.Now())
	if err != nil {
		r.s.t.Fatal(err)
	}
	return credential{scheme, data}
}

func legacyOf(offer berth.Challenge) any {
	entry := map[string]any{}
	for name, v := range offer.Payload["accepts"].([]any)[0].(map[string]any) {
		entry[name] = v
	}
	entry["maxAmountRequired"], entry["network"] = entry["amount"], "base-sepolia"
	return map[string]any{"accepts": []any{entry}}
}

// demand asks for an order without paying for it.
func (s *shop) demand() answer {
	s.t.Helper()
	a := s.call(request{op: "create_server", args: order()})
	if a.code != berth.PaymentRequired || a.challenge == nil || a.offer == nil {
		s.t.Fatalf("an order without payment is answered with %d %s", a.status, a.text)
	}
	return a
}

// pay is a credential for the order.
func (r till) pay() credential {
	r.s.t.Helper()
	return r.sign(r.s.demand())
}

// buy sends the order with a credential.
func (s *shop) buy(c ...credential) answer {
	s.t.Helper()
	return s.call(request{op: "create_server", args: order(), wallets: c})
}

// delivered checks that an answer is a server, with its receipt.
func (s *shop) delivered(a answer) string {
	s.t.Helper()
	id, _ := a.out["id"].(string)
	if a.code != "" || id == "" || !a.receipt || a.fresh() {
		s.t.Fatalf("no server and receipt: %d %s", a.status, a.text)
	}
	return id
}

// refused checks that an answer is a clear no, which invites to sign again.
func (s *shop) refused(a answer, problem string) {
	s.t.Helper()
	if a.code != berth.PaymentRejected || a.status != 402 || a.problem != problem || a.challenge == nil || a.receipt {
		s.t.Errorf("not refused as %q with a fresh challenge: %d %q %s", problem, a.status, a.problem, a.text)
	}
}

// waits checks that an answer says the payment is under way, and to sign nothing.
func (s *shop) waits(a answer) {
	s.t.Helper()
	if a.code != berth.PaymentPending || a.status != 202 || a.fresh() || a.retryAfter == 0 {
		s.t.Errorf("a payment under way is answered with %d %s", a.status, a.text)
	}
}

// edited is a credential with a member of its JSON changed; the path's last
// name is the member's.
func (s *shop) edited(c credential, value any, path ...string) credential {
	s.t.Helper()
	var whole map[string]any
	s.decode(c.data, &whole)
	at := whole
	for _, name := range path[:len(path)-1] {
		at = at[name].(map[string]any)
	}
	at[path[len(path)-1]] = value
	data, err := json.Marshal(whole)
	if err != nil {
		s.t.Fatal(err)
	}
	return credential{c.scheme, data}
}

// member is a text in a credential's JSON.
func (s *shop) member(c credential, path ...string) string {
	s.t.Helper()
	var at any
	s.decode(c.data, &at)
	for _, name := range path {
		at = at.(map[string]any)[name]
	}
	return at.(string)
}

// raw is the transaction that an MPP credential carries.
func (s *shop) raw(c credential) []byte {
	s.t.Helper()
	b, err := evm.ParseHex(s.member(c, "payload", "signature"), 64<<10)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// authorization is what an x402 credential signed, and its signature.
func (s *shop) authorization(c credential) (a evm.Authorization, signature []byte) {
	s.t.Helper()
	at := func(name string) string { return s.member(c, "payload", "authorization", name) }
	var errs [6]error
	a.From, errs[0] = evm.ParseAddress(at("from"))
	a.To, errs[1] = evm.ParseAddress(at("to"))
	a.Value, errs[2] = evm.ParseDecimal(at("value"))
	a.ValidAfter, errs[3] = evm.ParseDecimal(at("validAfter"))
	a.ValidBefore, errs[4] = evm.ParseDecimal(at("validBefore"))
	a.Nonce, errs[5] = evm.ParseHash(at("nonce"))
	signature, err := evm.ParseHex(s.member(c, "payload", "signature"), 65)
	for _, e := range append(errs[:], err) {
		if e != nil {
			s.t.Fatal(e)
		}
	}
	return a, signature
}

func base64URL(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }
