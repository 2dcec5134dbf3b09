package mpp_test

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"berth"
	"berth/billing"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
)

// BenchmarkRead reads credentials, beside the one thing that can't be spared:
// recovering the signer.
func BenchmarkRead(b *testing.B) {
	r, err := mpp.New(mpp.Options{
		RPC: "http://127.0.0.1:1", Chain: mpptest.ChainID, Recipient: mpptest.Recipient, Currency: mpptest.Token,
		Secret: make([]byte, 32), TTL: 24 * time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	wallet := mpptest.NewWallet("payer", func() time.Time { return time.Now().Add(time.Hour) })
	for name, amount := range map[string]berth.Micros{"proof": 0, "transaction": 25_000} {
		b.Run(name, func(b *testing.B) {
			offer, err := r.Offer(billing.Ask{Operation: "create_server", Amount: amount, Realm: realm, Binding: "YmluZGluZw", At: time.Now()})
			if err != nil {
				b.Fatal(err)
			}
			data, err := wallet.Pay(offer.Header)
			if err != nil {
				b.Fatal(err)
			}
			p := billing.Presented{Scheme: "mpp", Data: data, Realm: realm, At: time.Now()}
			for b.Loop() {
				if _, err := r.Read(b.Context(), p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare Ecrecover", func(b *testing.B) {
		key, err := crypto.GenerateKey()
		if err != nil {
			b.Fatal(err)
		}
		digest := crypto.Keccak256([]byte("digest"))
		signature, err := crypto.Sign(digest, key)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := crypto.Ecrecover(digest, signature); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOffer(b *testing.B) {
	r, err := mpp.New(mpp.Options{
		RPC: "http://127.0.0.1:1", Chain: mpptest.ChainID, Recipient: mpptest.Recipient, Currency: mpptest.Token, Secret: make([]byte, 32),
	})
	if err != nil {
		b.Fatal(err)
	}
	ask := billing.Ask{Operation: "create_server", Amount: 25_000, Realm: realm, Binding: "YmluZGluZw", At: time.Now()}
	for b.Loop() {
		if _, err := r.Offer(ask); err != nil {
			b.Fatal(err)
		}
	}
}
