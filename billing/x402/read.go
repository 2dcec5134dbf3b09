package x402

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// The schemes of credentials.
const (
	schemeV2   = "x402/2"
	schemeV1   = "x402/1"
	schemeSIWX = "siwx"
)

// maxSignature is how long a contract wallet's signature may be, in bytes.
const maxSignature = 4 << 10

// Bounds of an authorization's validity: time enough to bring it to the chain,
// and an end that a payment which went astray can be waited for.
const (
	minValidity = 6 * time.Second
	maxValidity = 24 * time.Hour
)

// Read takes a credential apart: PAYMENT-SIGNATURE's and MCP's JSON ("x402/2"),
// X-PAYMENT's ("x402/1"), and SIGN-IN-WITH-X's value ("siwx").
func (r *Rail) Read(ctx context.Context, c billing.Presented) (billing.Claim, error) {
	switch c.Scheme {
	case schemeSIWX:
		return r.readSignIn(ctx, c)
	case schemeV1, schemeV2:
		return r.readPayment(ctx, c)
	}
	return billing.Claim{}, billing.Refuse(billing.Unsupported, "x402 takes no %.20s", c.Scheme)
}

func (r *Rail) readPayment(ctx context.Context, c billing.Presented) (billing.Claim, error) {
	var p payload
	if err := decode(c.Data, &p); err != nil {
		return billing.Claim{}, err
	}
	if err := r.accepts(p, c.Scheme); err != nil {
		return billing.Claim{}, err
	}
	a, signature, err := parseTransfer(p.Payload)
	if err != nil {
		return billing.Claim{}, err
	}
	id, err := p.identifier()
	if err != nil {
		return billing.Claim{}, err
	}
	if err := r.asked(a, c.At); err != nil {
		return billing.Claim{}, err
	}
	domain, err := r.tokenDomain()
	if err != nil {
		return billing.Claim{}, err
	}
	payer, err := r.signer(ctx, a.From, a.Digest(domain.Separator()), signature)
	if err != nil {
		return billing.Claim{}, err
	}
	kept := payment{Transfer: p.Payload, Seen: c.At.Unix()}
	return billing.Claim{
		Rail: Name, Scheme: c.Scheme, Payer: payer, Amount: berth.Micros(a.Value.Int64()),
		Unique:  fmt.Sprintf("%d/%s/%s/%s", r.network.id, lower(r.asset), lower(a.From), a.Nonce.Hex()),
		Network: r.network.caip2, Asset: r.asset.Hex(), Identifier: id,
		Expires: time.Unix(a.ValidBefore.Int64(), 0).UTC(), Payload: json.RawMessage(mustJSON(kept)),
	}, nil
}

func lower(a evm.Address) string { return strings.ToLower(a.Hex()) }

// accepts checks that a credential answers an offer of this rail. What it
// repeats of the offer is not signed; it is compared because a client that
// repeats something else means something else.
func (r *Rail) accepts(p payload, as string) error {
	if as == schemeV1 {
		switch {
		case p.Version != 1:
			return billing.Refuse(billing.Malformed, "x402Version is %d in an X-PAYMENT header, which is of version 1", p.Version)
		case p.Scheme != scheme:
			return billing.Refuse(billing.Unsupported, "scheme %.40q: only %q is taken", p.Scheme, scheme)
		case r.network.legacy == "" || p.Network != r.network.legacy:
			return billing.Refuse(billing.Unsupported, "network %.40q is not the one that was offered", p.Network)
		}
		return nil
	}
	got := p.Accepted
	switch {
	case p.Version != 2:
		return billing.Refuse(billing.Malformed, "x402Version is %d, and this is version 2", p.Version)
	case got == nil:
		return billing.Refuse(billing.Malformed, "accepted is missing: the entry of accepts that is paid")
	case got.Scheme != scheme:
		return billing.Refuse(billing.Unsupported, "scheme %.40q: only %q is taken", got.Scheme, scheme)
	case got.Network != r.network.caip2:
		return billing.Refuse(billing.Unsupported, "network %.40q: only %s is taken", got.Network, r.network.caip2)
	case got.Amount != p.Payload.Authorization.Value:
		return billing.Refuse(billing.Mismatched, "the authorization's value is not the amount that was accepted")
	}
	return r.sameOffer(got)
}

// sameOffer compares an accepted entry with the rail's own. Extra members of
// extra are the client's affair.
func (r *Rail) sameOffer(got *requirement) error {
	want, err := r.requirement(0)
	if err != nil {
		return err
	}
	if !strings.EqualFold(got.Asset, want.Asset) {
		return billing.Refuse(billing.Mismatched, "asset %.60q is not the token that was offered", got.Asset)
	}
	if !strings.EqualFold(got.PayTo, want.PayTo) || got.Timeout != want.Timeout {
		return billing.Refuse(billing.Mismatched, "accepted is no entry of an offer's accepts: payTo or maxTimeoutSeconds differ")
	}
	for name, value := range want.Extra {
		if got.Extra[name] != value {
			return billing.Refuse(billing.Mismatched, "accepted is no entry of an offer's accepts: extra.%s differs", name)
		}
	}
	return nil
}

// parseTransfer reads an authorization and its signature.
func parseTransfer(t transfer) (a evm.Authorization, signature []byte, err error) {
	bad := func(field string, err error) (evm.Authorization, []byte, error) {
		return evm.Authorization{}, nil, billing.Refuse(billing.Malformed, "%s: %v", field, err)
	}
	if a.From, err = evm.ParseAddress(t.Authorization.From); err != nil {
		return bad("from", err)
	}
	if a.To, err = evm.ParseAddress(t.Authorization.To); err != nil {
		return bad("to", err)
	}
	if a.Value, err = evm.ParseDecimal(t.Authorization.Value); err != nil {
		return bad("value", err)
	}
	if a.ValidAfter, err = evm.ParseDecimal(t.Authorization.ValidAfter); err != nil {
		return bad("validAfter", err)
	}
	if a.ValidBefore, err = evm.ParseDecimal(t.Authorization.ValidBefore); err != nil {
		return bad("validBefore", err)
	}
	if a.Nonce, err = evm.ParseHash(t.Authorization.Nonce); err != nil {
		return bad("nonce", err)
	}
	if signature, err = evm.ParseHex(t.Signature, maxSignature); err != nil {
		return bad("signature", err)
	}
	return a, signature, nil
}

// asked checks that an authorization pays this rail, and ends soon. It may have
// ended: its payment may be under way, or have its answer. See inTime.
func (r *Rail) asked(a evm.Authorization, now time.Time) error {
	switch {
	case a.To != r.payTo:
		return billing.Refuse(billing.Mismatched, "the authorization pays %s, not %s", a.To.Hex(), r.payTo.Hex())
	case a.From == r.payTo:
		return billing.Refuse(billing.Mismatched, "the authorization is by the address that it pays")
	case !a.Value.IsInt64() || a.Value.Sign() == 0:
		return billing.Refuse(billing.Mismatched, "value %s is not an amount that was asked for", a.Value)
	case !a.ValidBefore.IsInt64() || a.ValidBefore.Int64() > now.Add(maxValidity).Unix():
		return billing.Refuse(billing.Mismatched, "validBefore is more than %s away", maxValidity)
	}
	return nil
}

// inTime checks that an authorization can be brought to the chain now.
func inTime(a evm.Authorization, now time.Time) error {
	switch {
	case a.ValidBefore.Int64() < now.Add(minValidity).Unix():
		return billing.Refuse(billing.Expired, "validBefore has passed, or is less than %s away", minValidity)
	case !a.ValidAfter.IsInt64() || a.ValidAfter.Int64() > now.Unix():
		return billing.Refuse(billing.Expired, "the authorization is not valid yet")
	}
	return nil
}

// signer is the wallet whose signature this is: a key's where the key of the
// address made it, and otherwise the contract's that is there, if it says so
// (ERC-1271).
func (r *Rail) signer(ctx context.Context, address evm.Address, digest evm.Hash, signature []byte) (billing.Wallet, error) {
	if evm.IsCounterfactual(signature) {
		return billing.Wallet{}, billing.Refuse(billing.Unsupported, "wallets that are not deployed yet (EIP-6492) can't pay here")
	}
	wallet := billing.Wallet{Address: lower(address)}
	s, bad := evm.ParseSignature(signature)
	if bad == nil {
		if got, err := evm.Recover(digest, s); err == nil && got == address {
			return wallet, nil
		}
	}
	refusal := billing.Refuse(billing.Unverified, "the signature is not by %s over what it came with", address.Hex())
	if bad != nil && len(signature) == evm.SignatureLength {
		refusal = billing.Refuse(billing.Unverified, "%v", bad)
	}
	code, err := r.chain.Code(ctx, address)
	switch {
	case err != nil:
		return billing.Wallet{}, berth.Errorf(berth.Unavailable, "the chain can't be asked about the payer").Because(err)
	case len(code) == 0:
		return billing.Wallet{}, refusal
	}
	answer, err := r.chain.Call(ctx, nil, address, evm.IsValidSignature(digest, signature), evm.Latest)
	switch {
	case err != nil && !evm.IsRefused(err):
		return billing.Wallet{}, berth.Errorf(berth.Unavailable, "the chain can't be asked about the payer").Because(err)
	case err != nil || !evm.Approves(answer):
		return billing.Wallet{}, billing.Refuse(billing.Unverified, "the wallet's contract at %s does not confirm the signature", address.Hex())
	}
	wallet.Chain = r.network.id
	return wallet, nil
}

// identifier is the client's name for its payment, where it gave one.
func (p payload) identifier() (string, error) {
	text, ok := p.Extensions[identifier]
	if !ok {
		return "", nil
	}
	var e struct {
		Info struct {
			ID string `json:"id"`
		} `json:"info"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return "", billing.Refuse(billing.Malformed, "extensions.%s: %s", identifier, shape(err))
	}
	id := e.Info.ID
	switch {
	case id == "": // an echo of the offer
		return "", nil
	case len(id) < 16 || len(id) > 128 || strings.Trim(id, identifierLetters) != "":
		return "", billing.Refuse(billing.Malformed, "extensions.%s.info.id: 16 to 128 letters, digits, - and _", identifier)
	}
	return id, nil
}

const identifierLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Match tells whether a claim is in time and pays exactly what would be asked
// for now, and whether a sign-in is for the host that is asked for.
func (r *Rail) Match(c billing.Claim, a billing.Ask) error {
	switch {
	case c.Rail != Name || c.Network != r.network.caip2:
		return billing.Refuse(billing.Mismatched, "the credential is for %.40s on %.40s", c.Rail, c.Network)
	case c.Amount != a.Amount:
		return billing.Refuse(billing.Mismatched, "it pays %s, and %s is asked for", c.Amount, a.Amount)
	case c.Amount > 0 && !strings.EqualFold(c.Asset, r.asset.Hex()):
		return billing.Refuse(billing.Mismatched, "it pays in another token")
	case c.Realm != "" && c.Realm != a.Realm:
		return billing.Refuse(billing.Mismatched, "it is for %.100s, not %.100s", c.Realm, a.Realm)
	}
	if c.Amount == 0 {
		return nil // Read has looked how old a sign-in is
	}
	o, err := r.reopen(c)
	if err != nil {
		return err
	}
	return inTime(o.Authorization, a.At)
}

// payment is what a claim's payload holds: what settles it, and when it came.
type payment struct {
	Transfer transfer `json:"payload"`
	Seen     int64    `json:"seen"` // seconds since 1970
}

// order is an authorization with everything that settles it.
type order struct {
	evm.Authorization
	signature []byte
	payment   payment
	seen      time.Time
}

// reopen is the order of a claim that Read made.
func (r *Rail) reopen(c billing.Claim) (order, error) {
	if c.Rail != Name || c.Amount <= 0 {
		return order{}, fmt.Errorf("the claim %.200q is no payment over x402", c.Unique)
	}
	var p payment
	if err := json.Unmarshal(c.Payload, &p); err != nil {
		return order{}, fmt.Errorf("the stored payment %.200q can't be read: %s", c.Unique, shape(err))
	}
	a, signature, err := parseTransfer(p.Transfer)
	if err != nil {
		return order{}, fmt.Errorf("the stored payment %.200q can't be read: %w", c.Unique, err)
	}
	return order{a, signature, p, time.Unix(p.Seen, 0)}, nil
}
