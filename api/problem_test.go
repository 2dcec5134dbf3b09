package api

import (
	"net/http"
	"testing"
	"time"

	"berth"
)

// TestEveryCodeHasAStatus: a code without one would be answered by a panic.
func TestEveryCodeHasAStatus(t *testing.T) {
	for _, code := range berth.Codes {
		status := statuses[code]
		if http.StatusText(status) == "" || (status < 400 && code != berth.PaymentPending) {
			t.Errorf("%s has the status %d", code, status)
		}
	}
	if len(statuses) != len(berth.Codes) {
		t.Errorf("%d statuses for %d codes", len(statuses), len(berth.Codes))
	}
}

func TestProblemOf(t *testing.T) {
	balance := berth.Dollar
	p := problemOf(402, &berth.Error{
		Code: berth.InsufficientBalance, Message: "too little", Hint: "more", RetryAfter: 1500 * time.Millisecond, Foreign: true,
		Fields: []berth.Field{{Name: "a", Reason: "b"}}, Payment: &berth.Demand{Amount: 2 * berth.Dollar, Balance: &balance},
	})
	if p.Type != "urn:berth:error:insufficient_balance" || p.Title != "Payment Required" || p.Status != 402 || p.Detail != "too little" ||
		p.Hint != "more" || p.RetryAfter != 2 || len(p.Errors) != 1 || p.Payment.Amount != 2*berth.Dollar {
		t.Errorf("problem = %+v", p)
	}
}
