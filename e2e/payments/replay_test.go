package payments

import (
	"sync"
	"testing"

	"berth"
	"berth/billing"
	"berth/ops/opstest"
)

func TestReplay(t *testing.T) {
	each(t, func(s *shop, r till) {
		c := r.pay()
		id := s.delivered(s.buy(c))
		if again := s.delivered(s.buy(c)); again != id {
			s.t.Errorf("the same request again made %s beside %s", again, id)
		}
		if r.name != "mpp" || s.front == "http" { // an MCP client keeps its challenge's request as an object
			other := map[string]string{"http": "mcp", "mcp": "http"}[s.front]
			a := s.call(request{op: "create_server", args: order(), wallets: []credential{c}, front: other})
			if again := s.delivered(a); again != id {
				s.t.Errorf("the same request over %s made %s beside %s", other, again, id)
			}
		}
		elsewhere := order()
		elsewhere["region"] = "sfo3"
		p := s.customer()
		for _, tt := range []struct {
			name string
			request
		}{
			{"another body", request{op: "create_server", args: elsewhere}},
			{"another route", request{op: "add_ssh_key", args: opstest.Args{"name": "k", "public_key": opstest.PublicKey()}}},
			{"another owner", request{op: "create_server", args: order(), creds: p.Creds}},
			{"something free", request{op: "get_balance"}},
		} {
			tt.wallets = []credential{c}
			a := s.call(tt.request)
			if a.code != berth.PaymentRejected || a.status != 402 || a.receipt {
				s.t.Errorf("%s: %d %s", tt.name, a.status, a.text)
			}
			if a.problem != string(billing.Spent) && a.problem != string(billing.Mismatched) {
				s.t.Errorf("%s: refused as %q", tt.name, a.problem)
			}
		}
		s.restart()
		if again := s.delivered(s.buy(c)); again != id {
			s.t.Errorf("after a restart the same request made %s beside %s", again, id)
		}
		s.agree(price, 1)
	})
}

// A retry may come when the credential has run out: what it paid for is still
// its payer's.
func TestLateReplay(t *testing.T) {
	each(t, func(s *shop, r till) {
		c := r.pay()
		id := s.delivered(s.buy(c))
		s.pass(20 * minute)
		if again := s.delivered(s.buy(c)); again != id {
			s.t.Errorf("the same request again made %s beside %s", again, id)
		}
		s.agree(price, 1)
	})
}

func TestEightAtOnce(t *testing.T) {
	each(t, func(s *shop, r till) {
		c := r.pay()
		var (
			wait sync.WaitGroup
			mu   sync.Mutex
			ids  = map[string]int{}
		)
		for range 8 {
			wait.Go(func() {
				a := s.buy(c)
				mu.Lock()
				defer mu.Unlock()
				id, _ := a.out["id"].(string)
				ids[id]++
			})
		}
		wait.Wait()
		if len(ids) != 1 || ids[""] > 0 {
			s.t.Errorf("eight copies of a credential brought %v", ids)
		}
		s.agree(price, 1)
	})
}

// A proof of identity is for one request, and so is a sign-in.
func TestProofReplay(t *testing.T) {
	on(t, "mpp", func(s *shop, r till) {
		a := s.call(request{op: "get_balance"})
		c := r.sign(a)
		if a := s.call(request{op: "get_balance", wallets: []credential{c}}); a.code != "" {
			s.t.Errorf("a proof is answered with %s", a.text)
		}
		for _, op := range []string{"get_balance", "list_servers", "mint_api_key"} {
			if a := s.call(request{op: op, wallets: []credential{c}}); a.code != berth.PaymentRejected || a.challenge == nil {
				s.t.Errorf("a used proof for %s is answered with %d %s", op, a.status, a.text)
			}
		}
		c = r.sign(s.call(request{op: "get_balance"}))
		a = s.call(request{op: "get_balance", wallets: []credential{c}, host: "other.example"})
		s.refused(a, string(billing.Mismatched))
		c = r.sign(s.call(request{op: "get_balance"}))
		s.pass(20 * minute)
		s.refused(s.call(request{op: "get_balance", wallets: []credential{c}}), string(billing.Expired))
		s.agree(0, 0)
	})
}

func TestSignInReplay(t *testing.T) {
	on(t, "x402", func(s *shop, _ till) {
		if s.front != "http" { // the header of a sign-in has no place in MCP
			s.front = "http"
		}
		signIn := func() credential {
			a := s.call(request{op: "get_balance"})
			text, err := s.baseWallet().SignIn(*a.offer)
			if err != nil {
				s.t.Fatal(err)
			}
			return credential{"siwx", []byte(text)}
		}
		c := signIn()
		if a := s.call(request{op: "get_balance", wallets: []credential{c}}); a.code != "" {
			s.t.Errorf("a sign-in is answered with %s", a.text)
		}
		s.refused(s.call(request{op: "get_balance", wallets: []credential{c}}), string(billing.Spent))
		a := s.call(request{op: "get_balance", wallets: []credential{signIn()}, host: "other.example"})
		s.refused(a, string(billing.Mismatched))
		c = signIn()
		s.pass(20 * minute)
		s.refused(s.call(request{op: "get_balance", wallets: []credential{c}}), string(billing.Expired))
		s.agree(0, 0)
	})
}
