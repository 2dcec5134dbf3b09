package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"go.uber.org/goleak"

	"berth"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/x402"
	"berth/billing/x402/x402test"
)

func TestMain(m *testing.M) {
	// What go-ethereum starts and leaves: its cache of senders for ever,
	// and its in-memory indexes for up to a second after they are closed.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

//go:embed token/PlayWallet.hex
var walletCode string

// contractWallet is a PlayWallet in the genesis block, of the wallet "payer".
var contractWallet = evm.Address{0xc0, 0xde}

// rig is a chain, a rail whose settler is account 0, and a payer.
type rig struct {
	t     *testing.T
	chain *chain
	rail  *x402.Rail
	payer *x402test.Wallet
	payTo evm.Address

	mu    sync.Mutex
	taken map[uint64]bool
}

// into sends requests to a handler, without a network in between.
type into struct{ http.Handler }

func (h into) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func newRig(t *testing.T, data string) *rig {
	t.Helper()
	payer := x402test.NewWallet("payer")
	owner := payer.Key.Address()
	extra := types.GenesisAlloc{contractWallet: {
		Balance: new(big.Int), Nonce: 1, Code: code(walletCode), Storage: map[common.Hash]common.Hash{slot(0): common.BytesToHash(owner[:])},
	}}
	c, err := newChain(settings{data: data, blockTime: time.Second, extra: extra})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, chain: c, payer: payer, payTo: evm.Address{0xbe, 0x27}, taken: map[uint64]bool{}}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	r.rail, err = x402.New(x402.Options{
		RPC: "http://devchain/", Network: "eip155:84532", PayTo: r.payTo.Hex(), Settler: accountKey(0).Hex(), Transport: into{c.handler()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.rail.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// keep gives each transaction the next nonce, as a store does.
func (r *rig) keep(_ context.Context, _ string, floor uint64, sign func(uint64) (billing.Broadcast, error)) (billing.Broadcast, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.taken[floor] {
		floor++
	}
	r.taken[floor] = true
	return sign(floor)
}

func (r *rig) give(a evm.Address) {
	r.t.Helper()
	if _, err := r.chain.give(r.t.Context(), a); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) offer() berth.Challenge {
	r.t.Helper()
	offer, err := r.rail.Offer(billing.Ask{Amount: 20_000, Realm: "berth.example", Resource: "https://berth.example/v1/servers", At: time.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
	return offer
}

func (r *rig) read(scheme string, credential []byte) billing.Claim {
	r.t.Helper()
	c, err := r.rail.Read(r.t.Context(), billing.Presented{Scheme: scheme, Data: credential, Realm: "berth.example", Resource: "https://berth.example/v1/servers", At: time.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) claim() billing.Claim {
	r.t.Helper()
	credential, err := r.payer.Pay(r.offer(), time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.read("x402/2", credential)
}

// settles verifies and submits a claim, and wants it settled.
func (r *rig) settles(c billing.Claim) billing.Outcome {
	r.t.Helper()
	if err := r.rail.Verify(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	o, err := r.rail.Submit(ctx, c, r.keep)
	if err != nil || o.State != billing.Settled {
		r.t.Fatalf("%+v %v", o, err)
	}
	return o
}

func (r *rig) paid(want berth.Micros) {
	r.t.Helper()
	got, _, err := r.rail.Balances(r.t.Context())
	if err != nil || got != want {
		r.t.Errorf("%s arrived (%v), want %s", got, err, want)
	}
}

// TestPayments: keys by both versions of the protocol, and a contract wallet,
// on a real chain.
func TestPayments(t *testing.T) {
	r := newRig(t, "")
	r.give(r.payer.Key.Address())
	r.give(contractWallet)
	r.settles(r.claim())
	legacy, err := r.payer.PayLegacy(r.offer(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.settles(r.read("x402/1", legacy))
	r.paid(40_000)

	r.payer.Tamper = func(a *evm.Authorization) { a.From = contractWallet }
	credential, err := r.payer.Pay(r.offer(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := r.read("x402/2", wrap(t, credential, r.payer.Key.Address()))
	if c.Payer.Chain != chainID {
		t.Errorf("paid by %s", c.Payer)
	}
	r.settles(c)
	r.paid(60_000)
}

// wrap makes a key's signature one of the contract wallet.
func wrap(t *testing.T, credential []byte, owner evm.Address) []byte {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal(credential, &p); err != nil {
		t.Fatal(err)
	}
	transfer := p["payload"].(map[string]any)
	transfer["signature"] = fmt.Sprintf("0x%x%s", owner, strings.TrimPrefix(transfer["signature"].(string), "0x"))
	out, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestManyAtOnce: eight payments by one settler's key at the same time, and the
// same one eight times over.
func TestManyAtOnce(t *testing.T) {
	r := newRig(t, "")
	r.give(r.payer.Key.Address())
	var wg sync.WaitGroup
	one := r.claim()
	for _, c := range []billing.Claim{r.claim(), r.claim(), r.claim(), r.claim(), one, one, one, one} {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if o, err := r.rail.Submit(ctx, c, r.keep); err != nil || o.State == billing.Failed {
				t.Errorf("%+v %v", o, err)
			}
		})
	}
	wg.Wait()
	r.paid(5 * 20_000)
}

// TestDead: past its end by the chain's clock, a payment has failed.
func TestDead(t *testing.T) {
	r := newRig(t, "")
	r.give(r.payer.Key.Address())
	c := r.claim()
	if _, err := (&control{r.chain}).IncreaseTime(400); err != nil {
		t.Fatal(err)
	}
	err := r.rail.Verify(t.Context(), c)
	if refused, ok := err.(*billing.Refusal); !ok || refused.Problem != billing.Expired {
		t.Errorf("%v", err)
	}
	o, err := r.rail.Follow(t.Context(), c, billing.Broadcast{}, r.keep)
	if err != nil || o.State != billing.Failed {
		t.Errorf("%+v %v", o, err)
	}
	r.paid(0)
}

func TestPayout(t *testing.T) {
	r := newRig(t, "")
	to := evm.Address{7}
	wallet, err := berth.ParseWallet(to.Hex())
	if err != nil {
		t.Fatal(err)
	}
	p := billing.Payout{ID: "txn_1", To: wallet, Amount: 1_500_000, At: time.Now(), Expires: time.Now().Add(time.Hour)}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if o, err := r.rail.Pay(ctx, p, r.keep); err != nil || o.State != billing.Settled {
			t.Fatalf("%+v %v", o, err)
		}
	}
	answer, err := r.chain.client.CallContract(ctx, callOf(evm.BalanceOf(to)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := evm.Number(answer); err != nil || n.Int64() != 1_500_000 {
		t.Errorf("%s arrived (%v)", n, err)
	}
}

func callOf(data []byte) ethereum.CallMsg { return ethereum.CallMsg{To: &tokenAddress, Data: data} }

// TestKept: a chain goes on where its folder left it.
func TestKept(t *testing.T) {
	data := t.TempDir()
	c, err := newChain(settings{data: data, blockTime: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	to := evm.Address{7}
	if _, err := c.give(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if c, err = newChain(settings{data: data, blockTime: time.Second}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	answer, err := c.client.CallContract(t.Context(), callOf(evm.BalanceOf(to)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := evm.Number(answer); err != nil || n.Int64() != faucetDollars*microsPerDollar {
		t.Errorf("%s are left (%v)", n, err)
	}
}

func TestFaucetAnswers(t *testing.T) {
	r := newRig(t, "")
	for body, want := range map[string]int{
		`{"address":"0x0000000000000000000000000000000000000007"}`: 200,
		`{"address":"me"}`:        400,
		`{}`:                      400,
		`hello`:                   400,
		strings.Repeat("x", 5000): 400,
	} {
		w := httptest.NewRecorder()
		r.chain.handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/faucet", strings.NewReader(body)))
		if w.Code != want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%.60s: %d %s", body, w.Code, w.Body)
		}
	}
}

// TestInsideStaysInside: nobody can reach into the node over the port.
func TestInsideStaysInside(t *testing.T) {
	r := newRig(t, "")
	for _, method := range []string{"admin_nodeInfo", "debug_setHead", "miner_setGasPrice", "personal_newAccount", "txpool_content"} {
		w := httptest.NewRecorder()
		q := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":[]}`))
		q.Header.Set("Content-Type", "application/json")
		r.chain.handler().ServeHTTP(w, q)
		if !strings.Contains(w.Body.String(), "-32601") {
			t.Errorf("%s: %s", method, w.Body)
		}
	}
}

// TestServe: it says when it is ready, and ends when it is told to.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &said{ready: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- serve(ctx, options{Listen: "127.0.0.1:0", BlockTime: time.Second}, out) }()
	select {
	case <-out.ready:
	case err := <-done:
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "PLAY MONEY") || !strings.Contains(text, accountKey(0).Address().Hex()) {
		t.Errorf("it says %s", text)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := serve(t.Context(), options{Listen: "127.0.0.1:0"}, out); err == nil {
		t.Error("no block time is taken")
	}
}

// said is a buffer that tells when the last line of the banner is in it.
type said struct {
	mu    sync.Mutex
	text  bytes.Buffer
	once  sync.Once
	ready chan struct{}
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.text.Write(b)
	if strings.Contains(s.text.String(), "\nready at ") {
		s.once.Do(func() { close(s.ready) })
	}
	return n, err
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
