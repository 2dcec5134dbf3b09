package mpp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

const maxCredential = 16 << 10 // bytes of JSON

// credential is what a client sends back: the challenge that it got, what it
// made of it, and who it is.
type credential struct {
	challenge challenge
	kind      string // "proof", "transaction" or "hash"
	body      []byte // a signature, a transaction or a hash
	// source is who pays; zero where the credential names nobody, which only
	// transactions may do.
	source evm.Address
	chain  uint64 // of source
}

// The kinds of payloads.
const (
	kindProof       = "proof"
	kindTransaction = "transaction"
	kindHash        = "hash"
)

// decodeCredential reads a credential as HTTP or MCP carries it. Members that
// nobody knows are passed over: the id binds those that count. Its errors are
// *billing.Refusal.
func decodeCredential(data []byte) (*credential, error) {
	if len(data) > maxCredential {
		return nil, malformed("the credential has more than %d bytes", maxCredential)
	}
	object, err := decodeObject(data)
	if err != nil {
		return nil, malformed("the credential can't be read: %v", err)
	}
	c := &credential{}
	echoed, ok := object["challenge"].(map[string]any)
	if !ok {
		return nil, malformed("the credential has no challenge")
	}
	if c.challenge, err = decodeChallenge(echoed); err != nil {
		return nil, malformed("the credential's challenge: %v", err)
	}
	payload, ok := object["payload"].(map[string]any)
	if !ok {
		return nil, malformed("the credential has no payload")
	}
	if err := c.readPayload(payload); err != nil {
		return nil, err
	}
	source, err := text(object, "source")
	if err != nil {
		return nil, malformed("the credential's %v", err)
	}
	return c, c.readSource(source)
}

// decodeChallenge reads an echoed challenge. HTTP clients echo the text of
// request and opaque, MCP clients their objects, of which the text is made
// again.
func decodeChallenge(object map[string]any) (c challenge, err error) {
	for name, into := range map[string]*string{
		"id": &c.ID, "realm": &c.Realm, "method": &c.Method, "intent": &c.Intent,
		"expires": &c.Expires, "digest": &c.Digest, "description": &c.Description,
	} {
		if *into, err = text(object, name); err != nil {
			return c, err
		}
	}
	for name, into := range map[string]*string{"request": &c.Request, "opaque": &c.Opaque} {
		if native, ok := object[name].(map[string]any); ok {
			*into = encode(native)
		} else if *into, err = text(object, name); err != nil {
			return c, err
		}
	}
	if c.ID == "" || c.Realm == "" || c.Method == "" || c.Intent == "" || c.Request == "" {
		return c, fmt.Errorf("id, realm, method, intent and request are needed")
	}
	return c, nil
}

// text is a member that is a string, or missing.
func text(object map[string]any, name string) (string, error) {
	v, there := object[name]
	s, ok := v.(string)
	if there && !ok {
		return "", fmt.Errorf("%s is no string", name)
	}
	return s, nil
}

// readPayload reads {type, signature} or {type, hash}. A transaction too is in
// the member "signature".
func (c *credential) readPayload(payload map[string]any) error {
	kind, err := text(payload, "type")
	if err != nil {
		return malformed("the payload's %v", err)
	}
	member, limit := "signature", maxTransaction
	switch kind {
	case kindTransaction:
	case kindProof:
		limit = keychainHeader + maxWebAuthn + len(magic)
	case kindHash:
		member, limit = "hash", 32
	default:
		return billing.Refuse(billing.Unsupported, "payloads of type %.20q are not taken: proof and transaction are", kind)
	}
	digits, err := text(payload, member)
	if err != nil {
		return malformed("the payload's %v", err)
	}
	body, err := evm.ParseHex(digits, limit)
	if err != nil || len(body) == 0 || (kind == kindHash && len(body) != limit) {
		return malformed("the payload's %s is no hex of at most %d bytes", member, limit)
	}
	c.kind, c.body = kind, body
	return nil
}

// readSource reads did:pkh:eip155:<chain>:<address>.
func (c *credential) readSource(source string) (err error) {
	if source == "" && c.kind == kindTransaction {
		return nil
	}
	rest, ok := strings.CutPrefix(source, "did:pkh:eip155:")
	chain, address, found := strings.Cut(rest, ":")
	if !ok || !found {
		return malformed("the credential's source is no did:pkh:eip155:<chain>:<address>")
	}
	if c.chain, err = strconv.ParseUint(chain, 10, 53); err != nil || strconv.FormatUint(c.chain, 10) != chain {
		return malformed("the credential's source names no chain")
	}
	if c.source, err = evm.ParseAddress(address); err != nil {
		return malformed("the credential's source: %v", err)
	}
	return nil
}

// charge is what a challenge of ours asks for, and what for.
type charge struct {
	amount    berth.Micros
	currency  evm.Address
	recipient evm.Address
	chain     uint64
	feePayer  bool
	modes     []string
	operation string
	binding   string
}

// decodeCharge reads a challenge that this rail made. What it can't read was
// made by another version of it.
func decodeCharge(c *challenge) (charge, error) {
	var ch charge
	request, err := decode(c.Request)
	if err != nil {
		return ch, fmt.Errorf("request: %w", err)
	}
	details, ok := request["methodDetails"].(map[string]any)
	if !ok {
		return ch, fmt.Errorf("methodDetails are missing")
	}
	amount, _ := request["amount"].(string)
	n, err := strconv.ParseInt(amount, 10, 64)
	if err != nil || n < 0 {
		return ch, fmt.Errorf("amount: it is no number of units")
	}
	ch.amount = berth.Micros(n)
	for name, into := range map[string]*evm.Address{"currency": &ch.currency, "recipient": &ch.recipient} {
		s, _ := request[name].(string)
		if *into, err = evm.ParseAddress(s); err != nil {
			return ch, fmt.Errorf("%s: %w", name, err)
		}
	}
	chain, _ := details["chainId"].(int64)
	ch.chain = uint64(chain)
	ch.feePayer, _ = details["feePayer"].(bool)
	modes, _ := details["supportedModes"].([]any)
	for _, m := range modes {
		s, _ := m.(string)
		ch.modes = append(ch.modes, s)
	}
	what, err := decode(c.Opaque)
	if err != nil {
		return ch, fmt.Errorf("opaque: %w", err)
	}
	ch.operation, _ = what["operation"].(string)
	ch.binding, _ = what["binding"].(string)
	return ch, nil
}

func (ch *charge) takes(mode string) bool { return slices.Contains(ch.modes, mode) }
