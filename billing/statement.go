package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"berth"
)

// MaxStatementLines bounds the lines of one statement.
const MaxStatementLines = 10_000

// Statement is what happened to a principal's money in a period.
type Statement struct {
	Principal berth.ID        `json:"account_id"`
	From      time.Time       `json:"from,omitzero"` // included; zero for the beginning
	To        time.Time       `json:"to,omitzero"`   // not included; zero for now
	Opening   Balance         `json:"opening"`
	Lines     []StatementLine `json:"lines"` // oldest first
	Closing   Balance         `json:"closing"`
	Totals    []ReasonTotal   `json:"totals"` // of the reasons that occurred
}

// Balance is how a principal stands. What can be spent is Balance - Held.
type Balance struct {
	Balance berth.Micros `json:"balance"`
	Held    berth.Micros `json:"held"`
}

// StatementLine is one movement as the principal sees it: a debit is money that
// left the balance. Balance and Held are what there was after it.
type StatementLine struct {
	Seq       int64        `json:"seq"`
	ID        string       `json:"id"`
	At        time.Time    `json:"at"`
	Kind      TransferKind `json:"kind"`
	Reason    Reason       `json:"reason"`
	Operation string       `json:"operation,omitempty"`
	Ref       berth.ID     `json:"ref,omitempty"`
	Memo      string       `json:"memo,omitempty"`
	Debit     berth.Micros `json:"debit"`
	Credit    berth.Micros `json:"credit"`
	Balance   berth.Micros `json:"balance"`
	Held      berth.Micros `json:"held"`
}

// ReasonTotal is what moved for one reason.
type ReasonTotal struct {
	Reason Reason       `json:"reason"`
	Debit  berth.Micros `json:"debit"`
	Credit berth.Micros `json:"credit"`
}

// ReadStatement is a principal's statement from one time until before another.
// It is berth.TooLarge where the period has more than MaxStatementLines. rx
// must be one consistent view.
func ReadStatement(ctx context.Context, rx Rx, principal berth.ID, from, to time.Time) (Statement, error) {
	s := Statement{Principal: principal, From: from, To: to, Lines: []StatementLine{}, Totals: []ReasonTotal{}}
	account := CustomerAccount(principal)
	state, err := rx.LedgerAccount(ctx, account)
	if err != nil {
		return Statement{}, fmt.Errorf("statement of %s: %w", principal, err)
	}
	// Only the present is stored: the opening is found by going back from it.
	s.Opening = Balance{Balance: state.Credited - state.Debited, Held: state.Held}
	for e, err := range newestFirst(ctx, rx, Filter{Account: account, Since: from}) {
		if err != nil {
			return Statement{}, fmt.Errorf("statement of %s: %w", principal, err)
		}
		line, err := statementLine(ctx, rx, account, e)
		if err != nil {
			return Statement{}, fmt.Errorf("statement of %s: %w", principal, err)
		}
		s.Opening.Balance -= line.Credit - line.Debit
		s.Opening.Held -= line.Held
		if !to.IsZero() && !e.At.Before(to) {
			continue
		}
		if len(s.Lines) == MaxStatementLines {
			return Statement{}, berth.Errorf(berth.TooLarge, "the period has more than %d movements", MaxStatementLines).
				Hinted("Ask for a shorter period.")
		}
		s.Lines = append(s.Lines, line)
	}
	slices.Reverse(s.Lines)
	s.run()
	return s, nil
}

// statementLine is an entry as the account's owner sees it, with Held as the
// change that it makes.
func statementLine(ctx context.Context, rx Rx, account AccountID, e Entry) (StatementLine, error) {
	line := StatementLine{
		Seq: e.Seq, ID: e.ID, At: e.At, Kind: e.Kind, Reason: e.Reason,
		Operation: e.Operation, Ref: e.Ref, Memo: e.Memo,
	}
	moves := e.Kind == Direct || e.Kind == Post
	if e.Credit == account && moves {
		line.Credit = e.Amount
	}
	if e.Debit != account {
		return line, nil
	}
	if moves {
		line.Debit = e.Amount
	}
	switch e.Kind {
	case Pending:
		line.Held = e.Amount
	case Void:
		line.Held = -e.Amount
	case Post: // may be of less than was held
		hold, err := rx.Transfer(ctx, e.Pending)
		if err != nil {
			return StatementLine{}, fmt.Errorf("read hold %s: %w", e.Pending, err)
		}
		line.Held = -hold.Amount
	}
	return line, nil
}

// run turns changes into running balances, and sums them up by reason.
func (s *Statement) run() {
	s.Closing = s.Opening
	totals := make(map[Reason]ReasonTotal)
	for i := range s.Lines {
		line := &s.Lines[i]
		s.Closing.Balance += line.Credit - line.Debit
		s.Closing.Held += line.Held
		line.Balance, line.Held = s.Closing.Balance, s.Closing.Held
		sum := totals[line.Reason]
		totals[line.Reason] = ReasonTotal{line.Reason, sum.Debit + line.Debit, sum.Credit + line.Credit}
	}
	for _, reason := range reasons {
		if sum, ok := totals[reason]; ok {
			s.Totals = append(s.Totals, sum)
		}
	}
}
