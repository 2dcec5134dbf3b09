package mpp_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/tempoxyz/tempo-go/pkg/transaction"

	"berth"
	"berth/billing"
	"berth/billing/mpp"
	"berth/billing/mpp/mpptest"
)

// TestShapes: a credential is the same one however its challenge is echoed.
func TestShapes(t *testing.T) {
	r := newRig(t)
	offer := r.offer(r.ask(0))
	http, err := r.wallet.Pay(offer.Header)
	if err != nil {
		t.Fatal(err)
	}
	native, err := r.wallet.PayNative(offer.Payload)
	if err != nil {
		t.Fatal(err)
	}
	opaque := map[string]any{}
	if err := json.Unmarshal(unbase64(t, offer.Payload["opaque"].(string)), &opaque); err != nil {
		t.Fatal(err)
	}
	want := r.read(r.present(http))
	for name, data := range map[string][]byte{
		"MCP":                   native,
		"opaque as an object":   edited(t, http, "challenge.opaque", opaque),
		"unknown members":       edited(t, edited(t, http, "later", []any{1}), "challenge.later", "x"),
		"another description":   edited(t, http, "challenge.description", "pay me"),
		"without a description": edited(t, http, "challenge.description", nil),
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.read(r.present(data)); got.Unique != want.Unique || got.Payer != want.Payer || !bytes.Equal(got.Payload, want.Payload) {
				t.Errorf("claim %+v, not %+v", got, want)
			}
		})
	}
}

// TestReadRefuses: credentials for a payment that were changed on their way.
func TestReadRefuses(t *testing.T) {
	r := newRig(t)
	good := r.pay(r.wallet, r.ask(25_000)).Data
	proof := r.pay(r.wallet, r.ask(0)).Data
	raw := rawOf(t, good)
	change := func(path string, value any) []byte { return edited(t, good, path, value) }
	signature := func(b []byte) []byte { return change("payload.signature", hexutil.Encode(b)) }
	thief := "did:pkh:eip155:42431:" + mpptest.NewWallet("thief", r.now).Account().Hex()
	for name, c := range map[string]struct {
		data    []byte
		problem billing.Problem
		words   string
	}{
		"nothing":                    {nil, billing.Malformed, "can't be read"},
		"cut off":                    {good[:len(good)-1], billing.Malformed, "can't be read"},
		"more after it":              {append(bytes.Clone(good), "{}"...), billing.Malformed, "follows"},
		"too long":                   {append(bytes.Clone(good), bytes.Repeat([]byte(" "), 16<<10)...), billing.Malformed, "bytes"},
		"a list":                     {[]byte("[]"), billing.Malformed, "no object"},
		"a name twice":               {bytes.Replace(good, []byte(`{`), []byte(`{"source":"x","source":"y",`), 1), billing.Malformed, "twice"},
		"no UTF-8":                   {bytes.Replace(good, []byte(`{`), []byte("{\"\xff\":1,"), 1), billing.Malformed, "UTF-8"},
		"nested":                     {[]byte(strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)), billing.Malformed, "deeply"},
		"a fraction":                 {change("challenge.later", 1.5), billing.Malformed, "integer"},
		"no challenge":               {change("challenge", nil), billing.Malformed, "no challenge"},
		"no id":                      {change("challenge.id", nil), billing.Malformed, "needed"},
		"a number for a realm":       {change("challenge.realm", 1), billing.Malformed, "realm"},
		"a number for a request":     {change("challenge.request", 1), billing.Malformed, "request"},
		"no payload":                 {change("payload", "x"), billing.Malformed, "no payload"},
		"another payload":            {change("payload.type", "stream"), billing.Unsupported, "stream"},
		"no signature":               {change("payload.signature", nil), billing.Malformed, "hex"},
		"half a byte":                {change("payload.signature", "0x7"), billing.Malformed, "hex"},
		"a short hash":               {change("payload", map[string]any{"type": "hash", "hash": "0x12"}), billing.Malformed, "hex"},
		"another method":             {change("challenge.method", "stripe"), billing.Unsupported, "method"},
		"another intent":             {change("challenge.intent", "session"), billing.Unsupported, "intent"},
		"another id":                 {change("challenge.id", "X6v1eo7fJ76gAxqY0xN9Jd__4lUyDDYmriryOM-5FO4"), billing.Mismatched, "not one of this server"},
		"another realm":              {change("challenge.realm", "evil.example.com"), billing.Mismatched, "not one of this server"},
		"a later end":                {change("challenge.expires", "2036-05-01T12:05:00.000Z"), billing.Mismatched, "not one of this server"},
		"a digest":                   {change("challenge.digest", "sha-256=:eA==:"), billing.Mismatched, "not one of this server"},
		"another request":            {change("challenge.request", "e30"), billing.Mismatched, "not one of this server"},
		"a request of another shape": {change("challenge.request", map[string]any{"amount": "1"}), billing.Mismatched, "not one of this server"},
		"another opaque":             {change("challenge.opaque", "e30"), billing.Mismatched, "not one of this server"},
		"no source of a proof":       {edited(t, proof, "source", nil), billing.Malformed, "source"},
		"a source of another kind":   {change("source", "did:key:z6Mk"), billing.Malformed, "source"},
		"a source without a chain":   {change("source", "did:pkh:eip155:01:"+mpptest.Recipient), billing.Malformed, "chain"},
		"a source without address":   {change("source", "did:pkh:eip155:1:0x12"), billing.Malformed, "address"},
		"a source on another chain":  {change("source", strings.Replace(thief, "42431", "1", 1)), billing.Mismatched, "chain"},
		"another source":             {change("source", thief), billing.Unverified, "not signed by the source"},
		"another source of a proof":  {edited(t, proof, "source", thief), billing.Unverified, "not by the account"},
		"a proof where money is due": {change("payload", map[string]any{"type": "proof", "signature": "0x12"}), billing.Mismatched, "proof"},
		"money for a proof":          {edited(t, proof, "payload", map[string]any{"type": "transaction", "signature": "0x12"}), billing.Mismatched, "proof"},
		"a transaction cut off":      {signature(raw[:len(raw)-1]), billing.Malformed, "cut off"},
		"bytes after a transaction":  {signature(append(bytes.Clone(raw), 0)), billing.Malformed, "cut off"},
		"an Ethereum transaction":    {signature([]byte{0x02, 0xc0}), billing.Unsupported, "0x76"},
		"a transaction of nothing":   {signature([]byte{0x76, 0xc0}), billing.Malformed, "0 fields"},
		"a high s":                   {signature(highS(raw)), billing.Unverified, "high"},
		"a v of nobody":              {signature(append(bytes.Clone(raw[:len(raw)-1]), 29)), billing.Unverified, "v of 27"},
		"a high s in a proof":        {edited(t, proof, "payload.signature", hexutil.Encode(highS(rawOf(t, proof)))), billing.Unverified, "high"},
		"half a proof":               {edited(t, proof, "payload.signature", "0x1234"), billing.Unsupported, "2 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.rail.Read(t.Context(), r.present(c.data))
			if !refused(err, c.problem, c.words) {
				t.Errorf("error %v, not %s with %q", err, c.problem, c.words)
			}
		})
	}
}

// highS is a signature at the end of b in its other spelling.
func highS(b []byte) []byte {
	b = bytes.Clone(b)
	s := b[len(b)-33 : len(b)-1]
	new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(s)).FillBytes(s)
	b[len(b)-1] ^= 27 ^ 28
	return b
}

// TestTransactionRefused: transactions that are signed well and pay otherwise
// than was asked for.
func TestTransactionRefused(t *testing.T) {
	other := common.HexToAddress("0x20c0000000000000000000000000000000000001")
	data := func(at int, b byte) func(*transaction.Tx) {
		return func(tx *transaction.Tx) { tx.Calls[0].Data[at] ^= b }
	}
	for name, c := range map[string]struct {
		edit    func(*transaction.Tx)
		problem billing.Problem
		words   string
	}{
		"another chain":         {func(tx *transaction.Tx) { tx.ChainID = big.NewInt(4217) }, billing.Mismatched, "chain 4217"},
		"no call":               {func(tx *transaction.Tx) { tx.Calls = nil }, billing.Mismatched, "0 calls"},
		"two calls":             {func(tx *transaction.Tx) { tx.Calls = append(tx.Calls, tx.Calls[0]) }, billing.Mismatched, "2 calls"},
		"another token":         {func(tx *transaction.Tx) { tx.Calls[0].To = &other }, billing.Mismatched, "something else than the token"},
		"a new contract":        {func(tx *transaction.Tx) { tx.Calls[0].To = nil }, billing.Mismatched, "something else than the token"},
		"value":                 {func(tx *transaction.Tx) { tx.Calls[0].Value = big.NewInt(1) }, billing.Mismatched, "besides"},
		"another method":        {data(0, 1), billing.Mismatched, "another call"},
		"more arguments":        {func(tx *transaction.Tx) { tx.Calls[0].Data = append(tx.Calls[0].Data, 0) }, billing.Mismatched, "another call"},
		"another recipient":     {data(35, 1), billing.Mismatched, "somebody else"},
		"a recipient with more": {data(4, 1), billing.Mismatched, "somebody else"},
		"less":                  {data(67, 1), billing.Mismatched, "another amount"},
		"far more":              {data(36, 1), billing.Mismatched, "another amount"},
		"no memo of ours":       {data(68, 1), billing.Mismatched, "memo"},
		"another version":       {data(72, 2), billing.Mismatched, "memo"},
		"another server":        {data(73, 1), billing.Mismatched, "memo"},
		"another challenge":     {data(99, 1), billing.Mismatched, "memo"},
		"no end":                {func(tx *transaction.Tx) { tx.ValidBefore = 0 }, billing.Unsupported, "no end"},
		"an end far away":       {func(tx *transaction.Tx) { tx.ValidBefore += 3600 }, billing.Mismatched, "outlives"},
		"no time at all":        {func(tx *transaction.Tx) { tx.ValidBefore = 1 << 63 }, billing.Mismatched, "outlives"},
		"over":                  {func(tx *transaction.Tx) { tx.ValidBefore -= 3600 }, billing.Expired, "valid until"},
		"not yet":               {func(tx *transaction.Tx) { tx.ValidAfter = tx.ValidBefore + 3600 }, billing.Expired, "not valid yet"},
		"gas that we would pay": {func(tx *transaction.Tx) { tx.AwaitingFeePayer = true }, billing.Mismatched, "not offered"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.wallet.Edit = c.edit
			claim, err := r.rail.Read(t.Context(), r.pay(r.wallet, r.ask(25_000)))
			if c.problem == billing.Expired && err == nil { // which Read takes, and Match does not
				err = r.rail.Match(claim, r.ask(25_000))
			}
			if !refused(err, c.problem, c.words) {
				t.Errorf("error %v, not %s with %q", err, c.problem, c.words)
			}
		})
	}
}

// TestTransactionTaken: what differs and pays all the same.
func TestTransactionTaken(t *testing.T) {
	for name, edit := range map[string]func(*transaction.Tx){
		"the client's own name in the memo": func(tx *transaction.Tx) { tx.Calls[0].Data[90] = 7 },
		"a fee token":                       func(tx *transaction.Tx) { tx.FeeToken = common.HexToAddress(mpptest.Token) },
		"a nonce that counts":               func(tx *transaction.Tx) { tx.NonceKey, tx.Nonce = new(big.Int), 7 },
		"an access list": func(tx *transaction.Tx) {
			tx.AccessList = transaction.AccessList{{Address: common.HexToAddress(mpptest.Token), StorageKeys: []common.Hash{{1}}}}
		},
		"a beginning in the past": func(tx *transaction.Tx) { tx.ValidAfter = 0x639afca4 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.wallet.Edit = edit
			c := r.read(r.pay(r.wallet, r.ask(25_000)))
			if out, err := r.submit(c, &kept{}, soon); err != nil || out.State != billing.Settled {
				t.Errorf("outcome %+v, error %v", out, err)
			}
		})
	}
}

// TestSpellingOfSignatures: however a client writes v, there is one transaction.
func TestSpellingOfSignatures(t *testing.T) {
	r := newRig(t)
	p := r.pay(r.wallet, r.ask(25_000))
	raw := rawOf(t, p.Data)
	raw[len(raw)-1] -= 27
	short := r.present(edited(t, p.Data, "payload.signature", hexutil.Encode(raw)))
	if a, b := r.read(p), r.read(short); !bytes.Equal(a.Payload, b.Payload) {
		t.Errorf("payload %s, and %s", a.Payload, b.Payload)
	}
}

func TestSponsoredRefused(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*transaction.Tx)
		words string
	}{
		"too much gas":       {func(tx *transaction.Tx) { tx.Gas = 2_000_001 }, "gas"},
		"no gas":             {func(tx *transaction.Tx) { tx.Gas = 0 }, "gas"},
		"too high a fee":     {func(tx *transaction.Tx) { tx.MaxFeePerGas = big.NewInt(62_500_000_001) }, "0.05 USD"},
		"an absurd fee":      {func(tx *transaction.Tx) { tx.MaxFeePerGas = new(big.Int).Lsh(big.NewInt(1), 120) }, "0.05 USD"},
		"no fee":             {func(tx *transaction.Tx) { tx.MaxFeePerGas = new(big.Int) }, "0.05 USD"},
		"priority over fee":  {func(tx *transaction.Tx) { tx.MaxPriorityFeePerGas = big.NewInt(50_000_000_000) }, "0.05 USD"},
		"a nonce of its own": {func(tx *transaction.Tx) { tx.NonceKey = big.NewInt(1) }, "nonce"},
		"an access list":     {func(tx *transaction.Tx) { tx.AccessList = make(transaction.AccessList, 1) }, "access list"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *mpp.Options) { o.FeePayer = mpptest.NewWallet("sponsor", time.Now).KeyHex() })
			r.wallet.Edit = c.edit
			if _, err := r.rail.Read(t.Context(), r.pay(r.wallet, r.ask(25_000))); !refused(err, billing.Unsupported, c.words) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestAccessKeys: payments and proofs belong to the account, as long as the
// chain says that the key may sign for it.
func TestAccessKeys(t *testing.T) {
	for name, c := range map[string]struct {
		amount  berth.Micros
		prepare func(*rig, *mpptest.Wallet)
		words   string // empty where it is taken
	}{
		"a proof":              {0, func(r *rig, w *mpptest.Wallet) { r.chain.Grant(w.Root, w.Key(), r.now().Add(time.Hour)) }, ""},
		"a payment":            {25_000, func(r *rig, w *mpptest.Wallet) { r.chain.Grant(w.Root, w.Key(), r.now().Add(time.Hour)) }, ""},
		"a stranger's proof":   {0, func(*rig, *mpptest.Wallet) {}, "not by the account"},
		"a stranger's payment": {25_000, func(*rig, *mpptest.Wallet) {}, "not by the account"},
		"an expired key":       {0, func(r *rig, w *mpptest.Wallet) { r.chain.Grant(w.Root, w.Key(), r.now()) }, "expired"},
		"a revoked key": {0, func(r *rig, w *mpptest.Wallet) {
			r.chain.Grant(w.Root, w.Key(), r.now().Add(time.Hour))
			r.chain.Revoke(w.Root, w.Key())
		}, "revoked"},
		"a key that the payment grants": {25_000, func(r *rig, w *mpptest.Wallet) { w.Grant = r.wallet }, ""},
		"a key that somebody else grants": {25_000, func(r *rig, w *mpptest.Wallet) {
			w.Grant = mpptest.NewWallet("thief", r.now)
		}, "not signed by the account's own key"},
		"a revoked key that the payment grants again": {25_000, func(r *rig, w *mpptest.Wallet) {
			w.Grant = r.wallet
			r.chain.Revoke(w.Root, w.Key())
		}, "revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := mpptest.NewWallet("access key", r.now)
			w.Root = r.wallet.Account()
			c.prepare(r, w)
			claim, err := r.rail.Read(t.Context(), r.pay(w, r.ask(c.amount)))
			if c.words != "" {
				if !refused(err, billing.Unverified, c.words) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || claim.Payer.Address != r.wallet.Address() {
				t.Fatalf("payer %s, error %v", claim.Payer, err)
			}
			if err := r.rail.Verify(t.Context(), claim); err != nil {
				t.Error(err)
			}
			if out, err := r.submit(claim, &kept{}, soon); err != nil || out.State != billing.Settled {
				t.Errorf("outcome %+v, error %v", out, err)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		r := newRig(t)
		w := mpptest.NewWallet("access key", r.now)
		w.Root = r.wallet.Account()
		r.chain.Script("eth_call", mpptest.Fault{Drop: true})
		if _, err := r.rail.Read(t.Context(), r.pay(w, r.ask(0))); berth.CodeOf(err) != berth.Unavailable {
			t.Errorf("error %v", err)
		}
	})
}

// TestBareAccessKey: some wallets send an access key's signature without the
// account, which the digest names.
func TestBareAccessKey(t *testing.T) {
	r := newRig(t)
	w := mpptest.NewWallet("access key", r.now)
	root := r.wallet.Account()
	r.chain.Grant(root, w.Key(), r.now().Add(time.Hour))
	offer := r.offer(r.ask(0))
	data, err := w.ProveFor(root, offer.Header)
	if err != nil {
		t.Fatal(err)
	}
	if c := r.read(r.present(data)); c.Payer.Address != r.wallet.Address() {
		t.Errorf("payer %s", c.Payer)
	}
	r.chain.Revoke(root, w.Key())
	if _, err := r.rail.Read(t.Context(), r.present(data)); !refused(err, billing.Unverified, "revoked") {
		t.Errorf("error %v", err)
	}
}

func TestDraftProof(t *testing.T) {
	r := newRig(t)
	r.wallet.Bare = true
	if c := r.read(r.pay(r.wallet, r.ask(0))); c.Payer.Address != r.wallet.Address() {
		t.Errorf("payer %s", c.Payer)
	}
	// The draft's digest names no account, so no access key may sign it.
	w := mpptest.NewWallet("access key", r.now)
	w.Root, w.Bare = r.wallet.Account(), true
	r.chain.Grant(w.Root, w.Key(), r.now().Add(time.Hour))
	if _, err := r.rail.Read(t.Context(), r.pay(w, r.ask(0))); !refused(err, billing.Unverified, "not by the account") {
		t.Errorf("error %v", err)
	}
}

func TestChallengeEnds(t *testing.T) {
	r := newRig(t)
	p := r.pay(r.wallet, r.ask(0))
	r.pass(5*time.Minute - time.Millisecond)
	p.At = r.now()
	if err := r.rail.Match(r.read(p), r.ask(0)); err != nil {
		t.Error(err)
	}
	r.pass(time.Millisecond)
	p.At = r.now()
	if err := r.rail.Match(r.read(p), r.ask(0)); !refused(err, billing.Expired, "ended") {
		t.Errorf("error %v", err)
	}
}

func TestSecrets(t *testing.T) {
	r := newRig(t)
	p := r.pay(r.wallet, r.ask(0))
	next := r.opt
	next.Secret, next.Former = []byte(strings.Repeat("n", 32)), [][]byte{r.opt.Secret}
	if _, err := r.open(next).Read(t.Context(), p); err != nil {
		t.Errorf("after a change of the secret: %v", err)
	}
	next.Former = nil
	if _, err := r.open(next).Read(t.Context(), p); !refused(err, billing.Mismatched, "not one of this server") {
		t.Errorf("with another secret: %v", err)
	}
}

func TestMatch(t *testing.T) {
	r := newRig(t)
	ask := r.ask(25_000)
	claim := r.read(r.pay(r.wallet, ask))
	for name, change := range map[string]func(*billing.Ask){
		"another price":     func(a *billing.Ask) { a.Amount = 24_999 },
		"another host":      func(a *billing.Ask) { a.Realm = "b.example.com" },
		"another operation": func(a *billing.Ask) { a.Operation = "resize_server" },
		"another input":     func(a *billing.Ask) { a.Binding = "b3RoZXI" },
	} {
		t.Run(name, func(t *testing.T) {
			a := ask
			change(&a)
			if err := r.rail.Match(claim, a); !refused(err, billing.Mismatched, "credential") {
				t.Errorf("error %v", err)
			}
		})
	}
	for name, change := range map[string]func(*mpp.Options){
		"another recipient": func(o *mpp.Options) { o.Recipient = mpptest.Token },
		"another token":     func(o *mpp.Options) { o.Currency = mpptest.Recipient },
		"another chain":     func(o *mpp.Options) { o.Chain = 4217 },
	} {
		t.Run(name, func(t *testing.T) {
			o := r.opt
			change(&o)
			if err := r.open(o).Match(claim, ask); !refused(err, billing.Mismatched, "") {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("a probe", func(t *testing.T) {
		probe := ask
		probe.Binding = ""
		c := r.read(r.pay(r.wallet, probe))
		if err := r.rail.Match(c, probe); !refused(err, billing.Mismatched, "input") {
			t.Errorf("error %v", err)
		}
	})
}

// TestNoSecretsInErrors: what a refusal says of a credential holds neither its
// signature nor its challenge's id.
func TestNoSecretsInErrors(t *testing.T) {
	r := newRig(t)
	r.chain.Fund(r.wallet.Address(), -berth.Dollar)
	p := r.pay(r.wallet, r.ask(25_000))
	c := r.read(p)
	err := r.rail.Verify(t.Context(), c)
	raw := hexutil.Encode(rawOf(t, p.Data))
	for _, secret := range []string{raw[len(raw)-60:], c.Unique} {
		if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(r.log.String(), secret) {
			t.Errorf("%q, or the log, holds a secret", err)
		}
	}
}
