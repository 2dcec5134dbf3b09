package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"berth/billing"
	"berth/ops"
)

// output is how a command shows what it found.
type output struct {
	JSON bool `help:"Print JSON."`
}

// show prints v as JSON, or by the function for people.
func (o output) show(v any, people func(io.Writer)) error {
	if o.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	people(w)
	return w.Flush()
}

// ask sends a request to the process that holds the data directory, starting
// one if there is none.
func (w where) ask(ctx context.Context, method, path string, in, out any) error {
	dir, err := w.folder()
	if err != nil {
		return err
	}
	c, err := newLocalClient(ctx, dir, true)
	if err != nil {
		return err
	}
	return c.do(ctx, method, path, in, out)
}

func splitList(s string) []string { return strings.Split(s, ",") }

// accountCommands are `berth account …`.
type accountCommands struct {
	Create accountCreate `cmd:"" help:"Make an account and its first API key."`
	List   accountList   `cmd:"" help:"All accounts."`
	Show   accountShow   `cmd:"" help:"One account."`
	Credit accountCredit `cmd:"" help:"Grant an account credit."`
	Update accountUpdate `cmd:"" help:"Set caps and limits, suspend or revive."`
	Key    accountKeys   `cmd:"" help:"API keys."`
}

type accountCreate struct {
	where
	output
	Email         string `required:"" help:"E-mail address; unique."`
	Credit        string `help:"USD to grant at once." placeholder:"USD"`
	Budget        string `help:"USD that may ever be spent." placeholder:"USD"`
	BudgetPerCall string `name:"budget-per-call" help:"USD that one call may cost." placeholder:"USD"`
}

// Run makes the account.
func (c *accountCreate) Run(ctx context.Context) error {
	in := ops.CreateAccountIn{Email: c.Email, Credit: c.Credit, BudgetTotal: c.Budget, BudgetPerCall: c.BudgetPerCall}
	var out ops.AccountView
	if err := c.ask(ctx, http.MethodPost, "/v1/operator/accounts", in, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		printAccount(w, out)
		fmt.Fprintf(w, "API key\t%s\n\t(shown once: keep it)\n", out.APIKey)
	})
}

func printAccount(w io.Writer, a ops.AccountView) {
	fmt.Fprintf(w, "Account\t%s\nKind\t%s\n", a.ID, a.Kind)
	if a.Email != "" {
		fmt.Fprintf(w, "E-mail\t%s\n", a.Email)
	}
	fmt.Fprintf(w, "Tariff\t%s\nBalance\t%s USD\nHeld\t%s USD\nSpent\t%s USD\nServers\t%d\n", a.Tariff, a.Balance, a.Held, a.Spent, a.Servers)
	if b := a.Budget; b != nil && b.Total != nil {
		fmt.Fprintf(w, "Budget\t%s USD, %s left\n", b.Total, b.Left)
	}
	if b := a.Budget; b != nil && b.PerCall != nil {
		fmt.Fprintf(w, "Per call\t%s USD\n", b.PerCall)
	}
	if a.Suspended {
		fmt.Fprintln(w, "Suspended\tyes")
	}
}

type accountList struct {
	where
	output
}

// Run lists all accounts.
func (c *accountList) Run(ctx context.Context) error {
	list := []ops.AccountView{}
	for after := ""; ; {
		var page ops.AccountsOut
		if err := c.ask(ctx, http.MethodGet, "/v1/operator/accounts?after="+url.QueryEscape(after), nil, &page); err != nil {
			return err
		}
		list = append(list, page.Accounts...)
		if after = page.Next; after == "" {
			break
		}
	}
	return c.show(list, func(w io.Writer) {
		fmt.Fprintln(w, "ACCOUNT\tKIND\tE-MAIL\tBALANCE\tHELD\tSPENT\tSERVERS")
		for _, a := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", a.ID, a.Kind, a.Email, a.Balance, a.Held, a.Spent, a.Servers)
		}
	})
}

// accountName names the account that a command is about.
type accountName struct {
	Account string `arg:"" help:"Its id, its e-mail, or local."`
}

func (a accountName) path(rest string) string {
	return "/v1/operator/accounts/" + url.PathEscape(a.Account) + rest
}

type accountShow struct {
	where
	output
	accountName
}

// Run shows one account.
func (c *accountShow) Run(ctx context.Context) error {
	var out ops.AccountView
	if err := c.ask(ctx, http.MethodGet, c.path(""), nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) { printAccount(w, out) })
}

type accountCredit struct {
	where
	output
	accountName
	Amount string `arg:"" help:"USD, such as 25.00."`
	Memo   string `help:"Why, for the books."`
}

// Run grants credit.
func (c *accountCredit) Run(ctx context.Context) error {
	var out ops.AccountView
	if err := c.ask(ctx, http.MethodPost, c.path("/credit"), map[string]string{"amount": c.Amount, "memo": c.Memo}, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) { printAccount(w, out) })
}

type accountUpdate struct {
	where
	output
	accountName
	Budget        *string `help:"USD that may ever be spent; 0 for no cap." placeholder:"USD"`
	BudgetPerCall *string `name:"budget-per-call" help:"USD that one call may cost; 0 for no cap." placeholder:"USD"`
	Servers       *int    `help:"Live servers at once; 0 for the catalog's default." placeholder:"N"`
	Suspended     *bool   `help:"Suspend, or with --no-suspended revive." negatable:""`
}

// Run changes the account.
func (c *accountUpdate) Run(ctx context.Context) error {
	in := map[string]any{}
	if c.Budget != nil {
		in["budget_total"] = *c.Budget
	}
	if c.BudgetPerCall != nil {
		in["budget_per_call"] = *c.BudgetPerCall
	}
	if c.Servers != nil {
		in["server_limit"] = *c.Servers
	}
	if c.Suspended != nil {
		in["suspended"] = *c.Suspended
	}
	if len(in) == 0 {
		return errors.New("nothing to change: see berth account update --help")
	}
	var out ops.AccountView
	if err := c.ask(ctx, http.MethodPatch, c.path(""), in, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) { printAccount(w, out) })
}

// accountKeys are `berth account key …`.
type accountKeys struct {
	Create keyCreate `cmd:"" help:"Make a further API key."`
	Revoke keyRevoke `cmd:"" help:"Revoke an API key."`
}

type keyCreate struct {
	where
	output
	accountName
	Name          string `help:"What it is for." default:"key"`
	Budget        string `help:"USD that may ever be spent by it." placeholder:"USD"`
	BudgetPerCall string `name:"budget-per-call" help:"USD that one call may cost." placeholder:"USD"`
}

// Run makes the key.
func (c *keyCreate) Run(ctx context.Context) error {
	in := map[string]string{"name": c.Name, "budget_total": c.Budget, "budget_per_call": c.BudgetPerCall}
	var out ops.APIKeyView
	if err := c.ask(ctx, http.MethodPost, c.path("/keys"), in, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "Id\t%s\nAccount\t%s\nAPI key\t%s\n\t(shown once: keep it)\n", out.ID, out.AccountID, out.Secret)
	})
}

type keyRevoke struct {
	where
	output
	Key string `arg:"" help:"Its id (akey_…)."`
}

// Run revokes the key.
func (c *keyRevoke) Run(ctx context.Context) error {
	var out ops.APIKeyView
	if err := c.ask(ctx, http.MethodDelete, "/v1/operator/keys/"+url.PathEscape(c.Key), nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) { fmt.Fprintf(w, "%s is revoked\n", out.ID) })
}

// serversCommands are `berth servers …`.
type serversCommands struct {
	List    serversList    `cmd:"" default:"withargs" help:"All live servers."`
	Destroy serversDestroy `cmd:"" help:"Destroy a server, with a snapshot first."`
}

type serversList struct {
	where
	output
}

// Run lists all live servers.
func (c *serversList) Run(ctx context.Context) error {
	list := []ops.OwnedServer{}
	for after := ""; ; {
		var page ops.AllServersOut
		if err := c.ask(ctx, http.MethodGet, "/v1/operator/servers?after="+url.QueryEscape(after), nil, &page); err != nil {
			return err
		}
		list = append(list, page.Servers...)
		if after = page.Next; after == "" {
			break
		}
	}
	return c.show(list, func(w io.Writer) {
		fmt.Fprintln(w, "SERVER\tOWNER\tLABEL\tSTATUS\tSIZE\tREGION\tADDRESS\tPAID UNTIL")
		for _, s := range list {
			ip := ""
			if s.IP != nil {
				ip = *s.IP
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Owner, s.Label, s.Status, s.Size, s.Region, ip, s.PaidUntil.Local().Format(time.DateTime))
		}
	})
}

type serversDestroy struct {
	where
	output
	Server string `arg:"" help:"Its id (srv_…)."`
	Wait   int    `help:"Seconds to wait for the end." default:"60"`
}

// Run destroys the server.
func (c *serversDestroy) Run(ctx context.Context) error {
	var out ops.DestroyOut
	path := fmt.Sprintf("/v1/servers/%s?wait_seconds=%d", url.PathEscape(c.Server), c.Wait)
	if err := c.ask(ctx, http.MethodDelete, path, nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is %s\n", out.ID, out.Status)
		if out.Snapshot != nil {
			fmt.Fprintf(w, "Its snapshot is %s, kept for %d hours\n", out.Snapshot.ID, out.Snapshot.ExpiresIn)
		}
	})
}

// ledgerCommands are `berth ledger …`.
type ledgerCommands struct {
	Verify    ledgerVerify    `cmd:"" help:"Check every invariant of the books."`
	Export    ledgerExport    `cmd:"" help:"Print the whole ledger."`
	Statement ledgerStatement `cmd:"" help:"Print an account's statement."`
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
	fmt.Fprintf(w, "Statement of %s\n\nTIME\tREASON\tOPERATION\tFOR\tDEBIT\tCREDIT\tBALANCE\tHELD\n", s.Principal)
	fmt.Fprintf(w, "opening\t\t\t\t\t\t%s\t%s\n", s.Opening.Balance, s.Opening.Held)
	for _, l := range s.Lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.At.Local().Format(time.DateTime), l.Reason, l.Operation, l.Ref, l.Debit, l.Credit, l.Balance, l.Held)
	}
	fmt.Fprintf(w, "closing\t\t\t\t\t\t%s\t%s\n", s.Closing.Balance, s.Closing.Held)
}

type reconcileCommand struct{ where }

// Run compares the provider with the books.
func (c *reconcileCommand) Run(ctx context.Context) error {
	if err := c.ask(ctx, http.MethodPost, "/v1/operator/reconcile", nil, nil); err != nil {
		return err
	}
	fmt.Println("The provider's machines and the books have been compared; see the log for what was found.")
	return nil
}

type statusCommand struct {
	where
	output
}

// Run shows what holds the data directory.
func (c *statusCommand) Run(ctx context.Context) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	return c.show(s, func(w io.Writer) {
		fmt.Fprintf(w, "Process\t%d\nVersion\t%s\nData\t%s\nCloud\t%s\nHosts\t%d\n", s.PID, s.Version, s.Data, s.Cloud, s.Hosts)
		if s.Address != "" {
			fmt.Fprintf(w, "Address\thttp://%s\n", s.Address)
		}
	})
}

func (w where) status(ctx context.Context) (status, error) {
	var s status
	dir, err := w.folder()
	if err != nil {
		return s, err
	}
	client, err := newLocalClient(ctx, dir, false)
	if err != nil {
		return s, err
	}
	return s, client.do(ctx, http.MethodGet, statusPath, nil, &s)
}

type stopCommand struct{ where }

// Run asks the process that holds the data directory to end, and waits for it.
func (c *stopCommand) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	client, err := newLocalClient(ctx, dir, false)
	if err != nil {
		fmt.Println(err)
		return nil
	}
	if err := client.do(ctx, http.MethodPost, stopPath, nil, nil); err != nil {
		return err
	}
	return untilGone(ctx, dir)
}
