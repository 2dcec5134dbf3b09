package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/core/types"

	"berth/billing/evm"
)

// Bounds of the HTTP server.
const (
	maxBody    = 1 << 20 // of JSON-RPC; the faucet's is far smaller
	faucetWait = 30 * time.Second
)

// handler serves JSON-RPC at the root, as nodes do, and the faucet.
func (c *chain) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /faucet", c.serveFaucet)
	mux.Handle("POST /{$}", http.MaxBytesHandler(c.rpc, maxBody))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "PLAY MONEY. A development chain, eip155:%d: JSON-RPC by POST /, play USDC by POST /faucet {\"address\":\"0x…\"}.\n", chainID)
	})
	return mux
}

// grant is the faucet's answer.
type grant struct {
	Address     string `json:"address"`
	USDC        string `json:"usdc"`
	Ether       string `json:"ether"`
	Transaction string `json:"transaction"` // that minted the USDC
	Note        string `json:"note"`
}

func (c *chain) serveFaucet(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Address string `json:"address"`
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": `the body is {"address":"0x…"}`})
		return
	}
	to, err := evm.ParseAddress(in.Address)
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), faucetWait)
	defer cancel()
	hash, err := c.give(ctx, to)
	if err != nil {
		reply(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	reply(w, http.StatusOK, grant{to.Hex(), fmt.Sprint(faucetDollars), "1", hash.Hex(), "play money"})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to a client that may be gone
}

// give mints play USDC for an account and sends it ether, and waits until both
// are in a block.
func (c *chain) give(ctx context.Context, to evm.Address) (evm.Hash, error) {
	c.faucet.Lock()
	defer c.faucet.Unlock()
	key := faucetKey()
	nonce, err := c.client.PendingNonceAt(ctx, key.Address())
	if err != nil {
		return evm.Hash{}, err
	}
	fee, err := c.client.SuggestGasPrice(ctx)
	if err != nil {
		return evm.Hash{}, err
	}
	price := new(big.Int).Lsh(fee, 1)
	mint := evm.Calldata("mint(address,uint256)", evm.AddressWord(to), evm.Uint64(faucetDollars*microsPerDollar))
	var last evm.Hash
	for i, t := range []types.LegacyTx{
		{To: &to, Value: ether, Gas: 100_000},
		{To: &tokenAddress, Value: new(big.Int), Gas: 200_000, Data: mint},
	} {
		t.Nonce, t.GasPrice = nonce+uint64(i), price
		signed, err := sign(key, &t)
		if err != nil {
			return evm.Hash{}, err
		}
		if err := c.client.SendTransaction(ctx, signed); err != nil {
			return evm.Hash{}, err
		}
		last = signed.Hash()
	}
	return last, c.mined(ctx, last)
}

func sign(key *evm.Key, t *types.LegacyTx) (*types.Transaction, error) {
	tx := types.NewTx(t)
	signer := types.LatestSignerForChainID(big.NewInt(chainID))
	s, err := key.Sign(signer.Hash(tx))
	if err != nil {
		return nil, err
	}
	b := s.Bytes()
	b[64] -= 27 // as go-ethereum numbers it
	return tx.WithSignature(signer, b)
}

// mined waits for a transaction's receipt.
func (c *chain) mined(ctx context.Context, tx evm.Hash) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if receipt, err := c.client.TransactionReceipt(ctx, tx); err == nil {
			if receipt.Status != types.ReceiptStatusSuccessful {
				return errors.New("the faucet's transaction reverted")
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the faucet's transaction is not in a block yet: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
