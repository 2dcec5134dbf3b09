package billing

import (
	"berth"
	"berth/account"
)

// CheckBudget refuses a price that a cap forbids, where spent is what counts
// against the cap already. who names the bearer of the budget, such as "the API
// key akey_…". The error is berth.BudgetExceeded and says what is left.
func CheckBudget(b account.Budget, spent, price berth.Micros, who string) error {
	if b.PerCall > 0 && price > b.PerCall {
		return berth.Errorf(berth.BudgetExceeded,
			"this costs %s USD and %s may spend at most %s USD in one call", price, who, b.PerCall).
			Hinted("Ask for less at once, or have the operator raise the cap with `berth account`.")
	}
	left := max(b.Total-spent, 0)
	if b.Total > 0 && price > left {
		return berth.Errorf(berth.BudgetExceeded,
			"this costs %s USD and %s has %s USD left of its cap of %s USD", price, who, left, b.Total).
			Hinted("Ask for less, or have the operator raise the cap with `berth account`.")
	}
	return nil
}
