package x402

import (
	"encoding/base64"
	"maps"
	"strconv"

	"berth"
	"berth/billing"
)

const (
	scheme     = "exact"
	upfront    = "upfront" // settled before the work is done
	identifier = "payment-identifier"
	signIn     = "sign-in-with-x"
)

// Offer is the PaymentRequired object of version 2, and beside it the members
// of version 1's body. An amount of zero asks for a sign-in, which only HTTP
// has: its credential is a header. *berth.Error with berth.NotFound where that
// can't be asked for, and berth.Unavailable before the first Check of a token
// whose domain is unknown.
func (r *Rail) Offer(a billing.Ask) (berth.Challenge, error) {
	extensions := map[string]any{}
	if origin, ok := originOf(a.Resource, a.Realm); ok {
		extensions[signIn] = r.signInOffer(a, origin)
	} else if a.Amount == 0 {
		return berth.Challenge{}, berth.Errorf(berth.NotFound, "x402 has no sign-in for %.60s", a.Resource)
	}
	payload := map[string]any{
		"x402Version": 2,
		"error":       "PAYMENT-SIGNATURE header is required",
		"resource":    map[string]any{"url": a.Resource, "description": a.Description, "mimeType": "application/json"},
		"accepts":     []any{},
		"extensions":  extensions,
	}
	challenge := berth.Challenge{Rail: Name, Payload: payload}
	if a.Amount == 0 {
		payload["error"] = "SIGN-IN-WITH-X header is required"
	} else {
		wanted, err := r.requirement(a.Amount)
		if err != nil {
			return berth.Challenge{}, err
		}
		extensions[identifier] = identifierOffer
		payload["accepts"] = []any{wanted}
		challenge.Legacy = r.legacyOffer(a, wanted)
	}
	challenge.Header = base64.StdEncoding.EncodeToString(mustJSON(payload))
	return challenge, nil
}

// requirement is what an amount is asked for with.
func (r *Rail) requirement(amount berth.Micros) (requirement, error) {
	domain, err := r.tokenDomain()
	if err != nil {
		return requirement{}, err
	}
	return requirement{
		Scheme:  scheme,
		Network: r.network.caip2,
		Amount:  strconv.FormatInt(int64(amount), 10),
		Asset:   r.asset.Hex(),
		PayTo:   r.payTo.Hex(),
		Timeout: int64(r.timeout.Seconds()),
		Extra:   map[string]any{"name": domain.Name, "version": domain.Version, "paymentFlow": upfront},
	}, nil
}

// legacyOffer is version 1's body, and nil on a network that it has no name for.
func (r *Rail) legacyOffer(a billing.Ask, wanted requirement) any {
	if r.network.legacy == "" {
		return nil
	}
	return map[string]any{
		"x402Version": 1,
		"error":       "X-PAYMENT header is required",
		"accepts":     []any{r.legacyRequirement(a, wanted)},
	}
}

func (r *Rail) legacyRequirement(a billing.Ask, wanted requirement) legacyRequirement {
	extra := maps.Clone(wanted.Extra)
	delete(extra, "paymentFlow") // of version 2
	return legacyRequirement{
		Scheme: scheme, Network: r.network.legacy, MaxAmount: wanted.Amount, Asset: wanted.Asset, PayTo: wanted.PayTo,
		Resource: a.Resource, Description: a.Description, MIMEType: "application/json", Timeout: wanted.Timeout, Extra: extra,
	}
}

// identifierOffer says that a client may name its payment, to have it taken
// once however often it is sent.
var identifierOffer = map[string]any{
	"info": map[string]any{"required": false},
	"schema": map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"type":    "object",
		"properties": map[string]any{
			"required": map[string]any{"type": "boolean"},
			"id":       map[string]any{"type": "string", "minLength": 16, "maxLength": 128},
		},
		"required": []string{"required"},
	},
}
