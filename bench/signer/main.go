// Command signer verifies credentials of wallets, one after another on one core,
// and prints how many it did in a second. It is a program of its own to be built
// as Berth is.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"time"

	"berth/billing"
	"berth/billing/evm"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
	"berth/billing/x402"
	"berth/billing/x402/x402test"
)

// payee is who is paid: an address that nobody here has the key of.
const payee = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "signer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: signer x402|mpp|recover COUNT")
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	work, err := task(args[0])
	if err != nil {
		return err
	}
	began := time.Now()
	for range count {
		if err := work(); err != nil {
			return err
		}
	}
	fmt.Println(float64(count) / time.Since(began).Seconds())
	return nil
}

// task is what is done once.
func task(name string) (func() error, error) {
	switch name {
	case "x402":
		return authorization()
	case "mpp":
		return transaction()
	case "recover":
		return signature()
	}
	return nil, fmt.Errorf("there is nothing named %q to verify", name)
}

func signature() (func() error, error) {
	key, err := evm.NewKey()
	if err != nil {
		return nil, err
	}
	digest := evm.Keccak([]byte("bench"))
	s, err := key.Sign(digest)
	return func() error { _, err := evm.Recover(digest, s); return err }, err
}

var ask = billing.Ask{Operation: "create_server", Amount: 35_000, Realm: "localhost", Resource: "http://localhost/v1/servers", At: time.Now()}

// reading verifies one credential. The chain is asked for nothing: the payers
// have keys.
func reading(r billing.Rail, scheme string, data []byte) func() error {
	return func() error {
		_, err := r.Read(context.Background(), billing.Presented{Scheme: scheme, Data: data, Realm: ask.Realm, Resource: ask.Resource, At: ask.At})
		return err
	}
}

func authorization() (func() error, error) {
	wallet := x402test.NewWallet("bench")
	r, err := x402.New(x402.Options{
		RPC: "http://chain.invalid", Transport: x402test.NewChain(wallet.Key.Address(), time.Now), Network: x402test.Network,
		PayTo: payee, Settler: wallet.Key.Hex(), Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	offer, err := r.Offer(ask)
	if err != nil {
		return nil, err
	}
	credential, err := wallet.Pay(offer, ask.At)
	return reading(r, "x402/2", credential), err
}

func transaction() (func() error, error) {
	r, err := mpp.New(mpp.Options{
		RPC: "http://chain.invalid", Transport: mpptest.NewChain(time.Now), Chain: 42431, Recipient: payee,
		Currency: "0x20c0000000000000000000000000000000000000", Secret: make([]byte, 32), Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	challenge, err := r.Offer(ask)
	if err != nil {
		return nil, err
	}
	credential, err := mpptest.NewWallet("bench", time.Now).Pay(challenge.Header)
	return reading(r, "mpp", credential), err
}
