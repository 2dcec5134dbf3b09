package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth"
	"berth/billing/evm"
	"berth/ops"
)

// walletChapters is the story of an agent that has nothing but a wallet.
func walletChapters() []step {
	return []step{
		{"start", "Start Berth, with its cloud in a box and a chain of play money", "All of it runs on this machine, without a network.", false, (*story).beginWithWallet},
		{"wallet", "Make a wallet", "An agent needs no account here: the key of a wallet is enough.", false, (*story).makeWallet},
		{"ask", "Ask for a server, and see what it costs", "The answer is 402 Payment Required, with the price and every way to pay it.", false, (*story).askUnpaid},
		{"pay", "Sign, and ask again", "The wallet authorises exactly the price over x402; Berth brings it to the chain, and the server answers SSH.", false, (*story).payByWallet},
		{"retry", "Ask once more with the same payment", "A retry, whatever it is for, never pays twice: it gets the stored answer.", false, (*story).repeatPayment},
		{"key", "Make an API key with a spending cap", "One sign-in by the wallet makes a key for all that follows.", false, (*story).mintByWallet},
		{"destroy", "Destroy the server", "The wallet's key may do what the wallet may.", false, (*story).destroyPaid},
		{"chain", "Compare the books with the chain", "What came in on the chain is what was credited, to the last base unit.", false, (*story).compareChain},
		{"verify", "Verify the ledger", "The operator checks the books: every invariant, over every account.", false, (*story).verify},
	}
}

// purse is the demo's wallet, and what it has bought.
type purse struct {
	key    *evm.Key
	chain  *evm.Client
	url    string // of the development chain
	token  evm.Address
	paid   []byte // the payment's header
	before berth.Micros
	server ops.CreateServerOut
	apiKey string
}

// reply is an answer of Berth's over HTTP.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request to the demo's Berth, with headers in pairs.
func (c *scene) ask(ctx context.Context, method, path string, in any, headers ...string) (reply, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return reply{}, err
	}
	if in == nil {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.node.address+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	c.teller.called(method+" "+path, map[string]any{})
	defer c.teller.returned()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return reply{res.StatusCode, res.Header, text}, err
}

// expect reads an answer with a status, and fails with any other.
func (r reply) expect(status int, out any) error {
	if r.status != status {
		return fmt.Errorf("the answer is %d, not %d: %.500s", r.status, status, r.body)
	}
	return json.Unmarshal(r.body, out)
}

func (s *story) beginWithWallet(ctx context.Context, c *scene) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	url := "http://" + s.node.address
	c.facts["url"], c.facts["chain"] = url, s.wallet.url
	c.say("Berth serves at %s, and takes payments on a development chain at %s.", url, s.wallet.url)
	c.say("PLAY MONEY: nothing on that chain is worth anything.")
	return nil
}

func (s *story) makeWallet(ctx context.Context, c *scene) (err error) {
	if s.wallet.chain, err = evm.NewClient(s.wallet.url, nil); err != nil {
		return err
	}
	if s.wallet.key, err = evm.NewKey(); err != nil {
		return err
	}
	address := s.wallet.key.Address().Hex()
	if err := fund(ctx, s.wallet.url, address); err != nil {
		return err
	}
	c.say("The wallet %s has 1,000 play USDC from the faucet.", address)
	c.facts["wallet"] = address
	return nil
}

// offer is what x402 asks for.
type offer struct {
	Accepts []struct {
		Network string            `json:"network"`
		Amount  string            `json:"amount"`
		Asset   string            `json:"asset"`
		PayTo   string            `json:"payTo"`
		Timeout int64             `json:"maxTimeoutSeconds"`
		Extra   map[string]string `json:"extra"`
	} `json:"accepts"`
	Extensions map[string]struct {
		Info   map[string]any `json:"info"`
		Chains []struct {
			ChainID string `json:"chainId"`
			Type    string `json:"type"`
		} `json:"supportedChains"`
	} `json:"extensions"`
}

// demanded reads the offer of a 402 as it came, and as it is.
func demanded(r reply) (raw map[string]json.RawMessage, o offer, err error) {
	if r.status != http.StatusPaymentRequired {
		return nil, o, fmt.Errorf("the answer is %d, not 402: %.500s", r.status, r.body)
	}
	text, err := base64.StdEncoding.DecodeString(r.header.Get("PAYMENT-REQUIRED"))
	if err == nil {
		err = errors.Join(json.Unmarshal(text, &raw), json.Unmarshal(text, &o))
	}
	return raw, o, err
}

func (s *story) askUnpaid(ctx context.Context, c *scene) error {
	r, err := c.ask(ctx, http.MethodPost, "/v1/servers", purchase())
	if err != nil {
		return err
	}
	raw, o, err := demanded(r)
	if err != nil {
		return err
	}
	if len(o.Accepts) == 0 {
		return errors.New("the offer accepts no payment")
	}
	entry := o.Accepts[0]
	if s.wallet.token, err = evm.ParseAddress(entry.Asset); err != nil {
		return err
	}
	if s.wallet.before, err = s.wallet.balance(ctx); err != nil {
		return err
	}
	c.say("402: %s base units of USDC on %s, to %s", entry.Amount, entry.Network, entry.PayTo)
	c.facts["status"], c.facts["amount"], c.facts["network"] = r.status, entry.Amount, entry.Network
	s.wallet.paid, err = s.wallet.pay(raw, o)
	return err
}

// balance is what the wallet has of the token, by the chain.
func (p *purse) balance(ctx context.Context) (berth.Micros, error) {
	answer, err := p.chain.Call(ctx, nil, p.token, evm.BalanceOf(p.key.Address()), evm.Latest)
	if err != nil {
		return 0, err
	}
	n, err := evm.Number(answer)
	if err != nil {
		return 0, err
	}
	return berth.Micros(n.Int64()), nil
}

// pay signs an EIP-3009 authorization of what the first entry asks for, and
// makes the header of it.
func (p *purse) pay(raw map[string]json.RawMessage, o offer) ([]byte, error) {
	entry := o.Accepts[0]
	value, ok := new(big.Int).SetString(entry.Amount, 10)
	chain, err := strconv.ParseUint(strings.TrimPrefix(entry.Network, "eip155:"), 10, 64)
	to, toErr := evm.ParseAddress(entry.PayTo)
	if err = errors.Join(err, toErr); err != nil || !ok {
		return nil, errors.Join(errors.New("the offer can't be read"), err)
	}
	now := time.Now()
	a := evm.Authorization{
		From: p.key.Address(), To: to, Value: value,
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(now.Unix() + entry.Timeout),
	}
	rand.Read(a.Nonce[:])
	domain := evm.Domain{Name: entry.Extra["name"], Version: entry.Extra["version"], ChainID: chain, Contract: p.token}
	signature, err := p.key.Sign(a.Digest(domain.Separator()))
	if err != nil {
		return nil, err
	}
	var accepted []json.RawMessage
	if err := json.Unmarshal(raw["accepts"], &accepted); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"x402Version": 2, "resource": raw["resource"], "accepted": accepted[0],
		"payload": map[string]any{
			"signature": fmt.Sprintf("0x%x", signature.Bytes()),
			"authorization": map[string]string{
				"from": a.From.Hex(), "to": a.To.Hex(), "value": a.Value.String(), "validAfter": a.ValidAfter.String(),
				"validBefore": a.ValidBefore.String(), "nonce": a.Nonce.Hex(),
			},
		},
	})
}

func (s *story) payByWallet(ctx context.Context, c *scene) error {
	r, err := c.buyPaid(ctx)
	if err != nil {
		return err
	}
	if err := r.expect(http.StatusCreated, &s.wallet.server); err != nil {
		return err
	}
	var receipt ops.Receipt
	if err := json.Unmarshal([]byte(r.header.Get("Berth-Receipt")), &receipt); err != nil || receipt.Payment == nil {
		return fmt.Errorf("the answer has no receipt of the payment: %q", r.header.Get("Berth-Receipt"))
	}
	after, err := s.wallet.balance(ctx)
	if err != nil {
		return err
	}
	if moved := s.wallet.before - after; moved != s.wallet.server.TotalCharged {
		return fmt.Errorf("%s USD left the wallet, and the price is %s", moved, s.wallet.server.TotalCharged)
	}
	c.say("%s is active until %s.", s.wallet.server.ID, clock(s.wallet.server.PaidUntil))
	c.say("%s USD left the wallet in transaction %s", s.wallet.server.TotalCharged, receipt.Payment.Hash)
	s.spent = s.wallet.server.TotalCharged
	c.facts["server_id"], c.facts["charged"], c.facts["transaction"] = s.wallet.server.ID, s.spent, receipt.Payment.Hash
	return nil
}

// buyPaid asks for the server with the payment.
func (c *scene) buyPaid(ctx context.Context) (reply, error) {
	return c.ask(ctx, http.MethodPost, "/v1/servers?wait_seconds=60", purchase(),
		"PAYMENT-SIGNATURE", base64.StdEncoding.EncodeToString(c.wallet.paid))
}

func (s *story) repeatPayment(ctx context.Context, c *scene) error {
	r, err := c.buyPaid(ctx)
	if err != nil {
		return err
	}
	var again ops.CreateServerOut
	if err := r.expect(http.StatusCreated, &again); err != nil {
		return err
	}
	after, err := s.wallet.balance(ctx)
	if err != nil {
		return err
	}
	if again.ID != s.wallet.server.ID || s.wallet.before-after != s.spent {
		return fmt.Errorf("the retry made %s, and %s USD have left the wallet", again.ID, s.wallet.before-after)
	}
	c.say("The same server, %s; the wallet still has %s USD.", again.ID, after)
	c.facts["server_id"], c.facts["balance"] = again.ID, after
	return nil
}

func (s *story) mintByWallet(ctx context.Context, c *scene) error {
	in := map[string]any{"name": "demo", "budget_total": "1.00"}
	r, err := c.ask(ctx, http.MethodPost, "/v1/api-keys", in)
	if err != nil {
		return err
	}
	_, o, err := demanded(r)
	if err != nil {
		return err
	}
	header, err := s.wallet.signIn(o)
	if err != nil {
		return err
	}
	if r, err = c.ask(ctx, http.MethodPost, "/v1/api-keys", in, "SIGN-IN-WITH-X", header); err != nil {
		return err
	}
	var key ops.APIKeyView
	if err := r.expect(http.StatusCreated, &key); err != nil {
		return err
	}
	s.wallet.apiKey = key.Secret
	c.say("%s may spend at most 1.00 USD of the wallet's credit.", key.ID)
	c.facts["api_key_id"] = key.ID
	return nil
}

// signIn answers an offer of sign-in-with-x by an EIP-4361 message.
func (p *purse) signIn(o offer) (string, error) {
	asked, ok := o.Extensions["sign-in-with-x"]
	if !ok || len(asked.Chains) == 0 {
		return "", errors.New("the offer asks for no sign-in")
	}
	proof := asked.Info
	proof["address"], proof["chainId"], proof["type"] = p.key.Address().Hex(), asked.Chains[0].ChainID, asked.Chains[0].Type
	text := fmt.Sprintf("%s wants you to sign in with your Ethereum account:\n%s\n\n%s\n\nURI: %s\nVersion: %s\nChain ID: %s\nNonce: %s\nIssued At: %s\nExpiration Time: %s",
		proof["domain"], proof["address"], proof["statement"], proof["uri"], proof["version"],
		strings.TrimPrefix(asked.Chains[0].ChainID, "eip155:"), proof["nonce"], proof["issuedAt"], proof["expirationTime"])
	if list, ok := proof["resources"].([]any); ok && len(list) > 0 {
		text += "\nResources:"
		for _, r := range list {
			text += fmt.Sprintf("\n- %s", r)
		}
	}
	signature, err := p.key.Sign(evm.PersonalDigest(text))
	if err != nil {
		return "", err
	}
	proof["signature"] = fmt.Sprintf("0x%x", signature.Bytes())
	b, err := json.Marshal(proof)
	return base64.StdEncoding.EncodeToString(b), err
}

func (s *story) destroyPaid(ctx context.Context, c *scene) error {
	path := "/v1/servers/" + string(s.wallet.server.ID) + "?wait_seconds=60"
	r, err := c.ask(ctx, http.MethodDelete, path, nil, "Authorization", "Bearer "+s.wallet.apiKey)
	if err != nil {
		return err
	}
	var out ops.DestroyOut
	if err := r.expect(http.StatusOK, &out); err != nil {
		return err
	}
	c.say("%s is gone.", s.wallet.server.ID)
	return nil
}

func (s *story) compareChain(ctx context.Context, c *scene) error {
	res, err := s.node.app.system.Dispatch(ctx, &ops.Call{
		Op: "compare_payments", Args: map[string]any{}, Creds: []ops.Credential{{Scheme: ops.OperatorScheme}}, Front: "cli",
	})
	if err != nil {
		return err
	}
	out := res.Out.(ops.CompareOut)
	if !out.OK || len(out.Rails) != 1 || out.Rails[0].In != s.spent {
		return fmt.Errorf("the books and the chain do not agree: %+v", out)
	}
	c.say("%d payment of %s USD, and the chain has it.", out.Rails[0].Payments, out.Rails[0].In)
	c.facts["payments"], c.facts["in"] = out.Rails[0].Payments, out.Rails[0].In
	return nil
}
