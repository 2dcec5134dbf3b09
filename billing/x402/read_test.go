package x402_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"berth/billing"
	"berth/billing/evm"
	"berth/billing/x402"
)

// vectors are credentials that public clients made: testdata/node.
type vectors struct {
	At         int64           `json:"at"`
	Payer      string          `json:"payer"`
	PayTo      string          `json:"payTo"`
	V2         json.RawMessage `json:"v2"`
	V2Header   string          `json:"v2Header"`
	V1         json.RawMessage `json:"v1"`
	V1Header   string          `json:"v1Header"`
	SIWX       json.RawMessage `json:"siwx"`
	SIWXHeader string          `json:"siwxHeader"`
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/credentials.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func fromHeader(t testing.TB, header string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestClientsCredentials: what the public clients make is taken, and its signer
// is found without asking the chain.
func TestClientsCredentials(t *testing.T) {
	v := readVectors(t)
	r := newRig(t)
	for _, c := range []struct {
		scheme string
		data   []byte
		amount int64
	}{
		{"x402/2", fromHeader(t, v.V2Header), 20_000},
		{"x402/2", v.V2, 20_000},
		{"x402/1", fromHeader(t, v.V1Header), 20_000},
		{"siwx", []byte(v.SIWXHeader), 0},
		{"siwx", v.SIWX, 0},
	} {
		claim, err := r.rail.Read(t.Context(), billing.Presented{Scheme: c.scheme, Data: c.data, Realm: realm, Resource: resource, At: time.Unix(v.At, 0)})
		if err != nil {
			t.Errorf("%s: %v", c.scheme, err)
			continue
		}
		if claim.Payer.Address != strings.ToLower(v.Payer) || claim.Payer.Chain != 0 || int64(claim.Amount) != c.amount {
			t.Errorf("%s: %s pays %d", c.scheme, claim.Payer, claim.Amount)
		}
		if !claim.Expires.Equal(time.Unix(v.At+300, 0)) {
			t.Errorf("%s: expires %s", c.scheme, claim.Expires)
		}
	}
	if n := r.chain.Asked("eth_getCode"); n != 0 {
		t.Errorf("the chain was asked %d times about wallets with keys", n)
	}
}

// TestOthersExtensions: what a client says beside the payment, in any shape, is
// no reason to refuse it.
func TestOthersExtensions(t *testing.T) {
	v := readVectors(t)
	r := newRig(t)
	data := edit(t, v.V2, "extensions", map[string]any{"a": true, "b": []int{1}, "payment-identifier": map[string]any{"info": map[string]any{"required": false}}})
	c, err := r.rail.Read(t.Context(), billing.Presented{Scheme: "x402/2", Data: data, Realm: realm, Resource: resource, At: time.Unix(v.At, 0)})
	if err != nil || c.Identifier != "" {
		t.Errorf("%q %v", c.Identifier, err)
	}
}

// TestOneNameForOnePayment: version 1 and 2 of an authorization are the same
// payment.
func TestOneNameForOnePayment(t *testing.T) {
	v := readVectors(t)
	r := newRig(t)
	at := time.Unix(v.At, 0)
	two, err := r.rail.Read(t.Context(), billing.Presented{Scheme: "x402/2", Data: v.V2, Realm: realm, Resource: resource, At: at})
	if err != nil {
		t.Fatal(err)
	}
	one, err := r.rail.Read(t.Context(), billing.Presented{Scheme: "x402/1", Data: v.V1, Realm: realm, Resource: resource, At: at})
	if err != nil {
		t.Fatal(err)
	}
	if one.Unique != two.Unique || len(one.Unique) > 200 {
		t.Errorf("%q and %q", one.Unique, two.Unique)
	}
}

// edit changes one member of a JSON object, by its path.
func edit(t *testing.T, text []byte, path string, value any) []byte {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	at, parts := whole, strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		at = at[p].(map[string]any)
	}
	if value == nil {
		delete(at, parts[len(parts)-1])
	} else {
		at[parts[len(parts)-1]] = value
	}
	out, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRefusedPayments: each credential differs from a good one in one thing.
func TestRefusedPayments(t *testing.T) {
	v := readVectors(t)
	var good struct {
		Payload struct {
			Signature string `json:"signature"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(v.V2, &good); err != nil {
		t.Fatal(err)
	}
	s := good.Payload.Signature
	for _, c := range []struct {
		path   string
		value  any
		want   billing.Problem
		legacy bool
	}{
		{path: "x402Version", value: 1, want: billing.Malformed},
		{path: "x402Version", value: "2", want: billing.Malformed},
		{path: "accepted", value: nil, want: billing.Malformed},
		{path: "accepted.scheme", value: "upto", want: billing.Unsupported},
		{path: "accepted.network", value: "eip155:8453", want: billing.Unsupported},
		{path: "accepted.network", value: "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", want: billing.Unsupported},
		{path: "accepted.amount", value: "10000", want: billing.Mismatched},
		{path: "accepted.asset", value: "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", want: billing.Mismatched},
		{path: "accepted.payTo", value: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", want: billing.Mismatched},
		{path: "accepted.maxTimeoutSeconds", value: 60, want: billing.Mismatched},
		{path: "accepted.extra.name", value: "USD Coin", want: billing.Mismatched},
		{path: "accepted.extra.paymentFlow", value: nil, want: billing.Mismatched},
		{path: "payload.authorization.to", value: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", want: billing.Mismatched},
		{path: "payload.authorization.from", value: payTo, want: billing.Mismatched},
		{path: "payload.authorization.from", value: "0x0000000000000000000000000000000000000001", want: billing.Unverified},
		{path: "payload.authorization.from", value: "0x70997970c51812dc3a010c7d01b50e0d17dc79", want: billing.Malformed},
		{path: "payload.authorization.from", value: "0x70997970C51812dc3A010C7d01b50e0d17dc79c8", want: billing.Malformed}, // checksum
		{path: "payload.authorization.value", value: "19999", want: billing.Mismatched},
		{legacy: true, path: "payload.authorization.value", value: "-1", want: billing.Malformed},
		{legacy: true, path: "payload.authorization.value", value: "0x4e20", want: billing.Malformed},
		{path: "payload.authorization.value", value: 20000, want: billing.Malformed},
		{legacy: true, path: "payload.authorization.value", value: strings.Repeat("9", 79), want: billing.Malformed},
		{path: "payload.authorization.validBefore", value: "1795312005", want: billing.Unverified},
		{path: "payload.authorization.validBefore", value: "1795398401", want: billing.Mismatched},
		{path: "payload.authorization.validBefore", value: "99999999999999999999", want: billing.Mismatched},
		{path: "payload.authorization.validAfter", value: "1795312001", want: billing.Unverified},
		{path: "payload.authorization.validAfter", value: "1", want: billing.Unverified},
		{path: "payload.authorization.nonce", value: "0x07", want: billing.Malformed},
		{path: "payload.authorization.nonce", value: "0x" + strings.Repeat("08", 32), want: billing.Unverified},
		{path: "payload.signature", value: s[:len(s)-2], want: billing.Unverified},
		{path: "payload.signature", value: s[:len(s)-2] + "00", want: billing.Unverified},
		{path: "payload.signature", value: s + "00", want: billing.Unverified},
		{path: "payload.signature", value: s[2:], want: billing.Malformed},
		{path: "payload.signature", value: "0x", want: billing.Unverified},
		{path: "payload.signature", value: "0x" + strings.Repeat("00", 65), want: billing.Unverified},
		{path: "payload.signature", value: s[:66] + strings.Repeat("f", 62) + s[128:], want: billing.Unverified}, // high s
		{path: "payload.signature", value: s + strings.Repeat("6492", 16), want: billing.Unsupported},
		{path: "payload.signature", value: "0x" + strings.Repeat("00", 5000), want: billing.Malformed},
		{path: "extensions", value: map[string]any{"payment-identifier": map[string]any{"info": map[string]any{"id": "short"}}}, want: billing.Malformed},
		{path: "extensions", value: map[string]any{"payment-identifier": map[string]any{"info": map[string]any{"id": strings.Repeat("é", 16)}}}, want: billing.Malformed},
		{path: "extensions", value: map[string]any{"payment-identifier": map[string]any{"info": 7}}, want: billing.Malformed},
		{path: "resource", value: map[string]any{"url": strings.Repeat("x", 17<<10)}, want: billing.Malformed},
		{legacy: true, path: "x402Version", value: 2, want: billing.Malformed},
		{legacy: true, path: "scheme", value: "upto", want: billing.Unsupported},
		{legacy: true, path: "network", value: "base", want: billing.Unsupported},
		{legacy: true, path: "network", value: "eip155:84532", want: billing.Unsupported},
		{legacy: true, path: "payload.authorization.value", value: "1", want: billing.Unverified},
		{legacy: true, path: "payload.authorization.value", value: "0", want: billing.Mismatched},
		{legacy: true, path: "payload.authorization.value", value: "99999999999999999999", want: billing.Mismatched},
	} {
		text, scheme := v.V2, "x402/2"
		if c.legacy {
			text, scheme = v.V1, "x402/1"
		}
		r := newRig(t)
		_, err := r.rail.Read(t.Context(), billing.Presented{Scheme: scheme, Data: edit(t, text, c.path, c.value), Realm: realm, Resource: resource, At: time.Unix(v.At, 0)})
		if problem(err) != c.want {
			t.Errorf("%s %s = %.60v: %v, want %s", scheme, c.path, c.value, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), s[10:40]) {
			t.Errorf("%s: the refusal tells the signature", c.path)
		}
	}
}

// TestTooLate: what is out of time is read, for its payment may be under way or
// have its answer, and buys nothing.
func TestTooLate(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	for _, c := range []struct {
		after, before time.Duration
		want          billing.Problem
	}{
		{-time.Minute, 7 * time.Second, ""},
		{-time.Minute, 4 * time.Second, billing.Expired},
		{-time.Hour, -time.Minute, billing.Expired},
		{time.Minute, 2 * time.Minute, billing.Expired},
	} {
		r.wallet.Tamper = func(a *evm.Authorization) {
			a.ValidAfter, a.ValidBefore = units(now.Add(c.after).Unix()), units(now.Add(c.before).Unix())
		}
		a := ask(20_000)
		a.At = now
		credential, err := r.wallet.Pay(r.offer(a), now)
		if err != nil {
			t.Fatal(err)
		}
		claim, err := r.read("x402/2", credential)
		if err == nil {
			err = r.rail.Match(claim, a)
		}
		if problem(err) != c.want || (c.want == "" && err != nil) {
			t.Errorf("valid from %s to %s: %v, want %q", c.after, c.before, err, c.want)
		}
	}
}

func TestRefusedBytes(t *testing.T) {
	v := readVectors(t)
	r := newRig(t)
	for name, data := range map[string]string{
		"nothing": "", "text": "hello", "an array": "[]", "two values": string(v.V2) + "{}", "half": string(v.V2[:200]), "null": "null",
	} {
		for _, scheme := range []string{"x402/2", "x402/1", "siwx"} {
			_, err := r.rail.Read(t.Context(), billing.Presented{Scheme: scheme, Data: []byte(data), Realm: realm, Resource: resource, At: time.Unix(v.At, 0)})
			if problem(err) != billing.Malformed {
				t.Errorf("%s as %s: %v", name, scheme, err)
			}
		}
	}
	if _, err := r.read("mpp", v.V2); problem(err) != billing.Unsupported {
		t.Errorf("another rail's credential: %v", err)
	}
}

func TestRefusedSignIns(t *testing.T) {
	v := readVectors(t)
	for _, c := range []struct {
		path  string
		value any
		want  billing.Problem
	}{
		{"domain", "evil.example", billing.Mismatched},
		{"domain", "BERTH.example", billing.Mismatched},
		{"domain", "berth.example:8443", billing.Mismatched},
		{"uri", "https://evil.example/", billing.Mismatched},
		{"uri", "http://berth.example/v1/servers", billing.Mismatched},
		{"uri", "https://berth.example@evil.example/", billing.Mismatched},
		{"uri", "mcp://berth.example/", billing.Mismatched},
		{"uri", "https://berth.example/other", billing.Unverified},
		{"version", "2", billing.Unsupported},
		{"type", "ed25519", billing.Unsupported},
		{"chainId", "eip155:1", billing.Unsupported},
		{"nonce", "short", billing.Malformed},
		{"nonce", "with spaces in it", billing.Malformed},
		{"nonce", "b1b2c3d4e5f67890a1b2c3d4e5f67890", billing.Unverified},
		{"statement", "Sign\nin", billing.Malformed},
		{"statement", "Give me everything.", billing.Unverified},
		{"issuedAt", "yesterday", billing.Malformed},
		{"issuedAt", "2026-11-22T01:46:40.001Z", billing.Expired},
		{"issuedAt", "2026-11-22T01:41:40.000Z", billing.Expired},
		{"expirationTime", "2026-11-22T01:46:40.000Z", billing.Expired},
		{"expirationTime", nil, billing.Unverified},
		{"notBefore", "2026-11-22T01:46:41.000Z", billing.Expired},
		{"address", "0x0000000000000000000000000000000000000001", billing.Unverified},
		{"address", "me", billing.Malformed},
		{"signature", "0x12", billing.Unverified},
		{"resources", make([]string, 17), billing.Malformed},
	} {
		r := newRig(t)
		header := base64.StdEncoding.EncodeToString(edit(t, v.SIWX, c.path, c.value))
		_, err := r.rail.Read(t.Context(), billing.Presented{Scheme: "siwx", Data: []byte(header), Realm: realm, Resource: resource, At: time.Unix(v.At, 0)})
		if problem(err) != c.want {
			t.Errorf("%s = %v: %v, want %s", c.path, c.value, err, c.want)
		}
	}
}

// TestOffersArePaid: what a wallet makes of an offer is read as what was asked.
func TestOffersArePaid(t *testing.T) {
	r := newRig(t)
	r.wallet.Identifier = "pay_7d5d747be160e280504c099d984bcfe0"
	a := ask(20_000)
	offer := r.offer(a)
	claim := func(scheme string, data []byte, err error) billing.Claim {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.read(scheme, data)
		if err != nil {
			t.Fatal(err)
		}
		if c.Payer.Address != strings.ToLower(r.wallet.Address()) {
			t.Errorf("%s: signed by %s", scheme, c.Payer)
		}
		return c
	}
	two, err := r.wallet.Pay(offer, time.Now())
	v2 := claim("x402/2", two, err)
	if v2.Identifier != r.wallet.Identifier {
		t.Errorf("identifier %q", v2.Identifier)
	}
	one, err := r.wallet.PayLegacy(offer, time.Now())
	v1 := claim("x402/1", one, err)
	sign, err := r.wallet.SignIn(offer)
	proof := claim("siwx", []byte(sign), err)
	for _, c := range []billing.Claim{v1, v2} {
		if err := r.rail.Match(c, a); err != nil {
			t.Error(err)
		}
		dearer := a
		dearer.Amount++
		if err := r.rail.Match(c, dearer); problem(err) != billing.Mismatched {
			t.Errorf("a payment of too little: %v", err)
		}
	}
	free := a
	free.Amount = 0
	if err := r.rail.Match(proof, free); err != nil {
		t.Error(err)
	}
	free.Realm = "elsewhere.example"
	if err := r.rail.Match(proof, free); problem(err) != billing.Mismatched {
		t.Errorf("a sign-in for another host: %v", err)
	}
}

// TestSignInAtAPort: an origin with a port is offered and taken as it is.
func TestSignInAtAPort(t *testing.T) {
	r := newRig(t)
	a := ask(0)
	a.Realm, a.Resource = "127.0.0.1", "http://127.0.0.1:8080/v1/servers"
	header, err := r.wallet.SignIn(r.offer(a))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]billing.Problem{
		a.Resource: "", "http://127.0.0.1:8081/": billing.Mismatched, "https://127.0.0.1:8080/": billing.Mismatched, "mcp://tool/x": billing.Unsupported,
	} {
		c, err := r.rail.Read(t.Context(), billing.Presented{Scheme: "siwx", Data: []byte(header), Realm: a.Realm, Resource: at, At: time.Now()})
		if problem(err) != want || (want == "" && (err != nil || r.rail.Match(c, a) != nil)) {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

// TestOfferShape: the header is the payload, a free offer accepts no payment,
// and what HTTP alone can do is not offered elsewhere.
func TestOfferShape(t *testing.T) {
	r := newRig(t)
	offer := r.offer(ask(20_000))
	var header, payload any
	if err := json.Unmarshal(fromHeader(t, offer.Header), &header); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(offer.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &payload); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(header, payload) {
		t.Error("the header is not the payload")
	}
	if len(offer.Header) > 6<<10 {
		t.Errorf("a header of %d bytes", len(offer.Header))
	}
	free := r.offer(ask(0))
	if len(free.Payload["accepts"].([]any)) != 0 || free.Legacy != nil {
		t.Error("a free offer accepts payments")
	}
	tool := ask(20_000)
	tool.Resource = "mcp://tool/create_server"
	if _, ok := r.offer(tool).Payload["extensions"].(map[string]any)["sign-in-with-x"]; ok {
		t.Error("a sign-in is offered where no header can carry it")
	}
	tool.Amount = 0
	if _, err := r.rail.Offer(tool); err == nil {
		t.Error("a sign-in is asked for over MCP")
	}
}

// TestContractWallets: the contract's word counts, and the wallet is one of its
// chain.
func TestContractWallets(t *testing.T) {
	r := newRig(t)
	contract := evm.Address{0xc0, 0xde}
	r.wallet.Tamper = func(a *evm.Authorization) { a.From = contract }
	credential, err := r.wallet.Pay(r.offer(ask(20_000)), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.read("x402/2", credential); problem(err) != billing.Unverified {
		t.Errorf("for a wallet without code: %v", err)
	}
	r.chain.Deploy(contract, r.wallet.Key.Address())
	if _, err := r.read("x402/2", credential); problem(err) != billing.Unverified {
		t.Errorf("a signature that the contract does not know: %v", err)
	}
	var p struct {
		Payload struct {
			Signature string `json:"signature"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(credential, &p); err != nil {
		t.Fatal(err)
	}
	wrapped := "0x" + strings.ToLower(r.wallet.Address()[2:]) + p.Payload.Signature[2:]
	credential = edit(t, credential, "payload.signature", wrapped)
	claim, err := r.read("x402/2", credential)
	if err != nil {
		t.Fatal(err)
	}
	if claim.Payer.Chain != 84532 {
		t.Errorf("the wallet is %s", claim.Payer)
	}
	r.chain.Fund(contract, 20_000)
	if err := r.rail.Verify(t.Context(), claim); err != nil {
		t.Error(err)
	}
	if o, err := r.submit(claim, time.Minute); err != nil || o.State != billing.Settled {
		t.Errorf("%+v %v", o, err)
	}
	r.paid(20_000)
}

func TestSettings(t *testing.T) {
	good := x402.Options{RPC: "http://127.0.0.1:1", Network: "eip155:84532", PayTo: payTo, Settler: settlerSecret}
	for name, change := range map[string]func(*x402.Options){
		"no network":          func(o *x402.Options) { o.Network = "base-sepolia" },
		"network zero":        func(o *x402.Options) { o.Network = "eip155:0" },
		"network with a zero": func(o *x402.Options) { o.Network = "eip155:084532" },
		"no asset":            func(o *x402.Options) { o.Network = "eip155:31337" },
		"no payee":            func(o *x402.Options) { o.PayTo = "" },
		"payee nobody":        func(o *x402.Options) { o.PayTo = "0x0000000000000000000000000000000000000000" },
		"payee the token":     func(o *x402.Options) { o.PayTo = "0x036CbD53842c5426634e7929541eC2318f3dCF7e" },
		"no settler":          func(o *x402.Options) { o.Settler = "" },
		"bad settler":         func(o *x402.Options) { o.Settler = settlerSecret[:60] },
		"both":                func(o *x402.Options) { o.Facilitator = "https://f.example" },
		"no node":             func(o *x402.Options) { o.RPC = "" },
		"node by file":        func(o *x402.Options) { o.RPC = "file:///secret" },
		"timeout":             func(o *x402.Options) { o.Timeout = time.Second },
	} {
		o := good
		change(&o)
		_, err := x402.New(o)
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), settlerSecret[2:20]) || strings.Contains(err.Error(), "secret") && name != "no settler" {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	v := readVectors(f)
	f.Add("x402/2", []byte(v.V2))
	f.Add("x402/1", []byte(v.V1))
	f.Add("siwx", []byte(v.SIWXHeader))
	f.Add("x402/2", []byte(`{"x402Version":2,"accepted":{},"payload":null}`))
	rail, err := x402.New(x402.Options{RPC: "http://127.0.0.1:1", Network: "eip155:84532", PayTo: payTo, Settler: settlerSecret, Transport: deaf{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, scheme string, data []byte) {
		c, err := rail.Read(t.Context(), billing.Presented{Scheme: scheme, Data: data, Realm: realm, Resource: resource, At: time.Unix(v.At, 0)})
		if err == nil && (c.Unique == "" || len(c.Unique) > 200 || c.Payer.Address == "" || len(c.Payload) > 16<<10 || c.Amount < 0) {
			t.Errorf("a claim out of bounds: %+v", c)
		}
	})
}
