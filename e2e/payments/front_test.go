package payments

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	"berth"
	"berth/api"
	"berth/billing/mpp/mpptest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/tools"
)

type credsKey struct{}

// credential is what a wallet signed, as its rail has it.
type credential struct {
	scheme string // as ops.Scheme
	data   []byte
}

// request is one call of an agent's.
type request struct {
	op      string
	args    opstest.Args
	key     string // idempotency key
	host    string // empty: the shop's
	front   string // empty: the shop's
	creds   []ops.Credential
	wallets []credential
}

// answer is what a front answered, in one form for all.
type answer struct {
	status     int
	code       berth.Code // empty where it is no error
	problem    string     // why a credential was refused
	challenge  any        // MPP's: its header's text, or the object of MCP
	offer      *berth.Challenge
	retryAfter int
	receipt    bool
	out        map[string]any
	text       string
}

// fresh tells whether the answer invites to sign again.
func (a answer) fresh() bool { return a.challenge != nil || a.offer != nil }

// call makes a request over its front.
func (s *shop) call(r request) answer {
	s.t.Helper()
	if r.host == "" {
		r.host = host
	}
	if r.front == "" {
		r.front = s.front
	}
	for _, c := range r.wallets {
		s.hideCredential(c)
	}
	var a answer
	if r.front == "mcp" {
		a = s.overMCP(r)
	} else {
		a = s.overHTTP(r)
	}
	if a.code != "" {
		s.heard(a.text)
	}
	return a
}

func (s *shop) overHTTP(r request) answer {
	s.t.Helper()
	op := s.System.Table().Lookup(r.op)
	route := op.Routes[0]
	path := route.Path
	body := opstest.Args{}
	for name, v := range r.args {
		if hole := "{" + name + "}"; strings.Contains(path, hole) {
			path = strings.Replace(path, hole, v.(string), 1)
		} else {
			body[name] = v
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(body) == 0 || !route.HasBody() {
		text = nil
	}
	req := httptest.NewRequest(route.Method, "http://"+r.host+path, bytes.NewReader(text))
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	for _, c := range r.wallets {
		req.Header.Add(headerOf(c))
	}
	w := httptest.NewRecorder()
	s.web.ServeHTTP(w, req.WithContext(context.WithValue(s.t.Context(), credsKey{}, r.creds)))
	return s.readHTTP(w)
}

func headerOf(c credential) (name, value string) {
	switch c.scheme {
	case "mpp":
		return "Authorization", mpptest.Authorization(c.data)
	case "x402/1":
		return "X-Payment", base64.StdEncoding.EncodeToString(c.data)
	case "siwx":
		return "Sign-In-With-X", string(c.data)
	}
	return "Payment-Signature", base64.StdEncoding.EncodeToString(c.data)
}

func (s *shop) readHTTP(w *httptest.ResponseRecorder) answer {
	s.t.Helper()
	h := w.Header()
	a := answer{status: w.Code, text: w.Body.String()}
	a.receipt = h.Get("Payment-Receipt")+h.Get("PAYMENT-RESPONSE")+h.Get("X-PAYMENT-RESPONSE") != ""
	if v := h.Get("WWW-Authenticate"); strings.HasPrefix(v, "Payment ") {
		a.challenge = v
	}
	if v := h.Get("PAYMENT-REQUIRED"); v != "" {
		a.offer = &berth.Challenge{}
		b, err := base64.StdEncoding.DecodeString(v)
		if err == nil {
			err = json.Unmarshal(b, &a.offer.Payload)
		}
		if err != nil {
			s.t.Fatalf("PAYMENT-REQUIRED: %v", err)
		}
	}
	if !strings.HasPrefix(h.Get("Content-Type"), "application/problem+json") {
		s.decode(w.Body.Bytes(), &a.out)
		return a
	}
	var p api.Problem
	s.decode(w.Body.Bytes(), &p)
	a.code, a.retryAfter = p.Code, p.RetryAfter
	if p.Payment != nil {
		a.problem = p.Payment.Problem
	}
	if a.offer != nil && p.X402Version == 1 {
		a.offer.Legacy = map[string]any{"accepts": p.Accepts}
	}
	if (h.Get("Retry-After") != "") != (a.retryAfter > 0) {
		s.t.Errorf("Retry-After %q beside %d", h.Get("Retry-After"), a.retryAfter)
	}
	if w.Code == http.StatusPaymentRequired && h.Get("Cache-Control") != "no-store" {
		s.t.Errorf("a 402 may be cached: %q", h.Get("Cache-Control"))
	}
	return a
}

func (s *shop) decode(text []byte, into any) {
	s.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%.300s: %v", text, err)
	}
}

func (s *shop) overMCP(r request) answer {
	s.t.Helper()
	args := opstest.Args{}
	for name, v := range r.args {
		args[name] = v
	}
	if r.key != "" {
		args["idempotency_key"] = r.key
	}
	if op := s.System.Table().Lookup(r.op); op.Long && len(args) > 0 {
		args["wait_seconds"] = 0.0
	}
	meta := map[string]any{}
	for _, c := range r.wallets {
		name := "x402/payment"
		if c.scheme == "mpp" {
			name = "org.paymentauth/credential"
		}
		meta[name] = json.RawMessage(c.data)
		if !json.Valid(c.data) { // what a client sends that has lost half of it
			meta[name] = string(c.data)
		}
	}
	message, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": r.op, "arguments": args, "_meta": meta},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx := tools.WithCaller(s.t.Context(), tools.Caller{Creds: r.creds, Toolsets: []string{"all"}, Realm: r.host})
	text, err := json.Marshal(s.mcp.HandleMessage(ctx, message))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.readMCP(text)
}

func (s *shop) readMCP(text []byte) answer {
	s.t.Helper()
	var in struct {
		Result struct {
			IsError    bool           `json:"isError"`
			Structured map[string]any `json:"structuredContent"`
			Meta       map[string]any `json:"_meta"`
		}
	}
	s.decode(text, &in)
	a := answer{text: string(text), status: http.StatusOK, out: in.Result.Structured}
	a.receipt = in.Result.Meta["org.paymentauth/receipt"] != nil || in.Result.Meta["x402/payment-response"] != nil
	if !in.Result.IsError {
		return a
	}
	if required, ok := in.Result.Meta["org.paymentauth/payment-required"].(map[string]any); ok {
		a.challenge = required["challenges"].([]any)[0]
	}
	problem, ok := in.Result.Structured["error"].(map[string]any)
	if !ok {
		problem, _ = in.Result.Structured["berth"].(map[string]any)
		a.offer = &berth.Challenge{Payload: in.Result.Structured}
	}
	code, _ := problem["code"].(string)
	retry, _ := problem["retry_after_seconds"].(float64)
	a.code, a.retryAfter, a.out = berth.Code(code), int(retry), nil
	a.status = api.Status(a.code)
	if p, ok := problem["payment"].(map[string]any); ok {
		a.problem, _ = p["problem"].(string)
	}
	return a
}
