package x402_test

import (
	"testing"
	"time"

	"berth/billing"
	"berth/billing/evm"
	"berth/billing/x402"
)

// BenchmarkRead is the whole of reading a credential, to be compared with the
// signature's recovery alone.
func BenchmarkRead(b *testing.B) {
	v := readVectors(b)
	rail, err := x402.New(x402.Options{RPC: "http://127.0.0.1:1", Network: "eip155:84532", PayTo: payTo, Settler: settlerSecret, Transport: deaf{}})
	if err != nil {
		b.Fatal(err)
	}
	p := billing.Presented{Scheme: "x402/2", Data: v.V2, Realm: realm, Resource: resource, At: time.Unix(v.At, 0)}
	for b.Loop() {
		if _, err := rail.Read(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOffer is one offer, with its header and a sign-in.
func BenchmarkOffer(b *testing.B) {
	rail, err := x402.New(x402.Options{RPC: "http://127.0.0.1:1", Network: "eip155:84532", PayTo: payTo, Settler: settlerSecret, Transport: deaf{}})
	if err != nil {
		b.Fatal(err)
	}
	a := ask(20_000)
	for b.Loop() {
		if _, err := rail.Offer(a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecover is the baseline: the recovery of the signer's key.
func BenchmarkRecover(b *testing.B) {
	key, err := evm.ParseKey(settlerSecret)
	if err != nil {
		b.Fatal(err)
	}
	digest := evm.Keccak([]byte("anything"))
	s, err := key.Sign(digest)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := evm.Recover(digest, s); err != nil {
			b.Fatal(err)
		}
	}
}
