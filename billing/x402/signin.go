package x402

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"time"
	"unicode"

	"berth/billing"
	"berth/billing/evm"
)

// signInAge is how old a sign-in may be, by the extension's specification.
const signInAge = 5 * time.Minute

const (
	statement   = "Sign in to Berth. This costs nothing and moves no money."
	instantForm = "2006-01-02T15:04:05.000Z"
	keySigned   = "eip191"
)

// proof is a sign-in: the fields of the message that was signed, and its
// signature. The message itself does not travel.
type proof struct {
	Domain     string   `json:"domain"`
	Address    string   `json:"address"`
	Statement  string   `json:"statement,omitempty"`
	URI        string   `json:"uri"`
	Version    string   `json:"version"`
	ChainID    string   `json:"chainId"`
	Type       string   `json:"type"`
	Nonce      string   `json:"nonce"`
	IssuedAt   string   `json:"issuedAt"`
	Expiration string   `json:"expirationTime,omitempty"`
	NotBefore  string   `json:"notBefore,omitempty"`
	RequestID  string   `json:"requestId,omitempty"`
	Resources  []string `json:"resources,omitempty"`
	Signature  string   `json:"signature"`
}

// originOf is a resource's URL where a sign-in can be bound to it: over HTTP, at
// the host that the client used.
func originOf(resource, realm string) (*url.URL, bool) {
	u, err := url.Parse(resource)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() != realm || u.User != nil {
		return nil, false
	}
	return u, true
}

// signInOffer asks a wallet to sign in. Its nonce is random, and remembered
// only once it was used.
func (r *Rail) signInOffer(a billing.Ask, at *url.URL) map[string]any {
	var nonce [16]byte
	rand.Read(nonce[:])
	return map[string]any{
		"info": map[string]any{
			"domain":         at.Host,
			"uri":            at.String(),
			"version":        "1",
			"nonce":          hex.EncodeToString(nonce[:]),
			"issuedAt":       a.At.UTC().Format(instantForm),
			"expirationTime": a.At.UTC().Add(signInAge).Format(instantForm),
			"statement":      statement,
			"resources":      []string{at.String()},
		},
		"supportedChains": []any{map[string]any{"chainId": r.network.caip2, "type": keySigned}},
		"schema":          signInSchema,
	}
}

// signInSchema describes a proof.
var signInSchema = func() map[string]any {
	properties := map[string]any{"resources": map[string]any{"type": "array", "items": map[string]any{"type": "string", "format": "uri"}}}
	for name, format := range map[string]string{
		"domain": "", "address": "", "statement": "", "uri": "uri", "version": "", "chainId": "", "type": "", "nonce": "",
		"issuedAt": "date-time", "expirationTime": "date-time", "notBefore": "date-time", "requestId": "", "signature": "",
	} {
		p := map[string]any{"type": "string"}
		if format != "" {
			p["format"] = format
		}
		properties[name] = p
	}
	return map[string]any{
		"$schema":    "https://json-schema.org/draft/2020-12/schema",
		"type":       "object",
		"properties": properties,
		"required":   []string{"domain", "address", "uri", "version", "chainId", "type", "nonce", "issuedAt", "signature"},
	}
}()

// readSignIn reads the value of a SIGN-IN-WITH-X header, or the JSON in it.
func (r *Rail) readSignIn(ctx context.Context, c billing.Presented) (billing.Claim, error) {
	if len(c.Data) > base64.StdEncoding.EncodedLen(maxCredential) {
		return billing.Claim{}, billing.Refuse(billing.Malformed, "the sign-in has more than %d bytes", maxCredential)
	}
	text := bytes.TrimSpace(c.Data)
	if !bytes.HasPrefix(text, []byte("{")) { // which base64 never begins with
		var err error
		if text, err = base64.StdEncoding.Strict().DecodeString(string(text)); err != nil {
			return billing.Claim{}, billing.Refuse(billing.Malformed, "the sign-in is no padded base64")
		}
	}
	var p proof
	if err := decode(text, &p); err != nil {
		return billing.Claim{}, err
	}
	address, err := p.shape()
	if err != nil {
		return billing.Claim{}, err
	}
	if err := r.bound(p, c); err != nil {
		return billing.Claim{}, err
	}
	expires, err := p.validity(c.At)
	if err != nil {
		return billing.Claim{}, err
	}
	signature, err := evm.ParseHex(p.Signature, maxSignature)
	if err != nil {
		return billing.Claim{}, billing.Refuse(billing.Malformed, "signature: %v", err)
	}
	payer, err := r.signer(ctx, address, evm.PersonalDigest(p.message(address)), signature)
	if err != nil {
		return billing.Claim{}, err
	}
	return billing.Claim{
		Rail: Name, Scheme: c.Scheme, Payer: payer, Network: r.network.caip2, Realm: c.Realm, Expires: expires,
		Unique:  "siwx/" + payer.Address + "/" + p.Nonce,
		Payload: json.RawMessage(mustJSON(map[string]string{"nonce": p.Nonce})),
	}, nil
}

// shape checks that the message has one reading only: a line break in a field
// would let it look like another message.
func (p proof) shape() (evm.Address, error) {
	if len(p.Nonce) < 8 || len(p.Nonce) > 96 || strings.ContainsFunc(p.Nonce, notAlphanumeric) {
		return evm.Address{}, billing.Refuse(billing.Malformed, "nonce: 8 to 96 letters and digits")
	}
	if len(p.Resources) > 16 {
		return evm.Address{}, billing.Refuse(billing.Malformed, "resources: at most 16")
	}
	fields := append([]string{p.Domain, p.Statement, p.URI, p.IssuedAt, p.Expiration, p.NotBefore, p.RequestID}, p.Resources...)
	for _, f := range fields {
		if len(f) > 2048 || strings.ContainsFunc(f, unicode.IsControl) {
			return evm.Address{}, billing.Refuse(billing.Malformed, "a field of the sign-in is longer than 2048 bytes or has control characters")
		}
	}
	address, err := evm.ParseAddress(p.Address)
	if err != nil {
		return evm.Address{}, billing.Refuse(billing.Malformed, "address: %v", err)
	}
	return address, nil
}

func notAlphanumeric(c rune) bool {
	return c > unicode.MaxASCII || (!unicode.IsLetter(c) && !unicode.IsDigit(c))
}

// bound checks that the sign-in is for this network and for the origin that the
// client used, so that another service can't use up what it was given.
func (r *Rail) bound(p proof, c billing.Presented) error {
	here, ok := originOf(c.Resource, c.Realm)
	u, err := url.Parse(p.URI)
	switch {
	case !ok:
		return billing.Refuse(billing.Unsupported, "a sign-in is for an HTTP request to the host that is asked for")
	case p.Version != "1" || p.Type != keySigned:
		return billing.Refuse(billing.Unsupported, "sign-ins are of version 1 and type %s", keySigned)
	case p.ChainID != r.network.caip2:
		return billing.Refuse(billing.Unsupported, "sign-ins are for %s", r.network.caip2)
	case p.Domain != here.Host:
		return billing.Refuse(billing.Mismatched, "the sign-in is for %.100q, and this is %.100q", p.Domain, here.Host)
	case err != nil || u.Scheme != here.Scheme || u.Host != here.Host || u.User != nil:
		return billing.Refuse(billing.Mismatched, "the sign-in's uri is not at %s://%s", here.Scheme, here.Host)
	}
	return nil
}

// validity is until when a sign-in can be used, where it can be now.
func (p proof) validity(now time.Time) (time.Time, error) {
	issued, err := time.Parse(time.RFC3339, p.IssuedAt)
	if err != nil {
		return time.Time{}, billing.Refuse(billing.Malformed, "issuedAt is no instant of RFC 3339")
	}
	if issued.After(now) {
		return time.Time{}, billing.Refuse(billing.Expired, "the sign-in was issued in the future")
	}
	expires := issued.Add(signInAge)
	if p.Expiration != "" {
		end, err := time.Parse(time.RFC3339, p.Expiration)
		if err != nil {
			return time.Time{}, billing.Refuse(billing.Malformed, "expirationTime is no instant of RFC 3339")
		}
		if end.Before(expires) {
			expires = end
		}
	}
	if !now.Before(expires) {
		return time.Time{}, billing.Refuse(billing.Expired, "the sign-in is older than %s, or past its end", signInAge)
	}
	if p.NotBefore != "" {
		start, err := time.Parse(time.RFC3339, p.NotBefore)
		if err != nil {
			return time.Time{}, billing.Refuse(billing.Malformed, "notBefore is no instant of RFC 3339")
		}
		if now.Before(start) {
			return time.Time{}, billing.Refuse(billing.Expired, "the sign-in is not valid yet")
		}
	}
	return expires, nil
}

// message is the text of EIP-4361 that was signed.
func (p proof) message(address evm.Address) string {
	var b strings.Builder
	line := func(parts ...string) {
		for _, s := range parts {
			b.WriteString(s)
		}
		b.WriteByte('\n')
	}
	line(p.Domain, " wants you to sign in with your Ethereum account:")
	line(address.Hex())
	line()
	if p.Statement != "" {
		line(p.Statement)
	}
	line()
	line("URI: ", p.URI)
	line("Version: ", p.Version)
	line("Chain ID: ", strings.TrimPrefix(p.ChainID, "eip155:"))
	line("Nonce: ", p.Nonce)
	line("Issued At: ", p.IssuedAt)
	for _, optional := range [][2]string{{"Expiration Time: ", p.Expiration}, {"Not Before: ", p.NotBefore}, {"Request ID: ", p.RequestID}} {
		if optional[1] != "" {
			line(optional[0], optional[1])
		}
	}
	if len(p.Resources) > 0 {
		line("Resources:")
		for _, resource := range p.Resources {
			line("- ", resource)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
