package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"berth"
	"berth/billing/evm"
	"berth/billing/x402/x402test"
)

// buildDevchain builds the development chain, once.
var buildDevchain = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(program), "berth-devchain")
	build := exec.Command("go", "build", "-o", path, "berth/cmd/berth-devchain")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	if err != nil {
		return string(text), err
	}
	return path, nil
})

// startDevchain starts a development chain and returns its URL.
func startDevchain(t *testing.T) string {
	t.Helper()
	path, err := buildDevchain()
	if err != nil {
		t.Fatalf("build berth-devchain: %v\n%s", err, path)
	}
	p := &process{Cmd: exec.Command(path, "--listen", "127.0.0.1:0", "--block-time", "1s"), said: &said{}, done: make(chan struct{})}
	p.Stdout, p.Stderr = p.said, p.said
	p.begin(t)
	var url string
	until(t, "the chain is ready", func() bool {
		_, rest, ready := strings.Cut(p.said.String(), "\nready at ")
		url, _, _ = strings.Cut(rest, "\n")
		return ready && strings.HasSuffix(rest, "\n")
	})
	return url
}

// toll stands between Berth and its chain's node, and kills Berth as kill -9
// does where it asks for a method.
type toll struct {
	node string

	mu     sync.Mutex
	method string // empty: everybody passes
	late   bool   // kills when the node has done what was asked
	victim *process
	took   bool
}

// arm waits for a process to ask for a method.
func (g *toll) arm(method string, late bool, victim *process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.method, g.late, g.victim, g.took = method, late, victim, false
}

// killed tells whether it has killed the process.
func (g *toll) killed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.took
}

func (g *toll) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var asked struct{ Method string }
	_ = json.Unmarshal(body, &asked) // the faucet's has none
	g.mu.Lock()
	hit := g.method != "" && asked.Method == g.method
	late := g.late
	if hit {
		g.method = ""
	}
	g.mu.Unlock()
	if hit && !late {
		g.kill()
	}
	res, err := http.Post(g.node+r.URL.Path, "application/json", bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if hit && late {
		g.kill()
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(text) // to a process that may be dead
}

// kill ends the process and then the request, which nobody waits for any more.
func (g *toll) kill() {
	g.victim.kill()
	g.mu.Lock()
	g.took = true
	g.mu.Unlock()
	panic(http.ErrAbortHandler)
}

// TestKillDuringPayment kills the process that holds the state between every two
// states of a payment. After a restart the same credential buys what it was
// for: paid once on the chain, delivered once, and books and chain agree.
func TestKillDuringPayment(t *testing.T) {
	t.Parallel()
	chain := startDevchain(t)
	var buyers []*buyer
	// All are killed before the first one is asked again: the payments of the dead
	// stay theirs for a while.
	for _, c := range []struct {
		name   string
		method string
		late   bool
	}{
		{"reserved", "eth_call", false},
		{"verified", "eth_getTransactionCount", false},
		{"written and not sent", "eth_sendRawTransaction", false},
		{"sent", "eth_sendRawTransaction", true},
		{"mined and not credited", "eth_getTransactionReceipt", true},
		{"credited and not answered", "", false},
	} {
		gate := &toll{node: chain}
		front := httptest.NewServer(gate)
		t.Cleanup(front.Close)
		b := &buyer{t: t, name: c.name, house: newHouse(t), chain: chain, wallet: x402test.NewWallet(c.name)}
		b.fund()
		b.house.env = append(b.house.env, "BERTH_DEVCHAIN="+front.URL)
		p := b.serve()
		b.sign()
		if c.method == "" {
			b.killWhenPaid(p)
		} else {
			gate.arm(c.method, c.late, p)
			if status, err := b.order(); err == nil {
				t.Errorf("%s: the order was answered with %d before the kill", c.name, status)
			}
			until(t, "the process is killed", gate.killed)
		}
		b.serve()
		buyers = append(buyers, b)
	}
	for _, b := range buyers {
		t.Run(b.name, func(t *testing.T) {
			b.t = t
			id := b.insist()
			if again := b.insist(); again != id {
				t.Errorf("the same credential bought %s and %s", id, again)
			}
			b.paidOnce()
		})
	}
}

// buyer is an agent with a wallet, and the Berth that it buys from.
type buyer struct {
	t      *testing.T
	name   string // when its Berth is killed
	house  *house
	chain  string
	wallet *x402test.Wallet
	base   string

	credential string
	payTo      string
	price      *big.Int
}

// fund asks the faucet for play money.
func (b *buyer) fund() {
	b.t.Helper()
	web{base: b.chain}.send(b.t, http.MethodPost, "/faucet", map[string]string{"address": b.wallet.Address()})
}

// serve starts Berth, and waits until wallets can pay.
func (b *buyer) serve() *process {
	b.t.Helper()
	p, st := b.house.serve()
	until(b.t, "wallets can pay", func() bool { return strings.Contains(p.said.String(), "wallets can pay") })
	b.base = "http://" + st.Address
	return p
}

// sign asks for the price and signs it.
func (b *buyer) sign() {
	b.t.Helper()
	res := web{base: b.base}.send(b.t, http.MethodPost, "/v1/servers", purchase)
	text, err := base64.StdEncoding.DecodeString(res.header.Get("PAYMENT-REQUIRED"))
	if res.status != http.StatusPaymentRequired || err != nil {
		b.t.Fatalf("an order without payment: %d %s", res.status, res.body)
	}
	var offer berth.Challenge
	decode(b.t, text, &offer.Payload)
	entry := offer.Payload["accepts"].([]any)[0].(map[string]any)
	b.payTo = entry["payTo"].(string)
	if b.price, err = evm.ParseDecimal(entry["amount"].(string)); err != nil {
		b.t.Fatal(err)
	}
	credential, err := b.wallet.Pay(offer, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	b.credential = x402test.Header(credential)
}

// order sends the order with its payment.
func (b *buyer) order() (status int, err error) {
	text, err := json.Marshal(purchase)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest(http.MethodPost, b.base+"/v1/servers", bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Payment-Signature", b.credential)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// killWhenPaid kills the process when it has credited the payment and begun the
// work, which is one step.
func (b *buyer) killWhenPaid(p *process) {
	b.t.Helper()
	res := web{base: b.base}.open(b.t, http.MethodPost, "/v1/servers", purchase, "Accept", "text/event-stream", "Payment-Signature", b.credential)
	defer res.Body.Close()
	killed := false
	events(res.Body, func(e event) bool {
		if e.name == "progress" && !killed {
			killed = true
			p.kill()
		}
		return true
	})
	if !killed {
		b.t.Fatal("the order ended before the kill")
	}
}

// insist repeats the order with the same credential until it is carried out. No
// answer on the way may ask for another signature.
func (b *buyer) insist() (id string) {
	b.t.Helper()
	until(b.t, "the order is carried out", func() bool {
		res := web{base: b.base}.send(b.t, http.MethodPost, "/v1/servers", purchase, "Payment-Signature", b.credential)
		var sv server
		switch res.status {
		case http.StatusCreated:
			decode(b.t, res.body, &sv)
			id = sv.ID
			if res.header.Get("PAYMENT-RESPONSE") == "" {
				b.t.Errorf("no receipt beside %s", res.body)
			}
			return true
		case http.StatusAccepted, http.StatusServiceUnavailable:
			if res.header.Get("PAYMENT-REQUIRED")+res.header.Get("WWW-Authenticate") != "" {
				b.t.Errorf("%d asks for another payment", res.status)
			}
			return false
		}
		b.t.Fatalf("the same credential is answered with %d %s", res.status, res.body)
		return false
	})
	return id
}

// paidOnce checks the chain against the books, and that there is one server.
func (b *buyer) paidOnce() {
	b.t.Helper()
	list := b.house.servers()
	if len(list) != 1 {
		b.t.Fatalf("there are the servers %v, not one", list)
	}
	until(b.t, "the server is active", func() bool { return b.house.servers()[0].Status == "active" })
	b.house.verify()
	b.house.run("ledger", "reconcile")
	client, err := evm.NewClient(b.chain, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	to, err := evm.ParseAddress(b.payTo)
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := client.Call(b.t.Context(), nil, x402test.Token, evm.BalanceOf(to), evm.Latest)
	if err != nil {
		b.t.Fatal(err)
	}
	got, err := evm.Number(text)
	if err != nil || new(big.Int).Mod(got, big.NewInt(1_000_000)).Cmp(b.price) != 0 {
		b.t.Errorf("%s units arrived (%v), want %s beside whole dollars of the faucet", got, err, b.price)
	}
}
