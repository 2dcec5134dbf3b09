package ops_test

import (
	"testing"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/ops"
	"berth/ops/opstest"
)

// TestDebit takes credit back, never what is held or spent, and says why on the
// statement; the books go on to hold.
func TestDebit(t *testing.T) {
	w := opstest.New(t)
	w.Local(0) // as whom the operator acts
	p := w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Budget.Total = 60 * berth.Dollar })
	w.Must(p.Creds, "create_server", opstest.Args{"size": "small", "region": "nyc1", "minutes": 60}) // 0.035 are held
	debit := func(amount string) (ops.AccountView, error) {
		res, err := w.Do(opstest.Operator, "debit_account", opstest.Args{"account": p.Email, "amount": amount, "memo": "credited twice"})
		if err != nil {
			return ops.AccountView{}, err
		}
		return res.Out.(ops.AccountView), nil
	}
	for amount, want := range map[string]berth.Code{"100.00": berth.InsufficientBalance, "99.965001": berth.InsufficientBalance, "0": berth.InvalidInput, "-1": berth.InvalidInput, "all": berth.InvalidInput} {
		if _, err := debit(amount); berth.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", amount, err, want)
		}
	}
	out, err := debit("90")
	if err != nil || out.Balance != 9_965_000 || out.Held != 35_000 || out.Spent != 35_000 {
		t.Fatalf("%+v, %v", out, err)
	}
	if left := out.Budget.Left; *left != 60*berth.Dollar-35_000 {
		t.Errorf("%s USD are left of the budget", left)
	}
	if out, err = debit("9.965"); err != nil || out.Balance != 0 {
		t.Errorf("all that is left: %+v, %v", out, err)
	}
	lines := w.Must(p.Creds, "get_statement", nil).Out.(billing.Statement).Lines
	if last := lines[len(lines)-2]; last.Debit != 90*berth.Dollar || last.Memo != "credited twice" || last.Operation != "debit_account" || last.Reason != billing.ReasonGrant {
		t.Errorf("the statement says %+v", last)
	}
	w.Verify()
}
