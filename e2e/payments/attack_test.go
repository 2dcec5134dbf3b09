package payments

import (
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/tempoxyz/tempo-go/pkg/transaction"

	"berth"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/mpp/mpptest"
	"berth/billing/x402/x402test"
)

// attack is a credential that must not buy anything.
type attack struct {
	name    string
	forge   func(s *shop, r till) credential
	code    berth.Code // payment_rejected where empty
	problem billing.Problem
}

// attacks carries attacks out one after the other, over each front. None may
// bring anything, or stand in the way of an honest payment.
func attacks(t *testing.T, rail string, list []attack) {
	t.Helper()
	on(t, rail, func(s *shop, r till) {
		for _, a := range list {
			s.attack(r, a)
			if s.t.Failed() {
				s.t.Fatalf("this was the attack %q", a.name)
			}
		}
		s.delivered(s.buy(r.pay()))
		s.agree(price, 1)
	})
}

func (s *shop) attack(r till, a attack) {
	s.t.Helper()
	got := s.buy(a.forge(s, r))
	if a.code == "" {
		s.refused(got, string(a.problem))
	} else if got.code != a.code || got.fresh() || got.receipt {
		s.t.Errorf("not refused as %s: %d %s", a.code, got.status, got.text)
	}
	s.agree(0, 0)
}

// changed is a transaction that its payer's wallet makes otherwise.
func changed(edit func(*transaction.Tx)) func(*shop, till) credential {
	return func(s *shop, _ till) credential {
		w := s.tempoWallet()
		w.Edit = edit
		return s.signTempo(w, s.demand())
	}
}

// word changes a byte of the call's data.
func word(at int) func(*shop, till) credential {
	return changed(func(tx *transaction.Tx) { tx.Calls[0].Data[at] ^= 1 })
}

func TestAttacksOnMPP(t *testing.T) {
	attacks(t, "mpp", []attack{
		{"wrong amount", word(67), "", billing.Mismatched},
		{"wrong recipient", word(35), "", billing.Mismatched},
		{"wrong asset", changed(func(tx *transaction.Tx) {
			other := common.HexToAddress("0x20c0000000000000000000000000000000000001")
			tx.Calls[0].To = &other
		}), "", billing.Mismatched},
		{"wrong chain", changed(func(tx *transaction.Tx) { tx.ChainID = big.NewInt(4217) }), "", billing.Mismatched},
		{"memo of another challenge", word(99), "", billing.Mismatched},
		{"memo of another realm", word(73), "", billing.Mismatched},
		{"not yet valid", changed(func(tx *transaction.Tx) { tx.ValidAfter = tx.ValidBefore - 1 + 100 }), "", billing.Expired},
		{"without an end", changed(func(tx *transaction.Tx) { tx.ValidBefore = 0 }), berth.InvalidInput, ""},
		{"wrong realm", func(s *shop, r till) credential {
			return r.sign(s.call(request{op: "create_server", args: order(), host: "other.example"}))
		}, "", billing.Mismatched},
		{"challenge of another secret", func(s *shop, r till) credential {
			offer, err := s.rails([]byte(strings.Repeat("x", 32)))[0].Offer(billing.Ask{
				Operation: "create_server", Amount: price, Realm: host, Binding: binding(s, s.demand()), At: s.Clock.Now(),
			})
			if err != nil {
				s.t.Fatal(err)
			}
			return r.sign(answer{challenge: offer.Header})
		}, "", billing.Mismatched},
		{"challenge of a probe", func(s *shop, r till) credential {
			return r.sign(s.call(request{op: "create_server"}))
		}, "", billing.Mismatched},
		{"expired challenge", func(s *shop, r till) credential {
			c := r.pay()
			s.pass(20 * minute)
			return c
		}, "", billing.Expired},
		{"source that did not sign", func(s *shop, r till) credential {
			return s.edited(r.pay(), "did:pkh:eip155:42431:0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "source")
		}, "", billing.Unverified},
		{"high s", func(s *shop, r till) credential {
			c := r.pay()
			return s.edited(c, highS(s.member(c, "payload", "signature")), "payload", "signature")
		}, "", billing.Unverified},
		{"truncated transaction", func(s *shop, r till) credential {
			c := r.pay()
			text := s.member(c, "payload", "signature")
			return s.edited(c, text[:len(text)/2], "payload", "signature")
		}, "", billing.Malformed},
		{"truncated", half, "", billing.Malformed},
		{"oversized", oversized, berth.TooLarge, ""},
		{"payer without funds", func(s *shop, _ till) credential {
			return s.signTempo(mpptest.NewWallet("beggar", s.Clock.Now), s.demand())
		}, "", billing.Insufficient},
		{"proof in place of a payment", func(s *shop, r till) credential {
			return r.sign(s.call(request{op: "get_balance"}))
		}, "", billing.Mismatched},
	})
}

// binding is what a challenge is bound to.
func binding(s *shop, a answer) string {
	s.t.Helper()
	rest, ok := a.challenge.(map[string]any)
	if !ok {
		c, err := mpptest.ParseChallenge(a.challenge.(string))
		if err != nil {
			s.t.Fatal(err)
		}
		rest = c
	}
	text, err := base64URL(rest["opaque"].(string))
	if err != nil {
		s.t.Fatal(err)
	}
	var opaque struct{ Binding string }
	s.decode(text, &opaque)
	return opaque.Binding
}

// tampered is an authorization that its payer's wallet makes otherwise.
func tampered(tamper func(*shop, *evm.Authorization)) func(*shop, till) credential {
	return func(s *shop, r till) credential {
		w := s.baseWallet()
		w.Tamper = func(a *evm.Authorization) { tamper(s, a) }
		c := r.signBase(w, s.demand())
		if r.name == "x402" { // so that only the authorization differs
			c = s.edited(c, s.member(c, "payload", "authorization", "value"), "accepted", "amount")
		}
		return c
	}
}

// offered is a credential for an offer that was changed on its way; what it says
// to have accepted is what Berth offered.
func offered(name string, change func(entry map[string]any)) func(*shop, till) credential {
	return func(s *shop, r till) credential {
		a := s.demand()
		text, err := json.Marshal(a.offer.Payload)
		if err != nil {
			s.t.Fatal(err)
		}
		var changed map[string]any
		s.decode(text, &changed)
		entry := changed["accepts"].([]any)[0].(map[string]any)
		change(entry)
		var honest map[string]any
		s.decode(text, &honest)
		lie := answer{offer: &berth.Challenge{Payload: changed}}
		if r.name == "x402 v1" {
			lie.offer.Legacy = legacyOf(*lie.offer)
			return r.signBase(s.baseWallet(), lie)
		}
		c := r.signBase(s.baseWallet(), lie)
		if name == "accepted" {
			return c
		}
		return s.edited(c, honest["accepts"].([]any)[0], "accepted")
	}
}

func TestAttacksOnX402(t *testing.T) {
	extra := func(name, value string) func(map[string]any) {
		return func(e map[string]any) { e["extra"].(map[string]any)[name] = value }
	}
	member := func(name, value string) func(map[string]any) { return func(e map[string]any) { e[name] = value } }
	other := "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	both := []attack{
		{"less", tampered(func(_ *shop, a *evm.Authorization) { a.Value.Sub(a.Value, big.NewInt(1)) }), "", billing.Mismatched},
		{"more", tampered(func(_ *shop, a *evm.Authorization) { a.Value.Add(a.Value, big.NewInt(1)) }), "", billing.Mismatched},
		{"wrong recipient", tampered(func(_ *shop, a *evm.Authorization) { a.To[3] ^= 1 }), "", billing.Mismatched},
		{"expired", tampered(func(s *shop, a *evm.Authorization) { a.ValidBefore = big.NewInt(s.Clock.Now().Unix()) }), "", billing.Expired},
		{"not yet valid", tampered(func(s *shop, a *evm.Authorization) { a.ValidAfter = big.NewInt(s.Clock.Now().Unix() + 30) }), "", billing.Expired},
		{"without an end", tampered(func(_ *shop, a *evm.Authorization) {
			a.ValidBefore = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
		}), "", billing.Mismatched},
		{"wrong domain", offered("", extra("name", "USD Coin")), "", billing.Unverified},
		{"wrong asset", offered("", member("asset", other)), "", billing.Unverified},
		{"high s", func(s *shop, r till) credential {
			c := r.pay()
			return s.edited(c, highS(s.member(c, "payload", "signature")), "payload", "signature")
		}, "", billing.Unverified},
		{"truncated signature", func(s *shop, r till) credential {
			c := r.pay()
			return s.edited(c, s.member(c, "payload", "signature")[:66], "payload", "signature")
		}, "", billing.Unverified},
		{"signed by another", func(s *shop, r till) credential {
			c := r.pay()
			return s.edited(c, x402test.NewWallet("beggar").Address(), "payload", "authorization", "from")
		}, "", billing.Unverified},
		{"truncated", half, berth.InvalidInput, ""},
		{"oversized", oversized, berth.TooLarge, ""},
		{"payer without funds", func(s *shop, r till) credential {
			return r.signBase(x402test.NewWallet("beggar"), s.demand())
		}, "", billing.Insufficient},
	}
	attacks(t, "x402 v1", append([]attack{
		{"wrong chain", func(s *shop, r till) credential { return s.edited(r.pay(), "base", "network") }, berth.InvalidInput, ""},
		{"wrong version", func(s *shop, r till) credential { return s.edited(r.pay(), 3.0, "x402Version") }, berth.InvalidInput, ""},
	}, both...))
	attacks(t, "x402", append([]attack{
		{"wrong chain", offered("", member("network", "eip155:8453")), "", billing.Unverified},
		{"accepted another chain", offered("accepted", member("network", "eip155:8453")), berth.InvalidInput, ""},
		{"accepted another asset", offered("accepted", member("asset", other)), "", billing.Mismatched},
		{"accepted another domain", offered("accepted", extra("name", "USD Coin")), "", billing.Mismatched},
		{"accepted another recipient", offered("accepted", member("payTo", other)), "", billing.Mismatched},
	}, both...))
}

// half is the first half of a credential.
func half(_ *shop, r till) credential {
	c := r.pay()
	return credential{c.scheme, c.data[:len(c.data)/2]}
}

// oversized is a credential with far more beside it than any needs.
func oversized(s *shop, r till) credential {
	return s.edited(r.pay(), strings.Repeat("x", 17<<10), "more")
}

// highS is the other signature that the same key could have made, which chains
// refuse: of the last 65 bytes, s becomes the curve's order minus s.
func highS(text string) string {
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		panic(err)
	}
	end := b[len(b)-65:]
	other := new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(end[32:64]))
	other.FillBytes(end[32:64])
	end[64] ^= 27 ^ 28
	return "0x" + hex.EncodeToString(b)
}

// TestTwoCredentials: who sends two pays with neither.
func TestTwoCredentials(t *testing.T) {
	each(t, func(s *shop, r till) {
		second := s.till("mpp")
		if r.name == "mpp" && s.front == "mcp" { // whose _meta has room for one of each rail
			second = s.till("x402")
		}
		a := s.buy(r.pay(), second.pay())
		if a.code != berth.InvalidInput || a.status != 400 || a.fresh() {
			s.t.Errorf("two credentials are answered with %d %s", a.status, a.text)
		}
		s.agree(0, 0)
	})
}
