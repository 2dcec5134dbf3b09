package payments

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
	"berth/billing/x402"
	"berth/billing/x402/x402test"
	"berth/ops"
	"berth/ops/opstest"
	"berth/tools"
)

// price is what a small server costs for an hour.
const price = 35_000 * berth.Micros(1)

const (
	host       = "berth.example"
	payTo      = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
	settlerKey = "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"
	nodeSecret = "f00dfeedf00dfeedf00dfeed" // in the URLs of the nodes
)

var mppSecret = []byte("a secret of challenges: 32 bytes!")

// order is what wallets buy here.
func order() opstest.Args {
	return opstest.Args{"size": "small", "region": "nyc1", "minutes": 60.0}
}

// edit changes the options of the rails.
type edit func(*mpp.Options, *x402.Options)

// deep makes payments wait for blocks upon theirs.
func deep(m *mpp.Options, x *x402.Options) { m.Confirmations, x.Confirmations = 2, 3 }

// shop is a whole Berth with both rails, as seen over one front.
type shop struct {
	*opstest.World
	t     *testing.T
	front string
	tempo *mpptest.Chain
	base  *x402test.Chain
	*witness

	payTo   evm.Address
	payer   string       // whose wallets pay
	granted berth.Micros // credit that nobody paid for
	edits   []edit
	web     *api.API
	mcp     *server.MCPServer
}

// open makes a shop whose wallets have ten dollars on each chain.
func open(t *testing.T, front string, edits ...edit) *shop {
	s := &shop{World: opstest.New(t), t: t, front: front, witness: newWitness(t), edits: edits}
	settler, err := evm.ParseKey(settlerKey)
	if err != nil {
		t.Fatal(err)
	}
	if s.payTo, err = evm.ParseAddress(payTo); err != nil {
		t.Fatal(err)
	}
	s.tempo = mpptest.NewChain(s.Clock.Now)
	s.base = x402test.NewChain(settler.Address(), s.Clock.Now)
	for _, s.payer = range []string{"second", "first"} {
		s.tempo.Fund(s.tempoWallet().Address(), 10*berth.Dollar)
		s.base.Fund(s.baseWallet().Key.Address(), int64(10*berth.Dollar))
	}
	s.hide("the settler's key", settlerKey)
	s.hide("the challenges' secret", string(mppSecret))
	s.hide("the node's secret", nodeSecret)
	s.Local(0)
	s.restart()
	return s
}

// restart puts a new process over the same store and chains.
func (s *shop) restart() {
	s.Rails, s.Log = s.rails(mppSecret), slog.New(s.witness)
	s.Restart(s.Catalog)
	var err error
	if s.mcp, err = tools.NewServer(s.System, "test"); err != nil {
		s.t.Fatal(err)
	}
	s.web = api.New(api.Options{
		System: s.System, Now: s.Clock.Now, Version: "test", Log: s.Log, Ready: func(context.Context) error { return nil },
		Credentials: func(r *http.Request) []ops.Credential {
			creds, _ := r.Context().Value(credsKey{}).([]ops.Credential)
			return creds
		},
	})
}

// rails are both, with a secret of challenges.
func (s *shop) rails(secret []byte) []billing.Rail {
	log := slog.New(s.witness)
	m := mpp.Options{
		RPC: "http://tempo.example/" + nodeSecret, Transport: s.tempo, Chain: mpptest.ChainID, Recipient: mpptest.Recipient,
		Currency: mpptest.Token, Secret: secret, Clock: s.Clock.Now, Log: log,
	}
	x := x402.Options{
		RPC: "http://base.example/" + nodeSecret, Transport: s.base, Network: x402test.Network, PayTo: payTo, Settler: settlerKey,
		Clock: s.Clock.Now, Log: log,
	}
	for _, e := range s.edits {
		e(&m, &x)
	}
	first, err := mpp.New(m)
	if err != nil {
		s.t.Fatal(err)
	}
	second, err := x402.New(x)
	if err != nil {
		s.t.Fatal(err)
	}
	return []billing.Rail{first, second}
}

// follow is what the reconciler does every few seconds.
func (s *shop) follow() {
	s.t.Helper()
	if err := s.System.FollowPayments(context.Background()); err != nil {
		s.t.Error(err)
	}
}

// block makes blocks on both chains.
func (s *shop) block(n int) {
	s.tempo.Mine(n)
	for range n {
		s.base.Mine()
	}
}

// pass lets time pass, on the chains too.
func (s *shop) pass(d time.Duration) {
	s.Clock.Advance(d)
	s.block(1)
}

// owns tells what arrived on a rail's chain.
func (s *shop) owns(rail string) berth.Micros {
	if rail == "mpp" {
		return s.tempo.Balance(mpptest.Recipient)
	}
	return berth.Micros(s.base.Balance(s.payTo))
}

// agree checks that what moved on the chains is what the books have, that so
// many servers exist and no more, and that what was not spent on them is credit.
func (s *shop) agree(moved berth.Micros, servers int) {
	s.t.Helper()
	s.Settle()
	credited := map[string]berth.Micros{}
	var left berth.Micros
	s.Read(func(ctx context.Context, rx ops.Rx) error {
		report, err := billing.Verify(ctx, rx)
		if err != nil {
			return err
		}
		if !report.OK() {
			s.t.Errorf("the ledger: %v", report.Problems)
		}
		for _, a := range report.Accounts {
			for _, rail := range []string{"mpp", "x402"} {
				if a.Account == billing.RailAccount(rail) {
					credited[rail] = a.Debited - a.Credited
				}
			}
			if strings.HasPrefix(string(a.Account), "customer:") {
				left += a.Credited - a.Debited - a.Held
			}
		}
		return nil
	})
	for _, rail := range []string{"mpp", "x402"} {
		if got := s.owns(rail); got != credited[rail] {
			s.t.Errorf("%s USD arrived over %s and %s USD were credited", got, rail, credited[rail])
		}
	}
	if got := s.owns("mpp") + s.owns("x402"); got != moved {
		s.t.Errorf("%s USD moved, want %s", got, moved)
	}
	if n := s.State().Rows["servers"]; n != int64(servers) {
		s.t.Errorf("there are %d servers, want %d", n, servers)
	}
	if want := moved - berth.Micros(servers)*price; left-s.granted != want {
		s.t.Errorf("%s USD are credit, want %s", left-s.granted, want)
	}
	s.Verify()
	out := s.Must(opstest.Operator, "compare_payments", nil).Out.(ops.CompareOut)
	for _, c := range out.Rails {
		if len(c.Problems)+len(c.Unknown) > 0 {
			s.t.Errorf("the chain of %s and the books: %+v", c.Rail, c)
		}
	}
}

// customer is an account with credit and an API key.
func (s *shop) customer() opstest.Principal {
	p := s.Principal()
	s.granted += opstest.Credit
	s.hide("an API key", p.Token)
	return p
}
