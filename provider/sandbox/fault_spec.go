package sandbox

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// faultSpec is a fault as JSON. Which members count depends on the fault.
type faultSpec struct {
	Fault      string `json:"fault"`
	Op         string `json:"op,omitempty"`
	Status     int    `json:"status,omitempty"`
	ID         string `json:"error_id,omitempty"`
	Message    string `json:"message,omitempty"`
	RetryAfter length `json:"retry_after,omitempty"`
	For        length `json:"for,omitempty"`
	Times      int    `json:"times,omitempty"` // how many answers hide something
	Type       string `json:"type,omitempty"`  // an action's
	Median     length `json:"median,omitempty"`
	P99        length `json:"p99,omitempty"`
}

// length is a duration, in JSON a text such as "1.5s".
type length time.Duration

// UnmarshalJSON reads a text that time.ParseDuration knows.
func (l *length) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return unprocessable("expected a duration such as \"1.5s\", not %.40s", b)
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return unprocessable("expected a duration such as \"1.5s\", not %.40q", text)
	}
	*l = length(d)
	return nil
}

// MarshalJSON writes a text.
func (l length) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(l).String()) }

func (f *faultSpec) distribution() Distribution {
	return Distribution{time.Duration(f.Median), time.Duration(f.P99)}
}

// faultKinds make a fault of a specification, by its name.
func faultKinds() map[string]func(*faultSpec) Fault {
	return map[string]func(*faultSpec) Fault{
		"refuse": func(f *faultSpec) Fault {
			return Refuse{Op: f.Op, Status: f.Status, ID: f.ID, Message: f.Message, RetryAfter: time.Duration(f.RetryAfter)}
		},
		"pending_event":     func(*faultSpec) Fault { return PendingEvent() },
		"try_again":         func(f *faultSpec) Fault { return TryAgain(f.Op) },
		"out_of_capacity":   func(*faultSpec) Fault { return OutOfCapacity() },
		"droplet_limit":     func(*faultSpec) Fault { return OverLimit() },
		"duplicate_key":     func(*faultSpec) Fault { return DuplicateKey() },
		"server_error":      func(f *faultSpec) Fault { return ServerError(f.Op) },
		"too_many_requests": func(f *faultSpec) Fault { return TooManyRequests(time.Duration(f.RetryAfter)) },
		"lose":              func(f *faultSpec) Fault { return Lose{f.Op, f.Status} },
		"hang":              func(f *faultSpec) Fault { return Hang{f.Op, time.Duration(f.For)} },
		"delay":             func(f *faultSpec) Fault { return Delay{f.Op, f.distribution()} },
		"slow":              func(f *faultSpec) Fault { return Slow{f.Type, f.distribution()} },
		"list_lag":          func(f *faultSpec) Fault { return ListLag{f.Times} },
		"early_not_found":   func(f *faultSpec) Fault { return EarlyNotFound{f.Times} },
		"no_address":        func(f *faultSpec) Fault { return NoAddress{f.Times} },
		"snapshot_lag":      func(f *faultSpec) Fault { return SnapshotLag{f.Times} },
		"vanish":            func(*faultSpec) Fault { return Vanish{} },
		"fail_action":       func(f *faultSpec) Fault { return FailAction{f.Type} },
		"account_status":    func(f *faultSpec) Fault { return AccountStatus{f.Message} },
	}
}

// fault is what a specification asks for, if it can ever happen.
func (f *faultSpec) fault() (Fault, error) {
	makeFault := faultKinds()[f.Fault]
	if makeFault == nil {
		return nil, unprocessable("fault %.40q is none of %s", f.Fault, strings.Join(slices.Sorted(maps.Keys(faultKinds())), ", "))
	}
	needsOp := f.Fault == "lose" || f.Fault == "hang"
	switch {
	case f.Op == "" && needsOp, f.Op != "" && !isOp(f.Op):
		return nil, unprocessable("op %.80q is no operation that the sandbox offers, such as droplets_create", f.Op)
	case f.Fault == "refuse" && (f.Status < 400 || f.Status > 599), f.Fault == "lose" && f.Status != 0 && (f.Status < 500 || f.Status > 599):
		return nil, unprocessable("status %d is no error", f.Status)
	case slices.Contains([]string{"list_lag", "early_not_found", "no_address", "snapshot_lag"}, f.Fault) && f.Times < 1:
		return nil, unprocessable("times must be at least 1")
	case f.Fault == "fail_action" && f.Type == "":
		return nil, unprocessable("type must be an action's, such as power_off")
	case f.Fault == "account_status" && f.Message != "warning" && f.Message != "locked":
		return nil, unprocessable("message must be warning or locked")
	}
	return makeFault(f), nil
}

func isOp(op string) bool {
	return slices.ContainsFunc(routeTable(), func(rt route) bool { return rt.op == op })
}

// describe is a fault's specification. Refusals of all kinds are shown as such.
func describe(fault Fault) faultSpec {
	switch f := fault.(type) {
	case Refuse:
		return faultSpec{Fault: "refuse", Op: f.Op, Status: f.Status, ID: f.ID, Message: f.Message, RetryAfter: length(f.RetryAfter)}
	case Lose:
		return faultSpec{Fault: "lose", Op: f.Op, Status: f.Status}
	case Hang:
		return faultSpec{Fault: "hang", Op: f.Op, For: length(f.For)}
	case Delay:
		return faultSpec{Fault: "delay", Op: f.Op, Median: length(f.Median), P99: length(f.P99)}
	case Slow:
		return faultSpec{Fault: "slow", Type: f.Type, Median: length(f.Median), P99: length(f.P99)}
	case ListLag:
		return faultSpec{Fault: "list_lag", Times: f.Lists}
	case EarlyNotFound:
		return faultSpec{Fault: "early_not_found", Times: f.Gets}
	case NoAddress:
		return faultSpec{Fault: "no_address", Times: f.Reads}
	case SnapshotLag:
		return faultSpec{Fault: "snapshot_lag", Times: f.Reads}
	case FailAction:
		return faultSpec{Fault: "fail_action", Type: f.Type}
	case AccountStatus:
		return faultSpec{Fault: "account_status", Message: f.Status}
	}
	return faultSpec{Fault: "vanish"}
}
