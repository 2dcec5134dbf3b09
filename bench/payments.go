package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
	"berth/billing/x402"
	"berth/billing/x402/x402test"
)

// measurePayments takes what wallets' payments cost Berth.
func measurePayments(ctx context.Context, l *lab) ([]result, error) {
	verified, err := measureCredentials(ctx, l)
	if err != nil {
		return nil, err
	}
	till, err := openTill(ctx, l)
	if err != nil {
		return nil, err
	}
	demanded, err := measureDemands(ctx, l, till)
	if err == nil {
		var paid []result
		paid, err = measurePaidCreates(ctx, l, till)
		demanded = append(demanded, paid...)
	}
	return append(verified, demanded...), errors.Join(err, till.close())
}

// measureCredentials reads credentials one after another: decoding, the
// challenge's or offer's check, and who signed. The baseline only recovers a
// signer.
func measureCredentials(ctx context.Context, l *lab) ([]result, error) {
	key, err := evm.NewKey()
	if err != nil {
		return nil, err
	}
	digest := evm.Keccak([]byte("bench"))
	signature, err := key.Sign(digest)
	if err != nil {
		return nil, err
	}
	readers, err := credentialReaders()
	if err != nil {
		return nil, err
	}
	count := l.pick(1_000, 200)
	var list []result
	for _, r := range readers {
		seen, err := interleave(ctx, l.pick(9, 3),
			perSecond(count, r.read),
			perSecond(count, func(context.Context) error { _, err := evm.Recover(digest, signature); return err }),
		)
		if err != nil {
			return nil, err
		}
		list = append(list, newResult(r.what+" verified, one core", "/s", compare(seen[0], seen[1], median), "bare Ecrecover", atLeast(0.8)))
	}
	return list, nil
}

// perSecond is how often something can be done in a second.
func perSecond(count int, do func(context.Context) error) take {
	return func(ctx context.Context) ([]float64, error) {
		began := time.Now()
		for range count {
			if err := do(ctx); err != nil {
				return nil, err
			}
		}
		return []float64{float64(count) / time.Since(began).Seconds()}, nil
	}
}

type credentialReader struct {
	what string
	read func(context.Context) error
}

// credentialReaders read a payment of each rail. Nobody is asked anything for
// that: the payers have keys.
func credentialReaders() ([]credentialReader, error) {
	quiet, now := slog.New(slog.DiscardHandler), time.Now()
	ask := billing.Ask{Operation: "create_server", Amount: 35_000, Realm: "localhost", Resource: "http://localhost/v1/servers", At: now}
	wallet := x402test.NewWallet("bench")
	chain := x402test.NewChain(wallet.Key.Address(), time.Now)
	over402, err := x402.New(x402.Options{
		RPC: "http://chain.invalid", Transport: chain, Network: x402test.Network, PayTo: payee, Settler: wallet.Key.Hex(),
		Clock: time.Now, Log: quiet,
	})
	if err != nil {
		return nil, err
	}
	offer, err := over402.Offer(ask)
	if err != nil {
		return nil, err
	}
	authorization, err := wallet.Pay(offer, now)
	if err != nil {
		return nil, err
	}
	payer := mpptest.NewWallet("bench", time.Now)
	overTempo, err := mpp.New(mpp.Options{
		RPC: "http://chain.invalid", Transport: mpptest.NewChain(time.Now), Chain: 42431, Recipient: payee,
		Currency: "0x20c0000000000000000000000000000000000000", Secret: make([]byte, 32), Clock: time.Now, Log: quiet,
	})
	if err != nil {
		return nil, err
	}
	challenge, err := overTempo.Offer(ask)
	if err != nil {
		return nil, err
	}
	transaction, err := payer.Pay(challenge.Header)
	if err != nil {
		return nil, err
	}
	reader := func(what string, r billing.Rail, scheme string, data []byte) credentialReader {
		return credentialReader{what, func(ctx context.Context) error {
			_, err := r.Read(ctx, billing.Presented{Scheme: scheme, Data: data, Realm: ask.Realm, Resource: ask.Resource, At: now})
			return err
		}}
	}
	return []credentialReader{
		reader("x402 authorizations", over402, "x402/2", authorization),
		reader("MPP transactions", overTempo, "mpp", transaction),
	}, nil
}

// till is a Berth that takes payments on a chain in this process, which makes a
// block at once with each transaction: what is measured is Berth.
type till struct {
	berth   *process
	chain   *x402test.Chain
	node    *httptest.Server
	key     string // of an account with credit, and room for many servers
	wallets int
}

// roomy is how many servers the account may have.
const roomy = "10000"

func openTill(ctx context.Context, l *lab) (*till, error) {
	path, err := l.program(ctx, "cmd/berth")
	if err != nil {
		return nil, err
	}
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	settler := x402test.NewWallet("settler")
	t := &till{chain: x402test.NewChain(settler.Key.Address(), time.Now)}
	t.node = httptest.NewServer(http.HandlerFunc(t.answer))
	cmd := exec.Command(path, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--rate-limit", "0", "--log-level", "warn")
	cmd.Env = append(os.Environ(), "BERTH_X402_RPC_URL="+t.node.URL, "BERTH_X402_NETWORK="+x402test.Network,
		"BERTH_X402_PAY_TO="+payee, "BERTH_X402_SETTLER_KEY="+settler.Key.Hex())
	if t.berth, err = startCommand(ctx, cmd); err != nil {
		t.node.Close()
		return nil, err
	}
	if err := t.stock(ctx, path, dir); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// payee is who is paid: an address that nobody here has the key of.
const payee = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

// answer serves the chain's JSON-RPC.
func (t *till) answer(w http.ResponseWriter, r *http.Request) {
	res, err := t.chain.RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer res.Body.Close()
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body) // a client that went away is measured as its error
}

func (t *till) stock(ctx context.Context, berth, dir string) error {
	out, err := exec.CommandContext(ctx, berth, "account", "create", "--data", dir, "--json", "--email", "bench@example.com", "--credit", "500.00").Output()
	if err != nil {
		return fmt.Errorf("create an account: %w", err)
	}
	var made struct {
		APIKey string `json:"api_key"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		return err
	}
	t.key = made.APIKey
	update := exec.CommandContext(ctx, berth, "account", "update", "bench@example.com", "--data", dir, "--servers", roomy)
	update.Stderr = os.Stderr
	return update.Run()
}

func (t *till) close() error {
	defer t.node.Close()
	return t.berth.stop()
}

// measureDemands asks for a server without paying. The baseline is an empty
// handler behind the same net/http server.
func measureDemands(ctx context.Context, l *lab, t *till) (_ []result, err error) {
	bare, err := l.program(ctx, "bench/bare")
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, bare, "serve")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	const inFlight = 8
	client := newClient(inFlight)
	defer client.CloseIdleConnections()
	count := l.pick(2_000, 400)
	seen, err := interleave(ctx, l.pick(7, 3),
		rate(client, count, inFlight, http.MethodPost, t.berth.url+"/v1/servers", order, http.StatusPaymentRequired),
		rate(client, count, inFlight, http.MethodGet, p.url+"/v1/servers/x", "", http.StatusOK),
	)
	if err != nil {
		return nil, err
	}
	return []result{newResult("402 challenges, 8 in flight", "/s", compare(seen[0], seen[1], median), "empty handler", nil)}, nil
}

// order is what is bought.
const order = `{"size":"small","region":"nyc1","minutes":60}`

// rate is how many requests a second are answered.
func rate(client *http.Client, count, inFlight int, method, url, body string, status int) take {
	return func(ctx context.Context) ([]float64, error) {
		began := time.Now()
		_, err := calls(ctx, count, inFlight, func(ctx context.Context, _ int) error {
			req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
			if err != nil {
				return err
			}
			return exchange(client, req, status)
		})
		return []float64{float64(count) / time.Since(began).Seconds()}, err
	}
}

// measurePaidCreates buys servers by wallets, each by its own, and by an account
// with credit: how many are accepted a second. The wallets' signatures are made
// before.
func measurePaidCreates(ctx context.Context, l *lab, t *till) ([]result, error) {
	const inFlight = 4
	count := l.pick(16, 6)
	client := newClient(inFlight)
	defer client.CloseIdleConnections()
	buy := func(headers []http.Header) ([]float64, error) {
		var next atomic.Int64
		began := time.Now()
		_, err := calls(ctx, count, inFlight, func(ctx context.Context, _ int) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.berth.url+"/v1/servers", strings.NewReader(order))
			if err != nil {
				return err
			}
			req.Header = headers[next.Add(1)-1]
			return exchange(client, req, http.StatusCreated)
		})
		return []float64{float64(count) / time.Since(began).Seconds()}, err
	}
	seen, err := interleave(ctx, l.pick(3, 2),
		func(ctx context.Context) ([]float64, error) {
			headers := make([]http.Header, count)
			for i := range headers {
				header, err := t.signed(ctx)
				if err != nil {
					return nil, err
				}
				headers[i] = http.Header{"Payment-Signature": {header}}
			}
			return buy(headers)
		},
		func(context.Context) ([]float64, error) {
			headers := make([]http.Header, count)
			for i := range headers {
				headers[i] = http.Header{"Authorization": {"Bearer " + t.key}}
			}
			return buy(headers)
		},
	)
	if err != nil {
		return nil, err
	}
	return []result{newResult("create_server paid by x402, accepted", "/s", compare(seen[0], seen[1], median), "from a balance", nil)}, nil
}

// signed is a header that pays for the order, by a new wallet with play money.
func (t *till) signed(ctx context.Context) (string, error) {
	t.wallets++
	w := x402test.NewWallet(fmt.Sprint("bench ", t.wallets))
	t.chain.Fund(w.Key.Address(), 1_000_000)
	header, err := post(ctx, t.berth.url+"/v1/servers", order, http.StatusPaymentRequired)
	if err != nil {
		return "", err
	}
	text, err := base64.StdEncoding.DecodeString(header.Get("PAYMENT-REQUIRED"))
	if err != nil {
		return "", err
	}
	var payload map[string]any
	if err := json.Unmarshal(text, &payload); err != nil {
		return "", err
	}
	credential, err := w.Pay(berth.Challenge{Rail: "x402", Payload: payload}, time.Now())
	return x402test.Header(credential), err
}

// post sends JSON and returns the answer's headers.
func post(ctx context.Context, url, body string, status int) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewBufferString(body))
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || res.StatusCode != status {
		return nil, errors.Join(err, fmt.Errorf("%s answered %s: %.300s", url, res.Status, text))
	}
	return res.Header, nil
}
