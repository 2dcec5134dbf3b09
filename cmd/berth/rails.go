package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"berth/account"
	"berth/billing"
	"berth/billing/evm"
	"berth/billing/mpp"
	"berth/billing/x402"
)

// railSettings say over which rails wallets pay. They come from the environment
// only, for some are secret. A rail without an RPC URL is off.
type railSettings struct {
	mppRPC, mppChain, mppRecipient, mppCurrency, mppFeePayer, mppPayout string

	x402RPC, x402Network, x402Asset, x402PayTo          string
	x402Settler, x402Facilitator, x402FacilitatorBearer string
}

func railEnvironment() railSettings {
	return railSettings{
		mppRPC: os.Getenv("BERTH_MPP_RPC_URL"), mppChain: os.Getenv("BERTH_MPP_CHAIN_ID"),
		mppRecipient: os.Getenv("BERTH_MPP_RECIPIENT"), mppCurrency: os.Getenv("BERTH_MPP_CURRENCY"),
		mppFeePayer: os.Getenv("BERTH_MPP_FEE_PAYER_KEY"), mppPayout: os.Getenv("BERTH_MPP_PAYOUT_KEY"),
		x402RPC: os.Getenv("BERTH_X402_RPC_URL"), x402Network: os.Getenv("BERTH_X402_NETWORK"),
		x402Asset: os.Getenv("BERTH_X402_ASSET"), x402PayTo: os.Getenv("BERTH_X402_PAY_TO"),
		x402Settler: os.Getenv("BERTH_X402_SETTLER_KEY"), x402Facilitator: os.Getenv("BERTH_X402_FACILITATOR_URL"),
		x402FacilitatorBearer: os.Getenv("BERTH_X402_FACILITATOR_TOKEN"),
	}
}

// The default tokens of MPP, by Tempo's chains.
var tempoTokens = map[uint64]string{
	4217:  "0x20C000000000000000000000b9537d11c60E8b50", // USDC.e on mainnet
	42431: "0x20c0000000000000000000000000000000000000", // pathUSD on the Moderato testnet
}

// The chains whose money is worth something.
const (
	tempoMainnet = 4217
	baseMainnet  = "eip155:8453"
)

const devchainNetwork = "eip155:84532"

// checkTimeout bounds the look at a rail's chain.
const checkTimeout = 10 * time.Second

// checked is a rail that can look whether its chain is what its settings say.
type checked interface {
	billing.Rail
	Check(ctx context.Context) error
}

// rails are the ways in which wallets pay.
type rails struct {
	checked           []checked
	devchain, settler string // of play money; empty elsewhere
	log               *slog.Logger
	mu                sync.Mutex
	passed, told      []bool // by rail: whether its chain is as it should be, and whether the log says that it does not answer
}

func (r *rails) list() []billing.Rail {
	list := make([]billing.Rail, len(r.checked))
	for i, c := range r.checked {
		list[i] = c
	}
	return list
}

// remark says of what kind the money is.
func (r *rails) remark() string {
	if r.devchain != "" {
		return ", with play money of " + r.devchain
	}
	return ""
}

// check looks at the chains that did not answer before. A chain that is another
// than the settings say is an error; one that does not answer is looked at again
// later, and takes no payments until then.
func (r *rails) check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for i, c := range r.checked {
		if r.passed[i] {
			continue
		}
		err := r.checkOne(ctx, c)
		var silent *evm.Unknown
		switch {
		case err == nil:
			r.passed[i] = true
			r.log.Info("wallets can pay", slog.String("rail", c.Name()))
		case errors.As(err, &silent) || ctx.Err() != nil:
			r.complain(i, c.Name(), err)
		default:
			return fmt.Errorf("the rail %s: %w", c.Name(), err)
		}
	}
	return nil
}

// complain tells once of a chain that does not answer.
func (r *rails) complain(i int, name string, err error) {
	if !r.told[i] {
		r.log.Warn("a chain does not answer: payments over it are put off until it does", slog.String("rail", name), slog.Any("error", err))
	}
	r.told[i] = true
}

func (r *rails) checkOne(ctx context.Context, c checked) error {
	if r.devchain != "" {
		if err := fund(ctx, r.devchain, r.settler); err != nil {
			return &evm.Unknown{Method: "faucet", Err: err}
		}
	}
	return c.Check(ctx)
}

// openRails are the rails that are set up. They ask nobody anything yet.
func openRails(env secretsFromEnvironment, devchain string, vault *account.Vault, log *slog.Logger) (*rails, error) {
	s := env.rails
	out := &rails{devchain: devchain, log: log}
	if devchain != "" {
		if env.digitalOceanToken != "" {
			return nil, errors.New("--devchain is play money, and DIGITALOCEAN_TOKEN buys real machines: use one of them")
		}
		if s.x402RPC != "" {
			return nil, errors.New("--devchain and BERTH_X402_RPC_URL name two chains for one rail: use one of them")
		}
		if err := s.play(devchain, vault); err != nil {
			return nil, err
		}
		out.settler = s.x402PayTo
	}
	if s.mppRPC != "" {
		r, err := s.openMPP(vault, log)
		if err != nil {
			return nil, fmt.Errorf("the MPP rail (BERTH_MPP_…): %w", err)
		}
		out.checked = append(out.checked, r)
	}
	if s.x402RPC != "" || s.x402Facilitator != "" {
		r, err := x402.New(x402.Options{
			RPC: s.x402RPC, Network: s.x402Network, Asset: s.x402Asset, PayTo: s.x402PayTo, Settler: s.x402Settler,
			Facilitator: s.x402Facilitator, Bearer: s.x402FacilitatorBearer, Clock: time.Now, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("the x402 rail (BERTH_X402_…): %w", err)
		}
		out.checked = append(out.checked, r)
	}
	if env.digitalOceanToken == "" && (s.x402Network == baseMainnet || s.mppChain == strconv.Itoa(tempoMainnet)) {
		return nil, errors.New("real money for machines of the sandbox: set DIGITALOCEAN_TOKEN, or use a test network")
	}
	out.passed, out.told = make([]bool, len(out.checked)), make([]bool, len(out.checked))
	return out, nil
}

func (s railSettings) openMPP(vault *account.Vault, log *slog.Logger) (*mpp.Rail, error) {
	chain, err := strconv.ParseUint(s.mppChain, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("BERTH_MPP_CHAIN_ID: %d is mainnet, 42431 the testnet: %w", tempoMainnet, err)
	}
	secret, err := vault.Derive("mpp challenges", 32)
	if err != nil {
		return nil, err
	}
	currency := s.mppCurrency
	if currency == "" {
		currency = tempoTokens[chain]
	}
	return mpp.New(mpp.Options{
		RPC: s.mppRPC, Chain: chain, Recipient: s.mppRecipient, Currency: currency, Secret: secret,
		FeePayer: s.mppFeePayer, Payout: s.mppPayout, Clock: time.Now, Log: log,
	})
}

// play makes x402 go over a development chain, to an account of this Berth's own.
func (s *railSettings) play(devchain string, vault *account.Vault) error {
	secret, err := vault.Derive("devchain settler", 32)
	if err != nil {
		return err
	}
	key, err := evm.ParseKey(hex.EncodeToString(secret))
	if err != nil {
		return err
	}
	s.x402RPC, s.x402Network = strings.TrimSuffix(devchain, "/"), devchainNetwork
	s.x402Settler, s.x402PayTo = hex.EncodeToString(secret), key.Address().Hex()
	return nil
}

// fund asks a development chain's faucet for play gas.
func fund(ctx context.Context, devchain, address string) error {
	body, err := json.Marshal(map[string]string{"address": address})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(devchain, "/")+"/faucet", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 512)) // only to say more
		return fmt.Errorf("the faucet answers %s: %s", res.Status, text)
	}
	return nil
}
