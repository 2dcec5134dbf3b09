package billing

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"berth"
)

// row is a ledger entry as it is exported.
type row struct {
	Seq       int64        `json:"seq"`
	ID        string       `json:"id"`
	At        string       `json:"at"` // RFC 3339, UTC
	Kind      TransferKind `json:"kind"`
	Debit     AccountID    `json:"debit"`
	Credit    AccountID    `json:"credit"`
	Amount    string       `json:"amount"` // US dollars
	Pending   string       `json:"pending"`
	Reason    Reason       `json:"reason"`
	Ref       berth.ID     `json:"ref"`
	Operation string       `json:"operation"`
	Memo      string       `json:"memo"`
	Key       berth.ID     `json:"key"`
}

// columns are the names of a row's fields, in their order.
var columns = []string{
	"seq", "id", "at", "kind", "debit", "credit", "amount", "pending", "reason", "ref", "operation", "memo", "key",
}

// row is the entry for export.
func (e Entry) row() row {
	return row{
		Seq: e.Seq, ID: e.ID, At: e.At.UTC().Format(time.RFC3339Nano), Kind: e.Kind,
		Debit: e.Debit, Credit: e.Credit, Amount: e.Amount.String(), Pending: e.Pending,
		Reason: e.Reason, Ref: e.Ref, Operation: e.Operation, Memo: e.Memo, Key: e.Key,
	}
}

// record is the row for CSV, as columns names it.
func (r row) record() []string {
	return []string{
		strconv.FormatInt(r.Seq, 10), inert(r.ID), r.At, string(r.Kind), string(r.Debit), string(r.Credit), r.Amount,
		inert(r.Pending), string(r.Reason), inert(string(r.Ref)), inert(r.Operation), inert(r.Memo), inert(string(r.Key)),
	}
}

// inert keeps spreadsheets from running text as a formula: a caller's words can
// be in it.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// WriteCSV writes the whole ledger in its order: a line of column names, and a
// line for each transfer. It reads a page at a time. rx must be one consistent
// view.
func WriteCSV(ctx context.Context, w io.Writer, rx Rx) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return fmt.Errorf("export the ledger: %w", err)
	}
	for e, err := range oldestFirst(ctx, rx) {
		if err == nil {
			err = out.Write(e.row().record())
		}
		if err != nil {
			return fmt.Errorf("export the ledger: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("export the ledger: %w", err)
	}
	return nil
}

// WriteJSON writes the whole ledger in its order, as a JSON array of objects,
// one a line. It reads a page at a time. What an error cuts short is no valid
// JSON. rx must be one consistent view.
func WriteJSON(ctx context.Context, w io.Writer, rx Rx) error {
	out := bufio.NewWriter(w)
	before := "[\n"
	for e, err := range oldestFirst(ctx, rx) {
		if err == nil {
			err = writeElement(out, before, e.row())
		}
		if err != nil {
			return fmt.Errorf("export the ledger: %w", err)
		}
		before = ",\n"
	}
	end := "\n]\n"
	if before == "[\n" {
		end = "[]\n"
	}
	if _, err := out.WriteString(end); err != nil {
		return fmt.Errorf("export the ledger: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("export the ledger: %w", err)
	}
	return nil
}

// writeElement writes one element of an array after what comes before it.
func writeElement(w io.Writer, before string, r row) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append([]byte(before), text...))
	return err
}
