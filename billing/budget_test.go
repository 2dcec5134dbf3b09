package billing_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"berth"
	"berth/account"
	"berth/billing"
)

func TestCheckBudget(t *testing.T) {
	both := account.Budget{Total: 10 * berth.Dollar, PerCall: 2 * berth.Dollar}
	for name, c := range map[string]struct {
		budget       account.Budget
		spent, price berth.Micros
		says         string // empty: allowed
	}{
		"no caps":                 {account.Budget{}, math.MaxInt64, math.MaxInt64, ""},
		"both caps just reached":  {both, 8 * berth.Dollar, 2 * berth.Dollar, ""},
		"too much at once":        {both, 0, 2*berth.Dollar + 1, "at most 2.00 USD in one call"},
		"too much in all":         {both, 9_500_000, 500_001, "has 0.50 USD left of its cap of 10.00 USD"},
		"overspent already":       {both, 12 * berth.Dollar, 1, "has 0.00 USD left"},
		"only a cap in all":       {account.Budget{Total: 1}, 0, 2, "has 0.000001 USD left"},
		"only a cap for one call": {account.Budget{PerCall: 1}, math.MaxInt64, 1, ""},
		"what is free":            {both, 12 * berth.Dollar, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := billing.CheckBudget(c.budget, c.spent, c.price, "the API key akey_1")
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *berth.Error
			if !errors.As(err, &e) || e.Code != berth.BudgetExceeded {
				t.Fatalf("error = %v, want budget_exceeded", err)
			}
			if !strings.Contains(e.Message, c.says) || !strings.Contains(e.Message, "akey_1") || !strings.Contains(e.Hint, "berth account") {
				t.Errorf("%q (%q) does not say %q, who, and who can raise it", e.Message, e.Hint, c.says)
			}
		})
	}
}
