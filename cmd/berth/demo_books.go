package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"berth"
	"berth/billing"
	"berth/ops"
)

// statement shows the agent's money, and checks that it adds up to what the
// balance says.
func (s *story) statement(ctx context.Context, c *scene) error {
	var st billing.Statement
	if err := c.call(ctx, "get_statement", map[string]any{}, &st); err != nil {
		return err
	}
	for line := range strings.Lines(statementTable(st)) {
		c.say("%s", strings.TrimRight(line, "\n "))
	}
	var have ops.BalanceOut
	if err := c.call(ctx, "get_balance", map[string]any{}, &have); err != nil {
		return err
	}
	if closing := st.Closing.Balance - st.Closing.Held; closing != have.Balance {
		return fmt.Errorf("the statement closes with %s, the balance is %s", closing, have.Balance)
	}
	s.spent = have.Spent
	c.say("Spent: %s USD. Left: %s USD.", have.Spent, have.Balance)
	c.facts["lines"], c.facts["spent"], c.facts["balance"], c.facts["held"] = len(st.Lines), have.Spent, have.Balance, have.Held
	return nil
}

func statementTable(st billing.Statement) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tKIND\tREASON\tWHAT\tDEBIT\tCREDIT\tBALANCE\tHELD")
	for _, l := range st.Lines {
		what := l.Memo
		if what == "" {
			what = l.Operation
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.30s\t%s\t%s\t%s\t%s\n", clock(l.At), l.Kind, l.Reason, what, unlessZero(l.Debit), unlessZero(l.Credit), l.Balance, unlessZero(l.Held))
	}
	w.Flush() // a strings.Builder refuses nothing
	return b.String()
}

func unlessZero(m berth.Micros) string {
	if m == 0 {
		return ""
	}
	return m.String()
}

// verify asks for the ledger's check as the operator, which no agent may.
func (s *story) verify(ctx context.Context, c *scene) error {
	c.teller.called("verify_ledger", map[string]any{})
	res, err := s.node.app.system.Dispatch(ctx, &ops.Call{
		Op: "verify_ledger", Args: map[string]any{}, Front: "cli", Creds: []ops.Credential{{Scheme: ops.OperatorScheme}},
	})
	c.teller.returned()
	if err != nil {
		return err
	}
	v, ok := res.Out.(ops.VerifyOut)
	if !ok {
		return fmt.Errorf("verify_ledger answered with a %T", res.Out)
	}
	c.facts["holds"], c.facts["transfers"], c.facts["open_holds"] = v.OK, v.Transfers, v.OpenHolds
	if !v.OK {
		return errors.New("the ledger does not hold: " + strings.Join(v.Problems, "; "))
	}
	if v.OpenHolds > 0 {
		return fmt.Errorf("%d holds are still open, though no work is", v.OpenHolds)
	}
	c.say("The ledger holds: %d transfers, debits %s = credits %s, no open hold.", v.Transfers, v.Debited, v.Credited)
	return nil
}
