// Package x402test holds what tests of payments over x402 need: a wallet that
// pays offers as public clients do, and a chain in memory that can be made to
// fail and to lie.
package x402test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"berth"
	"berth/billing/evm"
)

// Wallet is a key that pays.
type Wallet struct {
	Key *evm.Key
	// Tamper changes a payment before it is signed, where a test wants that.
	Tamper func(*evm.Authorization)
	// Identifier is sent as payment-identifier, where it is not empty.
	Identifier string
}

// NewWallet is a wallet with the key of a name: the same one for the same name.
func NewWallet(name string) *Wallet {
	key, err := evm.ParseKey(evm.Keccak([]byte(name)).Hex())
	if err != nil {
		panic(err) // one name in 2^128
	}
	return &Wallet{Key: key}
}

// Address is the wallet's, with its checksum.
func (w *Wallet) Address() string { return w.Key.Address().Hex() }

// Pay answers an offer of version 2 with the JSON of a PaymentPayload, for
// "x402/2" and MCP's _meta.
func (w *Wallet) Pay(offer berth.Challenge, at time.Time) ([]byte, error) {
	var required struct {
		Resource   json.RawMessage   `json:"resource"`
		Accepts    []json.RawMessage `json:"accepts"`
		Extensions map[string]any    `json:"extensions"`
	}
	if err := unmarshal(offer.Payload, &required); err != nil {
		return nil, err
	}
	if len(required.Accepts) == 0 {
		return nil, fmt.Errorf("the offer accepts no payment")
	}
	var entry accepted
	if err := json.Unmarshal(required.Accepts[0], &entry); err != nil {
		return nil, err
	}
	transfer, err := w.transfer(entry, entry.Amount, entry.Network, at)
	if err != nil {
		return nil, err
	}
	if named, ok := required.Extensions["payment-identifier"].(map[string]any); ok && w.Identifier != "" {
		named["info"] = map[string]any{"required": false, "id": w.Identifier}
	}
	return json.Marshal(map[string]any{
		"x402Version": 2, "payload": transfer, "resource": required.Resource,
		"accepted": required.Accepts[0], "extensions": required.Extensions,
	})
}

// PayLegacy answers an offer of version 1 with the JSON for "x402/1".
func (w *Wallet) PayLegacy(offer berth.Challenge, at time.Time) ([]byte, error) {
	var required struct {
		Accepts []accepted `json:"accepts"`
	}
	if err := unmarshal(offer.Legacy, &required); err != nil {
		return nil, err
	}
	if len(required.Accepts) == 0 {
		return nil, fmt.Errorf("the offer accepts no payment of version 1")
	}
	entry := required.Accepts[0]
	network := map[string]string{"base-sepolia": "eip155:84532", "base": "eip155:8453"}[entry.Network]
	transfer, err := w.transfer(entry, entry.MaxAmount, network, at)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"x402Version": 1, "scheme": entry.Scheme, "network": entry.Network, "payload": transfer})
}

// Header is a credential as PAYMENT-SIGNATURE and X-PAYMENT carry it.
func Header(credential []byte) string { return base64.StdEncoding.EncodeToString(credential) }

// SignIn answers an offer's sign-in-with-x with the value of a SIGN-IN-WITH-X
// header.
func (w *Wallet) SignIn(offer berth.Challenge) (string, error) {
	var required struct {
		Extensions map[string]struct {
			Info   map[string]any `json:"info"`
			Chains []struct {
				ChainID string `json:"chainId"`
				Type    string `json:"type"`
			} `json:"supportedChains"`
		} `json:"extensions"`
	}
	if err := unmarshal(offer.Payload, &required); err != nil {
		return "", err
	}
	asked, ok := required.Extensions["sign-in-with-x"]
	if !ok || len(asked.Chains) == 0 {
		return "", fmt.Errorf("the offer asks for no sign-in")
	}
	proof := asked.Info
	proof["address"], proof["chainId"], proof["type"] = w.Address(), asked.Chains[0].ChainID, asked.Chains[0].Type
	s, err := w.Key.Sign(evm.PersonalDigest(signInText(proof)))
	if err != nil {
		return "", err
	}
	proof["signature"] = hexOf(s.Bytes())
	text, err := json.Marshal(proof)
	return base64.StdEncoding.EncodeToString(text), err
}

// signInText is the message of EIP-4361 for the fields that Berth offers.
func signInText(p map[string]any) string {
	resources := ""
	if list, ok := p["resources"].([]any); ok && len(list) > 0 {
		resources = fmt.Sprintf("\nResources:\n- %s", list[0])
	}
	return fmt.Sprintf("%s wants you to sign in with your Ethereum account:\n%s\n\n%s\n\nURI: %s\nVersion: %s\nChain ID: %s\nNonce: %s\nIssued At: %s\nExpiration Time: %s%s",
		p["domain"], p["address"], p["statement"], p["uri"], p["version"], strings.TrimPrefix(fmt.Sprint(p["chainId"]), "eip155:"),
		p["nonce"], p["issuedAt"], p["expirationTime"], resources)
}

// accepted is an entry of accepts, in either version.
type accepted struct {
	Scheme    string            `json:"scheme"`
	Network   string            `json:"network"`
	Amount    string            `json:"amount"`
	MaxAmount string            `json:"maxAmountRequired"`
	Asset     string            `json:"asset"`
	PayTo     string            `json:"payTo"`
	Timeout   int64             `json:"maxTimeoutSeconds"`
	Extra     map[string]string `json:"extra"`
}

// transfer is a signed authorization of what an entry asks for.
func (w *Wallet) transfer(e accepted, amount, network string, at time.Time) (map[string]any, error) {
	value, err := evm.ParseDecimal(amount)
	if err != nil {
		return nil, err
	}
	to, err := evm.ParseAddress(e.PayTo)
	if err != nil {
		return nil, err
	}
	asset, err := evm.ParseAddress(e.Asset)
	if err != nil {
		return nil, err
	}
	chain, err := strconv.ParseUint(strings.TrimPrefix(network, "eip155:"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("network %q: %w", network, err)
	}
	a := evm.Authorization{
		From: w.Key.Address(), To: to, Value: value, ValidAfter: big.NewInt(at.Unix() - 600),
		ValidBefore: big.NewInt(at.Unix() + e.Timeout),
	}
	rand.Read(a.Nonce[:])
	if w.Tamper != nil {
		w.Tamper(&a)
	}
	domain := evm.Domain{Name: e.Extra["name"], Version: e.Extra["version"], ChainID: chain, Contract: asset}
	s, err := w.Key.Sign(a.Digest(domain.Separator()))
	if err != nil {
		return nil, err
	}
	return map[string]any{"signature": hexOf(s.Bytes()), "authorization": map[string]any{
		"from": a.From.Hex(), "to": a.To.Hex(), "value": a.Value.String(), "validAfter": a.ValidAfter.String(),
		"validBefore": a.ValidBefore.String(), "nonce": a.Nonce.Hex(),
	}}, nil
}

func hexOf(b []byte) string { return fmt.Sprintf("0x%x", b) }

// unmarshal reads an offer as a client would: from its JSON.
func unmarshal(offer, into any) error {
	text, err := json.Marshal(offer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
