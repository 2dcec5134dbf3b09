package mpp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"berth"
	"berth/billing"
)

// The only method and intent that this rail speaks.
const (
	method = "tempo"
	intent = "charge"
)

const maxDescription = 200 // bytes in a header

var base64url = base64.RawURLEncoding.Strict()

// challenge is what a client is asked for, with request and opaque in the text
// that the id is made of (draft-httpauth-payment-00).
type challenge struct {
	ID          string
	Realm       string
	Method      string
	Intent      string
	Request     string // base64url of canonical JSON
	Expires     string // RFC 3339
	Digest      string // never made here; bound, so that nobody can add one
	Opaque      string // base64url of canonical JSON
	Description string // not bound
}

// mac is the challenge's id under a secret: no challenge has to be kept to be
// known again.
func (c *challenge) mac(secret []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(strings.Join([]string{c.Realm, c.Method, c.Intent, c.Request, c.Expires, c.Digest, c.Opaque}, "|")))
	return base64url.EncodeToString(h.Sum(nil))
}

// minted tells whether the challenge was made with one of the secrets, in a
// time that tells nothing of them.
func (c *challenge) minted(secrets [][]byte) bool {
	// A bar would let one field's end pass for the next one's beginning. None of
	// ours has one.
	for _, s := range []string{c.Realm, c.Request, c.Expires, c.Digest, c.Opaque} {
		if strings.Contains(s, "|") {
			return false
		}
	}
	found := false
	for _, secret := range secrets {
		found = hmac.Equal([]byte(c.mac(secret)), []byte(c.ID)) || found
	}
	return found
}

// header is the challenge as a value of WWW-Authenticate.
func (c *challenge) header() string {
	var b strings.Builder
	b.WriteString("Payment ")
	for i, p := range [][2]string{
		{"id", c.ID},
		{"realm", c.Realm},
		{"method", c.Method},
		{"intent", c.Intent},
		{"request", c.Request},
		{"expires", c.Expires},
		{"digest", c.Digest},
		{"opaque", c.Opaque},
		{"description", c.Description},
	} {
		switch {
		case p[1] == "":
		case i == 0:
			b.WriteString(p[0] + "=" + quoted(p[1]))
		default:
			b.WriteString(", " + p[0] + "=" + quoted(p[1]))
		}
	}
	return b.String()
}

// quoted is a quoted-string of RFC 9110. Headers carry ASCII safely and nothing
// else, so every other character becomes a question mark; only descriptions,
// which bind nobody, can have one.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r < ' ' || r > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// native is the challenge as the MCP binding shows it: the request is an object.
func (c *challenge) native(request map[string]any) map[string]any {
	m := map[string]any{
		"id": c.ID, "realm": c.Realm, "method": c.Method, "intent": c.Intent,
		"request": request, "expires": c.Expires, "opaque": c.Opaque,
	}
	if c.Description != "" {
		m["description"] = c.Description
	}
	return m
}

// Offer implements billing.Rail. The challenge lives for Options.TTL from
// Ask.At, and no two are the same. Berth.InvalidInput where the ask has no
// usable realm or a negative amount.
func (r *Rail) Offer(ask billing.Ask) (berth.Challenge, error) {
	switch {
	case ask.Amount < 0:
		return berth.Challenge{}, berth.Errorf(berth.InvalidInput, "nobody can be asked for %s", ask.Amount)
	case !isRealm(ask.Realm):
		return berth.Challenge{}, berth.Errorf(berth.InvalidInput, "%.60q is no host name to pay to", ask.Realm)
	}
	request := r.request(ask.Amount)
	c := challenge{
		Realm: ask.Realm, Method: method, Intent: intent,
		Request:     encode(request),
		Expires:     ask.At.Add(r.ttl).UTC().Format("2006-01-02T15:04:05.000Z"),
		Opaque:      encode(opaque(ask)),
		Description: clip(ask.Description, maxDescription),
	}
	c.ID = c.mac(r.secrets[0])
	return berth.Challenge{Rail: r.Name(), Payload: c.native(request), Header: c.header()}, nil
}

// request is what a charge of the amount asks for (draft-tempo-charge-00).
func (r *Rail) request(amount berth.Micros) map[string]any {
	modes := []any{"pull"}
	if r.push {
		modes = append(modes, "push")
	}
	details := map[string]any{"chainId": int64(r.chain), "supportedModes": modes}
	if r.sponsor != nil && amount > 0 {
		details["feePayer"] = true
		details["supportedModes"] = []any{"pull"} // who has sent it has paid its gas
	}
	return map[string]any{
		"amount": strconv.FormatInt(int64(amount), 10), "currency": r.currency.Hex(), "recipient": r.recipient.Hex(),
		"methodDetails": details,
	}
}

// opaque is what the challenge is for. The nonce makes a challenge of its own
// of each of two that are asked for in one millisecond.
func opaque(ask billing.Ask) map[string]any {
	m := map[string]any{"nonce": rand.Text()[:16]}
	if ask.Operation != "" {
		m["operation"] = ask.Operation
	}
	if ask.Binding != "" {
		m["binding"] = ask.Binding
	}
	return m
}

func encode(object map[string]any) string {
	return base64url.EncodeToString([]byte(canonical(object)))
}

// decode is the object that encode made text of. It refuses every other
// spelling of it, so that what is hashed is what is read.
func decode(text string) (map[string]any, error) {
	data, err := base64url.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("it is no base64url without padding")
	}
	return decodeObject(data)
}

// expiry is when the challenge ends.
func (c *challenge) expiry() (time.Time, error) {
	return time.Parse(time.RFC3339, c.Expires)
}

// isRealm: a host name, or an address, maybe with a port.
func isRealm(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]") == ""
}

// clip shortens s to at most n bytes of whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
