// Package mpptest is the other side of the MPP rail, for tests: wallets that
// answer its challenges, made with Tempo's own Go library, and a Tempo node
// whose chain is in memory and whose faults a test scripts.
package mpptest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/tempoxyz/tempo-go/pkg/signer"
	"github.com/tempoxyz/tempo-go/pkg/transaction"
)

// Validity is how long a wallet's transactions can be mined.
const Validity = 25 * time.Second

// Wallet is a client's wallet with a key. The exported fields change what it
// makes; a wallet that nobody changed answers as mppx does.
type Wallet struct {
	// Root is the account that the wallet's key is an access key of; zero where
	// the key is the account's own.
	Root common.Address
	// Grant is the account's wallet, which grants the access key by the
	// transaction itself.
	Grant *Wallet
	// Edit changes a transaction before it is signed.
	Edit func(*transaction.Tx)
	// Bare signs what draft-tempo-charge-00 says: version 1, without account.
	Bare bool
	// Marked leaves transactions for a fee payer as type 0x76 with a mark,
	// instead of type 0x78 with the sender.
	Marked bool

	key *signer.Signer
	now func() time.Time
}

// NewWallet is the wallet whose key is the hash of a seed.
func NewWallet(seed string, now func() time.Time) *Wallet {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(seed)))
	if err != nil {
		panic(err) // one hash in 2¹²⁸
	}
	return &Wallet{key: signer.NewSignerFromKey(key), now: now}
}

// OpenWallet is the wallet with a key of 64 hex digits.
func OpenWallet(key string, now func() time.Time) (*Wallet, error) {
	s, err := signer.NewSigner(key)
	if err != nil {
		return nil, err
	}
	return &Wallet{key: s, now: now}, nil
}

// KeyHex is the wallet's secret, 64 hex digits.
func (w *Wallet) KeyHex() string { return hex.EncodeToString(crypto.FromECDSA(w.key.PrivateKey())) }

// Key is the address of the wallet's key.
func (w *Wallet) Key() common.Address { return w.key.Address() }

// Account is who pays.
func (w *Wallet) Account() common.Address {
	if w.Root != (common.Address{}) {
		return w.Root
	}
	return w.key.Address()
}

// Address is the account's, in lower case.
func (w *Wallet) Address() string { return strings.ToLower(w.Account().Hex()) }

// Authorization is the header that carries a credential.
func Authorization(credential []byte) string {
	return "Payment " + base64.RawURLEncoding.EncodeToString(credential)
}

// ParseChallenge reads a value of WWW-Authenticate, with its parameters by
// their names.
func ParseChallenge(header string) (map[string]any, error) {
	rest, ok := strings.CutPrefix(header, "Payment ")
	if !ok {
		return nil, fmt.Errorf("%.40q is no challenge for a payment", header)
	}
	params := map[string]any{}
	for rest != "" {
		name, after, ok := strings.Cut(rest, `="`)
		if !ok {
			return nil, fmt.Errorf("%.40q is no parameter", rest)
		}
		value, end, ok := unquote(after)
		if !ok {
			return nil, fmt.Errorf("%q has no end", name)
		}
		params[name] = value
		rest = strings.TrimPrefix(after[end:], ", ")
	}
	return params, nil
}

// unquote reads up to the closing quote, and tells where it ends.
func unquote(s string) (string, int, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i + 1, true
		case '\\':
			i++
			if i == len(s) {
				return "", 0, false
			}
		}
		b.WriteByte(s[i])
	}
	return "", 0, false
}

// Pay answers a challenge as HTTP shows it, by its header: the JSON of a
// credential.
func (w *Wallet) Pay(header string) ([]byte, error) {
	challenge, err := ParseChallenge(header)
	if err != nil {
		return nil, err
	}
	text, _ := challenge["request"].(string)
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the challenge's request: %w", err)
	}
	var request map[string]any
	if err := json.Unmarshal(data, &request); err != nil {
		return nil, fmt.Errorf("the challenge's request: %w", err)
	}
	return w.answer(challenge, request)
}

// ProveFor answers a challenge of nothing for another account, whose access key
// the wallet's is, with a signature that doesn't name the account.
func (w *Wallet) ProveFor(account common.Address, header string) ([]byte, error) {
	c, err := ParseChallenge(header)
	if err != nil {
		return nil, err
	}
	id, _ := c["id"].(string)
	realm, _ := c["realm"].(string)
	signature, err := w.prove(account, ChainID, id, realm)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"challenge": c,
		"payload":   map[string]any{"type": "proof", "signature": "0x" + hex.EncodeToString(signature)},
		"source":    fmt.Sprintf("did:pkh:eip155:%d:%s", ChainID, account.Hex()),
	})
}

// PayNative answers a challenge as MCP shows it: the JSON of a credential whose
// challenge has its request as an object.
func (w *Wallet) PayNative(challenge map[string]any) ([]byte, error) {
	data, err := json.Marshal(challenge) // as it would come over the wire
	if err != nil {
		return nil, err
	}
	var copied map[string]any
	if err := json.Unmarshal(data, &copied); err != nil {
		return nil, err
	}
	request, ok := copied["request"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the challenge's request is no object")
	}
	return w.answer(copied, request)
}

func (w *Wallet) answer(challenge, request map[string]any) ([]byte, error) {
	id, _ := challenge["id"].(string)
	realm, _ := challenge["realm"].(string)
	amount, _ := request["amount"].(string)
	details, _ := request["methodDetails"].(map[string]any)
	chain, _ := details["chainId"].(float64)
	payload := map[string]any{"type": "proof"}
	var body []byte
	var err error
	if amount == "0" {
		body, err = w.prove(w.Account(), int64(chain), id, realm)
	} else {
		payload["type"] = "transaction"
		body, err = w.transfer(int64(chain), id, realm, amount, request, details["feePayer"] == true)
	}
	if err != nil {
		return nil, err
	}
	payload["signature"] = "0x" + hex.EncodeToString(body)
	return json.Marshal(map[string]any{
		"challenge": challenge,
		"payload":   payload,
		"source":    fmt.Sprintf("did:pkh:eip155:%d:%s", int64(chain), w.Account().Hex()),
	})
}

// Memo is the attribution memo for a challenge, without a client's name.
func Memo(id, realm string) (memo [32]byte) {
	copy(memo[:], common.FromHex("ef1ed71201"))
	copy(memo[5:15], crypto.Keccak256([]byte(realm)))
	copy(memo[25:], crypto.Keccak256([]byte(id)))
	return memo
}

// Transfer is the call that moves a token.
func Transfer(to common.Address, amount *big.Int, memo [32]byte) []byte {
	data := append(common.FromHex("95777d59"), common.LeftPadBytes(to[:], 32)...)
	return append(append(data, common.LeftPadBytes(amount.Bytes(), 32)...), memo[:]...)
}

func (w *Wallet) transfer(chain int64, id, realm, amount string, request map[string]any, sponsored bool) ([]byte, error) {
	units, ok := new(big.Int).SetString(amount, 10)
	recipient, _ := request["recipient"].(string)
	currency, _ := request["currency"].(string)
	if !ok || !common.IsHexAddress(recipient) || !common.IsHexAddress(currency) {
		return nil, fmt.Errorf("the challenge asks for no transfer")
	}
	token := common.HexToAddress(currency)
	tx := transaction.NewDefault(chain)
	tx.MaxFeePerGas, tx.MaxPriorityFeePerGas, tx.Gas = big.NewInt(20_000_000_000), big.NewInt(1_000_000_000), 800_000
	tx.NonceKey = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	tx.ValidBefore = uint64(w.now().Add(Validity).Unix())
	tx.Calls = []transaction.Call{{To: &token, Value: new(big.Int), Data: Transfer(common.HexToAddress(recipient), units, Memo(id, realm))}}
	tx.AwaitingFeePayer = sponsored
	if w.Edit != nil {
		w.Edit(tx)
	}
	return w.sign(tx, sponsored)
}

// sign writes the transaction with this wallet's signature.
func (w *Wallet) sign(tx *transaction.Tx, sponsored bool) ([]byte, error) {
	text, err := transaction.SerializeForSigning(tx)
	if err != nil {
		return nil, err
	}
	var fields []any
	if err := rlp.DecodeBytes(common.FromHex(text)[1:], &fields); err != nil {
		return nil, err
	}
	if w.Grant != nil {
		grant, err := w.Grant.grant(tx.ChainID, w.Key())
		if err != nil {
			return nil, err
		}
		fields = append(fields, grant)
	}
	payload, err := rlp.EncodeToBytes(fields)
	if err != nil {
		return nil, err
	}
	signature, err := w.signature(crypto.Keccak256Hash([]byte{0x76}, payload))
	if err != nil {
		return nil, err
	}
	kind := byte(0x76)
	if sponsored && !w.Marked {
		kind, fields[11] = 0x78, w.Account().Bytes()
	}
	raw, err := rlp.EncodeToBytes(append(fields, signature))
	return append([]byte{kind}, raw...), err
}

// grant lets a key of secp256k1 sign for this wallet's account for ever.
func (w *Wallet) grant(chain *big.Int, key common.Address) ([]any, error) {
	terms := []any{chain, uint64(0), key}
	b, err := rlp.EncodeToBytes(terms)
	if err != nil {
		return nil, err
	}
	signature, err := w.signature(crypto.Keccak256Hash(b))
	return []any{terms, signature}, err
}

// signature is the wallet's over a digest: 65 bytes, or 86 with the account
// where its key is an access key.
func (w *Wallet) signature(digest common.Hash) ([]byte, error) {
	var head []byte
	if w.Root != (common.Address{}) {
		head = append([]byte{0x04}, w.Root[:]...)
		digest = crypto.Keccak256Hash([]byte{0x04}, digest[:], w.Root[:])
	}
	s, err := w.key.Sign(digest)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 65)
	s.R.FillBytes(b[:32])
	s.S.FillBytes(b[32:64])
	b[64] = s.V()
	return append(head, b...), nil
}

// prove signs an EIP-712 proof.
func (w *Wallet) prove(account common.Address, chain int64, id, realm string) ([]byte, error) {
	text := func(s string) []byte { return crypto.Keccak256([]byte(s)) }
	version, body := "3", [][]byte{
		text("Proof(address account,string challengeId,string realm)"),
		common.LeftPadBytes(account.Bytes(), 32), text(id), text(realm),
	}
	if w.Bare {
		version, body = "1", [][]byte{text("Proof(string challengeId)"), text(id)}
	}
	domain := crypto.Keccak256(text("EIP712Domain(string name,string version,uint256 chainId)"),
		text("MPP"), text(version), common.LeftPadBytes(big.NewInt(chain).Bytes(), 32))
	return w.signature(crypto.Keccak256Hash([]byte{0x19, 0x01}, domain, crypto.Keccak256(body...)))
}
