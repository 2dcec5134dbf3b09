package mpp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"berth"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
)

// The first accounts of anvil, which have tokens.
var anvilKeys = []string{
	"0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
	"0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
	"0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
}

// anvil is a Tempo node and the reference client.
type anvil struct {
	*testing.T
	dir, url string
	node     *evm.Client
}

// newAnvil starts the node that npm has installed in testdata/node/mpp-client,
// or in the folder that BERTH_MPP_CLIENT names.
func newAnvil(t *testing.T) *anvil {
	t.Helper()
	dir := os.Getenv("BERTH_MPP_CLIENT")
	lacks := t.Fatalf // where the client was promised, it has to be there
	if dir == "" {
		lacks = t.Skipf
		dir = filepath.Join("..", "..", "testdata", "node", "mpp-client")
	}
	program := filepath.Join(dir, "node_modules", "@foundry-rs", "anvil-"+runtime.GOOS+"-"+runtime.GOARCH, "bin", "anvil")
	if _, err := os.Stat(program); err != nil {
		lacks("no Tempo chain: run npm install in testdata/node/mpp-client (%v)", err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		lacks("no Node, which runs the reference client: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	a := &anvil{T: t, dir: dir, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	cmd := exec.CommandContext(t.Context(), program, "--network", "tempo", "--hardfork", "t3", "--chain-id", strconv.Itoa(mpptest.ChainID),
		"--timestamp", strconv.FormatInt(time.Now().Unix(), 10), "--block-time", "1", "--port", strconv.Itoa(port), "--silent")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended where this fails
		_ = cmd.Wait()
	})
	if a.node, err = evm.NewClient(a.url, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.node.Close)
	a.waitUntilUp()
	return a
}

func (a *anvil) waitUntilUp() {
	a.Helper()
	ctx, cancel := context.WithTimeout(a.Context(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		_, err := a.node.ChainID(ctx)
		if err == nil {
			tick.Stop()
			return
		}
		if ctx.Err() != nil {
			a.Fatalf("the chain does not answer: %v", err)
		}
	}
}

func (a *anvil) balance(address string) int64 {
	a.Helper()
	owner, err := evm.ParseAddress(address)
	if err != nil {
		a.Fatal(err)
	}
	token, err := evm.ParseAddress(mpptest.Token)
	if err != nil {
		a.Fatal(err)
	}
	b, err := a.node.Call(a.Context(), nil, token, evm.BalanceOf(owner), evm.Latest)
	if err != nil {
		a.Fatal(err)
	}
	n := new(big.Int).SetBytes(b)
	return new(big.Int).And(n, big.NewInt(1<<62-1)).Int64() // only differences count
}

// client is the reference client, which takes seconds to start.
type client struct {
	in  io.Writer
	out *bufio.Scanner
	err *bytes.Buffer
}

func (a *anvil) startClient() *client {
	a.Helper()
	script, err := filepath.Abs(filepath.Join("..", "..", "testdata", "node", "mpp-client", "pay.mjs"))
	if err != nil {
		a.Fatal(err)
	}
	// Node looks for packages beside the script.
	text, err := os.ReadFile(script)
	if err != nil {
		a.Fatal(err)
	}
	copied := filepath.Join(a.dir, "node_modules", ".pay.mjs")
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		a.Fatal(err)
	}
	c := &client{err: &bytes.Buffer{}}
	cmd := exec.CommandContext(a.Context(), "node", copied, a.url)
	cmd.Stderr = c.err
	if c.in, err = cmd.StdinPipe(); err != nil {
		a.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		a.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = cmd.Wait() }) // the test's context has ended it
	return c
}

// pay answers a challenge.
func (c *client) pay(t *testing.T, header, key string) []byte {
	t.Helper()
	if err := json.NewEncoder(c.in).Encode(map[string]string{"header": header, "key": key}); err != nil {
		t.Fatal(err)
	}
	if !c.out.Scan() {
		t.Fatalf("the client has ended: %s", c.err)
	}
	return bytes.Clone(c.out.Bytes())
}

func (a *anvil) rail(edit func(*mpp.Options)) *mpp.Rail {
	a.Helper()
	o := mpp.Options{
		RPC: a.url, Chain: mpptest.ChainID, Recipient: freshAddress, Currency: mpptest.Token,
		Secret: []byte(strings.Repeat("s", 32)), Push: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	edit(&o)
	r, err := mpp.New(o)
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(r.Close)
	return r
}

// freshAddress has no tokens at first.
const freshAddress = "0xbe70000000000000000000000000000000000001"

func (a *anvil) offer(r *mpp.Rail, amount berth.Micros) (billing.Ask, berth.Challenge) {
	a.Helper()
	ask := billing.Ask{Operation: "create_server", Amount: amount, Realm: realm, Description: "a “small” server", Binding: "YmluZGluZw", At: time.Now()}
	offer, err := r.Offer(ask)
	if err != nil {
		a.Fatal(err)
	}
	return ask, offer
}

// settle does all that is done with a credential.
func (a *anvil) settle(r *mpp.Rail, ask billing.Ask, credential []byte) (billing.Claim, billing.Outcome) {
	a.Helper()
	ctx, cancel := context.WithTimeout(a.Context(), 30*time.Second)
	defer cancel()
	c, err := r.Read(ctx, billing.Presented{Scheme: "mpp", Data: credential, Realm: realm, At: time.Now()})
	if err != nil {
		a.Fatalf("%v: %s", err, credential)
	}
	if err := r.Match(c, ask); err != nil {
		a.Fatal(err)
	}
	if err := r.Verify(ctx, c); err != nil {
		a.Fatal(err)
	}
	k := &kept{}
	out, err := r.Submit(ctx, c, k.keep)
	if err != nil || out.State != billing.Settled {
		a.Fatalf("outcome %+v, error %v", out, err)
	}
	if c.Amount > 0 {
		if again, err := r.Follow(ctx, c, k.b, k.keep); err != nil || again != out {
			a.Errorf("followed: %+v, error %v", again, err)
		}
	}
	return c, out
}

// TestAnvil pays on a local Tempo chain, with the reference client and with our
// own wallets.
func TestAnvil(t *testing.T) {
	a := newAnvil(t)
	own := a.rail(func(*mpp.Options) {})
	sponsored := a.rail(func(o *mpp.Options) { o.FeePayer = anvilKeys[1] })
	if err := own.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	wallet, err := mpptest.OpenWallet(anvilKeys[0], time.Now)
	if err != nil {
		t.Fatal(err)
	}
	payer := wallet.Address()
	sponsor, err := mpptest.OpenWallet(anvilKeys[1], time.Now)
	if err != nil {
		t.Fatal(err)
	}
	// paid pays 25000 units with a credential, and tells what the payer lost.
	paid := func(t *testing.T, r *mpp.Rail, pay func(header string) []byte) int64 {
		t.Helper()
		a := &anvil{T: t, dir: a.dir, url: a.url, node: a.node}
		before, had := a.balance(freshAddress), a.balance(payer)
		ask, offer := a.offer(r, 25_000)
		c, _ := a.settle(r, ask, pay(offer.Header))
		if c.Payer.Address != payer {
			t.Errorf("payer %s", c.Payer)
		}
		if got := a.balance(freshAddress) - before; got != 25_000 {
			t.Errorf("the recipient got %d units", got)
		}
		return had - a.balance(payer)
	}
	goWallet := func(w *mpptest.Wallet) func(string) []byte {
		return func(header string) []byte {
			data, err := w.Pay(header)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	reference := a.startClient()
	mppx := func(header string) []byte { return reference.pay(t, header, anvilKeys[0]) }

	t.Run("mppx", func(t *testing.T) {
		if lost := paid(t, own, mppx); lost < 25_000 {
			t.Errorf("the payer lost %d units", lost)
		}
	})
	t.Run("mppx, gas paid for", func(t *testing.T) {
		had := a.balance(sponsor.Address())
		if lost := paid(t, sponsored, mppx); lost != 25_000 {
			t.Errorf("the payer lost %d units", lost)
		}
		if fee := had - a.balance(sponsor.Address()); fee <= 0 || fee > 50_000 {
			t.Errorf("the gas cost %d units", fee)
		}
	})
	t.Run("mppx's proof", func(t *testing.T) {
		ask, offer := a.offer(own, 0)
		if c, _ := a.settle(own, ask, mppx(offer.Header)); c.Payer.Address != payer {
			t.Errorf("payer %s", c.Payer)
		}
	})
	t.Run("Go", func(t *testing.T) { paid(t, own, goWallet(wallet)) })
	t.Run("Go, gas paid for", func(t *testing.T) {
		if lost := paid(t, sponsored, goWallet(wallet)); lost != 25_000 {
			t.Errorf("the payer lost %d units", lost)
		}
	})
	t.Run("an access key", func(t *testing.T) {
		key := mpptest.NewWallet("access key", time.Now)
		key.Root, key.Grant = wallet.Account(), wallet
		paid(t, own, goWallet(key)) // which grants it
		key.Grant = nil
		paid(t, own, goWallet(key))
		ask, offer := a.offer(own, 0)
		if c, _ := a.settle(own, ask, goWallet(key)(offer.Header)); c.Payer.Address != payer {
			t.Errorf("payer %s", c.Payer)
		}
		stranger := mpptest.NewWallet("stranger", time.Now)
		stranger.Root = wallet.Account()
		_, offer = a.offer(own, 0)
		if _, err := own.Read(t.Context(), billing.Presented{Scheme: "mpp", Data: goWallet(stranger)(offer.Header), Realm: realm, At: time.Now()}); !refused(err, billing.Unverified, "") {
			t.Errorf("a stranger: %v", err)
		}
	})
	t.Run("a hash", func(t *testing.T) {
		paid(t, own, func(header string) []byte {
			data := goWallet(wallet)(header)
			var receipt struct {
				Hash common.Hash `json:"transactionHash"`
			}
			if err := a.node.Do(t.Context(), &receipt, "eth_sendRawTransactionSync", "0x"+common.Bytes2Hex(rawOf(t, data))); err != nil {
				t.Fatal(err)
			}
			return edited(t, data, "payload", map[string]any{"type": "hash", "hash": receipt.Hash.Hex()})
		})
	})
	t.Run("a payout", func(t *testing.T) {
		out := a.rail(func(o *mpp.Options) { o.Payout = anvilKeys[2] })
		p := billing.Payout{ID: "txn_1", To: berth.Wallet{Address: freshAddress}, Amount: 7_000, At: time.Now(), Expires: time.Now().Add(10 * time.Minute)}
		before := a.balance(freshAddress)
		for range 2 { // made again, it is the same transaction
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			k := &kept{}
			got, err := out.Pay(ctx, p, k.keep)
			if err != nil || got.State != billing.Settled {
				t.Errorf("outcome %+v, error %v", got, err)
			}
			if b := a.balance(freshAddress) - before; b != 7_000 {
				t.Errorf("%d units were paid out", b)
			}
		}
	})
	t.Run("nobody's money", func(t *testing.T) {
		_, offer := a.offer(own, 25_000)
		poor := mpptest.NewWallet("poor", time.Now)
		c, err := own.Read(t.Context(), billing.Presented{Scheme: "mpp", Data: goWallet(poor)(offer.Header), Realm: realm, At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if err := own.Verify(t.Context(), c); !refused(err, billing.Insufficient, "") {
			t.Errorf("error %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if out, err := own.Submit(ctx, c, (&kept{}).keep); err != nil || out.State != billing.Unsettled || !strings.Contains(out.Reason, "refused") {
			t.Errorf("outcome %+v, error %v", out, err)
		}
	})
}
