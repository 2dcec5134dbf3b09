package ops

import (
	"context"
	"net/http"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
)

// StatementIn chooses the period of a statement.
type StatementIn struct {
	From    string `json:"from,omitempty" format:"date-time" maxLength:"40" doc:"Included. Default: the beginning."`
	To      string `json:"to,omitempty" format:"date-time" maxLength:"40" doc:"Not included. Default: now."`
	Account string `json:"account,omitempty" maxLength:"254" doc:"For the operator: whose. Default: the caller's."`
}

// ExportIn is the input of export_ledger.
type ExportIn struct {
	Format string `json:"format,omitempty" enum:"csv,json" default:"csv"`
}

// VerifyOut is what verify_ledger answers.
type VerifyOut struct {
	OK        bool             `json:"ok"`
	Problems  []string         `json:"problems"`
	Transfers int64            `json:"transfers"`
	OpenHolds int64            `json:"open_holds"`
	Credited  berth.Micros     `json:"credited"`
	Debited   berth.Micros     `json:"debited"`
	Held      berth.Micros     `json:"held"`
	Accounts  []VerifiedTotals `json:"accounts"`
}

// VerifiedTotals are the sums of one ledger account.
type VerifiedTotals struct {
	Account  billing.AccountID `json:"account"`
	Credited berth.Micros      `json:"credited"`
	Debited  berth.Micros      `json:"debited"`
	Held     berth.Micros      `json:"held"`
}

func (s *System) addLedger() {
	Add(s.table, Op[StatementIn, billing.Statement]{
		Name: "get_statement",
		Doc: Doc{
			Title: "Statement", Text: "Everything that happened to your money in a period, with opening and closing balance. Free.", Toolset: "more", Tag: "Money",
			Example: `{"from":"2026-11-01T00:00:00Z"}`, ReadOnly: true, Idempotent: true,
		},
		Routes: []Route{{Method: "GET", Path: "/v1/statement", Status: http.StatusOK}},
		Access: Identified, Read: s.statement,
	})
	Add(s.table, Op[None, VerifyOut]{
		Name: "verify_ledger", Doc: operatorDoc("Verify the ledger", "Check every invariant of the ledger and of the servers' charges.", `{}`, true),
		Routes: []Route{{Method: "GET", Path: "/v1/operator/ledger/verify", Status: http.StatusOK}},
		Access: Operator, Read: s.verifyLedger,
	})
	Add(s.table, Op[CompareIn, CompareOut]{
		Name: "compare_payments", Doc: operatorDoc("Compare the books with the chains", "Look for each payment of the last days on its rail's chain, and for money on the chain that no payment is about.", `{"days":7}`, true),
		Routes: []Route{{Method: "GET", Path: "/v1/operator/ledger/chains", Status: http.StatusOK}},
		Access: Operator, Run: s.comparePayments,
	})
	Add(s.table, Op[ExportIn, struct{}]{
		Name: "export_ledger", Doc: operatorDoc("Export the ledger", "The whole ledger in its order, as CSV or JSON.", `{"format":"csv"}`, true),
		Routes: []Route{{Method: "GET", Path: "/v1/operator/ledger/export", Status: http.StatusOK, Raw: RawOut}},
		Access: Operator, Run: s.exportLedger,
	})
}

func (s *System) statement(ctx context.Context, rx Rx, r *Request, in StatementIn) (billing.Statement, error) {
	owner := r.Principal.ID
	if in.Account != "" && !r.Operator {
		return billing.Statement{}, wrongField("account", "only the operator may ask for another account's")
	}
	if in.Account != "" {
		p, err := findAccount(ctx, rx, in.Account)
		if err != nil {
			return billing.Statement{}, err
		}
		owner = p.ID
	}
	from, err := parseTime("from", in.From)
	if err != nil {
		return billing.Statement{}, err
	}
	to, err := parseTime("to", in.To)
	if err != nil {
		return billing.Statement{}, err
	}
	return billing.ReadStatement(ctx, rx, owner, from, to)
}

func parseTime(field, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, wrongField(field, "not a time such as 2026-11-01T00:00:00Z")
	}
	return t, nil
}

func (s *System) verifyLedger(ctx context.Context, rx Rx, _ *Request, _ None) (VerifyOut, error) {
	report, err := billing.Verify(ctx, rx)
	if err != nil {
		return VerifyOut{}, err
	}
	contradictions, err := fleet.VerifyServers(ctx, rx)
	out := VerifyOut{
		OK: report.OK() && len(contradictions) == 0, Problems: append([]string{}, report.Problems...),
		Transfers: report.Transfers, OpenHolds: report.OpenHolds,
		Credited: report.Credited, Debited: report.Debited, Held: report.Held, Accounts: []VerifiedTotals{},
	}
	out.Problems = append(out.Problems, contradictions...)
	for _, a := range report.Accounts {
		out.Accounts = append(out.Accounts, VerifiedTotals(a))
	}
	return out, err
}

// exportLedger streams: its size is not known before.
func (s *System) exportLedger(ctx context.Context, r *Request, in ExportIn) (struct{}, error) {
	if r.Open == nil {
		return struct{}{}, berth.Errorf(berth.InvalidInput, "the export is a file, and this front can't take one").
			Hinted("use berth ledger export")
	}
	return struct{}{}, s.store.Read(ctx, func(rx Rx) error {
		write := billing.WriteCSV
		if in.Format == "json" {
			write = billing.WriteJSON
		}
		return write(ctx, r.Open(FileHead{Path: "ledger." + in.Format, Size: -1}), rx)
	})
}
