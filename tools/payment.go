package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"berth"
	"berth/ops"
)

// The names under which payments travel in _meta: MPP's by its MCP transport
// (draft-payment-transport-mcp-00), x402's by its transport for MCP, version 2.
const (
	mppCredential = "org.paymentauth/credential" //nolint:gosec // a name
	mppReceipt    = "org.paymentauth/receipt"
	mppRequired   = "org.paymentauth/payment-required"
	x402Payment   = "x402/payment"
	x402Response  = "x402/payment-response"
)

// The errors of the protocol that MPP defines, for clients that announced
// payments: others would take the first one for something else.
const (
	paymentRequired = -32042
	paymentRejected = -32043
)

// wallets are the credentials of wallets that came with a call.
func wallets(meta *mcp.Meta) (list []ops.Credential) {
	if meta == nil {
		return nil
	}
	for name, v := range meta.AdditionalFields {
		var scheme ops.Scheme
		switch name {
		case mppCredential:
			scheme = ops.MPPScheme
		case x402Payment:
			scheme = x402Scheme(v)
		default:
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			text = nil // it came as JSON; an empty credential is refused
		}
		list = append(list, ops.Credential{Scheme: scheme, Token: string(text)})
	}
	return list
}

func x402Scheme(v any) ops.Scheme {
	if m, ok := v.(map[string]any); ok && m["x402Version"] == float64(1) {
		return ops.X402V1Scheme
	}
	return ops.X402Scheme
}

// paidMeta puts a payment's receipt where its scheme's clients look for it.
func paidMeta(meta map[string]any, p *ops.Paid) {
	if p == nil {
		return
	}
	switch ops.Scheme(p.Scheme) {
	case ops.MPPScheme:
		reference := p.Hash
		if reference == "" {
			reference = p.Claim
		}
		meta[mppReceipt] = map[string]any{
			"method": "tempo", "status": "success", "reference": reference, "challengeId": p.Claim,
			"timestamp": p.At.UTC().Format(time.RFC3339),
		}
	case ops.X402Scheme, ops.X402V1Scheme:
		meta[x402Response] = map[string]any{"success": true, "transaction": p.Hash, "network": p.Network, "payer": p.Payer}
	}
}

// unpaid answers a call that has to be paid for, in the form of every rail at
// once: x402's as the result's structure and text, MPP's in _meta, or as the
// protocol's own error where the client announced that it pays.
func unpaid(ctx context.Context, e *berth.Error) (*mcp.CallToolResult, error) {
	problem := problemOf(e)
	// The offers stand where each rail's clients look for them: once is enough.
	demand := *e.Payment
	demand.Challenges = []berth.Challenge{}
	problem.Payment = &demand
	body := map[string]any{"error": problem}
	meta := map[string]any{}
	if i := slices.IndexFunc(e.Payment.Challenges, func(c berth.Challenge) bool { return c.Rail == "mpp" }); i >= 0 && announced(ctx) {
		return nil, demanded(ctx, e, e.Payment.Challenges[i], problem)
	}
	for _, c := range e.Payment.Challenges {
		switch c.Rail {
		case "mpp":
			meta[mppRequired] = map[string]any{"challenges": []any{c.Payload}}
		case "x402":
			body = maps.Clone(c.Payload)
			body["error"], body["berth"] = e.Message, problem
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write a demand: %w", err)
	}
	out := mcp.NewToolResultStructured(json.RawMessage(text), string(text))
	out.IsError = true
	if len(meta) > 0 {
		out.Meta = mcp.NewMetaFromMap(meta)
	}
	return out, nil
}

// announced tells whether the client said that it pays.
func announced(ctx context.Context) bool {
	s, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
	if !ok {
		return false
	}
	_, pays := s.GetClientCapabilities().Experimental["payment"]
	return pays
}

func demanded(ctx context.Context, e *berth.Error, c berth.Challenge, problem toolError) error {
	code, title, kind := paymentRequired, "Payment Required", "payment-required"
	if e.Code == berth.PaymentRejected {
		code, title, kind = paymentRejected, "Payment Verification Failed", "verification-failed"
	}
	data := map[string]any{
		"httpStatus": 402, "challenges": []any{c.Payload}, "berth": problem,
		"problem": map[string]any{
			"type": "https://paymentauth.org/problems/" + kind, "title": title, "status": 402,
			"detail": e.Message, "challengeId": c.Payload["id"],
		},
	}
	for _, other := range e.Payment.Challenges {
		if other.Rail == "x402" { // where mppx's servers put it
			data["x402"] = other.Payload
		}
	}
	return Refuse(ctx, code, title, data)
}
