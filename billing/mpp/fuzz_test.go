package mpp

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/google/go-cmp/cmp"

	"berth/billing"
	"berth/billing/mpp/mpptest"
)

// FuzzTransaction: whatever comes is refused as a refusal, or is the only
// spelling of what is sent.
func FuzzTransaction(f *testing.F) {
	for _, text := range []string{mppxTransaction, mppxSponsored, "0x76c0", "0x76", "0x78f800"} {
		f.Add(hexutil.MustDecode(text))
	}
	f.Add(grantingTransaction(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := decodeTransaction(b)
		if err != nil {
			if problemOf(err) == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := decodeTransaction(tx.encode(typeTempo, nil, nil, tx.from.envelope))
		if b[0] == typeFeePayer { // with a mark for the sender
			again, err = decodeTransaction(tx.encode(typeTempo, emptyString, feePayerMark, tx.from.envelope))
		}
		if err != nil || again.from.account != tx.from.account || !bytes.Equal(again.raw(), again.encode(typeTempo, nil, nil, tx.from.envelope)) {
			t.Fatalf("read again: %v", err)
		}
	})
}

// grantingTransaction is one of fifteen fields, signed by an access key.
func grantingTransaction(f *testing.F) []byte {
	f.Helper()
	root := mpptest.NewWallet("root", time.Now)
	w := mpptest.NewWallet("access key", time.Now)
	w.Root, w.Grant = root.Account(), root
	offer, err := fuzzRail(f).Offer(billing.Ask{Realm: "a", Amount: 1, At: time.Now()})
	if err != nil {
		f.Fatal(err)
	}
	data, err := w.Pay(offer.Header)
	if err != nil {
		f.Fatal(err)
	}
	c, err := decodeCredential(data)
	if err != nil {
		f.Fatal(err)
	}
	if tx, err := decodeTransaction(c.body); err != nil || tx.grant == nil || tx.from.account != root.Account() {
		f.Fatalf("transaction %+v, error %v", tx, err)
	}
	return c.body
}

func fuzzRail(f *testing.F) *Rail {
	f.Helper()
	r, err := New(Options{
		RPC: "http://127.0.0.1:1", Chain: 42431, Recipient: mppxPayer, Currency: "0x20c0000000000000000000000000000000000000",
		Secret: []byte(strings.Repeat("s", 32)),
	})
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// FuzzCredential: whatever comes is refused as a refusal, or echoes a challenge
// whose text is made of its object.
func FuzzCredential(f *testing.F) {
	f.Add([]byte(`{"challenge":{"id":"a","realm":"b","method":"tempo","intent":"charge","request":"e30"},"payload":{"type":"proof","signature":"` + mppxProof + `"},"source":"did:pkh:eip155:42431:` + mppxPayer + `"}`))
	f.Add([]byte(`{"challenge":{"id":"a","realm":"b","method":"tempo","intent":"charge","request":{"a":[1,{"b":null}]},"opaque":{"c":"d"}},"payload":{"type":"transaction","signature":"` + mppxTransaction + `"}}`))
	f.Add([]byte(`{"challenge":{"id":"a","realm":"b","method":"tempo","intent":"charge","request":"e30"},"payload":{"type":"hash","hash":"0x` + strings.Repeat("ab", 32) + `"},"source":"did:pkh:eip155:1:` + mppxPayer + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCredential(b)
		if err != nil {
			if problemOf(err) != billing.Malformed && problemOf(err) != billing.Unsupported {
				t.Fatalf("error %v", err)
			}
			return
		}
		if c.challenge.ID == "" || len(c.body) == 0 || len(c.body) > maxTransaction {
			t.Fatalf("credential %+v", c)
		}
		if object, err := decode(c.challenge.Request); err == nil {
			if again, err := decodeObject([]byte(canonical(object))); err != nil || canonical(again) != canonical(object) {
				t.Fatalf("%s has two canonical forms: %v", c.challenge.Request, err)
			}
		}
	})
}

// FuzzJSON: what is read is what the standard library reads, and so is its
// canonical form.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(` {"a" : [1, -2,{"b":null}] , "c":"\\u00e9\\"\\\\", "d":true,"e":false, "":{}, "f":[] } `))
	f.Add([]byte(`{"a":"\\ud800\u2028"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		object, err := decodeObject(b)
		if err != nil {
			return
		}
		var want, got any
		if err := errors.Join(json.Unmarshal(b, &want), json.Unmarshal([]byte(canonical(object)), &got)); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzHeader: however a realm or a description looks, the header holds it and
// nothing else.
func FuzzHeader(f *testing.F) {
	f.Add("api.example.com", "create server")
	f.Add("[::1]:8080", "a \"b\" \\ c\r\nd")
	f.Add("a", strings.Repeat("é", 300))
	r := fuzzRail(f)
	f.Fuzz(func(t *testing.T, realm, description string) {
		offer, err := r.Offer(billing.Ask{Realm: realm, Description: description, At: time.Unix(1e9, 0)})
		if err != nil {
			return
		}
		params, err := mpptest.ParseChallenge(offer.Header)
		if err != nil || params["id"] != offer.Payload["id"] || params["realm"] != realm || len(offer.Header) > 2000 {
			t.Fatalf("%q: %v", offer.Header, err)
		}
		for i := range len(offer.Header) {
			if offer.Header[i] < ' ' || offer.Header[i] > '~' {
				t.Fatalf("%q is no header", offer.Header)
			}
		}
	})
}
