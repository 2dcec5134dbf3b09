package mpp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"berth/billing"
	"berth/billing/evm"
)

// What mppx 0.11.0 signed with viem 2.56.9 and the first key of anvil, for
// challenges "testchallenge25000" and "testchallenge0" of api.example.com.
const (
	mppxPayer       = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
	mppxTransaction = "0x76f9010482a5bf843b9aca008447868c08830c0a08f87ef87c9420c000000000000000000000000000000000000080b86495777d5900000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c800000000000000000000000000000000000000000000000000000000000061a8ef1ed712011ece072f76bd8b82350e00000000000000000000e0f051c677e47ac0a0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff80846b028f9084639afca48080c0b841cd1c61c04e453103031bf402c71920e86f2e0e517363059706dc50f6eb1e335d26d5d8fcc4cae25c502106fbd55f1cafdac1e7b3a4b85d02f07ffea0f5a1759a1b"
	mppxSponsored   = "0x78f9011882a5bf843b9aca008447868c08830c0a08f87ef87c9420c000000000000000000000000000000000000080b86495777d5900000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c800000000000000000000000000000000000000000000000000000000000061a8ef1ed712011ece072f76bd8b82350e00000000000000000000e0f051c677e47ac0a0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff80846b028f908428a93f368094f39fd6e51aad88f6f4ce6ab8827279cfffb92266c0b84175180706d5a2d3551308766d59369328b93a1645f44e51f37f2a90dc66be085d4e97dd29e52eeb76123fe74063c641951fe83b232a0925b3a3066e20dc285d851b"
	mppxProof       = "0x29b8488cc25e4b5926e96e531f7912ad935f9fd978962cbb9bf478c2da66c8db30d757f9521be9595bff4d43e1bd3663a10617cdd87d1207797ca85d62ca31891b"
)

func TestChallengeID(t *testing.T) {
	c := challenge{Realm: "api.example.com", Method: "tempo", Intent: "charge", Request: encode(map[string]any{"amount": "1000000"})}
	if got, want := c.mac([]byte("test-vector-secret")), "X6v1eo7fJ76gAxqY0xN9Jd__4lUyDDYmriryOM-5FO4"; got != want {
		t.Errorf("id %s, not %s", got, want)
	}
}

func TestProofDigest(t *testing.T) {
	account, err := evm.ParseAddress("0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1")
	if err != nil {
		t.Fatal(err)
	}
	got := proofDigest(42431, account, "kM9xPqWvT2nJrHsY4aDfEb", "api.example.com").Hex()
	if want := "0x3860a700a55e02ad3c2dc047e92489feceecbdb0a801d948e1d9f0b61ea9bc3f"; got != want {
		t.Errorf("digest %s, not %s", got, want)
	}
}

func TestTransferVectors(t *testing.T) {
	if got := hexutil.Encode(transfer{}.calldata()[:4]); got != "0x95777d59" {
		t.Errorf("selector %s", got)
	}
	if got := transferTopic.Hex(); got != "0x57bc7354aa85aed339e000bccffabbc529466af35f0772c8f8ee1145927de7f0" {
		t.Errorf("topic %s", got)
	}
	if got := evm.Keccak([]byte("mpp")); string(got[:4]) != string(memoTag[:4]) {
		t.Errorf("tag %s", got)
	}
	if got := hexutil.Encode(evm.Calldata("getKey(address,address)")); got != "0xbc298553" {
		t.Errorf("selector %s", got)
	}
	if got := hexutil.Encode(insufficient); got != "0x832f98b5" {
		t.Errorf("selector %s", got)
	}
}

// TestMppx: this package reads what the reference client writes.
func TestMppx(t *testing.T) {
	payer, err := evm.ParseAddress(mppxPayer)
	if err != nil {
		t.Fatal(err)
	}
	c := challenge{ID: "testchallenge25000", Realm: "api.example.com"}
	ch := charge{amount: 25_000, chain: 42431}
	if ch.currency, err = evm.ParseAddress("0x20c0000000000000000000000000000000000000"); err != nil {
		t.Fatal(err)
	}
	if ch.recipient, err = evm.ParseAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		text  string
		payer gasPayer
	}{
		"its own gas": {mppxTransaction, paidBySender},
		"our gas":     {mppxSponsored, paidByUs},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := decodeTransaction(hexutil.MustDecode(want.text))
			if err != nil {
				t.Fatal(err)
			}
			if tx.from.account != payer || tx.payer != want.payer || tx.chain != 42431 || tx.nonceKey.Cmp(expiringNonce) != 0 {
				t.Errorf("transaction %+v", tx)
			}
			if _, err := tx.payment(&c, ch); err != nil {
				t.Error(err)
			}
			if got := hexutil.Encode(tx.raw()); want.payer == paidBySender && got != want.text {
				t.Errorf("it is sent as %s", got)
			}
		})
	}
	digest := proofDigest(42431, payer, "testchallenge0", "api.example.com")
	if who, err := recoverSigner(digest, hexutil.MustDecode(mppxProof)); err != nil || who.account != payer {
		t.Errorf("proof by %s, error %v", who.account, err)
	}
}

func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		`{"b":1,"a":[true,null,{"d":-2,"c":""}]}`:        `{"a":[true,null,{"c":"","d":-2}],"b":1}`,
		`{"x":"\u2028<&>\u00e9\/"}`:                      "{\"x\":\"\u2028<&>é/\"}",
		`{"x":"\"\\\b\t\n\f\r\u0001\u007f"}`:             "{\"x\":\"\\\"\\\\\\b\\t\\n\\f\\r\\u0001\x7f\"}",
		`{"\u20ac":1,"\ud83d\ude00":2,"\ufb33":3,"1":4}`: "{\"1\":4,\"€\":1,\"😀\":2,\"\ufb33\":3}", // by UTF-16 units
	} {
		object, err := decodeObject([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := canonical(object); got != want {
			t.Errorf("%s became %s, not %s", text, got, want)
		}
	}
}

func TestHeader(t *testing.T) {
	r, err := New(Options{
		RPC: "http://127.0.0.1:1", Chain: 42431, Recipient: mppxPayer, Currency: "0x20c0000000000000000000000000000000000000",
		Secret: []byte(strings.Repeat("s", 32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := billing.Ask{
		Operation: "create_server", Amount: 25_000, Realm: "127.0.0.1:8080", Binding: "YmluZGluZw",
		Description: "a \"small\" server \\ 1 h\r\nSet-Cookie: x=é", At: time.Date(2026, 11, 22, 1, 41, 54, 760e6, time.UTC),
	}
	offer, err := r.Offer(ask)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`Payment id="`, `, realm="127.0.0.1:8080", method="tempo", intent="charge", request="`,
		`, expires="2026-11-22T01:46:54.760Z", opaque="`, `, description="a \"small\" server \\ 1 h  Set-Cookie: x=?"`,
	} {
		if !strings.Contains(offer.Header, part) {
			t.Errorf("%s is not in %s", part, offer.Header)
		}
	}
	if len(offer.Header) > 1500 || strings.ContainsAny(offer.Header, "\r\n") {
		t.Errorf("header %q", offer.Header)
	}
	request := offer.Payload["request"].(map[string]any)
	if request["amount"] != "25000" || request["methodDetails"].(map[string]any)["chainId"] != int64(42431) {
		t.Errorf("request %v", request)
	}
	if again, err := r.Offer(ask); err != nil || again.Payload["id"] == offer.Payload["id"] {
		t.Errorf("the same challenge twice, or error %v", err)
	}
	for name, change := range map[string]func(*billing.Ask){
		"no realm":          func(a *billing.Ask) { a.Realm = "" },
		"a bar":             func(a *billing.Ask) { a.Realm = "a|b" },
		"a quote":           func(a *billing.Ask) { a.Realm = `a"b` },
		"less than nothing": func(a *billing.Ask) { a.Amount = -1 },
	} {
		bad := ask
		change(&bad)
		if _, err := r.Offer(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestNoAmbiguity: fields that hold the bar could be read in two ways.
func TestNoAmbiguity(t *testing.T) {
	secret := []byte("s")
	c := challenge{Realm: "a", Method: method, Intent: intent, Request: "r", Expires: "e|", Digest: "", Opaque: "o"}
	c.ID = c.mac(secret)
	if c.minted([][]byte{secret}) {
		t.Error("a bar was taken")
	}
	c.Expires = "e"
	c.ID = c.mac(secret)
	if !c.minted([][]byte{[]byte("other"), secret}) {
		t.Error("a former secret was not taken")
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{
		RPC: "https://rpc.example.com/key", Chain: 4217, Recipient: mppxPayer,
		Currency: "0x20C000000000000000000000b9537d11c60E8b50", Secret: []byte(strings.Repeat("s", 32)),
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"RPC":          func(o *Options) { o.RPC = "ftp://x" },
		"chain":        func(o *Options) { o.Chain = 0 },
		"recipient":    func(o *Options) { o.Recipient = "0x0000000000000000000000000000000000000000" },
		"currency":     func(o *Options) { o.Currency = "USDC" },
		"secret":       func(o *Options) { o.Secret = []byte("short") },
		"every secret": func(o *Options) { o.Former = [][]byte{[]byte("short")} },
		"fee payer":    func(o *Options) { o.FeePayer = "my secret key" },
		"payout":       func(o *Options) { o.Payout = "my secret key" },
		"negative":     func(o *Options) { o.TTL = -1 },
	} {
		bad := good
		change(&bad)
		_, err := New(bad)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret key") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// problemOf is the kind of a refusal.
func problemOf(err error) billing.Problem {
	var refusal *billing.Refusal
	if errors.As(err, &refusal) {
		return refusal.Problem
	}
	return ""
}
