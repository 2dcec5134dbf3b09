package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"berth"
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
// signer. Both are in a program built as Berth is, since recovering takes three
// times as long without cgo.
func measureCredentials(ctx context.Context, l *lab) ([]result, error) {
	signer, err := l.program(ctx, "bench/signer")
	if err != nil {
		return nil, err
	}
	read := func(args ...string) take {
		return func(ctx context.Context) ([]float64, error) {
			out, err := exec.CommandContext(ctx, signer, append(args, strconv.Itoa(l.pick(1_000, 200)))...).Output()
			if err != nil {
				return nil, fmt.Errorf("bench/signer %v: %w", args, err)
			}
			perSecond, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			return []float64{perSecond}, err
		}
	}
	seen, err := interleave(ctx, l.pick(7, 3), read("x402"), read("mpp"), read("recover"))
	if err != nil {
		return nil, err
	}
	against := "bare Ecrecover"
	return []result{
		newResult("x402 authorizations verified, one core", "/s", compare(seen[0], seen[2], median), against, atLeast(0.8)),
		newResult("MPP transactions verified, one core", "/s", compare(seen[1], seen[2], median), against, atLeast(0.8)),
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
	var err error
	if t.key, err = createAccount(ctx, berth, dir, "500.00"); err != nil {
		return err
	}
	update := exec.CommandContext(ctx, berth, "account", "update", customer, "--data", dir, "--servers", roomy)
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
