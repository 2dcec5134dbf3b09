package evm_test

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth/billing/evm"
)

// secret is a key that is public: wallets for development come with it.
const secret = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"

func key(t testing.TB) *evm.Key {
	t.Helper()
	k, err := evm.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSeparators pins the EIP-712 domains of both USDC, as their contracts show
// them, and the type hash of EIP-3009.
func TestSeparators(t *testing.T) {
	for _, c := range []struct {
		name, contract string
		chain          uint64
		want           string
	}{
		{"USDC", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", 84532, "0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818"},
		{"USD Coin", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", 8453, "0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"},
	} {
		a, err := evm.ParseAddress(c.contract)
		if err != nil {
			t.Fatal(err)
		}
		if got := (evm.Domain{Name: c.name, Version: "2", ChainID: c.chain, Contract: a}).Separator(); got.Hex() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := evm.TransferWithAuthorizationType.Hex(); got != "0x7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267" {
		t.Errorf("type hash %s", got)
	}
	if got := evm.AuthorizationUsedTopic.Hex(); !strings.HasPrefix(got, "0x98de5035") {
		t.Errorf("event %s", got)
	}
}

func TestSettleCalls(t *testing.T) {
	a := evm.Authorization{Value: big.NewInt(1), ValidAfter: new(big.Int), ValidBefore: big.NewInt(2)}
	s, err := key(t).Sign(evm.Keccak([]byte("anything")))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Settle(s.Bytes()); !bytes.HasPrefix(got, []byte{0xe3, 0xee, 0x16, 0x0e}) || len(got) != 4+9*32 {
		t.Errorf("a key's: %x", got)
	}
	got := a.Settle(make([]byte, 85))
	if !bytes.HasPrefix(got, []byte{0xcf, 0x09, 0x29, 0x95}) || len(got) != 4+8*32+96 || got[4+6*32+31] != 7*32 || got[4+7*32+31] != 85 {
		t.Errorf("a contract's: %x", got)
	}
}

func TestSignatures(t *testing.T) {
	digest := evm.Keccak([]byte("anything"))
	good, err := key(t).Sign(digest)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := evm.ParseSignature(good.Bytes())
	if err != nil || parsed != good {
		t.Fatalf("%v", err)
	}
	if got, err := evm.Recover(digest, parsed); err != nil || got != key(t).Address() {
		t.Errorf("%s %v", got, err)
	}
	order, _ := new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good.Bytes())) }
	for name, b := range map[string][]byte{
		"nothing":  nil,
		"short":    good.Bytes()[:64],
		"long":     append(good.Bytes(), 0),
		"v 0":      change(func(b []byte) []byte { b[64] -= 27; return b }),
		"v 29":     change(func(b []byte) []byte { b[64] = 29; return b }),
		"zero r":   change(func(b []byte) []byte { clear(b[:32]); return b }),
		"zero s":   change(func(b []byte) []byte { clear(b[32:64]); return b }),
		"r of n":   change(func(b []byte) []byte { order.FillBytes(b[:32]); return b }),
		"high s":   change(func(b []byte) []byte { new(big.Int).Sub(order, good.S.Big()).FillBytes(b[32:64]); return b }),
		"s beyond": change(func(b []byte) []byte { order.FillBytes(b[32:64]); return b }),
	} {
		if _, err := evm.ParseSignature(b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAddresses(t *testing.T) {
	const good = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	for _, s := range []string{good, strings.ToLower(good), "0x" + strings.ToUpper(good[2:])} {
		if a, err := evm.ParseAddress(s); err != nil || a != key(t).Address() {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "0x", good[2:], good + "00", good[:40] + "zz", "0x70997970C51812dc3A010C7d01b50e0d17dc79c8", "0X" + good[2:], " " + good} {
		if _, err := evm.ParseAddress(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestDecimals(t *testing.T) {
	for s, ok := range map[string]bool{
		"0": true, "1": true, "20000": true, "": false, "-1": false, "+1": false, "01": false, "1.0": false, "1e3": false, " 1": false, "0x1": false,
		new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)).String(): true,
		new(big.Int).Lsh(big.NewInt(1), 256).String():                                  false,
		strings.Repeat("9", 1000):                                                      false,
	} {
		if n, err := evm.ParseDecimal(s); (err == nil) != ok || (ok && n.String() != s) {
			t.Errorf("%.80q: %v %v", s, n, err)
		}
	}
}

// TestTransactionsComeBack: what was signed is read again as it was, and a
// transaction pinned by another implementation's encoding stays the same.
func TestTransactionsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		was := evm.Transaction{
			ChainID: rapid.Uint64().Draw(t, "chain"), Nonce: rapid.Uint64().Draw(t, "nonce"), Gas: rapid.Uint64().Draw(t, "gas"),
			PriorityFee: new(big.Int).SetUint64(rapid.Uint64().Draw(t, "tip")), MaxFee: new(big.Int).SetUint64(rapid.Uint64().Draw(t, "fee")),
			Data: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "data"),
		}
		k, err := evm.ParseKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		raw, hash, err := was.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		is, err := evm.ParseTransaction(raw)
		if err != nil || hash != evm.Keccak(raw) {
			t.Fatal(err)
		}
		if is.ChainID != was.ChainID || is.Nonce != was.Nonce || is.Gas != was.Gas || is.To != was.To || !bytes.Equal(is.Data, was.Data) ||
			is.MaxFee.Cmp(was.MaxFee) != 0 || is.PriorityFee.Cmp(was.PriorityFee) != 0 {
			t.Fatalf("%+v came back as %+v", was, is)
		}
	})
}

func TestKeysHide(t *testing.T) {
	k := key(t)
	for _, shown := range []string{k.String(), k.GoString(), k.LogValue().String()} {
		if strings.Contains(shown, secret[2:20]) || !strings.Contains(shown, k.Address().Hex()) {
			t.Errorf("it shows %q", shown)
		}
	}
	if _, err := evm.ParseKey(secret + "ff"); err == nil || strings.Contains(err.Error(), secret[2:20]) {
		t.Errorf("%v", err)
	}
}

func FuzzParseTransaction(f *testing.F) {
	raw, _, err := evm.Transaction{ChainID: 1, PriorityFee: big.NewInt(1), MaxFee: big.NewInt(2), Gas: 3, Data: []byte{4}}.Sign(key(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _ = evm.ParseTransaction(raw)
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add(make([]byte, 65))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := evm.ParseSignature(b)
		if err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Errorf("%x has another spelling", b)
		}
	})
}
