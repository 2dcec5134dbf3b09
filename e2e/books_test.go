package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// server is what the tests read of a server, from any front.
type server struct {
	ID         string `json:"id"`
	Status     string `json:"status"`
	IP         string `json:"ip"`
	SSHPort    int    `json:"ssh_port"`
	SnapshotID string `json:"snapshot_id"`
	Charged    string `json:"total_charged"`
	PaidUntil  string `json:"paid_until"`
	Action     action `json:"action"`
}

// action is what the tests read of an action.
type action struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Status string `json:"status"`
	Stage  string `json:"stage"`
}

// servers are all live servers, as the command line lists them.
func (h *house) servers() (list []server) {
	h.t.Helper()
	h.ask(&list, "servers")
	return list
}

// statement is an account's statement.
type statement struct {
	Lines   []line `json:"lines"`
	Closing struct {
		Balance string `json:"balance"`
		Held    string `json:"held"`
	} `json:"closing"`
}

// line is one movement of an account's money.
type line struct {
	Kind      string `json:"kind"`
	Reason    string `json:"reason"`
	Operation string `json:"operation"`
	Ref       string `json:"ref"`
	Debit     string `json:"debit"`
}

func (h *house) statement(account string) (s statement) {
	h.t.Helper()
	h.ask(&s, "ledger", "statement", account)
	return s
}

// charges are the statement's debits for a thing, as "operation amount", in
// their order.
func (s statement) charges(ref string) (list []string) {
	for _, l := range s.Lines {
		if l.Ref == ref && l.Debit != "0.00" && l.Debit != "0" {
			list = append(list, l.Operation+" "+l.Debit)
		}
	}
	return list
}

// verify checks the books: every invariant holds, nothing is still held.
func (h *house) verify() {
	h.t.Helper()
	var v struct {
		OK        bool     `json:"ok"`
		Problems  []string `json:"problems"`
		Transfers int      `json:"transfers"`
		OpenHolds int      `json:"open_holds"`
	}
	h.ask(&v, "ledger", "verify")
	if !v.OK || v.OpenHolds != 0 || v.Transfers == 0 {
		h.t.Errorf("ledger verify: ok %v, %d transfers, %d open holds, problems: %s",
			v.OK, v.Transfers, v.OpenHolds, strings.Join(v.Problems, "; "))
	}
}

// key makes an API key for an account.
func (h *house) key(account string) string {
	h.t.Helper()
	var out struct {
		APIKey string `json:"api_key"`
	}
	h.ask(&out, "account", "key", "create", account)
	return out.APIKey
}

// account makes an account with credit and returns its first API key.
func (h *house) account(email, credit string) string {
	h.t.Helper()
	var out struct {
		APIKey string `json:"api_key"`
	}
	h.ask(&out, "account", "create", "--email", email, "--credit", credit)
	return out.APIKey
}

// droplets asks the cloud itself for its droplets with a tag. Berth must not be
// running: the cloud is started alone, on the same files.
func (h *house) droplets(tag string) (ids []int) {
	h.t.Helper()
	box := h.startBox()
	var page struct {
		Droplets []struct {
			ID int `json:"id"`
		} `json:"droplets"`
	}
	res := box.get(h.t, "/v2/droplets?tag_name="+tag)
	decode(h.t, res.body, &page)
	for _, d := range page.Droplets {
		ids = append(ids, d.ID)
	}
	return ids
}

// wantOneCharge checks that a server was paid for exactly once.
func wantOneCharge(t *testing.T, s statement, sv server, operation string) {
	t.Helper()
	got := s.charges(sv.ID)
	if len(got) != 1 || got[0] != operation+" "+sv.Charged {
		text, _ := json.MarshalIndent(s, "", " ") // plain structs: it can't fail
		t.Errorf("charges for %s: %q, want one of %s\n%s", sv.ID, got, sv.Charged, text)
	}
}
