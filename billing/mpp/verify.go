package mpp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"berth"
	"berth/billing"
	"berth/billing/evm"
)

// Match implements billing.Rail. An offer that was made without an input, whose
// binding is empty, buys nothing.
func (r *Rail) Match(c billing.Claim, ask billing.Ask) error {
	t, err := readTicket(c)
	if err != nil {
		return err
	}
	switch {
	case c.Amount != ask.Amount:
		return billing.Refuse(billing.Mismatched, "the credential is for %s USD, and this costs %s USD", c.Amount, ask.Amount)
	case !strings.EqualFold(c.Realm, ask.Realm):
		return billing.Refuse(billing.Mismatched, "the credential is for another host")
	case t.Operation != ask.Operation:
		return billing.Refuse(billing.Mismatched, "the credential is for another operation")
	case c.Binding != ask.Binding || (c.Binding == "" && c.Amount > 0):
		return billing.Refuse(billing.Mismatched, "the credential is for the same operation with another input")
	case c.Network != network(r.chain) || t.Chain != r.chain:
		return billing.Refuse(billing.Mismatched, "payments come over chain %d", r.chain)
	case !strings.EqualFold(c.Asset, r.currency.Hex()) || t.Recipient != r.recipient:
		return billing.Refuse(billing.Mismatched, "the credential pays in another token, or to another account, than is asked for now")
	}
	return t.inTime(c, ask.At)
}

func readTicket(c billing.Claim) (t ticket, err error) {
	if err := json.Unmarshal(c.Payload, &t); err != nil {
		return t, fmt.Errorf("the claim's payload is not one of this rail: %w", err)
	}
	if t.Kind == kindHash && len(t.Raw) != len(evm.Hash{}) {
		return t, errors.New("the claim's payload has no transaction's hash")
	}
	return t, nil
}

// transferOf is what has to show on the chain. It is made of the claim alone,
// so that a change of what the operator asks for changes no payment under way.
func transferOf(c billing.Claim, t ticket) (transfer, error) {
	token, err := evm.ParseAddress(c.Asset)
	if err != nil {
		return transfer{}, fmt.Errorf("the claim's asset: %w", err)
	}
	from, err := evm.ParseAddress(c.Payer.Address)
	if err != nil {
		return transfer{}, fmt.Errorf("the claim's payer: %w", err)
	}
	return transfer{token: token, from: from, to: t.Recipient, amount: c.Amount, memo: evm.Word(t.Memo)}, nil
}

// Verify implements billing.Rail.
func (r *Rail) Verify(ctx context.Context, c billing.Claim) error {
	t, err := readTicket(c)
	if err != nil {
		return err
	}
	late := !r.now().Before(c.Expires)
	switch {
	case t.Kind == kindTransaction:
		return r.verifyTransaction(ctx, c, t, late)
	case late:
		return expired(c)
	case t.Kind == kindHash:
		return r.verifyHash(ctx, c, t)
	}
	return nil
}

func expired(c billing.Claim) *billing.Refusal {
	return billing.Refuse(billing.Expired, "the credential was valid until %s", c.Expires.UTC().Format(time.RFC3339))
}

func (r *Rail) verifyHash(ctx context.Context, c billing.Claim, t ticket) error {
	pay, err := transferOf(c, t)
	if err != nil {
		return err
	}
	sight, err := r.look(ctx, evm.Hash(t.Raw), pay)
	switch {
	case err != nil:
		return err
	case sight.reverted, !sight.found:
		return billing.Refuse(billing.Unverified, "the chain has no such transaction, or it failed")
	}
	return nil
}

// verifyTransaction refuses a transaction that would not settle, but one that
// its payer has sent already: then the money is there, and Submit will find it.
func (r *Rail) verifyTransaction(ctx context.Context, c billing.Claim, t ticket, late bool) error {
	pay, err := transferOf(c, t)
	if err != nil {
		return err
	}
	var refusal *billing.Refusal
	if err = r.wouldSettle(ctx, c, t, pay, late); !errors.As(err, &refusal) {
		return err
	}
	_, hash, unsent := r.complete(c, t)
	if unsent != nil {
		return refusal
	}
	sight, err := r.look(ctx, hash, pay)
	switch {
	case err != nil:
		return err
	case sight.found && !sight.reverted:
		return nil
	}
	return refusal
}

func (r *Rail) wouldSettle(ctx context.Context, c billing.Claim, t ticket, pay transfer, late bool) error {
	if late {
		return expired(c)
	}
	tx, err := decodeTransaction(t.Raw)
	if err != nil {
		return fmt.Errorf("the claim's transaction: %w", err)
	}
	head, err := r.head(ctx)
	if err != nil {
		return err
	}
	if head.Time >= tx.validBefore {
		return billing.Refuse(billing.Expired, "by the chain's clock the transaction has expired")
	}
	if err := r.checkBalance(ctx, pay.token, pay.from, c.Amount); err != nil {
		return err
	}
	if t.Sponsored {
		if r.sponsor == nil {
			return billing.Refuse(billing.Unsupported, "gas is not paid for any more")
		}
		if err := r.checkBalance(ctx, pay.token, r.sponsor.Address(), r.maxFee); err != nil {
			// Not wrapped: what is wrong is no fault of the credential's.
			return berth.Errorf(berth.Unavailable, "gas can't be paid for at the moment").Because(errors.New("the fee payer: " + err.Error()))
		}
	}
	return r.simulate(ctx, pay)
}

// head is the newest block.
func (r *Rail) head(ctx context.Context) (*evm.Block, error) {
	head, err := r.node.Block(ctx, evm.Latest)
	if err == nil && head == nil {
		err = errors.New("the chain has no blocks")
	}
	return head, err
}

func (r *Rail) checkBalance(ctx context.Context, token, owner evm.Address, least berth.Micros) error {
	answer, err := r.node.Call(ctx, nil, token, evm.BalanceOf(owner), evm.Latest)
	if err != nil {
		return fmt.Errorf("ask for a balance: %w", err)
	}
	balance, err := evm.Number(answer)
	if err != nil {
		return fmt.Errorf("ask for a balance: %w", err)
	}
	if balance.Cmp(big.NewInt(int64(least))) < 0 {
		return billing.Refuse(billing.Insufficient, "%s has %s units of the token; %d are needed", owner, balance, int64(least))
	}
	return nil
}

// insufficient is the error InsufficientBalance of TIP-20 tokens.
var insufficient = evm.Keccak([]byte("InsufficientBalance(uint256,uint256,address)")).Bytes()[:4]

// simulate runs the transfer without sending it: a paused token, or an account
// that the token's policy excludes, shows here.
func (r *Rail) simulate(ctx context.Context, pay transfer) error {
	_, err := r.node.Call(ctx, &pay.from, pay.token, pay.calldata(), evm.Latest)
	var refused *evm.Refused
	if !errors.As(err, &refused) {
		return err
	}
	switch {
	case isUnknownMethod(refused):
		return nil // then the chain itself is the first to judge
	case len(refused.Data) >= 4 && string(refused.Data[:4]) == string(insufficient):
		return billing.Refuse(billing.Insufficient, "the payer's balance does not cover the transfer")
	}
	return billing.Refuse(billing.Unverified, "the token would not make the transfer: %s", refused.Message)
}

// isUnknownMethod tells of a node that does not know a method.
func isUnknownMethod(r *evm.Refused) bool {
	const methodNotFound = -32601 // JSON-RPC 2.0
	return r.Code == methodNotFound || strings.Contains(r.Message, "does not exist") || strings.Contains(r.Message, "not supported")
}
