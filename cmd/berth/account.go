package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"berth/ops"
)

// accountCommands are `berth account …`.
type accountCommands struct {
	Create accountCreate `cmd:"" help:"Make an account and its first API key."`
	List   accountList   `cmd:"" help:"All accounts."`
	Show   accountShow   `cmd:"" help:"One account."`
	Credit accountCredit `cmd:"" help:"Grant an account credit."`
	Debit  accountDebit  `cmd:"" help:"Take back credit that was granted by mistake."`
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
	if err := c.askFirst(ctx, http.MethodPost, "/v1/operator/accounts", in, &out); err != nil {
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
	for _, address := range a.Wallets {
		fmt.Fprintf(w, "Wallet\t%s\n", address)
	}
	fmt.Fprintf(w, "Tariff\t%s\nBalance\t%s USD\nHeld\t%s USD\nSpent\t%s USD\nServers\t%d of %d\n", a.Tariff, a.Balance, a.Held, a.Spent, a.Servers, a.Limit)
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

type accountDebit struct {
	where
	output
	accountName
	Amount string `arg:"" help:"USD, such as 25.00; at most what can be spent."`
	Memo   string `required:"" help:"Why, for the books and the statement."`
}

// Run takes credit back.
func (c *accountDebit) Run(ctx context.Context) error {
	var out ops.AccountView
	if err := c.ask(ctx, http.MethodPost, c.path("/debit"), map[string]string{"amount": c.Amount, "memo": c.Memo}, &out); err != nil {
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
	Password      bool    `help:"Set the password, which is read as one line from standard input; access tokens end."`
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
	if c.Password {
		if err := c.setPassword(ctx); err != nil {
			return err
		}
	}
	if len(in) == 0 && !c.Password {
		return errors.New("nothing to change: see berth account update --help")
	}
	var out ops.AccountView
	if err := c.ask(ctx, http.MethodPatch, c.path(""), in, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) { printAccount(w, out) })
}

// maxLine bounds the line that a password stands on: 200 characters of UTF-8.
const maxLine = 1 << 10

// setPassword sends the password from standard input: flags can be read by
// everybody on the machine.
func (c *accountUpdate) setPassword(ctx context.Context) error {
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the password from standard input: %w", err)
	}
	var out ops.MeOut
	return c.ask(ctx, http.MethodPost, c.path("/password"), map[string]string{"password": strings.TrimRight(line, "\r\n")}, &out)
}
