package billing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"berth"
)

// The bounds of a transfer.
const (
	MaxAmount       = 1_000_000 * berth.Dollar // of one transfer
	maxTransferID   = 128                      // characters
	maxMemo         = 200                      // characters
	maxReference    = 64                       // characters of Ref, Operation and Key
	customerPrefix  = "customer:"
	escrowPrefix    = "escrow:"
	shownCharacters = 40 // how much of a wrong value an error shows
)

var (
	systemAccounts = []AccountID{Revenue, Grants, Refunds}
	reasons        = []Reason{
		ReasonGrant, ReasonPurchase, ReasonExtension, ReasonRenewal, ReasonService, ReasonRefund, ReasonPayment, ReasonPayout,
		ReasonDeposit, ReasonUsage,
	}
	rails = []string{"mpp", "x402"}
)

// EscrowAccount is the account of a server's deposit.
func EscrowAccount(server berth.ID) AccountID { return AccountID(escrowPrefix + server) }

// Backed tells whether the account is a customer's or an escrow's: it has a
// running state, and never falls below zero.
func (a AccountID) Backed() bool {
	return strings.HasPrefix(string(a), customerPrefix) || strings.HasPrefix(string(a), escrowPrefix)
}

// check refuses the name of an account that can't exist.
func (a AccountID) check() error {
	if slices.Contains(systemAccounts, a) {
		return nil
	}
	if rail, ok := strings.CutPrefix(string(a), railPrefix); ok && slices.Contains(rails, rail) {
		return nil
	}
	if id, ok := strings.CutPrefix(string(a), customerPrefix); ok {
		_, err := berth.ParseID(berth.PrefixAccount, id)
		return err
	}
	if id, ok := strings.CutPrefix(string(a), escrowPrefix); ok {
		_, err := berth.ParseID(berth.PrefixServer, id)
		return err
	}
	return fmt.Errorf("there is no account %.*q", shownCharacters, string(a))
}

// Record writes a transfer into the ledger and returns it as recorded. It is
// the only way to write the ledger. The transaction must hold the lock of the
// principal whose account moves.
//
// A post or void takes debit, credit, reason, reference, operation and key from
// the pending transfer that it resolves where it leaves them empty, and its
// whole amount where it gives none; what a post leaves is released.
//
// Recording the same transfer again, at whatever time, changes nothing. Errors
// are *berth.Error: InvalidInput, IdempotencyConflict for another transfer
// under the same id, Conflict for a hold that was resolved otherwise, NotFound
// for a hold that does not exist, and InsufficientBalance.
func Record(ctx context.Context, tx Tx, t Transfer) (Transfer, error) {
	hold, err := complete(ctx, tx, &t)
	if err != nil {
		return Transfer{}, err
	}
	if err := t.check(); err != nil {
		return Transfer{}, err
	}
	recorded, err := tx.Transfer(ctx, t.ID)
	switch {
	case err == nil && recorded.same(t):
		return recorded, nil
	case err == nil:
		return Transfer{}, berth.Errorf(berth.IdempotencyConflict, "transfer %s is recorded with other content", t.ID)
	case berth.CodeOf(err) != berth.NotFound:
		return Transfer{}, fmt.Errorf("look for transfer %s: %w", t.ID, err)
	}
	if err := resolvable(ctx, tx, t, hold); err != nil {
		return Transfer{}, err
	}
	if err := apply(ctx, tx, t, hold); err != nil {
		return Transfer{}, err
	}
	if err := tx.InsertTransfer(ctx, t); err != nil {
		return Transfer{}, fmt.Errorf("insert transfer %s: %w", t.ID, err)
	}
	return t, nil
}

// complete finds the hold that a post or void resolves and fills what the
// transfer leaves to it.
func complete(ctx context.Context, rx Rx, t *Transfer) (hold Transfer, err error) {
	if t.Kind != Post && t.Kind != Void {
		return Transfer{}, nil
	}
	if err := checkText("pending", t.Pending, 1, maxTransferID); err != nil {
		return Transfer{}, err
	}
	hold, err = rx.Transfer(ctx, t.Pending)
	if err != nil {
		return Transfer{}, fmt.Errorf("look for hold %s: %w", t.Pending, err)
	}
	if hold.Kind != Pending {
		return Transfer{}, invalid("pending", "transfer %s is no hold", t.Pending)
	}
	fill(&t.Debit, hold.Debit)
	fill(&t.Credit, hold.Credit)
	fill(&t.Amount, hold.Amount)
	fill(&t.Reason, hold.Reason)
	fill(&t.Ref, hold.Ref)
	fill(&t.Operation, hold.Operation)
	fill(&t.Key, hold.Key)
	return hold, nil
}

// fill sets *field to value where it is the zero value.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check refuses a transfer that is malformed by itself.
func (t Transfer) check() error {
	for _, text := range []struct {
		name, value string
		least, most int
	}{
		{"id", t.ID, 1, maxTransferID},
		{"memo", t.Memo, 0, maxMemo},
		{"ref", string(t.Ref), 0, maxReference},
		{"operation", t.Operation, 0, maxReference},
		{"key", string(t.Key), 0, maxReference},
	} {
		if err := checkText(text.name, text.value, text.least, text.most); err != nil {
			return err
		}
	}
	resolves := t.Kind == Post || t.Kind == Void
	switch {
	case !resolves && t.Kind != Direct && t.Kind != Pending:
		return invalid("kind", "there is no kind of transfer %.*q", shownCharacters, t.Kind)
	case !resolves && t.Pending != "":
		return invalid("pending", "only a post or a void resolves a hold")
	case !slices.Contains(reasons, t.Reason):
		return invalid("reason", "there is no reason %.*q", shownCharacters, t.Reason)
	case t.Amount <= 0 || t.Amount > MaxAmount:
		return invalid("amount", "%s USD is not above zero and at most %s", t.Amount, MaxAmount)
	case t.Debit == t.Credit:
		return invalid("credit", "debit and credit are the same account")
	case t.At.IsZero():
		return invalid("at", "a transfer has a time")
	}
	if err := t.Debit.check(); err != nil {
		return invalid("debit", "%v", err)
	}
	if err := t.Credit.check(); err != nil {
		return invalid("credit", "%v", err)
	}
	return nil
}

// checkText refuses text that is too short, too long, or not printable.
func checkText(name, s string, least, most int) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return invalid(name, "only printable characters")
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return invalid(name, "%d characters are not between %d and %d", n, least, most)
	}
	return nil
}

// invalid is the error for one wrong field.
func invalid(name, format string, args ...any) *berth.Error {
	reason := fmt.Sprintf(format, args...)
	e := berth.Errorf(berth.InvalidInput, "%s: %s", name, reason)
	e.Fields = []berth.Field{{Name: name, Reason: reason}}
	return e
}

// same tells whether two transfers say the same. The time is no part of it: a
// retry comes later.
func (t Transfer) same(other Transfer) bool {
	t.At = other.At
	return t == other
}

// resolvable refuses a post or void of a hold that is resolved already or that
// it does not fit.
func resolvable(ctx context.Context, rx Rx, t, hold Transfer) error {
	if hold.ID == "" {
		return nil
	}
	earlier, err := rx.Resolution(ctx, hold.ID)
	switch {
	case err == nil:
		return berth.Errorf(berth.Conflict, "hold %s is resolved already, by a %s", hold.ID, earlier.Kind)
	case berth.CodeOf(err) != berth.NotFound:
		return fmt.Errorf("look for the resolution of %s: %w", hold.ID, err)
	case t.Debit != hold.Debit || t.Credit != hold.Credit:
		return invalid("debit", "a %s moves money between the accounts of its hold", t.Kind)
	case t.Amount > hold.Amount:
		return invalid("amount", "%s USD is more than the %s that %s holds", t.Amount, hold.Amount, hold.ID)
	case t.Kind == Void && t.Amount != hold.Amount:
		return invalid("amount", "a void releases the whole hold of %s USD", hold.Amount)
	}
	return nil
}

// apply moves the running state of the accounts that have one.
func apply(ctx context.Context, tx Tx, t, hold Transfer) error {
	if t.Debit.Backed() {
		a, err := tx.LedgerAccount(ctx, t.Debit)
		if err != nil {
			return fmt.Errorf("read account %s: %w", t.Debit, err)
		}
		if hold.ID == "" && a.Available() < t.Amount {
			return insufficient(t, a.Available())
		}
		a.debit(t, hold)
		if err := tx.PutLedgerAccount(ctx, a); err != nil {
			return fmt.Errorf("write account %s: %w", t.Debit, err)
		}
	}
	if !t.Credit.Backed() || t.Kind == Pending || t.Kind == Void {
		return nil
	}
	a, err := tx.LedgerAccount(ctx, t.Credit)
	if err != nil {
		return fmt.Errorf("read account %s: %w", t.Credit, err)
	}
	if a.Credited > math.MaxInt64-t.Amount {
		return invalid("amount", "account %s can't take %s USD more", t.Credit, t.Amount)
	}
	a.Credited += t.Amount
	if err := tx.PutLedgerAccount(ctx, a); err != nil {
		return fmt.Errorf("write account %s: %w", t.Credit, err)
	}
	return nil
}

// debit is what a transfer does to the account that it debits.
func (a *Account) debit(t, hold Transfer) {
	switch t.Kind {
	case Direct:
		a.Debited += t.Amount
	case Pending:
		a.Held += t.Amount
	case Post:
		a.Held -= hold.Amount
		a.Debited += t.Amount
	case Void:
		a.Held -= hold.Amount
	}
}

// insufficient says what is there and what is wanted.
func insufficient(t Transfer, available berth.Micros) error {
	e := berth.Errorf(berth.InsufficientBalance,
		"the balance of %s USD does not cover the price of %s USD", available, t.Amount).
		Hinted("Add at least %s USD; the operator can do so with `berth account credit`.", t.Amount-available)
	e.Payment = &berth.Demand{Amount: t.Amount, Balance: &available, Challenges: []berth.Challenge{}}
	return e
}
