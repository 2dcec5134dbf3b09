package ops_test

import (
	"errors"
	"testing"

	"berth"
)

func idOf(v any) berth.ID {
	s, _ := v.(string)
	return berth.ID(s)
}

// wantError is err as a *berth.Error with a code and a message.
func wantError(t *testing.T, err error, code berth.Code) *berth.Error {
	t.Helper()
	var e *berth.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want a typed %s", err, code)
	}
	if e.Code != code || e.Message == "" {
		t.Fatalf("error = %s %q, want %s", e.Code, e.Message, code)
	}
	return e
}
