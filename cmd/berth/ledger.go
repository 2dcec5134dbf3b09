package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"berth/billing"
	"berth/ops"
)

// ledgerCommands are `berth ledger …`.
type ledgerCommands struct {
	Verify    ledgerVerify    `cmd:"" help:"Check every invariant of the books."`
	Export    ledgerExport    `cmd:"" help:"Print the whole ledger."`
	Statement ledgerStatement `cmd:"" help:"Print an account's statement."`
	Reconcile ledgerReconcile `cmd:"" help:"Compare wallets' payments with their chains."`
}

type ledgerVerify struct {
	where
	output
}

// Run verifies the ledger; problems make it end with status 2.
func (c *ledgerVerify) Run(ctx context.Context) error {
	var out ops.VerifyOut
	if err := c.ask(ctx, http.MethodGet, "/v1/operator/ledger/verify", nil, &out); err != nil {
		return err
	}
	err := c.show(out, func(w io.Writer) { printVerify(w, out) })
	if err == nil && !out.OK {
		return exitCode(2)
	}
	return err
}

func printVerify(w io.Writer, v ops.VerifyOut) {
	fmt.Fprintln(w, "ACCOUNT\tCREDITED\tDEBITED\tHELD")
	for _, a := range v.Accounts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.Account, a.Credited, a.Debited, a.Held)
	}
	fmt.Fprintf(w, "total\t%s\t%s\t%s\n\n", v.Credited, v.Debited, v.Held)
	for _, p := range v.Problems {
		fmt.Fprintln(w, "PROBLEM:", p)
	}
	if v.OK {
		fmt.Fprintf(w, "The ledger holds: %d transfers, %d open holds.\n", v.Transfers, v.OpenHolds)
	}
}

type ledgerReconcile struct {
	where
	output
	Days int `help:"How far back to look." default:"7"`
}

// Run compares the books with the chains; what the chains lack makes it end with
// status 2.
func (c *ledgerReconcile) Run(ctx context.Context) error {
	var out ops.CompareOut
	if err := c.ask(ctx, http.MethodGet, fmt.Sprintf("/v1/operator/ledger/chains?days=%d", c.Days), nil, &out); err != nil {
		return err
	}
	err := c.show(out, func(w io.Writer) { printComparison(w, out) })
	if err == nil && !out.OK {
		return exitCode(2)
	}
	return err
}

func printComparison(w io.Writer, v ops.CompareOut) {
	if len(v.Rails) == 0 {
		fmt.Fprintln(w, "No rail is open: wallets can't pay here.")
	}
	for _, r := range v.Rails {
		fmt.Fprintf(w, "%s: %d payments since %s, %s USD in, %s USD out\n", r.Rail, r.Payments, v.Since.Format(time.DateTime), r.In, r.Out)
		for _, p := range r.Problems {
			fmt.Fprintln(w, "PROBLEM:", p)
		}
		for _, u := range r.Unknown {
			fmt.Fprintln(w, "came in without a payment:", u)
		}
		if len(r.Problems) == 0 {
			fmt.Fprintln(w, "The chain has them all.")
		}
	}
}

type ledgerExport struct {
	where
	Format string `help:"csv or json." default:"csv" enum:"csv,json"`
}

// Run prints the ledger.
func (c *ledgerExport) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	if err := c.exists(dir); err != nil {
		return err
	}
	client, err := newLocalClient(ctx, dir, true)
	if err != nil {
		return err
	}
	res, err := client.send(ctx, http.MethodGet, "/v1/operator/ledger/export?format="+c.Format, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

type ledgerStatement struct {
	where
	output
	accountName
	From string `help:"Begin, such as 2026-11-01T00:00:00Z." placeholder:"TIME"`
	To   string `help:"End, not included." placeholder:"TIME"`
}

// Run prints the statement.
func (c *ledgerStatement) Run(ctx context.Context) error {
	q := url.Values{"account": {c.Account}}
	if c.From != "" {
		q.Set("from", c.From)
	}
	if c.To != "" {
		q.Set("to", c.To)
	}
	var out billing.Statement
	if err := c.ask(ctx, http.MethodGet, "/v1/statement?"+q.Encode(), nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) { printStatement(w, out) })
}

func printStatement(w io.Writer, s billing.Statement) {
	fmt.Fprintf(w, "Statement of %s\n\nTIME\tKIND\tREASON\tFOR\tMEMO\tDEBIT\tCREDIT\tBALANCE\tHELD\n", s.Principal)
	fmt.Fprintf(w, "opening\t\t\t\t\t\t\t%s\t%s\n", s.Opening.Balance, s.Opening.Held)
	for _, l := range s.Lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.At.Local().Format(time.DateTime), l.Kind, l.Reason, l.Ref, l.Memo, l.Debit, l.Credit, l.Balance, l.Held)
	}
	fmt.Fprintf(w, "closing\t\t\t\t\t\t\t%s\t%s\n", s.Closing.Balance, s.Closing.Held)
}
