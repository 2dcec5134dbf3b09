package mpp_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/tempoxyz/tempo-go/pkg/transaction"
)

// rawOf is the transaction in a credential.
func rawOf(t *testing.T, credential []byte) []byte {
	t.Helper()
	var c struct {
		Payload struct {
			Signature hexutil.Bytes `json:"signature"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(credential, &c); err != nil {
		t.Fatal(err)
	}
	return c.Payload.Signature
}

// feePayerOf is who pays the gas of a transaction, as Tempo's own library reads
// it.
func feePayerOf(t *testing.T, raw []byte) common.Address {
	t.Helper()
	tx, err := transaction.Deserialize(hexutil.Encode(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, payer, err := transaction.VerifyDualSignatures(tx)
	if err != nil {
		t.Fatal(err)
	}
	return payer
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
