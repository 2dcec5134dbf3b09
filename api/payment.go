package api

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"berth"
	"berth/ops"
)

// paymentHeaders are the headers that carry a wallet's credential beside
// Authorization, each with its scheme.
var paymentHeaders = []struct {
	name   string
	scheme ops.Scheme
}{
	{"Payment-Signature", ops.X402Scheme},
	{"X-Payment", ops.X402V1Scheme},
	{"Sign-In-With-X", ops.SIWXScheme},
}

// wallets are the credentials of wallets in a request. What can't be decoded is
// passed on as it is, for its rail to refuse.
func wallets(r *http.Request) (list []ops.Credential) {
	for _, line := range r.Header.Values("Authorization") {
		for _, part := range strings.Split(line, ",") {
			scheme, text, _ := strings.Cut(strings.TrimSpace(part), " ")
			if strings.EqualFold(scheme, "Payment") {
				list = append(list, ops.Credential{Scheme: ops.MPPScheme, Token: decoded(text)})
			}
		}
	}
	for _, h := range paymentHeaders {
		for _, text := range r.Header.Values(h.name) {
			list = append(list, ops.Credential{Scheme: h.scheme, Token: decoded(text)})
		}
	}
	return list
}

// decoded is base64 text in any of its alphabets, with padding or without.
func decoded(text string) string {
	plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSpace(text)), "=")
	b, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return text
	}
	return string(b)
}

// origin is where the client thinks that it is.
func (a *API) origin(r *http.Request) ops.Origin {
	o := ops.Origin{Resource: a.base(r) + r.URL.Path, Realm: r.Host, Address: clientOf(r).String()}
	if u, err := url.Parse(a.base(r)); err == nil {
		o.Realm = u.Hostname()
	} else if host, _, err := net.SplitHostPort(r.Host); err == nil {
		o.Realm = host
	}
	return o
}

// The problems of MPP, as https://paymentauth.org names them, for the reasons
// that credentials are refused for.
var paymentProblems = map[string]string{
	"": "payment-required", "malformed": "malformed-credential", "expired": "payment-expired",
	"mismatch": "invalid-challenge", "verification": "verification-failed", "insufficient": "payment-insufficient",
	"spent": "invalid-challenge",
}

// demandPayment puts what there is to pay where each rail's clients look for it.
func demandPayment(h http.Header, p *Problem, d *berth.Demand) {
	for _, c := range d.Challenges {
		switch c.Rail {
		case "mpp":
			h.Add("WWW-Authenticate", c.Header)
			p.Type = "https://paymentauth.org/problems/" + paymentProblems[d.Problem]
			p.Title = "Payment Required"
			p.ChallengeID, _ = c.Payload["id"].(string)
		case "x402":
			h.Set("PAYMENT-REQUIRED", c.Header)
			if legacy, ok := c.Legacy.(map[string]any); ok {
				p.X402Version, p.Accepts, p.Error = 1, legacy["accepts"], p.Detail
			}
		}
	}
}

// paymentInfo says how an operation can be paid by a wallet, as MPP's discovery
// has it (draft-payment-discovery-00); nil where that is not needed or not taken.
// Prices depend on the request, so a paid operation names none.
func paymentInfo(op *ops.Operation, terms []berth.Challenge) map[string]any {
	if len(terms) == 0 || op.Access != ops.Identified {
		return nil
	}
	var amount any = "0"
	if op.Priced || op.Credits {
		amount = nil
	}
	var offers []map[string]any
	for _, c := range terms {
		switch c.Rail {
		case "mpp":
			offer := map[string]any{"method": c.Payload["method"], "intent": c.Payload["intent"], "amount": amount}
			if request, ok := c.Payload["request"].(map[string]any); ok {
				offer["currency"] = request["currency"]
			}
			offers = append(offers, offer)
		case "x402":
			for _, entry := range listOf(c.Payload["accepts"]) {
				offers = append(offers, map[string]any{
					"method": "x402", "intent": "charge", "scheme": entry["scheme"], "network": entry["network"],
					"currency": entry["asset"], "amount": amount,
				})
			}
		}
	}
	return map[string]any{"offers": offers}
}

// listOf are the objects of a JSON list, of whatever type a rail made it.
func listOf(v any) (list []map[string]any) {
	b := jsonOf(v)
	if json.Unmarshal(b, &list) != nil {
		return nil
	}
	return list
}

// settlement is x402's answer about a payment.
type settlement struct {
	Success     bool   `json:"success"`
	ErrorReason string `json:"errorReason,omitempty"`
	Transaction string `json:"transaction"`
	Network     string `json:"network"`
	Payer       string `json:"payer"`
}

// legacyNetworks are the names that version 1 of x402 gives to networks.
var legacyNetworks = map[string]string{"eip155:8453": "base", "eip155:84532": "base-sepolia"}

// receipt puts a payment's receipt where its scheme's clients look for it.
func receipt(h http.Header, p *ops.Paid) {
	if p == nil {
		return
	}
	switch ops.Scheme(p.Scheme) {
	case ops.MPPScheme:
		h.Set("Cache-Control", "private")
		h.Set("Payment-Receipt", base64.RawURLEncoding.EncodeToString(jsonOf(map[string]any{
			"method": "tempo", "status": "success", "reference": first(p.Hash, p.Claim), "timestamp": p.At.UTC().Format(time.RFC3339),
		})))
	case ops.X402Scheme:
		h.Set("PAYMENT-RESPONSE", base64.StdEncoding.EncodeToString(jsonOf(settlement{
			Success: true, Transaction: p.Hash, Network: p.Network, Payer: p.Payer,
		})))
	case ops.X402V1Scheme:
		h.Set("X-PAYMENT-RESPONSE", base64.StdEncoding.EncodeToString(jsonOf(settlement{
			Success: true, Transaction: p.Hash, Network: first(legacyNetworks[p.Network], p.Network), Payer: p.Payer,
		})))
	}
}

// jsonOf is the JSON of a value that always has one.
func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("api: " + err.Error())
	}
	return b
}
