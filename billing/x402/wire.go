package x402

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"berth/billing"
)

// maxCredential is how large a credential's JSON may be.
const maxCredential = 16 << 10

// requirement is one entry of accepts, in version 2.
type requirement struct {
	Scheme  string         `json:"scheme"`
	Network string         `json:"network"`
	Amount  string         `json:"amount"`
	Asset   string         `json:"asset"`
	PayTo   string         `json:"payTo"`
	Timeout int64          `json:"maxTimeoutSeconds"`
	Extra   map[string]any `json:"extra"`
}

// legacyRequirement is one entry of accepts, in version 1.
type legacyRequirement struct {
	Scheme      string         `json:"scheme"`
	Network     string         `json:"network"`
	MaxAmount   string         `json:"maxAmountRequired"`
	Asset       string         `json:"asset"`
	PayTo       string         `json:"payTo"`
	Resource    string         `json:"resource"`
	Description string         `json:"description"`
	MIMEType    string         `json:"mimeType"`
	Timeout     int64          `json:"maxTimeoutSeconds"`
	Extra       map[string]any `json:"extra"`
}

// payload is a credential of version 2; version 1 has scheme and network in
// place of accepted.
type payload struct {
	Version    int                        `json:"x402Version"`
	Scheme     string                     `json:"scheme,omitempty"`
	Network    string                     `json:"network,omitempty"`
	Accepted   *requirement               `json:"accepted,omitempty"`
	Payload    transfer                   `json:"payload"`
	Extensions map[string]json.RawMessage `json:"extensions,omitempty"` // of any shape
}

// transfer is the payload of scheme exact by EIP-3009.
type transfer struct {
	Authorization authorization `json:"authorization"`
	Signature     string        `json:"signature"`
}

type authorization struct {
	From        string `json:"from"`
	To          string `json:"to"`
	Value       string `json:"value"`
	ValidAfter  string `json:"validAfter"`
	ValidBefore string `json:"validBefore"`
	Nonce       string `json:"nonce"`
}

// decode reads exactly one JSON value of at most 16 KiB. Members that it does
// not know are left alone: the protocol grows by them.
func decode(data []byte, into any) error {
	if len(data) > maxCredential {
		return billing.Refuse(billing.Malformed, "the credential has %d bytes, of at most %d", len(data), maxCredential)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(into); err != nil {
		return billing.Refuse(billing.Malformed, "the credential is not the JSON that was expected: %s", shape(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return billing.Refuse(billing.Malformed, "something follows the credential's JSON")
	}
	return nil
}

// shape says what is wrong with JSON without repeating what it holds.
func shape(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Sprintf("%s should be a %s", kind.Field, kind.Type.Kind())
	case errors.As(err, &syntax):
		return fmt.Sprintf("a syntax error at byte %d", syntax.Offset)
	}
	return "it ends early"
}

// mustJSON encodes what consists of strings, numbers and maps of them.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // no value of this package can fail to encode
	}
	return b
}
